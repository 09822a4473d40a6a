//! Makes repositories with git, reads them with git, and collects what a walk shows.
#![allow(clippy::unwrap_used, dead_code, missing_docs)]

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;

use unsprawl::model::ObjectId;
use unsprawl::source::git::walk::{Kind, Object, Segment, Visitor};

/// Runs git in a folder without any configuration of this machine; its output.
pub fn git_in(dir: &Path, args: &[&str], input: &[u8]) -> Vec<u8> {
    let mut command = Command::new("git");
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("GIT_") {
            command.env_remove(name);
        }
    }
    command.env("GIT_CONFIG_NOSYSTEM", "1").env("GIT_CONFIG_GLOBAL", "/dev/null").env("HOME", dir);
    let identity =
        ["-c", "user.name=A", "-c", "user.email=a@example.org", "-c", "gc.auto=0", "-c", "maintenance.auto=0"];
    let mut child = command
        .current_dir(dir)
        .args(identity)
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_vec();
    let writer = std::thread::spawn(move || std::io::Write::write_all(&mut stdin, &input));
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap().unwrap();
    assert!(output.status.success(), "git {args:?}: {}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

/// A repository with some history: texts that grow, a binary, a merge, a tag, an empty file.
pub fn repository(format: &str) -> (tempfile::TempDir, PathBuf) {
    let top = tempfile::tempdir().unwrap();
    let dir = top.path().join("repo");
    std::fs::create_dir(&dir).unwrap();
    git_in(&dir, &["init", "-q", "-b", "main", &format!("--object-format={format}")], b"");
    for round in 0..12 {
        commit(&dir, round);
    }
    git_in(&dir, &["tag", "-a", "-m", "a tag", "v1"], b"");
    (top, dir)
}

/// One commit that changes a long text in the middle and at its end.
pub fn commit(dir: &Path, round: u32) {
    let mut text = String::new();
    for line in 0..400 {
        let word = if line % 50 == round % 50 { round } else { 0 };
        text += &format!("line {line} of the text, word {word} and {}\n", line * 7919 % 1000);
    }
    text += &format!("round {round}\n").repeat(round as usize);
    std::fs::write(dir.join("text"), text).unwrap();
    std::fs::create_dir_all(dir.join("sub")).unwrap();
    std::fs::write(dir.join(format!("sub/{round}")), format!("file {round}")).unwrap();
    let noise: Vec<u8> = (0..3000u32).map(|i| (i * i % 251 + round * (i / 2900)) as u8).collect();
    std::fs::write(dir.join("noise"), noise).unwrap();
    std::fs::write(dir.join("empty"), "").unwrap();
    git_in(dir, &["add", "-A"], b"");
    git_in(dir, &["commit", "-q", "-m", &format!("round {round}")], b"");
}

/// All objects as git shows them.
pub fn expected(dir: &Path) -> BTreeMap<ObjectId, (Kind, Vec<u8>)> {
    let raw = git_in(dir, &["cat-file", "--batch-all-objects", "--batch"], b"");
    let mut rest = &raw[..];
    let mut all = BTreeMap::new();
    while !rest.is_empty() {
        let end = rest.iter().position(|b| *b == b'\n').unwrap();
        let line = std::str::from_utf8(&rest[..end]).unwrap();
        let words: Vec<&str> = line.split(' ').collect();
        let kind = match words[1] {
            "commit" => Kind::Commit,
            "tree" => Kind::Tree,
            "blob" => Kind::Blob,
            _ => Kind::Tag,
        };
        let size: usize = words[2].parse().unwrap();
        let data = rest[end + 1..end + 1 + size].to_vec();
        all.insert(ObjectId::from_hex(words[0].as_bytes()).unwrap(), (kind, data));
        rest = &rest[end + 2 + size..];
    }
    all
}

/// Collects what it is shown and checks that segments lead from the base to the object.
#[derive(Default)]
pub struct Collect {
    pub seen: Mutex<BTreeMap<ObjectId, (Kind, Vec<u8>)>>,
    pub firsts: Mutex<HashMap<ObjectId, u32>>,
    pub deltas: Mutex<u32>,
    pub unwanted: Mutex<u32>,
    pub parts: Mutex<HashMap<ObjectId, (Vec<u8>, u32)>>,
}

impl Collect {
    pub fn add(&self, object: Object<'_>) -> Vec<u8> {
        if object.wanted {
            self.seen.lock().unwrap().insert(object.id.get(), (object.kind, object.data.to_vec()));
            *self.firsts.lock().unwrap().entry(object.id.get()).or_default() += u32::from(object.first);
        } else {
            *self.unwanted.lock().unwrap() += 1;
        }
        object.data.to_vec()
    }
}

impl Visitor for Collect {
    type State = Vec<u8>;

    fn whole(&self, object: Object<'_>, _: bool) -> Vec<u8> {
        self.add(object)
    }

    fn delta(&self, object: Object<'_>, base: &Vec<u8>, segments: &[Segment], _: bool) -> Vec<u8> {
        *self.deltas.lock().unwrap() += 1;
        let mut at = 0;
        for segment in segments {
            let (start, len) = match *segment {
                Segment::Copy { start, base: from, len } => {
                    assert_eq!(&object.data[start..start + len], &base[from..from + len]);
                    (start, len)
                }
                Segment::Insert { start, len } => (start, len),
            };
            assert_eq!(start, at);
            at += len;
        }
        assert_eq!(at, object.data.len());
        self.add(object)
    }

    fn part(&self, id: ObjectId, part: &[u8], offset: u64, last: bool) {
        let mut parts = self.parts.lock().unwrap();
        let (bytes, ends) = parts.entry(id).or_default();
        assert_eq!(*ends, 0, "nothing comes after the last part");
        let known = bytes.len() - offset as usize;
        assert_eq!(bytes[offset as usize..], part[..known], "parts overlap");
        bytes.extend_from_slice(&part[known..]);
        *ends += u32::from(last);
    }
}
