//! Reports to write in tests: one of every shape, and the means to make hostile ones.
#![allow(clippy::unwrap_used, dead_code)]

use unsprawl::model::{
    BoundTo, Checked, CommitInfo, Confidence, Exposure, Finding, GitPlace, How, Location, Note, NoteKind, ObjectId,
    PeopleFiles, PlaceKind, Principal, Report, Signature, Target, TextSpan, Totals, Validity,
};
use unsprawl::report::{Format, Options, write};
use unsprawl::secret::{Fingerprinter, Secret};

/// 2024-05-01T08:00:00Z.
pub const MAY: i64 = 1_714_550_400;

pub fn shown(format: Format, report: &Report, options: &Options) -> String {
    let mut out = Vec::new();
    write(format, report, options, &mut out).unwrap();
    String::from_utf8(out).unwrap()
}

pub fn plain(format: Format, report: &Report) -> String {
    shown(format, report, &Options::default())
}

/// A value that looks like nothing in particular.
pub fn value(len: usize) -> Vec<u8> {
    (0..len).map(|i| b"qXz7Rk2Wv9Lm4Tn6Yb"[i * 7 % 18]).collect()
}

pub fn id(byte: u8) -> ObjectId {
    ObjectId::from_bytes(&[byte; 20]).unwrap()
}

pub fn person(name: &str, time: i64, offset: i32) -> Signature {
    Signature { name: name.into(), email: format!("{}@example.org", name.to_lowercase()), time, offset }
}

pub fn commit(byte: u8, time: i64) -> CommitInfo {
    CommitInfo {
        id: id(byte),
        author: person("Jane", time, 120),
        committer: person("Bot", time + 60, 0),
        subject: format!("Change {byte}"),
    }
}

pub fn span(line: u64, column: u64, len: u64) -> TextSpan {
    TextSpan { start: line * 100, end: line * 100 + len, line, column, end_line: line, end_column: column + len }
}

pub fn place(kind: PlaceKind, path: &[u8]) -> Location {
    Location { target: 0, kind, path: path.to_vec(), member: vec![], span: span(3, 8, 40), encoding: vec![], git: None }
}

pub fn git_place(kind: PlaceKind, path: &[u8], commit: Option<CommitInfo>) -> Location {
    let git = GitPlace { object: id(0xb0), commit, versions: 1, reachable: true, present: false };
    Location { git: Some(git), ..place(kind, path) }
}

pub fn checked(validity: Validity) -> Checked {
    Checked { validity, ..Checked::default() }
}

pub fn finding(rule: &str, confidence: Confidence, secret: &[u8], locations: Vec<Location>) -> Finding {
    Finding {
        rule: rule.into(),
        name: format!("Acme {rule}"),
        issuer: "Acme".into(),
        docs: None,
        confidence,
        fingerprint: Fingerprinter::default().of(secret),
        secret: Secret::new(secret),
        parts: vec![],
        secrets: Vec::new(),
        encrypted: false,
        bound_to: BoundTo::None,
        checked: checked(Validity::Unknown("not checked".into())),
        owned: None,
        locations,
        exposure: None,
    }
}

pub fn target(name: &str, kind: &'static str, root: Option<&str>) -> Target {
    Target { name: name.into(), kind, root: root.map(Into::into), people: PeopleFiles::default() }
}

pub fn report(findings: Vec<Finding>) -> Report {
    Report { started: MAY, targets: vec![target(".", "repository", Some("."))], findings, ..Report::default() }
}

