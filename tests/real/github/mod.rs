//! GitHub, as its own description has it.

pub mod contract;
pub mod fake;

use base64::Engine;
use serde_json::json;
use sha2::Digest;

use crate::story::{active, finding, inactive, leak};
use crate::support::tokens::Random;
use crate::support::{pat, unsprawl};
use fake::{GitHub, Kind, Person};

const ALICE: Person = Person { login: "alice", id: 583_231, name: "Alice Archer", email: "alice@corp.example" };

#[test]
fn a_classic_token_is_active_with_its_person_until_it_is_revoked() {
    let github = GitHub::start();
    let token = pat("a classic token at the fake");
    github.token(&token, Kind::Classic, &ALICE, "repo, user");
    let repo = leak("deploy.sh", &format!("export GH_TOKEN={token}\n"));
    let endpoint = format!("github={}", github.url());
    let flags = ["--endpoint", &endpoint];
    let first = finding(&repo, &flags, "github.pat-classic", &token);
    let person = [("/login", "alice"), ("/id", "583231"), ("/name", "Alice Archer"), ("/email", "alice@corp.example")];
    active(&first, &person);
    assert_eq!(first["principal"]["scopes"], json!(["repo", "user"]));
    by_hand(&github, "POST", "/credentials/revoke", None, &json!({ "credentials": [token] }), 202);
    inactive(&finding(&repo, &flags, "github.pat-classic", &token));
}

#[test]
fn an_installation_token_is_told_apart_from_a_user() {
    let github = GitHub::start();
    let token = format!("ghs_{}", &pat("an installation token at the fake")[4..]);
    github.token(&token, Kind::Installation, &ALICE, "");
    let repo = leak("ci.env", &format!("TOKEN={token}\n"));
    let endpoint = format!("github={}", github.url());
    let flags = ["--endpoint", &endpoint];
    let first = finding(&repo, &flags, "github.app-installation-token", &token);
    active(&first, &[]);
    by_hand(&github, "DELETE", "/installation/token", Some(&token), &json!(null), 204);
    inactive(&finding(&repo, &flags, "github.app-installation-token", &token));
}

#[test]
fn many_tokens_are_each_asked_about_once() {
    let github = GitHub::start();
    let tokens: Vec<String> = (0..50).map(|n| pat(&format!("one of many {n}"))).collect();
    for token in tokens.iter().step_by(2) {
        github.token(token, Kind::Classic, &ALICE, "repo");
    }
    let text: String = tokens.iter().map(|t| format!("GH_TOKEN={t}\n")).collect();
    let mut repo = leak("tokens.txt", &text);
    repo.put("again.txt", &text);
    let scan = unsprawl(["--allow-internal", "--endpoint"])
        .env("UNSPRAWL_OFFLINE", "0")
        .arg(format!("github={}", github.url()))
        .arg(&repo.dir)
        .scan();
    for (n, token) in tokens.iter().enumerate() {
        let found = scan.report["findings"].as_array().unwrap().iter().find(|f| f["secret"] == token.as_str()).unwrap();
        assert_eq!(found["validity"]["state"], if n % 2 == 0 { "active" } else { "inactive" });
    }
    let asked: std::collections::BTreeSet<_> =
        github.calls("GET", "/user").iter().map(|s| s.header("authorization").to_owned()).collect();
    assert_eq!((asked.len(), github.calls("GET", "/user").len()), (50, 50));
}

/// A call without unsprawl.
fn by_hand(github: &GitHub, method: &str, path: &str, bearer: Option<&str>, body: &serde_json::Value, status: u16) {
    let mut request = crate::servers::Request::to(&github.url(), method, path).header("User-Agent", "by hand");
    if let Some(token) = bearer {
        request = request.bearer(token);
    }
    if !body.is_null() {
        request = request.json(body.clone());
    }
    request.expect(&[status]);
}

#[test]
fn the_fake_refuses_what_github_does_not_know_or_allow() {
    let github = GitHub::start();
    let token = pat("for calls by hand");
    github.token(&token, Kind::Classic, &ALICE, "repo");
    let one = json!({ "credentials": [token] });
    let many =
        |n: usize| json!({ "credentials": (0..n).map(|i| Random::of(&i.to_string()).base62(40)).collect::<Vec<_>>() });
    let refused = |fault: &str| {
        let faults = github.faults();
        assert!(faults.len() == 1 && faults[0].contains(fault), "{fault}: {faults:?}");
    };
    by_hand(&github, "GET", "/users/me", None, &json!(null), 500);
    refused("no such path");
    by_hand(&github, "PUT", "/user", Some(&token), &json!(null), 500);
    refused("/user has no put");
    by_hand(&github, "GET", "/user?page=2", Some(&token), &json!(null), 500);
    refused("no such parameter: page");
    by_hand(&github, "GET", "/user/orgs?per_page=many", Some(&token), &json!(null), 500);
    refused("per_page");
    by_hand(&github, "POST", "/credentials/revoke", None, &json!({ "tokens": ["x"] }), 500);
    refused("post /credentials/revoke");
    by_hand(&github, "POST", "/credentials/revoke", None, &many(0), 500);
    refused("minItems");
    by_hand(&github, "POST", "/credentials/revoke", None, &many(1001), 500);
    refused("maxItems");
    by_hand(&github, "POST", "/credentials/revoke", Some(&token), &one, 403);
    refused("with an Authorization header");
    assert_eq!(github.revoked(), 0);
    by_hand(&github, "POST", "/credentials/revoke", None, &many(1000), 202);
    by_hand(&github, "POST", "/credentials/revoke", None, &one, 202);
    assert_eq!(github.revoked(), 1);
    by_hand(&github, "GET", "/user", Some(&token), &json!(null), 401);
}

