//! One text with one credential or a few, given by the user himself.
//!
//! Contract: what he says is a credential is one: with a token type named, the whole text is the value if nothing in it fits.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::sink::TextSink;
use crate::collect::{Collector, Credential};
use crate::detect::Scanner;
use crate::model::{Checked, Confidence, Finding, Location, PeopleFiles, PlaceKind, Report, Target, TextSpan};
use crate::notes::Notes;
use crate::rules::{Catalog, SharedCatalog, TokenRule};
use crate::secret::{Fingerprinter, Secret};
use crate::source::{Limits, stdin};

/// Finds what credentials a text holds; `rule` is what the user says it is.
///
/// # Errors
/// When nothing fits, or there is no such rule.
pub fn find(
    text: &[u8],
    rule: Option<&str>,
    catalog: &SharedCatalog,
    fingerprinter: &Fingerprinter,
    notes: &Arc<Notes>,
) -> Result<Report, String> {
    let named = rule.map(|r| catalog.find(r).ok_or_else(|| no_rule(r))).transpose()?;
    let scanner = Scanner::new(catalog.clone(), Confidence::Low);
    let collector = Collector::default();
    stdin::scan(&mut &text[..], 0, &Limits::default(), notes, &TextSink::new(&scanner, &collector, notes));
    let collected = collector.take();
    let mut report = Report {
        started: jiff::Timestamp::now().as_second(),
        targets: vec![Target { name: "-".into(), kind: "stdin", root: None, people: PeopleFiles::default() }],
        ..Report::default()
    };
    for (number, credential) in collected.credentials.into_iter().enumerate() {
        let rule = catalog.token(credential.token);
        if rule.part || named.is_some_and(|(_, n)| n.rule != rule.rule) {
            continue;
        }
        let places = collected.files.iter().filter(|(_, p)| p.credential as usize == number);
        let locations =
            places.map(|(origin, place)| at(place.span, origin.member.clone(), place.encoding.clone())).collect();
        report.findings.push(finding(catalog, rule, credential, locations, fingerprinter));
    }
    if report.findings.is_empty() {
        let value = text.trim_ascii();
        let Some((token, rule)) = named.filter(|_| !value.is_empty()) else {
            return Err("no token type fits; --type ISSUER.TYPE says what it is".into());
        };
        let span = TextSpan { start: 0, end: text.len() as u64, line: 1, column: 1, end_line: 1, end_column: 1 };
        let known = Credential {
            token,
            secret: Secret::new(value),
            parts: BTreeMap::new(),
            secrets: Vec::new(),
            confidence: Confidence::Low,
            encrypted: false,
        };
        report.findings.push(finding(catalog, rule, known, vec![at(span, vec![], vec![])], fingerprinter));
    }
    Ok(report)
}

fn no_rule(name: &str) -> String {
    format!("`{name}` is no token type; `unsprawl rules list` shows them")
}

fn at(span: TextSpan, member: Vec<String>, encoding: Vec<&'static str>) -> Location {
    Location { target: 0, kind: PlaceKind::Stdin, path: Vec::new(), member, span, encoding, git: None }
}

fn finding(
    catalog: &Catalog,
    rule: &TokenRule,
    credential: Credential,
    locations: Vec<Location>,
    fingerprinter: &Fingerprinter,
) -> Finding {
    let issuer = &catalog.issuers[&rule.issuer];
    Finding {
        rule: rule.rule.clone(),
        name: rule.name.clone(),
        issuer: issuer.name.clone(),
        docs: issuer.docs.clone(),
        confidence: credential.confidence,
        fingerprint: fingerprinter.of(credential.secret.expose()),
        secret: credential.secret,
        parts: credential.parts.into_iter().collect(),
        secrets: credential.secrets,
        encrypted: credential.encrypted,
        bound_to: rule.bound_to,
        checked: Checked::default(),
        owned: None,
        locations,
        exposure: None,
    }
}
