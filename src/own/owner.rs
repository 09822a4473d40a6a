//! From evidence to the owner of one finding.
//!
//! Contract: evidence in the order of [`EvidenceSource`]; the first that names a person makes the owner, unless it comes from git
//! or from a file of the repository. Everything is kept, and what does not agree is said.

use super::people::{self, People};
use super::{Knowledge, authors};
use crate::model::{Evidence, EvidenceSource, Finding, Owner, Person, Principal, Weight};

/// Whose a finding is.
pub fn of(finding: &Finding, targets: &[String], knowledge: &Knowledge) -> Owner {
    let mut owner = Owner::default();
    account(&mut owner, finding, EvidenceSource::Issuer, finding.checked.principal.as_ref(), knowledge);
    account(&mut owner, finding, EvidenceSource::Token, finding.checked.identity.as_ref(), knowledge);
    // The user's own map outranks what a log-in name looks like, but not an address that the issuer gives.
    owner.evidence.sort_by_key(|e| e.source);
    owner.person = choose(&owner.evidence);
    introduced(&mut owner, finding, knowledge);
    teams(&mut owner, finding, targets, knowledge);
    owner.team = team(&owner);
    disagreements(&mut owner);
    owner
}

/// Evidence of one account: by its address, by the user's map, by its log-in name.
fn account(
    owner: &mut Owner,
    finding: &Finding,
    source: EvidenceSource,
    principal: Option<&Principal>,
    knowledge: &Knowledge,
) {
    let Some(principal) = principal else { return };
    let mut add = |source, weight, says: String, person: Option<Person>| {
        owner.evidence.push(Evidence { source, weight, says, person, team: None });
    };
    let issuer = finding.rule.split('.').next().unwrap_or_default();
    if let Some((person, name)) = knowledge.accounts.person(issuer, principal) {
        let (person, remarks) = known(&knowledge.people, person);
        let says = with(format!("{issuer} account {name} in the account map"), &remarks);
        add(EvidenceSource::AccountMap, Weight::High, says, Some(person));
    }
    if let Some(email) = principal.email.as_deref().filter(|e| e.contains('@')) {
        let (mut person, remarks) = known(&knowledge.people, email);
        if person.name.is_none() {
            person.name.clone_from(&principal.name);
        }
        add(source, Weight::High, with(format!("e-mail address {email}"), &remarks), Some(person));
    }
    if let Some(login) = &principal.login {
        let lookup = knowledge.people.find(login);
        let says = with(format!("log-in name {login}"), &lookup.remarks);
        match lookup.person {
            Some(person) => add(source, Weight::Medium, says, Some(person)),
            // Nobody knows it; it names the account all the same.
            None if principal.email.is_none() => {
                let person = Person { name: principal.name.clone(), ..people::named(login) };
                add(source, Weight::Low, says, is_personal(finding, principal).then_some(person));
            }
            None => add(source, Weight::Low, says, None),
        }
    } else if let Some(id) = principal.id.as_ref().filter(|_| principal.email.is_none()) {
        add(source, Weight::Low, format!("account id {id}"), None);
    }
}

/// Whether an account is that of one person, by its kind or by that of the token.
pub fn is_personal(finding: &Finding, principal: &Principal) -> bool {
    use crate::model::BoundTo;
    match principal.kind.as_deref().map(str::to_lowercase).as_deref() {
        Some("user" | "person" | "human" | "member") => true,
        Some("bot" | "service" | "app" | "organisation" | "organization" | "group" | "project") => false,
        _ => finding.bound_to == BoundTo::User,
    }
}

/// The record of a person in the directories; else the bare name.
fn known(people: &People, name: &str) -> (Person, Vec<String>) {
    let lookup = people.find(name);
    (lookup.person.unwrap_or_else(|| people::named(name)), lookup.remarks)
}

fn with(says: String, remarks: &[String]) -> String {
    if remarks.is_empty() { says } else { format!("{says} ({})", remarks.join("; ")) }
}

