//! Accounts locked and unlocked at real servers by an administrator's log-in, and RabbitMQ's by its management API, as the
//! ways of the rule say: the account of the credential stops working, its neighbour goes on.

use serde_json::{Value, json};
use unsprawl::verify::steps::Outcome;

use crate::acting::{HOST, Leaked};
use crate::servers::{Server, fresh, get, password};

/// A server's accounts, with its administrator.
struct Case {
    token: &'static str,
    scheme: &'static str,
    port: String,
    admin: (String, String),
    management: Option<String>,
}

impl Case {
    fn new(server: &Server, token: &'static str, scheme: &'static str, port: &str) -> Self {
        let admin = (server.fact("admin"), server.fact("password"));
        Self { token, scheme, port: server.fact(port), admin, management: None }
    }

    fn leaked(&self, user: &str, word: &str) -> Leaked {
        let leaked = Leaked::new("url-credentials", self.token, word).part("scheme", self.scheme).part("host", HOST);
        let leaked = leaked.part("port", &self.port).part("user", user);
        let leaked = leaked.admin("user", &self.admin.0).admin("password", &self.admin.1);
        match &self.management {
            Some(url) => leaked.at("rabbitmq", url),
            None => leaked,
        }
    }

    #[track_caller]
    fn does(&self, way: &str, user: &str, outcome: Outcome, reason: &str) {
        self.leaked(user, "unused").does(way, outcome, reason);
    }

    #[track_caller]
    fn works(&self, user: &str, word: &str) {
        self.leaked(user, word).works();
    }

    #[track_caller]
    fn is_dead(&self, user: &str, word: &str) {
        self.leaked(user, word).is_dead();
    }

    /// Two accounts with their passwords: the first is locked and unlocked, the second works all the time.
    #[track_caller]
    fn locks_and_unlocks(&self, (user, word): (&str, &str), (neighbour, other): (&str, &str)) {
        self.works(user, word);
        self.does("lock", user, Outcome::Done, "");
        self.is_dead(user, word);
        self.works(neighbour, other);
        self.does("lock", user, Outcome::Done, "");
        self.does("unlock", user, Outcome::Done, "");
        self.works(user, word);
    }

    /// With a wrong password of the administrator nothing happens.
    #[track_caller]
    fn wrong_administrator(&mut self, user: &str, word: &str) {
        let right = std::mem::replace(&mut self.admin.1, password("wrong"));
        self.does("lock", user, Outcome::Refused, "the administrator: the server refuses");
        self.admin.1 = right;
        self.works(user, word);
    }
}

fn psql(server: &Server, statement: &str) {
    let place = format!("host=127.0.0.1 port={} user=postgres dbname=postgres", server.fact("port"));
    let args = [&place, "-v", "ON_ERROR_STOP=1", "-wqc", statement];
    server.run(&server.fact("psql"), &args, &[("PGPASSWORD", &server.fact("password"))], "");
}

#[test]
fn postgres() {
    let Some(server) = get("postgres") else { return };
    let mut case = Case::new(&server, "postgres", "postgres", "port");
    // A name that tries to leave its quotes, as a URL would hold it.
    let (stem, neighbour, root) = (fresh("a"), fresh("b"), fresh("root"));
    let (name, in_url) =
        (format!("{stem}\"; DROP ROLE {neighbour}; --'"), format!("{stem}%22; DROP ROLE {neighbour}; --'"));
    let (word, other) = (password("one"), password("two"));
    psql(&server, &format!("CREATE ROLE \"{}\" LOGIN PASSWORD '{word}'", name.replace('"', "\"\"")));
    psql(&server, &format!("CREATE ROLE {neighbour} LOGIN PASSWORD '{other}'"));
    psql(&server, &format!("CREATE ROLE {root} SUPERUSER LOGIN PASSWORD '{other}'"));
    case.locks_and_unlocks((&in_url, &word), (&neighbour, &other));
    case.wrong_administrator(&neighbour, &other);
    case.does("lock", "postgres", Outcome::Refused, "own account");
    case.does("lock", &root, Outcome::Refused, "administrator of its server");
    case.does("lock", &fresh("nobody"), Outcome::Gone, "no such account");
    // A role that may not alter others.
    case.admin = (neighbour.clone(), other.clone());
    case.does("lock", &in_url, Outcome::Refused, "permission denied");
    case.works(&in_url, &word);
    psql(&server, &format!("DROP ROLE \"{}\", {neighbour}, {root}", name.replace('"', "\"\"")));
}

#[test]
fn mariadb() {
    let Some(server) = get("mariadb") else { return };
    let mut case = Case::new(&server, "mysql", "mysql", "port");
    let port = server.fact("port");
    let args = ["--no-defaults", "-h", "127.0.0.1", "-P", &port, "-u", "root", "-e"];
    let word_of_root = server.fact("password");
    let sql = |statement: &str| {
        server.run("mariadb", &[&args[..], &[statement]].concat(), &[("MYSQL_PWD", &word_of_root)], "")
    };
    let (stem, neighbour, root, twice) = (fresh("a"), fresh("b"), fresh("root"), fresh("twice"));
    let name = format!("{stem}`'\\@x");
    let quoted = format!("`{}`", name.replace('`', "``"));
    let (word, other) = (password("one"), password("two"));
    sql(&format!("CREATE USER {quoted}@'127.0.0.1' IDENTIFIED BY '{word}'"));
    sql(&format!("CREATE USER {neighbour} IDENTIFIED BY '{other}'"));
    sql(&format!("CREATE USER {root} IDENTIFIED BY '{other}'; GRANT ALL ON *.* TO {root}"));
    sql(&format!("CREATE USER {twice}@'127.0.0.1' IDENTIFIED BY '{word}', {twice}@'%' IDENTIFIED BY '{other}'"));
    let in_url = name.replace('@', "%40").replace('`', "%60");
    case.locks_and_unlocks((&in_url, &word), (&neighbour, &other));
    case.wrong_administrator(&neighbour, &other);
    case.does("lock", "root", Outcome::Refused, "");
    case.does("lock", &root, Outcome::Refused, "administrator of its server");
    case.does("lock", &twice, Outcome::Refused, "there are 2 accounts of this user");
    case.works(&twice, &word);
    case.does("lock", &fresh("nobody"), Outcome::Gone, "no such account");
    sql(&format!("DROP USER {quoted}@'127.0.0.1', {neighbour}, {root}, {twice}@'127.0.0.1', {twice}"));
}

