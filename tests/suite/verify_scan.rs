//! `unsprawl scan` and `unsprawl verify` with issuers on loopback: what is asked, how often, of whom, and what is told.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};

use crate::support::http::{self, Act, Http};
use crate::support::{Unsprawl, folder, pat, unsprawl, write};
use serde_json::{Value, json};

/// A rule file of an issuer that only these tests know: one endpoint, one step.
const ACME: &str = r#"
[issuer]
id = "acme"
name = "Acme"
[endpoint.api]
default = "https://api.acme.example"
parts = ["host"]
[[token]]
id = "key"
name = "Acme key"
bound_to = "user"
anchors = ["acmekey_"]
regex = '''\bacmekey_(?<secret>[0-9a-f]{32})\b(?:@(?<host>[a-z0-9.:-]{4,60}))?'''
verify = "me"
[[verify.me]]
request = { method = "GET", path = "/me/{secret}", query = { key = "{secret}" }, bearer = "{secret}" }
active = [{ status = 200, has = "/login" }]
inactive = [{ status = 401 }]
[verify.me.principal]
login = { json = "/login" }
scopes = { header = "x-scopes", split = "," }
"#;

/// The secret of a made-up key.
fn key(word: &str) -> String {
    let mut random = crate::support::tokens::Random::of(word);
    (0..32).map(|_| char::from_digit((random.next() % 16) as u32, 16).unwrap()).collect()
}

/// A run that may ask, with a home of its own that outlives it.
struct Bench {
    home: tempfile::TempDir,
}

impl Bench {
    fn new() -> Self {
        let home = folder();
        write(home.path().join("acme.toml"), ACME);
        Self { home }
    }

    fn run(&self, args: &[&str]) -> Unsprawl {
        let state = self.home.path().join("state");
        let mut all =
            vec![args[0].to_owned(), "--rules".into(), self.home.path().join("acme.toml").display().to_string()];
        all.extend(args[1..].iter().map(|a| (*a).to_owned()));
        unsprawl(all)
            .env("UNSPRAWL_OFFLINE", "")
            .env("XDG_STATE_HOME", state)
            .env("XDG_CONFIG_HOME", self.home.path().join("config"))
    }

    fn file(&self, name: &str, text: &str) -> String {
        let path = self.home.path().join("scanned").join(name);
        write(&path, text);
        path.display().to_string()
    }
}

/// The findings of a JSON report on standard output.
fn findings(output: &crate::support::Output) -> Vec<Value> {
    let report: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|e| panic!("{e}: {}", output.stderr));
    report["findings"].as_array().unwrap().clone()
}

fn one(output: &crate::support::Output) -> Value {
    let mut all = findings(output);
    assert_eq!(all.len(), 1, "{all:#?}");
    all.remove(0)
}

/// An issuer that knows one key.
fn issuer(active: &str) -> Http {
    let active = format!("Bearer {active}");
    Http::start(move |seen| match seen.header("authorization") == active {
        // It echoes what it was sent, as some do.
        true => {
            let body = json!({ "login": "jane", "you_sent": active }).to_string();
            http::reply(200, &[("x-scopes", &format!("repo, {active}")), ("content-type", "application/json")], body)
        }
        false => http::json(401, json!({})),
    })
}

