//! MySQL and MariaDB: <https://dev.mysql.com/doc/dev/mysql-server/latest/page_protocol_connection_phase.html>.
//!
//! Contract: no database is chosen, so that none that is missing gets in the way; two queries read the account's own
//! facts, or one alters an account. Denied for 1045 and for locked accounts (3118, MariaDB 4151).

use sha1::Sha1;
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use super::wire::{Reader, Wire};
use super::{Account, Facts, LOCKED, Told, Trouble, change, unclear};
use crate::rules::schema::ask::Change;
use crate::secret::hex;

const LONG_PASSWORD: u32 = 1;
const PROTOCOL_41: u32 = 1 << 9;
const TLS: u32 = 1 << 11;
const SECURE_CONNECTION: u32 = 1 << 15;
const PLUGIN_AUTH: u32 = 1 << 19;
/// utf8mb4_general_ci
const CHARSET: u8 = 45;

const NATIVE: &str = "mysql_native_password";
const CACHING: &str = "caching_sha2_password";

pub async fn log_in(account: &Account, wire: &mut Wire) -> Told<Facts> {
    let mut link = Link { wire, sequence: 0 };
    let greeting = link.read().await?;
    let Some(mut hello) = Hello::read(&greeting) else {
        return match greeting.first() {
            Some(0xff) => Err(refusal(&greeting)),
            _ => unclear("the server does not speak MySQL"),
        };
    };
    let mut flags = LONG_PASSWORD | PROTOCOL_41 | SECURE_CONNECTION | PLUGIN_AUTH;
    if hello.flags & TLS != 0 {
        flags |= TLS;
        link.send(&head(flags)).await?;
        link.wire.secure().await?;
    }
    link.wire.safe()?;
    if account.user.contains('\0') {
        return unclear("its user holds a zero byte");
    }
    if ![NATIVE, CACHING].contains(&hello.plugin.as_str()) {
        hello.plugin = NATIVE.to_owned();
    }
    let proof = scramble(&hello.plugin, account.password.as_bytes(), &hello.salt).unwrap_or_default();
    let mut body = head(flags);
    body.extend([account.user.as_bytes(), &[0, proof.len() as u8], &proof, hello.plugin.as_bytes(), &[0]].concat());
    link.send(&body).await?;
    if let Some(remark) = authenticate(account, &mut link, hello).await? {
        if account.change.is_some() {
            return unclear(remark);
        }
        return Ok(vec![("login".into(), account.user.to_string()), ("remark".into(), remark)]);
    }
    if let Some((change, name)) = &account.change {
        return alter(*change, name, &mut link).await.map(|()| Facts::new());
    }
    let mut facts: Facts = Vec::new();
    for (name, query) in [("login", "SELECT CURRENT_USER()"), ("scope", "SHOW GRANTS")] {
        let Ok(rows) = link.query(query).await else { break };
        // A grant may hold the digest of a password.
        let shown = rows.into_iter().map(|row| row.split(" IDENTIFIED ").next().unwrap_or_default().to_owned());
        facts.extend(shown.map(|value| (name.to_owned(), value)));
    }
    link.sequence = 0;
    let _ = link.send(&[1]).await;
    Ok(facts)
}

