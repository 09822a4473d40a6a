//! Log-ins at real servers on loopback, over TLS, too: `tests/servers/run start postgres postgres_tls mariadb redis rabbitmq
//! ldap ldaps smtp smtps imap` starts them. Without them each test says that it was skipped; under CI=true that is a failure.
//!
//! Each account is made for the test, found to work with its right owner, then ended at the server, and found not to work.

#![allow(clippy::unwrap_used, clippy::print_stderr)]

use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;

use tokio::net::TcpStream;
use unsprawl::verify::login::{Dial, ask};
use unsprawl::verify::network::authorities;
use unsprawl::verify::transport::{Answer, Failure, LogIn};
use zeroize::Zeroizing;

use crate::accounts::ldap as directory;
use crate::mail::user;
use crate::over_tls::{redis_user, role};
use crate::servers::{Server, fresh, get, password};

/// Connects to one address, whatever the host; trusts the authorities of a file, or nobody.
struct Loopback<'a> {
    address: &'a str,
    ca: Option<&'a str>,
}

impl Dial for Loopback<'_> {
    async fn dial(&self, _: &str, _: u16) -> Result<TcpStream, Failure> {
        TcpStream::connect(self.address).await.map_err(|e| Failure::Broken(e.to_string()))
    }
    fn tls(&self) -> Arc<rustls::ClientConfig> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder =
            rustls::ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
        let mut roots = rustls::RootCertStore::empty();
        roots.add_parsable_certificates(self.ca.into_iter().flat_map(|ca| authorities(ca.as_ref()).unwrap()));
        Arc::new(builder.with_root_certificates(roots).with_no_client_auth())
    }
    fn plain(&self, _: &str) -> bool {
        false
    }
}

/// What a running server says of itself.
fn server(name: &str) -> Option<serde_json::Value> {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("target/servers");
    let root = std::env::var_os("UNSPRAWL_TEST_SERVERS_DIR").map_or(root, PathBuf::from);
    let read = std::fs::read(root.join("run").join(format!("{name}.json")));
    let facts: Option<serde_json::Value> = read.ok().and_then(|text| serde_json::from_slice(&text).ok());
    let facts = facts.filter(|f| f["ready"] == true);
    if facts.is_none() {
        assert!(std::env::var_os("CI").is_none(), "{name} is not running");
        eprintln!("skipped: {name} is not running");
    }
    facts
}

fn log_in(scheme: &str, facts: &serde_json::Value, port: &str, user: &str, password: &str) -> Answer {
    let address = format!("127.0.0.1:{}", facts[port]);
    log_in_over(&Loopback { address: &address, ca: None }, scheme, "127.0.0.1", user, password)
}

fn log_in_over(dial: &Loopback<'_>, scheme: &str, host: &str, user: &str, password: &str) -> Answer {
    let port = dial.address.rsplit_once(':').unwrap().1;
    let values = [("scheme", scheme), ("host", host), ("port", port), ("user", user), ("password", password)];
    let values = values.into_iter().map(|(name, value)| (name, Zeroizing::new(value.to_owned()))).collect();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(ask(dial, &LogIn { protocol: None, values, change: None })).unwrap()
}

fn has(answer: &Answer, name: &str, value: &str) -> bool {
    matches!(answer, Answer::Accepted(facts) if facts.iter().any(|(n, v)| n == name && v == value))
}

fn denied(answer: &Answer, reason: &str) -> bool {
    matches!(answer, Answer::Denied(why) if why.contains(reason))
}

fn call(program: &str, arguments: &[&str], env: (&str, &str)) -> String {
    let out = Command::new(program).args(arguments).env(env.0, env.1).output().unwrap();
    assert!(out.status.success(), "{program}: {}", String::from_utf8_lossy(&out.stderr));
    String::from_utf8_lossy(&out.stdout).into_owned()
}

