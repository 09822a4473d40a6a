//! What a run says and what it keeps to itself: formats, files, exit codes, redaction.
#![allow(clippy::unwrap_used)]

use std::path::Path;

use crate::support::*;
use jsonschema::Validator;
use serde_json::Value;

const FORMATS: [&str; 4] = ["text", "json", "jsonl", "sarif"];

/// A repository with credentials wherever reports repeat what they saw: names of files, members, branches, people,
/// messages, notes about damage.
struct Sample {
    repo: Repo,
    tokens: Vec<String>,
}

fn sample() -> Sample {
    let mut repo = Repo::new();
    let words = ["file", "name", "subject", "author", "draft", "encoded", "member", "password"];
    let tokens: Vec<String> =
        words.iter().map(|w| if *w == "author" { npm(w) } else { pat(&format!("report {w}")) }).collect();
    let [file, name, subject, author, draft, encoded, member, password] = &tokens[..] else { panic!() };
    repo.put("conf/key", format!("first\nkey = {file}\n"));
    repo.put(&format!("{name}.txt"), format!("{name}\n"));
    repo.put("url", format!("https://bob:{password}@example.org/x\n"));
    repo.write("more", "text");
    repo.commit(&format!("use {subject} from now on"));
    repo.write("yet more", author);
    repo.git(&["add", "-A"]);
    repo.git(&["commit", "-q", &format!("--author={author} <{author}@example.org>"), "-m", "theirs"]);
    let hex: String = encoded.bytes().map(|b| format!("{b:02x}")).collect();
    repo.put("hex", format!("x = {hex}\n"));
    let mut zip = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    zip.start_file(format!("in/{member}"), zip::write::SimpleFileOptions::default()).unwrap();
    std::io::Write::write_all(&mut zip, member.as_bytes()).unwrap();
    repo.put("a.zip", zip.finish().unwrap().into_inner());
    repo.write("draft", draft);
    // A note that names a path with a credential in it.
    repo.write(&format!("sub/{name}.gz"), b"\x1f\x8b\x08\0\0\0\0\0\0\0 damaged");
    Sample { repo, tokens }
}

fn schema(text: &str) -> Validator {
    let schema: Value = serde_json::from_str(text).unwrap();
    jsonschema::options().should_validate_formats(true).build(&schema).unwrap()
}

#[track_caller]
fn valid(schema: &Validator, text: &[u8]) -> Value {
    let value: Value = serde_json::from_slice(text).unwrap();
    let errors: Vec<String> = schema.iter_errors(&value).map(|e| format!("{e} at {}", e.instance_path())).collect();
    assert!(errors.is_empty(), "{errors:#?}");
    value
}

#[test]
fn machine_formats_fit_their_schemas() {
    let report = schema(include_str!("../../schemas/report.v1.schema.json"));
    let location = schema(include_str!("../../schemas/location.v1.schema.json"));
    // Two language patterns of the official schema have a stray `]`, which is no valid regex for JSON Schema.
    let sarif = include_str!("../../schemas/sarif-2.1.0.schema.json").replace("[a-zA-Z]{2}]?$", "[a-zA-Z]{2}$");
    let sarif = schema(&sarif);
    let s = sample();
    let empty = folder();
    for (target, code) in [(s.repo.dir.as_path(), 1), (empty.path(), 0), (Path::new("-"), 0)] {
        for extra in [&[][..], &["--show-secrets"]] {
            let run = |format: &str| {
                let run = unsprawl(["scan", "--format", format]).run_with(extra, target);
                assert_eq!(run.code, code, "{}", run.stderr);
                run.stdout
            };
            let whole = valid(&report, &run("json"));
            let lines: Vec<Value> =
                run("jsonl").split(|b| *b == b'\n').filter(|l| !l.is_empty()).map(|l| valid(&location, l)).collect();
            let results = valid(&sarif, &run("sarif"));
            let findings = whole["findings"].as_array().unwrap();
            assert_eq!(findings.is_empty(), code == 0);
            let places: usize = findings.iter().map(|f| f["locations"].as_array().unwrap().len()).sum();
            assert_eq!(lines.len(), places + 1);
            let results = results["runs"][0]["results"].as_array().unwrap();
            assert!(results.len() >= findings.len());
            assert!(results.iter().all(|r| r["partialFingerprints"].as_object().is_some_and(|f| !f.is_empty())));
        }
    }
}

trait RunWith {
    fn run_with(self, flags: &[&str], target: &Path) -> Output;
}

impl RunWith for Unsprawl {
    fn run_with(mut self, flags: &[&str], target: &Path) -> Output {
        for flag in flags {
            self = self.arg(flag);
        }
        self.arg(target).run()
    }
}

