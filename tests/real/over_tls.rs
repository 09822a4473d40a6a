//! Log-ins over TLS with an authority of the server's own, end to end, and what somebody on the way would see of them.
//!
//! Contract: the scan goes through a relay that keeps what was said to the server. Nothing goes in clear but what asks for
//! TLS, and everything behind that is TLS. Clear text would be allowed here, for loopback: it is not what a failed TLS falls
//! back to.

use crate::accounts::{Account, HOST, psql, redis};
use crate::relay::Relay;
use crate::servers::{Server, get, password};
use crate::story::{active, finding, inactive, unknown};

/// Where accounts are tried.
pub struct Case<'a> {
    pub server: &'a Server,
    pub rule: &'static str,
    /// The server's listener, with port.
    pub address: &'a str,
    /// All that is said before TLS.
    pub clear: &'a [u8],
    /// The authority of another server.
    pub stranger: &'a str,
    /// The server's log names those who try to log in.
    pub tells: bool,
}

/// An account whose URL leaked: nobody can tell without the right authority; with it the account works, does not while it has
/// another password, and does not any more when it is gone. `set` gives an account a password, or takes the account.
pub fn lives_and_dies(case: &Case<'_>, url: impl Fn(&str, &str, &str) -> String, set: impl Fn(&str, Option<&str>)) {
    let relay = Relay::before(case.address);
    let account = Account::new(&relay.port.to_string(), url);
    let (name, word) = (&account.name, &account.word);
    let allowed = ["--verify-databases", "--allow-host", HOST];
    let ca = case.server.fact("ca");
    let look = |more: &[&str]| {
        let before = relay.heard().len();
        let found = finding(&account.repo, &[&allowed[..], more].concat(), case.rule, word);
        assert!(relay.heard().len() > before, "the server is asked");
        relay.heard().iter().for_each(|said| encrypted(said, case.clear, &account));
        found
    };
    let trusting = || look(&["--ca-cert", &ca]);
    set(name, Some(word));
    // Who does not know the authority, or knows another, sends no name and no password.
    for more in [&[][..], &["--allow-plain", HOST], &["--ca-cert", case.stranger]] {
        let found = look(more);
        unknown(&found);
        let reason = found["validity"]["reason"].as_str().unwrap_or_default();
        assert!(reason.contains("TLS fails") && reason.contains("certificate"), "{more:?}: {reason}");
    }
    assert!(!case.tells || !case.server.log().contains(name), "{}", case.server.log());
    active(&trusting(), &[("/login", name)]);
    assert!(!case.tells || case.server.log().contains(name), "the server tells of log-ins: {}", case.server.log());
    set(name, Some(&password("other")));
    inactive(&trusting());
    set(name, Some(word));
    active(&trusting(), &[("/login", name)]);
    set(name, None);
    inactive(&trusting());
}

/// What a client said is `clear`, and then nothing but TLS records.
#[track_caller]
fn encrypted(said: &[u8], clear: &[u8], account: &Account) {
    let shown = String::from_utf8_lossy(said);
    assert!(!shown.contains(&account.name) && !shown.contains(&account.word), "{shown}");
    let mut rest = said.strip_prefix(clear).unwrap_or_else(|| panic!("in clear: {shown}"));
    assert_eq!(rest.first(), Some(&22), "no handshake: {shown}");
    while let Some((head, body)) = rest.split_at_checked(5) {
        assert!((20..=23).contains(&head[0]) && head[1] == 3, "no record of TLS: {shown}");
        let length = usize::from(u16::from_be_bytes([head[3], head[4]]));
        // The last may be still under way.
        rest = body.get(length..).unwrap_or_default();
    }
}

/// Gives Redis a user, or takes it.
pub fn redis_user(server: &Server, name: &str, password: Option<&str>) {
    match password {
        Some(word) => redis(server, &["ACL", "SETUSER", name, "reset", "on", &format!(">{word}"), "+acl|whoami"]),
        None => redis(server, &["ACL", "DELUSER", name]),
    }
}

/// Gives PostgreSQL a role, or takes it.
pub fn role(server: &Server, name: &str, password: Option<&str>) {
    let make = |word| format!("CREATE ROLE {name} LOGIN PASSWORD '{word}'");
    psql(server, &format!("DROP ROLE IF EXISTS {name}; {}", password.map_or_else(String::new, make)));
}

#[test]
fn redis_over_tls_lives_until_its_user_is_deleted() {
    let (Some(server), Some(stranger)) = (get("redis"), get("postgres_tls")) else { return };
    let (address, stranger) = (server.fact("tls_address"), stranger.fact("ca"));
    let rule = "url-credentials.redis";
    // Its log has nothing of log-ins.
    let case = Case { server: &server, rule, address: &address, clear: b"", stranger: &stranger, tells: false };
    lives_and_dies(&case, |n, w, host| format!("rediss://{n}:{w}@{host}/0"), |n, w| redis_user(&server, n, w));
}

#[test]
fn postgres_over_tls_lives_until_its_role_is_dropped() {
    let (Some(server), Some(stranger)) = (get("postgres_tls"), get("redis")) else { return };
    let (address, stranger) = (server.fact("address"), stranger.fact("ca"));
    let (rule, request) = ("url-credentials.postgres", [0, 0, 0, 8, 4, 210, 22, 47]);
    let case = Case { server: &server, rule, address: &address, clear: &request, stranger: &stranger, tells: true };
    lives_and_dies(&case, |n, w, host| format!("postgres://{n}:{w}@{host}/orders"), |n, w| role(&server, n, w));
}
