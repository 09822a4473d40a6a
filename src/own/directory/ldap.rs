//! A directory behind LDAP: OpenLDAP, Active Directory, 389 Directory Server and their like.
//!
//! Contract: binds once and searches, page by page; writes nothing. The password goes over TLS (`ldaps://`, or StartTLS on
//! `ldap://`) and in clear to loopback only. Disabled and locked accounts are suspended, expired ones departed:
//! `userAccountControl` and `accountExpires` of Active Directory
//! (<https://learn.microsoft.com/windows/win32/adschema/a-useraccountcontrol>, <.../a-accountexpires>), `pwdAccountLockedTime`
//! of the password policy overlay (draft-behera-ldap-password-policy, 5.3.3), `nsAccountLock` of 389 Directory Server, and
//! `shadowExpire` of RFC 2307.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use ldap3::adapters::{Adapter, EntriesOnly, PagedResults};
use ldap3::{LdapConnAsync, LdapConnSettings, Scope, SearchEntry, ldap_escape};

use super::{MOST_PEOPLE, Options, Wanted};
use crate::model::{Person, PersonState};
use crate::rules::ask::template;
use crate::secret::Secret;

/// Entries a page.
const PAGE: i32 = 500;
/// Names in one filter.
const NAMES: usize = 20;
/// More names than this are not asked for: everybody is read instead.
const MOST_NAMES: usize = 200;
/// `sizeLimitExceeded`: OpenLDAP gives 500 entries to whom it knows no better, however many pages they are on.
const SIZE_LIMIT: u32 = 4;
/// `adminLimitExceeded`.
const ADMIN_LIMIT: u32 = 11;
/// The longest value that is kept, in characters.
const LONGEST: usize = 500;
/// Seconds between 1601-01-01, where Windows begins to count, and 1970-01-01.
const WINDOWS_EPOCH: i64 = 11_644_473_600;
/// `ACCOUNTDISABLE` of `userAccountControl`.
const DISABLED: i64 = 0x2;
/// `LOCKOUT` of `userAccountControl`.
const LOCKED: i64 = 0x10;

const EMAILS: [&str; 5] = ["mail", "proxyAddresses", "mailAlternateAddress", "mailLocalAddress", "rfc822Mailbox"];
const LOGINS: [&str; 3] = ["uid", "sAMAccountName", "userPrincipalName"];
const OTHERS: [&str; 15] = [
    "cn",
    "displayName",
    "manager",
    "department",
    "departmentNumber",
    "ou",
    "userAccountControl",
    "accountExpires",
    "pwdAccountLockedTime",
    "nsAccountLock",
    "shadowExpire",
    "entryUUID",
    "objectGUID",
    "employeeType",
    "whenChanged",
];

/// An LDAP server.
pub(super) struct Ldap {
    /// Scheme, host and port.
    server: String,
    start_tls: bool,
    base: String,
    bind: Option<(String, Secret)>,
}

impl Ldap {
    /// `ldaps://host:port/base`: an LDAP URL with the search base; and who binds, with which password.
    pub fn new(address: &str, bind: Option<(String, Secret)>) -> Result<Self, String> {
        let wrong = |what: &str| Err(format!("{address}: {what}: write ldaps://host/dc=example,dc=org"));
        let Some((scheme, rest)) = address.split_once("://") else { return wrong("this is no LDAP URL") };
        let Some((host, base)) = rest.split_once('/') else { return wrong("the search base is missing") };
        if !matches!(scheme, "ldap" | "ldaps") || host.is_empty() || host.contains('@') {
            return wrong("this is no LDAP URL with a host and nothing before it");
        }
        if base.is_empty() || base.contains('?') {
            return wrong("behind the host stands the search base alone");
        }
        if bind.as_ref().is_some_and(|(dn, password)| dn.is_empty() || password.expose().is_empty()) {
            // Without a password, servers take whoever binds for nobody, and say yes.
            return wrong("who binds needs a name and a password");
        }
        let start_tls = scheme == "ldap" && !is_loopback(host);
        if host.starts_with('[') && (start_tls || scheme == "ldaps") {
            return wrong(
                "over TLS an IPv6 address is no name that a certificate is compared with: give the host's name",
            );
        }
        Ok(Self { server: format!("{scheme}://{host}"), start_tls, base: template::unquoted(base), bind })
    }

    /// Its address, for reports.
    pub fn name(&self) -> String {
        format!("{}/{}", self.server, self.base)
    }

