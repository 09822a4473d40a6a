//! GitHub's credentials ended through plan and apply, at the fake that GitHub's own description judges.

use serde_json::{Value, json};

use crate::github::fake::{GitHub, Kind, Person};
use crate::incident::{Incident, planned};
use crate::story::leak;
use crate::support::pat;

const ALICE: Person = Person { login: "alice", id: 583_231, name: "Alice Archer", email: "alice@corp.example" };

/// Classic tokens of Alice's, leaked in one file.
fn leaked(github: &GitHub, word: &str, count: usize) -> (Vec<String>, crate::support::Repo) {
    let tokens: Vec<String> = (0..count).map(|n| pat(&format!("{word} {n}"))).collect();
    tokens.iter().for_each(|token| github.token(token, Kind::Classic, &ALICE, "repo"));
    let text: String = tokens.iter().map(|t| format!("GH_TOKEN={t}\n")).collect();
    let repo = leak("tokens.txt", &text);
    (tokens, repo)
}

fn incident(github: &GitHub) -> Incident {
    Incident::new(&["--endpoint", &format!("github={}", github.url())])
}

#[test]
fn a_plan_holds_no_secret_and_nothing_is_sent_before_apply() {
    let github = GitHub::start();
    let (tokens, repo) = leaked(&github, "planned", 3);
    let incident = incident(&github);
    let plan = incident.plan(&[&repo], &[]);
    planned(&plan, "revoke", "credential-api");
    assert_eq!(plan["items"].as_array().unwrap().len(), 3);
    assert_eq!(plan["items"][0]["finding"]["principal"]["login"], "alice");
    assert_eq!(plan["items"][0]["places"], json!([github.url()]));
    let dry = incident.apply(&["--dry-run"]);
    dry.all("ready", 0);
    assert!(!incident.path("state/unsprawl/journal.jsonl").exists(), "a dry run writes no journal");
    assert_eq!((github.revoked(), github.calls("POST", "/credentials/revoke").len()), (0, 0));
    // Without a yes, nothing.
    let plan_file = incident.path("plan.json");
    let asked = incident.run(&["apply", plan_file.to_str().unwrap()]);
    assert_eq!(asked.code, 2, "{}", asked.stderr);
    assert!(asked.stderr.contains("cannot be undone"), "{}", asked.stderr);
    assert_eq!(github.revoked(), 0);
    incident.apply(&[]).all("revoked", 0);
    assert_eq!((github.revoked(), github.calls("POST", "/credentials/revoke").len()), (3, 1));
    assert_eq!(incident.intents(), 1);
    // Once more: they are dead, and nothing is sent.
    incident.apply(&[]).all("revoked", 0).because("inactive before anything was sent");
    assert_eq!(github.calls("POST", "/credentials/revoke").len(), 1);
    incident.holds_none_of(&tokens.iter().map(String::as_str).collect::<Vec<_>>());
}

#[test]
fn fifteen_hundred_tokens_go_in_two_calls_without_authorization() {
    let github = GitHub::start();
    let (_, repo) = leaked(&github, "bulk", 1500);
    let neighbour = pat("not leaked");
    github.token(&neighbour, Kind::Classic, &ALICE, "repo");
    let incident = incident(&github).approved();
    incident.plan(&[&repo], &[]);
    let applied = incident.apply(&["-q"]);
    applied.all("revoked", 0);
    assert_eq!(applied.items.len(), 1500);
    let calls = github.calls("POST", "/credentials/revoke");
    assert_eq!(calls.len(), 2);
    assert!(calls.iter().all(|c| c.header("authorization").is_empty()));
    assert_eq!((github.revoked(), incident.intents()), (1500, 2));
}

