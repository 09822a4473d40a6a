//! Placeholders in the tests of rule files.
//!
//! Contract: equal placeholders of one test give equal values, other rounds other ones. Nothing token-shaped needs to
//! stand in a rule file.

use std::collections::BTreeMap;

use super::{decent, decent_credential};
use crate::rules::ask::template::{self, Op};
use crate::rules::make::Credential;
use crate::rules::schema::{RuleFile, Test};
use crate::rules::{Catalog, TokenRule};

/// Fills `{make}`, `{make:token}`, `{make#2}`, `{bad}`, `{cut}`, `{long}`, `{given.NAME}`, and in calls `{secret}` and
/// `{part.NAME}`; each may be followed by what templates do to values (`{make|0..8|base64}`).
pub(super) struct Expander<'a> {
    catalog: &'a Catalog,
    file: &'a RuleFile,
    test: &'a Test,
    round: u64,
    made: BTreeMap<String, Vec<u8>>,
    asked: Option<Credential>,
}

impl<'a> Expander<'a> {
    pub fn new(catalog: &'a Catalog, file: &'a RuleFile, test: &'a Test, round: u64) -> Self {
        Self { catalog, file, test, round, made: BTreeMap::new(), asked: None }
    }

    /// The rule of a token id.
    fn rule(&self, token: &str) -> Option<&'a TokenRule> {
        let rule = format!("{}.{token}", self.file.issuer.id.get_ref());
        self.catalog.find(&rule).map(|(_, rule)| rule)
    }

    /// The credential that `{make}` stands for, with its parts.
    pub fn own(&self) -> Option<Credential> {
        Some(decent_credential(self.rule(&self.test.token)?, self.seed("make"), false))
    }

    /// The credential of a call, which `{secret}` and `{part.NAME}` mean.
    pub fn ask_about(&mut self, credential: Credential) {
        self.asked = Some(credential);
    }

    fn seed(&self, key: &str) -> u64 {
        let text = self.test.text.as_deref().unwrap_or_default();
        crc32fast::hash(format!("{key}/{text}/{}", self.round).as_bytes()).into()
    }

    pub fn text(&mut self, template: &str) -> Result<String, String> {
        Ok(String::from_utf8_lossy(&self.bytes(template)?).into_owned())
    }

    pub fn bytes(&mut self, template: &str) -> Result<Vec<u8>, String> {
        let mut out = Vec::new();
        let mut rest = template;
        while let Some(open) = rest.find('{') {
            out.extend_from_slice(&rest.as_bytes()[..open]);
            let inside = &rest[open + 1..];
            let Some(close) = inside.find('}').filter(|c| self.is_placeholder(&inside[..*c])) else {
                out.push(b'{');
                rest = inside;
                continue;
            };
            let (name, ops) = match inside[..close].split_once('|') {
                Some((name, ops)) => (name, template::ops(ops)?),
                None => (&inside[..close], Vec::<Op>::new()),
            };
            let value = self.value(name)?;
            out.extend_from_slice(&template::apply(&ops, &value));
            rest = &inside[close + 1..];
        }
        out.extend_from_slice(rest.as_bytes());
        Ok(out)
    }

    fn value(&mut self, name: &str) -> Result<Vec<u8>, String> {
        if let Some(credential) = &self.asked {
            if name == "secret" {
                return Ok(credential.secret.clone());
            }
            if let Some(part) = name.strip_prefix("part.") {
                let missing = || format!("`{{{name}}}`: the credential has no such part");
                return credential.parts.get(part).cloned().ok_or_else(missing);
            }
        }
        if let Some(given) = name.strip_prefix("given.") {
            let missing = || format!("`{{{name}}}`: the test has no such text in `given`");
            return self.test.given.get(given).map(|text| text.clone().into_bytes()).ok_or_else(missing);
        }
        let (verb, rest) = name.split_at(name.find([':', '#']).unwrap_or(name.len()));
        let token = rest.strip_prefix(':').map(|t| t.split('#').next().unwrap_or(t)).unwrap_or(&self.test.token);
        let missing = || format!("`{{{name}}}`: there is no token `{token}` in this file");
        let rule = self.rule(token).ok_or_else(missing)?;
        // `{make}`, `{cut}` and `{long}` of one token start from the same value.
        let key = if verb == "bad" { name.to_owned() } else { format!("make{rest}") };
        let seed = self.seed(&key);
        let value = self.made.entry(key).or_insert_with(|| decent(rule, seed, verb == "bad"));
        Ok(match (verb, value.split_last()) {
            ("cut", Some((_, head))) => head.to_vec(),
            ("long", Some((last, _))) => [value.as_slice(), &[*last]].concat(),
            _ => value.clone(),
        })
    }

    fn is_placeholder(&self, inside: &str) -> bool {
        let verb = &inside[..inside.find([':', '#', '|']).unwrap_or(inside.len())];
        matches!(verb, "make" | "bad" | "cut" | "long")
            || verb.starts_with("given.")
            || self.asked.is_some() && (verb == "secret" || verb.starts_with("part."))
    }
}
