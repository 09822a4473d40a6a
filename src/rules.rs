//! Issuers as data: rule files, embedded and the user's own, made ready for detection.
//!
//! Contract: rule files are the only list of issuers in the project. Errors name file, line and column.

pub mod ask;
pub mod capabilities;
pub mod catalog;
pub mod check;
pub mod checksum;
pub mod make;
mod near;
mod needed;
mod pairs;
pub mod pattern;
pub mod schema;
pub mod select;

use std::borrow::Cow;
use std::fmt;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use rayon::prelude::*;

pub use capabilities::Capabilities;
pub use catalog::{Catalog, SharedCatalog, TokenRule};
use schema::RuleFile;
pub use select::Selection;

mod embedded {
    include!(concat!(env!("OUT_DIR"), "/embedded.rs"));
}

/// A rule file's name and text, to point into.
#[derive(Clone, Debug)]
pub struct FileText {
    /// Name as messages show it.
    pub name: String,
    /// The whole text.
    pub text: Cow<'static, str>,
}

/// What is wrong with a rule file, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// File name.
    pub file: String,
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// What is wrong.
    pub message: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}: {}", self.file, self.line, self.column, self.message)
    }
}

impl FileText {
    /// A fault at a byte range of this file.
    pub fn fault(&self, span: Range<usize>, message: impl Into<String>) -> Fault {
        let before = &self.text[..self.text.floor_char_boundary(span.start.min(self.text.len()))];
        let line_start = before.rfind('\n').map_or(0, |i| i + 1);
        Fault {
            file: self.name.clone(),
            line: before.matches('\n').count() + 1,
            column: before[line_start..].chars().count() + 1,
            message: message.into(),
        }
    }
}

/// Parses one rule file.
///
/// # Errors
/// The first thing TOML or the schema does not allow, or an id that is no slug.
pub fn parse(name: &str, text: &str) -> Result<(FileText, RuleFile), Fault> {
    let place = FileText { name: name.to_owned(), text: text.to_owned().into() };
    let file = read_text(&place, text)?;
    Ok((place, file))
}

fn read_text(place: &FileText, text: &str) -> Result<RuleFile, Fault> {
    let file: RuleFile =
        toml::from_str(text).map_err(|e| place.fault(e.span().unwrap_or(0..0), e.message().to_owned()))?;
    for id in std::iter::once(&file.issuer.id).chain(file.tokens.iter().map(|t| &t.get_ref().id)) {
        let slug = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        if id.get_ref().is_empty() || !id.get_ref().chars().all(slug) {
            return Err(place.fault(id.span(), format!("`{}` is no slug: use a-z, 0-9 and dashes", id.get_ref())));
        }
    }
    Ok(file)
}

/// The embedded rule files, parsed as a whole.
///
/// # Panics
/// Never in a tested build: a test parses every embedded file.
pub fn embedded() -> Vec<(FileText, RuleFile)> {
    embedded_by(|whole, _| whole)
}

/// The embedded rule files, of which only what detection needs is parsed; the text is the whole one.
fn embedded_for_detection() -> Vec<(FileText, RuleFile)> {
    embedded_by(|_, part| part)
}

fn embedded_by(text: fn(&'static str, &'static str) -> &'static str) -> Vec<(FileText, RuleFile)> {
    let parsed = embedded::FILES.par_iter().with_max_len(4).map(|&(name, whole, part)| {
        let place = FileText { name: format!("rules/{name}"), text: Cow::Borrowed(whole) };
        let file = read_text(&place, text(whole, part)).unwrap_or_else(|fault| panic!("embedded rule file: {fault}"));
        (place, file)
    });
    parsed.collect()
}

