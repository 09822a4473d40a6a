//! Authors of commits as people, through a repository's `.mailmap`.
//!
//! Contract: a mailmap is scanned content. It can only join names of authors, and whatever it says is shown as "introduced
//! by", never as an owner.

use std::collections::HashMap;

use crate::model::{Person, Signature};

/// The largest mailmap that is read, in bytes.
pub const LARGEST: usize = 1 << 20;

/// Who is who among the authors of a repository, by gitmailmap(5): names and addresses compare without case, and the last
/// line that fits decides.
#[derive(Debug, Default)]
pub struct Authors(HashMap<String, Mapping>);

/// What a commit's address stands for: as such, and together with a name.
#[derive(Debug, Default)]
struct Mapping {
    always: Proper,
    by_name: HashMap<String, Proper>,
}

#[derive(Clone, Debug, Default)]
struct Proper {
    name: Option<String>,
    email: Option<String>,
}

impl Authors {
    /// From the text of a `.mailmap`. What is no entry counts for nothing.
    pub fn parse(mailmap: &[u8]) -> Self {
        let text = String::from_utf8_lossy(&mailmap[..mailmap.len().min(LARGEST)]);
        let mut authors = Self::default();
        for line in text.lines().filter(|l| !l.trim_start().starts_with('#')) {
            let Some((name, email, rest)) = name_and_email(line) else { continue };
            let some = |text: &str| Some(text.to_owned()).filter(|t| !t.is_empty());
            let (proper, old_name, old_email) = match name_and_email(rest) {
                Some((old_name, old_email, _)) => {
                    (Proper { name: some(name), email: some(email) }, old_name, old_email)
                }
                None => (Proper { name: some(name), email: None }, "", email),
            };
            if old_email.is_empty() {
                continue;
            }
            let mapping = authors.0.entry(old_email.to_lowercase()).or_default();
            if old_name.is_empty() {
                mapping.always = proper;
            } else {
                mapping.by_name.insert(old_name.to_lowercase(), proper);
            }
        }
        authors
    }

    /// The person behind a signature, as far as git knows.
    pub fn person(&self, signature: &Signature) -> Person {
        let (name, email) = self.resolve(signature);
        let email = email.trim().to_lowercase();
        let (emails, logins) = match noreply(&email) {
            Some(login) => (vec![email.clone()], vec![login]),
            None => (vec![email.clone()], vec![]),
        };
        let name = Some(name.trim().to_owned()).filter(|n| !n.is_empty());
        let emails = emails.into_iter().filter(|e| !e.is_empty()).collect();
        Person {
            id: if email.is_empty() { name.clone().unwrap_or_default() } else { email },
            name,
            emails,
            logins,
            ..Person::default()
        }
    }

    fn resolve(&self, signature: &Signature) -> (String, String) {
        let Some(mapping) = self.0.get(&signature.email.trim().to_lowercase()) else {
            return (signature.name.clone(), signature.email.clone());
        };
        let proper = mapping.by_name.get(&signature.name.trim().to_lowercase()).unwrap_or(&mapping.always);
        let or = |new: &Option<String>, old: &String| new.as_ref().unwrap_or(old).clone();
        (or(&proper.name, &signature.name), or(&proper.email, &signature.email))
    }
}

/// `Name <address>` at the beginning of a text, and what follows.
fn name_and_email(text: &str) -> Option<(&str, &str, &str)> {
    let (name, rest) = text.split_once('<')?;
    let (email, rest) = rest.split_once('>')?;
    Some((name.trim(), email.trim(), rest))
}

/// The log-in name in an address that forges make up to hide a real one: `12345+jane@users.noreply.github.com`,
/// `5-jane@users.noreply.gitlab.com`.
/// <https://docs.github.com/account-and-profile/reference/email-addresses-reference>
fn noreply(email: &str) -> Option<String> {
    let (local, host) = email.split_once('@')?;
    let digits = |c: char| c.is_ascii_digit();
    match host {
        "users.noreply.github.com" => Some(local.split_once('+').map_or(local, |(_, login)| login).to_owned()),
        "users.noreply.gitlab.com" => {
            local.split_once('-').filter(|(id, _)| id.chars().all(digits)).map(|(_, login)| login.to_owned())
        }
        _ => None,
    }
}

/// Whether an author is a program: it brought something in for somebody else.
pub fn is_bot(person: &Person) -> bool {
    person.name.as_deref().is_some_and(|n| n.ends_with("[bot]")) || person.logins.iter().any(|l| l.ends_with("[bot]"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn signature(name: &str, email: &str) -> Signature {
        Signature { name: name.into(), email: email.into(), time: 0, offset: 0 }
    }

    #[test]
    fn a_mailmap_joins_names() {
        let authors = Authors::parse(b"# people\nJane Doe <jane@example.org> <jd@laptop.local>\n");
        let person = authors.person(&signature("jd", "JD@laptop.local"));
        assert_eq!(
            (person.name.as_deref(), person.emails.as_slice()),
            (Some("Jane Doe"), &["jane@example.org".to_owned()][..])
        );
        let two = Authors::parse(b"A <a@x.org> Ann <shared@x.org>\nB <b@x.org> Ben <shared@x.org>\nC <c@x.org>\n");
        assert_eq!(two.person(&signature("ben", "shared@x.org")).title(), "B <b@x.org>");
        assert_eq!(two.person(&signature("Eve", "shared@x.org")).title(), "Eve <shared@x.org>");
        assert_eq!(two.person(&signature("cc", "C@x.org")).title(), "C <c@x.org>");
        let other = authors.person(&signature("Bob", "bob@example.org"));
        assert_eq!(other.title(), "Bob <bob@example.org>");
    }

    #[test]
    fn hidden_addresses_give_their_log_in_name() {
        let authors = Authors::default();
        assert_eq!(authors.person(&signature("J", "123+jane@users.noreply.github.com")).logins, ["jane"]);
        assert_eq!(authors.person(&signature("J", "jane@users.noreply.github.com")).logins, ["jane"]);
        assert_eq!(authors.person(&signature("J", "9-j.d@users.noreply.gitlab.com")).logins, ["j.d"]);
        assert!(is_bot(&authors.person(&signature("dependabot[bot]", "x@y.z"))));
    }

    #[test]
    fn nonsense_is_no_mailmap_and_no_crash() {
        for text in [&b"<<<>>> \xff\xfe"[..], b"<", b"a <b", b"<> <>", b"\0\0"] {
            let authors = Authors::parse(text);
            assert_eq!(authors.person(&signature("", "")).title(), "");
            assert_eq!(authors.person(&signature("A", "a@b")).title(), "A <a@b>");
        }
    }
}
