//! Authors of commits as people, through a repository's `.mailmap`.
//!
//! Contract: a mailmap is scanned content. It can only join names of authors, and whatever it says is shown as "introduced
//! by", never as an owner. One that git cannot read counts as empty.

use std::fmt;

use crate::model::{Person, Signature};

/// The largest mailmap that is read, in bytes.
pub const LARGEST: usize = 1 << 20;

/// Who is who among the authors of a repository.
#[derive(Default)]
pub struct Authors(Option<git2::Mailmap>);

impl fmt::Debug for Authors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "Authors(mailmap)" } else { "Authors" })
    }
}

impl Authors {
    /// From the text of a `.mailmap`.
    pub fn parse(mailmap: &[u8]) -> Self {
        let text = String::from_utf8_lossy(&mailmap[..mailmap.len().min(LARGEST)]);
        Self(git2::Mailmap::from_buffer(&text).ok())
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
        let as_is = || (signature.name.clone(), signature.email.clone());
        let Some(map) = &self.0 else { return as_is() };
        let time = git2::Time::new(signature.time, 0);
        let Ok(given) = git2::Signature::new(&signature.name, &signature.email, &time) else { return as_is() };
        map.resolve_signature(&given).map_or_else(
            |_| as_is(),
            |s| {
                let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
                (text(s.name_bytes()), text(s.email_bytes()))
            },
        )
    }
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
