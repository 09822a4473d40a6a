//! What replies mean and what is taken from them: conditions, picks, items of lists, the account.

use std::collections::BTreeMap;

use toml::Spanned;

use super::{Compiler, Span};
use crate::rules::ask::{Condition, Expected, Facts, Item, Pick, PickFrom, Pointer, Template};
use crate::rules::schema::ask as spec;

/// Size of a compiled pattern over bodies, in bytes.
const MAX_REGEX: usize = 1 << 20;

impl Compiler<'_> {
    pub(super) fn condition(&mut self, condition: &spec::Condition, span: Span) -> Condition {
        let all =
            |list: &Option<spec::OneOrMany<String>>| list.as_ref().map(|l| l.as_slice().to_vec()).unwrap_or_default();
        let mut pointers = |list: Vec<String>| list.iter().filter_map(|p| self.pointer(p, span.clone())).collect();
        let (has, lacks) = (pointers(all(&condition.has)), pointers(all(&condition.lacks)));
        let json = condition.json.iter().filter_map(|(pointer, value)| {
            let values = match value {
                toml::Value::Array(values) => values.as_slice(),
                value => std::slice::from_ref(value),
            };
            let expected: Option<Vec<Expected>> = values.iter().map(|v| self.expected(v, &span)).collect();
            if expected.is_none() {
                self.fault(
                    span.clone(),
                    format!("`{pointer}` can be compared with text, whole numbers and booleans only"),
                );
            }
            Some((self.pointer(pointer, span.clone())?, expected?))
        });
        let json = json.collect();
        let ready = Condition {
            status: condition.status.as_ref().map(|s| s.as_slice().to_vec()).unwrap_or_default(),
            has,
            lacks,
            json,
            text: all(&condition.text).iter().map(|t| t.to_lowercase()).collect(),
            header: condition.header.iter().map(|(n, v)| (n.to_ascii_lowercase(), v.to_lowercase())).collect(),
            reason: condition.reason.clone(),
        };
        if ready.status.is_empty() && !ready.needs_json() && ready.text.is_empty() && ready.header.is_empty() {
            self.fault(span, "a condition that asks for nothing fits everything");
        }
        ready
    }

    fn expected(&mut self, value: &toml::Value, span: &Span) -> Option<Expected> {
        let template = value.as_str().map(|text| self.checked(text, span.clone()));
        match template.filter(|t| t.names().next().is_some()) {
            Some(template) => Some(Expected::Filled(template)),
            None => expected(value),
        }
    }

    pub(super) fn pick(&mut self, pick: &spec::Pick, span: Span) -> Pick {
        let mut sources: Vec<PickFrom> = Vec::new();
        if let Some(json) = &pick.json {
            sources.extend(self.pointer(json.get_ref(), json.span()).map(PickFrom::Json));
        }
        sources.extend(pick.header.as_ref().map(|h| PickFrom::Header(h.to_ascii_lowercase())));
        if let Some(regex) = &pick.regex {
            match regex::bytes::RegexBuilder::new(regex.get_ref()).size_limit(MAX_REGEX).build() {
                Ok(ready) => sources.push(PickFrom::Regex(ready)),
                Err(e) => self.fault(regex.span(), e.to_string()),
            }
        }
        sources.extend(pick.text.as_ref().map(|t| PickFrom::Text(self.template(t))));
        if sources.len() != 1 && self.faults.is_empty() {
            self.fault(span, "a value is taken from exactly one of `json`, `header`, `regex`, `text`");
        }
        let from = sources.into_iter().next().unwrap_or(PickFrom::Text(Template::default()));
        let after = pick.after.as_ref().map(|t| self.template(t));
        Pick { from, split: pick.split.clone().filter(|s| !s.is_empty()), after }
    }

    pub(super) fn item(&mut self, spanned: &Spanned<spec::Item>) -> Item {
        let item = spanned.get_ref();
        let each = self.pointer(item.each.get_ref(), item.each.span());
        if item.equals.is_empty() && item.masked.is_empty() {
            self.fault(spanned.span(), "an item is told by what it `equals`, or shows `masked`");
        }
        let mut told = |wanted: &BTreeMap<String, Spanned<String>>| -> Vec<(Pointer, Template)> {
            let wanted = wanted.iter().filter_map(|(p, t)| {
                let template = self.template(t);
                if template.literal().is_some() {
                    self.fault(t.span(), "an item is told by something of the credential: this is the same for all");
                }
                Some((self.pointer(p, t.span())?, template))
            });
            wanted.collect()
        };
        let (equals, masked) = (told(&item.equals), told(&item.masked));
        let capture =
            item.capture.iter().filter_map(|(n, p)| Some((n.clone(), self.pointer(p.get_ref(), p.span())?))).collect();
        Item { each: each.unwrap_or(Pointer::parse("").expect("the empty pointer")), equals, masked, capture }
    }

    pub(super) fn facts(&mut self, spec: &spec::PrincipalSpec, span: Span) -> Facts {
        let mut picks = |list: &Option<spec::OneOrMany<spec::Pick>>| {
            list.iter().flat_map(|l| l.as_slice()).map(|p| self.pick(p, span.clone())).collect::<Vec<_>>()
        };
        let mut facts = Facts {
            kind: picks(&spec.kind),
            id: picks(&spec.id),
            login: picks(&spec.login),
            name: picks(&spec.name),
            email: picks(&spec.email),
            organisation: picks(&spec.organisation),
            key_id: picks(&spec.key_id),
            scopes: picks(&spec.scopes),
            created: picks(&spec.created),
            expires: picks(&spec.expires),
            last_used: picks(&spec.last_used),
            more: Vec::new(),
        };
        for (name, list) in &spec.more {
            let list = list.as_slice().iter().map(|p| self.pick(p, span.clone())).collect();
            facts.more.push((name.clone(), list));
        }
        facts
    }
}

fn expected(value: &toml::Value) -> Option<Expected> {
    match value {
        toml::Value::String(text) => Some(Expected::Text(text.to_lowercase())),
        toml::Value::Integer(n) => Some(Expected::Number(*n)),
        toml::Value::Boolean(b) => Some(Expected::Bool(*b)),
        _ => None,
    }
}
