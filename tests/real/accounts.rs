//! Accounts whose name and password stand in a URL: databases, queues, directories, mail.
//!
//! Contract: such a log-in is only tried with `--verify-databases`, and only at a host that the user allowed. The host is
//! written as an IPv6 address that holds 127.0.0.1: URLs with `localhost` are another matter (everybody has one).

use serde_json::{Value, json};

use crate::mail::user;
use crate::servers::{Server, fresh, get, password};
use crate::story::{finding, inactive, leak, lives_and_dies, unknown};
use crate::support::Repo;

/// 127.0.0.1 as it may stand in a URL that is somebody's.
pub const HOST: &str = "[::ffff:127.0.0.1]";
const FLAGS: [&str; 3] = ["--verify-databases", "--allow-host", HOST];

/// An account and the repository that its URL leaked into.
pub struct Account {
    pub name: String,
    pub word: String,
    pub repo: Repo,
}

impl Account {
    /// `url` makes the URL of name, password and host with port.
    pub fn new(port: &str, url: impl Fn(&str, &str, &str) -> String) -> Self {
        let (name, word) = (fresh("alice"), password("account"));
        let repo = leak("deploy/values.yaml", &format!("url: {}\n", url(&name, &word, &format!("{HOST}:{port}"))));
        Self { name, word, repo }
    }

    fn lives_and_dies(&self, rule: &str, end: impl FnOnce()) {
        self.lives_as(rule, &self.name, end);
    }

    fn lives_as(&self, rule: &str, login: &str, end: impl FnOnce()) {
        lives_and_dies(&self.repo, &FLAGS, rule, &self.word, &[("/login", login)], end);
    }

    fn inactive(&self, rule: &str) {
        inactive(&finding(&self.repo, &FLAGS, rule, &self.word));
    }
}

pub fn psql(server: &Server, statement: &str) {
    let (port, word) = (server.fact("port"), server.fact("password"));
    let place = format!("host=127.0.0.1 port={port} user=postgres dbname=postgres");
    let args = [&place, "-v", "ON_ERROR_STOP=1", "-wqc", statement];
    server.run(&server.fact("psql"), &args, &[("PGPASSWORD", &word)], "");
}

pub fn postgres_account(server: &Server) -> Account {
    let account = Account::new(&server.fact("port"), |n, w, host| format!("postgres://{n}:{w}@{host}/orders"));
    psql(server, &format!("CREATE ROLE {} LOGIN PASSWORD '{}'", account.name, account.word));
    account
}

#[test]
fn postgres_lives_until_its_password_is_taken() {
    let Some(server) = get("postgres") else { return };
    let account = postgres_account(&server);
    account.lives_and_dies("url-credentials.postgres", || {
        psql(&server, &format!("ALTER ROLE {} PASSWORD NULL", account.name))
    });
}

#[test]
fn postgres_lives_until_it_may_not_log_in() {
    let Some(server) = get("postgres") else { return };
    let account = postgres_account(&server);
    account
        .lives_and_dies("url-credentials.postgres", || psql(&server, &format!("ALTER ROLE {} NOLOGIN", account.name)));
}

#[test]
fn no_database_is_asked_unless_the_user_says_so() {
    let Some(server) = get("postgres") else { return };
    let account = postgres_account(&server);
    let look = |flags: &[&str]| finding(&account.repo, flags, "url-credentials.postgres", &account.word);
    unknown(&look(&["--allow-host", HOST]));
    unknown(&look(&["--verify-databases"]));
    unknown(&look(&["--verify-databases", "--allow-host", "db.corp.example"]));
    unknown(&look(&["--verify-databases", "--allow-host", HOST, "--offline"]));
    unknown(&look(&["--verify-databases", "--allow-host", HOST, "--no-verify"]));
}

pub fn mariadb(server: &Server, statement: &str) {
    let (port, word) = (server.fact("port"), server.fact("password"));
    let args = ["--no-defaults", "-h", "127.0.0.1", "-P", &port, "-u", "root", "-e", statement];
    server.run("mariadb", &args, &[("MYSQL_PWD", &word)], "");
}

#[test]
fn mariadb_is_dead_while_locked_and_when_dropped() {
    let Some(server) = get("mariadb") else { return };
    let account = Account::new(&server.fact("port"), |n, w, host| format!("mysql://{n}:{w}@{host}/orders"));
    let who = format!("'{}'@'%'", account.name);
    mariadb(&server, &format!("CREATE USER {who} IDENTIFIED BY '{}'; GRANT SELECT ON orders.* TO {who}", account.word));
    // An account of MariaDB is a name and where it may come from.
    let (rule, login) = ("url-credentials.mysql", format!("{}@%", account.name));
    account.lives_as(rule, &login, || mariadb(&server, &format!("ALTER USER {who} ACCOUNT LOCK")));
    mariadb(&server, &format!("ALTER USER {who} ACCOUNT UNLOCK"));
    account.lives_as(rule, &login, || mariadb(&server, &format!("DROP USER {who}")));
}

