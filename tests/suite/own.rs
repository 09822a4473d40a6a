//! Owner, posture, severity and pseudonyms on findings made by hand.
#![allow(clippy::unwrap_used)]

use crate::report_samples::*;
use unsprawl::model::*;
use unsprawl::own::accounts::AccountMap;
use unsprawl::own::authors::Authors;
use unsprawl::own::codeowners::Codeowners;
use unsprawl::own::people::{Directory, People};
use unsprawl::own::{self, Knowledge, RepositoryFiles, pseudonyms};
use unsprawl::report::{Format, Options};
use unsprawl::rules::{self, Selection};
use unsprawl::secret::Fingerprinter;

const NOW: i64 = MAY + 200 * 86_400;

fn person(id: &str, name: &str, emails: &[&str], logins: &[&str], state: PersonState) -> Person {
    let own = |list: &[&str]| list.iter().map(|x| (*x).to_owned()).collect();
    let directory = "hr".to_owned();
    let since = (state != PersonState::Active).then(|| "2024-06-01".to_owned());
    let name = Some(name.to_owned());
    Person {
        id: id.into(),
        name,
        emails: own(emails),
        logins: own(logins),
        state,
        since,
        directory,
        ..Person::default()
    }
}

fn people(jane: PersonState) -> People {
    People::new(vec![Directory::new(
        "hr",
        vec![
            person("1", "Jane Doe", &["jane.doe@example.org", "jane@example.org"], &["jdoe"], jane),
            person("2", "Bob Roe", &["bob@example.org"], &["bob"], PersonState::Active),
        ],
        false,
    )])
}

/// An active personal token with an account, brought in by the author of [`commit`].
fn leaked(principal: Principal, paths: &[&str]) -> Finding {
    let places = paths.iter().map(|p| git_place(PlaceKind::Blob, p.as_bytes(), Some(commit(1, MAY)))).collect();
    let checked = Checked { principal: Some(principal), how: How::Asked, at: Some(NOW), ..checked(Validity::Active) };
    let exposure = Exposure { introduced: Some(commit(1, MAY)), at_head: true, branches: 1, ..Exposure::default() };
    Finding {
        checked,
        bound_to: BoundTo::User,
        exposure: Some(exposure),
        ..finding("github.pat-classic", Confidence::Certain, &value(40), places)
    }
}

fn account(login: &str, email: Option<&str>) -> Principal {
    Principal { login: Some(login.into()), email: email.map(Into::into), ..Principal::default() }
}

fn owned(finding: Finding, knowledge: &Knowledge) -> (Owned, Report) {
    let catalog = rules::load(&[] as &[&std::path::Path], &Selection::default()).unwrap();
    let mut report = report(vec![finding]);
    own::own(&mut report, &catalog, knowledge);
    (report.findings[0].owned.clone().unwrap(), report)
}

fn knowing(people: People) -> Knowledge {
    Knowledge { people, now: NOW, ..Knowledge::default() }
}

#[test]
fn the_issuers_address_leads_to_the_person_and_their_leaving_orphans_the_key() {
    let token = || leaked(account("jdoe", Some("Jane@Example.org")), &["a.env"]);
    let (here, _) = owned(token(), &knowing(people(PersonState::Active)));
    assert_eq!(here.owner.person.as_ref().unwrap().id, "1");
    assert!(!here.is(PostureKind::Orphaned));
    assert_eq!(here.severity, Severity::High);
    let (gone, _) = owned(token(), &knowing(people(PersonState::Departed)));
    let orphaned = gone.posture.iter().find(|p| p.kind == PostureKind::Orphaned).unwrap();
    assert!(orphaned.evidence[0].contains("departed since 2024-06-01 in hr"), "{orphaned:?}");
    assert_eq!(gone.severity, Severity::Critical);
}

#[test]
fn an_outage_makes_nobody_leave() {
    let outage = People::new(vec![Directory::unreachable("scim", "no answer in time")]);
    let (owned, _) = owned(leaked(account("jdoe", Some("jane@example.org")), &["a.env"]), &knowing(outage));
    assert_eq!(owned.owner.person.as_ref().unwrap().state, PersonState::Unknown);
    assert!(!owned.is(PostureKind::Orphaned));
    assert!(owned.owner.evidence.iter().any(|e| e.says.contains("scim did not answer")));
}

#[test]
fn who_committed_it_is_no_owner_and_a_difference_is_said() {
    // Jane's key; the samples' author is jane@example.org, too: a mailmap makes the author Bob.
    let files = RepositoryFiles {
        authors: Authors::parse(b"Bob Roe <bob@example.org> <jane@example.org>\n"),
        codeowners: Codeowners::parse(b"* @acme/platform\n"),
    };
    let knowledge = Knowledge { repositories: vec![files], ..knowing(people(PersonState::Active)) };
    let (owned, _) = owned(leaked(account("jdoe", None), &["src/a.env"]), &knowledge);
    assert_eq!(owned.owner.person.as_ref().unwrap().name.as_deref(), Some("Jane Doe"));
    assert_eq!(owned.owner.introduced_by[0].name.as_deref(), Some("Bob Roe"));
    assert!(owned.owner.contradictions[0].contains("the key of Jane Doe"), "{:?}", owned.owner.contradictions);
    assert_eq!(owned.owner.team.as_deref(), Some("@acme/platform"));
    assert!(owned.is(PostureKind::Shared));
    let nobody = Finding { checked: checked(Validity::Active), ..leaked(account("x", None), &["a"]) };
    let (owned, _) = self::owned(nobody, &knowledge);
    assert!(owned.owner.person.is_none() && owned.owner.introduced_by.len() == 1);
}

