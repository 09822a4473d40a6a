//! What directories say of people, indexed by address and log-in name.
//!
//! Contract: immutable once built. Several directories are asked in the order in which the user gave them; the first that
//! knows somebody decides, and where a later one says something else, that is kept as a disagreement. A directory that
//! did not answer never makes a statement about anybody.

use std::collections::HashMap;

use crate::model::{Person, PersonState};

/// All directories of a run.
#[derive(Debug, Default)]
pub struct People {
    directories: Vec<Directory>,
}

/// One directory and what it said.
#[derive(Debug)]
pub struct Directory {
    name: String,
    people: Vec<Person>,
    by_name: HashMap<String, Vec<usize>>,
    /// Why it did not answer, wholly or in part.
    fault: Option<String>,
    /// It lists everybody: who is not in it has left.
    complete: bool,
}

/// What is known of one address or log-in name.
#[derive(Debug, Default)]
pub struct Lookup {
    /// The person, if exactly one fits in the first directory that knows the name.
    pub person: Option<Person>,
    /// What has to be said besides: several people fit, directories disagree, one did not answer.
    pub remarks: Vec<String>,
}

impl Directory {
    /// A directory that answered. With `complete`, who is not in it counts as departed.
    pub fn new(name: &str, people: Vec<Person>, complete: bool) -> Self {
        let mut by_name: HashMap<String, Vec<usize>> = HashMap::new();
        for (i, person) in people.iter().enumerate() {
            for key in person.emails.iter().chain(&person.logins) {
                let known = by_name.entry(key.to_lowercase()).or_default();
                if known.last() != Some(&i) {
                    known.push(i);
                }
            }
        }
        Self { name: name.to_owned(), people, by_name, fault: None, complete }
    }

    /// A directory that did not answer.
    pub fn unreachable(name: &str, fault: &str) -> Self {
        Self { fault: Some(fault.to_owned()), complete: false, ..Self::new(name, Vec::new(), false) }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Why it did not answer.
    pub fn fault(&self) -> Option<&str> {
        self.fault.as_deref()
    }

    /// How many people it knows.
    pub fn len(&self) -> usize {
        self.people.len()
    }

    /// Whether it knows nobody.
    pub fn is_empty(&self) -> bool {
        self.people.is_empty()
    }
}

impl People {
    /// From directories, in the order in which they are believed.
    pub fn new(directories: Vec<Directory>) -> Self {
        Self { directories }
    }

    /// The directories.
    pub fn directories(&self) -> &[Directory] {
        &self.directories
    }

    /// Looks up one e-mail address or log-in name; case does not matter.
    pub fn find(&self, name: &str) -> Lookup {
        let name = name.trim().to_lowercase();
        let mut lookup = Lookup::default();
        for directory in &self.directories {
            match directory.by_name.get(&name).map(Vec::as_slice) {
                Some([one]) => lookup.meet(&directory.people[*one]),
                Some(several) => lookup.remarks.push(several_fit(directory, &name, several)),
                None => lookup.absent(directory, &name),
            }
        }
        lookup
    }
}

impl Lookup {
    fn meet(&mut self, found: &Person) {
        let Some(known) = &self.person else {
            self.person = Some(found.clone());
            return;
        };
        if known.state != found.state {
            self.remarks.push(format!(
                "{} is {} in {} and {} in {}",
                known.title(),
                known.state.as_str(),
                known.directory,
                found.state.as_str(),
                found.directory
            ));
        }
    }

    fn absent(&mut self, directory: &Directory, name: &str) {
        match &directory.fault {
            Some(fault) => self.remarks.push(format!("{} did not answer: {fault}", directory.name)),
            None if directory.complete && self.person.is_none() => {
                self.remarks.push(format!("not in {}, which lists everybody", directory.name));
                self.person = Some(gone(name, &directory.name));
            }
            None => {}
        }
    }
}

fn several_fit(directory: &Directory, name: &str, several: &[usize]) -> String {
    let titles: Vec<String> = several.iter().take(3).map(|i| directory.people[*i].title()).collect();
    format!("{name} fits {} people in {}: {}", several.len(), directory.name, titles.join(", "))
}

/// Who is not in a directory that lists everybody.
fn gone(name: &str, directory: &str) -> Person {
    Person { state: PersonState::Departed, directory: directory.to_owned(), ..named(name) }
}

/// A person of whom only an address or a log-in name is known.
pub fn named(name: &str) -> Person {
    let lower = name.trim().to_lowercase();
    let (emails, logins) =
        if lower.contains('@') { (vec![lower.clone()], vec![]) } else { (vec![], vec![lower.clone()]) };
    Person { id: lower, emails, logins, ..Person::default() }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn person(id: &str, emails: &[&str], state: PersonState, directory: &str) -> Person {
        let emails = emails.iter().map(|e| (*e).to_owned()).collect();
        Person { id: id.into(), emails, state, directory: directory.into(), ..Person::default() }
    }

    #[test]
    fn the_first_directory_decides_and_the_next_one_is_heard() {
        let a = Directory::new("hr", vec![person("1", &["j@x.org", "jd@x.org"], PersonState::Active, "hr")], false);
        let b = Directory::new("scim", vec![person("9", &["j@x.org"], PersonState::Departed, "scim")], false);
        let people = People::new(vec![a, b]);
        let found = people.find("J@X.org ");
        assert_eq!(found.person.unwrap().state, PersonState::Active);
        assert_eq!(found.remarks, ["j@x.org is active in hr and departed in scim"]);
        assert!(people.find("jd@x.org").remarks.is_empty());
    }

    #[test]
    fn an_outage_or_an_absence_makes_nobody_leave() {
        let people = People::new(vec![Directory::unreachable("scim", "no answer in time")]);
        let found = people.find("j@x.org");
        assert!(found.person.is_none());
        assert_eq!(found.remarks, ["scim did not answer: no answer in time"]);
        let empty = People::new(vec![Directory::new("hr", vec![], false)]);
        assert!(empty.find("j@x.org").person.is_none());
        let all = People::new(vec![Directory::new("hr", vec![], true)]);
        assert_eq!(all.find("j@x.org").person.unwrap().state, PersonState::Departed);
    }

    #[test]
    fn nobody_is_picked_from_several() {
        let two = vec![
            person("1", &["team@x.org", "a@x.org"], PersonState::Active, "hr"),
            person("2", &["team@x.org", "b@x.org"], PersonState::Departed, "hr"),
        ];
        let found = People::new(vec![Directory::new("hr", two, false)]).find("team@x.org");
        assert!(found.person.is_none());
        assert!(found.remarks[0].starts_with("team@x.org fits 2 people in hr"));
    }
}
