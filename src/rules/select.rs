//! Which rules take part: `--only`, `--skip` and `--confidence`.
//!
//! Contract: a name that fits no rule is an error, so that a typing slip never scans for nothing.

use super::schema::{Alone, RuleFile, Token};
use super::{Fault, FileText};
use crate::model::Confidence;

/// Which rules take part.
#[derive(Clone, Debug)]
pub struct Selection {
    /// `issuer` or `issuer.token`; empty for all.
    pub only: Vec<String>,
    /// `issuer` or `issuer.token`.
    pub skip: Vec<String>,
    /// Least confidence that is reported; rules that cannot reach it are not searched.
    pub confidence: Confidence,
}

impl Default for Selection {
    fn default() -> Self {
        Self { only: Vec::new(), skip: Vec::new(), confidence: Confidence::Low }
    }
}

fn names(pattern: &str, issuer: &str, token: &str) -> bool {
    match pattern.split_once('.') {
        None => pattern == issuer,
        Some((i, t)) => i == issuer && t == token,
    }
}

impl Selection {
    /// Whether findings of this token are wanted.
    pub fn wants(&self, issuer: &str, token: &Token) -> bool {
        let id = token.id.get_ref();
        let listed = |list: &[String]| list.iter().any(|p| names(p, issuer, id));
        (self.only.is_empty() || listed(&self.only)) && !listed(&self.skip) && reachable(token) >= self.confidence
    }

    /// Whether this token is a part that a wanted token pairs with.
    pub fn needed_as_part(&self, issuer: &str, part: &Token, file: &RuleFile) -> bool {
        part.part
            && file.tokens.iter().map(toml::Spanned::get_ref).any(|token| {
                let pairs = token
                    .pair
                    .iter()
                    .any(|p| p.get_ref().with.iter().chain(&p.get_ref().also).any(|id| id == part.id.get_ref()));
                pairs && self.wants(issuer, token)
            })
    }

    /// Checks that every name fits a rule.
    ///
    /// # Errors
    /// The first that does not.
    pub fn check(&self, files: &[(FileText, RuleFile)]) -> Result<(), Fault> {
        for (flag, pattern) in self.only.iter().map(|p| ("--only", p)).chain(self.skip.iter().map(|p| ("--skip", p))) {
            let fits = |file: &RuleFile| {
                let issuer = file.issuer.id.get_ref();
                pattern == issuer || file.tokens.iter().any(|t| names(pattern, issuer, t.get_ref().id.get_ref()))
            };
            if !files.iter().any(|(_, file)| fits(file)) {
                let message = format!("`{pattern}` is no issuer and no issuer.token; `unsprawl rules list` shows them");
                return Err(Fault { file: flag.into(), line: 1, column: 1, message });
            }
        }
        Ok(())
    }
}

/// The highest confidence findings of a token can have.
fn reachable(token: &Token) -> Confidence {
    if token.checksum.is_some() {
        return Confidence::Certain;
    }
    if token.public {
        return Confidence::Low;
    }
    if token.part {
        return match token.alone {
            Some(Alone::Medium) => Confidence::Medium,
            // Without a secret it is not reported; with one it joins that finding.
            Some(Alone::Low | Alone::Drop) | None => Confidence::Low,
        };
    }
    token.confidence.unwrap_or(if token.near.is_empty() { Confidence::High } else { Confidence::Medium })
}
