//! `unsprawl rules check`: lints rule files and runs their own tests.
//!
//! Contract: says everything that is wrong in one go, each with file, line and column.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::make::{self, Random};
use super::schema::{RuleFile, Test};
use super::{Catalog, Fault, FileText, Selection};
use crate::detect::candidate::Scratch;
use crate::detect::{Cuts, Scanner};
use crate::model::{Confidence, Hit};

/// How many different random values each test is run with.
const ROUNDS: u64 = 8;

/// Result of a check.
#[derive(Debug, Default)]
pub struct Outcome {
    /// How many tests ran.
    pub tests: usize,
    /// What is wrong.
    pub faults: Vec<Fault>,
}

/// Lints one file and runs its tests.
pub fn check(text: &FileText, file: &RuleFile) -> Outcome {
    let mut outcome = Outcome::default();
    let pair = [(text.clone(), file.clone())];
    let catalog = match Catalog::build(&pair, &Selection::default()) {
        Ok(catalog) => Arc::new(catalog),
        Err(faults) => return Outcome { tests: 0, faults },
    };
    lint(text, file, &catalog, &mut outcome.faults);
    let scanner = Scanner::new(catalog, Confidence::Low);
    let mut scratch = Scratch::default();
    for test in &file.tests {
        if test.get_ref().call.is_some() {
            continue;
        }
        outcome.tests += 1;
        let failed = (0..ROUNDS).find_map(|round| run(&scanner, file, test.get_ref(), round, &mut scratch).err());
        outcome.faults.extend(failed.map(|message| text.fault(test.span(), message)));
    }
    outcome
}

fn lint(text: &FileText, file: &RuleFile, catalog: &Catalog, faults: &mut Vec<Fault>) {
    let stem = std::path::Path::new(&text.name).file_stem().and_then(|s| s.to_str());
    if stem != Some(file.issuer.id.get_ref()) {
        faults.push(text.fault(file.issuer.id.span(), format!("the id must equal the file's name ({stem:?})")));
    }
    for (token, rule) in file.tokens.iter().zip(&catalog.tokens) {
        let id = token.get_ref().id.get_ref();
        if let Err(message) = rule.compiles() {
            faults.push(text.fault(token.get_ref().regex.span(), message));
        }
        let tests: Vec<&Test> =
            file.tests.iter().map(toml::Spanned::get_ref).filter(|t| t.token == *id && t.call.is_none()).collect();
        if !tests.iter().any(|t| t.call.is_none() && t.hits.is_some_and(|n| n > 0)) && !rule.part {
            faults.push(text.fault(token.span(), format!("token `{id}` has no test that expects a hit")));
        }
        if tests.len() < 3 && !rule.part {
            faults.push(
                text.fault(token.span(), format!("token `{id}` has {} tests; at least three are wanted", tests.len())),
            );
        }
        for word in &token.get_ref().near {
            if word.get_ref().len() < 4 {
                faults.push(text.fault(word.span(), "a near-word needs 4 bytes or more: shorter ones are everywhere"));
            }
        }
    }
    for test in &file.tests {
        if !file.tokens.iter().any(|t| *t.get_ref().id.get_ref() == test.get_ref().token) {
            faults.push(text.fault(test.span(), format!("there is no token `{}` in this file", test.get_ref().token)));
        }
    }
}

