//! Makes up an organisation and times `unsprawl owners` on it, with the real binary.
//!
//!     cargo build --release && cargo run --release --example organisation -- [BINARY] [PEOPLE] [FINDINGS]
//!
//! 1,000 people in a CSV file, a tenth of them departed, and a report of 5,000 findings in 200 repositories: their accounts go
//! by address, by log-in name or by an account map, and one in twenty belongs to nobody. Exit code 1 if an owner is wrong.
#![allow(clippy::print_stdout, clippy::unwrap_used)]

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use serde_json::Value;
use unsprawl::model::{
    BoundTo, Checked, CommitInfo, Confidence, Exposure, Finding, GitPlace, How, Location, ObjectId, PeopleFiles,
    PlaceKind, Principal, Report, Signature, Target, TextSpan, Validity,
};
use unsprawl::report::{Format, Options, write};
use unsprawl::secret::{Fingerprinter, Secret};

const REPOSITORIES: usize = 200;
/// 2026-01-01T00:00:00Z.
const NOW: i64 = 1_767_225_600;

fn departed(person: usize) -> bool {
    person.is_multiple_of(10)
}

/// Whose a finding is; nobody's for one in twenty.
fn owner(finding: usize, people: usize) -> Option<usize> {
    (finding % 20 != 7).then_some(finding * 7919 % people)
}

fn active(finding: usize) -> bool {
    finding % 3 != 1
}

fn directory(people: usize) -> String {
    let mut csv = String::from("id,name,email,aliases,login,status,since,team,manager\n");
    for i in 0..people {
        let (status, since) = if departed(i) { ("departed", "2025-06-01") } else { ("active", "") };
        let (team, boss) = (i % 40, i / 8);
        writeln!(
            csv,
            "E{i:05},Person {i},person{i}@example.org,p{i}@old.example.org,login{i},{status},{since},Team {team},person{boss}@example.org"
        )
        .unwrap();
    }
    csv
}

/// Every fourth account is called as nobody in the directory is.
fn accounts(people: usize) -> String {
    let entry = |i| format!("[[account]]\nlogin = \"robot-{i}\"\nperson = \"person{i}@example.org\"\n");
    (0..people).map(entry).collect()
}

fn signature(person: usize, time: i64) -> Signature {
    let email = format!("P{person}@old.example.org");
    Signature { name: format!("Person {person}"), email, time, offset: 0 }
}

fn location(finding: usize, place: usize, people: usize) -> Location {
    let id = |salt: usize| {
        let mut bytes = [0; 20];
        bytes[..8].copy_from_slice(&((finding * 8 + place) as u64).to_be_bytes());
        bytes[8] = salt as u8;
        ObjectId::from_bytes(&bytes).unwrap()
    };
    let time = NOW - (finding as i64 % 900) * 86_400;
    let author = signature((finding * 7919 + place * 13) % people, time);
    let commit = CommitInfo { id: id(1), committer: author.clone(), author, subject: "settings".into() };
    let line = 1 + finding as u64 % 300;
    Location {
        target: (finding + place * 37) % REPOSITORIES,
        kind: PlaceKind::Blob,
        path: format!("services/app{}/config/settings{place}.env", finding % 50).into_bytes(),
        member: vec![],
        span: TextSpan { start: line * 40, end: line * 40 + 40, line, column: 7, end_line: line, end_column: 47 },
        encoding: vec![],
        git: Some(GitPlace { object: id(2), commit: Some(commit), versions: 1, reachable: true, present: place == 0 }),
    }
}

fn principal(finding: usize, person: usize) -> Principal {
    let mut principal = Principal { kind: Some("user".into()), ..Principal::default() };
    match finding % 4 {
        0 => principal.email = Some(format!("P{person}@Old.example.org")),
        1 => principal.login = Some(format!("robot-{person}")),
        _ => principal.login = Some(format!("Login{person}")),
    }
    principal
}