    /// Scheme, host and port.
    pub fn server(&self) -> &str {
        &self.server
    }

    /// The people of these names; everybody if there are many, unless the server does not list so many.
    pub async fn people(&self, wanted: &Wanted, options: &Options<'_>, directory: &str) -> Result<Vec<Person>, String> {
        let mut ldap = self.bound(options).await?;
        let (now, answer_within) = (options.now, options.answer_within);
        let mut found = Found { directory, now, answer_within, people: Vec::new(), seen: HashSet::new() };
        let mut by_name = wanted.len() <= MOST_NAMES;
        if !by_name {
            match self.search(&mut ldap, &everybody(), &mut found).await {
                Ok(()) => {}
                Err(Trouble::TooMany) => by_name = true,
                Err(Trouble::Other(text)) => return Err(text),
            }
        }
        if by_name {
            let names: Vec<&String> = wanted.iter().collect();
            for names in names.chunks(NAMES) {
                let searched = self.search(&mut ldap, &filter(names), &mut found).await;
                searched.map_err(|trouble| match trouble {
                    Trouble::TooMany => "it lists too few people at a time".to_owned(),
                    Trouble::Other(text) => text,
                })?;
            }
        }
        let _ = ldap.unbind().await;
        Ok(found.people)
    }

    /// A connection that has logged in.
    async fn bound(&self, options: &Options<'_>) -> Result<ldap3::Ldap, String> {
        let mut settings = LdapConnSettings::new().set_conn_timeout(options.answer_within);
        settings = settings.set_config(options.tls.clone()).set_starttls(self.start_tls);
        let connected = LdapConnAsync::with_settings(settings, &self.server).await;
        let (connection, mut ldap) = connected.map_err(|e| format!("no connection: {}", fault(&e)))?;
        ldap3::drive!(connection);
        if let Some((dn, password)) = &self.bind {
            let password = String::from_utf8_lossy(password.expose());
            let bind = ldap.with_timeout(options.answer_within).simple_bind(dn, password.trim()).await;
            let bound = bind.map_err(|e| fault(&e))?;
            bound.success().map_err(|e| format!("it refuses the log-in: {}", fault(&e)))?;
        }
        Ok(ldap)
    }

    /// Pages through one list.
    async fn search(&self, ldap: &mut ldap3::Ldap, filter: &str, found: &mut Found<'_>) -> Result<(), Trouble> {
        let other = |e: ldap3::LdapError| Trouble::Other(fault(&e));
        let attributes: Vec<&str> = EMAILS.into_iter().chain(LOGINS).chain(OTHERS).collect();
        let adapters: Vec<Box<dyn Adapter<'_, _, _>>> =
            vec![Box::new(EntriesOnly::new()), Box::new(PagedResults::new(PAGE))];
        // For each entry, not for all of them.
        let ldap = ldap.with_timeout(found.answer_within);
        let search = ldap.streaming_search_with(adapters, &self.base, Scope::Subtree, filter, attributes);
        let mut search = search.await.map_err(other)?;
        while let Some(entry) = search.next().await.map_err(other)? {
            found.take(person(SearchEntry::construct(entry), found.directory, found.now))?;
        }
        let result = search.finish().await;
        match result.rc {
            SIZE_LIMIT | ADMIN_LIMIT => Err(Trouble::TooMany),
            _ => result.success().map(drop).map_err(|e| Trouble::Other(format!("the search failed: {}", fault(&e)))),
        }
    }
}

/// Everybody who was found so far.
struct Found<'a> {
    directory: &'a str,
    now: i64,
    answer_within: Duration,
    people: Vec<Person>,
    seen: HashSet<String>,
}

impl Found<'_> {
    fn take(&mut self, person: Person) -> Result<(), Trouble> {
        if self.people.len() >= MOST_PEOPLE {
            return Err(Trouble::Other(format!("it has more than {MOST_PEOPLE} people")));
        }
        if self.seen.insert(person.id.clone()) {
            self.people.push(person);
        }
        Ok(())
    }
}

/// Why there is no list.
enum Trouble {
    /// There are more than the server gives.
    TooMany,
    Other(String),
}

