#![allow(clippy::unwrap_used)]

use serde_json::json;

use super::*;

fn sample() -> serde_json::Value {
    json!({
        "rule": "aws.secret-access-key", "issuer": "aws", "validity": "active", "severity": "critical",
        "posture": ["orphaned", "still-present"], "paths": ["prod/terraform.tfvars"], "exposed_days": 40, "places": 3,
        "owner": { "known": true, "email": "jane@corp.example", "emails": ["jane@corp.example"], "state": "departed", "since": "2026-10-31", "team": "payments" },
        "principal": { "login": "jane", "scopes": [] }, "at_head": true,
    })
}

fn decide(text: &str) -> Decision {
    Policy::parse("policy.toml", text).unwrap().decide(&sample())
}

#[test]
fn the_first_rule_that_fits_decides() {
    let policy = r#"
        approvals = 1
        [[rule]]
        name = "other issuers"
        when = 'finding.issuer == "github"'
        action = "leave"
        [[rule]]
        name = "people who left"
        when = '"orphaned" in finding.posture && finding.owner.state == "departed"'
        action = "revoke"
        approvals = 2
        way = "delete"
        [[rule]]
        name = "the rest"
        when = 'true'
        action = "notify"
    "#;
    let decision = decide(policy);
    assert_eq!((decision.wish, decision.approvals, decision.by.as_str()), (Wish::Revoke, 2, "people who left"));
    assert_eq!((decision.way.as_deref(), decision.protected), (Some("delete"), None));
    let none = decide("approvals = 3");
    assert_eq!((none.wish, none.approvals, none.by.as_str()), (Wish::Default, 3, "default"));
}

#[test]
fn what_cel_can_say() {
    for (when, fits) in [
        ("finding.owner.email.endsWith('@corp.example')", true),
        ("finding.paths.exists(p, p.startsWith('prod/'))", true),
        ("finding.paths.all(p, p.matches('^test/'))", false),
        ("finding.exposed_days > 30 && finding.places >= 3", true),
        ("finding.severity in ['critical', 'high']", true),
        ("size(finding.principal.scopes) == 0 && finding.at_head", true),
        ("finding.owner.since < '2026-11-01' && finding.owner.since >= '2026-10-31'", true),
        ("size(finding.paths.filter(p, p.endsWith('.tfvars'))) == 1", true),
        ("finding.owner.team == 'payments' ? finding.issuer == 'gcp' : false", false),
    ] {
        let text = format!("[[rule]]\nname = \"r\"\nwhen = '''{when}'''\naction = \"contain\"\n");
        let decision = decide(&text);
        assert_eq!((decision.by == "r", decision.protected), (fits, None), "{when}");
    }
}

#[test]
fn what_cannot_be_told_protects() {
    for when in [
        "finding.nothing == 1",
        "finding.owner.mail == 'x'",
        "finding.severity",
        "finding.severity > 3",
        "1 / 0 == 1",
        "size(finding.places) > 1",
        "unknown_function(finding)",
        "findings.rule == 'x'",
    ] {
        for head in ["[[protect]]\nname = \"p\"", "[[rule]]\naction = \"revoke\"\nname = \"p\""] {
            let decision = decide(&format!("{head}\nwhen = '''{when}'''\n"));
            assert!(decision.protected.as_deref().unwrap_or_default().contains("cannot be evaluated"), "{when}");
            assert_eq!((decision.wish, decision.by.as_str()), (Wish::Default, "p"), "{when}");
        }
    }
}

#[test]
fn what_protects_comes_before_every_rule() {
    let decision = decide(
        r#"
        [[rule]]
        name = "all"
        when = 'true'
        action = "revoke"
        [[protect]]
        name = "break-glass"
        when = 'finding.principal.login == "root"'
        [[protect]]
        name = "payments"
        when = 'finding.owner.team == "payments"'
        why = "call the payments desk first"
    "#,
    );
    assert_eq!(decision.protected.as_deref(), Some("call the payments desk first"));
    assert_eq!(decision.by, "payments");
}

#[test]
fn faults_have_their_place() {
    for (text, line, column, says) in [
        ("kill_switch = 1\n", 1, 15, "invalid type"),
        ("\nmost = 3\n", 2, 1, "unknown field"),
        ("[[rule]]\nname = \"x\"\nwhen = 'true'\naction = \"explode\"\n", 4, 10, "unknown variant"),
        ("[[rule]]\nname = \"x\"\nwhen = 'finding.rule ==' \naction = \"revoke\"\n", 3, 8, "no condition in CEL"),
        ("[[protect]]\nname = \"x\"\nwhen = '((('\n", 3, 8, "no condition in CEL"),
        ("[[protect]]\nname = \"x\"\n", 1, 1, "missing field"),
    ] {
        let fault = Policy::parse("policy.toml", text).unwrap_err();
        assert_eq!((fault.line, fault.column), (line, column), "{fault}");
        assert!(fault.message.contains(says), "{fault}");
    }
    assert!(Policy::read(std::path::Path::new("/nonexistent")).unwrap_err().message.contains("cannot be read"));
}

#[test]
fn the_bounds_of_a_run() {
    let policy = Policy::parse("p", "kill_switch = true\nmost_revocations = 5\n").unwrap();
    assert_eq!((policy.kill_switch(), policy.most_revocations(), policy.sha256().len()), (true, Some(5), 64));
}

#[test]
fn the_example_of_the_documentation_is_a_policy() {
    let page = include_str!("../../../docs/policy.md");
    let example = page.split("```toml\n").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
    let policy = Policy::parse("docs/policy.md", example).unwrap();
    let person = crate::respond::notify::tests::finding(b"a-value-of-a-key", "prod/x.env", "Jane", "root");
    let facts = facts(&person, &["/srv/sandbox".to_owned()], 0);
    // Every field of the page is there, and no condition of the example fails for want of one.
    for field in page.lines().filter_map(|l| l.strip_prefix("| `")).map(|l| l.split('|').next().unwrap_or_default()) {
        for name in field.split(',').map(|n| n.trim().trim_matches('`')) {
            assert!(facts.get(name).is_some(), "{name}");
        }
    }
    let decision = policy.decide(&facts);
    assert_eq!(
        (decision.by.as_str(), decision.protected.as_deref()),
        ("break-glass account", Some("call the on-call lead"))
    );
    let other = crate::respond::notify::tests::finding(b"a-value-of-a-key", "prod/x.env", "Jane", "jane");
    let decision = policy.decide(&super::facts(&other, &["/srv/sandbox".to_owned()], 0));
    assert_eq!((decision.by.as_str(), decision.wish, decision.protected), ("sandboxes", Wish::Notify, None));
}
