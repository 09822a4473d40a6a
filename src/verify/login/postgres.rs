//! PostgreSQL: <https://www.postgresql.org/docs/current/protocol-flow.html>, version 3.0.
//!
//! Contract: TLS by SSLRequest; one query that reads the role's own facts (or a change), then Terminate. An account is denied for
//! 28P01, and for 28000 where the role may not log in; other refusals say nothing of the password.

use md5::{Digest, Md5};
use zeroize::Zeroizing;

use super::scram::{Hash, Scram};
use super::wire::{Reader, Wire};
use super::{Account, Facts, LOCKED, Told, Trouble, change, unclear};
use crate::rules::schema::ask::Change;
use crate::secret::hex;

/// Who it is, what it may do, and what was written down about it.
const FACTS: &str = "SELECT current_user, current_database(), r.rolsuper, r.rolvaliduntil, \
    shobj_description(r.oid, 'pg_authid'), (SELECT string_agg(g.rolname, ' ') FROM pg_auth_members m \
    JOIN pg_roles g ON g.oid = m.roleid WHERE m.member = r.oid) FROM pg_roles r WHERE r.rolname = current_user";

pub async fn log_in(account: &Account, wire: &mut Wire) -> Told<Facts> {
    wire.send(&[0, 0, 0, 8, 4, 210, 22, 47]).await?;
    match wire.exact(1).await?[0] {
        b'S' => wire.secure().await?,
        b'N' => {}
        _ => return unclear("the server does not speak PostgreSQL"),
    }
    wire.safe()?;
    let mut start = vec![0, 3, 0, 0];
    let user = if account.user.is_empty() { "postgres" } else { &account.user };
    for (name, value) in [("user", user), ("database", &account.database), ("application_name", "unsprawl")] {
        if value.contains('\0') {
            return unclear("its user or database holds a zero byte");
        }
        if !value.is_empty() {
            start.extend([name.as_bytes(), &[0], value.as_bytes(), &[0]].concat());
        }
    }
    start.push(0);
    wire.send(&[&((start.len() as u32 + 4).to_be_bytes())[..], &start].concat()).await?;
    if let Some(remark) = authenticate(user, account, wire).await? {
        if account.change.is_some() {
            return unclear(remark);
        }
        return Ok(vec![("login".into(), user.to_owned()), ("remark".into(), remark)]);
    }
    if let Some((change, name)) = &account.change {
        return alter(*change, name, wire).await.map(|()| Facts::new());
    }
    // The verdict stands; what a server does not tell (others that speak this protocol) is left out.
    let mut facts = facts(wire).await.unwrap_or_default();
    if facts.is_empty() {
        facts.push(("login".into(), user.to_owned()));
    }
    let _ = wire.send(&[b'X', 0, 0, 0, 4]).await;
    Ok(facts)
}

/// Until the server is ready for queries, or says why it lets an account that it accepted no further.
async fn authenticate(user: &str, account: &Account, wire: &mut Wire) -> Told<Option<String>> {
    let (mut asked, mut accepted) = (false, false);
    let mut scram: Option<(Scram, Option<String>)> = None;
    // A server of any sense is done within a hundred messages.
    for _ in 0..400 {
        let (kind, body) = message(wire).await?;
        let mut reader = Reader(&body);
        match kind {
            b'R' => match reader.big(4) {
                Some(0) if !asked => return unclear("the server asks for no password"),
                Some(0) => match scram {
                    Some(_) => return unclear("the server does not prove that it knows the password"),
                    None => accepted = true,
                },
                Some(3) => {
                    asked = true;
                    password(wire, account.password.as_bytes()).await?;
                }
                Some(5) => {
                    asked = true;
                    let inner =
                        Zeroizing::new(hex(&Md5::digest([account.password.as_bytes(), user.as_bytes()].concat())));
                    let outer = hex(&Md5::digest([inner.as_bytes(), reader.0].concat()));
                    password(wire, format!("md5{outer}").as_bytes()).await?;
                }
                Some(10) if reader.0.split(|b| *b == 0).any(|m| m == b"SCRAM-SHA-256") => {
                    asked = true;
                    let begun = Scram::begin(Hash::Sha256, "")?;
                    let first = begun.first();
                    let mut body = b"SCRAM-SHA-256\0".to_vec();
                    body.extend((first.len() as u32).to_be_bytes());
                    body.extend(first.as_bytes());
                    send(wire, b'p', &body).await?;
                    scram = Some((begun, None));
                }
                Some(11) => {
                    let Some((begun, None)) = scram.take() else { return unclear("SCRAM out of order") };
                    let server = String::from_utf8_lossy(reader.0).into_owned();
                    let (answer, last) = begun.answer(&account.password, &server)?;
                    send(wire, b'p', answer.as_bytes()).await?;
                    scram = Some((begun, Some(last)));
                }
                Some(12) => match scram.take() {
                    Some((_, Some(last))) if last.as_bytes() == reader.0 => {}
                    _ => return unclear("the server does not prove that it knows the password"),
                },
                _ => return unclear("the server asks for another kind of authentication"),
            },
            // Whether a role may log in is looked at after its password.
            b'E' if accepted => match refusal(&body) {
                Trouble::Denied(reason) => return Err(Trouble::Denied(reason)),
                _ => return Ok(Some(error(&body).1)),
            },
            b'E' => return Err(refusal(&body)),
            b'Z' if accepted => return Ok(None),
            b'Z' => return unclear("the server asks for no password"),
            b'S' | b'K' | b'N' | b'v' => {}
            _ => return unclear("the server does not speak PostgreSQL"),
        }
    }
    unclear("the server does not come to an end")
}