#[test]
fn a_place_that_changed_after_the_plan_is_told_and_nothing_else_is_touched() {
    let github = GitHub::start();
    let token = pat("in a file");
    github.token(&token, Kind::Classic, &ALICE, "repo");
    let dir = crate::support::folder();
    let file = dir.path().join("deploy.env");
    std::fs::write(&file, format!("GH_TOKEN={token}\n")).unwrap();
    let incident = incident(&github);
    let plan = incident.path("plan.json");
    let made = incident.run(&["plan", "-o", plan.to_str().unwrap(), dir.path().to_str().unwrap()]);
    assert_eq!(made.code, 0, "{}", made.stderr);
    // Rewritten with another live token, which is in no plan.
    let other = pat("another one");
    github.token(&other, Kind::Classic, &ALICE, "repo");
    std::fs::write(&file, format!("GH_TOKEN={other}\n")).unwrap();
    incident.apply(&[]).all("failed", 12).because("--secret-from");
    assert_eq!(github.revoked(), 0);
    let given = incident.path("given");
    std::fs::write(&given, &token).unwrap();
    incident.apply(&["--secret-from", given.to_str().unwrap()]).all("revoked", 0);
    assert_eq!(github.revoked(), 1);
    std::fs::remove_file(given).unwrap();
    incident.holds_none_of(&[&token, &other]);
}

#[test]
fn another_account_behind_the_token_stops_it() {
    let github = GitHub::start();
    let (_, repo) = leaked(&github, "moved", 1);
    let incident = incident(&github);
    let mut plan = incident.plan(&[&repo], &[]);
    plan["items"][0]["finding"]["principal"]["id"] = json!("1");
    std::fs::write(incident.path("plan.json"), plan.to_string()).unwrap();
    incident.apply(&[]).all("failed", 12).because("not the account of the plan");
    assert_eq!((github.revoked(), incident.intents()), (0, 0));
}

#[test]
fn what_may_be_done_is_bounded() {
    let github = GitHub::start();
    let (_, repo) = leaked(&github, "bounded", 3);
    let incident = incident(&github);
    incident.plan(&[&repo], &["--require-approvals", "1"]);
    incident.apply(&[]).all("skipped", 14).because("approvals");
    incident.plan(&[&repo], &[]);
    incident.apply(&["--most", "2"]).all("skipped", 14).because("no more than 2");
    assert_eq!((github.revoked(), incident.intents()), (0, 0));
}

#[test]
fn a_request_that_would_go_elsewhere_than_the_plan_says_is_not_sent() {
    let (github, other) = (GitHub::start(), GitHub::start());
    let (tokens, repo) = leaked(&github, "elsewhere", 1);
    other.token(&tokens[0], Kind::Classic, &ALICE, "repo");
    let first = incident(&github);
    first.plan(&[&repo], &[]);
    let second = incident(&other);
    std::fs::copy(first.path("plan.json"), second.path("plan.json")).unwrap();
    second.apply(&[]).all("failed", 12).because("the plan was made by asking at http");
    assert_eq!((other.revoked(), github.revoked(), second.intents()), (0, 0, 0));
    assert!(other.all().is_empty(), "the token went to somebody who was not asked before");
    // An instance that does not know the token says nothing about it: it is not revoked by that.
    let stranger = GitHub::start();
    let third = incident(&stranger);
    std::fs::copy(first.path("plan.json"), third.path("plan.json")).unwrap();
    third.apply(&[]).all("failed", 12).because("give the same endpoints");
    assert!(stranger.all().is_empty());
    // Nor may a plan be led elsewhere by what it says of where to act alone.
    let mut plan: Value = serde_json::from_slice(&std::fs::read(first.path("plan.json")).unwrap()).unwrap();
    plan["items"][0]["places"] = json!([other.url()]);
    std::fs::write(second.path("plan.json"), plan.to_string()).unwrap();
    let flags = ["--endpoint", &format!("github={}", github.url())].map(str::to_owned);
    let fourth = Incident::new(&flags.each_ref().map(String::as_str));
    std::fs::copy(second.path("plan.json"), fourth.path("plan.json")).unwrap();
    fourth.apply(&[]).all("failed", 12).because("the plan says http");
    assert_eq!((other.revoked(), github.revoked()), (0, 0));
    // What a rule does may not have become another thing.
    let mut plan: Value = serde_json::from_slice(&std::fs::read(first.path("plan.json")).unwrap()).unwrap();
    plan["items"][0]["ways"][0]["effect"] = json!("contain");
    std::fs::write(first.path("plan.json"), plan.to_string()).unwrap();
    first.apply(&[]).all("failed", 12).because("the rule file has changed");
    assert_eq!(github.revoked(), 0);
}

