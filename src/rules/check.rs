//! `unsprawl rules check`: lints rule files and runs their own tests.
//!
//! Contract: says everything that is wrong in one go, each with file, line and column.

mod calls;
mod coverage;
mod expand;

use std::sync::Arc;

use super::ask;
use super::make::{self, Random};
use super::schema::{RuleFile, Test};
use super::{Catalog, Fault, FileText, Selection};
use crate::detect::candidate::Scratch;
use crate::detect::{Cuts, Scanner};
use crate::model::{Confidence, Hit};
use expand::Expander;

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
    let asks = match ask::compile_all(text, file) {
        Ok(asks) => asks,
        Err(faults) => {
            outcome.faults.extend(faults);
            return outcome;
        }
    };
    outcome.faults.extend(ask::lint::unused(text, file));
    outcome.faults.extend(coverage::check(text, file, &asks));
    let scanner = Scanner::new(catalog, Confidence::Low);
    let mut scratch = Scratch::default();
    for test in &file.tests {
        outcome.tests += 1;
        let once = |round| match &test.get_ref().call {
            Some(call) => calls::run(&scanner, file, &asks, test.get_ref(), call, round, &mut scratch),
            None => run(&scanner, file, test.get_ref(), round, &mut scratch),
        };
        let failed = (0..ROUNDS).map(once).find_map(Result::err);
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
    let mut expander = Expander::new(catalog, file, test, round);
    let text = expander.bytes(text)?;
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
            let parts = hit.parts.iter().map(|(n, v)| (n, v.as_slice()));
            let mut parts = parts.chain(hit.secrets.iter().map(|(n, s)| (n, s.expose())));
            let got = parts.find(|(n, _)| *n == name).map(|(_, v)| String::from_utf8_lossy(v).into_owned());
            let want = expander.text(want)?;
            if got.as_deref() != Some(want.as_str()) {
                return Err(format!("part `{name}` is {got:?}, expected {want:?}"));
            }
        }
    }
    Ok(())
}

/// A made secret that no noise filter drops by bad luck.
pub fn decent(rule: &super::TokenRule, seed: u64, wrong: bool) -> Vec<u8> {
    decent_credential(rule, seed, wrong).secret
}

/// The same with the parts that stand in its pattern.
fn decent_credential(rule: &super::TokenRule, seed: u64, wrong: bool) -> make::Credential {
    let mut random = Random::new(seed);
    let mut made = make::credential(rule, &mut random, wrong);
    for _ in 0..63 {
        let noise = crate::detect::noise::check(&made.secret, &made.secret, rule.entropy, rule.words);
        if noise.is_none() && !rule.allows(&made.secret) {
            break;
        }
        made = make::credential(rule, &mut random, wrong);
    }
    made
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
