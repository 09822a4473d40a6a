#![allow(clippy::unwrap_used)]

use proptest::prelude::*;

use super::*;
use crate::model::plan::PlanTarget;
use crate::model::{BoundTo, Checked, Confidence, Location, Owned, Owner, Person, Principal, TextSpan, Validity};
use crate::secret::{Fingerprinter, Secret};

const SPAN: TextSpan = TextSpan { start: 0, end: 9, line: 3, column: 1, end_line: 3, end_column: 9 };

pub fn finding(secret: &[u8], path: &str, name: &str, login: &str) -> Finding {
    let place = |path: &str| Location {
        target: 0,
        kind: PlaceKind::File,
        path: path.as_bytes().to_vec(),
        member: vec![],
        span: SPAN,
        encoding: vec![],
        git: None,
    };
    let person = Person { name: Some(name.into()), emails: vec!["jane@corp.example".into()], ..Person::default() };
    let owner = Owner { person: Some(person), ..Owner::default() };
    let principal = Principal { login: Some(login.into()), ..Principal::default() };
    Finding {
        rule: "a.b".into(),
        name: "A key".into(),
        issuer: "A".into(),
        docs: Some("https://a.example/docs".into()),
        confidence: Confidence::High,
        fingerprint: Fingerprinter::default().of(secret),
        secret: Secret::new(secret),
        parts: vec![],
        secrets: Vec::new(),
        encrypted: false,
        bound_to: BoundTo::User,
        checked: Checked { validity: Validity::Active, principal: Some(principal), ..Checked::default() },
        owned: Some(Owned { owner, ..Owned::default() }),
        locations: (0..7).map(|n| place(&format!("{path}{n}"))).collect(),
        exposure: None,
    }
}

fn item(action: Action) -> PlanItem {
    PlanItem {
        number: 1,
        finding: serde_json::Value::Null,
        action,
        ways: vec![],
        alternatives: vec![],
        asked: vec![],
        places: vec![],
        manual: None,
        protected: None,
        approvals: 0,
        breaks: vec![],
        decided_by: "default".into(),
    }
}

fn plan() -> Plan {
    Plan {
        schema: String::new(),
        version: 1,
        id: "0123456789abcdef".into(),
        created: String::new(),
        planner: String::new(),
        tool: String::new(),
        policy: None,
        require_approvals: 0,
        targets: vec![PlanTarget { name: "/srv/shop".into(), kind: "repository".into() }],
        items: vec![],
        left_out: vec![],
        approvals: vec![],
    }
}

fn of(finding: &Finding, outcome: Outcome) -> Message {
    message(&plan(), &item(Action::Revoke), finding, Some((outcome, Some("2026-01-02T03:04:05Z"))), "").unwrap()
}

#[test]
fn a_message_says_what_where_done_and_what_to_do() {
    let told = of(&finding(b"a-value-of-a-key", "deploy/x.env", "Jane Doe", "jane"), Outcome::Contained);
    let text = Template::new(TEMPLATE).unwrap().text(&told).unwrap();
    let expected = "\
Hello Jane Doe,

a credential of yours was found where others can read it.

What:    A key, a-…(16) (a.b)
Account: jane
Where:   /srv/shop: deploy/x.env0:3
         /srv/shop: deploy/x.env1:3
         /srv/shop: deploy/x.env2:3
         /srv/shop: deploy/x.env3:3
         /srv/shop: deploy/x.env4:3
         and 2 more
Since:   not known: it is in no history
Done:    It was disabled, and can be brought back: its issuer was seen to refuse it (2026-01-02T03:04:05Z).

What to do now:
1. Make a new one (https://a.example/docs) for what used it, and keep it in a secret store, not in a repository.
2. Take it out of the files.
3. Look at what was done with it since then: its issuer's log of your account.
4. If something important stopped, say so: it can be brought back.

Plan 0123456789abcdef, fingerprint ";
    assert!(text.starts_with(expected), "{text}");
    assert_eq!(told.subject(), "Leaked credential: A key a-…(16): it was disabled");
    assert_eq!(told.to, "jane@corp.example");
}

#[test]
fn what_was_not_seen_is_not_called_done() {
    let finding = finding(b"a-value-of-a-key", "x", "J", "j");
    for outcome in [Outcome::Accepted, Outcome::StillActive, Outcome::Failed, Outcome::Unknown] {
        let told = of(&finding, outcome);
        assert!(told.now[0].starts_with("End it yourself"), "{told:?}");
        assert!(told.subject().ends_with("it may still work"));
    }
    assert_eq!(message(&plan(), &item(Action::Revoke), &finding, Some((Outcome::Skipped, None)), ""), None);
    assert_eq!(message(&plan(), &item(Action::Manual), &finding, None, ""), None);
    let told = message(&plan(), &item(Action::Notify), &finding, None, "").unwrap();
    assert_eq!((told.outcome.as_str(), told.done.as_str()), (TOLD, "Nothing was done: it still works."));
}

#[test]
fn a_template_of_ones_own() {
    let told = of(&finding(b"a-value-of-a-key", "x", "J", "j"), Outcome::Revoked);
    let text = |t: &str| Template::new(t).and_then(|t| t.text(&told));
    assert_eq!(text("{{ owner }}: {{ rule }}").unwrap(), "J: a.b");
    assert!(text("{{ secret }}").is_err() && text("{{ what").is_err());
}

fn hostile() -> impl Strategy<Value = String> {
    prop_oneof![
        "\\PC{0,40}",
        "[`*_<>@!\\[\\]()#&|\u{0}-\u{1f}\u{202e}]{0,40}",
        Just("<!channel> @everyone [x](https://evil.example) ``` \r\nBcc: a@b.example\n\n# h".to_owned()),
    ]
}

proptest! {
    #[test]
    fn no_channel_shows_the_secret_or_lets_foreign_text_out(
        secret in "[0-9A-Za-z]{24,60}", path in hostile(), name in hostile(), login in hostile(),
    ) {
        let told = of(&finding(secret.as_bytes(), &path, &name, &login), Outcome::Revoked);
        let text = Template::new(TEMPLATE).unwrap().text(&told).unwrap();
        let slack = slack(&told, &text);
        let card = adaptive_card(&told, &text);
        let issue = issue(&told);
        for form in [&text, &slack.to_string(), &card.to_string(), &issue, &told.subject()] {
            for window in secret.as_bytes().windows(8) {
                prop_assert!(!form.as_bytes().windows(8).any(|w| w == window));
            }
            prop_assert!(!form.chars().any(|c| c != '\n' && c.is_control()), "{form:?}");
        }
        prop_assert!(!told.subject().contains('\n'));
        // Foreign text cannot begin a line of its own.
        prop_assert_eq!(text.lines().count(), 20 + usize::from(!told.account.is_empty()));
        prop_assert!(!slack["text"].as_str().unwrap().contains('<'));
        prop_assert!(slack["blocks"].as_array().unwrap().iter().all(|b| b["text"]["type"] == "plain_text"));
        // In the issue's list every row is one code span to its end.
        for row in issue.lines().filter(|l| l.starts_with("- Where: ")) {
            let code = &row["- Where: ".len()..];
            let fence = code.len() - code.trim_start_matches('`').len();
            let inner = &code[fence..code.len() - fence];
            prop_assert!(fence > 0 && code.ends_with(&"`".repeat(fence)));
            prop_assert!(inner.split(|c| c != '`').all(|run| run.len() != fence));
        }
    }
}
