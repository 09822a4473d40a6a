//! A GitHub that remembers: people, tokens, an organisation with its grants. Every request it takes and every reply it
//! gives is held against GitHub's own description.
//!
//! Contract: what it does not know it refuses, as GitHub does, and a fault against the description fails the test when the
//! fake is dropped. What GitHub documents in words only stands here with its source.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use base64::Engine;
use serde_json::{Value, json};
use sha2::Digest;

use super::contract::{Call, Contract, pairs};
use crate::support::http::{Act, Http, Seen, reply};

/// Somebody at GitHub.
#[derive(Clone)]
pub struct Person {
    pub login: &'static str,
    pub id: u64,
    pub name: &'static str,
    pub email: &'static str,
}

/// What kind of token it is; each has its own rights.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A personal access token with scopes.
    Classic,
    /// A fine-grained personal access token with access to the organisation.
    FineGrained,
    /// The access token of an OAuth app.
    OAuth,
    /// An app's installation: acts for no user.
    Installation,
}

struct Token {
    id: u64,
    kind: Kind,
    person: Person,
    scopes: String,
    revoked: bool,
}

/// What it remembers.
#[derive(Default)]
struct State {
    tokens: BTreeMap<String, Token>,
    faults: Vec<String>,
    /// Ids of fine-grained grants that the organisation revoked.
    grants_revoked: Vec<u64>,
}

/// The responder's own credentials at this GitHub.
pub const ORG: &str = "corp";
pub const CLIENT: (&str, &str) = ("Iv1.corpclient", "client-secret-of-the-fake");

/// A running fake.
pub struct GitHub {
    http: Http,
    state: Arc<Mutex<State>>,
}

/// Status and body.
type Told = (u16, Option<Value>);

fn error(status: u16, message: &str) -> Told {
    (
        status,
        Some(
            json!({ "message": message, "documentation_url": "https://docs.github.com/rest", "status": status.to_string() }),
        ),
    )
}

impl GitHub {
    pub fn start() -> Self {
        let state = Arc::new(Mutex::new(State::default()));
        let (contract, shared) = (Contract::read(), state.clone());
        let http = Http::start(move |seen| {
            let mut state = shared.lock().unwrap();
            answer(&contract, &mut state, seen).unwrap_or_else(|fault| {
                state.faults.push(fault);
                reply(
                    500,
                    &[("content-type", "application/json")],
                    json!({ "message": "see the test's faults" }).to_string(),
                )
            })
        });
        Self { http, state }
    }

    pub fn url(&self) -> String {
        self.http.url()
    }

    /// Gives somebody a token. `scopes` counts for classic and OAuth tokens.
    pub fn token(&self, secret: &str, kind: Kind, person: &Person, scopes: &str) {
        let mut state = self.state.lock().unwrap();
        let id = 100 + state.tokens.len() as u64;
        let token = Token { id, kind, person: person.clone(), scopes: scopes.to_owned(), revoked: false };
        state.tokens.insert(secret.to_owned(), token);
    }

    /// How many of its tokens are revoked.
    pub fn revoked(&self) -> usize {
        self.state.lock().unwrap().tokens.values().filter(|t| t.revoked).count()
    }

    /// The requests so far of this method and path.
    pub fn calls(&self, method: &str, path: &str) -> Vec<Seen> {
        self.http.seen().into_iter().filter(|s| s.method == method && s.path() == path).collect()
    }

    /// Every call.
    pub fn all(&self) -> Vec<Seen> {
        self.http.seen()
    }

    /// Takes the faults out: for tests that make some.
    pub fn faults(&self) -> Vec<String> {
        std::mem::take(&mut self.state.lock().unwrap().faults)
    }
}

impl Drop for GitHub {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            assert_eq!(self.faults(), Vec::<String>::new(), "against GitHub's description");
        }
    }
}

/// Checks a request, answers it, and checks the answer.
fn answer(contract: &Contract, state: &mut State, seen: &Seen) -> Result<Act, String> {
    let call = contract.request(seen)?;
    let who = who(state, seen);
    let (status, body) = match &who {
        // Whoever comes with a bad token hears so, whatever he asks for.
        Who::Unknown => error(401, "Bad credentials"),
        _ => act(state, &call, seen, &who),
    };
    let body = body.map(|body| if status < 300 { contract.complete(&call, status, body) } else { body });
    contract.reply(&call, status, body.as_ref())?;
    let mut headers = vec![("content-type", "application/json; charset=utf-8")];
    let scopes = match &who {
        Who::Token(secret) if matches!(state.tokens[secret].kind, Kind::Classic | Kind::OAuth) => {
            Some(&state.tokens[secret].scopes)
        }
        _ => None,
    };
    if let Some(scopes) = scopes {
        // https://docs.github.com/en/apps/oauth-apps/building-oauth-apps/scopes-for-oauth-apps
        headers.push(("x-oauth-scopes", scopes));
    }
    Ok(reply(status, &headers, body.map_or_else(String::new, |b| b.to_string())))
}

