//! The story of one person's keys: they leak, their owner is named, the owner leaves, the keys are orphaned.
//!
//! Contract: everything is real but the directories' outages: the keys are made at npm (Verdaccio), Matrix (Synapse),
//! PostgreSQL and AWS (moto), the repositories by git, and the directories are scim2-server and slapd behind a relay that
//! breaks when the test says so.

use serde_json::{Value, json};

use crate::accounts::{HOST, ldap, psql};
use crate::aws::iam;
use crate::relay::{Mode, Relay};
use crate::servers::{Server, fresh, get, password};
use crate::support::{Output, Repo, Scan, folder, unsprawl};
use crate::tokens::{matrix_login, npm_person, npm_token};

/// One person of the company.
struct Worker {
    login: String,
    email: String,
    name: &'static str,
}

impl Worker {
    fn new(stem: &str, name: &'static str) -> Self {
        let login = fresh(stem);
        Self { email: format!("{login}@corp.example"), login, name }
    }
}

/// The keys of the owner, by the rule that finds them.
struct Keys {
    npm: String,
    matrix: String,
    postgres: String,
    aws: (String, String),
}

/// The company: two people, three repositories, the issuers, and where the directory is.
struct Company {
    alice: Worker,
    bob: Worker,
    keys: Keys,
    /// Bob's own token.
    other: String,
    repositories: [Repo; 3],
    flags: Vec<String>,
    relay: Relay,
    env: (&'static str, String),
    home: tempfile::TempDir,
}

/// The four issuers, if they run.
fn issuers() -> Option<[Server; 4]> {
    Some([get("npm")?, get("matrix")?, get("postgres")?, get("aws")?])
}

fn keys(issuers: &[Server; 4], owner: &Worker) -> (Keys, String) {
    let [npm, matrix, postgres, aws] = issuers;
    let word = password("npm");
    let npm_key = npm_token(npm, &npm_person(npm, &owner.login, &word), &word).0;
    let matrix = matrix_login(matrix, &owner.login);
    let word = password("postgres");
    psql(postgres, &format!("CREATE ROLE {} LOGIN PASSWORD '{word}'", owner.login));
    // An account that is not called as its owner: the account map joins them.
    let account = fresh("deploy-robot");
    iam(aws, "create_user", &json!({ "UserName": account }));
    let key = iam(aws, "create_access_key", &json!({ "UserName": account }))["AccessKey"].clone();
    let part = |name: &str| key[name].as_str().unwrap().to_owned();
    (Keys { npm: npm_key, matrix, postgres: word, aws: (part("AccessKeyId"), part("SecretAccessKey")) }, account)
}

/// Commits a file as somebody and removes it again: it stays in history.
fn leak(repo: &mut Repo, who: &Worker, path: &str, text: &str) {
    let author = format!("{} <{}>", who.name, who.email);
    repo.write(path, text);
    repo.git(&["add", "-A"]);
    repo.now += 60;
    repo.git(&["commit", "-q", "-m", "settings", "--author", &author]);
    repo.remove(path);
    repo.commit("tidy up");
}

fn repositories(alice: &Worker, bob: &Worker, keys: &Keys, other: &str, postgres: &Server) -> [Repo; 3] {
    let mut all = [Repo::new(), Repo::new(), Repo::new()];
    let npmrc = |token: &str| format!("//npm.corp.internal/:_authToken={token}\n");
    let [shop, bot, notes] = &mut all;
    leak(shop, alice, ".npmrc", &npmrc(&keys.npm));
    let (id, secret) = &keys.aws;
    leak(
        shop,
        alice,
        ".aws/credentials",
        &format!("[default]\naws_access_key_id = {id}\naws_secret_access_key = {secret}\n"),
    );
    leak(bot, alice, "bot.ini", &format!("access_token={}\n", keys.matrix));
    // The same token in a second repository.
    leak(bot, alice, "web/.npmrc", &npmrc(&keys.npm));
    let url = format!("postgres://{}:{}@{HOST}:{}/orders", alice.login, keys.postgres, postgres.fact("port"));
    leak(notes, bob, "how-to.md", &format!("psql {url}\n"));
    leak(notes, bob, ".npmrc", &npmrc(other));
    all
}

impl Company {
    /// `directory` makes the value of `--directory` of the relay's port.
    fn new(
        issuers: &[Server; 4],
        alice: Worker,
        bob: Worker,
        relay: Relay,
        directory: impl Fn(u16) -> String,
        env: (&'static str, String),
    ) -> Self {
        let (keys, account) = keys(issuers, &alice);
        let [npm, matrix, postgres, aws] = issuers;
        let word = password("npm of bob");
        let other = npm_token(npm, &npm_person(npm, &bob.login, &word), &word).0;
        let repositories = repositories(&alice, &bob, &keys, &other, postgres);
        let home = folder();
        let map = home.path().join("accounts.toml");
        let entry = format!("[[account]]\nissuer = \"aws\"\nlogin = \"{account}\"\nperson = \"{}\"\n", alice.email);
        std::fs::write(&map, entry).unwrap();
        let mut flags: Vec<String> =
            ["--verify-databases", "--allow-internal", "--allow-host", HOST].map(String::from).into();
        let places = [("npm", npm), ("matrix", matrix), ("aws", aws), ("aws.iam", aws)];
        flags.extend(places.iter().flat_map(|(name, at)| ["--endpoint".into(), format!("{name}={}", at.url())]));
        flags.extend(["--accounts".into(), map.display().to_string()]);
        flags.extend(["--directory".into(), directory(relay.port)]);
        Self { alice, bob, keys, other, repositories, flags, relay, env, home }
    }

    /// Arguments, flags and targets of a run that keeps nothing.
    fn run(&self, words: &[&str], more: &[&str]) -> crate::support::Unsprawl {
        let targets = self.repositories.iter().map(|r| r.dir.display().to_string());
        let words = words.iter().map(|w| (*w).to_owned());
        let args = words.chain(self.flags.iter().cloned()).chain(more.iter().map(|w| (*w).to_owned())).chain(targets);
        let run = unsprawl(args.collect::<Vec<String>>()).env("UNSPRAWL_OFFLINE", "0");
        run.env(self.env.0, &self.env.1)
    }

    fn scan(&self, more: &[&str]) -> Look {
        Look(self.run(&[], more).scan())
    }

    /// A scan that keeps answers of directories for the next such one.
    fn scan_and_keep(&self) -> Look {
        let state = self.home.path().join("state");
        Look(self.run(&[], &["--cache-ttl", "0"]).env("XDG_STATE_HOME", state).scan())
    }

    /// The four keys' values.
    fn values(&self) -> [&str; 4] {
        [&self.keys.npm, &self.keys.matrix, &self.keys.postgres, &self.keys.aws.1]
    }

    fn offboard(&self, who: &str) -> (Output, Value) {
        let output = self.run(&["offboard", "--format", "json", who], &[]).run();
        let list = serde_json::from_slice(&output.stdout).unwrap_or_else(|e| panic!("{e}: {}", output.stderr));
        (output, list)
    }
}

/// What a scan says.
struct Look(Scan);

impl Look {
    fn finding(&self, secret: &str) -> &Value {
        let of: Vec<&Value> =
            self.0.report["findings"].as_array().unwrap().iter().filter(|f| f["secret"] == secret).collect();
        assert_eq!(of.len(), 1, "findings of one key\n{}", self.0.stderr);
        of[0]
    }

