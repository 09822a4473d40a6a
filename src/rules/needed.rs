//! What a pattern cannot do without, and where its matches must end: such a look is many times cheaper than trying the pattern.

use regex_syntax::hir::{Class, Hir, HirKind, Look};

/// A byte, no letter or digit, that is in every match of a pattern and in no anchor.
pub(super) fn byte(hir: &Hir, anchors: &[Vec<u8>]) -> Option<u8> {
    fn always(hir: &Hir) -> Vec<u8> {
        match hir.kind() {
            HirKind::Literal(literal) => literal.0.to_vec(),
            HirKind::Capture(c) => always(&c.sub),
            HirKind::Repetition(r) if r.min > 0 => always(&r.sub),
            HirKind::Concat(subs) => subs.iter().flat_map(always).collect(),
            HirKind::Alternation(subs) => {
                let mut all = subs.iter().map(always);
                let first = all.next().unwrap_or_default();
                all.fold(first, |both, next| both.into_iter().filter(|b| next.contains(b)).collect())
            }
            _ => Vec::new(),
        }
    }
    let rare = |b: &u8| !b.is_ascii_alphanumeric() && !anchors.iter().any(|a| a.contains(b));
    always(hir).into_iter().find(rare)
}

/// Whether every match begins at a boundary of a word.
pub(super) fn boundary(hir: &Hir) -> bool {
    match hir.kind() {
        HirKind::Look(look) => *look == Look::WordAscii,
        HirKind::Capture(c) => boundary(&c.sub),
        HirKind::Concat(subs) => subs.first().is_some_and(boundary),
        HirKind::Alternation(subs) => subs.iter().all(boundary),
        _ => false,
    }
}

/// Whether a newline can only be the last byte of a match.
pub(super) fn line(hir: &Hir) -> bool {
    newline(hir) < Newline::Inside
}

/// Where a match may have a newline.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Newline {
    Nowhere,
    Last,
    Inside,
}

fn newline(hir: &Hir) -> Newline {
    let may = |is: bool| if is { Newline::Last } else { Newline::Nowhere };
    match hir.kind() {
        HirKind::Empty | HirKind::Look(_) => Newline::Nowhere,
        HirKind::Literal(literal) => match literal.0.iter().position(|b| *b == b'\n') {
            Some(at) if at + 1 < literal.0.len() => Newline::Inside,
            at => may(at.is_some()),
        },
        HirKind::Class(Class::Bytes(class)) => {
            may(class.ranges().iter().any(|r| r.start() <= b'\n' && b'\n' <= r.end()))
        }
        HirKind::Class(Class::Unicode(class)) => {
            may(class.ranges().iter().any(|r| r.start() <= '\n' && '\n' <= r.end()))
        }
        HirKind::Capture(c) => newline(&c.sub),
        HirKind::Repetition(r) => match newline(&r.sub) {
            Newline::Last if r.max != Some(1) => Newline::Inside,
            sub => sub,
        },
        HirKind::Alternation(subs) => subs.iter().map(newline).max().unwrap_or(Newline::Nowhere),
        HirKind::Concat(subs) => subs.iter().fold(Newline::Nowhere, |before, sub| match before {
            Newline::Last if sub.properties().maximum_len() != Some(0) => Newline::Inside,
            _ => before.max(newline(sub)),
        }),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::rules::pattern::parse;

    #[test]
    fn only_what_every_match_has_is_needed() {
        let needed = |pattern: &str| byte(&parse(pattern).unwrap(), &[b"x://".to_vec()]).map(char::from);
        assert_eq!(needed(r"x://(?<user>\w+):(?<secret>\w{3,9})@\w+"), Some('@'));
        assert_eq!(needed(r"x://(?:\w+@)?\w"), None);
        assert_eq!(needed(r"x://(?:a@|@b)"), Some('@'));
        assert_eq!(needed(r"x://(?:a@|b)"), None);
        assert_eq!(needed(r"x://(?:=\w){2}"), Some('='));
        assert_eq!(needed(r"x://[@=]"), None);
        assert_eq!(needed(r"(?i)x://K-1"), Some('-'));
    }

    #[test]
    fn a_boundary_is_told() {
        let told = |pattern: &str| boundary(&parse(pattern).unwrap());
        assert!(told(r"\bx") && told(r"(?<secret>\bx)y") && told(r"\bx|\by"));
        assert!(!told(r"x\b") && !told(r"(?:\b)?x") && !told(r"\bx|y") && !told(r"\Bx"));
    }

    #[test]
    fn matches_that_end_with_the_line_are_told() {
        let told = |pattern: &str| line(&parse(pattern).unwrap());
        assert!(
            told(r"x[^\s@]+@") && told(r"x\S{9}(?:[^\w]|$)") && told(r"x(?:\n|a)") && told(r"x\s?\b") && told("x.y")
        );
        assert!(!told(r"x\sy") && !told(r"x\s{0,2}") && !told(r"x\s+") && !told(r"x\ny") && !told(r"x(?:a\n|b)c"));
        assert!(!told(r"x[^y]z") && !told(r"(?s)x.y") && !told(r"x(?:a\s)?b"));
    }
}