/// What went wrong, without what a server says besides the code of a result (RFC 4511, appendix A).
fn fault(error: &ldap3::LdapError) -> String {
    match error {
        ldap3::LdapError::LdapResult { result } => {
            let name = match result.rc {
                8 => " (it wants TLS)",
                32 => " (the search base is not there, or may not be read)",
                49 => " (wrong name or password)",
                50 => " (not permitted)",
                _ => "",
            };
            format!("result code {}{name}", result.rc)
        }
        ldap3::LdapError::Timeout { .. } => "no answer in time".into(),
        ldap3::LdapError::ResultRecv { .. } | ldap3::LdapError::OpSend { .. } => "the connection broke".into(),
        other => {
            let text = other.to_string();
            crate::notes::printable(&text.as_bytes()[..text.floor_char_boundary(200)])
        }
    }
}

fn is_loopback(host: &str) -> bool {
    let name = if host.starts_with('[') {
        host.split(']').next().unwrap_or_default().trim_start_matches('[')
    } else {
        host.split(':').next().unwrap_or_default()
    };
    name == "localhost" || name.parse::<std::net::IpAddr>().is_ok_and(|a| a.is_loopback())
}

fn everybody() -> String {
    "(|(objectClass=person)(objectClass=inetOrgPerson)(objectClass=user)(objectClass=posixAccount))".into()
}

fn filter(names: &[&String]) -> String {
    let mut out = String::from("(|");
    for name in names {
        let name = ldap_escape(name.as_str());
        for attribute in EMAILS.into_iter().filter(|a| *a != "proxyAddresses").chain(LOGINS) {
            out.push_str(&format!("({attribute}={name})"));
        }
        out.push_str(&format!("(proxyAddresses=smtp:{name})"));
    }
    out.push(')');
    out
}

fn person(entry: SearchEntry, directory: &str, now: i64) -> Person {
    let attributes: HashMap<String, &Vec<String>> =
        entry.attrs.iter().map(|(name, values)| (name.to_lowercase(), values)).collect();
    let values = |name: &str| attributes.get(&name.to_lowercase()).map(|v| v.as_slice()).unwrap_or_default();
    let first = |names: &[&str]| {
        let found = names.iter().find_map(|n| values(n).iter().find(|v| !v.trim().is_empty()));
        found.map(|v| v.trim().chars().take(LONGEST).collect::<String>())
    };
    let mut person =
        Person { id: entry.dn.chars().take(LONGEST).collect(), directory: directory.into(), ..Person::default() };
    for name in EMAILS {
        for value in values(name).iter().take(64) {
            let value = value.trim().to_lowercase();
            // `smtp:` marks mail among other proxy addresses.
            let address = value.strip_prefix("smtp:").unwrap_or(&value);
            if address.contains('@') && !address.contains(':') && !person.emails.iter().any(|e| e == address) {
                person.emails.push(address.to_owned());
            }
        }
    }
    for name in LOGINS {
        let logins = values(name).iter().take(16).map(|v| v.trim().to_lowercase()).filter(|v| !v.is_empty());
        person.logins.extend(logins);
    }
    person.name = first(&["displayName", "cn"]);
    person.team = first(&["department", "departmentNumber", "ou"]);
    person.manager = first(&["manager"]).map(|dn| common_name(&dn));
    (person.state, person.since) = state(&first, now);
    person
}

/// Whether an account is there, and since when it is not.
fn state(first: &dyn Fn(&[&str]) -> Option<String>, now: i64) -> (PersonState, Option<String>) {
    let number = |name: &str| first(&[name]).and_then(|v| v.parse::<i64>().ok());
    let expires = number("accountExpires").filter(|t| *t > 0 && *t < i64::MAX).map(|t| t / 10_000_000 - WINDOWS_EPOCH);
    let shadow = number("shadowExpire").filter(|d| *d > 0).and_then(|d| d.checked_mul(86_400));
    if let Some(end) = expires.or(shadow).filter(|end| *end <= now) {
        return (PersonState::Departed, jiff::Timestamp::from_second(end).ok().map(|t| t.to_string()));
    }
    let control = number("userAccountControl").unwrap_or_default();
    if control & (DISABLED | LOCKED) != 0 {
        return (PersonState::Suspended, first(&["whenChanged"]).and_then(|t| generalized(&t)));
    }
    if first(&["nsAccountLock"]).is_some_and(|v| v.eq_ignore_ascii_case("true")) {
        return (PersonState::Suspended, None);
    }
    if let Some(locked) = first(&["pwdAccountLockedTime"]) {
        // 000001010000Z: locked until somebody unlocks it; other times: since then.
        return (PersonState::Suspended, generalized(&locked).filter(|t| !t.starts_with("0000")));
    }
    (PersonState::Active, None)
}

