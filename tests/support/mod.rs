//! What end-to-end tests share: the real binary on real files, and repositories made by the real git.
//!
//! Contract: nothing of this machine's configuration has a say (cleared environments, empty homes), and no token stands
//! in the repository: they are made here, each from a word of its own.
#![allow(clippy::unwrap_used, dead_code, unused_imports)]

pub mod http;
pub mod repo;
pub mod server;
pub mod tokens;

use std::ffi::{OsStr, OsString};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

pub use repo::Repo;
pub use tokens::{npm, pat};

/// The rule that [`pat`] makes tokens for.
pub const PAT: &str = "github.pat-classic";

/// A folder that is removed when the test ends.
pub fn folder() -> tempfile::TempDir {
    tempfile::Builder::new().prefix("e2e-").tempdir().unwrap()
}

/// Holds a document against a schema of the project (`plan.v1`).
#[track_caller]
pub fn schema(name: &str, document: &Value) {
    let path = format!("{}/schemas/{name}.schema.json", env!("CARGO_MANIFEST_DIR"));
    let schema: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    let validator = jsonschema::options().should_validate_formats(true).build(&schema).unwrap();
    let errors: Vec<String> =
        validator.iter_errors(document).map(|e| format!("{e} at {}", e.instance_path())).collect();
    assert!(errors.is_empty(), "{errors:#?}");
}

/// Writes a file and the folders above it.
pub fn write(path: impl AsRef<Path>, bytes: impl AsRef<[u8]>) {
    let path = path.as_ref();
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, bytes).unwrap();
}

/// A run of the binary, before it starts.
pub struct Unsprawl {
    args: Vec<OsString>,
    input: Vec<u8>,
    env: Vec<(OsString, OsString)>,
    dir: Option<PathBuf>,
    wrapper: Vec<OsString>,
}

/// `unsprawl ARGS...`
pub fn unsprawl<I: AsRef<OsStr>>(args: impl IntoIterator<Item = I>) -> Unsprawl {
    let args = args.into_iter().map(|a| a.as_ref().to_owned()).collect();
    Unsprawl { args, input: Vec::new(), env: Vec::new(), dir: None, wrapper: Vec::new() }
}

/// What a run left behind.
pub struct Output {
    pub code: i32,
    pub stdout: Vec<u8>,
    pub stderr: String,
}

impl Unsprawl {
    pub fn arg(mut self, arg: impl AsRef<OsStr>) -> Self {
        self.args.push(arg.as_ref().to_owned());
        self
    }

    pub fn input(mut self, bytes: impl AsRef<[u8]>) -> Self {
        self.input = bytes.as_ref().to_vec();
        self
    }

