//! MongoDB: OP_MSG (<https://www.mongodb.com/docs/manual/reference/mongodb-wire-protocol/>) and SCRAM.
//!
//! Contract: hello, one SASL exchange, connectionStatus. The user's own database is `authSource`, else the database of the
//! URL, else `admin`, as drivers have it.

use md5::{Digest, Md5};
use zeroize::Zeroizing;

use super::bson::Bson;
use super::scram::{Hash, Scram};
use super::wire::{Reader, Wire};
use super::{Account, Facts, Told, denied, unclear};
use crate::secret::hex;

/// OP_MSG
const MESSAGE: u32 = 2013;

pub async fn log_in(account: &Account, wire: &mut Wire) -> Told<Facts> {
    wire.safe()?;
    let own = [&account.source, &account.database].into_iter().find(|d| !d.is_empty());
    let database = own.map_or("admin", String::as_str);
    let user = account.user.as_str();
    let hello = [
        ("hello", Bson::Number(1)),
        ("saslSupportedMechs", Bson::Text(format!("{database}.{user}"))),
        ("$db", Bson::Text("admin".into())),
    ];
    let hello = call(wire, &hello).await?;
    let offered: Vec<&Bson> = hello.get("saslSupportedMechs").map(|m| m.items().collect()).unwrap_or_default();
    let has = |hash: Hash| offered.contains(&&Bson::Text(hash.mechanism().into()));
    let old = hello.number("maxWireVersion").unwrap_or_default() < 7;
    let hash = if !has(Hash::Sha256) && (old || has(Hash::Sha1)) { Hash::Sha1 } else { Hash::Sha256 };
    let password = match hash {
        Hash::Sha256 => Zeroizing::new(account.password.to_string()),
        Hash::Sha1 => {
            let text = Zeroizing::new(format!("{user}:mongo:{}", account.password.as_str()));
            Zeroizing::new(hex(&Md5::digest(text.as_bytes())))
        }
    };
    exchange(wire, hash, user, &password, database).await?;
    let status = [("connectionStatus", Bson::Number(1)), ("$db", Bson::Text("admin".into()))];
    // The verdict stands without it.
    let status = call(wire, &status).await.unwrap_or(Bson::Other);
    let mut facts = vec![("login".to_owned(), user.to_owned()), ("database".to_owned(), database.to_owned())];
    let roles = status.get("authInfo").and_then(|i| i.get("authenticatedUserRoles"));
    for role in roles.into_iter().flat_map(Bson::items) {
        let name = format!("{}@{}", role.text("role").unwrap_or_default(), role.text("db").unwrap_or_default());
        facts.push(("scope".into(), name));
    }
    Ok(facts)
}

/// SASL from the first message to `done`.
async fn exchange(wire: &mut Wire, hash: Hash, user: &str, password: &str, database: &str) -> Told<()> {
    let scram = Scram::begin(hash, user)?;
    let start = [
        ("saslStart", Bson::Number(1)),
        ("mechanism", Bson::Text(hash.mechanism().into())),
        ("payload", Bson::Bytes(scram.first().into_bytes())),
        ("$db", Bson::Text(database.into())),
    ];
    let mut reply = told(call(wire, &start).await?)?;
    let (answer, last) = scram.answer(password, &payload(&reply))?;
    let mut proven = false;
    let mut next = answer.into_bytes();
    // The exchange ends with an empty message each way.
    for _ in 0..3 {
        let number = reply.number("conversationId").unwrap_or_default();
        let go = [
            ("saslContinue", Bson::Number(1)),
            ("conversationId", Bson::Number(number)),
            ("payload", Bson::Bytes(std::mem::take(&mut next))),
            ("$db", Bson::Text(database.into())),
        ];
        reply = told(call(wire, &go).await?)?;
        proven |= payload(&reply) == last;
        if reply.number("done") == Some(1) {
            break;
        }
    }
    match proven && reply.number("done") == Some(1) {
        true => Ok(()),
        false => unclear("the server does not prove that it knows the password"),
    }
}

fn payload(reply: &Bson) -> String {
    match reply.get("payload") {
        Some(Bson::Bytes(bytes)) => String::from_utf8_lossy(bytes).into_owned(),
        _ => String::new(),
    }
}

/// A reply to SASL, unless it is an error: code 18 is AuthenticationFailed.
fn told(reply: Bson) -> Told<Bson> {
    match (reply.number("ok"), reply.number("code")) {
        (Some(1), _) => Ok(reply),
        (_, Some(18)) => denied("the server refuses the password"),
        (_, code) => {
            let text = reply.text("errmsg").unwrap_or_default();
            unclear(format!("the server says {}: {text}", code.unwrap_or_default()))
        }
    }
}

/// One command and its reply.
async fn call(wire: &mut Wire, fields: &[(&str, Bson)]) -> Told<Bson> {
    let body = Zeroizing::new(Bson::write(fields));
    let length = 16 + 4 + 1 + body.len() as u32;
    let mut message = Zeroizing::new(Vec::with_capacity(length as usize));
    for number in [length, 1, 0, MESSAGE, 0] {
        message.extend_from_slice(&number.to_le_bytes());
    }
    message.push(0);
    message.extend_from_slice(&body);
    wire.send(&message).await?;
    let head = wire.exact(16).await?;
    let length = Reader(&head).little(4).unwrap_or_default() as usize;
    let operation = u32::from_le_bytes([head[12], head[13], head[14], head[15]]);
    if operation != MESSAGE || !(21..=65_536).contains(&length) {
        return unclear("the server does not speak MongoDB");
    }
    let reply = wire.exact(length - 16).await?;
    // Flags, then one section of kind 0.
    match reply.get(4..).and_then(|r| r.strip_prefix(&[0])).and_then(Bson::read) {
        Some(document) => Ok(document),
        None => unclear("the server does not speak MongoDB"),
    }
}
