//! Machine formats against their schemas, with every shape of report and with hostile ones.
#![allow(clippy::unwrap_used)]

use crate::report_samples::*;
use jsonschema::Validator;
use proptest::prelude::*;
use serde_json::Value;
use std::sync::LazyLock;
use unsprawl::model::*;
use unsprawl::notes::is_harmless;
use unsprawl::report::{Format, Options, Style, summary};
use unsprawl::secret::Secret;

fn schema(text: &str) -> Validator {
    let schema: Value = serde_json::from_str(text).unwrap();
    jsonschema::options().should_validate_formats(true).build(&schema).unwrap()
}

const REPORT: &str = include_str!("../../schemas/report.v1.schema.json");
const LOCATION: &str = include_str!("../../schemas/location.v1.schema.json");
static REPORT_V1: LazyLock<Validator> = LazyLock::new(|| schema(REPORT));
static LOCATION_V1: LazyLock<Validator> = LazyLock::new(|| schema(LOCATION));
static SARIF: LazyLock<Validator> = LazyLock::new(|| {
    // Two language patterns of the official schema have a stray `]`, which is no valid regex for JSON Schema.
    let text = include_str!("../../schemas/sarif-2.1.0.schema.json");
    schema(&text.replace("[a-zA-Z]{2}]?$", "[a-zA-Z]{2}$"))
});

#[track_caller]
fn valid(schema: &Validator, text: &str) -> Value {
    let value: Value = serde_json::from_str(text).unwrap();
    let errors: Vec<String> = schema.iter_errors(&value).map(|e| format!("{e} at {}", e.instance_path())).collect();
    assert!(errors.is_empty(), "{errors:#?}\n{text}");
    value
}

/// Every line of a JSONL report; all are valid and the last one alone is the summary.
#[track_caller]
fn valid_lines(text: &str) -> Vec<Value> {
    let lines: Vec<Value> = text.lines().map(|line| valid(&LOCATION_V1, line)).collect();
    let (last, rest) = lines.split_last().unwrap();
    assert_eq!(last["type"], "summary");
    assert_eq!(last["locations"], rest.len());
    assert!(rest.iter().all(|l| l["type"] == "location"));
    lines
}

#[track_caller]
fn all_valid(report: &Report, options: &Options) -> (Value, Vec<Value>, Value) {
    (
        valid(&REPORT_V1, &shown(Format::Json, report, options)),
        valid_lines(&shown(Format::Jsonl, report, options)),
        valid(&SARIF, &shown(Format::Sarif, report, options)),
    )
}

const SECRETS: Options = Options { show_secrets: true, color: false, by_severity: false, max_locations_text: 2 };

#[test]
fn every_shape_is_valid() {
    for report in [Report::default(), report(vec![]), everything()] {
        for options in [Options::default(), SECRETS] {
            places_are_sound(&all_valid(&report, &options).2);
        }
    }
}

#[test]
fn the_schemas_refuse_what_is_not_in_them() {
    let (mut json, lines, _) = all_valid(&everything(), &Options::default());
    let mut line = lines[0].clone();
    line["extra"] = 1.into();
    assert!(!LOCATION_V1.is_valid(&line));
    let mut line = lines[0].clone();
    line.as_object_mut().unwrap().remove("author");
    assert!(!LOCATION_V1.is_valid(&line), "a line with a commit has its author");
    json["findings"][0]["locations"][0]["git"]["commit"]["author"]["date"] = "yesterday".into();
    assert!(!REPORT_V1.is_valid(&json), "dates are checked");
    assert!(!SARIF.is_valid(&serde_json::json!({ "version": "2.1.0" })));
}

