//! Text in other clothes, committed to a history: encodings, compression, archives, odd names.
#![allow(clippy::unwrap_used)]

use std::ffi::OsStr;
use std::io::{Cursor, Write};
use std::os::unix::ffi::OsStrExt;

use crate::support::*;
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};

/// Commits one file and deletes it again, so that only history has it. Gives the scan and the commit.
fn committed(path: &str, bytes: impl AsRef<[u8]>) -> (Scan, String) {
    let mut repo = Repo::new();
    repo.put("README", "text");
    let added = repo.put(path, bytes);
    repo.remove(path);
    repo.commit("remove");
    (scan(&repo.dir), added)
}

/// Files with one token, the line where it is found and the encodings that are undone.
struct Cases<'a> {
    token: &'a str,
    files: Vec<(Vec<u8>, u64, &'static str)>,
}

impl<'a> Cases<'a> {
    fn new(token: &'a str) -> Self {
        Self { token, files: Vec::new() }
    }

    fn add(&mut self, bytes: impl AsRef<[u8]>, line: u64, encoding: &'static str) {
        self.files.push((bytes.as_ref().to_vec(), line, encoding));
    }

    /// Commits all files, deletes them, and finds each in history.
    fn check(self) {
        let mut repo = Repo::new();
        for (n, (bytes, ..)) in self.files.iter().enumerate() {
            repo.write(&format!("case{n}"), bytes);
        }
        let added = repo.commit("add");
        repo.git(&["rm", "-q", "-r", "."]);
        repo.commit("remove");
        let scan = scan(&repo.dir);
        assert_eq!(scan.code, 1);
        for (n, (bytes, line, encoding)) in self.files.iter().enumerate() {
            let (path, text) = (format!("case{n}"), String::from_utf8_lossy(bytes));
            let places: Vec<&Place> = scan.places.iter().filter(|p| p.path == path).collect();
            let [place] = places[..] else { panic!("{} places of {text:?}", places.len()) };
            assert_eq!((place.secret.as_str(), place.rule.as_str()), (self.token, PAT), "{text:?}");
            assert_eq!((place.kind.as_str(), place.line, place.commit()), ("blob", *line, added.as_str()), "{text:?}");
            assert_eq!(place.encoding.as_deref().unwrap_or(""), *encoding, "{text:?}");
        }
        assert_eq!(scan.places.len(), self.files.len());
    }
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    gzip.write_all(bytes).unwrap();
    gzip.finish().unwrap()
}

/// Lines of 76 characters, as MIME and `base64` have them.
fn wrapped(text: &str) -> String {
    text.as_bytes().chunks(76).map(|line| format!("{}\n", std::str::from_utf8(line).unwrap())).collect()
}

/// YAML with the token in its third line, long enough for base64 to need several lines.
fn yaml(token: &str) -> String {
    let more: String = (0..12).map(|n| format!("setting-{n}: some value that means nothing at all\n")).collect();
    format!("kind: Secret\nmetadata: {{}}\ntoken: {token}\n{more}")
}

fn utf16(text: &str, mark: bool, unit: fn(u16) -> [u8; 2]) -> Vec<u8> {
    let mark = if mark { "\u{feff}" } else { "" };
    format!("{mark}{text}").encode_utf16().flat_map(unit).collect()
}

#[test]
fn utf_16() {
    let token = pat("utf-16");
    let mut cases = Cases::new(&token);
    let text = format!("[section]\r\nname=dëmo\r\nkey={token}\r\n");
    for mark in [true, false] {
        cases.add(utf16(&text, mark, u16::to_le_bytes), 3, "utf-16le");
        cases.add(utf16(&text, mark, u16::to_be_bytes), 3, "utf-16be");
    }
    cases.check();
}