#[test]
fn a_reply_that_github_would_not_give_is_a_fault() {
    let contract = contract::Contract::read();
    let seen = crate::support::http::Seen {
        method: "GET".into(),
        target: "/user".into(),
        headers: vec![("user-agent".into(), "x".into())],
        body: Vec::new(),
        to: ([127, 0, 0, 1], 1).into(),
        connection: 0,
    };
    let call = contract.request(&seen).unwrap();
    let right = contract.complete(&call, 200, json!({ "login": "alice", "two_factor_authentication": true }));
    assert_eq!(contract.reply(&call, 200, Some(&right)), Ok(()));
    let mut wrong = right.clone();
    wrong["id"] = json!("a text");
    for (status, body) in
        [(200, Some(&wrong)), (200, Some(&json!({ "login": "alice" }))), (200, None), (202, Some(&right)), (418, None)]
    {
        assert!(contract.reply(&call, status, body).is_err(), "{status}");
    }
}

#[test]
fn an_organisation_ends_only_the_token_that_is_named() {
    let github = GitHub::start();
    let (app, owner) = ("ghs_".to_owned() + &Random::of("app").base62(36), pat("an owner"));
    let fine = |word: &str| format!("github_pat_{}_{}", Random::of(word).base62(22), Random::of(word).base62(59));
    let (first, second) = (fine("first"), fine("second"));
    let bob = Person { login: "bob", id: 7, name: "Bob Baker", email: "bob@corp.example" };
    github.token(&app, Kind::Installation, &ALICE, "");
    github.token(&owner, Kind::Classic, &ALICE, "admin:org");
    github.token(&first, Kind::FineGrained, &ALICE, "");
    github.token(&second, Kind::FineGrained, &bob, "");
    let get = |path: &str, token: &str| {
        crate::servers::Request::to(&github.url(), "GET", path).header("User-Agent", "by hand").bearer(token).send()
    };
    let grants = get("/orgs/corp/personal-access-tokens", &app).body;
    assert_eq!(grants.as_array().unwrap().len(), 2);
    assert_eq!(get("/orgs/corp/personal-access-tokens", &owner).status, 403);
    let of_bob = grants.as_array().unwrap().iter().find(|g| g["owner"]["login"] == "bob").unwrap();
    let path = format!("/orgs/corp/personal-access-tokens/{}", of_bob["id"]);
    by_hand(&github, "POST", &path, Some(&app), &json!({ "action": "revoke" }), 204);
    let left = get("/orgs/corp/personal-access-tokens", &app).body;
    assert_eq!(left.as_array().unwrap().len(), 1);
    assert_eq!(left[0]["owner"]["login"], "alice");
    let hash = base64::engine::general_purpose::STANDARD.encode(sha2::Sha256::digest(&first));
    let phrase = format!("hashed_token:\"{hash}\"").replace('+', "%2B").replace('"', "%22");
    let seen = get(&format!("/orgs/corp/audit-log?phrase={phrase}&per_page=1"), &owner).body;
    assert_eq!((&seen[0]["actor"], &seen[0]["token_id"]), (&json!("alice"), &left[0]["token_id"]));
    let known = get("/orgs/corp/credential-authorizations?login=alice&per_page=100", &owner).body;
    assert_eq!(known.as_array().unwrap().len(), 1);
}

#[test]
fn an_application_ends_the_tokens_that_it_gave() {
    let github = GitHub::start();
    let token = format!("gho_{}", &pat("a token of an application")[4..]);
    github.token(&token, Kind::OAuth, &ALICE, "repo, user");
    let path = format!("/applications/{}/token", fake::CLIENT.0);
    let call = |method: &str, secret: &str| {
        let request = crate::servers::Request::to(&github.url(), method, &path).header("User-Agent", "by hand");
        request.basic(fake::CLIENT.0, secret).json(json!({ "access_token": token })).send()
    };
    let known = call("POST", fake::CLIENT.1);
    assert_eq!((known.status, &known.body["user"]["login"]), (200, &json!("alice")));
    assert_eq!(call("DELETE", "not the client's secret").status, 401);
    assert_eq!(github.revoked(), 0);
    assert_eq!(call("DELETE", fake::CLIENT.1).status, 204);
    assert_eq!(call("POST", fake::CLIENT.1).status, 404);
}