    pub fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.env.push((name.into(), value.as_ref().to_owned()));
        self
    }

    /// The current directory of the run.
    pub fn dir(mut self, dir: &Path) -> Self {
        self.dir = Some(dir.to_owned());
        self
    }

    /// A command that starts the binary.
    pub fn wrapper(mut self, command: &[&str]) -> Self {
        self.wrapper = command.iter().map(OsString::from).collect();
        self
    }

    pub fn run(&self) -> Output {
        let home = folder();
        let mut words = self.wrapper.clone();
        words.push(env!("CARGO_BIN_EXE_unsprawl").into());
        words.extend(self.args.iter().cloned());
        let mut command = Command::new(&words[0]);
        command.args(&words[1..]).env_clear();
        command.env("PATH", std::env::var_os("PATH").unwrap_or_default()).env("HOME", home.path());
        // Nobody is asked unless a test says so.
        command.env("UNSPRAWL_OFFLINE", "1");
        command.envs(self.env.iter().map(|(n, v)| (n, v))).current_dir(self.dir.as_deref().unwrap_or(home.path()));
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        let input = self.input.clone();
        // A run that does not read its input closes the pipe: that is no fault.
        let writer = std::thread::spawn(move || stdin.write_all(&input).is_ok());
        let output = child.wait_with_output().unwrap();
        writer.join().unwrap();
        Output {
            code: output.status.code().unwrap_or(-1),
            stdout: output.stdout,
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// Runs a scan (the arguments after `scan`) and reads its reports. Secrets are shown, to be compared.
    pub fn scan(mut self) -> Scan {
        let reports = folder();
        let json = reports.path().join("report.json");
        let mut extra = OsString::from("--report=json=");
        extra.push(&json);
        let args: [OsString; 4] = ["scan".into(), "--format=jsonl".into(), "--show-secrets".into(), extra];
        self.args.splice(0..0, args);
        let output = self.run();
        let Ok(text) = std::fs::read(&json) else { panic!("no report; exit {}: {}", output.code, output.stderr) };
        let report =
            serde_json::from_slice(&text).unwrap_or_else(|e| panic!("{e}; exit {}: {}", output.code, output.stderr));
        let lines: Vec<Value> = output
            .stdout
            .split(|b| *b == b'\n')
            .filter(|line| !line.is_empty())
            .map(|line| serde_json::from_slice(line).unwrap())
            .collect();
        assert_eq!(lines.last().unwrap()["type"], "summary");
        let places = lines[..lines.len() - 1].iter().map(|l| serde_json::from_value(l.clone()).unwrap()).collect();
        Scan { code: output.code, stderr: output.stderr, places, report }
    }
}

/// Scans one target.
pub fn scan(target: impl AsRef<OsStr>) -> Scan {
    unsprawl([target]).scan()
}

/// Scans one target with flags.
pub fn scan_with(target: impl AsRef<OsStr>, flags: &[&str]) -> Scan {
    unsprawl(flags).arg(target).scan()
}

/// A line of the JSONL report.
#[derive(Clone, Debug, serde::Deserialize)]
pub struct Place {
    pub rule: String,
    pub confidence: String,
    pub secret: String,
    pub fingerprint: String,
    pub kind: String,
    pub path: String,
    pub path_base64: Option<String>,
    pub member: Option<String>,
    pub encoding: Option<String>,
    pub line: u64,
    pub column: u64,
    pub offset: u64,
    pub object: Option<String>,
    pub commit: Option<String>,
    pub versions: Option<u64>,
    pub reachable: Option<bool>,
    pub present: Option<bool>,
}

impl Place {
    /// Kind, path, line.
    pub fn at(&self) -> (&str, &str, u64) {
        (&self.kind, &self.path, self.line)
    }

    pub fn commit(&self) -> &str {
        self.commit.as_deref().unwrap_or("")
    }
}

/// A finished scan with its reports.
pub struct Scan {
    pub code: i32,
    pub stderr: String,
    pub places: Vec<Place>,
    /// The JSON report.
    pub report: Value,
}

impl Scan {
    /// The places of one token.
    pub fn of(&self, token: &str) -> Vec<&Place> {
        self.places.iter().filter(|p| p.secret == token).collect()
    }

    pub fn has(&self, token: &str) -> bool {
        !self.of(token).is_empty()
    }

    /// The only place of a token.
    #[track_caller]
    pub fn one(&self, token: &str) -> &Place {
        let places = self.of(token);
        assert_eq!(places.len(), 1, "places of one token in {:#?}\n{}", self.places, self.stderr);
        places[0]
    }

    /// The only place in the whole report: of this token, found by its rule; exit code 1.
    #[track_caller]
    pub fn sole(&self, token: &str) -> &Place {
        assert_eq!((self.code, self.places.len()), (1, 1), "{:#?}\n{}", self.places, self.stderr);
        let place = self.one(token);
        assert_eq!((place.rule.as_str(), place.confidence.as_str()), (PAT, "certain"));
        place
    }

    /// Nothing found and nothing left out that should not be.
    #[track_caller]
    pub fn clean(&self) -> &Self {
        assert_eq!((self.code, self.places.len()), (0, 0), "{:#?}\n{}", self.places, self.stderr);
        self
    }

    /// How many notes of a kind there were.
    pub fn count(&self, kind: &str) -> u64 {
        self.report["note_counts"][kind].as_u64().unwrap_or(0)
    }

    /// Notes of a kind, place and detail in one line.
    pub fn notes(&self, kind: &str) -> Vec<String> {
        let text = |note: &Value, key: &str| note[key].as_str().unwrap_or_default().to_owned();
        let notes = self.report["notes"].as_array().unwrap().iter().filter(|n| n["kind"] == kind);
        notes.map(|n| format!("{}: {}", text(n, "place"), text(n, "detail"))).collect()
    }

    /// The only finding of the report, as JSON.
    #[track_caller]
    pub fn finding(&self) -> &Value {
        let findings = self.report["findings"].as_array().unwrap();
        assert_eq!(findings.len(), 1, "{findings:#?}");
        &findings[0]
    }
}