fn finding(i: usize, people: usize) -> Finding {
    let value = format!("{:032x}", (i as u128 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835));
    let locations: Vec<Location> = (0..1 + i % 4).map(|place| location(i, place, people)).collect();
    let introduced = locations[0].git.as_ref().and_then(|g| g.commit.clone());
    Finding {
        rule: ["github.pat-classic", "npm.access-token", "gitlab.pat", "aws.secret-access-key"][i % 4].into(),
        name: "A token of somebody's".into(),
        issuer: "An issuer".into(),
        docs: None,
        confidence: Confidence::High,
        fingerprint: Fingerprinter::default().of(value.as_bytes()),
        secret: Secret::new(value.as_bytes()),
        parts: vec![],
        secrets: Vec::new(),
        encrypted: false,
        bound_to: BoundTo::User,
        checked: Checked {
            validity: if active(i) { Validity::Active } else { Validity::Inactive },
            how: How::Asked,
            at: Some(NOW),
            principal: owner(i, people).map(|person| principal(i, person)),
            ..Checked::default()
        },
        owned: None,
        exposure: Some(Exposure { introduced, at_head: i.is_multiple_of(2), branches: 1, ..Exposure::default() }),
        locations,
    }
}

fn report(people: usize, findings: usize) -> Vec<u8> {
    let target = |i| Target {
        name: format!("https://git.example.org/team/repository-{i}.git"),
        kind: "repository",
        root: None,
        people: PeopleFiles::default(),
    };
    let report = Report {
        started: NOW,
        targets: (0..REPOSITORIES).map(target).collect(),
        findings: (0..findings).map(|i| finding(i, people)).collect(),
        ..Report::default()
    };
    let mut out = Vec::new();
    write(Format::Json, &report, &Options::default(), &mut out).unwrap();
    out
}

/// Runs the binary on the files; its output.
fn run(binary: &Path, folder: &Path, words: &[&str]) -> Vec<u8> {
    let mut command = Command::new(binary);
    command.args(words).args(["--no-verify", "--no-state", "--directory", "people.csv", "--accounts", "accounts.toml"]);
    command.arg("report.json").current_dir(folder).env_clear().env("HOME", folder);
    let begun = Instant::now();
    let output = command.output().unwrap();
    let (code, bytes) = (output.status.code().unwrap_or(-1), output.stdout.len());
    println!("{:>8.3} s  exit code {code}, {bytes} bytes: {}", begun.elapsed().as_secs_f64(), words.join(" "));
    assert!(code == 0 || code == 1, "{}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

/// How many credentials the list gives to each person, and how many are orphaned, against what was made.
fn wrong(list: &Value, people: usize, findings: usize) -> usize {
    let mut expected = vec![(0, 0); people];
    for i in 0..findings {
        if let Some(person) = owner(i, people) {
            expected[person].0 += 1;
            expected[person].1 += usize::from(active(i) && departed(person));
        }
    }
    let mut wrong = 0;
    for entry in list["people"].as_array().unwrap() {
        let Some(id) = entry["person"]["id"].as_str() else { continue };
        let person = id.strip_prefix('E').and_then(|n| n.parse::<usize>().ok());
        let found = (entry["credentials"].as_array().unwrap().len(), entry["orphaned"].as_u64().unwrap() as usize);
        match person.and_then(|p| expected.get_mut(p)) {
            Some(known) if *known == found => *known = (0, 0),
            _ => wrong += 1,
        }
    }
    wrong + expected.iter().filter(|e| **e != (0, 0)).count()
}

fn main() {
    let mut args = std::env::args().skip(1);
    let beside = || std::env::current_exe().unwrap().parent().unwrap().parent().unwrap().join("unsprawl");
    let binary = args.next().map_or_else(beside, PathBuf::from).canonicalize().unwrap();
    let mut number = |default| args.next().map_or(default, |n| n.parse().unwrap());
    let (people, findings) = (number(1000), number(5000));
    let folder = std::env::temp_dir().join(format!("organisation-{}", std::process::id()));
    std::fs::create_dir(&folder).unwrap();
    std::fs::write(folder.join("people.csv"), directory(people)).unwrap();
    std::fs::write(folder.join("accounts.toml"), accounts(people)).unwrap();
    std::fs::write(folder.join("report.json"), report(people, findings)).unwrap();
    println!("{people} people, {findings} findings, {}", binary.display());
    for format in ["text", "csv"] {
        run(&binary, &folder, &["owners", "--format", format]);
    }
    run(&binary, &folder, &["offboard", "--format", "text", "person0@example.org"]);
    let list = serde_json::from_slice(&run(&binary, &folder, &["owners", "--format", "json"])).unwrap();
    std::fs::remove_dir_all(&folder).unwrap();
    let wrong = wrong(&list, people, findings);
    println!("{wrong} people with other credentials than were made for them");
    std::process::exit(i32::from(wrong > 0));
}