#[test]
fn postgres() {
    let Some(facts) = server("postgres") else { return };
    let text = |name: &str| facts[name].as_str().unwrap().to_owned();
    let sql = |command: &str| {
        let port = facts["port"].to_string();
        let arguments = ["-h", "127.0.0.1", "-p", &port, "-U", "postgres", "-d", "postgres", "-w", "-qc", command];
        call(&text("psql"), &arguments, ("PGPASSWORD", &text("password")))
    };
    sql("DROP ROLE IF EXISTS login_app; DROP ROLE IF EXISTS login_old; DROP ROLE IF EXISTS login_readers;");
    sql("CREATE ROLE login_readers; CREATE ROLE login_app LOGIN PASSWORD 'right, =pw' IN ROLE login_readers \
         VALID UNTIL '2099-01-01 00:00:00+00'; COMMENT ON ROLE login_app IS 'owner: jo@corp.example';");
    sql("SET password_encryption = md5; CREATE ROLE login_old LOGIN PASSWORD 'old';");
    let ask = |user: &str, password: &str| log_in("postgres", &facts, "port", user, password);
    // The database named like the user is not there: the password was accepted before that.
    assert!(has(&ask("login_app", "right, =pw"), "remark", "database \"login_app\" does not exist"));
    sql("CREATE DATABASE login_app");
    let answer = ask("login_app", "right, =pw");
    for (name, value) in [
        ("login", "login_app"),
        ("database", "login_app"),
        ("comment", "owner: jo@corp.example"),
        ("scope", "login_readers"),
        ("server", &text("address")),
    ] {
        assert!(has(&answer, name, value), "{name}: {answer:?}");
    }
    assert!(has(&ask("postgres", &text("password")), "scope", "superuser"));
    assert!(denied(&ask("login_app", "wrong"), "refuses"));
    assert!(denied(&ask("nobody", "wrong"), "refuses"));
    sql("ALTER ROLE login_app NOLOGIN");
    assert!(denied(&ask("login_app", "right, =pw"), "locked"));
    sql("ALTER ROLE login_app LOGIN PASSWORD NULL");
    assert!(denied(&ask("login_app", "right, =pw"), "refuses"));
    sql("DROP DATABASE login_app");
    sql("DROP ROLE login_app; DROP ROLE login_old; DROP ROLE login_readers;");
}

#[test]
fn mariadb() {
    let Some(facts) = server("mariadb") else { return };
    let password = facts["password"].as_str().unwrap();
    let sql = |command: &str| {
        let port = facts["port"].to_string();
        let arguments = ["--no-defaults", "-h", "127.0.0.1", "-P", &port, "-u", "root", "-e", command];
        call("mariadb", &arguments, ("MYSQL_PWD", password))
    };
    sql("CREATE OR REPLACE USER login_app IDENTIFIED BY 'right'; GRANT SELECT ON orders.* TO login_app");
    let ask = |password: &str| log_in("mysql", &facts, "port", "login_app", password);
    let answer = ask("right");
    assert!(has(&answer, "login", "login_app@%"), "{answer:?}");
    assert!(has(&answer, "scope", "GRANT SELECT ON `orders`.* TO `login_app`@`%`"), "{answer:?}");
    assert!(!format!("{answer:?}").contains("PASSWORD"), "{answer:?}");
    assert!(denied(&ask("wrong"), "refuses"));
    sql("ALTER USER login_app ACCOUNT LOCK");
    assert!(denied(&ask("right"), "locked"));
    sql("DROP USER login_app");
    assert!(denied(&ask("right"), "refuses"));
}

#[test]
fn redis() {
    let Some(facts) = server("redis") else { return };
    let (port, password) = (facts["port"].to_string(), facts["password"].as_str().unwrap());
    let command = |words: &[&str]| {
        let arguments = [&["-h", "127.0.0.1", "-p", &port, "--no-auth-warning"], words].concat();
        call("redis-cli", &arguments, ("REDISCLI_AUTH", password))
    };
    command(&["ACL", "SETUSER", "login-app", "reset", "on", ">right", "+acl|whoami"]);
    let ask = |user: &str, password: &str| log_in("redis", &facts, "port", user, password);
    assert!(has(&ask("login-app", "right"), "login", "login-app"));
    assert!(has(&ask("", password), "login", "default"));
    assert!(denied(&ask("login-app", "wrong"), "refuses"));
    assert!(denied(&ask("", "wrong"), "refuses"));
    command(&["ACL", "SETUSER", "login-app", "off"]);
    assert!(denied(&ask("login-app", "right"), "refuses"));
    command(&["ACL", "DELUSER", "login-app"]);
    assert!(denied(&ask("login-app", "right"), "refuses"));
}