#[test]
fn a_scan_asks_once_remembers_and_asks_again_when_told() {
    let bench = Bench::new();
    let (live, dead) = (key("live"), key("dead"));
    let server = issuer(&live);
    let endpoint = format!("acme={}", server.url());
    bench.file("a", &format!("x = acmekey_{live}\ny = acmekey_{dead}\n"));
    let scanned = bench.file("b", &format!("again: acmekey_{live}\n"));
    let target = std::path::Path::new(&scanned).parent().unwrap().display().to_string();
    let scan = |more: &[&str]| bench.run(&[&["scan", "-fjson", "--endpoint", &endpoint, &target], more].concat()).run();
    let first = scan(&["-vvv"]);
    let by_state = |output: &crate::support::Output| -> BTreeMap<String, Value> {
        findings(output).into_iter().map(|f| (f["validity"]["state"].as_str().unwrap().to_owned(), f)).collect()
    };
    let found = by_state(&first);
    assert_eq!(first.code, 1, "{}", first.stderr);
    assert_eq!(found["active"]["principal"]["login"], "jane");
    assert_eq!(found["active"]["checked"]["how"], "asked");
    assert_eq!(found["active"]["locations"].as_array().unwrap().len(), 2);
    assert_eq!(found["inactive"]["checked"]["how"], "asked");
    assert_eq!(server.seen().len(), 2, "each credential once, however often it stands there");
    for output in [&first.stderr, &String::from_utf8_lossy(&first.stdout).into_owned()] {
        for secret in [&live, &dead] {
            assert!(!secret.as_bytes().windows(8).any(|w| output.as_bytes().windows(8).any(|o| o == w)), "{output}");
        }
    }
    let second = by_state(&scan(&[]));
    assert_eq!(second["active"]["checked"]["how"], "cached");
    assert_eq!(second["active"]["principal"], found["active"]["principal"]);
    assert_eq!(server.seen().len(), 2, "the store told");
    assert_eq!(by_state(&scan(&["--offline"]))["inactive"]["checked"]["how"], "cached");
    assert_eq!(by_state(&scan(&["--no-verify"]))["unknown"]["validity"]["reason"], "not asked");
    assert_eq!(server.seen().len(), 2);
    for again in [&["--no-state"][..], &["--cache-ttl", "0"]] {
        let before = server.seen().len();
        assert_eq!(by_state(&scan(again))["active"]["checked"]["how"], "asked");
        assert_eq!(server.seen().len(), before + 2);
    }
    // Neither file of the state holds a byte of them, and both are their owner's.
    let state = bench.home.path().join("state/unsprawl");
    for entry in std::fs::read_dir(state).unwrap() {
        let entry = entry.unwrap();
        let bytes = std::fs::read(entry.path()).unwrap();
        assert!(!bytes.windows(8).any(|w| live.as_bytes().windows(8).any(|s| s == w)), "{entry:?}");
        use std::os::unix::fs::PermissionsExt;
        assert_eq!(entry.metadata().unwrap().permissions().mode() & 0o077, 0, "{entry:?}");
    }
    let only = |what: &str| scan(&["--only", what]);
    assert_eq!(by_state(&only("active")).into_keys().collect::<Vec<_>>(), ["active"]);
    assert_eq!(by_state(&only("inactive,acme")).into_keys().collect::<Vec<_>>(), ["inactive"]);
    assert_eq!(only("unknown").code, 0);
    assert_eq!(scan(&["--fail-on", "active"]).code, 1);
    assert_eq!(scan(&["--fail-on", "active", "--only", "inactive"]).code, 0);
}

#[test]
fn every_request_is_listed_without_secrets() {
    let bench = Bench::new();
    let live = key("live");
    let server = issuer(&live);
    let log = bench.home.path().join("requests.jsonl");
    let run = bench.run(&[
        "verify",
        "-",
        "-fjson",
        "--endpoint",
        &format!("acme={}", server.url()),
        "--requests-log",
        log.to_str().unwrap(),
    ]);
    let output = run.input(format!("acmekey_{live}")).run();
    assert_eq!(one(&output)["validity"]["state"], "active", "{}", output.stderr);
    let text = std::fs::read_to_string(&log).unwrap();
    let lines: Vec<Value> = text.lines().map(|l| serde_json::from_str(l).unwrap()).collect();
    assert_eq!(lines.len(), 1);
    assert_eq!(lines[0]["host"], format!("127.0.0.1:{}", server.port));
    assert_eq!(
        (&lines[0]["method"], &lines[0]["status"], &lines[0]["issuer"]),
        (&json!("GET"), &json!(200), &json!("acme"))
    );
    assert!(lines[0]["path"].as_str().unwrap().starts_with("/me/"));
    assert!(!text.contains(&live[..8]), "{text}");
    assert!(server.seen()[0].target.contains(&live));
}

#[test]
fn a_host_from_scanned_text_gets_nothing_unless_it_is_allowed() {
    let bench = Bench::new();
    let server = Http::start(|_| http::json(200, json!({ "login": "trap" })));
    let scanned = bench.file("a", &format!("acmekey_{}@localhost:{}\n", key("a"), server.port));
    let reason = |more: &[&str]| {
        let output = bench.run(&[&["scan", "-fjson", &scanned], more].concat()).run();
        one(&output)["validity"]["reason"].as_str().unwrap().to_owned()
    };
    let host = format!("localhost:{}", server.port);
    assert!(reason(&[]).contains(&format!("--allow-host {host}")), "{}", reason(&[]));
    // Allowed, but internal.
    assert!(reason(&["--allow-host", "localhost"]).contains("--allow-internal"));
    // Allowed and permitted, but it does not speak TLS: nothing is sent in clear.
    reason(&["--allow-host", &host, "--allow-internal"]);
    assert!(server.seen().is_empty());
}

