//! The journal by the real program: two runs at once, a disk that is full, kills in the middle of a line, every entry against
//! the schema. A plan without items writes two lines and asks nobody.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};
use unsprawl::model::plan::{By, Effect, Outcome};
use unsprawl::respond::journal::{self, Entry, Journal, Subject};
use unsprawl::secret::Fingerprinter;

use crate::support::{Output, folder, schema, unsprawl, write};

/// A plan that asks for nothing.
pub fn empty_plan() -> Value {
    json!({
        "schema": "unsprawl/plan", "version": 1, "id": "0123456789abcdef0123456789abcdef", "created": "2026-01-01T00:00:00Z",
        "planner": "ivy@corp.example", "tool": "unsprawl 0.1.0", "policy": null, "require_approvals": 0, "targets": [],
        "items": [], "left_out": [], "approvals": []
    })
}

struct Case {
    dir: tempfile::TempDir,
}

impl Case {
    fn new() -> Self {
        let case = Self { dir: folder() };
        schema("plan.v1", &empty_plan());
        write(case.path("plan.json"), empty_plan().to_string());
        case
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn journal(&self) -> PathBuf {
        self.path("journal.jsonl")
    }

    fn words(&self) -> Vec<String> {
        let (plan, journal) = (self.path("plan.json"), self.journal());
        let words = ["apply", plan.to_str().unwrap(), "--yes", "--no-state", "--journal", journal.to_str().unwrap()];
        words.map(String::from).to_vec()
    }

    fn apply(&self, wrapper: &[&str]) -> Output {
        unsprawl(self.words()).wrapper(wrapper).env("UNSPRAWL_OFFLINE", "0").run()
    }

    fn verify(&self) -> Output {
        unsprawl(["journal", "verify"]).arg(self.journal()).run()
    }
}

fn lines(path: &Path) -> usize {
    std::fs::read(path).unwrap().iter().filter(|b| **b == b'\n').count()
}

#[test]
fn two_runs_at_once_exclude_each_other() {
    let case = Case::new();
    assert_eq!(case.apply(&[]).code, 0);
    let held = Journal::open(&case.journal()).unwrap();
    let second = case.apply(&[]);
    assert_eq!(second.code, 2);
    assert!(second.stderr.contains("in use by another run"), "{}", second.stderr);
    assert_eq!((lines(&case.journal()), case.verify().code), (2, 0));
    drop(held);
    assert_eq!(case.apply(&[]).code, 0);
    assert_eq!(lines(&case.journal()), 4);
}

#[test]
fn many_runs_at_once_lose_nothing() {
    let case = Case::new();
    let codes: Vec<i32> = std::thread::scope(|scope| {
        let runs: Vec<_> = (0..8).map(|_| scope.spawn(|| case.apply(&[]).code)).collect();
        runs.into_iter().map(|run| run.join().unwrap()).collect()
    });
    let done = codes.iter().filter(|code| **code == 0).count();
    assert!(done >= 1 && codes.iter().all(|code| [0, 2].contains(code)), "{codes:?}");
    assert_eq!(lines(&case.journal()), 2 * done);
    assert_eq!(case.verify().code, 0);
}

#[test]
fn a_disk_that_is_full_is_an_error_and_leaves_no_half_line() {
    let case = Case::new();
    // Files may not grow beyond some blocks of 512 bytes; what exceeds them is an error and no signal.
    let mut refused = 0;
    for blocks in 1..=6 {
        let script = format!("trap '' XFSZ; ulimit -f {blocks}; exec \"$@\"");
        while lines_or_none(&case.journal()) < 40 {
            let before = std::fs::read(case.journal()).unwrap_or_default();
            let run = case.apply(&["sh", "-c", &script, "sh"]);
            let verified = case.verify();
            assert_eq!(verified.code, 0, "{}", verified.stderr);
            assert_eq!(String::from_utf8_lossy(&verified.stdout).lines().count(), 1, "nothing torn, nothing behind");
            assert!(std::fs::read(case.journal()).unwrap().starts_with(&before));
            assert!(std::fs::metadata(case.journal()).unwrap().len() <= 512 * blocks);
            if run.code != 0 {
                assert!(run.stderr.contains("journal"), "{}", run.stderr);
                refused += 1;
                break;
            }
            // The last line may be refused when all is done.
            if run.stderr.contains("cannot be written any more") {
                refused += 1;
                break;
            }
        }
    }
    assert_eq!(refused, 6, "the limit was never met");
    let before = lines(&case.journal());
    assert_eq!(case.apply(&[]).code, 0);
    assert_eq!(lines(&case.journal()), before + 2);
}

fn lines_or_none(path: &Path) -> usize {
    if path.exists() { lines(path) } else { 0 }
}

#[test]
fn a_run_that_dies_in_the_middle_of_a_line_is_told_of_and_gone_on_from() {
    let case = Case::new();
    let mut torn = 0;
    for blocks in 1..=4 {
        // Without the trap, the limit is a signal that kills it in the write.
        let script = format!("ulimit -c 0; ulimit -f {blocks}; exec \"$@\"");
        loop {
            let mut command = Command::new("sh");
            command.args(["-c", &script, "sh", env!("CARGO_BIN_EXE_unsprawl")]).args(case.words()).arg("-q");
            command.env_clear().env("PATH", std::env::var_os("PATH").unwrap()).env("HOME", case.dir.path());
            let status = command.output().unwrap().status;
            if let Some(signal) = status.signal() {
                assert_eq!(signal, 25, "SIGXFSZ");
                break;
            }
            assert_eq!(status.code(), Some(0));
        }
        let verified = case.verify();
        assert_eq!(verified.code, 0, "{}", verified.stderr);
        let half = std::fs::read(case.journal()).unwrap().rsplit(|b| *b == b'\n').next().unwrap().to_vec();
        let whole = lines(&case.journal());
        if !half.is_empty() {
            torn += 1;
            assert!(
                String::from_utf8_lossy(&verified.stdout).contains(&format!("{} bytes of half a line", half.len()))
            );
        }
        let next = case.apply(&[]);
        assert_eq!(next.code, 0, "{}", next.stderr);
        assert_eq!(lines(&case.journal()), whole + 2);
        if !half.is_empty() {
            let name = format!("journal.jsonl.torn-{torn}");
            assert!(next.stderr.contains(&name), "{}", next.stderr);
            assert_eq!(std::fs::read(case.path(&name)).unwrap(), half);
        }
    }
    assert!(torn > 0, "no kill was in the middle of a line");
    assert_eq!(case.verify().code, 0);
}

#[test]
fn what_was_changed_is_told_and_not_written_to() {
    let case = Case::new();
    assert_eq!(case.apply(&[]).code, 0);
    let good = std::fs::read_to_string(case.journal()).unwrap();
    let first = good.split_inclusive('\n').next().unwrap();
    for bad in [first.to_owned(), good.replace("ivy", "eve").replace("\"items\":0", "\"items\":1"), good.repeat(2)] {
        write(case.journal(), &bad);
        let (verified, applied) = (case.verify(), case.apply(&[]));
        assert_eq!((verified.code, applied.code), (1, 2), "{bad}");
        assert!(verified.stderr.contains("not intact") && applied.stderr.contains("not intact"), "{}", verified.stderr);
        assert_eq!(std::fs::read_to_string(case.journal()).unwrap(), bad);
    }
    write(case.journal(), &good);
    let head = case.path("journal.jsonl.head");
    write(&head, "");
    assert_eq!(case.verify().code, 1);
    std::fs::remove_file(head).unwrap();
    assert_eq!(case.verify().code, 1);
    assert_eq!(unsprawl(["journal", "verify"]).arg(case.path("none")).run().code, 2);
}

#[test]
fn every_entry_is_as_the_schema_says_and_shown() {
    let case = Case::new();
    let (run, plan) = ("r0".to_owned(), empty_plan()["id"].as_str().unwrap().to_owned());
    let item = Subject { number: 1, rule: "a.b".into(), fingerprint: Fingerprinter::default().of(b"x") };
    let (r, p) = (|| run.clone(), || plan.clone());
    let foreign = Some("no\nentry \u{1b}[2J\u{202e}".to_owned());
    let all = [
        Entry::Begin { run: r(), plan: p(), by: "ivy".into(), items: 1, undo: false },
        Entry::Intent {
            run: r(),
            plan: p(),
            items: vec![item.clone()],
            way: "end".into(),
            by: By::Holder,
            effect: Effect::Revoke,
            place: "https://a.example".into(),
            undo: false,
        },
        Entry::Acted { run: r(), plan: p(), intent: 2, outcome: "unknown".into(), reason: foreign, sent: true },
        Entry::Outcome {
            run: r(),
            plan: p(),
            intent: Some(2),
            item: item.clone(),
            outcome: Outcome::Revoked,
            reason: None,
            seen_at: Some("2026-01-01T00:00:00Z".into()),
        },
        Entry::Notified {
            run: r(),
            plan: p(),
            fingerprint: item.fingerprint,
            outcome: "revoked".into(),
            channel: "mail".into(),
        },
        Entry::End { run: r(), plan: p(), counts: BTreeMap::from([("revoked".into(), 1)]) },
    ];
    let mut open = Journal::open(&case.journal()).unwrap();
    all.iter().for_each(|entry| assert!(open.append(entry).is_ok()));
    assert!(open.notified(item.fingerprint, "revoked", "mail") && !open.notified(item.fingerprint, "revoked", "slack"));
    drop(open);
    for line in std::fs::read_to_string(case.journal()).unwrap().lines() {
        schema("journal.v1", &serde_json::from_str(line).unwrap());
    }
    let read = journal::verify(&case.journal()).unwrap().records;
    assert_eq!(read.into_iter().map(|record| record.entry).collect::<Vec<_>>(), all);
    let show = |args: &[&str]| {
        let shown = args.iter().fold(unsprawl(["journal", "show"]).arg(case.journal()), |run, arg| run.arg(arg)).run();
        assert_eq!(shown.code, 0, "{}", shown.stderr);
        String::from_utf8(shown.stdout).unwrap()
    };
    let text = show(&[]);
    assert_eq!(text.lines().count(), all.len(), "foreign text makes no line: {text}");
    assert!(!text.contains(['\u{1b}', '\u{202e}']));
    assert_eq!(show(&["-f", "json"]), std::fs::read_to_string(case.journal()).unwrap());
    assert_eq!(show(&["--plan", &plan[..8]]), text);
    assert_eq!(show(&["--plan", "ffff"]), "");
}
