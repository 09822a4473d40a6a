//! Directories as the library reads them: scim2-server and slapd, with more people than fit on a page, names that need an
//! escape, wrong passwords and locked accounts.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::{Value, json};
use unsprawl::model::{Person, PersonState};
use unsprawl::own::directory::{Options, Source, Wanted, fetch};
use unsprawl::own::people::People;
use unsprawl::verify::limits::Limits;
use unsprawl::verify::network::{self, Network};
use unsprawl::verify::polite::Polite;

use crate::accounts::ldap;
use crate::servers::{Server, fresh, get, password};

/// Asks one directory as `--directory` would.
fn ask(directory: &str, secret: &str, wanted: &Wanted, authorities: &[&str]) -> People {
    let env = |name: &str| (name == "SECRET").then(|| secret.to_owned());
    let source = Source::parse(directory, &env).unwrap();
    let authorities = authorities.iter().flat_map(|file| network::authorities(file.as_ref()).unwrap()).collect();
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
        let options = network::Options { authorities, body: 16 << 20, ..network::Options::default() };
        let network = Network::new(options).unwrap();
        let options = Options {
            cache: None,
            ttl: Duration::ZERO,
            within: Duration::from_secs(200),
            answer_within: Duration::from_secs(30),
            offline: false,
            now: jiff::Timestamp::now().as_second(),
            tls: network.tls_config(),
            searched: &|_, _| {},
        };
        let limits = Limits { rps: 1000.0, ..Limits::default() };
        let polite = Polite::new(network, limits, None);
        fetch(&[source], wanted, &polite.of("directory"), &options).await.unwrap()
    })
}

fn wanted<S: AsRef<str>>(names: impl IntoIterator<Item = S>) -> Wanted {
    names.into_iter().map(|n| n.as_ref().to_lowercase()).collect()
}

#[track_caller]
fn person(people: &People, name: &str) -> Person {
    let found = people.find(name);
    found.person.unwrap_or_else(|| panic!("{name}: {:?}, {:?}", found.remarks, people.directories()[0].fault()))
}

#[track_caller]
fn fault(people: &People, what: &str) {
    let fault = people.directories()[0].fault().unwrap_or("none");
    assert!(fault.contains(what), "{fault}");
    assert!(people.find("alice").person.is_none());
}

struct Scim(Server);

impl Scim {
    fn directory(&self) -> String {
        format!("complete:scim+{}#SECRET", self.0.url())
    }

    fn add(&self, body: Value) -> String {
        let mut body = body;
        body["schemas"] = json!([
            "urn:ietf:params:scim:schemas:core:2.0:User",
            "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User",
        ]);
        let made = self.0.request("POST", "/Users").bearer(&self.0.fact("token")).json(body).expect(&[201]);
        made["id"].as_str().unwrap().to_owned()
    }

    fn ask(&self, wanted: &Wanted) -> People {
        ask(&self.directory(), &self.0.fact("token"), wanted, &[])
    }
}

#[test]
fn scim_gives_few_by_filter_and_many_by_page() {
    let Some(scim) = get("scim").map(Scim) else { return };
    let stem = fresh("worker");
    for i in 0..450 {
        let email = format!("{stem}-{i}@corp.example");
        scim.add(json!({ "userName": format!("{stem}-{i}"), "emails": [{ "value": email }], "active": i % 3 != 0 }));
    }
    let names: Vec<String> = (0..450).map(|i| format!("{stem}-{i}@corp.example")).collect();
    let people = scim.ask(&wanted(&names));
    for (i, name) in names.iter().enumerate() {
        let state = if i % 3 == 0 { PersonState::Suspended } else { PersonState::Active };
        assert_eq!(person(&people, name).state, state, "{name}");
    }
    let few = scim.ask(&wanted(&names[7..9]));
    assert_eq!(few.directories()[0].len(), 2);
    assert_eq!(person(&few, &format!("{stem}-7")).state, PersonState::Active);
}

#[test]
fn scim_takes_names_of_any_kind() {
    let Some(scim) = get("scim").map(Scim) else { return };
    let stem = fresh("odd");
    let names = [
        format!("{stem} \"or\" eq"),
        format!("{stem}\\back"),
        format!("{stem}-Größe"),
        format!("{stem}&count=1#x"),
        format!("{stem}%22*"),
    ];
    for name in &names {
        scim.add(json!({ "userName": name, "displayName": name }));
    }
    let people = scim.ask(&wanted(&names));
    assert_eq!(people.directories()[0].len(), names.len());
    for name in &names {
        assert_eq!(person(&people, name).name.as_ref(), Some(name));
    }
    // As a filter of its own it would fit everybody.
    let hostile = format!("{stem}\" or userName pr or userName eq \"x");
    assert_eq!(scim.ask(&wanted([&hostile])).directories()[0].len(), 0);
}

