//! What can be done for each issuer: a table made from the rule files.
//!
//! Contract: counts token types; nothing in it is kept by hand. A way to revoke without a documenting page is never done,
//! so it counts as something for a human.

use std::fmt::Write;

use super::ask::{Ask, By, Effect, Way};
use super::{Catalog, TokenRule};
use crate::model::TokenIndex;

/// One row: how many token types of an issuer have each capability.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Capabilities {
    /// Issuer slug.
    pub issuer: String,
    /// The issuer's own spelling.
    pub name: String,
    /// Token types that are credentials (parts are not counted).
    pub detect: usize,
    /// With a checksum.
    pub checksum: usize,
    /// Whose value tells something by itself.
    pub offline: usize,
    /// Whose issuer can be asked.
    pub validity: usize,
    /// Whose issuer tells the account.
    pub principal: usize,
    /// That whoever holds it can end.
    pub revoke_holder: usize,
    /// That an administrator can end.
    pub revoke_admin: usize,
    /// That can be disabled and brought back.
    pub contain: usize,
    /// With steps for a human.
    pub manual: usize,
}

const COLUMNS: [&str; 9] = [
    "detect",
    "checksum",
    "offline identity",
    "validity",
    "principal",
    "revoke: holder",
    "revoke: admin",
    "contain",
    "manual",
];

impl Capabilities {
    fn counts(&self) -> [usize; 9] {
        [
            self.detect,
            self.checksum,
            self.offline,
            self.validity,
            self.principal,
            self.revoke_holder,
            self.revoke_admin,
            self.contain,
            self.manual,
        ]
    }

    fn add(&mut self, rule: &TokenRule, ask: &Ask) {
        let can = |fits: &dyn Fn(&Way) -> bool| ask.revoke.iter().any(|w| w.docs.is_some() && fits(w));
        let ends = |w: &Way| matches!(w.effect, Effect::Revoke | Effect::Rotate);
        let has = [
            true,
            rule.checksum.is_some(),
            !ask.offline.is_empty(),
            !ask.verify.is_empty(),
            ask.verify.iter().any(|step| !step.principal.is_empty()),
            can(&|w| ends(w) && w.by == By::Holder),
            can(&|w| ends(w) && w.by == By::Admin),
            can(&|w| w.effect == Effect::Contain),
            ask.manual.is_some() || ask.revoke.iter().any(|w| w.docs.is_none()),
        ];
        let slots = [
            &mut self.detect,
            &mut self.checksum,
            &mut self.offline,
            &mut self.validity,
            &mut self.principal,
            &mut self.revoke_holder,
            &mut self.revoke_admin,
            &mut self.contain,
            &mut self.manual,
        ];
        slots.into_iter().zip(has).for_each(|(slot, has)| *slot += usize::from(has));
    }
}

/// The rows of all issuers, by their slug.
pub fn table(catalog: &Catalog) -> Vec<Capabilities> {
    let mut rows: Vec<Capabilities> = Vec::new();
    for issuer in catalog.issuers.values() {
        let mut row = Capabilities { issuer: issuer.id.clone(), name: issuer.name.clone(), ..Capabilities::default() };
        for (i, rule) in catalog.tokens.iter().enumerate().filter(|(_, t)| t.issuer == issuer.id && !t.part) {
            if let Some(ask) = catalog.asking(TokenIndex(i as u32)) {
                row.add(rule, ask);
            }
        }
        rows.push(row);
    }
    rows
}

fn total(rows: &[Capabilities]) -> [usize; 9] {
    rows.iter().fold([0; 9], |sum, row| {
        let counts = row.counts();
        std::array::from_fn(|i| sum[i] + counts[i])
    })
}

/// For people at a terminal.
pub fn text(rows: &[Capabilities]) -> String {
    let short = ["detect", "checksum", "offline", "validity", "principal", "holder", "admin", "contain", "manual"];
    let mut out = format!("{:<20}", "issuer");
    short.iter().for_each(|column| write!(out, "{column:>10}").expect("a String takes everything"));
    let mut line = |name: &str, counts: [usize; 9]| {
        write!(out, "\n{name:<20}").expect("a String takes everything");
        counts.iter().for_each(|n| write!(out, "{:>10}", dash(*n)).expect("a String takes everything"));
    };
    rows.iter().for_each(|row| line(&row.issuer, row.counts()));
    line("all token types", total(rows));
    line("issuers", issuers(rows));
    out.push('\n');
    out
}

/// For documents.
pub fn markdown(rows: &[Capabilities]) -> String {
    let mut out = format!("| issuer | {} |\n|---|{}\n", COLUMNS.join(" | "), "--:|".repeat(COLUMNS.len()));
    let mut line = |name: &str, counts: [usize; 9]| {
        let cells: Vec<String> = counts.iter().map(|n| dash(*n)).collect();
        writeln!(out, "| {name} | {} |", cells.join(" | ")).expect("a String takes everything");
    };
    rows.iter().for_each(|row| line(&row.name.replace('|', "\\|"), row.counts()));
    line("**all token types**", total(rows));
    line("**issuers**", issuers(rows));
    out
}

/// How many issuers have each capability for at least one token type.
fn issuers(rows: &[Capabilities]) -> [usize; 9] {
    rows.iter().fold([0; 9], |sum, row| {
        let counts = row.counts();
        std::array::from_fn(|i| sum[i] + usize::from(counts[i] > 0))
    })
}

fn dash(n: usize) -> String {
    if n == 0 { "-".into() } else { n.to_string() }
}
