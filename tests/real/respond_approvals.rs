//! Approvals with OpenSSH's own keys, at GitHub's fake: who counts, and what takes a signature away.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::github::fake::{GitHub, Kind, Person};
use crate::incident::Incident;
use crate::story::leak;
use crate::support::{Output, Repo, pat, write};

const ALICE: Person = Person { login: "alice", id: 583_231, name: "Alice Archer", email: "alice@corp.example" };

/// A leaked token, a plan for it, and people who may sign.
struct Case {
    github: GitHub,
    incident: Incident,
    signers: Vec<String>,
    _repo: Repo,
}

fn ssh_keygen(args: &[&str], input: &str) -> (bool, String) {
    use std::io::Write;
    let mut command = Command::new("ssh-keygen");
    let child = command.args(args).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let mut child = child.expect("ssh-keygen, of openssh-client");
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    (output.status.success(), String::from_utf8_lossy(&output.stdout).into_owned())
}

impl Case {
    fn new() -> Self {
        let github = GitHub::start();
        let token = pat("to be approved");
        github.token(&token, Kind::Classic, &ALICE, "repo");
        let repo = leak("ci.env", &format!("GH_TOKEN={token}\n"));
        let incident = Incident::new(&["--endpoint", &format!("github={}", github.url())]);
        incident.plan(&[&repo], &["--require-approvals", "2", "--planner", "ivy@corp.example"]);
        Self { github, incident, signers: Vec::new(), _repo: repo }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.incident.path(name)
    }

    /// A key of a person's, who may sign; `options` stand in the line of the allowed signers.
    fn person(&mut self, file: &str, name: &str, options: &str) -> PathBuf {
        let key = self.path(file);
        let (made, _) = ssh_keygen(&["-q", "-t", "ed25519", "-N", "", "-C", "", "-f", key.to_str().unwrap()], "");
        assert!(made);
        let public = std::fs::read_to_string(self.path(&format!("{file}.pub"))).unwrap();
        self.signers.push(format!("{name} {options} {}", public.trim()));
        write(self.path("allowed"), self.signers.join("\n") + "\n");
        key
    }

    fn approve(&self, args: &[&str]) -> Output {
        let plan = self.path("plan.json");
        crate::support::unsprawl(["approve", plan.to_str().unwrap()].iter().chain(args)).run()
    }

    #[track_caller]
    fn sign(&self, key: &Path) {
        let signed = self.approve(&["--yes", "--key", key.to_str().unwrap()]);
        assert_eq!(signed.code, 0, "{}", signed.stderr);
    }

    fn apply(&self) -> crate::incident::Applied {
        self.incident.apply(&["--allowed-signers", self.path("allowed").to_str().unwrap()])
    }

    #[track_caller]
    fn is_refused(&self, reason: &str) {
        self.apply().all("skipped", 14).because(reason);
        assert_eq!(self.github.revoked(), 0);
    }

    fn change(&self, change: impl FnOnce(&mut Value)) {
        let path = self.path("plan.json");
        let mut plan: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        change(&mut plan);
        write(path, plan.to_string());
    }
}

#[test]
fn two_people_sign_and_openssh_agrees() {
    let mut case = Case::new();
    let (bob, carol) = (case.person("bob", "bob@corp.example", ""), case.person("carol", "carol,cc@corp.example", ""));
    case.is_refused("it needs 2 approvals and has 0");
    case.sign(&bob);
    case.is_refused("needs 2 approvals and has 1");
    // Bob again, by the same key: he counts once.
    case.sign(&bob);
    case.is_refused("needs 2 approvals and has 1");
    // Carol signs elsewhere, with nothing but OpenSSH.
    let payload = case.approve(&["--payload"]);
    let text = String::from_utf8(payload.stdout).unwrap();
    let (ok, signature) = ssh_keygen(&["-Y", "sign", "-n", "unsprawl-plan", "-f", carol.to_str().unwrap(), "-"], &text);
    assert!(ok && signature.contains("SSH SIGNATURE"), "{signature}");
    write(case.path("carol.sig"), &signature);
    let added = case.approve(&["--yes", "--signature", case.path("carol.sig").to_str().unwrap()]);
    assert_eq!(added.code, 0, "{}", added.stderr);
    // What we wrote for Bob, OpenSSH verifies over the same bytes.
    let plan: Value = serde_json::from_slice(&std::fs::read(case.path("plan.json")).unwrap()).unwrap();
    write(case.path("bob.sig"), plan["approvals"][0]["signature"].as_str().unwrap());
    let (allowed, bob_sig) = (case.path("allowed"), case.path("bob.sig"));
    let verify = |text: &str| {
        let who = ["-Y", "verify", "-n", "unsprawl-plan", "-I", "bob@corp.example"];
        ssh_keygen(&[&who[..], &["-f", allowed.to_str().unwrap(), "-s", bob_sig.to_str().unwrap()]].concat(), text).0
    };
    assert!(verify(&text) && !verify(&format!("{text} ")));
    let told = case.approve(&["--verify", "--allowed-signers", allowed.to_str().unwrap()]);
    assert_eq!(
        String::from_utf8(told.stdout).unwrap(),
        "signed by bob@corp.example\nsigned by carol,cc@corp.example\n"
    );
    // Not without the file that says who they are.
    case.incident.apply(&[]).all("skipped", 14).because("--allowed-signers says whose count");
    case.apply().all("revoked", 0);
    assert_eq!(case.github.revoked(), 1);
}