#[test]
fn scim_tells_name_team_and_manager() {
    let Some(scim) = get("scim").map(Scim) else { return };
    let name = fresh("jane");
    let email = format!("{name}@corp.example");
    let id = scim.add(json!({
        "userName": name.to_uppercase(), "name": { "givenName": "Jane", "familyName": "Doe" }, "active": true,
        "emails": [{ "value": format!("alias.{email}") }, { "value": email, "primary": true }],
        "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User": {
            "department": "Shop", "manager": { "value": "26118915", "displayName": "Carol Chief" },
        },
    }));
    let jane = person(&scim.ask(&wanted([&email])), &email);
    assert_eq!((jane.name.as_deref(), jane.team.as_deref()), (Some("Jane Doe"), Some("Shop")));
    assert_eq!(jane.emails, [email.clone(), format!("alias.{email}")]);
    assert_eq!((jane.logins, jane.state), (vec![name.clone()], PersonState::Active));
    assert!(jane.manager.is_some());
    scim.0.request("DELETE", &format!("/Users/{id}")).bearer(&scim.0.fact("token")).expect(&[204]);
    // This directory is said to list everybody.
    assert_eq!(person(&scim.ask(&wanted([&email])), &email).state, PersonState::Departed);
}

#[test]
fn scim_without_the_right_token_says_nothing_of_anybody() {
    let Some(scim) = get("scim").map(Scim) else { return };
    let names = wanted(["alice"]);
    fault(&ask(&scim.directory(), "wrong", &names, &[]), "refuses the token");
    let elsewhere = format!("complete:scim+{}/nowhere#SECRET", scim.0.url());
    fault(&ask(&elsewhere, &scim.0.fact("token"), &names, &[]), "status 404");
    fault(&ask("complete:scim+http://127.0.0.1:9#SECRET", "x", &names, &[]), "cannot connect");
}

/// An LDAP server, and a part of its tree that is this test's.
struct Ldap {
    server: Server,
    base: String,
    reader: String,
    word: String,
}

impl Ldap {
    fn new(server: Server) -> Self {
        let (unit, word) = (fresh("unit"), password("reader"));
        let base = format!("ou={unit},{}", server.fact("base"));
        let reader = format!("cn=reader,{base}");
        let unit = format!("dn: {base}\nobjectClass: organizationalUnit\nou: {unit}\n\n");
        let account = format!("dn: {reader}\nobjectClass: person\ncn: reader\nsn: reader\nuserPassword: {word}\n");
        ldap(&server, "ldapadd", &format!("{unit}{account}"));
        Self { server, base, reader, word }
    }

    fn directory(&self, url: &str) -> String {
        format!("complete:{url}/{}?bind={}#SECRET", self.base, self.reader)
    }

    fn add(&self, uids: impl Iterator<Item = String>) {
        let entry = |uid: &String| {
            let dn = format!("dn: uid={uid},{}", self.base);
            format!("{dn}\nobjectClass: inetOrgPerson\nuid: {uid}\ncn: {uid}\nsn: x\nmail: {uid}@corp.example\n\n")
        };
        let all: Vec<String> = uids.collect();
        ldap(&self.server, "ldapadd", &all.iter().map(entry).collect::<String>());
    }

    fn change(&self, uid: &str, lines: &str) {
        let dn = format!("dn: uid={uid},{}\nchangetype: modify", self.base);
        ldap(&self.server, "ldapmodify", &format!("{dn}\n{lines}\n"));
    }

    fn ask(&self, wanted: &Wanted) -> People {
        ask(&self.directory(&self.server.url()), &self.word, wanted, &[])
    }
}

#[test]
fn ldap_gives_many_though_the_server_lists_no_more_than_500() {
    let Some(server) = get("ldap") else { return };
    let tree = Ldap::new(server);
    let stem = fresh("worker");
    tree.add((0..700).map(|i| format!("{stem}-{i}")));
    let names: Vec<String> = (0..700).step_by(2).map(|i| format!("{stem}-{i}@corp.example")).collect();
    // The reader is nobody special: names are asked for. The administrator gets everybody, page by page.
    let people = tree.ask(&wanted(&names));
    assert!(people.directories()[0].len() < 700, "{}", people.directories()[0].len());
    names.iter().for_each(|name| assert_eq!(person(&people, name).state, PersonState::Active, "{name}"));
    let server = &tree.server;
    let admin = format!("{}/{}?bind={}#SECRET", server.url(), tree.base, server.fact("admin"));
    let people = ask(&admin, &server.fact("password"), &wanted(&names), &[]);
    let found: BTreeSet<String> = names.iter().map(|n| person(&people, n).logins[0].clone()).collect();
    assert_eq!((people.directories()[0].len(), found.len()), (701, 350));
}