#[test]
fn every_property_of_our_schemas_is_described() {
    fn undescribed(at: &str, value: &Value, out: &mut Vec<String>) {
        if let Some(properties) = value.get("properties").and_then(Value::as_object).filter(|_| at != "/if") {
            for (name, property) in properties {
                let reference = property["$ref"].as_str().unwrap_or_default();
                if property.get("description").is_none() && reference.is_empty() {
                    out.push(format!("{at}/{name}"));
                }
            }
        }
        for (name, inner) in value.as_object().into_iter().flatten() {
            undescribed(&format!("{at}/{name}"), inner, out);
        }
    }
    for text in [REPORT, LOCATION] {
        let mut missing = Vec::new();
        undescribed("", &serde_json::from_str(text).unwrap(), &mut missing);
        assert_eq!(missing, Vec::<String>::new());
    }
}

#[test]
fn both_schemas_agree_on_what_they_share() {
    let [a, b] = [REPORT, LOCATION].map(|text| serde_json::from_str::<Value>(text).unwrap());
    assert_eq!(a["$defs"]["totals"]["properties"], b["$defs"]["summary"]["properties"]["totals"]["properties"]);
    for name in ["count", "moment", "object_id", "base64"] {
        assert_eq!(a["$defs"][name], b["$defs"][name], "{name}");
    }
}

#[test]
fn json_says_what_the_report_says() {
    let (json, ..) = all_valid(&everything(), &Options::default());
    assert_eq!(json["started"], "2024-05-01T08:00:00Z");
    assert_eq!(json["complete"], false);
    assert_eq!(json["note_counts"]["git-ignored"], 12);
    assert_eq!(json["targets"][2]["name"], "https://me:(redacted)@example.org/team/repo.git");
    let finding = &json["findings"][0];
    assert_eq!(finding["rule"], "acme.token");
    assert_eq!(finding["validity"], serde_json::json!({ "state": "unknown", "reason": "not checked" }));
    assert_eq!(finding["parts"]["url"], "https://bob:(redacted)@db.example.org/x");
    assert_eq!(finding["exposure"]["removed"]["author"]["date"], Value::Null);
    assert_eq!(finding["exposure"]["removed"]["author"]["seconds"], i64::MAX - 60);
    let [first, second, third] = [0, 1, 2].map(|i| &finding["locations"][i]);
    assert_eq!(first["git"]["commit"]["author"]["date"], "2024-05-01T10:00:00+02:00");
    assert_eq!(first["git"]["commit"]["committer"]["date"], "2024-05-01T08:01:00Z");
    assert!(first.get("path_base64").is_none());
    assert_eq!(second["path"], "deploy/b\u{fffd}ro \u{202e}.yml");
    assert_eq!(second["path_base64"], "ZGVwbG95L2L8cm8g4oCuLnltbA==");
    assert_eq!(third["member"], serde_json::json!(["lib/inner.jar", "META-INF/key\u{9b}31m.txt"]));
}

#[test]
fn secrets_are_there_when_asked_for_and_only_then() {
    let (json, lines, sarif) = all_valid(&everything(), &SECRETS);
    let secret = String::from_utf8(value(40)).unwrap();
    assert_eq!(json["findings"][0]["secret"], *secret);
    assert_eq!(json["findings"][1]["secret_base64"], "AP8BLS0tLS1ub3QtdXRmOC0tLS0t/g==");
    assert_eq!(lines[0]["secret"], *secret);
    assert_eq!(sarif["runs"][0]["results"][0]["properties"]["secret"], *secret);
    assert!(shown(Format::Text, &everything(), &SECRETS).contains(&secret));
    let (json, ..) = all_valid(&everything(), &Options::default());
    assert!(json["findings"].as_array().unwrap().iter().all(|f| f.get("secret").is_none()));
}

