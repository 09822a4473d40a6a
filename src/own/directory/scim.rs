//! A directory behind SCIM 2.0 (RFC 7643, RFC 7644): Okta, Entra ID and what else speaks it.
//!
//! Contract: reads `/Users` only. A few names are asked for with filters, many by paging through everybody; a server that takes
//! no filter is paged through, too. `active: false` is suspended: SCIM knows no leaving. `since` is when the record last
//! changed, which is when it was deactivated or later.

use std::collections::HashSet;

use serde_json::Value;
use zeroize::Zeroizing;

use super::{MOST_PEOPLE, Wanted, quoted};
use crate::model::{Person, PersonState};
use crate::rules::schema::ask::Method;
use crate::secret::Secret;
use crate::verify::transport::{Outgoing, Reply, Transport};

/// People a page; servers may give fewer.
const PAGE: usize = 200;
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
    Other(String),
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
        all: bool,
        transport: &T,
        directory: &str,
    ) -> Result<Vec<Person>, String> {
        let mut people = Vec::new();
        let mut seen = HashSet::new();
        let filters: Vec<String> =
            if all { vec![String::new()] } else { wanted.iter().flat_map(|n| filters(n)).collect() };
        for filter in filters {
            match self.list(&filter, transport, directory, &mut people, &mut seen).await {
                Ok(()) => {}
                Err(Trouble::Filter) if !filter.is_empty() => {
                    let everybody = self.list("", transport, directory, &mut people, &mut seen).await;
                    return everybody.map(|()| people).map_err(Trouble::into_text);
                }
                Err(trouble) => return Err(trouble.into_text()),
            }
        }
        Ok(people)
    }

    /// Pages through one list.
    async fn list<T: Transport>(
        &self,
        filter: &str,
        transport: &T,
        directory: &str,
        people: &mut Vec<Person>,
        seen: &mut HashSet<String>,
    ) -> Result<(), Trouble> {
        let mut start = 1;
        while people.len() < MOST_PEOPLE {
            let reply = transport.send(&self.request(filter, start)).await;
            let page = page(&reply.map_err(|e| Trouble::Other(e.to_string()))?)?;
            let items = page["Resources"].as_array().map(Vec::as_slice).unwrap_or_default();
            for item in items {
                let Some(person) = person(item, directory) else { continue };
                // A list that changes while it is paged through may give somebody twice.
                if seen.insert(person.id.clone()) {
                    people.push(person);
                }
            }
            start += items.len();
            let total = page["totalResults"].as_u64().unwrap_or_default();
            if items.is_empty() || start as u64 > total {
                return Ok(());
            }
        }
        Err(Trouble::Other(format!("it has more than {MOST_PEOPLE} people")))
    }

    fn request(&self, filter: &str, start: usize) -> Outgoing {
        let mut query = format!("startIndex={start}&count={PAGE}");
        if !filter.is_empty() {
            query.push_str("&filter=");
            query.push_str(&percent(filter));
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

impl Trouble {
    fn into_text(self) -> String {
        match self {
            Self::Filter => "it refuses to be searched".into(),
            Self::Other(text) => text,
        }
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
            Ok(page) if page["totalResults"].is_u64() => Ok(page),
            _ => other("it does not answer like a SCIM server"),
        },
        // RFC 7644, 3.12: scimType invalidFilter; some servers say 403 or 501 to a filter.
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

/// Percent-encodes all but unreserved characters.
fn percent(text: &str) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-._~".contains(&b);
    text.bytes().map(|b| if plain(b) { (b as char).to_string() } else { format!("%{b:02X}") }).collect()
}
