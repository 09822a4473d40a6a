//! An administrator's settings at issuers: what ways to revoke need besides the leaked credential.
//!
//! Contract: they come from the environment (`UNSPRAWL_<ISSUER>_<NAME>`) or from what the user's configuration points to,
//! never from what was scanned. Values are wiped, and `Debug` shows none.

use std::collections::BTreeMap;
use std::fmt;

use zeroize::Zeroizing;

use crate::rules::ask::{By, Way};

/// Settings by variable name.
#[derive(Clone, Default)]
pub struct Admin(BTreeMap<String, Zeroizing<String>>);

impl fmt::Debug for Admin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

/// The variable that holds a setting: `UNSPRAWL_AWS_KEY_ID`.
pub fn variable(issuer: &str, name: &str) -> String {
    format!("UNSPRAWL_{issuer}_{name}").to_ascii_uppercase().replace(['-', '.'], "_")
}

impl Admin {
    /// Adds a setting, unless it is empty or one is there already.
    pub fn add(&mut self, variable: String, value: &str) {
        let value = value.trim_end_matches(['\r', '\n']);
        if !value.is_empty() {
            self.0.entry(variable).or_insert_with(|| Zeroizing::new(value.to_owned()));
        }
    }

    /// The settings that a way needs and that are there, by their names in the rule file.
    pub fn of(&self, issuer: &str, way: &Way) -> BTreeMap<String, Zeroizing<String>> {
        let one = |name: &String| Some((name.clone(), self.0.get(&variable(issuer, name))?.clone()));
        way.admin.iter().filter_map(one).collect()
    }

    /// The variables that a way needs, and whether each is there.
    pub fn needs(&self, issuer: &str, way: &Way) -> BTreeMap<String, bool> {
        let one = |name: &String| {
            let variable = variable(issuer, name);
            let there = self.0.contains_key(&variable);
            (variable, there)
        };
        way.admin.iter().map(one).collect()
    }

    /// Whether everything is there that a way needs.
    pub fn serves(&self, issuer: &str, way: &Way) -> bool {
        way.by == By::Holder || self.needs(issuer, way).values().all(|there| *there)
    }

    /// The setting of a way whose value is one of these secrets, if there is one: a leaked credential is nobody's proof.
    pub fn leaked<'s>(&self, issuer: &str, way: &Way, mut secrets: impl Iterator<Item = &'s [u8]>) -> Option<String> {
        let settings = self.of(issuer, way);
        secrets.find_map(|secret| {
            let fits = |(_, value): &(&String, &Zeroizing<String>)| value.as_bytes() == secret;
            settings.iter().find(fits).map(|(name, _)| variable(issuer, name))
        })
    }
}
