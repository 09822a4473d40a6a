//! Asks about many credentials at issuers that misbehave, with the real binary, and checks every verdict.
//!
//!     cargo build --release && cargo run --release --example load -- [BINARY] [CREDENTIALS]
//!
//! 50 fake issuers on loopback addresses answer with 10% of 429 (half of them with Retry-After), 5% of 5xx, 2% hang, 1% reset, 1%
//! garbage; one more hangs always. The faults depend on the credential and how often it was asked, so that runs are alike.
//! Exit code 1 if a verdict is wrong, a limit was not kept or an interruption took too long.
#![allow(clippy::print_stdout, clippy::unwrap_used, dead_code)]

#[path = "../tests/support/http.rs"]
mod http;

use std::collections::HashMap;
use std::fmt::Write as _;
use std::io::Read;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use http::{Act, Http};
use serde_json::{Value, json};

const HOSTS: usize = 50;
/// What the binary is told to keep to.
const RPS: usize = 20;
/// Requests that one credential may cost: the retries of `verify::retry`.
const MOST_ATTEMPTS: u32 = 6;

/// What the issuers saw.
#[derive(Default)]
struct Seen {
    /// Of a credential: how often it was asked about, and the last word.
    asked: HashMap<String, (u32, &'static str)>,
    /// Of a host: when.
    times: Vec<Vec<Instant>>,
    kinds: HashMap<&'static str, u32>,
}

fn hash(text: &str, salt: u64) -> u64 {
    let mixed =
        text.bytes().fold(salt ^ 0xcbf2_9ce4_8422_2325, |h, b| (h ^ u64::from(b)).wrapping_mul(0x100_0000_01b3));
    (mixed ^ (mixed >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9) >> 20
}

fn works(key: &str) -> bool {
    hash(key, 99).is_multiple_of(2)
}

fn answer(host: usize, key: &str, seen: &Mutex<Seen>) -> Act {
    let mut seen = seen.lock().unwrap();
    seen.times[host].push(Instant::now());
    let attempt = seen.asked.get(key).map_or(1, |(n, _)| n + 1);
    let (kind, act) = match hash(key, u64::from(attempt)) % 1000 {
        _ if host == HOSTS => ("hang", Act::Hang),
        0..50 => ("429 with Retry-After", http::reply(429, &[("retry-after", "1")], "slow down")),
        50..100 => ("429", http::reply(429, &[], "slow down")),
        100..130 => ("503", http::reply(503, &[], "")),
        130..150 => ("500", http::reply(500, &[], "oops")),
        150..170 => ("hang", Act::Hang),
        170..180 => ("reset", Act::Close(vec![])),
        180..185 => ("garbage", http::reply(200, &[("content-type", "text/html")], "<html>Welcome!</html>")),
        185..190 => ("no HTTP", Act::Close(b"220 mail.example ESMTP\r\n".to_vec())),
        _ if works(key) => ("active", http::json(200, json!({ "login": "jane" }))),
        _ => ("inactive", http::json(401, json!({ "error": "bad credentials" }))),
    };
    seen.asked.insert(key.to_owned(), (attempt, kind));
    *seen.kinds.entry(kind).or_default() += 1;
    act
}

fn rule(host: usize) -> String {
    format!(
        "[issuer]\nid = \"fake{host:02}\"\nname = \"Fake {host}\"\n[endpoint.api]\ndefault = \"https://fake{host:02}.example\"\n\
         [[token]]\nid = \"key\"\nname = \"Fake key\"\nbound_to = \"user\"\nanchors = [\"fake{host:02}key_\"]\n\
         regex = '''\\bfake{host:02}key_[0-9a-f]{{32}}\\b'''\nverify = \"me\"\n\
         [[verify.me]]\nrequest = {{ method = \"GET\", path = \"/me\", bearer = \"{{secret}}\" }}\n\
         active = [{{ status = 200, has = \"/login\" }}]\ninactive = [{{ status = 401 }}]\n\
         [verify.me.principal]\nlogin = {{ json = \"/login\" }}\n"
    )
}

fn key(host: usize, i: usize) -> String {
    let half = |salt| hash(&format!("{host} {i}"), salt) & 0xffff_ffff;
    format!("fake{host:02}key_{:08x}{:08x}{:08x}{:08x}", half(1), half(2), half(3), half(4))
}

/// The peak of a process's resident memory, in KiB, as long as it lives.
fn watch(child: &mut Child) -> (i32, u64) {
    let mut peak = 0;
    loop {
        let status = std::fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap_or_default();
        let line = status.lines().find_map(|l| l.strip_prefix("VmHWM:"));
        peak = line.and_then(|l| l.split_whitespace().next()?.parse().ok()).unwrap_or(peak).max(peak);
        if let Some(code) = child.try_wait().unwrap() {
            return (code.code().unwrap_or(-1), peak);
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn scan(binary: &Path, folder: &Path, servers: &[Http]) -> Command {
    let mut command = Command::new(binary);
    command.args(["scan", "--quiet", "--format=json", "--no-state", "--request-timeout=3s"]);
    command
        .arg(format!("--rps={RPS}"))
        .arg("--rules")
        .arg(folder.join("rules"))
        .arg("--output")
        .arg(folder.join("report.json"));
    for (i, server) in servers.iter().enumerate() {
        command.arg("--endpoint").arg(format!("fake{i:02}={}", server.url()));
    }
    command.arg(folder.join("tokens.txt")).env("UNSPRAWL_OFFLINE", "").stdin(Stdio::null());
    command
}

fn main() {
    let mut args = std::env::args().skip(1);
    let binary = args.next().unwrap_or_else(|| "target/release/unsprawl".into());
    let count: usize = args.next().map_or(10_000, |n| n.parse().unwrap());
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("rules")).unwrap();
    let seen = Arc::new(Mutex::new(Seen { times: vec![Vec::new(); HOSTS + 1], ..Seen::default() }));
    let mut text = String::new();
    let mut servers = Vec::new();
    for host in 0..=HOSTS {
        std::fs::write(folder.path().join(format!("rules/fake{host:02}.toml")), rule(host)).unwrap();
        (0..count / HOSTS).for_each(|i| writeln!(text, "key: {}", key(host, i)).unwrap());
        let seen = seen.clone();
        servers.push(Http::on(&format!("127.0.0.{}:0", host + 1), move |request| {
            answer(host, request.header("authorization").trim_start_matches("Bearer "), &seen)
        }));
    }
    std::fs::write(folder.path().join("tokens.txt"), text).unwrap();
    let binary = Path::new(&binary);

    let begun = Instant::now();
    let mut child = scan(binary, folder.path(), &servers).spawn().unwrap();
    let (code, peak) = watch(&mut child);
    let wall = begun.elapsed();
    let mut bad = verdicts(folder.path(), &seen.lock().unwrap());
    bad += limits(&seen.lock().unwrap(), begun);
    println!("exit code {code}, {:.1} s, peak memory {} MiB", wall.as_secs_f64(), peak / 1024);

    *seen.lock().unwrap() = Seen { times: vec![Vec::new(); HOSTS + 1], ..Seen::default() };
    let mut child = scan(binary, folder.path(), &servers).spawn().unwrap();
    while seen.lock().unwrap().asked.len() < count / 10 {
        std::thread::sleep(Duration::from_millis(50));
    }
    Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    let told = Instant::now();
    let (code, _) = watch(&mut child);
    let (took, report) = (told.elapsed(), report(folder.path()));
    let known = report["findings"].as_array().unwrap().iter().filter(|f| f["validity"]["state"] != "unknown").count();
    println!("interrupted: ended after {} ms with exit code {code}, {known} verdicts in the report", took.as_millis());
    bad += usize::from(code != 3 || took > Duration::from_secs(1) || known == 0);
    std::process::exit(i32::from(bad > 0));
}

fn report(folder: &Path) -> Value {
    let mut text = String::new();
    std::fs::File::open(folder.join("report.json")).unwrap().read_to_string(&mut text).unwrap();
    serde_json::from_str(&text).unwrap()
}

/// Compares the report with what the issuers said; gives how many are wrong.
fn verdicts(folder: &Path, seen: &Seen) -> usize {
    let report = report(folder);
    let (mut counts, mut reasons, mut wrong) = (HashMap::new(), HashMap::<String, u32>::new(), 0);
    let (mut n, mut late) = (0, 0);
    for finding in report["findings"].as_array().unwrap() {
        n += 1;
        let state = finding["validity"]["state"].as_str().unwrap();
        *counts.entry(state.to_owned()).or_insert(0) += 1;
        if let Some(reason) = finding["validity"]["reason"].as_str() {
            *reasons
                .entry(format!("{}: {reason}", if finding["rule"] == "fake50.key" { "hung host" } else { "others" }))
                .or_default() += 1;
        }
    }
    // Without secrets a report names places: the key is what stands there.
    let text = std::fs::read_to_string(folder.join("tokens.txt")).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    for finding in report["findings"].as_array().unwrap() {
        let line = finding["locations"][0]["line"].as_u64().unwrap() as usize;
        let key = lines[line - 1].trim_start_matches("key: ");
        let last = seen.asked.get(key).map_or("never asked", |(_, kind)| *kind);
        let right = match finding["validity"]["state"].as_str().unwrap() {
            "active" => last == "active",
            "inactive" => last == "inactive",
            // An answer that came when the request's time was over, on a machine with too much to do, is none.
            _ if finding["validity"]["reason"] == "no answer in time" && matches!(last, "active" | "inactive") => {
                late += 1;
                true
            }
            _ => !matches!(last, "active" | "inactive"),
        };
        if !right {
            wrong += 1;
            println!("WRONG: {} where the issuer's last word was {last}", finding["validity"]);
        }
    }
    println!("{n} credentials: {counts:?}, {wrong} wrong, {late} answered too late");
    println!("unknown because: {reasons:#?}");
    wrong + usize::from(n != lines.len())
}

/// Checks that limits were kept; gives how many were not.
fn limits(seen: &Seen, begun: Instant) -> usize {
    let most = seen.asked.values().map(|(n, _)| *n).max().unwrap_or(0);
    let requests: u32 = seen.kinds.values().sum();
    println!("{requests} requests: {:?}", seen.kinds);
    println!("most requests for one credential: {most} (retries included; limit {MOST_ATTEMPTS})");
    let mut fastest = 0;
    for times in &seen.times {
        for (i, from) in times.iter().enumerate() {
            fastest = fastest.max(times[i..].iter().take_while(|t| **t - *from < Duration::from_secs(1)).count());
        }
    }
    // They are sent at least an interval apart; what arrives within a second is one more, and another one for the way.
    println!("most requests to one host within a second: {fastest} (limit {RPS}, as sent)");
    let last = |times: &[Instant]| times.last().map_or(0.0, |t| (*t - begun).as_secs_f64());
    let others = seen.times[..HOSTS].iter().map(|t| last(t)).fold(0.0, f64::max);
    println!(
        "last request to a host that answers after {others:.1} s, to the one that hangs after {:.1} s",
        last(&seen.times[HOSTS])
    );
    usize::from(most > MOST_ATTEMPTS) + usize::from(fastest > RPS + 2)
}