/// Who asks.
enum Who {
    Nobody,
    Unknown,
    Token(String),
    Client,
}

fn who(state: &State, seen: &Seen) -> Who {
    let Some((scheme, value)) = seen.header("authorization").split_once(' ') else { return Who::Nobody };
    if scheme.eq_ignore_ascii_case("basic") {
        let pair = base64::engine::general_purpose::STANDARD.encode(format!("{}:{}", CLIENT.0, CLIENT.1));
        return if value == pair { Who::Client } else { Who::Unknown };
    }
    match state.tokens.get(value) {
        Some(token) if !token.revoked => Who::Token(value.to_owned()),
        _ => Who::Unknown,
    }
}

fn act(state: &mut State, call: &Call<'_>, seen: &Seen, who: &Who) -> Told {
    let secret = if let Who::Token(secret) = who { Some(secret.clone()) } else { None };
    let token = secret.as_ref().map(|s| &state.tokens[s]);
    let ends = |end: &str| call.path.ends_with(end);
    if ends("/credentials/revoke") {
        return revoke(state, seen);
    }
    if ends("/rate_limit") {
        let limit = json!({ "limit": 60, "remaining": 59, "reset": 4_102_444_800_u64, "used": 1 });
        return (200, Some(json!({ "resources": { "core": limit, "search": limit }, "rate": limit })));
    }
    if call.path.starts_with("/applications/") {
        return if matches!(who, Who::Client) {
            application(state, seen)
        } else {
            error(401, "Requires authentication")
        };
    }
    let Some(token) = token else { return error(401, "Requires authentication") };
    let by_installation = token.kind == Kind::Installation;
    match call.path {
        // https://docs.github.com/en/rest/authentication/endpoints-available-for-github-app-installation-access-tokens
        "/user" | "/user/emails" | "/user/orgs" if by_installation => {
            error(403, "Resource not accessible by integration")
        }
        "/user" => (200, Some(user(&token.person))),
        "/user/emails" if token.kind != Kind::FineGrained && !token.scopes.contains("user") => error(404, "Not Found"),
        "/user/emails" => {
            let private = format!("private.{}", token.person.email);
            let one = |email: &str, primary| json!({ "email": email, "primary": primary, "verified": true, "visibility": "private" });
            (200, Some(json!([one(&private, false), one(token.person.email, true)])))
        }
        "/user/orgs" => (200, Some(json!([{ "login": ORG }]))),
        "/installation/repositories" if !by_installation => {
            error(403, "You must authenticate with an installation access token")
        }
        "/installation/repositories" => {
            let owner = json!({ "login": ORG, "id": 4711 });
            (
                200,
                Some(
                    json!({ "total_count": 1, "repositories": [{ "full_name": format!("{ORG}/shop"), "owner": owner }] }),
                ),
            )
        }
        "/installation/token" if !by_installation => {
            error(403, "You must authenticate with an installation access token")
        }
        "/installation/token" => {
            state.tokens.get_mut(&secret.unwrap()).unwrap().revoked = true;
            (204, None)
        }
        path if path.starts_with("/orgs/") => organisation(state, call, seen, by_installation, &secret.unwrap()),
        _ => error(404, "Not Found"),
    }
}

fn user(person: &Person) -> Value {
    let Person { login, id, name, email } = person;
    json!({ "login": login, "id": id, "name": name, "email": email, "type": "User", "two_factor_authentication": true })
}

/// https://docs.github.com/en/rest/credentials/revoke: no authentication, 1 to 1000 credentials, 202 for whatever is sent.
fn revoke(state: &mut State, seen: &Seen) -> Told {
    if !seen.header("authorization").is_empty() {
        state.faults.push("post /credentials/revoke: with an Authorization header".into());
        return error(403, "Must not be authenticated");
    }
    let body: Value = serde_json::from_slice(&seen.body).unwrap();
    for secret in body["credentials"].as_array().unwrap() {
        // Installation tokens are not among the kinds that it takes.
        if let Some(token) = state.tokens.get_mut(secret.as_str().unwrap()).filter(|t| t.kind != Kind::Installation) {
            token.revoked = true;
        }
    }
    (202, Some(json!({})))
}

