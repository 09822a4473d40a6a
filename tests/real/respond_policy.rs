//! Policies at GitHub's fake: what they decide, and that apply holds every plan to them.

use serde_json::json;

use crate::github::fake::{GitHub, Kind, Person};
use crate::incident::Incident;
use crate::story::leak;
use crate::support::{Repo, pat, write};

const ALICE: Person = Person { login: "alice", id: 583_231, name: "Alice Archer", email: "alice@corp.example" };
const BOB: Person = Person { login: "bob", id: 7, name: "Bob Baker", email: "bob@corp.example" };

struct Case {
    github: GitHub,
    incident: Incident,
    policy: String,
    repos: [Repo; 2],
}

impl Case {
    /// A token of Alice's and one of Bob's, each in a repository.
    fn new() -> Self {
        let github = GitHub::start();
        let leaked = |person: &'static Person, path: &str| {
            let token = pat(&format!("policy {}", person.login));
            github.token(&token, Kind::Classic, person, "repo");
            leak(path, &format!("GH_TOKEN={token}\n"))
        };
        let repos = [leaked(&ALICE, "prod/deploy.env"), leaked(&BOB, "lab/x.env")];
        let incident = Incident::new(&["--endpoint", &format!("github={}", github.url())]);
        let policy = incident.path("policy.toml").to_str().unwrap().to_owned();
        Self { github, incident, policy, repos }
    }

    fn plan(&self, policy: Option<&str>) -> serde_json::Value {
        let repos = self.repos.each_ref();
        match policy {
            Some(text) => {
                write(&self.policy, text);
                self.incident.plan(&repos, &["--policy", &self.policy])
            }
            None => self.incident.plan(&repos, &[]),
        }
    }

    /// Outcomes in the order of the logins.
    fn apply(&self) -> (Vec<String>, i32, String) {
        let plan: serde_json::Value =
            serde_json::from_slice(&std::fs::read(self.incident.path("plan.json")).unwrap()).unwrap();
        let applied = self.incident.apply(&["--policy", &self.policy]);
        let mut outcomes: Vec<(String, String)> = Vec::new();
        for (item, done) in plan["items"].as_array().unwrap().iter().zip(&applied.items) {
            let text = |v: &serde_json::Value| v.as_str().unwrap_or_default().to_owned();
            let outcome = format!("{} {}", text(&done["outcome"]), text(&done["reason"]));
            outcomes.push((text(&item["finding"]["principal"]["login"]), outcome));
        }
        outcomes.sort();
        (outcomes.into_iter().map(|(_, outcome)| outcome).collect(), applied.code, applied.stderr)
    }
}

#[test]
fn each_credential_gets_what_the_first_fitting_rule_says() {
    let case = Case::new();
    let plan = case.plan(Some(
        r#"
        [[protect]]
        name = "alice"
        when = 'finding.principal.login == "alice"'
        why = "ask her first"
        [[rule]]
        name = "the lab"
        when = 'finding.paths.exists(p, p.startsWith("lab/"))'
        action = "revoke"
        "#,
    ));
    assert_eq!(plan["policy"]["name"], case.policy);
    let by: Vec<_> = plan["items"].as_array().unwrap().iter().map(|i| &i["decided_by"]).collect();
    assert!(by.contains(&&json!("alice")) && by.contains(&&json!("the lab")), "{by:?}");
    let (outcomes, code, stderr) = case.apply();
    assert_eq!((outcomes[0].as_str(), code), ("skipped protected: ask her first", 14), "{stderr}");
    assert!(outcomes[1].starts_with("revoked"), "{outcomes:?}");
    assert_eq!(case.github.revoked(), 1);
}

#[test]
fn a_plan_that_was_made_without_the_policy_is_held_to_it() {
    let case = Case::new();
    case.plan(None);
    for (policy, reason) in [
        (
            "[[rule]]\nname = \"tell\"\nwhen = 'true'\naction = \"notify\"\n",
            "`tell` of the policy does not let it be touched",
        ),
        ("[[rule]]\nname = \"soft\"\nwhen = 'true'\naction = \"contain\"\n", "only lets it be contained"),
        ("[[protect]]\nname = \"odd\"\nwhen = 'finding.x'\n", "cannot be evaluated"),
        ("approvals = 1\n", "it needs 1 approvals and has 0"),
        ("kill_switch = true\n", "the kill switch of"),
        ("most_revocations = 0\n", "no more than 0"),
    ] {
        write(&case.policy, policy);
        let (outcomes, code, stderr) = case.apply();
        assert_eq!(code, 14, "{policy}: {stderr}");
        assert!(outcomes.iter().all(|o| o.starts_with("skipped") && o.contains(reason)), "{policy}: {outcomes:?}");
    }
    assert_eq!((case.github.revoked(), case.incident.intents()), (0, 0));
    write(&case.policy, "approvals = \"one\"\n");
    let (outcomes, code, stderr) = case.apply();
    assert!(code == 2 && outcomes.is_empty() && stderr.contains("policy.toml:1:13"), "{code} {stderr}");
    write(&case.policy, "");
    let (outcomes, code, _) = case.apply();
    assert_eq!((outcomes.len(), code, case.github.revoked()), (2, 0, 2));
}

#[test]
fn a_plan_under_pseudonyms_is_refused() {
    let case = Case::new();
    let plan = case.incident.path("plan.json");
    let repo = case.repos[0].dir.to_str().unwrap();
    let refused = case.incident.run(&["plan", "--pseudonymize", "-o", plan.to_str().unwrap(), repo]);
    assert!(refused.code == 2 && refused.stderr.contains("whether an owner approves"), "{}", refused.stderr);
    assert!(!plan.exists());
}

#[test]
fn a_policy_that_got_a_fault_stops_everything() {
    let case = Case::new();
    let plan = case.plan(None);
    assert_eq!(plan["items"].as_array().unwrap().len(), 2);
    // A switch that somebody meant to turn, and turned wrongly.
    for text in ["kill_switch = \"on\"\n", "kill_swich = true\n"] {
        write(&case.policy, text);
        let (outcomes, code, stderr) = case.apply();
        assert!(code == 2 && outcomes.is_empty() && stderr.contains("policy.toml:1:"), "{code} {stderr}");
    }
    assert_eq!(case.github.revoked(), 0);
}
