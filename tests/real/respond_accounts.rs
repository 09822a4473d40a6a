//! Accounts of databases, queues and directories, contained and brought back through plan and apply.

use serde_json::json;

use crate::accounts::{Account, HOST, ldap_account, mariadb, postgres_account, rabbit, redis};
use crate::incident::{Incident, planned};
use crate::servers::{Server, fresh, get, password};
use crate::support::Repo;

const RULES: &str = "url-credentials";

fn incident(server: &Server, admin: &str) -> Incident {
    let incident = Incident::new(&["--verify-databases", "--allow-host", HOST]).approved();
    let incident = incident.admin("UNSPRAWL_URL_CREDENTIALS_USER", &server.fact(admin));
    incident.admin("UNSPRAWL_URL_CREDENTIALS_PASSWORD", &server.fact("password"))
}

/// Locked, proved, unlocked, proved, while a neighbour goes on.
#[track_caller]
fn contained_and_brought_back(server: &Server, admin: &str, leaked: &Account, neighbour: &Account) {
    let incident = incident(server, admin);
    let only = ["--only", RULES];
    let plan = incident.plan(&[&leaked.repo], &only);
    planned(&plan, "contain", "lock");
    let place = plan["items"][0]["places"][0].as_str().unwrap().to_owned();
    assert!(place.contains(&server.fact("port")), "{place}");
    incident.apply(&[]).all("contained", 0);
    let alive = |repo: &Repo| incident.run(&["plan", "--cache-ttl=0", "--only", RULES, repo.dir.to_str().unwrap()]);
    let text = |repo: &Repo| String::from_utf8_lossy(&alive(repo).stdout).into_owned();
    assert!(text(&neighbour.repo).contains("1 live credential in it"), "{}", text(&neighbour.repo));
    assert!(text(&leaked.repo).contains("0 live credentials in it"), "{}", text(&leaked.repo));
    incident.apply(&["--undo"]).all("undone", 0);
    assert!(text(&leaked.repo).contains("1 live credential in it"), "{}", text(&leaked.repo));
    assert_eq!(incident.intents(), 2);
    incident.holds_none_of(&[&leaked.word, &neighbour.word, &server.fact("password")]);
}

#[test]
fn postgres() {
    let Some(server) = get("postgres") else { return };
    contained_and_brought_back(&server, "admin", &postgres_account(&server), &postgres_account(&server));
}

#[test]
fn mariadb_account() {
    let Some(server) = get("mariadb") else { return };
    let make = || {
        let account = Account::new(&server.fact("port"), |n, w, host| format!("mysql://{n}:{w}@{host}/orders"));
        let who = format!("'{}'@'%'", account.name);
        mariadb(
            &server,
            &format!("CREATE USER {who} IDENTIFIED BY '{}'; GRANT SELECT ON orders.* TO {who}", account.word),
        );
        account
    };
    contained_and_brought_back(&server, "admin", &make(), &make());
}

#[test]
fn redis_account() {
    let Some(server) = get("redis") else { return };
    let make = || {
        let account = Account::new(&server.fact("port"), |n, w, host| format!("redis://{n}:{w}@{host}/0"));
        redis(&server, &["ACL", "SETUSER", &account.name, "on", &format!(">{}", account.word), "+acl|whoami"]);
        account
    };
    contained_and_brought_back(&server, "admin", &make(), &make());
}

#[test]
fn directory_account() {
    let Some(server) = get("ldap") else { return };
    contained_and_brought_back(&server, "admin", &ldap_account(&server).0, &ldap_account(&server).0);
}

#[test]
fn rabbitmq_password_is_taken() {
    let Some(server) = get("rabbitmq") else { return };
    let account = Account::new(&server.fact("amqp_port"), |n, w, host| format!("amqp://{n}:{w}@{host}/%2F"));
    rabbit(&server, "PUT", &account.name, json!({ "password": account.word, "tags": "monitoring" }));
    let path = format!("/api/permissions/%2F/{}", account.name);
    let rights = json!({ "configure": "", "write": "", "read": ".*" });
    let root = (server.fact("admin"), server.fact("password"));
    server.request("PUT", &path).basic(&root.0, &root.1).json(rights).expect(&[201, 204]);
    let url = format!("url-credentials.rabbitmq={}", server.url());
    let incident = Incident::new(&["--verify-databases", "--allow-host", HOST, "--endpoint", &url]).approved();
    let incident = incident.admin("UNSPRAWL_URL_CREDENTIALS_USER", &root.0);
    let incident = incident.admin("UNSPRAWL_URL_CREDENTIALS_PASSWORD", &root.1);
    planned(&incident.plan(&[&account.repo], &["--only", RULES]), "revoke", "clear-password");
    incident.apply(&[]).all("revoked", 0);
    incident.holds_none_of(&[&account.word, &root.1]);
}

#[test]
fn an_administrator_who_is_none_changes_nothing() {
    let Some(server) = get("postgres") else { return };
    let (leaked, nobody) = (postgres_account(&server), (fresh("nobody"), password("wrong")));
    let incident = Incident::new(&["--verify-databases", "--allow-host", HOST]).approved();
    let incident = incident.admin("UNSPRAWL_URL_CREDENTIALS_USER", &nobody.0);
    let incident = incident.admin("UNSPRAWL_URL_CREDENTIALS_PASSWORD", &nobody.1);
    incident.plan(&[&leaked.repo], &["--only", RULES]);
    incident.apply(&[]).all("failed", 12).because("the administrator");
    incident.holds_none_of(&[&nobody.1]);
}
