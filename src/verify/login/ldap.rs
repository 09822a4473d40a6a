//! LDAP: RFC 4511, StartTLS included, Who-am-I of RFC 4532, and the password policy control of
//! <https://datatracker.ietf.org/doc/html/draft-behera-ldap-password-policy-11>.
//!
//! Contract: one simple bind, never without a password (that would be anonymous and always succeed), then Who-am-I or one change.
//! Denied for result 49; Active Directory and the policy control tell apart locked, disabled and expired accounts.

use zeroize::Zeroizing;

use super::wire::{Reader, Wire};
use super::{Account, Facts, LOCKED, Told, Trouble, change, denied, unclear};
use crate::rules::schema::ask::Change;

const START_TLS: &[u8] = b"1.3.6.1.4.1.1466.20037";
const WHO_AM_I: &[u8] = b"1.3.6.1.4.1.4203.1.11.3";
const POLICY: &[u8] = b"1.3.6.1.4.1.42.2.27.8.5.1";

/// `pwdAccountLockedTime`: locked until an administrator unlocks it.
const FOREVER: &[u8] = b"000001010000Z";

pub async fn log_in(account: &Account, wire: &mut Wire) -> Told<Facts> {
    if !wire.encrypted() {
        wire.send(&message(1, &der(0x77, &der(0x80, START_TLS)), &[])).await?;
        let reply = Reply::read(wire).await?;
        if reply.code == 0 {
            wire.secure().await?;
        }
    }
    wire.safe()?;
    let password = Zeroizing::new(der(0x80, account.password.as_bytes()));
    let bind = Zeroizing::new([&[2, 1, 3], &der(4, account.user.as_bytes())[..], &password].concat());
    let control = der(0xa0, &der(0x30, &der(4, POLICY)));
    wire.send(&Zeroizing::new(message(2, &Zeroizing::new(der(0x60, &bind)), &control))).await?;
    let reply = Reply::read(wire).await?;
    match (reply.code, reply.policy) {
        (0, _) => {}
        (49, Some(1)) => return denied(LOCKED),
        (49, Some(0)) => return denied("the password has expired"),
        (49, _) => return denied(directory_says(&reply.text)),
        (53, Some(1)) => return denied(LOCKED),
        (code, _) => return unclear(format!("the server says {code}: {}", reply.text)),
    }
    if let Some((change, name)) = &account.change {
        return modify(*change, name, &account.user, wire).await.map(|()| Facts::new());
    }
    let mut facts = Facts::new();
    wire.send(&message(3, &der(0x77, &der(0x80, WHO_AM_I)), &[])).await?;
    if let Ok(reply) = Reply::read(wire).await {
        let who = reply.value.strip_prefix("dn:").or(reply.value.strip_prefix("u:")).unwrap_or(&reply.value).to_owned();
        if reply.code == 0 && !who.is_empty() {
            facts.push(("id".into(), who));
        }
    }
    facts.push(("login".into(), account.user.to_string()));
    let _ = wire.send(&message(4, &[0x42, 0], &[])).await;
    Ok(facts)
}

/// Locks an entry for good, as the password policy has it, or takes exactly that lock away (a lock after too many
/// attempts has another time, and stays).
async fn modify(change: Change, name: &str, own: &str, wire: &mut Wire) -> Told<()> {
    let plain = |dn: &str| dn.to_lowercase().replace(' ', "");
    if plain(name) == plain(own) {
        return change::own();
    }
    let (operation, said) = match change {
        Change::Lock => (2, "locked"),
        Change::Unlock => (1, "unlocked"),
    };
    let attribute = [der(4, b"pwdAccountLockedTime"), der(0x31, &der(4, FOREVER))].concat();
    let one = [&[0x0a, 1, operation], &der(0x30, &attribute)[..]].concat();
    let body = [der(4, name.as_bytes()), der(0x30, &der(0x30, &one))].concat();
    wire.send(&message(3, &der(0x66, &body), &[])).await?;
    let reply = change::sent(Reply::read(wire).await)?;
    let _ = wire.send(&message(4, &[0x42, 0], &[])).await;
    match reply.code {
        0 => Ok(()),
        32 => change::gone(),
        // Busy, unavailable, other: RFC 4511 does not say that nothing has changed.
        code @ (51 | 52 | 80) => Err(Trouble::Perhaps(format!("the server says {code}: {}", reply.text))),
        16 if change == Change::Unlock => unclear("it is not locked for good: nothing was changed"),
        16 | 17 => unclear("the server has no password policy: the account cannot be locked this way"),
        code => unclear(format!("not {said}, the server says {code}: {}", reply.text)),
    }
}

