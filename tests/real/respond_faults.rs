//! Revoking while everything goes wrong: kills between any two lines of the journal, an issuer that goes down, a full disk,
//! signals. Whatever happens: nothing is changed twice harmfully, nothing unproved is called revoked, nothing is lost from
//! the journal, no secret is on the disk.
//!
//! `tests/faults` runs it with 200 random kills and prints the figures.

use std::collections::BTreeMap;
use std::io::Write;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::json;
use unsprawl::model::plan::Outcome;
use unsprawl::respond::journal::Entry;

use crate::incident::Incident;
use crate::servers::fresh;
use crate::story::leak;
use crate::support::http::{Act, Http, Seen, json as reply_json, reply};
use crate::support::tokens::Random;
use crate::support::{Repo, write};

/// A company's own issuer: keys end themselves, secrets are rotated by an administrator.
const RULE: &str = r#"
[issuer]
id = "corp"
name = "Corp"
docs = "https://corp.example/docs"
[endpoint.api]
[[token]]
id = "key"
name = "Corp key"
bound_to = "user"
anchors = ["corpkey_"]
regex = '''\bcorpkey_[0-9A-Za-z]{32}\b'''
verify = "me"
revoke = ["end"]
[[token]]
id = "client"
name = "Corp client secret"
bound_to = "app"
anchors = ["corpsec_"]
regex = '''\bcorpsec_[0-9A-Za-z]{32}\b'''
verify = "me"
revoke = ["rotate"]
[[verify.me]]
request = { method = "GET", path = "/me", bearer = "{secret}" }
active = [{ status = 200, has = "/login" }]
inactive = [{ status = 401 }]
[verify.me.principal]
login = { json = "/login" }
[revoke.end]
title = "End the key"
by = "holder"
effect = "revoke"
within = "20s"
docs = "https://corp.example/docs/end"
[[revoke.end.step]]
request = { method = "DELETE", path = "/me", bearer = "{secret}" }
done = [{ status = 204 }]
gone = [{ status = 401 }]
[revoke.rotate]
title = "Give the client a new secret"
by = "admin"
effect = "rotate"
within = "3s"
admin = ["token"]
docs = "https://corp.example/docs/rotate"
[[revoke.rotate.step]]
request = { method = "POST", path = "/rotate", bearer = "{admin.token}", json = { client = "one" } }
done = [{ status = 200 }]
refused = [{ status = 401 }]
"#;

/// When a hook is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Point {
    /// The request is here, nothing has changed.
    Before,
    /// It has changed, nothing was answered.
    After,
}

type Hook = Box<dyn FnMut(Point, u32) + Send>;

#[derive(Default)]
struct State {
    /// Keys: whether they work, and how often they were ended.
    keys: BTreeMap<String, (bool, u32)>,
    /// How often the client's secret was rotated.
    rotations: u32,
    hook: Option<Hook>,
}

struct Issuer {
    http: Http,
    state: Arc<Mutex<State>>,
    down: Arc<AtomicBool>,
}

impl Issuer {
    fn start() -> Self {
        let (state, down) = (Arc::<Mutex<State>>::default(), Arc::new(AtomicBool::new(false)));
        let (of, off) = (state.clone(), down.clone());
        let http = Http::start(move |seen| if off.load(SeqCst) { Act::Close(vec![]) } else { answer(seen, &of) });
        Self { http, state, down }
    }

    fn hook(&self, hook: impl FnMut(Point, u32) + Send + 'static) {
        self.state.lock().unwrap().hook = Some(Box::new(hook));
    }

    /// Keys that work, and the most that one was ended.
    fn figures(&self) -> (usize, u32) {
        let state = self.state.lock().unwrap();
        (state.keys.values().filter(|k| k.0).count(), state.keys.values().map(|k| k.1).max().unwrap_or(0))
    }
}

