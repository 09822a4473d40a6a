//! IMAP: RFC 9051, response codes of RFC 5530.
//!
//! Contract: no mailbox is opened. Denied for AUTHENTICATIONFAILED and EXPIRED; a bare NO says nothing certain.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

use super::wire::Wire;
use super::{Account, Facts, Told, denied, unclear};

pub async fn log_in(account: &Account, wire: &mut Wire) -> Told<Facts> {
    let greeting = wire.line().await?;
    if !greeting.starts_with("* OK") {
        let open = greeting.starts_with("* PREAUTH");
        return unclear(if open { "the server asks for no password" } else { "the server does not speak IMAP" });
    }
    let mut offers = capabilities(wire, "a1").await?;
    if !wire.encrypted() && offers.contains(&"STARTTLS".to_owned()) {
        let (status, _) = said(wire, "a2", b"STARTTLS").await?;
        if status.starts_with("OK") {
            wire.secure().await?;
            offers = capabilities(wire, "a3").await?;
        }
    }
    wire.safe()?;
    let has = |offer: &str| offers.iter().any(|o| o == offer);
    let (user, password) = (account.user.as_bytes(), account.password.as_bytes());
    let status = if has("AUTH=PLAIN") {
        let secret = Zeroizing::new([b"\0", user, b"\0", password].concat());
        authenticate(wire, "PLAIN", &[&secret]).await?
    } else if has("AUTH=LOGIN") {
        // Other than the command LOGIN it takes any password, and Dovecot without PLAIN takes no other.
        authenticate(wire, "LOGIN", &[user, password]).await?
    } else if has("LOGINDISABLED") {
        return unclear("the server takes no passwords here");
    } else {
        let line = Zeroizing::new(format!(
            "LOGIN {} {}",
            quoted(&account.user)?.as_str(),
            quoted(&account.password)?.as_str()
        ));
        said(wire, "a4", line.as_bytes()).await?.0
    };
    let _ = wire.send(b"a5 LOGOUT\r\n").await;
    let upper = status.to_ascii_uppercase();
    if upper.starts_with("OK") {
        Ok(vec![("login".into(), account.user.to_string())])
    } else if upper.starts_with("NO [AUTHENTICATIONFAILED]") {
        denied("the server refuses the password")
    } else if upper.starts_with("NO [EXPIRED]") {
        denied("the password has expired")
    } else {
        unclear(format!("the server says {status}"))
    }
}

/// A mechanism that is asked for its answers one by one: what the server says in the end.
async fn authenticate(wire: &mut Wire, mechanism: &str, answers: &[&[u8]]) -> Told<String> {
    wire.send(format!("a4 AUTHENTICATE {mechanism}\r\n").as_bytes()).await?;
    let mut answers = answers.iter();
    for _ in 0..100 {
        let line = wire.line().await?;
        if let Some(status) = line.strip_prefix("a4 ") {
            return Ok(status.to_owned());
        }
        // Other lines may stand between.
        if line.starts_with('+') {
            let Some(answer) = answers.next() else { return unclear("the server asks for more than a password") };
            let encoded = Zeroizing::new(STANDARD.encode(answer));
            wire.send(&Zeroizing::new([encoded.as_bytes(), b"\r\n"].concat())).await?;
        }
    }
    unclear("the server does not speak IMAP")
}

/// A quoted string; what cannot stand in one is not sent.
fn quoted(text: &str) -> Told<Zeroizing<String>> {
    if !text.bytes().all(|b| (0x20..0x7f).contains(&b)) {
        return unclear("its user or password cannot be sent with LOGIN");
    }
    Ok(Zeroizing::new(format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))))
}

async fn capabilities(wire: &mut Wire, tag: &str) -> Told<Vec<String>> {
    let (_, lines) = said(wire, tag, b"CAPABILITY").await?;
    let listed = lines.iter().find_map(|line| line.strip_prefix("* CAPABILITY ")).unwrap_or_default();
    Ok(listed.to_ascii_uppercase().split(' ').map(str::to_owned).collect())
}

async fn said(wire: &mut Wire, tag: &str, command: &[u8]) -> Told<(String, Vec<String>)> {
    wire.send(&Zeroizing::new([tag.as_bytes(), b" ", command, b"\r\n"].concat())).await?;
    status_of(wire, tag).await
}

/// Lines up to the one with this tag: what stands behind the tag, and the others.
async fn status_of(wire: &mut Wire, tag: &str) -> Told<(String, Vec<String>)> {
    let mut lines = Vec::new();
    for _ in 0..100 {
        let line = wire.line().await?;
        if let Some(status) = line.strip_prefix(tag).and_then(|l| l.strip_prefix(' ')) {
            return Ok((status.to_owned(), lines));
        }
        lines.push(line);
    }
    unclear("the server does not speak IMAP")
}