#[test]
fn configuration_is_the_users_and_faults_have_a_place() {
    let bench = Bench::new();
    let live = key("live");
    let server = issuer(&live);
    let text = format!("acmekey_{live}\n");
    let scanned = bench.file("a", &text);
    // One in the scanned tree says nothing.
    bench.file("unsprawl.toml", "endpoints.acme = \"http://127.0.0.1:1\"\n");
    bench.file("unsprawl/unsprawl.toml", "endpoints.acme = \"http://127.0.0.1:1\"\n");
    let config = bench.home.path().join("config/unsprawl/unsprawl.toml");
    let state = |more: &[&str]| {
        let output = bench.run(&[&["scan", "-fjson", "--no-state", &scanned], more].concat()).run();
        one(&output)["validity"].clone()
    };
    write(&config, format!("[endpoints]\nacme = \"{}\"\n", server.url()));
    assert_eq!(state(&[])["state"], "active");
    for (list, asked) in [
        ("never = [\"acme\"]", false),
        ("never = [\"acme.key\"]", false),
        ("only = [\"github\"]", false),
        ("only = [\"acme\"]", true),
    ] {
        write(&config, format!("[endpoints]\nacme = \"{}\"\n[verify]\n{list}\n", server.url()));
        let before = server.seen().len();
        assert_eq!(state(&[])["state"] == "active", asked, "{list}");
        assert_eq!(server.seen().len() > before, asked, "{list}");
    }
    // Flags come before the environment, and that before the file.
    let nowhere = Http::start(|_| http::json(401, json!({})));
    let env = bench.run(&["scan", "-fjson", "--no-state", &scanned]).env("UNSPRAWL_ENDPOINT_ACME", nowhere.url()).run();
    assert_eq!(one(&env)["validity"]["state"], "inactive");
    assert_eq!(state(&["--endpoint", &format!("acme={}", server.url())])["state"], "active");
    for (wrong, place) in [
        ("[verify]\nrps = 0\n", ":2:7: "),
        ("[verify]\nnever = [\"acmee\"]\n", ":2:10: `acmee` is no issuer"),
        ("[endpoints]\nacme = \"ftp://x\"\n", ":2:8: "),
        ("[verfiy]\n", ":1:2: "),
    ] {
        write(&config, wrong);
        let output = bench.run(&["scan", &scanned]).run();
        assert_eq!(output.code, 2, "{wrong}");
        assert!(output.stderr.contains(&format!("unsprawl.toml{place}")), "{}", output.stderr);
    }
}

#[test]
fn a_store_that_does_not_serve_is_no_failure() {
    let bench = Bench::new();
    let live = key("live");
    let server = issuer(&live);
    let scanned = bench.file("a", &format!("acmekey_{live}\n"));
    let state = bench.home.path().join("broken.db");
    write(&state, "this is no database, and long enough to be looked at as one".repeat(20));
    let endpoint = format!("acme={}", server.url());
    for state in [state.to_str().unwrap(), "/proc/nowhere/state.db"] {
        let output =
            bench.run(&["scan", "-fjson", "--fail-on=none", "--state", state, "--endpoint", &endpoint, &scanned]).run();
        assert_eq!(output.code, 0, "{}", output.stderr);
        assert_eq!(one(&output)["validity"]["state"], "active");
        assert!(output.stderr.contains("state: "), "{}", output.stderr);
    }
}