fn answer(seen: &Seen, state: &Mutex<State>) -> Act {
    let key = seen.header("authorization").trim_start_matches("Bearer ").to_owned();
    let mut all = state.lock().unwrap();
    let works = all.keys.get(&key).is_some_and(|k| k.0);
    let ended: u32 = all.keys.values().map(|k| k.1).sum::<u32>() + all.rotations;
    // Without the lock: a hook may wait for the program.
    let mut hook = all.hook.take();
    drop(all);
    let changing = seen.method != "GET";
    let mut at = |point| {
        if let Some(hook) = hook.as_mut().filter(|_| changing) {
            hook(point, ended);
        }
    };
    at(Point::Before);
    let act = match (seen.method.as_str(), seen.path()) {
        ("GET", "/me") if works => reply_json(200, json!({ "login": "jane" })),
        ("DELETE", "/me") if works => {
            let mut all = state.lock().unwrap();
            let entry = all.keys.get_mut(&key).unwrap();
            *entry = (false, entry.1 + 1);
            reply(204, &[], "")
        }
        ("POST", "/rotate") => {
            let mut all = state.lock().unwrap();
            all.rotations += 1;
            all.keys.values_mut().for_each(|k| k.0 = false);
            reply_json(200, json!({ "secret": "another" }))
        }
        _ => reply_json(401, json!({ "error": "no such key" })),
    };
    at(Point::After);
    let mut all = state.lock().unwrap();
    if all.hook.is_none() {
        all.hook = hook;
    }
    act
}

/// Leaked keys at an issuer, with a plan for them.
struct Case {
    issuer: Issuer,
    incident: Incident,
    secrets: Vec<String>,
    rule: PathBuf,
    _repo: Repo,
}

impl Case {
    fn new(prefix: &str, count: usize) -> Self {
        let issuer = Issuer::start();
        let word = fresh(prefix);
        let secrets: Vec<String> =
            (0..count).map(|n| format!("{prefix}_{}", Random::of(&format!("{word} {n}")).base62(32))).collect();
        issuer.state.lock().unwrap().keys = secrets.iter().map(|s| (s.clone(), (true, 0))).collect();
        let text: String = secrets.iter().map(|s| format!("KEY={s}\n")).collect();
        let repo = leak("keys.env", &text);
        let rules = tempfile::Builder::new().prefix("rule-").tempdir().unwrap().keep();
        let rule = rules.join("corp.toml");
        write(&rule, RULE);
        let endpoint = format!("corp={}", issuer.http.url());
        let incident = Incident::new(&["--rules", rule.to_str().unwrap(), "--endpoint", &endpoint]);
        let incident = incident.admin("UNSPRAWL_CORP_TOKEN", "responder-of-corp");
        let plan = incident.plan(&[&repo], &[]);
        assert_eq!(plan["items"].as_array().unwrap().len(), count);
        Self { issuer, incident, secrets, rule, _repo: repo }
    }

    /// `apply`, started and not waited for.
    fn start(&self, flags: &[&str]) -> Child {
        let mut command = Command::new(env!("CARGO_BIN_EXE_unsprawl"));
        command.arg("apply").arg(self.incident.path("plan.json")).args(["--yes", "-f", "json", "--cache-ttl=0", "-vv"]);
        command.args(["--allow-internal", "--rps=1000", "--rules"]).arg(&self.rule);
        command.arg("--endpoint").arg(format!("corp={}", self.issuer.http.url()));
        command.arg("--requests-log").arg(self.incident.path("requests.jsonl")).args(flags);
        command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command.env("HOME", self.incident.dir.path()).env("XDG_STATE_HOME", self.incident.path("state"));
        command.env("UNSPRAWL_CORP_TOKEN", "responder-of-corp").current_dir(self.incident.dir.path());
        let log = std::fs::File::options().create(true).append(true).open(self.incident.path("stderr")).unwrap();
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn().unwrap()
    }

    fn lines(&self) -> usize {
        let path = self.incident.path("state/unsprawl/journal.jsonl");
        std::fs::read(path).map_or(0, |text| text.iter().filter(|b| **b == b'\n').count())
    }

    /// What holds at every moment: the journal is intact, and what it calls revoked is dead.
    #[track_caller]
    fn holds(&self) {
        if self.lines() == 0 {
            return;
        }
        let revoked = self
            .incident
            .entries()
            .into_iter()
            .filter(|e| matches!(e, Entry::Outcome { outcome, .. } if *outcome == Outcome::Revoked));
        let (works, most) = self.issuer.figures();
        let dead = self.secrets.len() - works;
        let distinct: std::collections::BTreeSet<String> = revoked
            .filter_map(|e| if let Entry::Outcome { item, .. } = e { Some(item.fingerprint.to_string()) } else { None })
            .collect();
        assert!(distinct.len() <= dead, "{} are called revoked, {dead} are", distinct.len());
        assert!(most <= 1, "a key was ended {most} times");
    }