/// Whether a token, or most of it, stands in some bytes.
fn leaks(bytes: &[u8], token: &str) -> bool {
    let part = &token.as_bytes()[8..24];
    bytes.windows(part.len()).any(|w| w == part)
}

#[test]
fn secrets_are_in_no_output_unless_asked_for() {
    let s = sample();
    let all = scan(&s.repo.dir);
    for token in &s.tokens {
        assert!(all.has(token), "{token} is not found: {:#?}", all.places);
    }
    let dir = folder();
    let hex = |token: &str| token.bytes().map(|b| format!("{b:02x}")).collect::<String>();
    for format in FORMATS {
        let file = dir.path().join(format);
        let report = format!("--report={format}={}", file.display());
        let plain = unsprawl(["scan", "--color=always", "--format", format, &report]).arg(&s.repo.dir).run();
        let shown = unsprawl(["scan", "--show-secrets", "--format", format]).arg(&s.repo.dir).run();
        assert_eq!((plain.code, shown.code), (1, 1), "{}", plain.stderr);
        for token in &s.tokens {
            for bytes in [&plain.stdout, plain.stderr.as_bytes(), &std::fs::read(&file).unwrap()] {
                assert!(
                    !leaks(bytes, token) && !leaks(bytes, &hex(token)),
                    "{format}: {}",
                    String::from_utf8_lossy(bytes)
                );
            }
            assert!(leaks(&shown.stdout, token), "{format}");
        }
        assert!(!plain.stdout.is_empty());
    }
}

#[test]
fn reports_go_where_they_should() {
    let (dir, token) = (folder(), pat("where"));
    write(dir.path().join("in/key"), &token);
    let (a, b, c) = (dir.path().join("a.sarif"), dir.path().join("b.json"), dir.path().join("c.jsonl"));
    let run = unsprawl(["scan", "--format=jsonl", "--output"])
        .arg(&c)
        .arg(format!("--report=sarif={}", a.display()))
        .arg(format!("--report=json={}", b.display()))
        .arg(dir.path().join("in"))
        .run();
    assert_eq!((run.code, run.stdout.len()), (1, 0), "{}", run.stderr);
    let read = |path: &Path| std::fs::read_to_string(path).unwrap();
    let sarif: Value = serde_json::from_str(&read(&a)).unwrap();
    assert_eq!(sarif["runs"][0]["results"].as_array().unwrap().len(), 1);
    let json: Value = serde_json::from_str(&read(&b)).unwrap();
    assert_eq!(json["findings"][0]["rule"], PAT);
    assert_eq!(read(&c).lines().count(), 2);
    assert!(run.stderr.contains("1 credential found"), "{}", run.stderr);
    let nowhere = unsprawl(["scan", "--output", "/no/such/folder/x"]).arg(dir.path()).run();
    assert_eq!((nowhere.code, nowhere.stderr.contains("/no/such/folder/x")), (2, true), "{}", nowhere.stderr);
}

#[test]
fn quiet_when_clean() {
    let dir = folder();
    write(dir.path().join("a"), "nothing at all");
    let run = unsprawl(["scan"]).arg(dir.path()).run();
    assert_eq!((run.code, run.stdout.len()), (0, 0));
    assert!(run.stderr.contains("No credentials found") && run.stderr.contains("1 file"), "{}", run.stderr);
    let quiet = unsprawl(["scan", "--quiet"]).arg(dir.path()).run();
    assert_eq!((quiet.code, quiet.stdout.len(), quiet.stderr.as_str()), (0, 0, ""));
}

#[test]
fn the_text_report_says_what_where_and_since_when() {
    let (mut repo, token) = (Repo::new(), pat("text report"));
    repo.put("a", "text");
    let added = repo.put("src/conf.py", format!("one\ntwo = '{token}'\n"));
    let run = unsprawl(["scan"]).arg(&repo.dir).run();
    let text = String::from_utf8(run.stdout).unwrap();
    for part in
        ["GitHub personal access token (classic)", PAT, "certain", "src/conf.py:2:8", &added[..10], "A B", "2023-11-14"]
    {
        assert!(text.contains(part), "{part} is not in\n{text}");
    }
    assert!(run.stderr.contains("1 credential found"), "{}", run.stderr);
}