#[test]
fn lines_are_flat() {
    let (_, lines, _) = all_valid(&everything(), &Options::default());
    for line in &lines[..lines.len() - 1] {
        assert!(line.as_object().unwrap().values().all(|v| !v.is_object() && !v.is_array()), "{line}");
    }
    assert_eq!(lines[0]["commit"], *id(1).to_string());
    assert_eq!(lines[0]["author"], "Jane");
    assert_eq!(lines[1]["encoding"], "base64+gzip");
    assert_eq!(lines[2]["member"], "lib/inner.jar!META-INF/key\u{9b}31m.txt");
    let stdin = lines.iter().find(|l| l["kind"] == "stdin").unwrap();
    assert_eq!((&stdin["target"], &stdin["path"]), (&"-".into(), &"".into()));
    assert!(stdin.get("object").is_none());
}

#[test]
fn sarif_places_and_rules() {
    let (.., sarif) = all_valid(&everything(), &Options::default());
    let run = &sarif["runs"][0];
    let rules = run["tool"]["driver"]["rules"].as_array().unwrap();
    for result in run["results"].as_array().unwrap() {
        assert_eq!(rules[result["ruleIndex"].as_u64().unwrap() as usize]["id"], result["ruleId"]);
        assert_eq!(result["partialFingerprints"]["unsprawlCredential/v1"].as_str().unwrap().len(), 64);
    }
    assert_eq!(run["automationDetails"]["id"], "unsprawl/2024-05-01T08:00:00Z");
    assert_eq!(run["invocations"][0]["executionSuccessful"], false);
    assert_eq!(run["invocations"][0]["endTimeUtc"], "2024-05-01T08:01:01Z");
    assert_eq!(run["versionControlProvenance"][0]["repositoryUri"], "https://example.org/team/repo.git");
    assert!(run["originalUriBaseIds"]["%SRCROOT%"]["uri"].as_str().unwrap().starts_with("file:///"));
    let rich = &run["results"][0];
    // The place that is still there comes first, though it is not the oldest.
    let physical = &rich["locations"][0]["physicalLocation"];
    assert_eq!(physical["artifactLocation"]["uri"], "deploy/b%FCro%20%E2%80%AE.yml");
    assert_eq!(physical["artifactLocation"]["uriBaseId"], "%SRCROOT%");
    assert_eq!(physical["region"]["startColumn"], 8);
    assert_eq!(rich["level"], "error");
    assert_eq!(rich["relatedLocations"].as_array().unwrap().len(), 2);
    let member = &rich["relatedLocations"][1];
    assert_eq!(member["physicalLocation"]["region"], serde_json::json!({ "startLine": 1 }));
    let name = &member["logicalLocations"][0]["fullyQualifiedName"];
    assert_eq!(name, "dist/app.zip!lib/inner.jar!META-INF/key\\u{9b}31m.txt");
    let message = &run["results"][1]["locations"][0];
    assert_eq!(message["physicalLocation"]["artifactLocation"]["uri"], format!("commit/{}", id(4)));
    assert_eq!(message["logicalLocations"][0]["fullyQualifiedName"], format!("commit {}", id(4)));
    let active = &run["results"][2];
    assert_eq!(active["level"], "error");
    assert_eq!(active["relatedLocations"][0]["physicalLocation"]["artifactLocation"]["uri"], "staged.txt");
    assert_eq!(active["locations"][0]["physicalLocation"]["artifactLocation"]["uri"], "file:///abs/one.txt");
    assert_eq!(run["results"][3]["level"], "note");
}

#[test]
fn sarif_keeps_to_limits_and_says_so() {
    let many = vec![place(PlaceKind::File, b"a"); 250];
    let mut findings: Vec<Finding> = (0..5_001u32)
        .map(|i| finding("a.low", Confidence::Low, &i.to_be_bytes(), vec![place(PlaceKind::File, b"b")]))
        .collect();
    findings.push(finding("a.certain", Confidence::Certain, &value(40), many));
    let run = &valid(&SARIF, &plain(Format::Sarif, &report(findings)))["runs"][0];
    let results = run["results"].as_array().unwrap();
    assert_eq!(results.len(), 5_000);
    assert_eq!(results[0]["ruleId"], "a.certain", "the most certain one is kept");
    assert_eq!(results[0]["occurrenceCount"], 250);
    assert_eq!(results[0]["relatedLocations"].as_array().unwrap().len(), 99);
    let told = run["invocations"][0]["toolExecutionNotifications"].as_array().unwrap();
    assert_eq!(told.iter().filter(|n| n["descriptor"]["id"] == "sarif-limit").count(), 2);
    assert!(results[0]["message"]["text"].as_str().unwrap().contains("250 places"));
}