#[test]
fn redis() {
    let Some(server) = get("redis") else { return };
    let mut case = Case::new(&server, "redis", "redis", "port");
    let (port, word_of_admin) = (server.fact("port"), server.fact("password"));
    let acl = |words: &[&str]| {
        let args = [&["-h", "127.0.0.1", "-p", &port, "--no-auth-warning", "ACL"], words].concat();
        server.run("redis-cli", &args, &[("REDISCLI_AUTH", &word_of_admin)], "")
    };
    let (name, neighbour) = (fresh("a"), fresh("b"));
    let (word, other) = (password("one"), password("two"));
    acl(&["SETUSER", &name, "on", &format!(">{word}"), "+acl|whoami"]);
    acl(&["SETUSER", &neighbour, "on", &format!(">{other}"), "+acl|whoami"]);
    case.locks_and_unlocks((&name, &word), (&neighbour, &other));
    case.wrong_administrator(&neighbour, &other);
    case.does("lock", "default", Outcome::Refused, "own account");
    case.does("lock", "", Outcome::Refused, "own account");
    let nobody = fresh("nobody");
    case.does("lock", &nobody, Outcome::Gone, "no such account");
    assert!(!acl(&["USERS"]).contains(&nobody), "ACL SETUSER made the user that it should have switched off");
    case.admin = (neighbour.clone(), other);
    case.does("lock", &name, Outcome::Refused, "NOPERM");
    acl(&["DELUSER", &name, &neighbour]);
}

#[test]
fn ldap() {
    let Some(server) = get("ldap") else { return };
    let mut case = Case::new(&server, "ldap", "ldap", "port");
    let (url, base, admin, secret) = (server.url(), server.fact("base"), server.fact("admin"), server.fact("password"));
    let args = ["-x", "-H", &url, "-D", &admin, "-w", &secret];
    let person = || {
        let (uid, word) = (fresh("svc"), password("ldap"));
        let dn = format!("uid={uid},ou=people,{base}");
        let entry =
            format!("dn: {dn}\nobjectClass: inetOrgPerson\nuid: {uid}\ncn: {uid}\nsn: Svc\nuserPassword: {word}\n");
        server.run("ldapadd", &args, &[], &entry);
        (dn, word)
    };
    let ((dn, word), (neighbour, other)) = (person(), person());
    case.locks_and_unlocks((&dn, &word), (&neighbour, &other));
    case.wrong_administrator(&neighbour, &other);
    case.does("unlock", &dn, Outcome::Refused, "not locked for good");
    case.does("lock", &admin.to_uppercase(), Outcome::Refused, "own account");
    case.does("lock", &format!("uid={},ou=people,{base}", fresh("nobody")), Outcome::Gone, "no such account");
    case.admin = (neighbour.clone(), other);
    case.does("lock", &dn, Outcome::Refused, "the server says 50");
    server.run("ldapdelete", &[&args[..], &[&dn, &neighbour]].concat(), &[], "");
}

#[test]
fn rabbitmq() {
    let Some(server) = get("rabbitmq") else { return };
    let mut case = Case::new(&server, "amqp", "amqp", "amqp_port");
    case.management = Some(server.url());
    let admin = case.admin.clone();
    let manage = |method: &str, user: &str, body: Value| {
        let request = server.request(method, &format!("/api/users/{user}")).basic(&admin.0, &admin.1);
        request.json(body).expect(&[200, 201, 204])
    };
    let (name, neighbour, root) = (fresh("a"), fresh("b"), fresh("root"));
    let (word, other) = (password("one"), password("two"));
    manage("PUT", &name, json!({ "password": word, "tags": "management,monitoring" }));
    manage("PUT", &neighbour, json!({ "password": other, "tags": "" }));
    manage("PUT", &root, json!({ "password": other, "tags": "administrator" }));
    case.works(&name, &word);
    case.does("clear-password", &name, Outcome::Done, "");
    case.is_dead(&name, &word);
    case.works(&neighbour, &other);
    assert_eq!(manage("GET", &name, json!({}))["tags"], json!(["management", "monitoring"]));
    case.does("clear-password", &neighbour, Outcome::Done, "");
    case.does("clear-password", "root", Outcome::Refused, "own account");
    case.does("clear-password", &root, Outcome::Refused, "administrator of its server");
    case.works(&root, &other);
    case.does("clear-password", &fresh("nobody"), Outcome::Gone, "no such account");
    for user in [&name, &neighbour, &root] {
        manage("DELETE", user, json!({}));
    }
}
