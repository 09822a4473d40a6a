//! Directories that are large, wrong or hostile: SCIM servers of every bad habit, files of 100,000 people, names with control
//! characters, addresses that two people have, managers who manage each other.
#![allow(clippy::unwrap_used)]

use std::path::Path;
use std::sync::Mutex;
use std::time::Duration;

use serde_json::{Value, json};
use unsprawl::model::*;
use unsprawl::own::directory::{DirectoryError, Options, Source, Wanted, fetch};
use unsprawl::own::people::People;
use unsprawl::report::Format;
use unsprawl::transport::{Failure, Outgoing, Reply, Transport};
use unsprawl::verify::network::Network;

use crate::report_samples::{MAY, checked, finding, git_place, report, shown, value};
use crate::support::{folder, unsprawl, write};

const SCIM: &str = "complete:scim+https://scim.example.org/v2#SECRET";

/// What a SCIM server is asked: where to start, with which cursor, by which filter, and how often it was asked before.
struct Question<'a> {
    start: usize,
    cursor: &'a str,
    filter: &'a str,
    number: usize,
}

/// A SCIM server that answers as it likes.
struct Fake<F> {
    answer: F,
    asked: Mutex<Vec<String>>,
}

impl<F: Fn(Question<'_>) -> (u16, Value) + Send + Sync> Transport for Fake<F> {
    async fn send(&self, request: &Outgoing) -> Result<Reply, Failure> {
        let query = request.url.split_once('?').unwrap().1.to_owned();
        let part = |name: &str| query.split('&').find_map(|p| p.strip_prefix(name)?.strip_prefix('='));
        let mut asked = self.asked.lock().unwrap();
        let start = part("startIndex").map_or(1, |n| n.parse().unwrap());
        let question = Question {
            start,
            cursor: part("cursor").unwrap_or_default(),
            filter: part("filter").unwrap_or_default(),
            number: asked.len(),
        };
        let (status, body) = (self.answer)(question);
        asked.push(query.clone());
        Ok(Reply { status, body: body.to_string().into_bytes(), ..Reply::default() })
    }
}

/// The answers' server, asked for these names: what is known, and what it was asked.
fn scim(wanted: &Wanted, answer: impl Fn(Question<'_>) -> (u16, Value) + Send + Sync) -> (People, Vec<String>) {
    let fake = Fake { answer, asked: Mutex::default() };
    let people = directory(SCIM, wanted, &fake).unwrap();
    (people, fake.asked.into_inner().unwrap())
}

fn directory(text: &str, wanted: &Wanted, transport: &impl Transport) -> Result<People, DirectoryError> {
    let source = Source::parse(text, &|_| Some("word".into())).unwrap();
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
        let options = Options {
            cache: None,
            ttl: Duration::ZERO,
            within: Duration::from_secs(600),
            answer_within: Duration::from_secs(30),
            offline: false,
            now: MAY,
            tls: Network::new(Default::default()).unwrap().tls_config(),
            searched: &|_, _| {},
        };
        fetch(&[source], wanted, transport, &options).await
    })
}

fn file(path: &Path) -> Result<People, DirectoryError> {
    let nobody = Fake { answer: |_: Question<'_>| (404, Value::Null), asked: Mutex::default() };
    directory(path.to_str().unwrap(), &Wanted::new(), &nobody)
}

fn user(i: usize) -> Value {
    json!({ "id": i.to_string(), "userName": format!("user{i}"), "active": i.is_multiple_of(2),
            "emails": [{ "value": format!("user{i}@example.org") }] })
}

/// A page of a list of `total` people.
fn page(question: &Question<'_>, total: usize, most: usize) -> (u16, Value) {
    let end = (question.start + most).min(total + 1);
    let users: Vec<Value> = (question.start..end).map(user).collect();
    (200, json!({ "totalResults": total, "Resources": users }))
}

/// More names than are asked for one by one.
fn many() -> Wanted {
    (1..=60).map(|i| format!("user{i}@example.org")).collect()
}

/// The directory has no answer, and though it is said to list everybody, nobody has left for that.
#[track_caller]
fn no_answer(people: &People, why: &str) {
    let fault = people.directories()[0].fault().unwrap_or("none");
    assert!(fault.contains(why), "{fault}");
    assert!(people.find("user1@example.org").person.is_none());
    assert!(people.find("nobody@example.org").person.is_none());
}

#[test]
fn a_hundred_thousand_people_come_page_by_page() {
    let (people, asked) = scim(&many(), |q| page(&q, 100_000, 200));
    assert_eq!((people.directories()[0].len(), asked.len()), (100_000, 500));
    assert_eq!(people.find("user99999@example.org").person.unwrap().state, PersonState::Suspended);
    assert_eq!(people.find("nobody@example.org").person.unwrap().state, PersonState::Departed);
}

#[test]
fn small_pages_cursors_and_refused_filters_all_lead_to_everybody() {
    let (people, asked) = scim(&many(), |q| page(&q, 500, 7));
    assert_eq!((people.directories()[0].len(), asked.len()), (500, 72));
    let with_cursor = |q: Question<'_>| {
        let at: usize = q.cursor.strip_prefix("at%2F").map_or(1, |n| n.parse().unwrap());
        let mut body = page(&Question { start: at, ..q }, 250, 100).1;
        body.as_object_mut().unwrap().remove("totalResults");
        if at < 200 {
            body["nextCursor"] = json!(format!("at/{}", at + 100));
        }
        (200, body)
    };
    let (people, asked) = scim(&many(), with_cursor);
    assert_eq!((people.directories()[0].len(), asked.len()), (250, 3));
    assert!(asked[1].contains("cursor=at%2F101") && !asked[1].contains("startIndex"), "{}", asked[1]);
    let one: Wanted = ["user3@example.org".to_owned()].into();
    let refused = |q: Question<'_>| if q.filter.is_empty() { page(&q, 50, 200) } else { (400, json!({})) };
    assert_eq!(scim(&one, refused).0.directories()[0].len(), 50);
    // It takes a filter and gives everybody all the same: that is read once, not for each name.
    let (people, asked) = scim(&one, |q| page(&q, 5000, 1000));
    assert_eq!((people.directories()[0].len(), asked.len()), (5000, 6));
}

