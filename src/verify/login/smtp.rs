//! SMTP: RFC 5321, STARTTLS of RFC 3207, AUTH of RFC 4954.
//!
//! Contract: no mail is begun. Denied for 535 alone.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

use super::wire::Wire;
use super::{Account, Facts, Told, denied, unclear};

pub async fn log_in(account: &Account, wire: &mut Wire) -> Told<Facts> {
    let greeting = reply(wire).await?;
    if greeting.0 != 220 {
        return unclear(format!("the server says {}", greeting.0));
    }
    let mut offers = hello(wire).await?;
    if !wire.encrypted() && offers.iter().any(|o| o == "STARTTLS") {
        wire.send(b"STARTTLS\r\n").await?;
        if reply(wire).await?.0 == 220 {
            wire.secure().await?;
            offers = hello(wire).await?;
        }
    }
    wire.safe()?;
    let auth =
        offers.iter().find_map(|o| o.strip_prefix("AUTH ").or_else(|| o.strip_prefix("AUTH="))).unwrap_or_default();
    let has = |mechanism: &str| auth.split(' ').any(|m| m == mechanism);
    let (user, password) = (account.user.as_bytes(), account.password.as_bytes());
    let code = if has("PLAIN") {
        let secret = Zeroizing::new([b"\0", user, b"\0", password].concat());
        said(wire, &Zeroizing::new(format!("AUTH PLAIN {}", STANDARD.encode(&*secret)))).await?
    } else if has("LOGIN") {
        let mut answer = said(wire, "AUTH LOGIN").await?;
        for part in [user, password] {
            if answer.0 == 334 {
                answer = said(wire, &Zeroizing::new(STANDARD.encode(part))).await?;
            }
        }
        answer
    } else {
        return unclear("the server takes no passwords");
    };
    let _ = wire.send(b"QUIT\r\n").await;
    match code.0 {
        235 => Ok(vec![("login".into(), account.user.to_string())]),
        535 => denied("the server refuses the password"),
        code_number => unclear(format!("the server says {code_number} {}", code.1.first().map_or("", String::as_str))),
    }
}

/// EHLO: what the server offers, in upper case.
async fn hello(wire: &mut Wire) -> Told<Vec<String>> {
    let (code, lines) = said(wire, "EHLO localhost").await?;
    match code {
        250 => Ok(lines.into_iter().map(|line| line.to_ascii_uppercase()).collect()),
        code => unclear(format!("the server says {code}")),
    }
}

async fn said(wire: &mut Wire, line: &str) -> Told<(u16, Vec<String>)> {
    let line = Zeroizing::new([line.as_bytes(), b"\r\n"].concat());
    wire.send(&line).await?;
    reply(wire).await
}

/// A reply of one line or several: code and texts.
async fn reply(wire: &mut Wire) -> Told<(u16, Vec<String>)> {
    let mut lines = Vec::new();
    for _ in 0..100 {
        let line = wire.line().await?;
        let code = line.get(..3).and_then(|c| c.parse().ok());
        let Some(code) = code else { return unclear("the server does not speak SMTP") };
        lines.push(line.get(4..).unwrap_or_default().to_owned());
        if line.as_bytes().get(3) != Some(&b'-') {
            return Ok((code, lines));
        }
    }
    unclear("the server does not speak SMTP")
}
