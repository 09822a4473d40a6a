//! A directory behind SCIM 2.0 (RFC 7643, RFC 7644, and RFC 9865 for cursors): Okta, Entra ID and what else speaks it.
//!
//! Contract: reads `/Users` only. A few names are asked for with filters, many by paging through everybody; a server that takes
//! no filter is paged through, too. A list that is shorter than the server says, repeats itself or changes while it is read is
//! no answer: somebody who is left out of it has not left. `active: false` is suspended: SCIM knows no leaving. `since` is when
//! the record last changed, which is when it was deactivated or later.

use std::collections::HashSet;

use serde_json::Value;
use zeroize::Zeroizing;

use super::{MOST_PEOPLE, Wanted, quoted};
use crate::model::{Person, PersonState};
use crate::rules::ask::template;
use crate::rules::schema::ask::Method;
use crate::secret::Secret;
use crate::transport::{Outgoing, Reply, Transport};

/// People a page; servers may give fewer.
const PAGE: usize = 200;
/// More names than this are not asked for one by one: the whole directory is read instead.
const MOST_QUERIES: usize = 40;
/// A filter for one name that fits more people than this is none that the server takes.
const MOST_FITTING: usize = 1000;
/// Pages in a row that bring nobody new.
const MOST_IN_VAIN: usize = 3;
/// How often everybody is read if the list changes meanwhile.
const MOST_READINGS: usize = 3;
/// The longest value that is kept, in characters.
const LONGEST: usize = 500;
const ENTERPRISE: &str = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User";

/// A SCIM server.
pub(super) struct Scim {
    /// Without a slash at its end.
    base: String,
    token: Secret,
}

/// Why there is no list.
enum Trouble {
    /// The server takes no such filter.
    Filter,
    /// The list changed while it was read: somebody may be left out.
    Changed,
    Other(String),
}

/// Where a page begins.
enum Start {
    /// At this person, counted from 1.
    Index(usize),
    /// Where the server said.
    Cursor(String),
}

/// Everybody who was found so far.
#[derive(Default)]
struct Found {
    people: Vec<Person>,
    seen: HashSet<String>,
}

impl Scim {
    /// `base` is the address below which `/Users` is.
    pub fn new(base: &str, token: Secret) -> Result<Self, String> {
        let base = base.trim_end_matches('/');
        let host = base.split_once("://").map(|(_, rest)| rest.split('/').next().unwrap_or_default());
        match (base.starts_with("https://") || base.starts_with("http://"), host) {
            (true, Some(host)) if !host.is_empty() && !host.contains('@') && !base.contains('?') => {
                Ok(Self { base: base.to_owned(), token })
            }
            _ => Err(format!("scim+{base}: write scim+https://host/path, without a user or a query")),
        }
    }

    /// Its address, for reports.
    pub fn name(&self) -> String {
        format!("scim+{}", self.base)
    }

    /// The people of these names; everybody if there are many.
    pub async fn people<T: Transport>(
        &self,
        wanted: &Wanted,
        transport: &T,
        directory: &str,
    ) -> Result<Vec<Person>, String> {
        if wanted.len() > MOST_QUERIES {
            return self.everybody(transport, directory).await;
        }
        let mut found = Found::default();
        for filter in wanted.iter().flat_map(|name| filters(name)) {
            match self.list(&filter, transport, directory, &mut found).await {
                // What fits a filter may change: whoever fitted it was given.
                Ok(()) | Err(Trouble::Changed) => {}
                Err(Trouble::Filter) => return self.everybody(transport, directory).await,
                Err(Trouble::Other(text)) => return Err(text),
            }
        }
        Ok(found.people)
    }

    async fn everybody<T: Transport>(&self, transport: &T, directory: &str) -> Result<Vec<Person>, String> {
        for _ in 0..MOST_READINGS {
            let mut found = Found::default();
            match self.list("", transport, directory, &mut found).await {
                Ok(()) => return Ok(found.people),
                Err(Trouble::Changed) => {}
                Err(Trouble::Filter) => return Err("it refuses to be searched".into()),
                Err(Trouble::Other(text)) => return Err(text),
            }
        }
        Err("its list changes while it is read".into())
    }

    /// Pages through one list.
    async fn list<T: Transport>(
        &self,
        filter: &str,
        transport: &T,
        directory: &str,
        found: &mut Found,
    ) -> Result<(), Trouble> {
        let (mut start, mut read, mut in_vain) = (None, 0, 0);
        let (mut first_total, mut changed) = (None, false);
        loop {
            let reply = transport.send(&self.request(filter, start.as_ref())).await;
            let page = page(&reply.map_err(|e| Trouble::Other(e.to_string()))?)?;
            let items = page["Resources"].as_array().map(Vec::as_slice).unwrap_or_default();
            read += items.len();
            in_vain = if found.take(items, directory) { 0 } else { in_vain + 1 };
            let cursor = page["nextCursor"].as_str().filter(|c| !c.is_empty());
            let total = page["totalResults"].as_u64().and_then(|t| usize::try_from(t).ok());
            changed |= *first_total.get_or_insert(total) != total;
            if !filter.is_empty() && read.max(total.unwrap_or_default()) > MOST_FITTING {
                return Err(Trouble::Filter);
            }
            let other = |text: String| Err(Trouble::Other(text));
            let with_cursor = matches!(start, Some(Start::Cursor(_)));
            start = match (cursor, total) {
                (Some(cursor), _) => Some(Start::Cursor(cursor.to_owned())),
                (None, total) if with_cursor || total.is_some_and(|t| read >= t) => {
                    return if changed { Err(Trouble::Changed) } else { Ok(()) };
                }
                (None, None) => return other("it does not say how many people there are".into()),
                (None, Some(total)) if items.is_empty() => return other(format!("it gives {read} people of {total}")),
                (None, Some(_)) => Some(Start::Index(read + 1)),
            };
            if in_vain >= MOST_IN_VAIN {
                return other("its pages repeat themselves".into());
            }
            if read > MOST_PEOPLE {
                return other(format!("it has more than {MOST_PEOPLE} people"));
            }
        }
    }

