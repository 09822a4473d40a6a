//! What a pattern cannot do without: a look for one byte is many times cheaper than trying the pattern.

use regex_syntax::hir::{Hir, HirKind};

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
}