#[test]
fn colours() {
    let (dir, token) = (folder(), pat("colours"));
    write(dir.path().join("key"), &token);
    let escape = |args: &[&str], no_color: &str| {
        let run = unsprawl(["scan"].iter().chain(args)).env("NO_COLOR", no_color).arg(dir.path()).run();
        assert_eq!(run.code, 1);
        run.stdout.contains(&0x1b) || run.stderr.contains('\x1b')
    };
    // What is no terminal gets none, whatever NO_COLOR says; an explicit flag wins.
    assert_eq!([escape(&[], ""), escape(&[], "1"), escape(&["--color=never"], "")], [false; 3]);
    assert_eq!([escape(&["--color=always"], ""), escape(&["--color=always"], "1")], [true; 2]);
    assert!(!escape(&["--color=always", "--format=json", "--quiet"], ""), "machine formats have no colours");
}

#[test]
fn colours_on_a_terminal_respect_no_color() {
    let (dir, token) = (folder(), pat("terminal"));
    write(dir.path().join("key"), &token);
    let script = "import pty, sys; pty.spawn(sys.argv[1:])";
    let on_terminal = |name: &str, value: &str| {
        let run = unsprawl(["scan"]).arg(dir.path()).wrapper(&["python3", "-c", script]);
        let run = run.env("TERM", "xterm").env(name, value).run();
        let text = String::from_utf8(run.stdout).unwrap();
        assert!(text.contains(PAT), "{text}");
        if text.contains("\x1b[1m") { "coloured" } else { "plain" }
    };
    assert_eq!(on_terminal("X", "1"), "coloured");
    assert_eq!(on_terminal("NO_COLOR", "1"), "plain");
    assert_eq!(on_terminal("TERM", "dumb"), "plain");
}

#[test]
fn wrong_usage_is_told_apart() {
    let dir = folder();
    let dir = dir.path().to_str().unwrap();
    for args in [
        vec!["scan", "--no-such-flag", dir],
        vec!["scan", "--format=html", dir],
        vec!["scan", "--history=some", dir],
        vec!["scan", "--confidence=sure", dir],
        vec!["scan", "--max-file-size=many", dir],
        vec!["scan", "--report=sarif", dir],
        vec!["scan", "--report=html=x", dir],
        vec!["scan", "--only=no-such-issuer", dir],
        vec!["scan", "--only=github.no-such-type", dir],
        vec!["scan", "--skip=no-such-issuer", dir],
        vec!["scan", "--rules=/no/such/rules", dir],
        vec!["scan", "--fingerprint-key-file=/no/such/key", dir],
        vec!["scan", "/no/such/target"],
        vec!["no-such-command"],
        vec![],
    ] {
        let run = unsprawl(&args).run();
        assert_eq!((run.code, run.stdout.len()), (2, 0), "{args:?}: {}", run.stderr);
        assert!(!run.stderr.is_empty() && !run.stderr.contains("panicked"), "{args:?}: {}", run.stderr);
    }
}

#[test]
fn which_rules_are_used() {
    let (dir, github, other) = (folder(), pat("only"), npm("only"));
    write(dir.path().join("keys"), format!("{github}\n{other}\n"));
    let rules = |flags: &[&str]| {
        let scan = scan_with(dir.path(), flags);
        let mut rules: Vec<String> = scan.places.iter().map(|p| p.rule.clone()).collect();
        rules.sort();
        rules
    };
    let all = rules(&[]);
    assert_eq!((all.len(), all[0].as_str(), all[1].starts_with("npm.")), (2, PAT, true), "{all:?}");
    assert_eq!(rules(&["--only=github"]), [PAT]);
    assert_eq!(rules(&["--only=github.pat-classic,npm"]), all);
    assert_eq!(rules(&["--skip=npm"]), [PAT]);
    assert_eq!(rules(&["--skip=github", "--skip=npm"]), [""; 0]);
    assert_eq!(rules(&["--confidence=certain"]).len(), 2);
}

#[test]
fn rules_of_ones_own() {
    let (dir, word) = (folder(), "acme-".to_owned() + &tokens::Random::of("acme").base62(24));
    write(dir.path().join("in/key"), format!("{word}\n"));
    let rules = dir.path().join("acme.toml");
    let text = "[issuer]\nid = \"acme\"\nname = \"Acme\"\n\n[[token]]\nid = \"key\"\nname = \"Acme key\"\n\
        bound_to = \"service\"\nanchors = [\"acme-\"]\nregex = '''\\b(?<secret>acme-[0-9A-Za-z]{24})\\b'''\n";
    write(&rules, text);
    let target = dir.path().join("in");
    assert_eq!(scan(&target).code, 0);
    let own = unsprawl(["--rules"]).arg(&rules).arg(&target).scan();
    assert_eq!((own.code, own.one(&word).rule.as_str()), (1, "acme.key"));
    for (broken, place) in [
        (text.replace("bound_to", "bound_two"), "acme.toml:8:1: "),
        (text.replace("\"service\"", "\"nobody\""), "acme.toml:8:12: "),
        (text.replace("{24})", "{24}"), "acme.toml:10:"),
        (text.replace("[[token]]", "[[token]"), "acme.toml:5:"),
    ] {
        write(&rules, broken);
        let run = unsprawl(["scan", "--rules"]).arg(&rules).arg(&target).run();
        assert_eq!((run.code, run.stdout.len()), (2, 0), "{}", run.stderr);
        assert!(run.stderr.contains(place), "{place} is not in {}", run.stderr);
        let check = unsprawl(["rules", "check"]).arg(&rules).run();
        assert_ne!(check.code, 0);
        let said = check.stderr + &String::from_utf8(check.stdout).unwrap();
        assert!(said.contains(place), "{said}");
    }
}