#[test]
fn credentials_in_hand_and_of_a_report() {
    let bench = Bench::new();
    let (live, dead) = (key("live"), key("dead"));
    let server = issuer(&live);
    let endpoint = format!("acme={}", server.url());
    // On the command line: refused, and not shown.
    let refused = bench.run(&["verify", &format!("acmekey_{live}")]).run();
    assert_eq!(refused.code, 2);
    assert!(!refused.stderr.contains(&live[..8]), "{}", refused.stderr);
    let ask = |input: &str, more: &[&str]| {
        bench
            .run(&[&["verify", "-", "-fjson", "--no-state", "--endpoint", &endpoint], more].concat())
            .input(input)
            .run()
    };
    assert_eq!(one(&ask(&format!("acmekey_{live}\n"), &[]))["validity"]["state"], "active");
    assert_eq!(one(&ask(&live, &["--type", "acme.key"]))["validity"]["state"], "active", "told what it is");
    assert_eq!(one(&ask(&dead, &["--type", "acme.key"]))["validity"]["state"], "inactive");
    let nothing = ask("just words", &[]);
    assert_eq!((nothing.code, nothing.stderr.contains("--type")), (2, true), "{}", nothing.stderr);
    assert_eq!(ask("x", &["--type", "acme.kye"]).code, 2);

    // A report says where they stand: in a file, in history, and one that is gone.
    let mut repo = crate::support::Repo::new();
    repo.put("a.txt", format!("acmekey_{live}\n"));
    repo.put("a.txt", "gone\n");
    repo.write("b.txt", format!("acmekey_{dead}\n"));
    repo.write("c.txt", format!("acmekey_{}\n", key("moved")));
    let report = bench.home.path().join("report.json");
    let path = report.to_str().unwrap();
    let scan = bench.run(&["scan", "--no-verify", "-fjson", "-o", path, repo.dir.to_str().unwrap()]).run();
    assert_eq!(scan.code, 1, "{}", scan.stderr);
    repo.remove("c.txt");
    let output = bench.run(&["verify", path, "-fjson", "--no-state", "--endpoint", &endpoint]).run();
    let mut states: Vec<String> = findings(&output)
        .iter()
        .map(|f| {
            format!("{} {}", f["validity"]["state"].as_str().unwrap(), f["validity"]["reason"].as_str().unwrap_or(""))
        })
        .collect();
    states.sort();
    assert_eq!(states.len(), 3, "{}", output.stderr);
    assert!(states[0].starts_with("active") && states[1].starts_with("inactive"), "{states:?}");
    assert!(states[2].contains("could not be read again"), "{states:?}");
    assert!(output.stderr.contains("1 of 3 values could not be read again"), "{}", output.stderr);

    let before = server.seen().len();
    let whois = bench
        .run(&["whois", "-", "-fjson"])
        .env("UNSPRAWL_ENDPOINT_ACME", server.url())
        .input(format!("acmekey_{live}"))
        .run();
    assert_eq!(one(&whois)["validity"]["state"], "unknown");
    assert_eq!(server.seen().len(), before, "whois asks nobody");
}

#[test]
fn without_a_network_it_ends_by_itself() {
    let bench = Bench::new();
    let scanned = bench.file("a", &format!("acmekey_{}\n", key("a")));
    // A network namespace without anything in it, where this machine lets us have one.
    let alone = ["unshare", "--user", "--map-root-user", "--net"];
    let possible =
        std::process::Command::new(alone[0]).args(&alone[1..]).arg("true").output().is_ok_and(|o| o.status.success());
    if !possible {
        assert!(std::env::var_os("CI").is_none(), "no network namespaces here");
        eprintln!("skipped: no network namespaces here");
        return;
    }
    let output = bench.run(&["scan", "-fjson", "--no-state", &scanned]).wrapper(&alone).run();
    assert_eq!(output.code, 1, "{}", output.stderr);
    assert_eq!(one(&output)["validity"]["reason"], "offline");
    let offline = bench.run(&["scan", "-fjson", &scanned]).env("UNSPRAWL_OFFLINE", "1").run();
    assert_eq!(one(&offline)["validity"]["reason"], "offline");
    assert!(!bench.home.path().join("state").exists(), "nothing was kept, so nothing was made");
}