    /// Evidence of a posture; nothing if it is not there.
    fn posture(&self, secret: &str, kind: &str) -> Vec<String> {
        let all = self.finding(secret)["posture"].as_array().unwrap();
        let of = all.iter().filter(|p| p["kind"] == kind).flat_map(|p| p["evidence"].as_array().unwrap());
        of.map(|e| e.as_str().unwrap().to_owned()).collect()
    }

    /// Sources and sayings of the evidence for an owner.
    fn evidence(&self, secret: &str) -> String {
        let all = self.finding(secret)["owner"]["evidence"].as_array().unwrap();
        let line = |e: &Value| format!("{}: {}\n", e["source"].as_str().unwrap(), e["says"].as_str().unwrap());
        all.iter().map(line).collect()
    }

    /// The owner of all four keys is this person in this state.
    #[track_caller]
    fn owned(&self, company: &Company, state: &str) {
        for secret in company.values() {
            let finding = self.finding(secret);
            let owner = &finding["owner"]["person"];
            assert_eq!(finding["validity"]["state"], "active", "{}", finding["rule"]);
            assert_eq!(owner["state"], state, "{} {}", finding["rule"], finding["owner"]);
        }
    }

    #[track_caller]
    fn orphaned(&self, company: &Company) {
        for secret in company.values() {
            let evidence = self.posture(secret, "orphaned").join("\n");
            assert!(evidence.contains(company.alice.name) && evidence.contains("is suspended"), "{evidence}");
            assert_eq!(self.finding(secret)["severity"], "critical");
        }
        assert!(self.posture(&company.other, "orphaned").is_empty(), "the colleague is still there");
    }