#[test]
fn ldap_tells_locked_from_there() {
    let Some(server) = get("ldap") else { return };
    let tree = Ldap::new(server);
    let uid = fresh("jane");
    tree.add([uid.clone()].into_iter());
    let state = || {
        let jane = person(&tree.ask(&wanted([&uid])), &uid);
        (jane.state, jane.since)
    };
    assert_eq!(state(), (PersonState::Active, None));
    tree.change(&uid, "replace: pwdAccountLockedTime\npwdAccountLockedTime: 000001010000Z");
    assert_eq!(state(), (PersonState::Suspended, None));
    tree.change(&uid, "replace: pwdAccountLockedTime\npwdAccountLockedTime: 20260102030405Z");
    assert_eq!(state(), (PersonState::Suspended, Some("2026-01-02T03:04:05Z".into())));
    tree.change(&uid, "delete: pwdAccountLockedTime");
    assert_eq!(state(), (PersonState::Active, None));
}

#[test]
fn ldap_takes_names_of_any_kind_and_tells_name_team_and_manager() {
    let Some(server) = get("ldap") else { return };
    let tree = Ldap::new(server);
    let uid = fresh("odd");
    tree.add([uid.clone(), format!("{uid}b")].into_iter());
    let boss = format!("uid={uid}b,{}", tree.base);
    for lines in [
        "replace: cn\ncn: Jane Doe".to_owned(),
        format!("replace: manager\nmanager: {boss}"),
        "replace: departmentNumber\ndepartmentNumber: Shop".into(),
        format!("add: mail\nmail: Jane.O'{uid}@corp.example"),
    ] {
        tree.change(&uid, &lines);
    }
    let name = format!("jane.o'{uid}@CORP.example");
    let jane = person(&tree.ask(&wanted([&name])), &name);
    assert_eq!((jane.name.as_deref(), jane.team.as_deref()), (Some("Jane Doe"), Some("Shop")));
    assert_eq!((jane.manager, jane.emails.len()), (Some(format!("{uid}b")), 2));
    for hostile in ["*", "x)(uid=*", "\\2a", "a\0b", "(", &format!("{uid})(|(uid=*")] {
        let people = tree.ask(&wanted([hostile]));
        assert_eq!((people.directories()[0].len(), people.directories()[0].fault()), (0, None), "{hostile}");
    }
}

#[test]
fn ldap_over_tls_wants_a_certificate_that_is_trusted() {
    let Some(server) = get("ldaps") else { return };
    let tree = Ldap::new(server);
    let uid = fresh("jane");
    tree.add([uid.clone()].into_iter());
    let (names, authority, port) = (wanted([&uid]), tree.server.fact("ca"), tree.server.fact("port"));
    // What only the resolver takes for loopback is a host like any other: StartTLS comes first.
    let start_tls = format!("ldap://LocalHost:{port}");
    for url in [tree.server.fact("tls_url"), start_tls] {
        let directory = tree.directory(&url);
        let people = ask(&directory, &tree.word, &names, &[&authority]);
        assert_eq!(person(&people, &uid).state, PersonState::Active, "{url}");
        fault(&ask(&directory, &tree.word, &names, &[]), "certificate");
    }
}

#[test]
fn ldap_that_lets_nobody_in_says_nothing_of_anybody() {
    let Some(server) = get("ldap") else { return };
    let tree = Ldap::new(server);
    let (url, names) = (tree.server.url(), wanted(["alice"]));
    fault(&ask(&tree.directory(&url), "wrong", &names, &[]), "wrong name or password");
    let elsewhere = format!("complete:{url}/ou=nowhere,{}?bind={}#SECRET", tree.base, tree.reader);
    fault(&ask(&elsewhere, &tree.word, &names, &[]), "search base");
    // Anonymous readers see nothing here: not an empty list, but a base that is not there.
    fault(&ask(&format!("complete:{url}/{}", tree.base), "", &names, &[]), "search base");
    fault(&ask("complete:ldap://127.0.0.1:9/dc=x", "", &names, &[]), "no connection");
}