#[test]
fn comments_that_ask_to_look_away() {
    let dir = folder();
    let token = |n: usize| pat(&format!("comment {n}"));
    let lines = [
        format!("{} # unsprawl:allow", token(0)),
        format!("{} # gitleaks:allow", token(1)),
        format!("{} // betterleaks:allow", token(2)),
        format!("{} # trufflehog:ignore", token(3)),
        format!("{} # kingfisher:ignore", token(4)),
        format!("{} # pragma: allowlist secret", token(5)),
        "# pragma: allowlist nextline secret".to_owned(),
        token(6),
        token(7),
        "# gitleaks:allow".to_owned(),
    ];
    write(dir.path().join("keys"), lines.join("\n"));
    let scan_files = scan(dir.path());
    assert_eq!(scan_files.sole(&token(7)).line, 9);
    assert_eq!(scan_files.report["totals"]["ignored_inline"], 7);
    assert!(scan_files.stderr.contains("7 hits"), "{}", scan_files.stderr);
    let mut repo = Repo::new();
    repo.put("keys", lines.join("\n"));
    assert_eq!(scan(&repo.dir).sole(&token(7)).at(), ("blob", "keys", 9));
}

#[test]
fn which_findings_fail_a_run() {
    let (dir, token) = (folder(), pat("fail on"));
    write(dir.path().join("key"), &token);
    let code = |flag: &str| unsprawl(["scan", flag]).arg(dir.path()).run().code;
    assert_eq!(["--fail-on=any", "--fail-on=active", "--fail-on=none"].map(code), [1, 0, 0]);
    // What cannot be told apart from a complete run must not look like one.
    write(dir.path().join("large"), vec![b' '; 5000]);
    let cut = unsprawl(["scan", "--fail-on=none", "--max-file-size=1k"]).arg(dir.path()).run();
    assert_eq!(cut.code, 3);
}

#[test]
fn fingerprints_are_stable_and_keyed() {
    let (dir, token) = (folder(), pat("fingerprint"));
    write(dir.path().join("a"), &token);
    write(dir.path().join("keyfile"), "0123456789abcdef 0123456789abcdef");
    let target = dir.path().join("a");
    let print = |flags: &[&str]| scan_with(&target, flags).one(&token).fingerprint.clone();
    let plain = print(&[]);
    assert_eq!(plain, print(&["--jobs=1"]));
    let key = format!("--fingerprint-key-file={}", dir.path().join("keyfile").display());
    assert_ne!(plain, print(&[&key]));
    assert_eq!(print(&[&key]), print(&[&key]));
}

#[test]
fn version_and_help() {
    let run = unsprawl(["--version"]).run();
    assert_eq!((run.code, run.stdout), (0, format!("unsprawl {}\n", env!("CARGO_PKG_VERSION")).into_bytes()));
    for args in [vec!["--help"], vec!["scan", "--help"], vec!["rules", "list"], vec!["man"]] {
        let run = unsprawl(&args).run();
        assert_eq!((run.code, run.stdout.is_empty()), (0, false), "{args:?}: {}", run.stderr);
    }
}

#[test]
fn a_reader_that_had_enough() {
    let dir = folder();
    for n in 0..500 {
        write(dir.path().join(format!("in/{n}")), pat(&format!("pipe {n}")));
    }
    let script = "set -o pipefail; \"$0\" \"$@\" | head -1 | wc -l";
    let run = unsprawl(["scan", "--format=jsonl"]).arg(dir.path().join("in")).wrapper(&["bash", "-c", script]).run();
    assert_eq!(String::from_utf8_lossy(&run.stdout).trim(), "1");
    assert!(!run.stderr.contains("panicked"), "{}", run.stderr);
}
