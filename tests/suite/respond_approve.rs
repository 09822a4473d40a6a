//! Approvals with the real `ssh-keygen` and `ssh-agent`, without any issuer: who signs, what takes a signature away, what two
//! do at once. Who counts for whose credential is told in `tests/real/respond_approvals.rs`.
#![allow(clippy::unwrap_used)]

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::respond_journal::empty_plan;
use crate::support::{Output, folder, schema, unsprawl, write};

/// Runs a program of OpenSSH; gives whether it said yes, and what.
fn openssh(program: &str, args: &[&str], input: &[u8]) -> (bool, String) {
    use std::io::Write;
    let mut command = Command::new(program);
    let child = command.args(args).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let mut child = child.expect("OpenSSH, of openssh-client");
    let _ = child.stdin.take().unwrap().write_all(input);
    let output = child.wait_with_output().unwrap();
    (output.status.success(), String::from_utf8_lossy(&output.stdout).into_owned())
}

struct Case {
    dir: tempfile::TempDir,
}

impl Case {
    fn new() -> Self {
        let case = Self { dir: folder() };
        write(case.path("plan.json"), empty_plan().to_string());
        case
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn text(&self, name: &str) -> String {
        self.path(name).to_str().unwrap().to_owned()
    }

    /// A new key; gives its public half.
    fn key(&self, name: &str, flags: &[&str]) -> String {
        let file = self.text(name);
        let words = [&["-q", "-C", "", "-f", &file][..], flags].concat();
        let words = if flags.contains(&"-N") { words } else { [&words[..], &["-N", ""]].concat() };
        assert!(openssh("ssh-keygen", &words, b"").0, "{words:?}");
        std::fs::read_to_string(self.path(&format!("{name}.pub"))).unwrap().trim().to_owned()
    }

    fn approve(&self, args: &[&str]) -> Output {
        unsprawl([&["approve", &self.text("plan.json")], args].concat()).run()
    }

    #[track_caller]
    fn sign(&self, key: &str) {
        let signed = self.approve(&["--yes", "--key", &self.text(key)]);
        assert_eq!(signed.code, 0, "{}", signed.stderr);
    }

    fn payload(&self) -> Vec<u8> {
        let printed = self.approve(&["--payload"]);
        assert_eq!(printed.code, 0, "{}", printed.stderr);
        printed.stdout
    }

    /// What is told of the signatures, for these allowed signers.
    fn told(&self, allowed: &[String]) -> (i32, String) {
        write(self.path("allowed"), allowed.join("\n") + "\n");
        let told = self.approve(&["--verify", "--allowed-signers", &self.text("allowed")]);
        (told.code, String::from_utf8(told.stdout).unwrap() + &told.stderr)
    }

    fn plan(&self) -> Value {
        serde_json::from_slice(&std::fs::read(self.path("plan.json")).unwrap()).unwrap()
    }
}

#[test]
fn openssh_takes_what_is_signed_and_gives_what_is_taken() {
    let case = Case::new();
    let kinds: [(&str, &[&str]); 3] = [("ed", &["-t", "ed25519"]), ("ec", &["-t", "ecdsa"]), ("rsa", &["-t", "rsa"])];
    let mut allowed = vec!["# who may".to_owned(), String::new()];
    for (name, flags) in kinds {
        allowed.push(format!("{name}@corp.example {}", case.key(name, flags)));
    }
    let text = case.payload();
    for (name, _) in kinds {
        case.sign(name);
    }
    let plan = case.plan();
    schema("plan.v1", &plan);
    write(case.path("allowed"), allowed.join("\n"));
    for (approval, (name, _)) in plan["approvals"].as_array().unwrap().iter().zip(kinds) {
        write(case.path("sig"), approval["signature"].as_str().unwrap());
        let (who, by, sig) = (format!("{name}@corp.example"), case.text("allowed"), case.text("sig"));
        let words = ["-Y", "verify", "-n", "unsprawl-plan", "-I", &who, "-f", &by, "-s", &sig];
        assert!(openssh("ssh-keygen", &words, &text).0, "{name}");
        assert!(!openssh("ssh-keygen", &words, &[&text[..], b" "].concat()).0, "{name}");
    }
    let all = "signed by ed@corp.example\nsigned by ec@corp.example\nsigned by rsa@corp.example\n";
    assert_eq!(case.told(&allowed), (0, all.to_owned()));
    // The other way round: OpenSSH signs what was printed.
    let other = Case::new();
    let public = other.key("elsewhere", &["-t", "ed25519"]);
    let key = other.text("elsewhere");
    let (_, signature) =
        openssh("ssh-keygen", &["-Y", "sign", "-n", "unsprawl-plan", "-f", &key, "-"], &other.payload());
    write(other.path("sig"), signature);
    let added = other.approve(&["--yes", "--signature", &other.text("sig")]);
    assert_eq!(added.code, 0, "{}", added.stderr);
    assert_eq!(other.told(&[format!("eve {public}")]), (0, "signed by eve\n".to_owned()));
}

#[test]
fn what_is_no_signature_over_this_plan_is_not_added() {
    let case = Case::new();
    case.key("bob", &["-t", "ed25519"]);
    let before = std::fs::read(case.path("plan.json")).unwrap();
    let sign = |namespace: &str, text: &[u8]| {
        openssh("ssh-keygen", &["-Y", "sign", "-n", namespace, "-f", &case.text("bob"), "-"], text).1
    };
    let right = sign("unsprawl-plan", &case.payload());
    let wrong = [
        sign("git", &case.payload()),
        sign("unsprawl-plan", b"another text"),
        "no signature".to_owned(),
        String::new(),
        right.replace("SSH SIGNATURE", "PGP SIGNATURE"),
        right[..right.len() / 2].to_owned(),
    ];
    for signature in wrong {
        write(case.path("sig"), &signature);
        let added = case.approve(&["--yes", "--signature", &case.text("sig")]);
        assert_eq!(added.code, 2, "{signature}");
        assert!(added.stderr.contains("no signature over this plan"), "{}", added.stderr);
        assert_eq!(std::fs::read(case.path("plan.json")).unwrap(), before);
    }
}

#[test]
fn any_change_of_the_plan_takes_signatures_away() {
    let case = Case::new();
    let allowed = [format!("bob {}", case.key("bob", &["-t", "ed25519"]))];
    case.sign("bob");
    let signed = case.plan();
    let mut changed = Vec::new();
    for name in signed.as_object().unwrap().keys().filter(|name| *name != "approvals") {
        let mut plan = signed.clone();
        plan[name] = match &plan[name] {
            Value::String(text) if name == "id" => text.replace('a', "b").into(),
            Value::String(text) if name != "schema" => format!("{text} ").into(),
            Value::Number(_) if name == "require_approvals" => 1.into(),
            Value::Array(_) if name == "targets" => json!([{ "name": "x", "kind": "folder" }]),
            Value::Array(_) if name == "left_out" => json!([{ "rule": "a.b", "why": "x", "count": 1 }]),
            Value::Null => json!({ "name": "p", "sha256": "0" }),
            _ => continue,
        };
        changed.push(plan);
    }
    assert_eq!(changed.len(), 8);
    for plan in changed {
        write(case.path("plan.json"), plan.to_string());
        let (code, told) = case.told(&allowed);
        assert_eq!(code, 1, "{plan}");
        assert!(told.contains("not over this plan") && !told.contains("signed by"), "{told}");
    }
    // Keys more or less, or twice, are no plan.
    let text = signed.to_string();
    let strange = [
        text.replacen('{', "{\"more\":1,", 1),
        text.replacen("\"left_out\":[],", "", 1),
        text.replacen('{', "{\"planner\":\"eve\",", 1),
        text.replacen("\"require_approvals\":0", "\"require_approvals\":0.0", 1),
    ];
    for text in strange {
        write(case.path("plan.json"), &text);
        assert_eq!(case.told(&allowed).0, 2, "{text}");
        for args in [&["--payload"][..], &["--yes", "--key", &case.text("bob")]] {
            assert_eq!(case.approve(args).code, 2, "{text}");
        }
    }
    // Layout and order are no change.
    let turned: serde_json::Map<String, Value> = signed.as_object().unwrap().clone().into_iter().rev().collect();
    write(case.path("plan.json"), serde_json::to_string_pretty(&turned).unwrap());
    assert_eq!(case.told(&allowed), (0, "signed by bob\n".to_owned()));
}

#[test]
fn a_key_in_a_finding_twice_is_refused() {
    // Where the plan takes any field, too.
    let case = Case::new();
    let item = json!({
        "number": 1, "finding": { "a": 1 }, "action": "leave", "ways": [], "asked": [], "alternatives": [], "places": [], "manual": null,
        "protected": null, "approvals": 0, "breaks": [], "decided_by": "x"
    });
    let mut plan = empty_plan();
    plan["items"] = json!([item]);
    for (finding, code) in [
        (r#"{"a":1}"#, 0),
        (r#"{"a":2,"a":1}"#, 2),
        (r#"{"a":1,"b":{"c":0,"c":0}}"#, 2),
        (r#"{"a":18446744073709551616}"#, 2),
        (r#"{"a":1.0}"#, 2),
    ] {
        write(case.path("plan.json"), plan.to_string().replace(r#"{"a":1}"#, finding));
        assert_eq!(case.approve(&["--payload"]).code, code, "{finding}");
    }
}

#[test]
fn one_person_counts_once_and_by_all_names() {
    let case = Case::new();
    let [a, b, c] = ["a", "b", "c"].map(|name| case.key(name, &["-t", "ed25519"]));
    ["a", "a", "b", "c"].iter().for_each(|key| case.sign(key));
    assert_eq!(case.plan()["approvals"].as_array().unwrap().len(), 3, "a key signs once");
    let told = |lines: &[String]| case.told(lines).1;
    let two = told(&[format!("bob@corp.example {a}"), format!("Bob@Corp.Example {b}"), format!("carol {c}")]);
    assert_eq!(two, "signed by bob@corp.example,Bob@Corp.Example\nsigned by carol\n");
    let one = told(&[format!("bob {a}"), format!("bob@corp.example {b}"), format!("bob {c}")]);
    assert_eq!(one, "signed by bob,bob@corp.example\n");
    // A key under two names is known by both: neither hides the other, be it the planner's.
    let names = told(&[format!("ops {a}"), format!("ivy@corp.example {a}"), format!("b {b}"), format!("c {c}")]);
    assert!(names.starts_with("signed by ops,ivy@corp.example\n"), "{names}");
    let for_git = told(&[
        format!("git-bob namespaces=\"git\" {a}"),
        format!("bob namespaces=\"file,unsprawl-plan\" {a}"),
        format!("old valid-before=\"20200101\" {a}"),
        format!("\"q,r\" {b}"),
        format!("c {c}"),
    ]);
    assert!(for_git.starts_with("signed by bob,git-bob,old\nsigned by q,r\n"), "{for_git}");
}

#[test]
fn why_a_signature_does_not_count_is_told() {
    let case = Case::new();
    let key = case.key("k", &["-t", "ed25519"]);
    let another = case.key("another", &["-t", "ed25519"]);
    case.sign("k");
    let print = openssh("ssh-keygen", &["-l", "-f", &case.text("k.pub")], b"").1;
    let print = print.split_whitespace().nth(1).unwrap().to_owned();
    let cases = [
        (format!("bob {another}"), format!("its key {print} is not among the allowed signers")),
        (format!("# bob {key}"), "is not among the allowed signers".to_owned()),
        (format!("bob valid-before=\"20200101\" {key}"), "the key is over".to_owned()),
        (format!("bob valid-after=\"20990101\" {key}"), "not valid yet".to_owned()),
        (format!("bob namespaces=\"git\" {key}"), "not permitted for use in signature namespace".to_owned()),
        (format!("*@corp.example {key}"), "is a pattern and names no person".to_owned()),
        (format!("bob cert-authority {key}"), "or another one".to_owned()),
    ];
    for (line, why) in cases {
        let (code, told) = case.told(std::slice::from_ref(&line));
        assert_eq!((code, told.lines().count()), (1, 1), "{line}: {told}");
        assert!(told.starts_with("does not count: signature 1: ") && told.contains(&why), "{line}: {told}");
        assert!(!told.contains("/unsprawl-"), "no path of a moment: {told}");
    }
}

#[test]
fn a_certificate_counts_for_whom_its_authority_names() {
    let case = Case::new();
    let (authority, _) = (case.key("ca", &["-t", "ed25519"]), case.key("bob", &["-t", "ed25519"]));
    let words =
        ["-q", "-s", &case.text("ca"), "-I", "bob", "-n", "bob@corp.example,ivy@corp.example", &case.text("bob.pub")];
    assert!(openssh("ssh-keygen", &words, b"").0);
    // The key of a certificate is used with the certificate in place of its public half.
    std::fs::rename(case.path("bob-cert.pub"), case.path("bob.pub")).unwrap();
    case.sign("bob");
    let told = case.told(&[format!("*@corp.example cert-authority {authority}")]);
    assert_eq!(told, (0, "signed by bob@corp.example,ivy@corp.example\n".to_owned()));
    assert_eq!(case.told(&[format!("*@other.example cert-authority {authority}")]).0, 1);
    assert_eq!(case.told(&[format!("bob@corp.example {authority}")]).0, 1, "it is no authority");
}

#[test]
fn an_agent_signs_for_a_key_file_that_is_not_there() {
    let case = Case::new();
    let public = case.key("bob", &["-t", "ed25519", "-N", "a long phrase"]);
    let plan = case.text("plan.json");
    // Nobody can be asked for the phrase.
    let alone = unsprawl(["approve", &plan, "--yes", "--key", &case.text("bob")]).wrapper(&["setsid", "-w"]).run();
    assert_eq!(alone.code, 2, "{}", alone.stderr);
    assert!(alone.stderr.contains("ssh-keygen: "), "{}", alone.stderr);
    assert_eq!(case.plan()["approvals"], json!([]));
    let clear = case.text("clear");
    std::fs::copy(case.path("bob"), &clear).unwrap();
    let words = ["-q", "-p", "-P", "a long phrase", "-N", "", "-f", &clear];
    assert!(openssh("ssh-keygen", &words, b"").0);
    let socket = case.path("agent");
    let mut agent =
        Command::new("ssh-agent").args(["-D", "-a", socket.to_str().unwrap()]).stdout(Stdio::null()).spawn().unwrap();
    while !socket.exists() {
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    let added = Command::new("ssh-add").arg(&clear).env("SSH_AUTH_SOCK", &socket).stderr(Stdio::null()).status();
    for file in [Path::new(&clear), &case.path("bob")] {
        std::fs::remove_file(file).unwrap();
    }
    let sign =
        || unsprawl(["approve", &plan, "--yes", "--key", &case.text("bob.pub")]).env("SSH_AUTH_SOCK", &socket).run();
    let signed = sign();
    let removed = Command::new("ssh-add").arg("-D").env("SSH_AUTH_SOCK", &socket).stderr(Stdio::null()).status();
    let without = sign();
    agent.kill().unwrap();
    agent.wait().unwrap();
    assert!(added.unwrap().success() && removed.unwrap().success());
    assert_eq!((signed.code, without.code), (0, 2), "{} {}", signed.stderr, without.stderr);
    assert_eq!(case.told(&[format!("bob {public}")]), (0, "signed by bob\n".to_owned()));
}

#[test]
fn signatures_that_are_given_at_once_are_all_kept() {
    use std::os::unix::fs::PermissionsExt;
    let case = Case::new();
    let names: Vec<String> = (0..8).map(|n| format!("key{n}")).collect();
    names.iter().for_each(|name| drop(case.key(name, &["-t", "ed25519"])));
    std::fs::set_permissions(case.path("plan.json"), std::fs::Permissions::from_mode(0o640)).unwrap();
    std::os::unix::fs::symlink("plan.json", case.path("link")).unwrap();
    std::thread::scope(|scope| {
        for (i, name) in names.iter().enumerate() {
            let plan = case.text(if i % 2 == 0 { "plan.json" } else { "link" });
            let key = case.text(name);
            scope.spawn(move || assert_eq!(unsprawl(["approve", &plan, "--yes", "--key", &key]).run().code, 0));
        }
    });
    assert_eq!(case.plan()["approvals"].as_array().unwrap().len(), names.len());
    assert!(case.path("link").is_symlink());
    let mode = std::fs::metadata(case.path("plan.json")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o640);
    let left = std::fs::read_dir(case.dir.path()).unwrap().filter(|e| {
        let name = e.as_ref().unwrap().file_name();
        name.to_string_lossy().starts_with(".plan-") || name.to_string_lossy().ends_with(".new")
    });
    assert_eq!(left.count(), 0);
}

#[test]
fn what_was_changed_while_it_was_looked_at_is_not_signed() {
    let case = Case::new();
    case.key("bob", &["-t", "ed25519"]);
    // A program in place of ssh-keygen that changes the plan, and then signs as asked.
    let real =
        String::from_utf8(Command::new("sh").args(["-c", "command -v ssh-keygen"]).output().unwrap().stdout).unwrap();
    let script = format!(
        "#!/bin/sh\nsed s/ivy/eve/ '{0}' > '{0}.x' && mv '{0}.x' '{0}'\nexec {1} \"$@\"\n",
        case.text("plan.json"),
        real.trim()
    );
    write(case.path("bin/ssh-keygen"), script);
    let made = Command::new("chmod").arg("755").arg(case.path("bin/ssh-keygen")).status();
    assert!(made.unwrap().success());
    let path = format!("{}:{}", case.text("bin"), std::env::var("PATH").unwrap());
    let words = ["approve", &case.text("plan.json"), "--yes", "--key", &case.text("bob")];
    let signed = unsprawl(words).env("PATH", path).run();
    assert_eq!(signed.code, 2);
    assert!(signed.stderr.contains("was changed while it was looked at"), "{}", signed.stderr);
    let plan = case.plan();
    assert_eq!((&plan["planner"], &plan["approvals"]), (&json!("eve@corp.example"), &json!([])));
}