/// The person with the most weight behind them; between equals, the stronger source.
fn choose(evidence: &[Evidence]) -> Option<Person> {
    let named = evidence.iter().filter(|e| e.person.is_some());
    named.max_by_key(|e| (e.weight, std::cmp::Reverse(e.source)))?.person.clone()
}

/// Who brought it into git.
fn introduced(owner: &mut Owner, finding: &Finding, knowledge: &Knowledge) {
    let none = super::RepositoryFiles::default();
    for location in &finding.locations {
        let Some(commit) = location.git.as_ref().and_then(|g| g.commit.as_ref()) else { continue };
        let files = knowledge.repositories.get(location.target).unwrap_or(&none);
        let author = files.authors.person(&commit.author);
        if author.id.is_empty() {
            continue;
        }
        let name = author.emails.first().or(author.logins.first()).unwrap_or(&author.id).clone();
        let mut lookup = knowledge.people.find(&name);
        if lookup.person.is_none() {
            for login in &author.logins {
                lookup = knowledge.people.find(login);
            }
        }
        let person = lookup.person.unwrap_or(author);
        if owner.introduced_by.iter().any(|known| known.is_same(&person)) {
            continue;
        }
        owner.evidence.push(Evidence {
            source: EvidenceSource::IntroducedBy,
            weight: Weight::Low,
            says: with(format!("author of commit {:.12}", commit.id.to_string()), &lookup.remarks),
            person: Some(person.clone()),
            team: None,
        });
        owner.introduced_by.push(person);
    }
}

/// Teams that look after the places.
fn teams(owner: &mut Owner, finding: &Finding, targets: &[String], knowledge: &Knowledge) {
    let mut add = |source, weight, says: String, team: &str| {
        let evidence = Evidence { source, weight, says, person: None, team: Some(team.to_owned()) };
        if !owner.evidence.iter().any(|e| e.source == source && e.team == evidence.team) {
            owner.evidence.push(evidence);
        }
    };
    for location in finding.locations.iter().filter(|l| !l.path.is_empty()) {
        let shown = crate::notes::printable(&location.path);
        if let Some(files) = knowledge.repositories.get(location.target) {
            for team in files.codeowners.of(&location.path) {
                add(EvidenceSource::Codeowners, Weight::Low, format!("CODEOWNERS of {shown}"), team);
            }
        }
        let target = targets.get(location.target).map(String::as_str).unwrap_or_default();
        if let Some(team) = knowledge.accounts.team(target, &location.path) {
            add(EvidenceSource::PathMap, Weight::Medium, format!("path map of {shown}"), team);
        }
    }
}

/// The team of the person; else the one with the most weight behind it.
fn team(owner: &Owner) -> Option<String> {
    let of_person = owner.person.as_ref().and_then(|p| p.team.clone());
    of_person.or_else(|| {
        let named = owner.evidence.iter().filter(|e| e.team.is_some());
        named.rev().max_by_key(|e| e.weight)?.team.clone()
    })
}

/// What does not agree: two people behind one account, or an owner who is none of those who brought it in.
fn disagreements(owner: &mut Owner) {
    let Some(person) = &owner.person else { return };
    let mut out = Vec::new();
    for evidence in owner.evidence.iter().filter(|e| e.source < EvidenceSource::IntroducedBy) {
        let Some(other) = evidence.person.as_ref().filter(|o| !o.is_same(person)) else { continue };
        // A bare log-in name beside an address is no second person.
        if evidence.weight > Weight::Low {
            out.push(format!("{} says {}, not {}", evidence.says, other.title(), person.title()));
        }
    }
    let people: Vec<&Person> = owner.introduced_by.iter().filter(|p| !authors::is_bot(p)).collect();
    if !people.is_empty() && !people.iter().any(|p| p.is_same(person)) {
        let names: Vec<String> = people.iter().take(3).map(|p| p.title()).collect();
        out.push(format!("the key of {}, committed by {}", person.title(), names.join(", ")));
    }
    out.dedup();
    owner.contradictions = out;
}