#[test]
fn an_interruption_leaves_a_partial_report() {
    let bench = Bench::new();
    let asked = Arc::new(AtomicBool::new(false));
    let told = asked.clone();
    let live = key("quick");
    let quick = live.clone();
    let server = Http::start(move |seen| {
        if seen.target.contains(&quick) {
            return http::json(200, json!({ "login": "jane" }));
        }
        told.store(true, SeqCst);
        Act::Hang
    });
    let text: String = (0..20).map(|i| format!("acmekey_{}\n", key(&format!("slow{i}")))).collect();
    let scanned = bench.file("a", &format!("acmekey_{live}\n{text}"));
    let endpoint = format!("acme={}", server.url());
    // The time is over.
    let output =
        bench.run(&["scan", "-fjson", "--no-state", "--verify-timeout", "1s", "--endpoint", &endpoint, &scanned]).run();
    assert_eq!(output.code, 3, "{}", output.stderr);
    let reasons: Vec<Value> = findings(&output).into_iter().map(|f| f["validity"].clone()).collect();
    assert_eq!(reasons.iter().filter(|v| v["state"] == "active").count(), 1);
    assert_eq!(reasons.iter().filter(|v| v["reason"] == "not asked in time").count(), 20);
    // A signal, from beside it once a request hangs.
    asked.store(false, SeqCst);
    let script = "\"$@\" & pid=$!; while [ ! -e \"$GO\" ]; do sleep 0.05; done; kill -INT $pid; wait $pid";
    let go = bench.home.path().join("go");
    let flag = go.clone();
    let watcher = std::thread::spawn(move || {
        while !asked.load(SeqCst) {
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
        std::fs::write(flag, "").unwrap();
    });
    let run = bench.run(&["scan", "-fjson", "--no-state", "--endpoint", &endpoint, &scanned]);
    // Background jobs of a shell ignore the signal, unless it has job control.
    let output = run.wrapper(&["bash", "-mc", script, "bash"]).env("GO", &go).run();
    watcher.join().unwrap();
    assert_eq!(output.code, 3, "{}", output.stderr);
    let reasons: Vec<Value> = findings(&output).into_iter().map(|f| f["validity"].clone()).collect();
    assert_eq!(reasons.iter().filter(|v| v["reason"] == "interrupted").count(), 20, "{reasons:?}");
}

#[test]
fn a_dead_host_of_an_embedded_rule_is_told() {
    let bench = Bench::new();
    let port = Http::start(|_| http::json(200, json!({}))).port;
    let scanned = bench.file("a", &format!("{}\n", pat("dead")));
    let endpoint = format!("github=http://127.0.0.1:{port}");
    let output = bench.run(&["scan", "-fjson", "--no-state", "--endpoint", &endpoint, &scanned]).run();
    let found = one(&output);
    assert_eq!(found["validity"]["state"], "unknown", "{found}");
}

#[test]
fn a_json_web_token_is_shown_only_to_an_issuer_that_the_user_names() {
    use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
    let server = Http::start(move |seen| match seen.path() {
        "/realms/a/.well-known/openid-configuration" => {
            let realm = format!("http://{}/realms/a", seen.header("host"));
            http::json(200, json!({ "issuer": realm, "userinfo_endpoint": format!("{realm}/userinfo") }))
        }
        "/realms/a/userinfo" if !seen.header("authorization").is_empty() => {
            http::json(200, json!({ "sub": "4711", "preferred_username": "jane", "email": "jane@corp.example" }))
        }
        _ => http::json(404, json!({})),
    });
    let token = |issuer: &str| {
        let claims = json!({ "iss": issuer, "sub": "4711", "exp": 4_102_444_800_u64 });
        let parts = [json!({ "alg": "RS256", "typ": "JWT" }).to_string(), claims.to_string(), key(issuer).repeat(4)];
        parts.map(|part| URL_SAFE_NO_PAD.encode(part)).join(".")
    };
    let bench = Bench::new();
    let own = bench.file("own", &format!("Authorization: Bearer {}\n", token(&format!("{}/realms/a", server.url()))));
    let endpoint = format!("jwt.issuer={}", server.url());

    let unasked = one(&bench.run(&["scan", "-fjson", &own]).run());
    assert_eq!(unasked["validity"]["state"], "unknown");
    assert!(unasked["validity"]["reason"].as_str().unwrap().contains("--allow-host 127.0.0.1"), "{unasked:#}");
    assert!(server.seen().is_empty());

    let asked = one(&bench.run(&["scan", "-fjson", "--endpoint", &endpoint, &own]).run());
    assert_eq!(asked["validity"]["state"], "active", "{asked:#}");
    assert_eq!(asked["principal"]["login"], "jane");
    let seen = server.seen();
    assert_eq!(seen.len(), 2);
    assert_eq!(seen[0].header("authorization"), "", "the first question has no token in it");

    // What says that it comes from elsewhere, or from a host that merely begins alike, is never sent.
    for issuer in ["https://elsewhere.example/realms/a".to_owned(), format!("{}0/realms/a", server.url())] {
        let other = bench.file("other", &format!("Authorization: Bearer {}\n", token(&issuer)));
        let other = one(&bench.run(&["scan", "-fjson", "--endpoint", &endpoint, &other]).run());
        assert_eq!(other["validity"]["state"], "unknown", "{other:#}");
    }
    assert!(server.seen()[2..].iter().all(|seen| seen.header("authorization").is_empty()));
}