#[test]
fn the_account_map_joins_a_log_in_name_with_a_person() {
    let text = "[[account]]\nissuer = \"github\"\nlogin = \"moonshine\"\nperson = \"jane.doe@example.org\"\n";
    let accounts = AccountMap::parse("accounts.toml", text).unwrap();
    let knowledge = Knowledge { accounts, ..knowing(people(PersonState::Suspended)) };
    let (owned, _) = owned(leaked(account("moonshine", None), &["a.env"]), &knowledge);
    assert_eq!(owned.owner.person.as_ref().unwrap().id, "1");
    assert!(owned.is(PostureKind::Orphaned));
    assert_eq!(owned.owner.evidence.iter().filter(|e| e.source == EvidenceSource::AccountMap).count(), 1);
}

#[test]
fn posture_says_only_what_is_known() {
    let full = Principal {
        scopes: vec!["admin:org".into(), "gist".into()],
        created: Some("2020-01-01T00:00:00Z".into()),
        last_used: Some("2020-02-01T00:00:00Z".into()),
        expires: Some("never".into()),
        ..account("jdoe", None)
    };
    let (owned, _) = owned(leaked(full, &[".github/workflows/ci.yml", "b"]), &knowing(people(PersonState::Active)));
    let kinds: Vec<PostureKind> = owned.posture.iter().map(|p| p.kind).collect();
    let all_but_orphaned = &PostureKind::ALL[1..];
    assert_eq!(kinds, all_but_orphaned, "{:?}", owned.posture);
    assert_eq!(owned.severity, Severity::Critical);
    assert!(owned.posture.iter().all(|p| !p.evidence.is_empty() && !p.kind.references().is_empty()));
    let bare =
        Finding { exposure: None, locations: vec![place(PlaceKind::Stdin, b"")], ..leaked(account("x", None), &[]) };
    let (owned, _) = self::owned(bare, &knowing(People::default()));
    assert!(owned.posture.is_empty(), "{:?}", owned.posture);
}

#[test]
fn every_row_of_the_severity_table_is_in_the_readme() {
    let source = include_str!("../../src/own/severity.rs");
    let rows: Vec<&str> = source.lines().filter_map(|l| l.strip_prefix("//! |")).collect();
    let readme = include_str!("../../README.md");
    assert!(rows.len() > 8);
    for row in rows {
        assert!(readme.contains(&format!("|{row}")), "README lacks |{row}");
    }
}

#[test]
fn the_readme_says_where_each_posture_stands_in_the_standards() {
    let readme = include_str!("../../README.md");
    for kind in PostureKind::ALL {
        let row = readme.lines().find(|l| l.starts_with(&format!("| `{}` |", kind.as_str())));
        let row = row.unwrap_or_else(|| panic!("no row of {}", kind.as_str()));
        for reference in kind.references() {
            let (standard, place) = reference.split_once(':').unwrap();
            // `NHI1-2025` is NHI1, and `4-expiration` is the heading below section 4.
            let place = place.trim_end_matches("-2025").trim_start_matches("4-");
            let words: Vec<&str> = row.split([' ', ',', '|']).collect();
            assert!(words.contains(&place), "{reference} in {row}");
            let sources =
                ["owasp.org/www-project-non-human", "doi.org/10.6028/NIST.CSWP.29", "pages.nist.gov/800-63-4/"];
            let source = ["owasp-nhi", "nist-csf", "nist-sp-800-63b-4"].iter().position(|s| *s == standard).unwrap();
            assert!(readme.contains(sources[source]), "{standard}");
        }
    }
}

#[test]
fn pseudonyms_leave_nothing_of_anybody_in_any_format() {
    let principal = Principal { name: Some("Jane Doe".into()), ..account("jdoe", Some("jane@example.org")) };
    let mut token = leaked(principal, &["a.env"]);
    token.parts = vec![("user".into(), b"jdoe".to_vec())];
    let (_, mut report) = owned(token, &knowing(people(PersonState::Departed)));
    let mut again = report.clone();
    pseudonyms::pseudonymize(&mut report, &mut [], &Fingerprinter::default());
    for format in [Format::Text, Format::Json, Format::Jsonl, Format::Sarif] {
        let text = shown(format, &report, &Options::default()).to_lowercase();
        for name in ["jane", "jdoe", "doe@", "bot@example.org"] {
            assert!(!text.contains(name), "{name} in {format:?}: {text}");
        }
        assert!(text.contains("person-"), "{format:?}: {text}");
    }
    pseudonyms::pseudonymize(&mut again, &mut [], &Fingerprinter::default());
    assert_eq!(shown(Format::Json, &report, &Options::default()), shown(Format::Json, &again, &Options::default()));
}
