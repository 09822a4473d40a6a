//! Log-ins at real servers on loopback: `tests/servers/run start postgres mariadb redis rabbitmq ldap smtp` starts them.
//! Mail over TLS stands in `mail.rs`.
//! Without them each test says that it was skipped; under CI=true that is a failure.
//!
//! Each account is made for the test, found to work with its right owner, then ended at the server, and found not to work.

#![allow(clippy::unwrap_used, clippy::print_stderr)]

use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;

use tokio::net::TcpStream;
use unsprawl::verify::login::{Dial, ask};
use unsprawl::verify::transport::{Answer, Failure, LogIn};
use zeroize::Zeroizing;

struct Loopback;

impl Dial for Loopback {
    async fn dial(&self, host: &str, port: u16) -> Result<TcpStream, Failure> {
        assert_eq!(host, "127.0.0.1");
        TcpStream::connect((host, port)).await.map_err(|e| Failure::Broken(e.to_string()))
    }
    fn tls(&self) -> Arc<rustls::ClientConfig> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder =
            rustls::ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
        Arc::new(builder.with_root_certificates(rustls::RootCertStore::empty()).with_no_client_auth())
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
    let port = facts[port].as_u64().unwrap().to_string();
    let values = [("scheme", scheme), ("host", "127.0.0.1"), ("port", &port), ("user", user), ("password", password)];
    let values = values.into_iter().map(|(name, value)| (name, Zeroizing::new(value.to_owned()))).collect();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(ask(&Loopback, &LogIn { protocol: None, values, change: None })).unwrap()
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
    let Some(facts) = server("smtp") else { return };
    let users = facts["users"].as_str().unwrap();
    let before = std::fs::read(users).unwrap();
    std::fs::write(users, r#"{"login-app": "right"}"#).unwrap();
    let ask = |password: &str| log_in("smtp", &facts, "port", "login-app", password);
    assert!(has(&ask("right"), "login", "login-app"));
    assert!(denied(&ask("wrong"), "refuses"));
    std::fs::write(users, "{}").unwrap();
    assert!(denied(&ask("right"), "refuses"));
    std::fs::write(users, before).unwrap();
}