/// Reads rule files from a file or a folder (its `*.toml`, sorted by name).
///
/// # Errors
/// What could not be read, or every fault found.
pub fn read(path: &Path) -> Result<Vec<(FileText, RuleFile)>, Vec<Fault>> {
    let unreadable = |path: &Path, e: std::io::Error| {
        vec![Fault { file: path.display().to_string(), line: 1, column: 1, message: format!("cannot be read: {e}") }]
    };
    let mut paths = vec![path.to_owned()];
    if path.is_dir() {
        let entries = std::fs::read_dir(path).map_err(|e| unreadable(path, e))?;
        paths = entries
            .filter_map(|e| Some(e.ok()?.path()))
            .filter(|p| p.extension().is_some_and(|e| e == "toml"))
            .collect();
        paths.sort();
    }
    let mut files = Vec::new();
    let mut faults = Vec::new();
    for path in paths {
        let text = std::fs::read_to_string(&path).map_err(|e| unreadable(&path, e))?;
        match parse(&path.display().to_string(), &text) {
            Ok(file) => files.push(file),
            Err(fault) => faults.push(fault),
        }
    }
    if faults.is_empty() { Ok(files) } else { Err(faults) }
}

/// The catalog of embedded rules and the user's own files, cut down to a selection.
///
/// # Errors
/// Every fault of the user's files.
pub fn load(own: &[impl AsRef<Path>], selection: &Selection) -> Result<SharedCatalog, Vec<Fault>> {
    let mut files = embedded_for_detection();
    for path in own {
        let more = read(path.as_ref())?;
        // Patterns compile on first use; what is wrong with the user's own must come out before anything is scanned.
        let catalog = Catalog::build(&more, &Selection::default())?;
        let broken = catalog.tokens.iter().filter_map(|t| Some((t, t.compiles().err()?)));
        let mut faults: Vec<Fault> = broken.map(|(token, message)| fault_of(&more, token, message)).collect();
        faults.extend(more.iter().filter_map(|(text, file)| ask::compile_all(text, file).err()).flatten());
        if !faults.is_empty() {
            return Err(faults);
        }
        files.extend(more);
    }
    selection.check(&files).map_err(|fault| vec![fault])?;
    Catalog::build(&files, selection).map(Arc::new)
}

/// A fault at the pattern of a token type.
fn fault_of(files: &[(FileText, RuleFile)], rule: &TokenRule, message: String) -> Fault {
    let found = files.iter().rev().filter(|(_, f)| *f.issuer.id.get_ref() == rule.issuer).find_map(|(text, file)| {
        let token = file.tokens.iter().find(|t| *t.get_ref().id.get_ref() == rule.id)?;
        Some(text.fault(token.get_ref().regex.span(), message.clone()))
    });
    found.unwrap_or(Fault { file: rule.rule.clone(), line: 1, column: 1, message })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn every_embedded_file_parses_and_every_pattern_compiles() {
        let catalog = load(&[] as &[&Path], &Selection::default()).unwrap();
        for token in &catalog.tokens {
            token.compiles().unwrap_or_else(|e| panic!("{}: {e}", token.rule));
        }
    }

    #[test]
    fn what_detection_needs_is_all_that_it_gets() {
        for ((text, whole), (_, part)) in embedded().iter().zip(&embedded_for_detection()) {
            let build = |file: &RuleFile| {
                let catalog = Catalog::build(&[(text.clone(), file.clone())], &Selection::default()).unwrap();
                format!("{:?}{:?}", catalog.issuers, catalog.tokens)
            };
            assert_eq!(build(whole), build(part), "{}", text.name);
            assert!(part.tests.is_empty() && part.verify.is_empty() && part.revoke.is_empty());
        }
    }

    #[test]
    fn asking_is_read_when_it_is_asked_for() {
        let catalog = load(&[] as &[&Path], &Selection::default()).unwrap();
        let asked = |rule: &str| catalog.find(rule).and_then(|(index, _)| catalog.asking(index));
        for (i, token) in catalog.tokens.iter().enumerate() {
            assert!(catalog.asking(crate::model::TokenIndex(i as u32)).is_some(), "{}", token.rule);
        }
        assert!(asked("github.pat-classic").is_some_and(|ask| ask.verify.len() <= 3));
    }

    #[test]
    fn faults_name_line_and_column() {
        let fault = parse("x.toml", "[issuer]\nid = \"x\"\nname = \"X\"\nnmae = 1\n").unwrap_err();
        assert_eq!((fault.line, fault.column), (4, 1), "{fault}");
        assert!(fault.message.contains("nmae"), "{fault}");
        let fault = parse("x.toml", "[issuer]\nid = \"X Y\"\nname = \"X\"\n").unwrap_err();
        assert_eq!((fault.line, fault.column), (2, 6), "{fault}");
    }
}