/// https://docs.github.com/en/rest/apps/oauth-applications
fn application(state: &mut State, seen: &Seen) -> Told {
    let body: Value = serde_json::from_slice(&seen.body).unwrap();
    let secret = body["access_token"].as_str().unwrap_or_default();
    let Some(token) = state.tokens.get_mut(secret).filter(|t| t.kind == Kind::OAuth && !t.revoked) else {
        return error(if seen.method == "POST" { 404 } else { 422 }, "Not Found");
    };
    if seen.method == "DELETE" {
        token.revoked = true;
        return (204, None);
    }
    let scopes: Vec<&str> = token.scopes.split(", ").collect();
    let person = json!({ "login": token.person.login, "id": token.person.id });
    (
        200,
        Some(
            json!({ "id": token.id, "scopes": scopes, "token": "", "user": person, "app": { "client_id": CLIENT.0 } }),
        ),
    )
}

/// What an organisation's owner (a classic token with `admin:org`) or an app with the right may do.
fn organisation(state: &mut State, call: &Call<'_>, seen: &Seen, app: bool, secret: &str) -> Told {
    let admin = state.tokens[secret].scopes.contains("admin:org");
    let query = pairs(seen.target.split_once('?').map_or("", |(_, q)| q));
    let given = |name: &str| query.iter().find(|(n, _)| n == name).map(|(_, v)| v.clone());
    let last = seen.path().rsplit('/').next().unwrap().parse::<u64>().ok();
    if call.path.contains("/personal-access-tokens") && !app {
        // https://docs.github.com/en/rest/orgs/personal-access-tokens: only GitHub Apps can use these.
        return error(403, "Only GitHub Apps can use this endpoint");
    }
    if !app && !admin {
        return error(403, "Must have admin rights");
    }
    let alive = |(_, t): &(&String, &Token)| !t.revoked;
    match (seen.method.as_str(), call.path) {
        ("GET", "/orgs/{org}/personal-access-tokens") => {
            let wanted = given("token_id[]").or(given("token_id"));
            let fine = state.tokens.iter().filter(alive).filter(|(_, t)| t.kind == Kind::FineGrained);
            let fine = fine.filter(|(_, t)| !state.grants_revoked.contains(&t.id));
            let fine = fine.filter(|(_, t)| wanted.as_ref().is_none_or(|w| *w == t.id.to_string()));
            // The grant has an id of its own.
            let grant = |t: &Token| json!({ "id": t.id + 9000, "token_id": t.id, "owner": { "login": t.person.login, "id": t.person.id }, "permissions": {} });
            (200, Some(fine.map(|(_, t)| grant(t)).collect()))
        }
        ("POST", "/orgs/{org}/personal-access-tokens/{pat_id}") => {
            let grant = last.unwrap_or_default().saturating_sub(9000);
            if !state.tokens.values().any(|t| t.id == grant && t.kind == Kind::FineGrained && !t.revoked) {
                return error(404, "Not Found");
            }
            // The token loses the organisation; its owner keeps it for what is his own.
            state.grants_revoked.push(grant);
            (204, None)
        }
        ("GET", "/orgs/{org}/audit-log") => {
            let phrase = given("phrase").unwrap_or_default();
            let wanted = phrase.split("hashed_token:").nth(1).unwrap_or_default().trim_matches('"').to_owned();
            let hash = |s: &str| base64::engine::general_purpose::STANDARD.encode(sha2::Sha256::digest(s));
            let events = state.tokens.iter().filter(|(s, _)| hash(s) == wanted);
            (
                200,
                Some(
                    events
                        .map(|(_, t)| json!({ "token_id": t.id, "actor": t.person.login, "action": "git.clone" }))
                        .collect(),
                ),
            )
        }
        ("GET", "/orgs/{org}/credential-authorizations") => {
            let classic = state.tokens.iter().filter(alive).filter(|(_, t)| t.kind == Kind::Classic);
            let classic = classic.filter(|(_, t)| given("login").is_none_or(|l| l == t.person.login));
            let one = |(s, t): (&String, &Token)| {
                json!({ "login": t.person.login, "credential_id": t.id, "credential_type": "personal access token",
                        "token_last_eight": &s[s.len() - 8..], "scopes": t.scopes.split(", ").collect::<Vec<_>>() })
            };
            (200, Some(classic.map(one).collect()))
        }
        ("DELETE", "/orgs/{org}/credential-authorizations/{credential_id}") => {
            let found = state.tokens.values_mut().find(|t| Some(t.id) == last && t.kind == Kind::Classic);
            found.map_or_else(
                || error(404, "Not Found"),
                |t| {
                    t.revoked = true;
                    (204, None)
                },
            )
        }
        _ => error(404, "Not Found"),
    }
}