#[test]
fn who_made_it_and_whose_it_is_do_not_count() {
    let mut case = Case::new();
    let keys = [
        case.person("ivy", "ivy@corp.example", ""),
        case.person("alice", "alice@corp.example", ""),
        case.person("bob", "bob@corp.example", ""),
    ];
    keys.iter().for_each(|key| case.sign(key));
    case.is_refused("ivy@corp.example made the plan; alice@corp.example owns the credential");
    let dan = case.person("dan", "dan@corp.example", "");
    case.sign(&dan);
    case.apply().all("revoked", 0);
}

#[test]
fn keys_that_are_over_strange_or_for_something_else_do_not_count() {
    let mut case = Case::new();
    let keys = [
        case.person("over", "over@corp.example", "valid-before=\"20200101\""),
        case.person("later", "later@corp.example", "valid-after=\"20900101\""),
        case.person("git", "git@corp.example", "namespaces=\"git\""),
        case.person("many", "*@corp.example", ""),
    ];
    keys.iter().for_each(|key| case.sign(key));
    let stranger = case.person("stranger", "stranger@corp.example", "");
    case.signers.pop();
    write(case.path("allowed"), case.signers.join("\n") + "\n");
    case.sign(&stranger);
    case.is_refused("it needs 2 approvals and has 0");
    let allowed = case.path("allowed");
    let told = case.approve(&["--verify", "--allowed-signers", allowed.to_str().unwrap()]);
    assert_eq!((told.code, String::from_utf8(told.stdout).unwrap().lines().count()), (1, 5));
}

#[test]
fn a_change_takes_the_signatures_away() {
    let mut case = Case::new();
    let keys = [case.person("bob", "bob@corp.example", ""), case.person("carol", "carol@corp.example", "")];
    keys.iter().for_each(|key| case.sign(key));
    let signed = std::fs::read(case.path("plan.json")).unwrap();
    let changes: [fn(&mut Value); 6] = [
        |p| p["require_approvals"] = json!(0),
        |p| p["items"][0]["approvals"] = json!(0),
        |p| p["planner"] = json!("somebody@corp.example"),
        |p| p["items"][0]["ways"][0]["name"] = json!("enterprise-server"),
        |p| p["items"][0]["finding"]["locations"][0]["line"] = json!(7),
        |p| p["items"][0]["protected"] = json!("x"),
    ];
    for change in changes {
        case.change(change);
        let flags = ["--allowed-signers", case.path("allowed").to_str().unwrap(), "--require-approvals", "2"]
            .map(str::to_owned);
        let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
        case.incident.apply(&flags).all("skipped", 14);
        write(case.path("plan.json"), &signed);
    }
    assert_eq!(case.github.revoked(), 0);
    // Its layout is no part of it.
    case.change(|_| {});
    case.apply().all("revoked", 0);
}

#[test]
fn a_key_in_an_agent_signs() {
    let mut case = Case::new();
    let key = case.person("agent", "bob@corp.example", "");
    let socket = case.path("agent.sock");
    let mut agent =
        Command::new("ssh-agent").args(["-D", "-a", socket.to_str().unwrap()]).stdout(Stdio::null()).spawn().unwrap();
    while !socket.exists() {
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    let added = Command::new("ssh-add").arg(&key).env("SSH_AUTH_SOCK", &socket).stderr(Stdio::null()).status();
    assert!(added.unwrap().success());
    std::fs::remove_file(&key).unwrap();
    let (plan, public) = (case.path("plan.json"), case.path("agent.pub"));
    let words = ["approve", plan.to_str().unwrap(), "--yes", "--key", public.to_str().unwrap()];
    let signed = crate::support::unsprawl(words).env("SSH_AUTH_SOCK", &socket).run();
    agent.kill().unwrap();
    agent.wait().unwrap();
    assert_eq!(signed.code, 0, "{}", signed.stderr);
    case.is_refused("needs 2 approvals and has 1");
    let without = case.approve(&["--yes", "--key", "/nonexistent"]);
    assert_eq!(without.code, 2);
}