    /// The next run ends it all, and nothing secret is left on the disk.
    #[track_caller]
    fn ends_well(&self) {
        let applied = self.incident.apply(&["-q"]);
        applied.all("revoked", 0);
        assert_eq!(self.issuer.figures().0, 0);
        self.holds();
        let mut secrets: Vec<&str> = self.secrets.iter().map(String::as_str).collect();
        secrets.push("responder-of-corp");
        self.incident.holds_none_of(&secrets);
    }
}

fn kill(child: &mut Child) {
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn a_kill_after_any_line_of_the_journal() {
    // Begin, and of each key intent, answer and outcome, and End.
    for lines in 0..=8 {
        let case = Case::new("corpkey", 2);
        let mut run = case.start(&[]);
        while case.lines() < lines && run.try_wait().unwrap().is_none() {
            std::hint::spin_loop();
        }
        kill(&mut run);
        case.holds();
        case.ends_well();
    }
}

#[test]
fn a_kill_while_the_issuer_works() {
    for point in [Point::Before, Point::After] {
        for nth in 0..3 {
            let case = Case::new("corpkey", 3);
            let pid = Arc::new(AtomicU32::new(0));
            let of = pid.clone();
            case.issuer.hook(move |at, ended| {
                let ended = ended + u32::from(at == Point::Before);
                if at == point && ended == nth + 1 - u32::from(at == Point::After) {
                    let pid = of.swap(0, SeqCst);
                    if pid != 0 {
                        let killed = Command::new("kill").args(["-9", &pid.to_string()]).status();
                        assert!(killed.unwrap().success());
                    }
                }
            });
            let mut run = case.start(&[]);
            pid.store(run.id(), SeqCst);
            let status = run.wait().unwrap();
            assert_eq!(status.signal(), Some(9), "{point:?} {nth}: it was not killed");
            case.holds();
            let intents = case.incident.intents();
            assert_eq!(intents as u32, nth + 1, "{point:?}");
            case.ends_well();
        }
    }
}

#[test]
fn a_rotation_is_never_sent_twice_on_a_guess() {
    for point in [Point::Before, Point::After] {
        let case = Case::new("corpsec", 1);
        let pid = Arc::new(AtomicU32::new(0));
        let of = pid.clone();
        case.issuer.hook(move |at, _| {
            let pid = if at == point { of.swap(0, SeqCst) } else { 0 };
            if pid != 0 {
                let killed = Command::new("kill").args(["-9", &pid.to_string()]).status();
                assert!(killed.unwrap().success());
            }
        });
        let mut run = case.start(&[]);
        pid.store(run.id(), SeqCst);
        assert_eq!(run.wait().unwrap().signal(), Some(9));
        // The request that was killed before its work goes on at the issuer all the same.
        while case.issuer.state.lock().unwrap().rotations == 0 {
            std::thread::sleep(Duration::from_millis(10));
        }
        case.incident.apply(&[]).all("revoked", 0);
        assert_eq!(case.issuer.state.lock().unwrap().rotations, 1, "{point:?}");
    }
}

#[test]
fn random_kills_over_a_hundred_keys() {
    let kills: u32 = std::env::var("FAULT_KILLS").ok().and_then(|n| n.parse().ok()).unwrap_or(20);
    let (mut random, begun) = (Random::of(&fresh("kills")), Instant::now());
    let (mut killed, mut applies, mut intents, mut lines) = (0, 0, 0, 0);
    while killed < kills {
        let case = Case::new("corpkey", 100);
        applies += 1;
        // Until few are left to be killed over; then the last run of this plan, and the next plan.
        while killed < kills && case.issuer.figures().0 > 10 {
            let mut run = case.start(&["--wait", "1s"]);
            // Some lines later, and a moment after that: anywhere between two writes.
            let until = case.lines() + 1 + random.below(24);
            while case.lines() < until && run.try_wait().unwrap().is_none() {
                std::thread::sleep(Duration::from_micros(200));
            }
            std::thread::sleep(Duration::from_micros(random.next() % 10_000));
            killed += u32::from(run.try_wait().unwrap().is_none());
            kill(&mut run);
            case.holds();
        }
        case.ends_well();
        intents += case.incident.intents();
        lines += case.lines();
    }
    let seconds = begun.elapsed().as_secs();
    let _ = writeln!(
        std::io::stdout(),
        "{killed} kills of runs under way over {applies} plans of 100 keys in {seconds} s: {intents} intents, {lines} lines, \
         each key ended once"
    );
}

#[test]
fn an_issuer_that_goes_down_half_way() {
    let case = Case::new("corpkey", 6);
    let down = case.issuer.down.clone();
    case.issuer.hook(move |at, ended| {
        if at == Point::After && ended == 2 {
            down.store(true, SeqCst);
        }
    });
    let applied = case.incident.apply(&["--wait", "2s", "--request-timeout", "2s"]);
    let count = |outcome: &str| applied.items.iter().filter(|i| i["outcome"] == outcome).count();
    // Three are dead, and nobody can say so; of the others nothing was sent.
    assert_eq!((count("revoked"), count("accepted"), count("failed")), (0, 3, 3), "{}", applied.stderr);
    assert_eq!(applied.code, 10);
    case.holds();
    case.issuer.down.store(false, SeqCst);
    case.issuer.hook(|_, _| {});
    case.ends_well();
}

#[test]
fn a_full_disk_sends_nothing_more() {
    let case = Case::new("corpkey", 40);
    let plan = case.incident.path("plan.json");
    // Files may not grow beyond 8 KiB, and that is an error, not a signal.
    let limited = ["sh", "-c", "trap '' XFSZ; ulimit -f 16; exec \"$@\"", "sh"];
    let mut words: Vec<String> = vec!["apply".into(), plan.to_str().unwrap().into()];
    let endpoint = format!("corp={}", case.issuer.http.url());
    words.extend(["--yes", "-f", "json", "--allow-internal", "--no-state", "--rps=1000", "--rules"].map(String::from));
    words.extend([case.rule.to_str().unwrap().into(), "--endpoint".into(), endpoint]);
    let run = crate::support::unsprawl(&words).wrapper(&limited).env("UNSPRAWL_OFFLINE", "0");
    let output = run.env("XDG_STATE_HOME", case.incident.path("state")).run();
    let document: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
    let items = document["items"].as_array().unwrap_or_else(|| panic!("{}", output.stderr));
    let refused =
        items.iter().filter(|i| i["reason"].as_str().unwrap_or_default().contains("journal cannot be written"));
    assert!(refused.count() > 20, "{}", output.stderr);
    assert_ne!(output.code, 0);
    case.holds();
    // What was sent has its intent.
    let dead = case.secrets.len() - case.issuer.figures().0;
    assert_eq!(case.incident.intents(), dead);
    assert!((1..20).contains(&dead), "{dead}");
    case.ends_well();
}

#[test]
fn a_signal_ends_it_between_two_requests() {
    let case = Case::new("corpkey", 30);
    let pid = Arc::new(AtomicU32::new(0));
    let of = pid.clone();
    case.issuer.hook(move |at, ended| {
        std::thread::sleep(Duration::from_millis(10));
        if at == Point::Before && ended == 5 {
            assert!(Command::new("kill").args(["-INT", &of.load(SeqCst).to_string()]).status().unwrap().success());
            std::thread::sleep(Duration::from_millis(300));
        }
    });
    let mut run = case.start(&[]);
    pid.store(run.id(), SeqCst);
    let status = run.wait().unwrap();
    // The sixth was under way and is finished; the rest was not tried.
    assert_eq!(case.issuer.figures(), (24, 1));
    assert!(matches!(status.code(), Some(10 | 14)), "{status}");
    assert_eq!(case.incident.intents(), 6);
    case.holds();
    case.issuer.hook(|_, _| {});
    case.ends_well();
}

#[test]
fn what_was_perhaps_sent_is_not_sent_again_without_leave() {
    let case = Case::new("corpkey", 1);
    let pid = Arc::new(AtomicU32::new(0));
    let of = pid.clone();
    // Killed before the issuer does it, and the issuer never does.
    let down = case.issuer.down.clone();
    case.issuer.hook(move |at, _| {
        let pid = if at == Point::Before { of.swap(0, SeqCst) } else { 0 };
        if pid != 0 {
            assert!(Command::new("kill").args(["-9", &pid.to_string()]).status().unwrap().success());
            down.store(true, SeqCst);
            panic!("the issuer dies, too");
        }
    });
    let mut run = case.start(&[]);
    pid.store(run.id(), SeqCst);
    assert_eq!(run.wait().unwrap().signal(), Some(9));
    while !case.issuer.down.load(SeqCst) {
        std::thread::sleep(Duration::from_millis(10));
    }
    std::thread::sleep(Duration::from_millis(100));
    case.issuer.down.store(false, SeqCst);
    case.issuer.hook(|_, _| {});
    let policy = case.incident.path("policy.toml");
    for text in ["kill_switch = true\n", "approvals = 1\n"] {
        write(&policy, text);
        let held = case.incident.apply(&["--policy", policy.to_str().unwrap(), "--wait", "1s"]);
        held.all("unknown", 13).because("its issuer still accepts it");
        assert_eq!((case.incident.intents(), case.issuer.figures()), (1, (1, 0)), "{text}");
    }
    write(&policy, "");
    case.incident.apply(&["--policy", policy.to_str().unwrap()]).all("revoked", 0);
    assert_eq!(case.incident.intents(), 2);
}

/// Writes the journal as a clock would have that was so many years off.
fn years_off(path: &std::path::Path, years: i64) {
    use sha2::Digest;
    let hash = |line: &str| unsprawl::secret::hex(&sha2::Sha256::digest(line));
    let (mut text, mut prev, mut lines) = (String::new(), "0".repeat(64), 0);
    for line in std::fs::read_to_string(path).unwrap().lines() {
        let mut record: serde_json::Value = serde_json::from_str(line).unwrap();
        let (year, rest) = record["at"].as_str().unwrap().split_once('-').unwrap();
        record["at"] = format!("{}-{rest}", year.parse::<i64>().unwrap() + years).into();
        record["prev"] = prev.into();
        let line = record.to_string();
        prev = hash(&line);
        text.push_str(&format!("{line}\n"));
        lines += 1;
    }
    write(path, text);
    write(format!("{}.head", path.display()), json!({ "seq": lines, "hash": prev }).to_string());
}

#[test]
fn a_clock_that_jumps_changes_nothing() {
    for years in [-20, 20] {
        let case = Case::new("corpkey", 3);
        let pid = Arc::new(AtomicU32::new(0));
        let of = pid.clone();
        case.issuer.hook(move |at, ended| {
            let pid = if at == Point::After && ended == 1 { of.swap(0, SeqCst) } else { 0 };
            if pid != 0 {
                assert!(Command::new("kill").args(["-9", &pid.to_string()]).status().unwrap().success());
            }
        });
        let mut run = case.start(&[]);
        pid.store(run.id(), SeqCst);
        assert_eq!(run.wait().unwrap().signal(), Some(9));
        years_off(&case.incident.path("state/unsprawl/journal.jsonl"), years);
        case.holds();
        let before = case.incident.intents();
        case.ends_well();
        assert_eq!((before, case.incident.intents()), (2, 3), "{years} years");
    }
}

#[test]
fn a_crash_leaves_no_memory_behind() {
    let case = Case::new("corpkey", 1);
    let pid = Arc::new(AtomicU32::new(0));
    let of = pid.clone();
    case.issuer.hook(move |at, _| {
        if at == Point::Before {
            assert!(Command::new("kill").args(["-ABRT", &of.swap(0, SeqCst).to_string()]).status().unwrap().success());
        }
    });
    let mut run = case.start(&[]);
    pid.store(run.id(), SeqCst);
    let status = run.wait().unwrap();
    assert_eq!((status.signal(), status.core_dumped()), (Some(6), false));
    case.issuer.hook(|_, _| {});
    case.ends_well();
}

#[test]
fn history_that_was_rewritten_after_the_plan() {
    let mut case = Case::new("corpkey", 1);
    let dir = case._repo.dir.clone();
    let git = |args: &[&str]| {
        let done =
            Command::new("git").arg("-C").arg(&dir).args(args).stderr(Stdio::null()).stdout(Stdio::null()).status();
        assert!(done.unwrap().success(), "{args:?}");
    };
    git(&["checkout", "-q", "--orphan", "clean"]);
    git(&["-c", "user.name=A B", "-c", "user.email=a@example.org", "commit", "-q", "-m", "clean", "--allow-empty"]);
    let branches =
        Command::new("git").arg("-C").arg(&dir).args(["for-each-ref", "--format=%(refname)"]).output().unwrap();
    for name in String::from_utf8(branches.stdout).unwrap().lines().filter(|n| *n != "refs/heads/clean") {
        git(&["update-ref", "-d", name]);
    }
    git(&["reflog", "expire", "--expire=now", "--all"]);
    git(&["gc", "-q", "--prune=now"]);
    case.incident.apply(&[]).all("failed", 12).because("--secret-from");
    assert_eq!(case.issuer.figures(), (1, 0));
    let given = case.incident.path("given");
    write(&given, &case.secrets[0]);
    case.incident.apply(&["--secret-from", given.to_str().unwrap()]).all("revoked", 0);
    case.secrets.clear();
}