/// A finding of git history with everything a finding can have.
fn rich() -> Finding {
    let mut old = git_place(PlaceKind::Blob, b"config/prod.env", Some(commit(1, MAY)));
    let mut newer = git_place(PlaceKind::Blob, b"deploy/b\xfcro \xe2\x80\xae.yml", Some(commit(2, MAY + 86_400)));
    let mut archived = git_place(PlaceKind::Blob, b"dist/app.zip", Some(commit(3, MAY + 3600)));
    if let (Some(a), Some(b)) = (&mut old.git, &mut newer.git) {
        a.versions = 3;
        b.present = true;
    }
    newer.encoding = vec!["base64", "gzip"];
    archived.member = vec!["lib/inner.jar".into(), "META-INF/key\u{9b}31m.txt".into()];
    Finding {
        docs: Some("https://docs.example.org/tokens#revoke it".into()),
        parts: vec![
            ("user".into(), b"deploy\x1b[31m".to_vec()),
            ("url".into(), b"https://bob:hunter2@db.example.org/x".to_vec()),
        ],
        secrets: vec![("session".into(), Secret::new(b"a-session-that-belongs-to-it"))],
        exposure: Some(Exposure {
            introduced: Some(commit(1, MAY)),
            removed: Some(commit(9, i64::MAX - 60)),
            at_head: false,
            branches: 2,
            unreachable: false,
            warnings: vec!["commit 01 is dated after its child".into()],
        }),
        ..finding("acme.token", Confidence::Certain, &value(40), vec![old, newer, archived])
    }
}

/// A verdict with everything that one can say.
fn asked() -> Checked {
    let principal = Principal {
        kind: Some("user".into()),
        id: Some("42".into()),
        login: Some("jane\x1b[31m".into()),
        name: Some("Jane Doe".into()),
        email: Some("jane@example.org".into()),
        organisation: Some("Acme".into()),
        key_id: Some("k-1".into()),
        scopes: vec!["repo".into(), "admin:org".into()],
        created: Some("2024-01-02T03:04:05Z".into()),
        expires: Some("never".into()),
        last_used: None,
        more: [("plan".to_owned(), "free".to_owned())].into(),
    };
    let identity = Principal { email: Some("jane@example.org".into()), ..Principal::default() };
    Checked {
        validity: Validity::Active,
        remark: Some("limited by IP address".into()),
        how: How::Cached,
        at: Some(MAY),
        principal: Some(principal),
        identity: Some(identity),
    }
}

/// Findings in all the other kinds of place.
fn odd_places() -> Vec<Finding> {
    let mut message = git_place(PlaceKind::Commit, b"", Some(commit(4, -5)));
    message.git.as_mut().unwrap().object = id(4);
    let mut dangling = git_place(PlaceKind::Dangling, b"", None);
    dangling.git.as_mut().unwrap().reachable = false;
    let key = Finding {
        encrypted: true,
        issuer: "SSH".into(),
        name: "Private key".into(),
        ..finding("ssh.key", Confidence::High, b"\x00\xff\x01-----not-utf8-----\xfe", vec![message, dangling])
    };
    let places = vec![
        git_place(PlaceKind::Index, b"staged.txt", None),
        git_place(PlaceKind::Tag, b"", None),
        Location { target: 1, ..place(PlaceKind::Stdin, b"") },
        Location { target: 2, ..place(PlaceKind::File, b"/abs/one.txt") },
    ];
    let mixed = Finding {
        checked: asked(),
        bound_to: BoundTo::User,
        ..finding("acme.other", Confidence::Medium, &value(24), places)
    };
    let inactive = Finding {
        checked: checked(Validity::Inactive),
        ..finding("generic.password", Confidence::Low, b"abc", vec![place(PlaceKind::File, b"a:b c/%2e[1]{0}.txt")])
    };
    vec![key, mixed, inactive]
}

/// One report with every shape of everything.
pub fn everything() -> Report {
    let note = |kind, place: &str, detail: &str| Note { kind, place: place.into(), detail: detail.into() };
    let mut report = report([vec![rich()], odd_places()].concat());
    report.targets = vec![
        target(".", "repository", Some(".")),
        target("-", "stdin", None),
        target("https://me:hunter2@example.org/team/repo.git", "bare-repository", None),
    ];
    report.notes = vec![
        note(NoteKind::TooLarge, "big.bin", "12 GB"),
        note(NoteKind::GitDamaged, "pack-1", "bad [link](https://x) {0}"),
        note(NoteKind::Other, "", "hello"),
    ];
    report.note_counts = vec![
        (NoteKind::TooLarge, 3),
        (NoteKind::GitIgnored, 12),
        (NoteKind::GitDamaged, 1),
        (NoteKind::Excluded, 0),
        (NoteKind::Other, 1),
    ];
    report.totals = Totals { files: 1234, objects: 1, bytes: 5 << 20, members: 2, ignored_inline: 1, millis: 61_500 };
    report
}