#[test]
fn sarif_fingerprints_do_not_move_with_lines() {
    let at = |line, path: &[u8]| {
        let moved = Location { span: span(line, 1, 40), ..place(PlaceKind::File, path) };
        let report = report(vec![finding("a.b", Confidence::High, &value(40), vec![moved])]);
        valid(&SARIF, &plain(Format::Sarif, &report))["runs"][0]["results"][0]["partialFingerprints"].clone()
    };
    assert_eq!(at(1, b"a"), at(99, b"b"));
}

#[test]
fn a_subject_never_shows_what_its_message_leaks() {
    let secret = value(40);
    let text = String::from_utf8(secret.clone()).unwrap();
    let with = |subject: &str, encoding: Vec<&'static str>, secret: &[u8]| {
        let commit = CommitInfo { subject: subject.into(), ..commit(7, MAY) };
        let mut place = git_place(PlaceKind::Commit, b"", Some(commit));
        place.encoding = encoding;
        place.git.as_mut().unwrap().object = id(7);
        report(vec![finding("a.b", Confidence::High, secret, vec![place])])
    };
    for (report, leak) in [
        (with(&format!("use {text} for now"), vec![], &secret), &text[4..]),
        (with(&format!("cut off {}", &text[..20]), vec![], &secret), &text[4..20]),
        (with("encoded c2VjcmV0LXNlY3JldA", vec!["base64"], &secret), "c2VjcmV0"),
        (with("pw is abc12", vec![], b"abc12"), "abc12"),
    ] {
        for format in [Format::Text, Format::Json, Format::Jsonl, Format::Sarif] {
            let out = plain(format, &report);
            assert!(!out.contains(leak), "{format:?} {out}");
            assert!(out.contains("(redacted)") || out.contains("(withheld"), "{format:?} {out}");
        }
    }
}

/// Text as scanned content may have it.
fn hostile() -> impl Strategy<Value = Vec<u8>> {
    let odd = prop::sample::select(vec!["\x1b[2J", "\u{9b}", "\u{202e}", "\n", "\"", "\\", "{0}", "[a](b)", "..", "%"]);
    prop_oneof![
        prop::collection::vec(any::<u8>(), 0..40),
        prop::collection::vec(odd, 1..6).prop_map(|parts| parts.concat().into_bytes()),
        "[a-z/.]{1,30}".prop_map(String::into_bytes),
    ]
}

fn text() -> impl Strategy<Value = String> {
    hostile().prop_map(|raw| String::from_utf8_lossy(&raw).into_owned())
}

fn secret() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof!["[A-Za-z0-9_-]{9,60}".prop_map(String::into_bytes), prop::collection::vec(any::<u8>(), 9..60)]
}

