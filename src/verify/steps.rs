//! One credential through the steps of its rule: what is sent, what the replies mean, what is known afterwards.
//!
//! Contract: all decisions of asking and acting, none of the network: a [`Transport`] sends. A missing part, a missing
//! endpoint or no answer is `unknown` and says why. Steps stop at `inactive` and `unknown`; after `active` a step without a
//! verdict only adds to the account.

mod act;

use std::collections::BTreeMap;

pub use act::{Acted, Mode, Outcome, act};

use super::judge::{self, Body, Said, Source};
use super::render::{self, ResolvedEndpoint};
use super::transport::{Answer, Failure, Outgoing, Transport};
use super::{offline, sign, times};
use crate::model::{Checked, How, Principal, Validity};
use crate::rules::ask::{Ask, Auth, Call, Encode, Request, Step, Unfilled, Values};
use crate::secret::Secret;

/// A credential that is asked about or acted on.
#[derive(Clone, Copy)]
pub struct Credential<'a> {
    /// The value.
    pub secret: &'a [u8],
    /// Its parts by name.
    pub parts: &'a BTreeMap<String, Vec<u8>>,
    /// Further secrets that it only works with, by name.
    pub secrets: &'a [(String, Secret)],
}

/// Where each endpoint of the rule is, by name: one or more sites, or why there is none.
pub type Endpoints = BTreeMap<String, Result<Vec<ResolvedEndpoint>, String>>;

/// The values that templates of a credential may use at first, those for its endpoints too: the secret, its parts, and what
/// its value holds by itself. `now` is Unix seconds.
pub fn values(ask: &Ask, credential: &Credential<'_>, now: i64) -> Values {
    let mut values = plain(credential, now);
    offline::read(ask, &mut values);
    values
}

/// The same without what the value holds by itself.
pub(super) fn plain(credential: &Credential<'_>, now: i64) -> Values {
    let mut values = Values::default();
    values.set("secret", credential.secret);
    values.set("now", now.to_string().as_bytes());
    // A part that took no text is none.
    for (name, value) in credential.parts.iter().filter(|(_, value)| !value.is_empty()) {
        values.set(name.clone(), value);
    }
    for (name, secret) in credential.secrets.iter().filter(|(_, secret)| !secret.expose().is_empty()) {
        values.set(name.clone(), secret.expose());
    }
    values
}

/// Asks the issuer about one credential. What the value tells by itself comes first: one that is over by its own date is
/// not asked about. Never fails: what is in the way is the reason of an unknown verdict.
pub async fn verify<T: Transport>(
    ask: &Ask,
    credential: &Credential<'_>,
    endpoints: &Endpoints,
    transport: &T,
    now: i64,
) -> Checked {
    let mut known = plain(credential, now);
    let identity = offline::read(ask, &mut known);
    let mut checked = Checked { identity, ..Checked::default() };
    if checked.identity.as_ref().is_some_and(|p| over(p, now)) {
        checked.validity = Validity::Inactive;
        checked.remark = Some("expired, by its own date".into());
        checked.how = How::Offline;
        return checked;
    }
    if ask.verify.is_empty() {
        let reason = ask.no_verify.clone().unwrap_or_else(|| "there is no known way to ask".into());
        checked.validity = Validity::Unknown(reason);
        return checked;
    }
    let sites = sites(&ask.verify, endpoints);
    let mut unknown = None;
    let mut last = None;
    for site in 0..sites {
        let (values, endless) = (known.clone(), ask.endless);
        let mut run = Run { values, endpoints, site, transport, asked: false, endless, now };
        let result = run.ask(&ask.verify).await;
        if run.asked {
            checked.how = How::Asked;
            checked.at = Some(now);
        }
        match &result.0 {
            Said::Active(_) => {
                last = Some(result);
                unknown = None;
                break;
            }
            // A site that says why knows the credential; one that does not may be the wrong one.
            Said::Inactive(remark) if last.is_none() || remark.is_some() => last = Some(result),
            Said::Inactive(_) => {}
            Said::Unknown(_) => unknown = unknown.or(Some(result)),
        }
    }
    let (said, principal) = unknown.or(last).unwrap_or((Said::Unknown("there is no endpoint".into()), None));
    checked.principal = principal.filter(|p| !p.is_empty());
    (checked.validity, checked.remark) = match said {
        Said::Active(remark) => (Validity::Active, remark),
        Said::Inactive(remark) => (Validity::Inactive, remark),
        Said::Unknown(reason) => (Validity::Unknown(reason), None),
    };
    checked
}

