//! From what TOML says to an [`Ask`] for one token type.
//!
//! Contract: every fault with file, line and column, all of them in one go.

mod reply;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::time::Duration;

use toml::Spanned;

use super::{
    Ask, Auth, Body, Call, Endpoint, Facts, Json, Login, Manual, Offline, Pointer, Request, Sign, Step, Template, Way,
    lint,
};
use crate::rules::pattern::part_names;
use crate::rules::schema::ask as spec;
use crate::rules::schema::{RuleFile, Token};
use crate::rules::{Fault, FileText};

/// The most steps of one way.
const MAX_STEPS: usize = 5;

/// Makes the asking part of one token type. `parts` are the names its credentials may have parts by. A step whose `when`
/// names a part of other token types of the file alone is none of this one's.
///
/// # Errors
/// Every fault found.
pub fn compile(text: &FileText, file: &RuleFile, token: &Token, parts: &BTreeSet<String>) -> Result<Ask, Vec<Fault>> {
    let mut c = Compiler { text, file, faults: Vec::new(), parts, held: BTreeSet::new(), known: BTreeSet::new() };
    let ask = c.ask(token);
    if c.faults.is_empty() { Ok(ask) } else { Err(c.faults) }
}

/// The asking parts of all token types of a file, by id.
///
/// # Errors
/// Every fault, each once.
pub fn compile_all(text: &FileText, file: &RuleFile) -> Result<BTreeMap<String, Ask>, Vec<Fault>> {
    let mut asks = BTreeMap::new();
    let mut faults: Vec<Fault> = Vec::new();
    for token in file.tokens.iter().map(Spanned::get_ref) {
        // A pattern that cannot be read is a fault of the catalog.
        let Ok(parts) = part_names(token) else { continue };
        match compile(text, file, token, &parts) {
            Ok(ask) => drop(asks.insert(token.id.get_ref().clone(), ask)),
            Err(more) => {
                for fault in more {
                    if !faults.contains(&fault) {
                        faults.push(fault);
                    }
                }
            }
        }
    }
    if faults.is_empty() { Ok(asks) } else { Err(faults) }
}

/// Parses `90s`, `10m`, `1h`, `2d`.
pub fn duration(text: &str) -> Option<Duration> {
    let (number, unit) = text.split_at(text.find(|c: char| !c.is_ascii_digit())?);
    let seconds = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        "d" => 86400,
        _ => return None,
    };
    Some(Duration::from_secs(number.parse::<u32>().ok()? as u64 * seconds))
}

pub(super) struct Compiler<'a> {
    pub(super) text: &'a FileText,
    pub(super) file: &'a RuleFile,
    pub(super) faults: Vec<Fault>,
    parts: &'a BTreeSet<String>,
    /// Names of what the value itself holds.
    held: BTreeSet<String>,
    /// Names that templates may use at this point.
    known: BTreeSet<String>,
}

type Span = Range<usize>;