#[test]
fn base64() {
    let token = pat("base64");
    let mut cases = Cases::new(&token);
    let text = yaml(&token);
    let encoded = STANDARD.encode(&text);
    cases.add(format!("a: 1\ndata: {encoded}\n"), 2, "base64");
    cases.add(format!("{{\"data\": \"{encoded}\"}}"), 1, "base64");
    cases.add(format!("-- mail\n\n{}\nend\n", wrapped(&encoded)), 3, "base64");
    cases.add(format!("-- mail\r\n\r\n{}", wrapped(&encoded).replace('\n', "\r\n")), 3, "base64");
    // Bytes that only differ between the alphabets: `?>` and `~~` give `/` and `-`.
    let odd = format!("??>>~~~~ {text}");
    let url_safe = URL_SAFE.encode(&odd);
    assert!(url_safe.contains('_') || url_safe.contains('-'));
    cases.add(format!("state={}\n", url_safe.trim_end_matches('=')), 1, "base64");
    // The token alone, and all three ways its bytes can fall into groups of three.
    for before in ["", "x=", "k: "] {
        cases.add(format!("v: {}\n", STANDARD.encode(format!("{before}{token}"))), 1, "base64");
    }
    cases.check();
}

#[test]
fn hex_percent_and_escapes() {
    let token = pat("hex");
    let mut cases = Cases::new(&token);
    let hex: String = format!("key={token}").bytes().map(|b| format!("{b:02x}")).collect();
    cases.add(format!("one\nhex = {hex}\n"), 2, "hex");
    cases.add(format!("one\nhex = {}\n", hex.to_uppercase()), 2, "hex");
    let percent: String = token.bytes().map(|b| format!("%{b:02X}")).collect();
    cases.add(format!("GET /login?token={percent}&x=1\n"), 1, "percent");
    let partly = token.replacen("ghp_", "ghp%5F", 1);
    cases.add(format!("GET /login?token={partly}&x=1\n"), 1, "percent");
    let unicode: String = token.chars().map(|c| format!("\\u{:04x}", c as u32)).collect();
    cases.add(format!("{{\n\"key\": \"{unicode}\"}}\n"), 2, "escape");
    let partly = token.replacen('_', "\\u005f", 1);
    cases.add(format!("{{\n\"key\": \"{partly}\"}}\n"), 2, "escape");
    // A letter right before the token that is none: `\n` of a JSON string.
    cases.add(format!("{{\"file\": \"first\\n{token}\\nlast\"}}\n"), 1, "escape");
    cases.check();
}

#[test]
fn compressed_inside_base64() {
    let token = pat("helm");
    let mut cases = Cases::new(&token);
    let packed = STANDARD.encode(gzip(yaml(&token).as_bytes()));
    cases.add(format!("release: {packed}\n"), 1, "base64+gzip");
    cases.add(format!("data:\n  release: {}\n", STANDARD.encode(&packed)), 2, "base64+base64+gzip");
    cases.add(wrapped(&packed), 1, "base64+gzip");
    cases.check();
}

/// A zip with one member, deflated.
fn zip(name: &str, bytes: &[u8]) -> Vec<u8> {
    let mut zip = zip::ZipWriter::new(Cursor::new(Vec::new()));
    zip.start_file("first.txt", zip::write::SimpleFileOptions::default()).unwrap();
    zip.write_all(b"nothing").unwrap();
    zip.start_file(name, zip::write::SimpleFileOptions::default()).unwrap();
    zip.write_all(bytes).unwrap();
    zip.finish().unwrap().into_inner()
}

fn tar(name: &str, bytes: &[u8]) -> Vec<u8> {
    let mut tar = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_size(bytes.len() as u64);
    header.set_mode(0o644);
    tar.append_data(&mut header, name, bytes).unwrap();
    tar.into_inner().unwrap()
}