/// `20260102030405Z` and `20260102030405.0Z` as RFC 3339.
fn generalized(text: &str) -> Option<String> {
    let digits: String = text.chars().take_while(char::is_ascii_digit).collect();
    let part = |from: usize, to: usize| digits.get(from..to);
    let seconds = part(12, 14).unwrap_or("00");
    let (year, month, day) = (part(0, 4)?, part(4, 6)?, part(6, 8)?);
    Some(format!("{year}-{month}-{day}T{}:{}:{seconds}Z", part(8, 10)?, part(10, 12)?))
}

/// The first value of a distinguished name: `cn=Jane Doe,ou=people,...` is `Jane Doe`.
fn common_name(dn: &str) -> String {
    let first = dn.split(',').next().unwrap_or(dn);
    first.split_once('=').map_or(first, |(_, value)| value).replace('\\', "")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn entry(attributes: &[(&str, &str)]) -> Person {
        let attrs = attributes.iter().map(|(n, v)| ((*n).to_owned(), vec![(*v).to_owned()])).collect();
        let dn = "cn=Jane,dc=x".to_owned();
        person(SearchEntry { dn, attrs, bin_attrs: HashMap::new() }, "ldap", 1_700_000_000)
    }

    #[test]
    fn states_of_active_directory_and_password_policies() {
        assert_eq!(entry(&[("userAccountControl", "512")]).state, PersonState::Active);
        let disabled = entry(&[("userAccountControl", "514"), ("whenChanged", "20260102030405.0Z")]);
        assert_eq!((disabled.state, disabled.since.as_deref()), (PersonState::Suspended, Some("2026-01-02T03:04:05Z")));
        assert_eq!(entry(&[("accountExpires", "9223372036854775807")]).state, PersonState::Active);
        assert_eq!(entry(&[("accountExpires", "0")]).state, PersonState::Active);
        // 2020-01-01T00:00:00Z
        let left = entry(&[("accountExpires", "132223104000000000"), ("userAccountControl", "514")]);
        assert_eq!((left.state, left.since.as_deref()), (PersonState::Departed, Some("2020-01-01T00:00:00Z")));
        let locked = entry(&[("pwdAccountLockedTime", "000001010000Z")]);
        assert_eq!((locked.state, locked.since), (PersonState::Suspended, None));
        assert_eq!(entry(&[("NSACCOUNTLOCK", "TRUE")]).state, PersonState::Suspended);
    }

    #[test]
    fn names_of_all_kinds_and_hostile_ones() {
        let person = entry(&[
            ("mail", "Jane@Example.org"),
            ("proxyAddresses", "SMTP:jd@example.org"),
            ("uid", "JDoe"),
            ("manager", "cn=Boss\\, Big,ou=x"),
            ("cn", "Jane\u{1b}[31m"),
        ]);
        assert_eq!(person.emails, ["jane@example.org", "jd@example.org"]);
        assert_eq!(person.logins, ["jdoe"]);
        assert_eq!(filter(&[&"*)(uid=*".to_owned()]).matches("(uid=*").count(), 0);
    }

    #[test]
    fn addresses_are_read_and_the_password_never_goes_in_clear() {
        let bind = || Some(("cn=reader,dc=org".to_owned(), Secret::new(b"x")));
        let ldap = Ldap::new("ldap://dir.example.org/dc=example%2Cdc=org", bind()).unwrap();
        assert!(ldap.start_tls && ldap.base == "dc=example,dc=org");
        assert!(!Ldap::new("ldap://127.0.0.1:389/dc=x", None).unwrap().start_tls);
        assert!(!Ldap::new("ldaps://dir/dc=x", None).unwrap().start_tls);
        for (dn, word) in [("", "x"), ("cn=reader", "")] {
            assert!(Ldap::new("ldaps://dir/dc=x", Some((dn.into(), Secret::new(word.as_bytes())))).is_err());
        }
        assert!(Ldap::new("ldap://[::1]/dc=x", None).is_ok_and(|l| !l.start_tls));
        for wrong in [
            "ldaps://[2001:db8::1]/dc=x",
            "ldap://[2001:db8::1]/dc=x",
            "ldap://",
            "ldap://host",
            "ldap:///dc=x",
            "ldap://u:p@h/dc=x",
            "ldap://h/dc=x?sub",
        ] {
            assert!(Ldap::new(wrong, None).is_err(), "{wrong}");
        }
    }
}