pub fn redis(server: &Server, words: &[&str]) {
    let (port, word) = (server.fact("port"), server.fact("password"));
    let args = [&["-h", "127.0.0.1", "-p", &port, "--user", "default", "-e"], words].concat();
    server.run("redis-cli", &args, &[("REDISCLI_AUTH", &word)], "");
}

#[test]
fn redis_is_dead_while_off_and_when_deleted() {
    let Some(server) = get("redis") else { return };
    let account = Account::new(&server.fact("port"), |n, w, host| format!("redis://{n}:{w}@{host}/0"));
    redis(
        &server,
        &["ACL", "SETUSER", &account.name, "on", &format!(">{}", account.word), "~*", "+@read", "+acl|whoami"],
    );
    let rule = "url-credentials.redis";
    account.lives_and_dies(rule, || redis(&server, &["ACL", "SETUSER", &account.name, "off"]));
    redis(&server, &["ACL", "SETUSER", &account.name, "on"]);
    account.lives_and_dies(rule, || redis(&server, &["ACL", "DELUSER", &account.name]));
}

/// A change of a user at the management API.
pub fn rabbit(server: &Server, method: &str, name: &str, body: Value) {
    let request =
        server.request(method, &format!("/api/users/{name}")).basic(&server.fact("admin"), &server.fact("password"));
    let request = if body.is_null() { request } else { request.json(body) };
    request.expect(&[201, 204]);
}

#[test]
fn rabbitmq_is_dead_without_a_password_and_when_deleted() {
    let Some(server) = get("rabbitmq") else { return };
    let account = Account::new(&server.fact("amqp_port"), |n, w, host| format!("amqp://{n}:{w}@{host}/%2F"));
    let give = |body| rabbit(&server, "PUT", &account.name, body);
    give(json!({ "password": account.word, "tags": "monitoring" }));
    let rights = json!({ "configure": "", "write": "", "read": ".*" });
    let path = format!("/api/permissions/%2F/{}", account.name);
    server
        .request("PUT", &path)
        .basic(&server.fact("admin"), &server.fact("password"))
        .json(rights)
        .expect(&[201, 204]);
    let rule = "url-credentials.amqp";
    account.lives_and_dies(rule, || give(json!({ "password_hash": "", "tags": "" })));
    give(json!({ "password": account.word, "tags": "" }));
    account.lives_and_dies(rule, || rabbit(&server, "DELETE", &account.name, Value::Null));
}

/// Changes the directory as its administrator.
pub fn ldap(server: &Server, program: &str, ldif: &str) {
    let (url, admin, word) = (server.url(), server.fact("admin"), server.fact("password"));
    server.run(program, &["-x", "-H", &url, "-D", &admin, "-w", &word], &[], ldif);
}

pub fn ldap_account(server: &Server) -> (Account, String) {
    let base = server.fact("base");
    let dn = |name: &str| format!("uid={name},ou=people,{base}");
    let account = Account::new(&server.fact("port"), |n, w, host| format!("ldap://{}:{w}@{host}/", dn(n)));
    let (dn, name, word) = (dn(&account.name), &account.name, &account.word);
    let person =
        format!("objectClass: inetOrgPerson\nuid: {name}\ncn: Alice Archer\nsn: Archer\nmail: {name}@corp.example");
    ldap(server, "ldapadd", &format!("dn: {dn}\n{person}\nuserPassword: {word}\n"));
    (account, dn)
}

#[test]
fn ldap_is_dead_while_locked_and_when_deleted() {
    let Some(server) = get("ldap") else { return };
    let (account, dn) = ldap_account(&server);
    let rule = "url-credentials.ldap";
    let change = |lines: &str| ldap(&server, "ldapmodify", &format!("dn: {dn}\nchangetype: modify\n{lines}\n"));
    let look = || finding(&account.repo, &FLAGS, rule, &account.word);
    crate::story::active(&look(), &[]);
    change("replace: pwdAccountLockedTime\npwdAccountLockedTime: 000001010000Z");
    inactive(&look());
    change("delete: pwdAccountLockedTime");
    crate::story::active(&look(), &[]);
    ldap(&server, "ldapmodify", &format!("dn: {dn}\nchangetype: delete\n"));
    inactive(&look());
}

#[test]
fn smtp_lives_until_the_user_is_gone() {
    let Some(server) = get("smtp") else { return };
    let account = Account::new(&server.fact("port"), |n, w, host| format!("smtp://{n}:{w}@{host}"));
    user(&server, &account.name, Some(&account.word));
    account.lives_and_dies("url-credentials.smtp", || user(&server, &account.name, None));
    account.inactive("url-credentials.smtp");
}