/// What a refusal means.
fn refusal(body: &[u8]) -> Trouble {
    let (code, text) = error(body);
    match code.as_str() {
        "28P01" => Trouble::Denied("the server refuses the password".into()),
        "28000" if text.contains("not permitted to log in") => Trouble::Denied(LOCKED.into()),
        "28000" if text.starts_with("role ") && text.contains("does not exist") => {
            Trouble::Denied("there is no such role".into())
        }
        code => Trouble::Unclear(format!("the server says {code}: {text}")),
    }
}

/// SQLSTATE and text of an error.
fn error(body: &[u8]) -> (String, String) {
    let mut reader = Reader(body);
    let (mut code, mut text) = (String::new(), String::new());
    while let Some(kind @ 1..) = reader.u8() {
        let Some(value) = reader.zero_ended() else { break };
        match kind {
            b'C' => code = String::from_utf8_lossy(value).into_owned(),
            b'M' => text = String::from_utf8_lossy(value).into_owned(),
            _ => {}
        }
    }
    (code, text)
}

/// Lets a role log in, or not. The name goes as hex and is quoted by the server.
async fn alter(change: Change, name: &str, wire: &mut Wire) -> Told<()> {
    // A name is cut to what a role's may have, as at log-in.
    let wanted = format!("convert_from(decode('{}', 'hex'), 'UTF8')::name", hex(name.as_bytes()));
    let look =
        format!("SELECT rolsuper, rolname IN (current_user, session_user) FROM pg_roles WHERE rolname = {wanted}");
    match query(wire, &look).await?? {
        None => return change::gone(),
        Some(row) if row.get(1).is_none_or(|own| own != "f") => return change::own(),
        Some(row) if row[0] != "f" => return change::administrator(),
        Some(_) => {}
    }
    let login = match change {
        Change::Lock => "NOLOGIN",
        Change::Unlock => "LOGIN",
    };
    let command = format!("DO $$BEGIN EXECUTE format('ALTER ROLE %I {login}', {wanted}); END$$");
    // What the server refuses by an error, it has rolled back.
    change::sent(query(wire, &command).await)??;
    let _ = wire.send(&[b'X', 0, 0, 0, 4]).await;
    Ok(())
}

async fn facts(wire: &mut Wire) -> Told<Facts> {
    Ok(query(wire, FACTS).await??.map(facts_of).unwrap_or_default())
}

/// A query's last row, if it has any; inside, the error by which the server refuses it.
async fn query(wire: &mut Wire, query: &str) -> Told<Told<Option<Vec<String>>>> {
    send(wire, b'Q', &[query.as_bytes(), &[0]].concat()).await?;
    let mut result = Ok(None);
    for _ in 0..100 {
        match message(wire).await? {
            (b'D', body) if result.is_ok() => result = Ok(row(&body)),
            (b'E', body) => result = Err(error(&body)),
            (b'Z', _) => {
                return Ok(result.or_else(|(code, text)| unclear(format!("the server says {code}: {text}"))));
            }
            (b'D' | b'T' | b'C' | b'N' | b'S', _) => {}
            _ => return unclear("no answer to a query"),
        }
    }
    unclear("too long an answer to a query")
}

/// One row.
fn row(body: &[u8]) -> Option<Vec<String>> {
    let mut reader = Reader(body);
    let count = reader.big(2)?;
    let mut values = Vec::new();
    for _ in 0..count.min(8) {
        values.push(match reader.big(4)? {
            0xffff_ffff => String::new(),
            length => String::from_utf8_lossy(reader.take(length as usize)?).into_owned(),
        });
    }
    Some(values)
}

/// What the row of [`FACTS`] tells.
fn facts_of(values: Vec<String>) -> Facts {
    let mut facts = Facts::new();
    for (name, value) in ["login", "database", "superuser", "expires", "comment", "scope"].iter().zip(values) {
        match (*name, value.as_str()) {
            (_, "") | ("superuser", "f") => {}
            ("superuser", _) => facts.push(("scope".into(), "superuser".into())),
            ("scope", roles) => facts.extend(roles.split(' ').map(|role| ("scope".to_owned(), role.to_owned()))),
            (name, value) => facts.push((name.to_owned(), value.to_owned())),
        }
    }
    facts
}

async fn password(wire: &mut Wire, value: &[u8]) -> Told<()> {
    let body = Zeroizing::new([value, &[0]].concat());
    send(wire, b'p', &body).await
}

async fn send(wire: &mut Wire, kind: u8, body: &[u8]) -> Told<()> {
    let head = (body.len() as u32 + 4).to_be_bytes();
    let message = Zeroizing::new([&[kind], &head[..], body].concat());
    wire.send(&message).await
}

/// One message: its kind and body.
async fn message(wire: &mut Wire) -> Told<(u8, Vec<u8>)> {
    let head = wire.exact(5).await?;
    let length = u32::from_be_bytes([head[1], head[2], head[3], head[4]]) as usize;
    match length {
        4..=65_536 => Ok((head[0], wire.exact(length - 4).await?)),
        _ => unclear("the server does not speak PostgreSQL"),
    }
}
