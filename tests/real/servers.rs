//! The servers that `tests/servers/run` started, and what a test does at them by hand.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::time::Duration;

use base64::Engine;
use serde_json::Value;

/// A running server: the facts that it was started with.
pub struct Server {
    name: &'static str,
    facts: Value,
}

/// Where the servers' records and programs lie.
fn home() -> PathBuf {
    let other = std::env::var_os("UNSPRAWL_TEST_SERVERS_DIR").map(PathBuf::from);
    other.unwrap_or_else(|| [env!("CARGO_MANIFEST_DIR"), "target", "servers"].iter().collect())
}

/// A server, if it runs. Where servers are required (`tests/run`, CI), its absence is a failure; else the test says that
/// it is skipped and ends.
pub fn get(name: &'static str) -> Option<Server> {
    let record = std::fs::read(home().join("run").join(format!("{name}.json")));
    let facts = record.ok().and_then(|text| serde_json::from_slice::<Value>(&text).ok());
    if let Some(facts) = facts.filter(|f| f["ready"] == true) {
        return Some(Server { name, facts });
    }
    let set = |name: &str, value: &str| std::env::var(name).is_ok_and(|v| v == value);
    assert!(!set("UNSPRAWL_TEST_SERVERS", "required") && !set("CI", "true"), "{name} is not running");
    // Not by a macro: those texts are only shown of tests that fail.
    let _ = writeln!(std::io::stderr(), "skipped: {name} is not running, tests/run starts it");
    None
}

/// A name that no other test and no earlier run used.
pub fn fresh(stem: &str) -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    format!("{stem}{}x{}", std::process::id(), NEXT.fetch_add(1, Relaxed))
}

/// A password that looks like one: not a word, and with every kind of character that needs no escape in a URL.
pub fn password(word: &str) -> String {
    crate::support::tokens::Random::of(&fresh(word)).base62(24)
}

impl Server {
    /// A fact, as text.
    pub fn fact(&self, name: &str) -> String {
        match &self.facts[name] {
            Value::String(text) => text.clone(),
            Value::Null => panic!("{} has no {name}: is it of an older tests/servers/run?", self.name),
            other => other.to_string(),
        }
    }

    pub fn url(&self) -> String {
        self.fact("url")
    }

    /// What it has said so far, in its log.
    pub fn log(&self) -> String {
        let log = home().join("log").join(format!("{}.log", self.name));
        String::from_utf8_lossy(&std::fs::read(log).unwrap()).into_owned()
    }

    /// A request to the server's URL.
    pub fn request(&self, method: &str, path: &str) -> Request {
        Request::to(&self.url(), method, path)
    }

    /// Runs a program of the server's own, which must succeed; its output.
    #[track_caller]
    pub fn run(&self, program: &str, args: &[&str], env: &[(&str, &str)], input: &str) -> String {
        let mut command = Command::new(program);
        command.args(args).env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default()).env("HOME", home());
        command.envs(env.iter().copied()).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap_or_else(|e| panic!("{program}: {e}"));
        child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{program}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }
}

/// A request by hand.
pub struct Request {
    method: String,
    authority: String,
    path: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

/// What came back.
pub struct Answer {
    pub status: u16,
    pub body: Value,
}

impl Request {
    /// To an `http://` URL with a path behind it.
    pub fn to(base: &str, method: &str, path: &str) -> Self {
        let rest = base.strip_prefix("http://").unwrap();
        let (authority, prefix) = rest.split_once('/').map_or((rest, String::new()), |(a, p)| (a, format!("/{p}")));
        let (method, authority) = (method.to_owned(), authority.to_owned());
        Self { method, authority, path: format!("{prefix}{path}"), headers: Vec::new(), body: Vec::new() }
    }

    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    pub fn bearer(self, token: &str) -> Self {
        self.header("Authorization", &format!("Bearer {token}"))
    }

    pub fn basic(self, user: &str, password: &str) -> Self {
        let pair = base64::engine::general_purpose::STANDARD.encode(format!("{user}:{password}"));
        self.header("Authorization", &format!("Basic {pair}"))
    }

    pub fn json(mut self, body: Value) -> Self {
        self.body = body.to_string().into_bytes();
        self.header("Content-Type", "application/json")
    }

    pub fn form(mut self, pairs: &[(&str, &str)]) -> Self {
        let pairs: Vec<String> = pairs.iter().map(|(n, v)| format!("{n}={v}")).collect();
        self.body = pairs.join("&").into_bytes();
        self.header("Content-Type", "application/x-www-form-urlencoded")
    }

    /// Sends it over HTTP/1.0, which has no chunks; a reply ends where it says, or with the connection: head and body.
    fn exchange(self) -> (String, Vec<u8>) {
        let mut stream = TcpStream::connect(&self.authority).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        let Self { method, authority, path, headers, body } = self;
        let mut head = format!("{method} {path} HTTP/1.0\r\nHost: {authority}\r\nContent-Length: {}\r\n", body.len());
        for (name, value) in &headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        stream.write_all(format!("{head}\r\n").as_bytes()).unwrap();
        stream.write_all(&body).unwrap();
        let mut input = BufReader::new(stream);
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            assert!(input.read_line(&mut head).unwrap() > 0, "a reply without an end of its head");
        }
        let length = field(&head, "content-length").map_or(u64::MAX, |length| length.parse().unwrap());
        let length = if head[9..].starts_with("204") { 0 } else { length };
        let mut body = Vec::new();
        input.take(length).read_to_end(&mut body).unwrap();
        (head, body)
    }

    pub fn send(self) -> Answer {
        let (head, body) = self.exchange();
        let body = serde_json::from_slice(&body).unwrap_or_else(|_| String::from_utf8_lossy(&body).into());
        Answer { status: head[9..12].parse().unwrap(), body }
    }

    /// Sends it; a header of the answer.
    pub fn send_for_header(self, name: &str) -> String {
        let (head, _) = self.exchange();
        field(&head, name).unwrap_or_else(|| panic!("no {name} in: {}", head.lines().next().unwrap())).to_owned()
    }

    /// Sends it; the body of an answer of one of these statuses.
    #[track_caller]
    pub fn expect(self, statuses: &[u16]) -> Value {
        let what = format!("{} {}", self.method, self.path);
        let answer = self.send();
        assert!(statuses.contains(&answer.status), "{what}: {} {}", answer.status, answer.body);
        answer.body
    }
}

/// A header's value.
fn field<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    head.lines().filter_map(|l| l.split_once(": ")).find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, value)| value)
}