/// What stands for the end of a credential that has none.
const NEVER: &str = "never";

/// At how many sites the steps ask: those of the endpoints that they use.
fn sites(steps: &[Step], endpoints: &Endpoints) -> usize {
    let used = steps.iter().filter_map(|step| match &step.call {
        Call::Http(request) => endpoints.get(&request.endpoint)?.as_ref().ok(),
        Call::Login(_) => None,
    });
    used.map(Vec::len).max().unwrap_or(1).max(1)
}

/// Whether a credential is over, by the date that it carries.
fn over(principal: &Principal, now: i64) -> bool {
    let expires = principal.expires.as_deref().and_then(times::read);
    expires.is_some_and(|t| t.as_second() < now)
}

/// One way through the steps, at one site.
struct Run<'a, T> {
    values: Values,
    endpoints: &'a Endpoints,
    site: usize,
    transport: &'a T,
    asked: bool,
    /// No end told is no end.
    endless: bool,
    now: i64,
}

impl<T: Transport> Run<'_, T> {
    async fn ask(&mut self, steps: &[Step]) -> (Said, Option<Principal>) {
        let mut verdict: Option<Said> = None;
        let mut principal = Principal::default();
        let mut missing = Vec::new();
        for step in steps {
            match self.wanted(step) {
                Ok(true) => {}
                Ok(false) => continue,
                Err(lacks) => {
                    missing.push(lacks);
                    continue;
                }
            }
            match self.one(step, verdict.is_some(), &mut principal).await {
                Ok(None) => {}
                Ok(Some(active @ Said::Active(_))) => verdict = Some(active),
                Ok(Some(said)) => return (said, Some(principal)),
                // After the verdict a step that only adds to the account may fail.
                Err(_) if verdict.is_some() && !step.decides() => {}
                Err(reason) => return (Said::Unknown(reason), None),
            }
        }
        let nothing = || {
            missing.dedup();
            let why = if missing.is_empty() { String::new() } else { format!(": {}", missing.join(", ")) };
            Said::Unknown(format!("none of the ways to ask fits what is known of this credential{why}"))
        };
        (verdict.unwrap_or_else(nothing), Some(principal))
    }

    /// Whether `when` lets a step take place.
    ///
    /// # Errors
    /// What is not known, in words.
    fn wanted(&self, step: &Step) -> Result<bool, String> {
        let Some(when) = &step.when else { return Ok(true) };
        match when.fill(&self.values, Encode::Plain) {
            Ok(text) => Ok(!text.is_empty()),
            Err(lacks) => Err(lacks.to_string()),
        }
    }

    /// One step: a verdict if it gives one, else its captures.
    async fn one(&mut self, step: &Step, decided: bool, to: &mut Principal) -> Result<Option<Said>, String> {
        let request = match &step.call {
            Call::Http(request) => request,
            Call::Login(login) => {
                let login = render::login(login, &self.values).map_err(|e| e.to_string())?;
                let answer = self.sent(self.transport.log_in(&login).await)?;
                return Ok(Some(logged_in(answer, to)));
            }
        };
        let outgoing = self.outgoing(request, &[], true)?;
        let reply = self.sent(self.transport.send(&outgoing).await)?;
        let known = self.values.clone();
        let body = Body::about(&reply, &known);
        let said = if step.decides() { Some(judge::said(step, &body)) } else { None };
        if let Some(Said::Unknown(_)) = said {
            return Ok(said);
        }
        if said.is_none() && (judge::silent(step, &body) || !(200..300).contains(&reply.status)) {
            return Err(judge::unfit(&body));
        }
        let captured = capture(step, &body, &mut self.values);
        if !matches!(said, Some(Said::Inactive(_))) {
            judge::principal(&step.principal, Source::Reply(&body), &self.values, to);
            if self.endless && to.expires.is_none() && judge::tells_no_end(&step.principal, &body) {
                to.expires = Some(NEVER.into());
            }
        }
        // What a step before the verdict does not give, later steps would ask with gaps.
        if said.is_none() && !decided {
            captured?;
        }
        Ok(said)
    }

    fn outgoing(&self, request: &Request, secrets: &[&[u8]], repeatable: bool) -> Result<Outgoing, String> {
        let endpoint = match self.endpoints.get(&request.endpoint) {
            Some(Ok(sites)) => sites.get(self.site).or_else(|| sites.first()).ok_or("there is no endpoint")?,
            Some(Err(reason)) => return Err(reason.clone()),
            None => return Err(format!("the endpoint `{}` is not known", request.endpoint)),
        };
        let words = |e: Unfilled| e.to_string();
        let mut outgoing = render::request(request, endpoint, &self.values, secrets, repeatable).map_err(words)?;
        if let Auth::Sign(sign) = &request.auth {
            let mut values = sign::Values::default();
            for (name, template) in &sign.templates {
                // What may be empty is for the scheme to know.
                match template.fill(&self.values, Encode::Plain) {
                    Ok(value) => values.set(name.clone(), value),
                    Err(Unfilled::Missing(_)) if sign.spec.with.inputs().1.contains(&name.as_str()) => {}
                    Err(other) => return Err(other.to_string()),
                }
            }
            sign::apply(&sign.spec, &values, &mut outgoing, self.now).map_err(|e| e.to_string())?;
        }
        Ok(outgoing)
    }

    fn sent<R>(&mut self, result: Result<R, Failure>) -> Result<R, String> {
        let not_sent = matches!(
            result,
            Err(Failure::Refused(_) | Failure::Offline | Failure::CircuitOpen(_) | Failure::RateLimited(_))
        );
        self.asked |= !not_sent;
        result.map_err(|f| f.to_string())
    }
}

