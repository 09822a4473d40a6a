//! Mail log-ins over TLS: Dovecot (IMAP) and aiosmtpd (SMTP), each with STARTTLS before any password and with TLS from the first byte.

use std::path::Path;
use std::time::Duration;

use crate::accounts::{Account, HOST};
use crate::servers::{Server, get};
use crate::story::{active, finding, inactive, unknown};

const RULE: &str = "url-credentials.smtp";

/// An account whose URL leaked lives until `end`, at a server that is only trusted by whoever is given its certificate.
fn over_tls(server: &Server, scheme: &str, port: &str, let_in: impl Fn(&str, &str), keep_out: impl Fn()) -> Account {
    let account = Account::new(&server.fact(port), |n, w, host| format!("{scheme}://{n}:{w}@{host}"));
    let_in(&account.name, &account.word);
    let ca = server.fact("ca");
    let allowed = ["--verify-databases", "--allow-host", HOST];
    let trusting = [&allowed[..], &["--ca-cert", &ca]].concat();
    let look = |flags: &[&str]| finding(&account.repo, flags, RULE, &account.word);
    // Who does not trust the certificate sends no name and no password, and never falls back to clear text.
    unknown(&look(&allowed));
    unknown(&look(&[&allowed[..], &["--allow-plain", HOST]].concat()));
    assert!(!server.log().contains(&account.name), "{scheme}: {}", server.log());
    active(&look(&trusting), &[("/login", &account.name)]);
    let_in(&account.name, "another-word");
    inactive(&look(&trusting));
    let_in(&account.name, &account.word);
    active(&look(&trusting), &[]);
    keep_out();
    inactive(&look(&trusting));
    account
}

#[test]
fn imap_lives_until_its_user_is_removed() {
    let Some(server) = get("imap") else { return };
    let users = server.fact("users");
    let write = |text: &str| {
        std::fs::write(&users, text).unwrap();
        // Dovecot looks at its file once a second at most.
        std::thread::sleep(Duration::from_millis(1100));
    };
    for (scheme, port) in [("imaps", "tls_port"), ("imap", "port")] {
        let account =
            over_tls(&server, scheme, port, |name, word| write(&format!("{name}:{{PLAIN}}{word}\n")), || write(""));
        assert!(server.log().contains(&account.name), "the server tells of log-ins: {}", server.log());
    }
}

#[test]
fn smtp_over_tls_lives_until_its_user_is_removed() {
    let Some(server) = get("smtps") else { return };
    let users = server.fact("users");
    let write = |text: String| {
        // Whole at once: the server reads it at each log-in.
        let partial = Path::new(&users).with_extension("new");
        std::fs::write(&partial, text).unwrap();
        std::fs::rename(&partial, &users).unwrap();
    };
    for (scheme, port) in [("smtps", "tls_port"), ("smtp", "port")] {
        let account = over_tls(
            &server,
            scheme,
            port,
            |name, word| write(serde_json::json!({ name: word }).to_string()),
            || write("{}".into()),
        );
        assert!(server.log().contains(&account.name), "the server tells of log-ins: {}", server.log());
    }
}