/// Active Directory's sub-codes: <https://ldapwiki.com/wiki/Wiki.jsp?page=Common%20Active%20Directory%20Bind%20Errors>.
fn directory_says(text: &str) -> &'static str {
    let code = text.split("data ").nth(1).and_then(|t| t.split([',', ' ']).next()).unwrap_or_default();
    match code {
        "533" => "the account is disabled",
        "775" => LOCKED,
        "532" | "773" => "the password has expired",
        "701" => "the account has expired",
        _ => "the server refuses the password",
    }
}

/// LDAPMessage: number, operation, controls.
fn message(number: u8, operation: &[u8], controls: &[u8]) -> Vec<u8> {
    der(0x30, &Zeroizing::new([&[2, 1, number], operation, controls].concat()))
}

/// One BER value.
fn der(tag: u8, content: &[u8]) -> Vec<u8> {
    let mut out = vec![tag];
    match content.len() {
        length @ 0..=127 => out.push(length as u8),
        length => out.extend([&[0x82], &(length as u16).to_be_bytes()[..]].concat()),
    }
    out.extend_from_slice(content);
    out
}

/// The next BER value: tag and content.
fn next<'a>(reader: &mut Reader<'a>) -> Option<(u8, &'a [u8])> {
    let tag = reader.u8()?;
    let length = match reader.u8()? {
        short @ ..=127 => usize::from(short),
        long @ 0x81..=0x84 => reader.big(usize::from(long & 0x7f))? as usize,
        _ => return None,
    };
    Some((tag, reader.take(length)?))
}

/// What a server answers.
struct Reply {
    code: u64,
    text: String,
    /// Value of an extended response.
    value: String,
    /// Error of the password policy control.
    policy: Option<u64>,
}

impl Reply {
    async fn read(wire: &mut Wire) -> Told<Self> {
        for _ in 0..10 {
            let head = wire.exact(2).await?;
            let length = match head[1] {
                short @ ..=127 => usize::from(short),
                long @ 0x81..=0x84 => {
                    let bytes = wire.exact(usize::from(long & 0x7f)).await?;
                    Reader(&bytes).big(bytes.len()).unwrap_or(u64::MAX) as usize
                }
                _ => return unclear("the server does not speak LDAP"),
            };
            if head[0] != 0x30 || length > 65_536 {
                return unclear("the server does not speak LDAP");
            }
            let body = wire.exact(length).await?;
            match Self::parse(&body) {
                // Intermediate responses are passed over.
                Some((0x79, _)) => {}
                Some((_, reply)) => return Ok(reply),
                None => return unclear("the server does not speak LDAP"),
            }
        }
        unclear("the server does not come to an end")
    }

    /// Tag of the operation, and what it says.
    fn parse(body: &[u8]) -> Option<(u8, Self)> {
        let mut reader = Reader(body);
        next(&mut reader)?;
        let (tag, operation) = next(&mut reader)?;
        let mut policy = None;
        if let Some((0xa0, controls)) = next(&mut reader) {
            policy = policy_error(controls);
        }
        let mut inside = Reader(operation);
        let (_, code) = next(&mut inside)?;
        next(&mut inside)?;
        let (_, text) = next(&mut inside)?;
        let mut value = String::new();
        while let Some((tag, content)) = next(&mut inside) {
            if tag == 0x8b {
                value = String::from_utf8_lossy(content).into_owned();
            }
        }
        let code = code.iter().take(4).fold(0, |n, b| n << 8 | u64::from(*b));
        Some((tag, Self { code, text: String::from_utf8_lossy(text).into_owned(), value, policy }))
    }
}

/// `error` in the value of the policy control, if it is there.
fn policy_error(controls: &[u8]) -> Option<u64> {
    let mut list = Reader(controls);
    while let Some((0x30, control)) = next(&mut list) {
        let mut fields = Reader(control);
        let (_, name) = next(&mut fields)?;
        while let Some((tag, value)) = next(&mut fields) {
            if tag == 4 && name == POLICY {
                let (_, inside) = next(&mut Reader(value))?;
                let mut inside = Reader(inside);
                while let Some((tag, content)) = next(&mut inside) {
                    if tag == 0x81 {
                        return content.first().map(|b| u64::from(*b));
                    }
                }
            }
        }
    }
    None
}