#[test]
fn rabbitmq() {
    let Some(facts) = server("rabbitmq") else { return };
    let (url, password) = (facts["url"].as_str().unwrap(), facts["password"].as_str().unwrap());
    // curl reads the log-in from a file: on the command line everybody could see it.
    let manage = |method: &str, body: &str| {
        let config = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(config.path(), format!("user = \"root:{password}\"\n")).unwrap();
        let user = format!("{url}/api/users/login-app");
        let arguments = ["-sfS", "-K", config.path().to_str().unwrap(), "-X", method, "-d", body, &user];
        call("curl", &arguments, ("NO_PROXY", "127.0.0.1"))
    };
    manage("PUT", r#"{"password":"right","tags":""}"#);
    let ask = |password: &str| log_in("amqp", &facts, "amqp_port", "login-app", password);
    let answer = ask("right");
    assert!(has(&answer, "login", "login-app") && has(&answer, "product", "RabbitMQ"), "{answer:?}");
    assert!(denied(&ask("wrong"), "refuses"));
    manage("PUT", r#"{"password_hash":"","tags":""}"#);
    assert!(denied(&ask("right"), "refuses"));
    manage("DELETE", "");
    assert!(denied(&ask("right"), "refuses"));
}

#[test]
fn ldap() {
    let Some(facts) = server("ldap") else { return };
    let text = |name: &str| facts[name].as_str().unwrap().to_owned();
    let person = format!("uid=login-app,ou=people,{}", text("base"));
    let change = |program: &str, ldif: &str| {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), ldif).unwrap();
        let secret = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(secret.path(), text("password")).unwrap();
        let (file, secret) = (file.path().to_str().unwrap(), secret.path().to_str().unwrap());
        let (url, admin) = (text("url"), text("admin"));
        let mut arguments = vec!["-x", "-H", &url, "-D", &admin, "-y", secret];
        arguments.extend(if program == "ldapdelete" { [person.as_str(), "-c"] } else { ["-f", file] });
        Command::new(program).args(arguments).output().unwrap()
    };
    let _ = change("ldapdelete", "");
    let add = format!(
        "dn: {person}\nobjectClass: inetOrgPerson\nuid: login-app\ncn: Login App\nsn: App\nuserPassword: right\n"
    );
    assert!(change("ldapadd", &add).status.success());
    let ask = |password: &str| log_in("ldap", &facts, "port", &person, password);
    assert!(has(&ask("right"), "id", &person));
    assert!(denied(&ask("wrong"), "refuses"));
    let lock = |what: &str| format!("dn: {person}\nchangetype: modify\n{what}\n");
    let locked = change("ldapmodify", &lock("replace: pwdAccountLockedTime\npwdAccountLockedTime: 000001010000Z"));
    assert!(locked.status.success(), "{}", String::from_utf8_lossy(&locked.stderr));
    assert!(denied(&ask("right"), "locked"), "{:?}", ask("right"));
    assert!(change("ldapmodify", &lock("delete: pwdAccountLockedTime")).status.success());
    assert!(has(&ask("right"), "id", &person));
    assert!(change("ldapmodify", &lock("delete: userPassword")).status.success());
    assert!(denied(&ask("right"), "refuses"));
    let _ = change("ldapdelete", "");
}

#[test]
fn smtp() {
    let Some(server) = get("smtp") else { return };
    let (address, name, right) = (server.fact("address"), fresh("login"), password("right"));
    let dial = Loopback { address: &address, ca: None };
    let ask = |password: &str| log_in_over(&dial, "smtp", "127.0.0.1", &name, password);
    user(&server, &name, Some(&right));
    assert!(has(&ask(&right), "login", &name));
    assert!(denied(&ask("wrong"), "refuses"));
    user(&server, &name, None);
    assert!(denied(&ask(&right), "refuses"));
}

/// A log-in over TLS is made if the server's authority is trusted and the certificate is the host's, else not. `set` gives a
/// user a password, or takes the user.
fn over_tls(server: &Server, scheme: &str, address: &str, set: impl Fn(&str, Option<&str>)) {
    over_tls_as(server, scheme, address, ("login", &fresh("login")), set);
}