fn run(scanner: &Scanner, file: &RuleFile, test: &Test, round: u64, scratch: &mut Scratch) -> Result<(), String> {
    let catalog = scanner.catalog();
    let rule = format!("{}.{}", file.issuer.id.get_ref(), test.token);
    let Some((index, _)) = catalog.find(&rule) else { return Ok(()) };
    let (Some(text), Some(wanted)) = (&test.text, test.hits) else {
        return Err("a test of detection needs `text` and `hits`".into());
    };
    let text = expand(catalog, file, test, text, round)?;
    let mut cuts = Cuts::default();
    let hits = scanner.scan(&text, scratch, &mut cuts);
    let least = test.confidence.unwrap_or(Confidence::Medium);
    let ours: Vec<&Hit> = hits.iter().filter(|h| h.token == index && h.confidence >= least).collect();
    if ours.len() != wanted {
        let all: Vec<String> = hits
            .iter()
            .map(|h| format!("{} ({}, {})", catalog.token(h.token).rule, h.confidence, h.secret.redacted()))
            .collect();
        let shown = String::from_utf8_lossy(&text).into_owned();
        return Err(format!(
            "expected {wanted} hits of `{}`, got {}; all hits: {all:?}; the text was: {shown}",
            test.token,
            ours.len()
        ));
    }
    let Some(expect) = &test.expect else { return Ok(()) };
    for hit in ours {
        if expect.confidence.is_some_and(|c| c != hit.confidence) {
            return Err(format!("expected another confidence than {}", hit.confidence));
        }
        if expect.encrypted.is_some_and(|e| e != hit.encrypted) {
            return Err(format!("expected encrypted = {}", !hit.encrypted));
        }
        for (name, want) in &expect.parts {
            let got = hit.parts.iter().find(|(n, _)| n == name).map(|(_, v)| String::from_utf8_lossy(v).into_owned());
            let want = String::from_utf8_lossy(&expand(catalog, file, test, want, round)?).into_owned();
            if got.as_deref() != Some(want.as_str()) {
                return Err(format!("part `{name}` is {got:?}, expected {want:?}"));
            }
        }
    }
    Ok(())
}

/// Fills the placeholders of a test's text or of what it expects (equal ones get equal values): `{make}`, `{make:token}`, `{make#2}`, `{bad}`, `{cut}`, `{long}`.
fn expand(catalog: &Catalog, file: &RuleFile, test: &Test, template: &str, round: u64) -> Result<Vec<u8>, String> {
    let mut made: BTreeMap<String, Vec<u8>> = BTreeMap::new();
    let mut out = Vec::new();
    let mut rest = template;
    while let Some(open) = rest.find('{') {
        out.extend_from_slice(&rest.as_bytes()[..open]);
        let inside = &rest[open + 1..];
        let Some(close) = inside.find('}').filter(|c| is_placeholder(&inside[..*c])) else {
            out.push(b'{');
            rest = inside;
            continue;
        };
        let name = &inside[..close];
        let (verb, rest_of_name) = name.split_at(name.find([':', '#']).unwrap_or(name.len()));
        let token = rest_of_name.strip_prefix(':').map(|t| t.split('#').next().unwrap_or(t)).unwrap_or(&test.token);
        let rule = format!("{}.{token}", file.issuer.id.get_ref());
        let (_, rule) =
            catalog.find(&rule).ok_or_else(|| format!("`{{{name}}}`: there is no token `{token}` in this file"))?;
        // Equal placeholders give equal values; `{make}`, `{cut}` and `{long}` of one token start from the same value.
        let key = if verb == "bad" { name.to_owned() } else { format!("make{rest_of_name}") };
        let seed = crc32fast::hash(format!("{key}/{}/{round}", test.text.as_deref().unwrap_or_default()).as_bytes());
        let value = made.entry(key).or_insert_with(|| decent(rule, u64::from(seed), verb == "bad"));
        match (verb, value.split_last()) {
            ("cut", Some((_, head))) => out.extend_from_slice(head),
            ("long", Some((last, _))) => {
                out.extend_from_slice(value);
                out.push(*last);
            }
            _ => out.extend_from_slice(value),
        }
        rest = &inside[close + 1..];
    }
    out.extend_from_slice(rest.as_bytes());
    Ok(out)
}

fn is_placeholder(name: &str) -> bool {
    let verb = &name[..name.find([':', '#']).unwrap_or(name.len())];
    matches!(verb, "make" | "bad" | "cut" | "long")
}

/// A made secret that no noise filter drops by bad luck.
pub fn decent(rule: &super::TokenRule, seed: u64, wrong: bool) -> Vec<u8> {
    let mut random = Random::new(seed);
    let mut value = Vec::new();
    for _ in 0..64 {
        value = make::secret(rule, &mut random, wrong);
        let noise = crate::detect::noise::check(&value, &value, rule.entropy, rule.words);
        if noise.is_none() && !rule.allows(&value) {
            break;
        }
    }
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_embedded_file_passes_its_own_tests() {
        let outcomes = crate::rules::embedded().into_iter().map(|(text, file)| check(&text, &file));
        let faults: Vec<String> = outcomes.flat_map(|o| o.faults).map(|f| f.to_string()).collect();
        assert!(faults.is_empty(), "{}", faults.join("\n"));
    }
}