/// Locks or unlocks an account. An account is a user at a host: with several of one user it is not known which one the
/// credential is of, and none is changed.
async fn alter(change: Change, name: &str, link: &mut Link<'_>) -> Told<()> {
    let wanted = format!("CONVERT(X'{}' USING utf8mb4)", hex(name.as_bytes()));
    let look = format!(
        "SELECT CONCAT(Super_priv, Create_user_priv, IF(CONCAT(User, '@', Host) = CURRENT_USER(), 'Y', 'N'), ' ', Host) \
         FROM mysql.user WHERE BINARY User = BINARY {wanted}"
    );
    let rows = link.query(&look).await?;
    let (flags, host) = match rows.as_slice() {
        [] => return change::gone(),
        [row] => row.split_once(' ').unwrap_or(("", row)),
        several => {
            let hosts: Vec<&str> = several.iter().filter_map(|row| Some(row.split_once(' ')?.1)).collect();
            return unclear(format!(
                "there are {} accounts of this user, at {}: nothing was changed, lock the right one by hand",
                hosts.len(),
                hosts.join(", ")
            ));
        }
    };
    match flags {
        "NNN" => {}
        flags if flags.ends_with('Y') => return change::own(),
        _ => return change::administrator(),
    }
    let lock = match change {
        Change::Lock => "LOCK",
        Change::Unlock => "UNLOCK",
    };
    let command = format!("ALTER USER {}@{} ACCOUNT {lock}", change::backticks(name), change::backticks(host));
    let answer = change::sent(link.command(&command).await)?;
    match answer.first() {
        Some(0) => {}
        Some(0xff) => return Err(refusal(&answer)),
        _ => return Err(Trouble::Perhaps("the change was sent, and the answer is none of MySQL's".into())),
    }
    link.sequence = 0;
    let _ = link.send(&[1]).await;
    Ok(())
}

/// Capabilities, largest packet, character set: the head of the client's answer, and all of its wish for TLS.
fn head(flags: u32) -> Vec<u8> {
    let mut head = flags.to_le_bytes().to_vec();
    head.extend((1_u32 << 16).to_le_bytes());
    head.push(CHARSET);
    head.extend([0; 23]);
    head
}

/// Until the account is accepted; a remark if it can do nothing until its password is changed.
async fn authenticate(account: &Account, link: &mut Link<'_>, mut hello: Hello) -> Told<Option<String>> {
    for _ in 0..8 {
        let packet = link.read().await?;
        match packet.first() {
            Some(0) => return Ok(None),
            Some(0xff) => match code(&packet) {
                1862 => return Ok(Some("the password has expired and must be changed".into())),
                _ => return Err(refusal(&packet)),
            },
            Some(0xfe) => {
                let mut reader = Reader(&packet[1..]);
                let plugin = reader.zero_ended().map(|p| String::from_utf8_lossy(p).into_owned()).unwrap_or_default();
                let salt = reader.0.strip_suffix(&[0]).unwrap_or(reader.0).to_vec();
                let answer = match (plugin.as_str(), link.wire.encrypted()) {
                    ("mysql_clear_password", true) => Zeroizing::new([account.password.as_bytes(), &[0]].concat()),
                    (plugin, _) => match scramble(plugin, account.password.as_bytes(), &salt) {
                        Some(answer) => answer,
                        None => return unclear(format!("the server asks for {plugin}")),
                    },
                };
                hello = Hello { plugin, salt, ..hello };
                link.send(&answer).await?;
            }
            // caching_sha2_password: 3 is fast success, 4 asks for the password itself, over TLS only.
            Some(1) if hello.plugin == CACHING => match packet.get(1) {
                Some(3) => {}
                Some(4) if link.wire.encrypted() => {
                    link.send(&Zeroizing::new([account.password.as_bytes(), &[0]].concat())).await?;
                }
                _ => return unclear("the server wants the password over TLS, and offers none"),
            },
            _ => return unclear("the server does not speak MySQL"),
        }
    }
    unclear("the server does not come to an end")
}

/// The answer to a challenge, for the plugins that are spoken here.
fn scramble(plugin: &str, password: &[u8], salt: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let xor = |a: &[u8], b: &[u8]| Zeroizing::new(a.iter().zip(b).map(|(a, b)| a ^ b).collect::<Vec<u8>>());
    match plugin {
        NATIVE => {
            let once = Sha1::digest(password);
            let twice = Sha1::digest(once);
            Some(xor(&once, &Sha1::digest([salt, &twice].concat())))
        }
        CACHING => {
            let once = Sha256::digest(password);
            let twice = Sha256::digest(once);
            Some(xor(&once, &Sha256::digest([&twice, salt].concat())))
        }
        _ => None,
    }
}

