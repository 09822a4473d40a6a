//! Redis and Valkey: <https://redis.io/docs/latest/commands/auth/>, RESP 2.
//!
//! Contract: PING first: a server that answers it asks for no password, and then AUTH proves nothing for its default
//! user. Besides AUTH only ACL WHOAMI is sent; for a change ACL USERS and ACL SETUSER, too.

use zeroize::Zeroizing;

use super::wire::Wire;
use super::{Account, Facts, Told, change, denied, unclear};
use crate::rules::schema::ask::Change;

pub async fn log_in(account: &Account, wire: &mut Wire) -> Told<Facts> {
    wire.safe()?;
    wire.send(&command(&["PING"])).await?;
    let open = reply(wire).await? == "+PONG";
    let named = !account.user.is_empty() && *account.user != "default";
    if open && !named {
        return unclear("the server asks for no password");
    }
    let words: &[&str] = if account.user.is_empty() {
        &["AUTH", &account.password]
    } else {
        &["AUTH", &account.user, &account.password]
    };
    wire.send(&command(words)).await?;
    let answer = reply(wire).await?;
    if answer != "+OK" {
        let error = answer.strip_prefix('-').unwrap_or_default();
        // Before version 6: ERR invalid password.
        return match error.starts_with("WRONGPASS") || error.starts_with("ERR invalid password") {
            true => denied("the server refuses the password"),
            false => unclear(format!("the server says {error}")),
        };
    }
    wire.send(&command(&["ACL", "WHOAMI"])).await?;
    let mut login = String::new();
    if let Some(Ok(1..=512)) = reply(wire).await.unwrap_or_default().strip_prefix('$').map(str::parse::<usize>) {
        login = wire.line().await.unwrap_or_default();
    }
    if login.is_empty() {
        login = if named { account.user.to_string() } else { "default".to_owned() };
    }
    if let Some((change, name)) = &account.change {
        return set(*change, name, &login, wire).await.map(|()| Facts::new());
    }
    Ok(vec![("login".into(), login)])
}

/// Switches a user off or on. SETUSER would make one that is not there, so that is looked at before.
async fn set(change: Change, name: &str, own: &str, wire: &mut Wire) -> Told<()> {
    if name == own {
        return change::own();
    }
    // All users, not this one: its reply is a list of single lines.
    wire.send(&command(&["ACL", "USERS"])).await?;
    let answer = reply(wire).await?;
    let Some(count) = answer.strip_prefix('*').and_then(|n| n.parse::<usize>().ok()) else {
        return unclear(format!("the server says {}", answer.trim_start_matches('-')));
    };
    let mut known = false;
    for _ in 0..count {
        // A bulk string: its length, and the name, which has no line end.
        reply(wire).await?;
        known |= wire.line().await? == name;
    }
    if !known {
        return change::gone();
    }
    let state = match change {
        Change::Lock => "off",
        Change::Unlock => "on",
    };
    wire.send(&command(&["ACL", "SETUSER", name, state])).await?;
    match change::sent(reply(wire).await)?.as_str() {
        "+OK" => Ok(()),
        other => unclear(format!("the server says {}", other.trim_start_matches('-'))),
    }
}

/// An array of bulk strings.
fn command(words: &[&str]) -> Zeroizing<Vec<u8>> {
    let mut out = Zeroizing::new(format!("*{}\r\n", words.len()).into_bytes());
    out.reserve(words.iter().map(|w| w.len() + 32).sum());
    for word in words {
        out.extend_from_slice(format!("${}\r\n", word.len()).as_bytes());
        out.extend_from_slice(word.as_bytes());
        out.extend_from_slice(b"\r\n");
    }
    out
}

async fn reply(wire: &mut Wire) -> Told<String> {
    let line = wire.line().await?;
    match line.starts_with(['+', '-', '$', ':', '*']) {
        true => Ok(line),
        false => unclear("the server does not speak Redis"),
    }
}
