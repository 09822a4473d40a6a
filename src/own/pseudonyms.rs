//! `--pseudonymize`: people become stable pseudonyms in every report.
//!
//! Contract: afterwards no name, address or log-in name of a person whom the report knows stands anywhere in it, except inside
//! paths and the values of secrets. The same person gets the same pseudonym in every run with the same key; with the
//! built-in key whoever can guess an address can confirm the guess.

use std::collections::HashMap;

use aho_corasick::{AhoCorasick, MatchKind};

use crate::model::{Finding, Owned, Person, Principal, Report, Signature};
use crate::secret::Fingerprinter;

/// Shorter names are only replaced where a whole field holds them.
const LEAST_IN_TEXT: usize = 3;

/// Parts of credentials that name an account.
const PARTS: [&str; 8] = ["user", "username", "login", "email", "client_email", "account", "name", "dn"];

/// Replaces all people of a report. Authors are joined with the people whom the own stage found.
/// `besides` are people that are not in it.
pub fn pseudonymize(report: &mut Report, besides: &mut [Person], key: &Fingerprinter) {
    let mut names = Names { key, by_name: HashMap::new() };
    besides.iter().for_each(|person| names.learn_person(person));
    for finding in &report.findings {
        names.learn(finding);
    }
    let replacer = names.replacer();
    for finding in &mut report.findings {
        names.apply(finding, &replacer);
    }
    for note in &mut report.notes {
        replacer.text(&mut note.detail);
    }
    besides.iter_mut().for_each(|person| names.person(person));
}

struct Names<'a> {
    key: &'a Fingerprinter,
    /// Lower-case name, address or log-in name to pseudonym.
    by_name: HashMap<String, String>,
}

struct Replacer {
    automaton: Option<AhoCorasick>,
    pseudonyms: Vec<String>,
}