/// The same for this user, whom the server names by this fact.
fn over_tls_as(
    server: &Server,
    scheme: &str,
    address: &str,
    (fact, name): (&str, &str),
    set: impl Fn(&str, Option<&str>),
) {
    let (ca, right) = (server.fact("ca"), password("right"));
    set(name, Some(&right));
    let ask = |ca: Option<&str>, host: &str, password: &str| {
        log_in_over(&Loopback { address, ca }, scheme, host, name, password)
    };
    let fails = |answer: Answer, why: &str| {
        let told = matches!(&answer, Answer::Unclear(reason) if reason.contains("TLS fails") && reason.contains(why));
        assert!(told, "{scheme}: {answer:?}");
    };
    fails(ask(None, "127.0.0.1", &right), "UnknownIssuer");
    fails(ask(Some(&ca), "host.corp.example", &right), "not valid for name");
    for host in ["127.0.0.1", "[::ffff:127.0.0.1]", "localhost"] {
        let answer = ask(Some(&ca), host, &right);
        assert!(has(&answer, fact, name), "{scheme} {host}: {answer:?}");
    }
    let answer = ask(Some(&ca), "127.0.0.1", "wrong");
    assert!(denied(&answer, "refuses"), "{scheme}: {answer:?}");
    set(name, None);
    let answer = ask(Some(&ca), "127.0.0.1", &right);
    assert!(denied(&answer, "refuses"), "{scheme}: {answer:?}");
}

#[test]
fn imap_over_tls() {
    let Some(server) = get("imap") else { return };
    let set = |name: &str, word: Option<&str>| user(&server, name, word);
    over_tls(&server, "imaps", &server.fact("tls_address"), set);
    over_tls(&server, "imap", &server.fact("address"), set);
    // Without the mechanism PLAIN.
    over_tls(&server, "imaps", &server.fact("login_address"), set);
}

#[test]
fn smtp_over_tls() {
    let Some(server) = get("smtps") else { return };
    let set = |name: &str, word: Option<&str>| user(&server, name, word);
    // As Django writes it, too.
    for (scheme, address) in [("smtps", "tls_address"), ("smtp+ssl", "tls_address"), ("smtp", "address")] {
        over_tls(&server, scheme, &server.fact(address), set);
    }
}

#[test]
fn redis_over_tls() {
    let Some(server) = get("redis") else { return };
    over_tls(&server, "rediss", &server.fact("tls_address"), |name, word| redis_user(&server, name, word));
}

#[test]
fn postgres_over_tls() {
    let Some(server) = get("postgres_tls") else { return };
    over_tls(&server, "postgres", &server.fact("address"), |name, word| role(&server, name, word));
}

#[test]
fn ldap_over_tls() {
    let Some(server) = get("ldaps") else { return };
    let uid = fresh("login");
    let dn = format!("uid={uid},ou=people,{}", server.fact("base"));
    let person = format!("dn: {dn}\nobjectClass: inetOrgPerson\nuid: {uid}\ncn: Login App\nsn: App\n");
    let set = |_: &str, word: Option<&str>| match word {
        Some(word) => directory(&server, "ldapadd", &format!("{person}userPassword: {word}\n")),
        None => directory(&server, "ldapmodify", &format!("dn: {dn}\nchangetype: delete\n")),
    };
    let implicit = server.fact("tls_url");
    over_tls_as(&server, "ldaps", implicit.trim_start_matches("ldaps://"), ("id", &dn), set);
    over_tls_as(&server, "ldap", &server.fact("address"), ("id", &dn), set);
}

/// What a quoted string, base64 or a line could garble.
#[test]
fn mail_passwords_of_any_kind() {
    for (server, scheme, address) in
        [("imap", "imaps", "tls_address"), ("imap", "imaps", "login_address"), ("smtps", "smtps", "tls_address")]
    {
        let Some(server) = get(server) else { return };
        let (ca, address, name) = (server.fact("ca"), server.fact(address), fresh("login"));
        let dial = Loopback { address: &address, ca: Some(&ca) };
        for odd in ["\"q\\ {5+}", "%40@/+= ", "*", "gr\u{f6}\u{df}e\u{1f511}"] {
            let right = format!("{odd}{}", password("odd"));
            user(&server, &name, Some(&right));
            let answer = log_in_over(&dial, scheme, "127.0.0.1", &name, &right);
            assert!(has(&answer, "login", &name), "{scheme} {odd}: {answer:?}");
            let answer = log_in_over(&dial, scheme, "127.0.0.1", &name, &right.replace(odd, ""));
            assert!(denied(&answer, "refuses"), "{scheme} {odd}: {answer:?}");
        }
        user(&server, &name, None);
    }
}