#[test]
fn archives_in_history() {
    let token = pat("archives");
    let text = yaml(&token);
    let text = text.as_bytes();
    let nested = zip("lib/inner.zip", &zip("conf/key.yaml", text));
    for (name, bytes, member) in [
        ("a.zip", zip("conf/key.yaml", text), Some("conf/key.yaml")),
        ("app.jar", zip("META-INF/key.yaml", text), Some("META-INF/key.yaml")),
        ("outer.jar", nested, Some("lib/inner.zip!conf/key.yaml")),
        ("a.tar", tar("conf/key.yaml", text), Some("conf/key.yaml")),
    ] {
        let (scan, added) = committed(name, bytes);
        let place = scan.sole(&token);
        assert_eq!((place.at(), place.commit()), (("blob", name, 3), added.as_str()));
        assert_eq!(place.member.as_deref(), member, "{name}");
    }
    let (scan, added) = committed("a.tar.gz", gzip(&tar("conf/key.yaml", text)));
    let place = scan.sole(&token);
    assert_eq!((place.at(), place.commit()), (("blob", "a.tar.gz", 3), added.as_str()));
    assert!(place.member.as_deref().unwrap().ends_with("conf/key.yaml"), "{place:?}");
    let (scan, _) = committed("log.gz", gzip(text));
    assert_eq!(scan.sole(&token).line, 3);
}

/// Names that a terminal or a line-by-line reader must never see as they are.
const NAMES: [&[u8]; 4] = [b"new\nline", b"bell\x07 \x1b]0;title\x07\x1b[2J.txt", b"caf\xe9 \xff", b"tab\tcr\rdel\x7f"];

#[test]
fn odd_file_names() {
    for name in NAMES {
        let (mut repo, token, draft) = (Repo::new(), pat("odd names"), pat("odd names draft"));
        let file = repo.dir.join(OsStr::from_bytes(name));
        std::fs::write(&file, format!("\n{token}")).unwrap();
        let added = repo.commit("odd");
        std::fs::write(&file, format!("\n\n{draft}")).unwrap();
        let found = scan(&repo.dir);
        assert_eq!((found.code, found.places.len()), (1, 2), "{name:?}");
        for (place, kind, line) in [(found.one(&token), "blob", 2), (found.one(&draft), "file", 3)] {
            assert_eq!((place.kind.as_str(), place.line), (kind, line));
            let exact = match &place.path_base64 {
                Some(text) => STANDARD.decode(text).unwrap(),
                None => place.path.clone().into_bytes(),
            };
            assert_eq!(exact, name);
        }
        assert_eq!(found.one(&token).commit(), added);
        for format in ["text", "json", "jsonl", "sarif"] {
            let run = unsprawl(["scan", "--format", format, "--color=never"]).arg(&repo.dir).run();
            assert_eq!(run.code, 1);
            let raw = |b: &u8| *b != b'\n' && (*b < 0x20 || *b == 0x7f);
            assert!(!run.stdout.iter().any(raw), "{format}: {:?}", String::from_utf8_lossy(&run.stdout));
            let text = String::from_utf8(run.stdout).unwrap();
            assert!(!text.contains("new\nline") && !text.chars().any(|c| c.is_control() && c != '\n'), "{text}");
            assert!(!run.stderr.chars().any(|c| c.is_control() && c != '\n'), "{:?}", run.stderr);
        }
    }
}

#[test]
fn odd_names_of_archive_members_and_odd_people() {
    let (repo, token) = (Repo::new(), pat("odd people"));
    repo.write("a.zip", zip("x\x1b[31m\n../y", token.as_bytes()));
    repo.git(&["add", "-A"]);
    let author = "--author=Ev\x1b[2Jil\u{202e}\u{9b}31m <e\x07@example.org>";
    repo.git(&["commit", "-q", author, "-m", "sub\x1b[31mject \u{9d}0;x"]);
    let found = scan(&repo.dir);
    assert_eq!(found.sole(&token).at(), ("blob", "a.zip", 1));
    for format in ["text", "json", "jsonl", "sarif"] {
        let run = unsprawl(["scan", "--color=never", "--format", format]).arg(&repo.dir).run();
        let text = String::from_utf8(run.stdout).unwrap();
        let bad = |c: char| (c.is_control() && c != '\n') || c == '\u{202e}';
        assert!(!text.chars().any(bad), "{format}: {text:?}");
        assert!(!run.stderr.chars().any(bad), "{:?}", run.stderr);
    }
}