impl Compiler<'_> {
    pub(super) fn fault(&mut self, span: Span, message: impl Into<String>) {
        let fault = self.text.fault(span, message);
        if !self.faults.contains(&fault) {
            self.faults.push(fault);
        }
    }

    fn start_names(&mut self, admin: &[String]) {
        self.known = self.parts.iter().chain(&self.held).cloned().collect();
        self.known.extend(["secret".to_owned(), "now".to_owned()]);
        self.known.extend(admin.iter().map(|name| format!("admin.{name}")));
    }

    fn ask(&mut self, token: &Token) -> Ask {
        let mut ask = Ask { no_verify: token.no_verify.clone(), ..Ask::default() };
        self.start_names(&[]);
        for offline in &token.offline {
            let ready = self.offline(offline);
            ask.offline.push(ready);
        }
        for (name, endpoint) in &self.file.endpoints {
            let ready = self.endpoint(endpoint);
            ask.endpoints.insert(name.clone(), ready);
        }
        if let Some(name) = &token.verify {
            match self.file.verify.get(name.get_ref()) {
                Some(steps) => {
                    let (steps, spans) = self.steps(steps, name.span());
                    lint::verify(self, &steps, &spans);
                    ask.verify = steps;
                }
                None => self.fault(name.span(), format!("there is no [[verify.{}]]", name.get_ref())),
            }
        }
        if let (Some(verify), Some(_)) = (&token.verify, &token.no_verify) {
            self.fault(verify.span(), "give either `verify` or `no_verify`");
        }
        if let Some(page) = &token.endless {
            ask.endless = true;
            if !page.get_ref().starts_with("https://") {
                self.fault(page.span(), "`endless` is the page of the issuer's that says so: https://...");
            }
            if ask.verify.iter().all(|step| step.principal.expires.is_empty()) {
                self.fault(page.span(), "no answer tells when it ends: give a step of its `verify` an `expires`");
            }
        }
        let mut names: Vec<&Spanned<String>> = token.revoke.iter().collect();
        let undo = |name: &&Spanned<String>| self.file.revoke.get(name.get_ref())?.get_ref().undo.as_ref();
        names.extend(token.revoke.iter().filter_map(|n| undo(&n)));
        for name in names {
            match self.file.revoke.get(name.get_ref()) {
                Some(way) if ask.way(name.get_ref()).is_none() => {
                    let way = self.way(name.get_ref(), way);
                    ask.revoke.push(way);
                }
                Some(_) => {}
                None => self.fault(name.span(), format!("there is no [revoke.{}]", name.get_ref())),
            }
        }
        if let Some(name) = &token.manual {
            match self.file.manual.get(name.get_ref()).map(Spanned::get_ref) {
                Some(m) => ask.manual = Some(Manual { page: m.page.clone(), steps: m.steps.clone() }),
                None => self.fault(name.span(), format!("there is no [manual.{}]", name.get_ref())),
            }
        }
        ask
    }

    fn endpoint(&mut self, spanned: &Spanned<spec::Endpoint>) -> Endpoint {
        let endpoint = spanned.get_ref();
        for site in endpoint.default.iter().chain(&endpoint.sites) {
            lint::address(self, site);
        }
        for domain in &endpoint.domains {
            lint::domain(self, domain);
        }
        // Every token of a file shares its endpoints: a label's part may be one of another token. It is then missing.
        let default = endpoint.default.as_ref().map(|d| self.parse(d.get_ref(), d.span()));
        if !endpoint.path.is_empty() && !endpoint.path.starts_with('/') {
            self.fault(spanned.span(), "`path` begins with `/`");
        }
        Endpoint {
            default,
            sites: endpoint.sites.iter().map(|s| s.get_ref().clone()).collect(),
            parts: endpoint.parts.clone(),
            domains: endpoint.domains.iter().map(|d| d.get_ref().clone()).collect(),
            env: endpoint.env.clone(),
            tool: endpoint.tool,
            path: endpoint.path.clone(),
        }
    }

    fn steps(&mut self, steps: &[Spanned<spec::Step>], span: Span) -> (Vec<Step>, Vec<Span>) {
        if steps.is_empty() || steps.len() > MAX_STEPS {
            self.fault(span, format!("one to {MAX_STEPS} steps, not {}", steps.len()));
        }
        let mut ready = Vec::new();
        for step in steps {
            if !self.of_others(step.get_ref()) {
                ready.push((self.step(step), step.span()));
            }
        }
        ready.into_iter().unzip()
    }

    /// Whether a step waits for a part that only other token types have.
    fn of_others(&self, step: &spec::Step) -> bool {
        let Some(when) = step.when.as_ref().and_then(|w| Template::parse(w.get_ref()).ok()) else { return false };
        let others = |name: &str| {
            let mut parts = self.file.tokens.iter().filter_map(|t| part_names(t.get_ref()).ok());
            parts.any(|p| p.contains(name))
        };
        when.names().any(|name| !self.known.contains(name) && others(name))
    }

    fn step(&mut self, spanned: &Spanned<spec::Step>) -> Step {
        let step = spanned.get_ref();
        let when = step.when.as_ref().map(|w| self.template(w));
        let call = match (&step.request, &step.login) {
            (Some(request), None) => Call::Http(Box::new(self.request(request, spanned.span()))),
            (None, Some(login)) => Call::Login(Box::new(self.login(login))),
            _ => {
                self.fault(spanned.span(), "a step has either a `request` or a `login`");
                Call::Http(Box::new(Request {
                    endpoint: "api".into(),
                    method: spec::Method::Get,
                    path: Template::default(),
                    query: Vec::new(),
                    headers: Vec::new(),
                    auth: Auth::None,
                    body: Body::None,
                }))
            }
        };
        let span = spanned.span();
        let mut conditions =
            |list: &[spec::Condition]| list.iter().map(|c| self.condition(c, span.clone())).collect::<Vec<_>>();
        let mut ready = Step {
            call,
            when,
            active: conditions(&step.active),
            inactive: conditions(&step.inactive),
            unknown: conditions(&step.unknown),
            done: conditions(&step.done),
            gone: conditions(&step.gone),
            refused: conditions(&step.refused),
            item: step.item.as_ref().map(|item| self.item(item)),
            capture: step.capture.iter().map(|(n, p)| (n.clone(), self.pick(p, span.clone()))).collect(),
            principal: Facts::default(),
        };
        for name in
            ready.capture.iter().map(|(n, _)| n).chain(ready.item.iter().flat_map(|i| i.capture.iter().map(|(n, _)| n)))
        {
            if !self.known.insert(name.clone()) {
                self.fault(span.clone(), format!("the capture `{name}` has a name that is taken"));
            }
        }
        ready.principal = self.facts(&step.principal, span.clone());
        lint::statuses(self, &ready, span);
        ready
    }

    fn request(&mut self, request: &spec::Request, span: Span) -> Request {
        let endpoint = request.endpoint.as_ref().map_or("api", |e| e.get_ref());
        if !self.file.endpoints.contains_key(endpoint) {
            let span = request.endpoint.as_ref().map_or(span.clone(), Spanned::span);
            self.fault(span, format!("there is no [endpoint.{endpoint}]"));
        }
        lint::path(self, &request.path);
        let mut auths: Vec<Auth> = request.bearer.iter().map(|b| Auth::Bearer(self.template(b))).collect();
        if let Some([user, password]) = &request.basic {
            auths.push(Auth::Basic(self.template(user), self.template(password)));
        }
        if let Some(sign) = &request.sign {
            auths.push(Auth::Sign(Box::new(self.sign(sign))));
        }
        let mut bodies: Vec<Body> = Vec::new();
        if !request.form.is_empty() {
            bodies.push(Body::Form(self.templates(&request.form)));
        }
        if let Some(json) = &request.json {
            bodies.push(Body::Json(self.json(json.get_ref(), json.span())));
        }
        bodies.extend(request.body.as_ref().map(|b| Body::Text(self.template(b))));
        if auths.len() > 1 || bodies.len() > 1 {
            self.fault(span, "a request has one of `bearer`, `basic`, `sign`, and one of `form`, `json`, `body`");
        }
        let headers = self.templates(&request.headers);
        Request {
            endpoint: endpoint.to_owned(),
            method: request.method,
            path: self.template(&request.path),
            query: self.templates(&request.query),
            headers: headers.into_iter().map(|(n, v)| (n.to_ascii_lowercase(), v)).collect(),
            auth: auths.into_iter().next().unwrap_or(Auth::None),
            body: bodies.into_iter().next().unwrap_or(Body::None),
        }
    }

    fn sign(&mut self, spanned: &Spanned<spec::Sign>) -> Sign {
        let sign = spanned.get_ref();
        if let Err(message) = sign.check() {
            self.fault(spanned.span(), message);
        }
        let mut templates = Vec::new();
        for (name, text) in sign.templates() {
            templates.push((name, self.checked(text, spanned.span())));
        }
        Sign { spec: sign.clone(), templates }
    }

    fn login(&mut self, spanned: &Spanned<spec::Login>) -> Login {
        let login = spanned.get_ref();
        if login.change.is_some() == login.account.is_empty() {
            self.fault(spanned.span(), "a log-in has both `change` and the `account` that is changed, or neither");
        }
        let templates = login.templates().map(|(name, text)| (name, self.checked(text, spanned.span())));
        Login { protocol: login.protocol, templates: templates.to_vec(), change: login.change }
    }

    fn json(&mut self, value: &toml::Value, span: Span) -> Json {
        match value {
            toml::Value::String(text) if text == "{secrets}" => Json::Secrets,
            toml::Value::String(text) => Json::Text(self.checked(text, span)),
            toml::Value::Array(items) => Json::Array(items.iter().map(|i| self.json(i, span.clone())).collect()),
            toml::Value::Table(table) => {
                Json::Object(table.iter().map(|(n, v)| (n.clone(), self.json(v, span.clone()))).collect())
            }
            toml::Value::Integer(n) => Json::Plain((*n).into()),
            toml::Value::Float(n) => Json::Plain((*n).into()),
            toml::Value::Boolean(b) => Json::Plain((*b).into()),
            toml::Value::Datetime(d) => Json::Plain(d.to_string().into()),
        }
    }

    fn offline(&mut self, spanned: &Spanned<spec::Offline>) -> Offline {
        let offline = spanned.get_ref();
        let of = match &offline.of {
            Some(of) => self.template(of),
            None => self.checked("{secret}", spanned.span()),
        };
        let mut capture = Vec::new();
        for (name, pick) in &offline.capture {
            capture.push((name.clone(), self.pick(pick, spanned.span())));
            // Several decoders may give one name: the first that has it counts.
            let ours = !self.held.insert(name.clone());
            if !self.known.insert(name.clone()) && !ours {
                self.fault(spanned.span(), format!("the capture `{name}` has a name that is taken"));
            }
        }
        let ready = Offline {
            decode: *offline.decode.get_ref(),
            of,
            capture,
            principal: self.facts(&offline.principal, spanned.span()),
        };
        lint::offline(self, &ready, spanned.span());
        ready
    }

    fn way(&mut self, name: &str, spanned: &Spanned<spec::Revoke>) -> Way {
        let way = spanned.get_ref();
        self.start_names(&way.admin);
        if let Some(undo) = &way.undo
            && !self.file.revoke.contains_key(undo.get_ref())
        {
            self.fault(undo.span(), format!("there is no [revoke.{}]", undo.get_ref()));
        }
        let within = way.within.as_ref().and_then(|w| self.duration(w));
        let limit = way.limit.as_ref().and_then(|l| Some((l.calls, self.duration(&l.per)?)));
        let ready = Way {
            name: name.to_owned(),
            title: way.title.clone(),
            by: way.by,
            effect: way.effect,
            docs: way.docs.clone(),
            side_effects: way.side_effects.clone(),
            undo: way.undo.as_ref().map(|u| u.get_ref().clone()),
            only_if_asked: way.only_if_asked,
            proof: way.proof,
            batch: way.batch,
            limit,
            within,
            admin: way.admin.clone(),
            steps: self.steps(&way.steps, spanned.span()).0,
            dry_run: way.dry_run.as_ref().map(|step| self.step(step)),
        };
        lint::way(self, &ready, spanned.span());
        ready
    }

    fn duration(&mut self, text: &Spanned<String>) -> Option<Duration> {
        let parsed = duration(text.get_ref());
        if parsed.is_none() {
            self.fault(text.span(), format!("`{}` is no duration: write 90s, 10m, 1h or 2d", text.get_ref()));
        }
        parsed
    }

    fn pointer(&mut self, text: &str, span: Span) -> Option<Pointer> {
        Pointer::parse(text).map_err(|message| self.fault(span, message)).ok()
    }

    fn templates(&mut self, map: &BTreeMap<String, Spanned<String>>) -> Vec<(String, Template)> {
        map.iter().map(|(name, text)| (name.clone(), self.template(text))).collect()
    }

    fn template(&mut self, text: &Spanned<String>) -> Template {
        self.checked(text.get_ref(), text.span())
    }

    /// Parses a template and checks that its names are known here.
    fn checked(&mut self, text: &str, span: Span) -> Template {
        let template = self.parse(text, span.clone());
        for name in template.names() {
            if self.known.contains(name) {
                continue;
            }
            let message = match name {
                "secrets" => "`{secrets}` stands alone in an array of a `json` body".to_owned(),
                _ => {
                    let known: Vec<&str> = self.known.iter().map(String::as_str).collect();
                    format!("`{{{name}}}` is not known here; known are: {}", known.join(", "))
                }
            };
            self.fault(span.clone(), message);
        }
        template
    }

    fn parse(&mut self, text: &str, span: Span) -> Template {
        Template::parse(text).unwrap_or_else(|message| {
            self.fault(span, message);
            Template::default()
        })
    }
}
