//! Mail log-ins over TLS: Dovecot (IMAP) and aiosmtpd (SMTP), each with STARTTLS before any password and with TLS from the
//! first byte.

use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::path::Path;
use std::sync::Mutex;
use std::time::{Duration, SystemTime};

use base64::Engine;
use serde_json::Value;

use crate::accounts::HOST;
use crate::over_tls::{Case, lives_and_dies};
use crate::servers::{Server, fresh, get, password};
use crate::story::{active, finding, inactive, leak};

const RULE: &str = "url-credentials.smtp";

/// Gives a mail server a user, or takes it (no password). The others are left alone: tests run at the same time.
pub fn user(server: &Server, name: &str, password: Option<&str>) {
    static ONE: Mutex<()> = Mutex::new(());
    let path = server.fact("users");
    let imap = !path.ends_with(".json");
    {
        let _one = ONE.lock().unwrap();
        let before = std::fs::read_to_string(&path).unwrap();
        let after = if imap { line(&before, name, password) } else { entry(&before, name, password) };
        let partial = Path::new(&path).with_extension("new");
        std::fs::write(&partial, after).unwrap();
        // Dovecot tells versions of its file apart by size and by second, and two may be of the same second.
        let old = std::fs::metadata(&path).unwrap().modified().unwrap();
        let new = SystemTime::now().max(old + Duration::from_secs(1));
        File::options().write(true).open(&partial).unwrap().set_modified(new).unwrap();
        std::fs::rename(&partial, &path).unwrap();
    }
    if imap {
        // It looks at most once a second.
        std::thread::sleep(Duration::from_millis(1100));
    }
}

/// Dovecot's file: a line each.
fn line(before: &str, name: &str, password: Option<&str>) -> String {
    let others = before.lines().filter(|l| l.split_once(':').is_some_and(|(n, _)| n != name));
    others.map(str::to_owned).chain(password.map(|p| format!("{name}:{{PLAIN}}{p}"))).map(|l| l + "\n").collect()
}

/// The file of `programs/smtp.py`: a JSON object.
fn entry(before: &str, name: &str, password: Option<&str>) -> String {
    let mut users: Value = serde_json::from_str(before).unwrap();
    match password {
        Some(password) => users[name] = password.into(),
        None => drop(users.as_object_mut().unwrap().remove(name)),
    }
    users.to_string()
}

/// A leaked URL of this scheme at this listener of a server; `clear` is all that goes over the wire before TLS.
fn mail(server: &Server, scheme: &'static str, address: &str, clear: &[u8], stranger: &Server) {
    let case =
        Case { server, rule: RULE, address: &server.fact(address), clear, stranger: &stranger.fact("ca"), tells: true };
    lives_and_dies(&case, |n, w, host| format!("{scheme}://{n}:{w}@{host}"), |n, w| user(server, n, w));
}

#[test]
fn imap_over_tls_lives_until_its_user_is_removed() {
    let (Some(server), Some(stranger)) = (get("imap"), get("smtps")) else { return };
    mail(&server, "imaps", "tls_address", b"", &stranger);
}

#[test]
fn imap_with_starttls_lives_until_its_user_is_removed() {
    let (Some(server), Some(stranger)) = (get("imap"), get("smtps")) else { return };
    mail(&server, "imap", "address", b"a1 CAPABILITY\r\na2 STARTTLS\r\n", &stranger);
}

#[test]
fn smtp_over_tls_lives_until_its_user_is_removed() {
    let (Some(server), Some(stranger)) = (get("smtps"), get("imap")) else { return };
    mail(&server, "smtps", "tls_address", b"", &stranger);
}

#[test]
fn smtp_with_starttls_lives_until_its_user_is_removed() {
    let (Some(server), Some(stranger)) = (get("smtps"), get("imap")) else { return };
    mail(&server, "smtp", "address", b"EHLO localhost\r\nSTARTTLS\r\n", &stranger);
}

/// A URL holds a password in its own writing.
#[test]
fn a_password_goes_to_the_server_as_it_was_before_it_stood_in_a_url() {
    let Some(server) = get("imap") else { return };
    let (name, word) = (fresh("alice"), password("encoded"));
    let port = server.fact("tls_address").rsplit_once(':').unwrap().1.to_owned();
    let written = format!("{word}%22");
    let repo = leak("mail.env", &format!("MAIL=imaps://{name}:{written}@{HOST}:{port}/INBOX\n"));
    let ca = server.fact("ca");
    let flags = ["--verify-databases", "--allow-host", HOST, "--ca-cert", &ca];
    user(&server, &name, Some(&format!("{word}\"")));
    active(&finding(&repo, &flags, RULE, &written), &[("/login", &name)]);
    user(&server, &name, Some(&written));
    inactive(&finding(&repo, &flags, RULE, &written));
    user(&server, &name, None);
}

/// What the tests above stand on: these servers refuse the right password before TLS.
#[test]
fn the_servers_take_no_password_in_clear() {
    let (Some(imap), Some(smtp)) = (get("imap"), get("smtps")) else { return };
    let (name, word) = (fresh("alice"), password("clear"));
    user(&imap, &name, Some(&word));
    user(&smtp, &name, Some(&word));
    let greeting = converse(&imap, &[]);
    assert!(greeting.contains("LOGINDISABLED") && greeting.contains("STARTTLS"), "{greeting}");
    let answer = converse(&imap, &[("* ", ""), ("a1 ", &format!("a1 LOGIN {name} {word}"))]);
    assert!(answer.contains("a1 NO [PRIVACYREQUIRED]"), "{answer}");
    let plain = base64::engine::general_purpose::STANDARD.encode(format!("\0{name}\0{word}"));
    let answer = converse(&smtp, &[("220 ", ""), ("250 ", "EHLO x"), ("5", &format!("AUTH PLAIN {plain}"))]);
    assert!(answer.contains("STARTTLS") && !answer.contains("AUTH") && answer.contains("\n530 "), "{answer}");
    user(&imap, &name, None);
    user(&smtp, &name, None);
}

/// Says lines at the listener with STARTTLS, each after a line of the server that begins like this; all that it said.
fn converse(server: &Server, lines: &[(&str, &str)]) -> String {
    let stream = TcpStream::connect(server.fact("address")).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    let (mut input, mut output) = (BufReader::new(stream.try_clone().unwrap()), stream);
    let mut heard = String::new();
    for (beginning, line) in lines.iter().copied().chain(lines.is_empty().then_some(("* ", ""))) {
        if !line.is_empty() {
            output.write_all(format!("{line}\r\n").as_bytes()).unwrap();
        }
        let mut answer = String::new();
        while !answer.starts_with(beginning) {
            answer.clear();
            assert!(input.read_line(&mut answer).unwrap() > 0, "the server closed after: {heard}");
            heard += &answer;
        }
    }
    heard
}
