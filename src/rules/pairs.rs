//! What token types belong together: names of a `pair`, as indices.
//!
//! Contract: names that are not there, or not of the kind that they must be, are faults at the pair.

use super::catalog::{PairRule, TokenRule};
use super::schema::{Pair, RuleFile, Token};
use super::{Fault, FileText};
use crate::model::TokenIndex;

/// The token types of one file that are in use, from `base` on in the catalog.
pub(super) struct Kept<'a> {
    pub text: &'a FileText,
    pub file: &'a RuleFile,
    pub tokens: &'a [&'a Token],
    pub base: usize,
}

impl Kept<'_> {
    fn index(&self, at: usize) -> TokenIndex {
        TokenIndex((self.base + at) as u32)
    }

    fn named(&self, id: &str) -> Option<usize> {
        self.tokens.iter().position(|t| t.id.get_ref() == id)
    }

    /// The pair of one of them.
    pub fn pair(&self, rule: &TokenRule, pair: &toml::Spanned<Pair>, faults: &mut Vec<Fault>) -> PairRule {
        let (pair, span) = (pair.get_ref(), pair.span());
        let mut fault = |message: String| faults.push(self.text.fault(span.clone(), message));
        let mut parts = |ids: &[String]| -> Vec<TokenIndex> {
            let found = ids.iter().filter_map(|id| {
                let at = self.named(id).filter(|at| self.tokens[*at].part);
                if at.is_none() {
                    fault(format!("`{id}` is no token of this file with `part = true`"));
                }
                at.map(|at| self.index(at))
            });
            found.collect()
        };
        let (with, also) = (parts(&pair.with), parts(&pair.also));
        if pair.with.is_empty() && (pair.secrets.is_empty() || pair.required || !pair.also.is_empty()) {
            fault("without `with` a pair has `secrets` and `within`, and nothing else".into());
        }
        let mut secrets = Vec::new();
        for (name, ids) in &pair.secrets {
            let mut taken = pair.with.iter().chain(&pair.also).chain(rule.part_groups.iter().map(|(group, _)| group));
            if name == "secret" || taken.any(|part| part == name) {
                fault(format!("`{name}` is the name of a part already"));
            }
            for id in ids {
                let secret = |t: &Token| t.id.get_ref() == id && !t.part;
                if !self.file.tokens.iter().any(|t| secret(t.get_ref())) {
                    fault(format!("`{id}` is no token of this file without `part = true`"));
                }
            }
            // One that is not wanted in this run does not join.
            let found = ids.iter().filter_map(|id| self.named(id));
            secrets.push((name.clone(), found.map(|at| self.index(at)).collect()));
        }
        PairRule { with, also, secrets, within: pair.within, required: pair.required }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use crate::detect::Scanner;
    use crate::model::Confidence;
    use crate::rules::select::Selection;
    use crate::rules::{Catalog, SharedCatalog, parse};
    use crate::secret::Secret;

    /// A file with an id, a secret with this pair, and a session token.
    fn file(pair: &str) -> String {
        let token = |id: &str, anchor: &str, more: &str| {
            format!(
                "[[token]]\nid = \"{id}\"\nname = \"x\"\nbound_to = \"user\"\nanchors = [\"{anchor}\"]\nregex = '(?<secret>{anchor}[0-9a-f]{{20}})'\n{more}\n"
            )
        };
        let head = "[issuer]\nid = \"x\"\nname = \"X\"\n";
        let secret = token("key", "xsec_", &format!("pair = {pair}"));
        [head, &token("id", "xid_", "part = true"), &secret, &token("session", "xses_", "")].concat()
    }

    fn build(pair: &str, selection: &Selection) -> Result<Catalog, String> {
        let (text, file) = parse("x.toml", &file(pair)).unwrap();
        Catalog::build(&[(text, file)], selection).map_err(|faults| faults[0].to_string())
    }

    #[test]
    fn names_that_are_not_there_are_faults() {
        let fault = |pair: &str| build(pair, &Selection::default()).unwrap_err();
        assert!(fault("{ with = [\"session\"], within = 9 }").contains("`session` is no token"));
        assert!(fault("{ within = 9 }").contains("without `with`"));
        assert!(fault("{ secrets = { s = [\"session\"] }, required = true, within = 9 }").contains("without `with`"));
        let secrets = |list: &str| fault(&format!("{{ with = [\"id\"], secrets = {{ {list} }}, within = 9 }}"));
        assert!(secrets("s = [\"id\"]").contains("`id` is no token of this file without"));
        assert!(secrets("s = [\"nobody\"]").contains("`nobody` is no token"));
        assert!(secrets("id = [\"session\"]").contains("`id` is the name of a part already"));
        assert!(secrets("secret = [\"session\"]").contains("`secret` is the name"));
    }

    #[test]
    fn the_nearest_secret_joins_and_stays_a_finding_of_its_own() {
        let pair = "{ with = [\"id\"], secrets = { s = [\"session\"] }, within = 40 }";
        let value = |prefix: &str, seed: &str| format!("{prefix}{}", &Secret::new(seed.as_bytes()).sha256_hex()[..20]);
        let (near, far) = (value("xses_", "a"), value("xses_", "b"));
        let text = format!("{}\n{} {near} {far}\n", value("xid_", "1"), value("xsec_", "2"));
        let found = |selection: &Selection, text: &str| {
            let catalog = SharedCatalog::new(build(pair, selection).unwrap());
            let scanner = Scanner::new(catalog, Confidence::Low);
            scanner.scan(text.as_bytes(), &mut Default::default(), &mut Default::default())
        };
        let hits = found(&Selection::default(), &text);
        assert_eq!(hits.len(), 3);
        let joined: Vec<_> = hits.iter().flat_map(|h| &h.secrets).map(|(n, s)| (n.as_str(), s.expose())).collect();
        assert_eq!(joined, [("s", near.as_bytes())]);
        assert!(format!("{hits:?}").find(&near).is_none(), "a secret is not shown");
        // Out of reach, without its id, or when only the key is looked for: it stands alone.
        let apart = text.replace(' ', &" ".repeat(60));
        assert!(found(&Selection::default(), &apart).iter().all(|h| h.secrets.is_empty()));
        let no_id = text.replace("xid_", "xno_");
        assert!(found(&Selection::default(), &no_id).iter().all(|h| h.secrets.is_empty()));
        let only = Selection { only: vec!["x.key".into()], ..Selection::default() };
        let hits = found(&only, &text);
        assert!(hits.len() == 1 && hits[0].secrets.is_empty() && !hits[0].parts.is_empty());
    }

    #[test]
    fn a_secret_joins_where_there_is_no_id() {
        let pair = "{ secrets = { s = [\"session\"] }, within = 40 }";
        let value = |prefix: &str| format!("{prefix}{}", &Secret::new(prefix.as_bytes()).sha256_hex()[..20]);
        let scanner = Scanner::new(SharedCatalog::new(build(pair, &Selection::default()).unwrap()), Confidence::Low);
        let found = |text: &str| scanner.scan(text.as_bytes(), &mut Default::default(), &mut Default::default());
        let hits = found(&format!("{} {}", value("xsec_"), value("xses_")));
        assert_eq!(hits[0].secrets[0].1.expose(), value("xses_").as_bytes());
        let hits = found(&format!("{} {}", value("xsec_"), value("xid_")));
        assert!(hits.len() == 1 && hits[0].secrets.is_empty() && hits[0].parts.is_empty());
    }
}