/// What a server says first.
struct Hello {
    flags: u32,
    salt: Vec<u8>,
    plugin: String,
}

impl Hello {
    fn read(packet: &[u8]) -> Option<Self> {
        let mut reader = Reader(packet);
        if reader.u8()? != 10 {
            return None;
        }
        reader.zero_ended()?;
        reader.take(4)?;
        let mut salt = reader.take(8)?.to_vec();
        reader.take(1)?;
        let low = reader.little(2)? as u32;
        reader.take(3)?;
        let flags = low | (reader.little(2)? as u32) << 16;
        let length = usize::from(reader.u8()?);
        reader.take(10)?;
        salt.extend_from_slice(reader.take(length.saturating_sub(8).max(13))?);
        salt.truncate(20);
        let plugin = reader.0.split(|b| *b == 0).next().unwrap_or_default();
        Some(Self { flags, salt, plugin: String::from_utf8_lossy(plugin).into_owned() })
    }
}

fn code(packet: &[u8]) -> u16 {
    Reader(packet.get(1..).unwrap_or_default()).little(2).unwrap_or_default() as u16
}

/// What an error packet means.
fn refusal(packet: &[u8]) -> Trouble {
    let text = String::from_utf8_lossy(packet.get(3..).unwrap_or_default()).into_owned();
    let text = text.strip_prefix('#').and_then(|t| t.get(5..)).unwrap_or(&text).to_owned();
    match code(packet) {
        1045 => Trouble::Denied("the server refuses the password".into()),
        3118 | 4151 => Trouble::Denied(LOCKED.into()),
        code => Trouble::Unclear(format!("the server says {code}: {text}")),
    }
}

/// Packets: three bytes of length, one of sequence.
struct Link<'a> {
    wire: &'a mut Wire,
    sequence: u8,
}

impl Link<'_> {
    async fn read(&mut self) -> Told<Vec<u8>> {
        let head = self.wire.exact(4).await?;
        let length = usize::from(head[0]) | usize::from(head[1]) << 8 | usize::from(head[2]) << 16;
        if length > 65_536 {
            return unclear("the server does not speak MySQL");
        }
        self.sequence = head[3].wrapping_add(1);
        self.wire.exact(length).await
    }

    async fn send(&mut self, body: &[u8]) -> Told<()> {
        let length = (body.len() as u32).to_le_bytes();
        let packet = Zeroizing::new([&length[..3], &[self.sequence], body].concat());
        self.sequence = self.sequence.wrapping_add(1);
        self.wire.send(&packet).await
    }

    /// Sends a command; the first packet of its answer.
    async fn command(&mut self, command: &str) -> Told<Vec<u8>> {
        self.sequence = 0;
        self.send(&[&[3], command.as_bytes()].concat()).await?;
        self.read().await
    }

    /// First column of the rows of a query, at most twenty.
    async fn query(&mut self, query: &str) -> Told<Vec<String>> {
        let first = self.command(query).await?;
        let (mut rows, mut ends) = (Vec::new(), 0);
        if first.len() != 1 || first[0] == 0 {
            return unclear("no answer to a query");
        }
        for _ in 0..200 {
            let packet = self.read().await?;
            match packet.first() {
                Some(0xfe) if packet.len() < 9 => ends += 1,
                Some(0xff) => return unclear("no answer to a query"),
                _ if ends == 1 && rows.len() < 20 => rows.extend(text(&packet)),
                _ => {}
            }
            if ends == 2 {
                return Ok(rows);
            }
        }
        unclear("too long an answer to a query")
    }
}

/// A length-encoded string.
fn text(packet: &[u8]) -> Option<String> {
    let mut reader = Reader(packet);
    let length = match reader.u8()? {
        short @ ..=250 => u64::from(short),
        252 => reader.little(2)?,
        253 => reader.little(3)?,
        _ => return None,
    };
    Some(String::from_utf8_lossy(reader.take(length as usize)?).into_owned())
}