#[test]
fn a_list_that_cannot_be_right_is_no_answer() {
    no_answer(&scim(&many(), |q| page(&q, 100, if q.start < 50 { 49 } else { 0 })).0, "it gives 49 people of 100");
    // The same page for ever: where to begin is not heard.
    let (people, asked) = scim(&many(), |q| page(&Question { start: 1, ..q }, 1_000_000, 100));
    no_answer(&people, "repeat");
    assert!(asked.len() < 10, "{}", asked.len());
    let endless = |q: Question<'_>| {
        let users: Vec<Value> = (0..100_000).map(|i| json!({ "id": format!("{}-{i}", q.number) })).collect();
        (200, json!({ "totalResults": u64::MAX, "Resources": users }))
    };
    no_answer(&scim(&many(), endless).0, "more than 1000000");
    let (people, asked) = scim(&many(), |q| page(&q, 300 + q.number, 200));
    no_answer(&people, "changes while it is read");
    assert_eq!(asked.len(), 6);
    // It changed once, and then was read in peace.
    let (people, _) = scim(&many(), |q| page(&q, if q.number == 0 { 301 } else { 300 }, 200));
    assert_eq!((people.directories()[0].fault(), people.directories()[0].len()), (None, 300));
    no_answer(&scim(&many(), |_| (200, json!({ "Resources": [user(2)] }))).0, "how many people");
    for body in [json!([]), json!("x"), json!({ "totalResults": "many" }), json!({ "Resources": 5 })] {
        no_answer(&scim(&many(), |_| (200, body.clone())).0, "like a SCIM server");
    }
    for (status, why) in [(401, "token"), (403, "token"), (429, "limited"), (500, "status 500"), (302, "status 302")] {
        no_answer(&scim(&many(), |_| (status, json!({}))).0, why);
        no_answer(&scim(&["user1@example.org".to_owned()].into(), |_| (status, json!({}))).0, why);
    }
}

#[test]
fn a_file_of_a_hundred_thousand_people() {
    let dir = folder();
    let mut text = String::from("email,login,name,status,manager\n");
    for i in 0..100_000 {
        let state = if i % 10 == 0 { "departed" } else { "active" };
        let boss = (i + 1) % 100_000;
        text.push_str(&format!("p{i}@example.org;everybody@example.org,p{i},Person {i},{state},p{boss}@example.org\n"));
    }
    let path = dir.path().join("hr.csv");
    write(&path, &text);
    let people = file(&path).unwrap();
    assert_eq!(people.directories()[0].len(), 100_000);
    assert_eq!(people.find("P99990@example.org").person.unwrap().state, PersonState::Departed);
    // One address that everybody has is nobody's.
    let shared = people.find("everybody@example.org");
    assert!(shared.person.is_none() && shared.remarks[0].contains("fits 100000 people"), "{:?}", shared.remarks);
    assert!(shared.remarks[0].len() < 300, "{}", shared.remarks[0]);
    let more = format!("{text}\u{1b}@example.org,x,y,vanished,z\n");
    write(&path, more);
    let error = file(&path).unwrap_err().to_string();
    assert!(error.contains("line 100002: status `vanished`"), "{error}");
}