    /// The directory did not answer: that is said, and nobody is gone.
    #[track_caller]
    fn outage(&self, company: &Company) {
        for secret in company.values() {
            // A database's role is nobody's unless a directory knows it; other accounts are named as their issuers name them.
            let state = &self.finding(secret)["owner"]["person"]["state"];
            assert!(state.is_null() || state == "unknown", "{state}");
            assert_eq!(self.finding(secret)["validity"]["state"], "active");
        }
        assert_eq!((self.0.code, self.0.count("directory")), (3, 1), "{}", self.0.stderr);
        for finding in self.0.report["findings"].as_array().unwrap() {
            assert!(finding["posture"].as_array().unwrap().iter().all(|p| p["kind"] != "orphaned"), "{finding}");
            assert!(!finding["owner"].to_string().contains("departed"), "{}", finding["owner"]);
        }
    }
}

/// The whole story. `leave` deactivates the owner in the directory.
fn story(company: &Company, leave: impl FnOnce(), outages: &[Mode]) {
    let (alice, bob) = (&company.alice, &company.bob);
    let here = company.scan_and_keep();
    here.owned(company, "active");
    let [npm, matrix, postgres, aws] = company.values();
    for secret in company.values() {
        let owner = &here.finding(secret)["owner"];
        assert_eq!(owner["person"]["name"], alice.name, "{owner}");
        assert_eq!(owner["person"]["emails"], json!([alice.email]));
        assert_eq!(owner["team"], "Platform");
        assert!(here.posture(secret, "orphaned").is_empty());
    }
    for secret in [npm, matrix, postgres] {
        let evidence = here.evidence(secret);
        assert!(evidence.contains(&format!("issuer: log-in name {}", alice.login)), "{evidence}");
    }
    let evidence = here.evidence(aws);
    assert!(evidence.contains("account-map: aws account deploy-robot"), "{evidence}");
    // The colleague brought one of them in: that is said, and makes him nobody's owner.
    let contradictions = here.finding(postgres)["owner"]["contradictions"].to_string();
    assert!(contradictions.contains(&format!("committed by {}", bob.name)), "{contradictions}");
    let shared = here.posture(postgres, "shared");
    assert!(shared.len() == 1 && shared[0].contains(bob.name) && shared[0].contains(alice.name), "{shared:?}");
    assert_eq!(here.posture(npm, "shared"), ["stands in 2 repositories"]);
    assert!(here.posture(matrix, "shared").is_empty() && here.posture(aws, "shared").is_empty());

    leave();
    for outage in outages {
        company.relay.set(*outage);
        company.scan(&["--request-timeout", "1s"]).outage(company);
    }
    // Answers of an hour ago are still good, whatever became of the directory.
    company.scan_and_keep().owned(company, "active");
    company.relay.set(Mode::Pass);
    let gone = company.scan(&[]);
    gone.owned(company, "suspended");
    gone.orphaned(company);

    let (output, list) = company.offboard(&alice.email);
    let credentials = list["people"][0]["credentials"].as_array().unwrap();
    let mut rules: Vec<&str> = credentials.iter().map(|c| c["rule"].as_str().unwrap()).collect();
    rules.sort_unstable();
    let four = ["aws.secret-access-key", "matrix.access-token", "npm.registry-jwt", "url-credentials.postgres"];
    assert_eq!(rules, four, "{list}");
    assert!(credentials.iter().all(|c| c["relation"] == "owns" && c["validity"] == "active"), "{list}");
    assert_eq!((output.code, &list["people"][0]["orphaned"]), (1, &json!(4)), "{}", output.stderr);
    // By log-in name it is the same person; the colleague's list is another one.
    assert_eq!(company.offboard(&alice.login).1["people"], list["people"]);
    let (_, list) = company.offboard(&bob.email);
    let relations: Vec<&Value> =
        list["people"][0]["credentials"].as_array().unwrap().iter().map(|c| &c["relation"]).collect();
    assert_eq!(relations, ["owns", "brought-in"], "{list}");
}

/// A person's record in SCIM.
fn scim_person(scim: &Server, who: &Worker) -> String {
    let enterprise = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User";
    let body = json!({
        "schemas": ["urn:ietf:params:scim:schemas:core:2.0:User", enterprise],
        "userName": who.login, "displayName": who.name, "active": true,
        "emails": [{ "value": who.email, "primary": true }],
        enterprise: { "department": "Platform" },
    });
    let made = scim.request("POST", "/Users").bearer(&scim.fact("token")).json(body);
    made.header("Accept", "application/scim+json").expect(&[201])["id"].as_str().unwrap().to_owned()
}

#[test]
fn keys_of_somebody_who_is_deactivated_in_scim_are_orphaned() {
    let (Some(issuers), Some(scim)) = (issuers(), get("scim")) else { return };
    let (alice, bob) = (Worker::new("alice", "Alice Archer"), Worker::new("bob", "Bob Baker"));
    let (id, _) = (scim_person(&scim, &alice), scim_person(&scim, &bob));
    let directory = |port| format!("scim+http://127.0.0.1:{port}/v2#SCIM_TOKEN");
    let relay = Relay::to(&scim.fact("port"));
    let company = Company::new(&issuers, alice, bob, relay, directory, ("SCIM_TOKEN", scim.fact("token")));
    let leave = || {
        let body = json!({
            "schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"],
            "Operations": [{ "op": "replace", "path": "active", "value": false }],
        });
        let change = scim.request("PATCH", &format!("/Users/{id}")).bearer(&scim.fact("token")).json(body);
        change.expect(&[200, 204]);
    };
    story(&company, leave, &[Mode::Close, Mode::Unavailable, Mode::Hang, Mode::Break(120)]);
}

/// A person's record in LDAP; its name.
fn ldap_person(server: &Server, who: &Worker) -> String {
    let dn = format!("uid={},ou=people,{}", who.login, server.fact("base"));
    let entry = format!(
        "objectClass: inetOrgPerson\nuid: {}\ncn: {}\nsn: {}\nmail: {}\ndepartmentNumber: Platform\nuserPassword: {}",
        who.login,
        who.name,
        who.name,
        who.email,
        password(&who.login)
    );
    ldap(server, "ldapadd", &format!("dn: {dn}\n{entry}\n"));
    dn
}

#[test]
fn keys_of_somebody_who_is_locked_in_ldap_are_orphaned() {
    let (Some(issuers), Some(server)) = (issuers(), get("ldap")) else { return };
    let (alice, bob) = (Worker::new("alice", "Alice Archer"), Worker::new("bob", "Bob Baker"));
    let (dn, _) = (ldap_person(&server, &alice), ldap_person(&server, &bob));
    // Whoever reads the directory is nobody special.
    let (reader, word) = (fresh("reader"), password("reader"));
    let reader = format!("cn={reader},{}", server.fact("base"));
    let entry = format!("dn: {reader}\nobjectClass: person\ncn: reader\nsn: reader\nuserPassword: {word}\n");
    ldap(&server, "ldapadd", &entry.replace("cn: reader", &format!("cn: {}", &reader[3..reader.find(',').unwrap()])));
    let base = server.fact("base");
    let directory = |port| format!("ldap://127.0.0.1:{port}/{base}?bind={reader}#READER_PASSWORD");
    let relay = Relay::to(&server.fact("port"));
    let company = Company::new(&issuers, alice, bob, relay, directory, ("READER_PASSWORD", word));
    let lock = "replace: pwdAccountLockedTime\npwdAccountLockedTime: 000001010000Z";
    let leave = || ldap(&server, "ldapmodify", &format!("dn: {dn}\nchangetype: modify\n{lock}\n"));
    // Closed; broken within the answer to the log-in; broken within the list.
    story(&company, leave, &[Mode::Close, Mode::Hang, Mode::Break(5), Mode::Break(40)]);
}
