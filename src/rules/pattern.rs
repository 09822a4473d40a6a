//! Patterns of rules as they are written: how they are read, and the names of their groups.

use std::collections::BTreeSet;

use regex_syntax::hir::Hir;

use super::schema::Token;

/// Groups that are no parts.
pub(super) const OWN_GROUPS: [&str; 4] = ["secret", "body", "check", "encrypted"];

/// Names of the parts that credentials of a token type may have: groups of its pattern, and the ids of what it pairs with.
///
/// # Errors
/// The pattern cannot be read, or the checksum names no group.
pub fn part_names(token: &Token) -> Result<BTreeSet<String>, String> {
    let groups = group_names(&parse(token.regex.get_ref())?);
    let checksum = token.checksum.iter().flat_map(|c| [&c.get_ref().of, &c.get_ref().equals]);
    let used: Vec<&String> = checksum.collect();
    let own = groups.into_iter().flatten().filter(|g| !OWN_GROUPS.contains(&g.as_str()) && !used.contains(&g));
    Ok(own
        .chain(token.pair.iter().flat_map(|p| [p.get_ref().with.clone(), p.get_ref().also.clone()].concat()))
        .chain(token.pair.iter().flat_map(|p| p.get_ref().secrets.keys().cloned()))
        .collect())
}

/// Parses a pattern the way all rules are read: bytes, ASCII classes.
pub(super) fn parse(pattern: &str) -> Result<Hir, String> {
    regex_syntax::ParserBuilder::new().unicode(false).utf8(false).build().parse(pattern).map_err(|e| e.to_string())
}

/// Names of the groups of a pattern, by index.
pub(super) fn group_names(hir: &Hir) -> Vec<Option<String>> {
    fn walk(hir: &Hir, names: &mut Vec<Option<String>>) {
        use regex_syntax::hir::HirKind;
        match hir.kind() {
            HirKind::Capture(c) => {
                let at = c.index as usize;
                if names.len() <= at {
                    names.resize(at + 1, None);
                }
                names[at] = c.name.as_deref().map(str::to_owned);
                walk(&c.sub, names);
            }
            HirKind::Repetition(r) => walk(&r.sub, names),
            HirKind::Concat(subs) | HirKind::Alternation(subs) => subs.iter().for_each(|s| walk(s, names)),
            _ => {}
        }
    }
    let mut names = vec![None];
    walk(hir, &mut names);
    names
}