/// Characters that move a cursor, hide text, turn its direction or end a line.
const HOSTILE: &str = "Eve\u{1b}[2J\u{1b}]0;gone\u{7}\r\nFAKE 0 findings\u{0}\u{9b}31m\u{202e}txt.\u{200b}\u{2028}";

/// A report with an active finding of `login`, as a file.
pub fn leaked(dir: &Path, login: &str) -> std::path::PathBuf {
    let principal = Principal { login: Some(login.into()), ..Principal::default() };
    let found = Finding {
        checked: Checked { principal: Some(principal), how: How::Asked, at: Some(MAY), ..checked(Validity::Active) },
        bound_to: BoundTo::User,
        ..finding(
            "github.pat-classic",
            Confidence::Certain,
            &value(40),
            vec![git_place(PlaceKind::Blob, b"a.env", None)],
        )
    };
    let path = dir.join("report.json");
    write(&path, shown(Format::Json, &report(vec![found]), &unsprawl::report::Options::default()));
    path
}

/// Every list of the report's owners with this directory: text, JSON, CSV, and what stands on standard error.
fn lists(report: &Path, directory: &Path, person: &str) -> Vec<(i32, String, String)> {
    let directory = directory.display().to_string();
    let mut all = Vec::new();
    for format in ["text", "json", "csv"] {
        for words in [vec!["owners"], vec!["offboard", person]] {
            let flags = ["--format", format, "--directory", &directory, "-v"];
            let output = unsprawl([&words[..], &flags].concat()).arg(report).run();
            all.push((output.code, String::from_utf8(output.stdout).unwrap(), output.stderr));
        }
    }
    all
}

#[test]
fn hostile_names_reach_no_terminal_and_no_file() {
    let dir = folder();
    let quoted = HOSTILE.replace('"', "\"\"");
    let hr = dir.path().join("hr.csv");
    // A formula in a field that a spreadsheet would run.
    let row = format!("eve@example.org,\"{quoted}\",\"=1+1{quoted}\",eve,\"@SUM(1){quoted}\",\"{quoted}\",departed");
    write(&hr, format!("email,name,team,login,manager,id,status\n{row}\n"));
    let report = leaked(dir.path(), "eve");
    for (code, out, err) in lists(&report, &hr, "eve@example.org") {
        assert!(code < 2 && out.contains("departed") && out.contains("Eve"), "{code} {out}{err}");
        for text in [&out, &err] {
            let wild: Vec<char> = text.chars().filter(|c| *c != '\n' && !unsprawl::notes::is_harmless(*c)).collect();
            assert!(wild.is_empty(), "{wild:?} in {text:?}");
            assert!(!text.lines().any(|l| l.starts_with("FAKE")), "{text}");
            assert!(!text.contains(",=1+1") && !text.contains(",@SUM"), "{text}");
        }
    }
    let scim = |_: Question<'_>| {
        let user = json!({ "id": HOSTILE, "userName": HOSTILE, "displayName": HOSTILE, "active": false });
        (200, json!({ "totalResults": 1, "Resources": [user] }))
    };
    let (people, _) = scim_named(HOSTILE, scim);
    assert_eq!(people.find(HOSTILE).person.unwrap().state, PersonState::Suspended);
}

fn scim_named(name: &str, answer: impl Fn(Question<'_>) -> (u16, Value) + Send + Sync) -> (People, Vec<String>) {
    scim(&[name.to_lowercase()].into(), answer)
}

#[test]
fn an_address_of_two_people_makes_neither_the_owner_and_nobody_orphaned() {
    let dir = folder();
    let hr = dir.path().join("hr.csv");
    write(&hr, "email,login,name,status\nteam@example.org,team,Ann,departed\nteam@example.org,team,Ben,active\n");
    let report = leaked(dir.path(), "team");
    let all = lists(&report, &hr, "team@example.org");
    for (code, out, _) in &all {
        let orphaned = out.replace("\"orphaned\": 0", "").contains("orphaned");
        assert!(*code < 2 && !orphaned && !out.contains("departed"), "{code} {out}");
    }
    // Whoever asks for that person is told that it is two.
    assert!(all[1].2.contains("fits 2 people"), "{}", all[1].2);
}

#[test]
fn managers_in_a_circle_are_only_names() {
    let dir = folder();
    let hr = dir.path().join("hr.json");
    let person = |login: &str, manager: &str| json!({ "login": login, "manager": manager, "status": "active" });
    write(&hr, json!([person("ann", "ben"), person("ben", "ann"), person("own", "own")]).to_string());
    for login in ["ann", "own"] {
        for (code, out, err) in lists(&leaked(dir.path(), login), &hr, login) {
            assert!(code < 2 && out.contains(login), "{code} {out}{err}");
        }
    }
}