#[test]
fn many_tokens_are_revoked_a_thousand_in_a_call_and_without_authorization() {
    let github = GitHub::start();
    let tokens: Vec<String> = (0..1500).map(|n| pat(&format!("bulk {n}"))).collect();
    tokens.iter().for_each(|token| github.token(token, Kind::Classic, &ALICE, "repo"));
    let neighbour = pat("not in the bulk");
    github.token(&neighbour, Kind::Classic, &ALICE, "repo");
    let of = |token: &str| crate::acting::Leaked::new("github", "pat-classic", token).at("api", &github.url());
    let all: Vec<&str> = tokens.iter().map(String::as_str).collect();
    let leaked = of(all[0]);
    // More than the API takes are refused before anything is sent.
    let acted = leaked.act_on("credential-api", &all[..1001]);
    assert_eq!((acted.outcome, acted.sent), (unsprawl::verify::steps::Outcome::Refused, false));
    for batch in all.chunks(1000) {
        let acted = leaked.act_on("credential-api", batch);
        assert_eq!(acted.outcome, unsprawl::verify::steps::Outcome::Done, "{acted:?}");
    }
    let calls = github.calls("POST", "/credentials/revoke");
    assert_eq!(calls.len(), 2);
    assert_eq!(github.revoked(), 1500);
    of(all[1499]).is_dead();
    of(&neighbour).works();
}

#[test]
fn an_organisation_closes_itself_to_the_leaked_token_and_no_other() {
    use unsprawl::verify::steps::Outcome;
    let github = GitHub::start();
    let (app, admin) = (format!("ghs_{}", &pat("responder app")[4..]), pat("no app"));
    github.token(&app, Kind::Installation, &ALICE, "");
    github.token(&admin, Kind::Classic, &ALICE, "admin:org, read:audit_log");
    let fine = |word: &str| format!("github_pat_{}_{}", Random::of(word).base62(22), Random::of(word).base62(59));
    // The leaked one is neither the first nor the last of the list.
    let tokens = ["grant one", "grant two", "grant three"].map(fine);
    tokens.iter().for_each(|token| github.token(token, Kind::FineGrained, &ALICE, ""));
    let of = |token: &str, responder: &str| {
        let leaked = crate::acting::Leaked::new("github", "pat-fine-grained", token).at("api", &github.url());
        leaked.admin("app_token", responder).admin("org", fake::ORG)
    };
    let grants = || {
        let request = crate::servers::Request::to(&github.url(), "GET", "/orgs/corp/personal-access-tokens");
        let list = request.header("User-Agent", "by hand").bearer(&app).send().body;
        list.as_array().unwrap().iter().map(|g| g["token_id"].as_u64().unwrap()).collect::<Vec<_>>()
    };
    let before = grants();
    assert_eq!(before.len(), 3);
    of(&tokens[1], &admin).does("organisation-access", Outcome::Refused, "");
    assert_eq!(grants(), before);
    of(&tokens[1], &app).does("organisation-access", Outcome::Done, "");
    // Ids are given in order: two of the responder, then these.
    let left: Vec<u64> = before.iter().copied().filter(|id| *id != 103).collect();
    assert_eq!((grants(), left.len()), (left.clone(), 2));
    // The token lives on for what is its owner's own: contained, not revoked.
    of(&tokens[1], &app).works();
    of(&fine("not of this organisation"), &app).does("organisation-access", Outcome::Refused, "nothing was changed");
    assert_eq!(grants(), left);
}

#[test]
fn a_token_is_at_home_at_one_of_several_instances() {
    let (ghes, public) = (GitHub::start(), GitHub::start());
    let (here, nowhere) = (pat("at the second instance"), pat("at no instance"));
    public.token(&here, Kind::Classic, &ALICE, "repo");
    let repo = leak("ci.env", &format!("A_TOKEN={here}\nB_TOKEN={nowhere}\n"));
    let (first, second) = (format!("github={}", ghes.url()), format!("github={}", public.url()));
    let both = ["--endpoint", first.as_str(), "--endpoint", second.as_str()];
    active(&finding(&repo, &both, "github.pat-classic", &here), &[("/login", "alice")]);
    inactive(&finding(&repo, &both, "github.pat-classic", &nowhere));
    // At one instance alone it looks dead, and the report says where that was.
    let one = finding(&repo, &both[..2], "github.pat-classic", &here);
    inactive(&one);
    assert!(one["checked"]["remark"].as_str().unwrap().contains(&format!("asked at {} only", ghes.url())), "{one}");
}