/// A hostile location; the secret may stand in the subject, the author's name, the path and a member.
fn hostile_place(secret: Vec<u8>) -> impl Strategy<Value = Location> {
    let kinds = [
        PlaceKind::File,
        PlaceKind::Stdin,
        PlaceKind::Blob,
        PlaceKind::Index,
        PlaceKind::Dangling,
        PlaceKind::Commit,
        PlaceKind::Tag,
    ];
    let number = prop_oneof![0..3u64, any::<u64>()];
    let numbers = (prop::array::uniform6(number), any::<i64>(), any::<i32>(), any::<u32>(), any::<[bool; 4]>());
    (prop::sample::select(kinds.to_vec()), hostile(), text(), text(), numbers, 0..9usize).prop_map(
        move |(kind, mut path, mut subject, name, (n, time, offset, versions, flags), at)| {
            let known = String::from_utf8_lossy(&secret).into_owned();
            if flags[0] {
                subject.push_str(&known);
                subject = subject.chars().take(200).collect();
            }
            if flags[1] && secret.len() >= 16 {
                path.extend_from_slice(&secret);
            }
            let signature = Signature { name: format!("{name}{known}"), email: name, time, offset };
            let commit = CommitInfo { id: id(7), author: signature.clone(), committer: signature, subject };
            let git = flags[2].then_some(GitPlace {
                object: id(8),
                commit: flags[3].then_some(commit),
                versions,
                reachable: flags[0],
                present: flags[1],
            });
            let span = TextSpan { start: n[0], end: n[1], line: n[2], column: n[3], end_line: n[4], end_column: n[5] };
            let member = if at < 3 { vec![known; at] } else { vec![] };
            let member = if secret.len() >= 16 { member } else { vec![] };
            Location { target: at, kind, path, member, span, encoding: vec!["hex"; at / 2], git }
        },
    )
}

/// An issuer that says what it was sent wherever it can.
fn echo(text: &str, secret: &[u8], active: bool) -> Checked {
    let said = format!("{text}{}{text}", String::from_utf8_lossy(secret));
    let one = || Some(said.clone());
    let account = Principal {
        kind: one(),
        id: one(),
        login: one(),
        name: one(),
        email: one(),
        organisation: one(),
        key_id: one(),
        scopes: vec![said.clone(); 2],
        created: one(),
        expires: one(),
        last_used: one(),
        more: [(said.clone(), said.clone())].into(),
    };
    let validity = if active { Validity::Active } else { Validity::Unknown(said.clone()) };
    let (principal, identity) = (Some(account.clone()), Some(account));
    Checked { validity, remark: one(), how: How::Asked, at: Some(MAY), principal, identity }
}

/// The secret that a secret of the property test only works with.
fn further(secret: &[u8]) -> Vec<u8> {
    secret.iter().rev().copied().collect()
}

fn hostile_finding() -> impl Strategy<Value = Finding> {
    let level = prop::sample::select(vec![Confidence::Medium, Confidence::High, Confidence::Certain]);
    (secret(), level, text(), text(), hostile(), any::<bool>()).prop_flat_map(
        |(secret, confidence, reason, part, value, encrypted)| {
            prop::collection::vec(hostile_place(secret.clone()), 0..5).prop_map(move |locations| Finding {
                parts: vec![
                    (part.clone(), value.clone()),
                    ("url".into(), [b"x://u:", &*secret, b"@h"].concat()),
                    ("itself".into(), [b"<", &*secret, b">"].concat()),
                    ("other".into(), further(&secret)),
                ],
                secrets: vec![(part.clone(), Secret::new(&further(&secret))), ("empty".into(), Secret::new(b""))],
                encrypted,
                docs: encrypted.then(|| part.clone()),
                checked: echo(&reason, &secret, encrypted),
                exposure: Some(Exposure { warnings: vec![reason.clone()], ..Exposure::default() }),
                ..finding("a.b", confidence, &secret, locations)
            })
        },
    )
}

fn hostile_report() -> impl Strategy<Value = Report> {
    let numbers = (any::<i64>(), any::<[u64; 7]>());
    (prop::collection::vec(hostile_finding(), 0..4), text(), text(), numbers).prop_map(
        |(findings, name, detail, (started, n))| {
            let values = findings.iter().flat_map(|f| [f.secret.expose().to_vec(), further(f.secret.expose())]);
            let secrets: Vec<String> = values.map(|v| String::from_utf8_lossy(&v).into_owned()).collect();
            let detail = format!("{detail}{}", secrets.join(" "));
            Report {
                started,
                targets: vec![target(&name, "folder", Some(&name)), target(&format!("https://{name}"), "file", None)],
                findings,
                notes: vec![Note { kind: NoteKind::TooLarge, place: name, detail }],
                note_counts: vec![(NoteKind::TooLarge, n[0])],
                totals: Totals {
                    files: n[0],
                    objects: n[1],
                    bytes: n[2],
                    members: n[3],
                    ignored_inline: n[4],
                    millis: n[6],
                },
            }
        },
    )
}

