//! Owners are told: once, by every channel, and never with the secret.

use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering::SeqCst};

use serde_json::{Value, json};
use unsprawl::respond::journal::Entry;

use crate::github::fake::{GitHub, Kind, Person};
use crate::incident::Incident;
use crate::servers::{fresh, get};
use crate::story::leak;
use crate::support::http::{Http, reply};
use crate::support::{Output, Repo, pat, write};

/// A revoked token of a person with this address, ready to be told.
struct Case {
    incident: Incident,
    token: String,
    _github: GitHub,
    _repo: Repo,
}

impl Case {
    fn new(email: &'static str) -> Self {
        let github = GitHub::start();
        let token = pat(&fresh("told"));
        github.token(
            &token,
            Kind::Classic,
            &Person { login: "alice", id: 5, name: "Alice Archer", email },
            "repo, user",
        );
        let repo = leak("deploy/<!channel>`x`.env", &format!("GH_TOKEN={token}\n"));
        let incident = Incident::new(&["--endpoint", &format!("github={}", github.url())]);
        incident.plan(&[&repo], &[]);
        incident.apply(&[]).all("revoked", 0);
        Self { incident, token, _github: github, _repo: repo }
    }

    fn notify(&self, channels: &str, flags: &[&str]) -> Output {
        let (plan, file) = (self.incident.path("plan.json"), self.incident.path("notify.toml"));
        write(&file, channels);
        let words = ["notify", plan.to_str().unwrap(), "--channels", file.to_str().unwrap()];
        self.incident.run(&[&words[..], flags].concat())
    }

    fn notified(&self) -> Vec<String> {
        let entries = self.incident.entries().into_iter();
        entries.filter_map(|e| if let Entry::Notified { channel, .. } = e { Some(channel) } else { None }).collect()
    }
}

#[test]
fn webhooks_are_told_once_and_what_they_refuse_comes_again() {
    let case = Case::new("alice@corp.example");
    let status = Arc::new(AtomicU16::new(500));
    let of = status.clone();
    let hooks = Http::start(move |seen| reply(if seen.path() == "/teams" { of.load(SeqCst) } else { 200 }, &[], "ok"));
    let (url, log) = (hooks.url(), case.incident.path("notices.jsonl"));
    for name in ["slack", "teams", "tickets"] {
        write(case.incident.path(name), format!("{url}/{name}\n"));
    }
    write(case.incident.path("bearer"), "a word that only the hook knows");
    let file = |name: &str| format!("{{ file = \"{}\" }}", case.incident.path(name).display());
    let channels = format!(
        "[[channel]]\nname = \"s\"\nkind = \"slack\"\nurl = {}\n[[channel]]\nname = \"t\"\nkind = \"teams\"\nurl = {}\n\
         [[channel]]\nname = \"w\"\nkind = \"webhook\"\nurl = {}\nbearer = {}\n\
         [[channel]]\nname = \"f\"\nkind = \"file\"\npath = \"{}\"\nformat = \"json\"\n",
        file("slack"),
        file("teams"),
        file("tickets"),
        file("bearer"),
        log.display()
    );
    let first = case.notify(&channels, &[]);
    assert_eq!(first.code, 3, "{}", first.stderr);
    assert!(
        first.stderr.contains("t: github.pat-classic") && first.stderr.contains("not sent: it answers 500"),
        "{}",
        first.stderr
    );
    assert!(!first.stderr.contains("/teams"), "the address of a webhook is a secret: {}", first.stderr);
    assert_eq!(case.notified(), ["s", "w", "f"]);
    status.store(200, SeqCst);
    assert_eq!(case.notify(&channels, &[]).code, 0);
    assert_eq!(case.notified(), ["s", "w", "f", "t"]);
    let third = case.notify(&channels, &[]);
    assert_eq!((third.code, third.stderr.as_str()), (0, ""));
    let seen = hooks.seen();
    let count = |path: &str| seen.iter().filter(|s| s.path() == path).count();
    assert_eq!((count("/slack"), count("/tickets"), count("/teams")), (1, 1, 2));
    let body = |path: &str| -> Value {
        serde_json::from_slice(&seen.iter().rfind(|s| s.path() == path).unwrap().body).unwrap()
    };
    let ticket = body("/tickets");
    assert_eq!(
        (&ticket["notice"]["outcome"], &ticket["notice"]["to"]),
        (&json!("revoked"), &json!("alice@corp.example"))
    );
    crate::support::schema("notice.v1", &ticket);
    assert!(
        seen.iter().filter(|s| s.path() == "/tickets").all(|s| s.header("authorization").starts_with("Bearer a word"))
    );
    assert!(body("/slack")["text"].as_str().unwrap().contains("it was ended"));
    assert_eq!(body("/teams")["attachments"][0]["content"]["type"], "AdaptiveCard");
    for seen in &seen {
        assert!(!String::from_utf8_lossy(&seen.body).contains(&case.token));
    }
    let line: Value = serde_json::from_slice(&std::fs::read(log).unwrap()).unwrap();
    assert_eq!(line["outcome"], "revoked");
    case.incident.holds_none_of(&[&case.token]);
}

#[test]
fn an_issue_text_is_shown_and_nothing_is_recorded() {
    let case = Case::new("alice@corp.example");
    let shown = case.notify("", &["--dry-run", "-f", "issue"]);
    let text = String::from_utf8(shown.stdout).unwrap();
    assert_eq!(shown.code, 0, "{}", shown.stderr);
    assert!(text.starts_with("Leaked credential: GitHub personal access token (classic)"), "{text}");
    assert!(text.contains("- Where: `` ") && text.contains("<!channel>`x`.env"), "{text}");
    assert!(case.notified().is_empty() && !text.contains(&case.token));
    let wrong = case.notify("[[channel]]\nname = \"x\"\nkind = \"slack\"\n", &[]);
    assert!(wrong.code == 2 && wrong.stderr.contains("notify.toml:1:1"), "{}", wrong.stderr);
}

#[test]
fn mail_reaches_the_owner() {
    let Some(server) = get("smtp") else { return };
    let owner: &'static str = Box::leak(format!("{}@corp.example", fresh("alice")).into_boxed_str());
    let case = Case::new(owner);
    let channels = format!(
        "[[channel]]\nname = \"mail\"\nkind = \"smtp\"\nhost = \"127.0.0.1\"\nport = {}\ntls = \"none\"\nfrom = \"Unsprawl <u@corp.example>\"\n",
        server.fact("port")
    );
    let sent = case.notify(&channels, &[]);
    assert_eq!(sent.code, 0, "{}", sent.stderr);
    assert_eq!(case.notify(&channels, &[]).code, 0);
    let mails: Vec<String> = std::fs::read_dir(server.fact("mail"))
        .unwrap()
        .map(|entry| String::from_utf8_lossy(&std::fs::read(entry.unwrap().path()).unwrap()).into_owned())
        .filter(|mail| mail.contains(owner))
        .collect();
    assert_eq!(mails.len(), 1, "once");
    let (head, _) = mails[0].split_once("\r\n\r\n").unwrap();
    assert!(head.contains(&format!("To: {owner}")) && head.contains("Subject: Leaked credential"), "{head}");
    assert!(!mails[0].contains(&case.token));
}