/// Keeps a step's captures.
///
/// # Errors
/// The first that the reply does not give.
fn capture(step: &Step, body: &Body<'_>, values: &mut Values) -> Result<(), String> {
    let mut failed = None;
    for (name, pick) in &step.capture {
        match judge::take(pick, Source::Reply(body), values) {
            Some(value) => values.set(name.clone(), value.as_bytes()),
            None => failed = failed.or(Some(format!("the answer has no single `{name}`"))),
        }
    }
    if let Some(item) = &step.item {
        match judge::item(item, body, values) {
            Ok(captures) => captures.iter().for_each(|(n, v)| values.set(n.clone(), v.as_bytes())),
            Err(reason) => failed = failed.or(Some(reason)),
        }
    }
    failed.map_or(Ok(()), Err)
}

fn logged_in(answer: Answer, to: &mut Principal) -> Said {
    match answer {
        Answer::Denied(reason) => Said::Inactive(Some(reason)),
        Answer::Unclear(reason) | Answer::Gone(reason) | Answer::Perhaps(reason) => Said::Unknown(reason),
        Answer::Changed => Said::Unknown("an account was changed instead of asked about".into()),
        Answer::Accepted(facts) => {
            for (name, value) in facts {
                match name.as_str() {
                    "kind" => to.kind = Some(value),
                    "id" => to.id = Some(value),
                    "login" => to.login = Some(value),
                    "name" => to.name = Some(value),
                    "organisation" => to.organisation = Some(value),
                    "expires" => to.expires = times::normal(&value),
                    "scope" => to.scopes.push(value),
                    _ => {
                        to.more.insert(name, value);
                    }
                }
            }
            Said::Active(None)
        }
    }
}

#[cfg(test)]
mod tests;