impl Names<'_> {
    /// All that names somebody in a finding; strongest records first, so that they decide which names are one person.
    fn learn(&mut self, finding: &Finding) {
        if let Some(owned) = &finding.owned {
            let of_evidence = owned.owner.evidence.iter().filter_map(|e| e.person.as_ref());
            for person in owned.owner.person.iter().chain(of_evidence).chain(&owned.owner.introduced_by) {
                self.learn_person(person);
            }
        }
        for principal in finding.checked.principal.iter().chain(&finding.checked.identity) {
            let all: Vec<&str> = [&principal.email, &principal.login, &principal.name]
                .into_iter()
                .flatten()
                .map(String::as_str)
                .collect();
            self.join(&all);
        }
        for signature in signatures(finding) {
            self.join(&[&signature.email, &signature.name]);
        }
        for (_, value) in finding.parts.iter().filter(|(name, _)| PARTS.contains(&name.as_str())) {
            self.join(&[&String::from_utf8_lossy(value)]);
        }
    }

    fn learn_person(&mut self, person: &Person) {
        let mut all: Vec<&str> = person.emails.iter().chain(&person.logins).map(String::as_str).collect();
        all.extend(person.name.as_deref());
        self.join(&all);
        if let Some(manager) = &person.manager {
            self.join(&[manager]);
        }
    }

    /// Names of one person. The first that is known already decides.
    fn join(&mut self, names: &[&str]) {
        let names: Vec<String> = names.iter().map(|n| n.trim().to_lowercase()).filter(|n| !n.is_empty()).collect();
        let Some(first) = names.first() else { return };
        let known = names.iter().find_map(|n| self.by_name.get(n).cloned());
        let pseudonym = known.unwrap_or_else(|| {
            let digest = self.key.of([b"person\0", first.as_bytes()].concat().as_slice()).to_string();
            format!("person-{}", &digest[..12])
        });
        for name in names {
            self.by_name.entry(name).or_insert_with(|| pseudonym.clone());
        }
    }

    fn replacer(&self) -> Replacer {
        let mut pairs: Vec<(&String, &String)> =
            self.by_name.iter().filter(|(name, _)| name.chars().count() >= LEAST_IN_TEXT).collect();
        pairs.sort();
        let automaton = AhoCorasick::builder()
            .match_kind(MatchKind::LeftmostLongest)
            .ascii_case_insensitive(true)
            .build(pairs.iter().map(|(name, _)| name.as_str()))
            .ok();
        Replacer { automaton, pseudonyms: pairs.into_iter().map(|(_, pseudonym)| pseudonym.clone()).collect() }
    }

    /// The pseudonym of a whole field, or the field with the names inside it replaced.
    fn field(&self, value: &mut String, replacer: &Replacer) {
        match self.by_name.get(&value.trim().to_lowercase()) {
            Some(pseudonym) => value.clone_from(pseudonym),
            None => replacer.text(value),
        }
    }

    fn apply(&self, finding: &mut Finding, replacer: &Replacer) {
        let checked = &mut finding.checked;
        for principal in checked.principal.iter_mut().chain(&mut checked.identity) {
            self.principal(principal, replacer);
        }
        if let Some(remark) = &mut checked.remark {
            replacer.text(remark);
        }
        if let crate::model::Validity::Unknown(reason) = &mut checked.validity {
            replacer.text(reason);
        }
        for (_, value) in &mut finding.parts {
            let mut text = String::from_utf8_lossy(value).into_owned();
            self.field(&mut text, replacer);
            *value = text.into_bytes();
        }
        let exposure = finding.exposure.iter_mut();
        let of_exposure = exposure.flat_map(|e| {
            e.warnings.iter_mut().for_each(|w| replacer.text(w));
            [&mut e.introduced, &mut e.removed].into_iter().flatten()
        });
        let of_places = finding.locations.iter_mut().filter_map(|l| l.git.as_mut()?.commit.as_mut());
        for commit in of_exposure.chain(of_places) {
            for signature in [&mut commit.author, &mut commit.committer] {
                let mut email = std::mem::take(&mut signature.email);
                self.field(&mut email, replacer);
                signature.name.clone_from(&email);
                signature.email = email;
            }
            replacer.text(&mut commit.subject);
        }
        if let Some(owned) = &mut finding.owned {
            self.owned(owned, replacer);
        }
    }

    fn principal(&self, principal: &mut Principal, replacer: &Replacer) {
        let Principal { id, login, name, email, organisation, key_id, more, .. } = principal;
        for value in [id, login, name, email, organisation, key_id].into_iter().flatten().chain(more.values_mut()) {
            self.field(value, replacer);
        }
    }

    fn owned(&self, owned: &mut Owned, replacer: &Replacer) {
        let owner = &mut owned.owner;
        for evidence in &mut owner.evidence {
            replacer.text(&mut evidence.says);
        }
        let of_evidence = owner.evidence.iter_mut().filter_map(|e| e.person.as_mut());
        for person in owner.person.iter_mut().chain(of_evidence).chain(&mut owner.introduced_by) {
            self.person(person);
        }
        owner.contradictions.iter_mut().for_each(|text| replacer.text(text));
        owned.posture.iter_mut().flat_map(|p| &mut p.evidence).for_each(|text| replacer.text(text));
    }

    /// Keeps what is not the person: state, dates, team, directory.
    fn person(&self, person: &mut Person) {
        let all = person.emails.iter().chain(&person.logins).chain(&person.name);
        let pseudonym = all.filter_map(|n| self.by_name.get(&n.trim().to_lowercase())).next().cloned();
        let pseudonym = pseudonym.unwrap_or_else(|| "person".into());
        person.manager = person.manager.as_ref().and_then(|m| self.by_name.get(&m.trim().to_lowercase()).cloned());
        person.id.clone_from(&pseudonym);
        person.name = None;
        person.emails.clear();
        person.logins = vec![pseudonym];
    }
}

impl Replacer {
    fn text(&self, text: &mut String) {
        if let Some(automaton) = self.automaton.as_ref().filter(|a| a.is_match(text.as_str())) {
            *text = automaton.replace_all(text, &self.pseudonyms);
        }
    }
}

fn signatures(finding: &Finding) -> impl Iterator<Item = &Signature> {
    let of_exposure = finding.exposure.iter().flat_map(|e| [&e.introduced, &e.removed].into_iter().flatten());
    let of_places = finding.locations.iter().filter_map(|l| l.git.as_ref()?.commit.as_ref());
    of_exposure.chain(of_places).flat_map(|c| [&c.author, &c.committer])
}