    /// A page; the first one where the server begins.
    fn request(&self, filter: &str, start: Option<&Start>) -> Outgoing {
        let mut query = format!("count={PAGE}");
        match start {
            Some(Start::Index(index)) => query.push_str(&format!("&startIndex={index}")),
            Some(Start::Cursor(cursor)) => {
                query.push_str(&format!("&cursor={}", template::percent(cursor.as_bytes(), false)))
            }
            None => {}
        }
        if !filter.is_empty() {
            query.push_str("&filter=");
            query.push_str(&template::percent(filter.as_bytes(), false));
        }
        let bearer = Zeroizing::new(format!("Bearer {}", String::from_utf8_lossy(self.token.expose()).trim()));
        Outgoing {
            method: Method::Get,
            url: Zeroizing::new(format!("{}/Users?{query}", self.base)),
            shown: format!("{}/Users", self.base),
            headers: vec![
                ("authorization".into(), bearer),
                ("accept".into(), Zeroizing::new("application/scim+json, application/json".into())),
            ],
            body: Zeroizing::default(),
            configured: true,
            repeatable: true,
        }
    }
}

impl Found {
    /// Adds the people of a page; whether there was anybody new among them. A list that changes while it is paged through may
    /// give somebody twice.
    fn take(&mut self, items: &[Value], directory: &str) -> bool {
        let before = self.people.len();
        for person in items.iter().filter_map(|item| person(item, directory)) {
            if self.seen.insert(person.id.clone()) {
                self.people.push(person);
            }
        }
        self.people.len() > before
    }
}

/// The two ways in which a name may be known.
fn filters(name: &str) -> Vec<String> {
    let mut filters = vec![format!("userName eq {}", quoted(name))];
    if name.contains('@') {
        filters.push(format!("emails.value eq {}", quoted(name)));
    }
    filters
}

fn page(reply: &Reply) -> Result<Value, Trouble> {
    let other = |text: &str| Err(Trouble::Other(text.to_owned()));
    match reply.status {
        200 if reply.cut => other("a page of it is too large"),
        200 => match serde_json::from_slice::<Value>(&reply.body) {
            // With cursors there may be no total.
            Ok(page) if page["totalResults"].is_u64() || page["Resources"].is_array() => Ok(page),
            _ => other("it does not answer like a SCIM server"),
        },
        // RFC 7644, 3.12: scimType invalidFilter or tooMany.
        400 | 501 => Err(Trouble::Filter),
        401 | 403 => other("it refuses the token"),
        429 => other("it is rate limited"),
        status => Err(Trouble::Other(format!("it answers with status {status}"))),
    }
}

fn person(item: &Value, directory: &str) -> Option<Person> {
    let text = |value: &Value| {
        let text = value.as_str().map(str::trim).filter(|t| !t.is_empty())?;
        Some(text.chars().take(LONGEST).collect::<String>())
    };
    let lower = |value: &Value| text(value).map(|t| t.to_lowercase());
    let mut emails: Vec<(bool, String)> = Vec::new();
    for email in item["emails"].as_array().map(Vec::as_slice).unwrap_or_default().iter().take(64) {
        emails.extend(lower(&email["value"]).map(|value| (email["primary"] == Value::Bool(true), value)));
    }
    emails.sort_by_key(|(primary, _)| !primary);
    let login = lower(&item["userName"]);
    let mut person = Person {
        id: text(&item["id"])?,
        emails: emails.into_iter().map(|(_, email)| email).collect(),
        directory: directory.to_owned(),
        ..Person::default()
    };
    if let Some(login) = login {
        if login.contains('@') && !person.emails.contains(&login) {
            person.emails.push(login.clone());
        }
        person.logins.push(login);
    }
    let name = &item["name"];
    let parts = || {
        let parts: Vec<String> = [&name["givenName"], &name["familyName"]].into_iter().filter_map(text).collect();
        Some(parts.join(" ")).filter(|n| !n.is_empty())
    };
    person.name = text(&item["displayName"]).or_else(|| text(&name["formatted"])).or_else(parts);
    let work = &item[ENTERPRISE];
    person.team = text(&work["department"]).or_else(|| text(&work["division"]));
    let manager = &work["manager"];
    person.manager = text(&manager["displayName"]).or_else(|| text(&manager["value"]));
    // Absent means active: RFC 7643 leaves `active` optional.
    if item["active"] == Value::Bool(false) || item["active"] == "false" || item["active"] == "False" {
        person.state = PersonState::Suspended;
        person.since = text(&item["meta"]["lastModified"]);
    } else {
        person.state = PersonState::Active;
    }
    Some(person)
}