#[test]
fn two_applies_at_once_exclude_each_other() {
    let github = GitHub::start();
    let (_, repo) = leaked(&github, "at once", 1);
    let incident = incident(&github);
    incident.plan(&[&repo], &[]);
    incident.apply(&["--dry-run"]).all("ready", 0);
    let journal = incident.path("state/unsprawl/journal.jsonl");
    let held = unsprawl::respond::journal::Journal::open(&journal).unwrap();
    let refused = incident.apply(&[]);
    assert!(refused.code == 2 && refused.stderr.contains("in use"), "{} {}", refused.code, refused.stderr);
    drop(held);
    incident.apply(&[]).all("revoked", 0);
}

#[test]
fn a_plan_of_a_later_form_is_refused_with_its_place() {
    let github = GitHub::start();
    let (_, repo) = leaked(&github, "form", 1);
    let incident = incident(&github);
    let plan = incident.plan(&[&repo], &[]);
    let path = incident.path("plan.json");
    let refused = |change: &dyn Fn(&mut Value)| {
        let mut plan = plan.clone();
        change(&mut plan);
        std::fs::write(&path, plan.to_string()).unwrap();
        let output = incident.apply(&[]);
        assert_eq!((output.code, output.items.len()), (2, 0), "{}", output.stderr);
    };
    refused(&|p| p["version"] = json!(2));
    refused(&|p| p["items"][0]["force"] = json!(true));
    refused(&|p| p["items"][0]["action"] = json!("explode"));
    refused(&|p| p["items"][0]["finding"] = json!({}));
    assert_eq!(github.revoked(), 0);
}

#[test]
fn an_organisation_closes_itself_to_one_token_and_its_list_is_the_proof() {
    use crate::github::fake::ORG;
    use crate::support::tokens::Random;
    let github = GitHub::start();
    let app = format!("ghs_{}", &pat("responder of an organisation")[4..]);
    github.token(&app, Kind::Installation, &ALICE, "");
    let fine = |word: &str| format!("github_pat_{}_{}", Random::of(word).base62(22), Random::of(word).base62(59));
    let tokens = ["org one", "org two", "org three"].map(fine);
    tokens.iter().for_each(|token| github.token(token, Kind::FineGrained, &ALICE, ""));
    let repo = leak("ci.env", &format!("GH_TOKEN={}\n", tokens[1]));
    let incident = incident(&github).approved().admin("UNSPRAWL_GITHUB_ORG", ORG);
    let incident = incident.admin("UNSPRAWL_GITHUB_APP_TOKEN", &app);
    planned(
        &incident.plan(&[&repo], &["--way", "github.pat-fine-grained=organisation-access"]),
        "contain",
        "organisation-access",
    );
    incident.apply(&["--dry-run"]).all("ready", 0);
    incident.apply(&[]).all("contained", 0).because("the list does not hold this credential");
    // It is not there any more: nothing is sent again.
    incident.apply(&[]).all("contained", 0);
    let changing = |path: &str| path.starts_with("/orgs/corp/personal-access-tokens/");
    assert_eq!(github.all().iter().filter(|s| s.method == "POST" && changing(s.path())).count(), 1);
    incident.holds_none_of(&[&tokens[1], &app]);
}
