//! An incident from leak to proof, through the program alone: scan, plan, apply, ask again, journal.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use unsprawl::respond::journal::{self, Entry};

use crate::support::{Output, Repo, folder, schema, unsprawl};

/// Where everything of one incident lies, and how issuers are reached.
pub struct Incident {
    /// State, plan, journal; nothing else is written by the program.
    pub dir: tempfile::TempDir,
    flags: Vec<String>,
    env: Vec<(String, String)>,
    approved: bool,
}

/// What `apply` said.
pub struct Applied {
    pub code: i32,
    pub items: Vec<Value>,
    pub stderr: String,
}

impl Incident {
    /// With flags that every subcommand gets.
    pub fn new(flags: &[&str]) -> Self {
        let mut all: Vec<String> = flags.iter().map(ToString::to_string).collect();
        all.extend(["--allow-internal".to_owned(), "--rps=1000".to_owned()]);
        Self { dir: folder(), flags: all, env: Vec::new(), approved: false }
    }

    /// Every plan needs two approvals, and two people with keys made by ssh-keygen give them.
    pub fn approved(mut self) -> Self {
        let mut allowed = String::new();
        for person in ["kim", "lee"] {
            let key = self.path(person);
            let words = ["-q", "-t", "ed25519", "-N", "", "-C", "", "-f", key.to_str().unwrap()];
            assert!(Command::new("ssh-keygen").args(words).status().unwrap().success());
            let public = std::fs::read_to_string(self.path(&format!("{person}.pub"))).unwrap();
            allowed.push_str(&format!("{person}@corp.example {}\n", public.trim()));
        }
        std::fs::write(self.path("allowed"), allowed).unwrap();
        self.approved = true;
        self
    }

    fn approve(&self, plan: &str) {
        for person in ["kim", "lee"] {
            let key = self.path(person);
            let signed = unsprawl(["approve", plan, "--yes", "--key", key.to_str().unwrap()]).run();
            assert_eq!(signed.code, 0, "{}", signed.stderr);
        }
    }

    /// An administrator's setting.
    pub fn admin(mut self, variable: &str, value: &str) -> Self {
        self.env.push((variable.into(), value.into()));
        self
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Runs a subcommand.
    pub fn run(&self, args: &[&str]) -> Output {
        let mut run = unsprawl(args).env("UNSPRAWL_OFFLINE", "0").env("XDG_STATE_HOME", self.path("state"));
        for flag in &self.flags {
            run = run.arg(flag);
        }
        for (name, value) in &self.env {
            run = run.env(name, value);
        }
        run.run()
    }

    /// Plans for repositories; the plan as it was written.
    #[track_caller]
    pub fn plan(&self, repos: &[&Repo], flags: &[&str]) -> Value {
        let plan = self.path("plan.json");
        let mut args = vec!["plan", "-o", plan.to_str().unwrap(), "--cache-ttl=0"];
        args.extend(flags);
        if self.approved {
            args.extend(["--require-approvals", "2"]);
        }
        args.extend(repos.iter().map(|r| r.dir.to_str().unwrap()));
        let output = self.run(&args);
        assert_eq!(output.code, 0, "{}\n{}", output.stderr, String::from_utf8_lossy(&output.stdout));
        if self.approved {
            self.approve(plan.to_str().unwrap());
        }
        let plan = serde_json::from_slice(&std::fs::read(plan).unwrap()).unwrap();
        schema("plan.v1", &plan);
        plan
    }

    /// Follows the plan.
    pub fn apply(&self, flags: &[&str]) -> Applied {
        let plan = self.path("plan.json");
        let allowed = self.path("allowed");
        let mut args = vec!["apply", plan.to_str().unwrap(), "--yes", "-f", "json", "--cache-ttl=0"];
        args.extend(flags);
        if self.approved {
            args.extend(["--allowed-signers", allowed.to_str().unwrap()]);
        }
        let output = self.run(&args);
        let document: Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
        if output.code != 2 {
            schema("apply.v1", &document);
        }
        let items = document["items"].as_array().cloned().unwrap_or_default();
        Applied { code: output.code, items, stderr: output.stderr }
    }

    fn journal(&self) -> PathBuf {
        self.path("state/unsprawl/journal.jsonl")
    }

    /// The journal is intact, by the program's own word; its entries.
    #[track_caller]
    pub fn entries(&self) -> Vec<Entry> {
        let path = self.journal();
        let verified = unsprawl(["journal", "verify"]).arg(&path).run();
        assert_eq!(verified.code, 0, "{}", verified.stderr);
        for line in std::fs::read_to_string(&path).unwrap().lines() {
            schema("journal.v1", &serde_json::from_str(line).unwrap());
        }
        journal::verify(&path).unwrap().records.into_iter().map(|r| r.entry).collect()
    }

    /// How many requests that change something were announced.
    #[track_caller]
    pub fn intents(&self) -> usize {
        self.entries().iter().filter(|e| matches!(e, Entry::Intent { .. })).count()
    }

    /// No file that the program wrote holds one of these.
    #[track_caller]
    pub fn holds_none_of(&self, secrets: &[&str]) {
        let mut files = 0;
        walk(self.dir.path(), &mut |path, bytes| {
            files += 1;
            for secret in secrets {
                let found = bytes.windows(secret.len()).any(|w| w == secret.as_bytes());
                assert!(!found, "a secret stands in {}", path.display());
            }
        });
        assert!(files > 0);
    }
}

fn walk(dir: &Path, look: &mut dyn FnMut(&Path, &[u8])) {
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { walk(&path, look) } else { look(&path, &std::fs::read(&path).unwrap()) }
    }
}

impl Applied {
    /// Every item ended like this, with this exit code.
    #[track_caller]
    pub fn all(&self, outcome: &str, code: i32) -> &Self {
        assert!(!self.items.is_empty(), "{}", self.stderr);
        for item in &self.items {
            assert_eq!(item["outcome"], outcome, "{item}\n{}", self.stderr);
        }
        assert_eq!(self.code, code, "{}", self.stderr);
        self
    }

    /// The reasons of all items.
    #[track_caller]
    pub fn because(&self, reason: &str) -> &Self {
        for item in &self.items {
            assert!(item["reason"].as_str().unwrap_or_default().contains(reason), "{item}\n{}", self.stderr);
        }
        self
    }
}

/// One item of a plan does this, by this way first.
#[track_caller]
pub fn planned(plan: &Value, action: &str, way: &str) {
    let items = plan["items"].as_array().unwrap();
    assert!(!items.is_empty(), "{plan:#}");
    for item in items {
        assert_eq!((&item["action"], &item["ways"][0]["name"]), (&action.into(), &way.into()), "{item:#}");
    }
}