/// What GitHub asks for beyond the schema: a URI and a sane region at every place.
fn places_are_sound(sarif: &Value) {
    for result in sarif["runs"][0]["results"].as_array().unwrap() {
        let lists = ["locations", "relatedLocations"].map(|list| result[list].as_array());
        for place in lists.into_iter().flatten().flatten() {
            let physical = &place["physicalLocation"];
            assert!(!physical["artifactLocation"]["uri"].as_str().unwrap().is_empty(), "{place}");
            let at = |name: &str| physical["region"][name].as_u64().unwrap_or(1);
            let (start, end) = (at("startLine"), physical["region"]["endLine"].as_u64().unwrap_or(u64::MAX));
            assert!(start >= 1 && end >= start, "{place}");
            assert!(end > start || at("endColumn") >= at("startColumn"), "{place}");
        }
    }
}

/// Runs of 8 bytes of the secret in any spelling an output may have: raw, escaped for a terminal, in a URI, in base64.
fn leaks(output: &str, secret: &[u8]) -> bool {
    let ascii_only = |w: &&[u8]| w.iter().all(|b| b.is_ascii_alphanumeric());
    let haystack = output.as_bytes();
    secret.windows(8).filter(ascii_only).any(|w| haystack.windows(8).any(|h| h == w))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn hostile_content_stays_valid_harmless_and_redacted(report in hostile_report(), color: bool) {
        let options = Options { color, max_locations_text: 9, ..Options::default() };
        let (.., sarif) = all_valid(&report, &options);
        places_are_sound(&sarif);
        all_valid(&report, &Options { show_secrets: true, ..options });
        let mut outputs = vec![summary(&report, Style::new(false))];
        for format in [Format::Text, Format::Json, Format::Jsonl, Format::Sarif] {
            outputs.push(shown(format, &report, &Options { color: false, ..options }));
        }
        outputs.push(shown(Format::Text, &report, &Options { color: false, ..SECRETS }));
        for (i, output) in outputs.iter().enumerate() {
            prop_assert!(output.chars().all(|c| c == '\n' || is_harmless(c)), "{i}: {output:?}");
            for finding in report.findings.iter().filter(|_| i < 5) {
                prop_assert!(!leaks(output, finding.secret.expose()), "{i}: {output}");
                prop_assert!(!leaks(output, &further(finding.secret.expose())), "{i}: {output}");
            }
        }
    }
}

#[test]
fn a_report_read_back_says_the_same() {
    let report = everything();
    let text = shown(Format::Json, &report, &Options::default());
    let again = unsprawl::report::read(text.as_bytes()).unwrap();
    assert_eq!(shown(Format::Json, &again, &Options::default()), text);
    assert!(again.findings.iter().all(|f| f.secret.is_withheld() && f.secret.expose().is_empty()));
}

#[test]
fn what_is_no_report_is_told_with_its_place_and_nothing_of_its_content() {
    let quote = |text: &str| unsprawl::report::read(text.as_bytes()).unwrap_err().to_string();
    assert!(quote("{\n  \"schema\": \"unsprawl/report\",\n  \"version\": \"hunter2\"").contains("line 3"));
    for text in
        ["", "[]", "{\"schema\":\"hunter2\"}", "hunter2", "{\"schema\":\"unsprawl/report\",\"version\":\"hunter2\"}"]
    {
        assert!(!quote(text).contains("hunter2"), "{}", quote(text));
    }
}
