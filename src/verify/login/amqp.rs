//! AMQP 0-9-1: <https://www.rabbitmq.com/resources/specs/amqp0-9-1.pdf>.
//!
//! Contract: Start, Start-Ok and what follows: Tune means accepted, Close with 403 means denied (the client says that it
//! understands `authentication_failure_close`). No channel is opened.

use zeroize::Zeroizing;

use super::wire::{Reader, Wire};
use super::{Account, Facts, Told, denied, unclear};

/// Class `connection` and its methods.
const START: [u16; 2] = [10, 10];
const TUNE: [u16; 2] = [10, 30];
const CLOSE: [u16; 2] = [10, 50];

pub async fn log_in(account: &Account, wire: &mut Wire) -> Told<Facts> {
    wire.safe()?;
    wire.send(b"AMQP\0\0\x09\x01").await?;
    let (kind, body) = method(wire).await?;
    let Some((properties, mechanisms)) = (kind == START).then(|| start(&body)).flatten() else {
        return unclear("the server does not speak AMQP 0-9-1");
    };
    if !mechanisms.split(' ').any(|m| m == "PLAIN") {
        return unclear("the server takes no passwords");
    }
    let secret = Zeroizing::new([b"\0", account.user.as_bytes(), b"\0", account.password.as_bytes()].concat());
    let capability = [text(b"authentication_failure_close"), vec![b't', 1]].concat();
    let table = [text(b"capabilities"), vec![b'F'], long(&capability)].concat();
    let answer = [&long(&table)[..], &text(b"PLAIN"), &long(&secret), &text(b"en_US")].concat();
    send(wire, [10, 11], &Zeroizing::new(answer)).await?;
    let (kind, body) = method(wire).await?;
    match kind {
        TUNE => {}
        CLOSE => {
            let mut reader = Reader(&body);
            let code = reader.big(2).unwrap_or_default();
            let length = usize::from(reader.u8().unwrap_or_default());
            let said = String::from_utf8_lossy(reader.take(length).unwrap_or_default()).into_owned();
            // RabbitMQ keeps `guest` to loopback, whatever its password.
            return match code == 403 && !said.contains("can only log in via localhost") {
                true => denied("the server refuses the password"),
                false => unclear(format!("the server says {code}: {said}")),
            };
        }
        _ => return unclear("the server asks for more than a password"),
    }
    let mut facts = vec![("login".to_owned(), account.user.to_string())];
    for (name, fact) in [("cluster_name", "cluster"), ("product", "product"), ("version", "version")] {
        if let Some(value) = property(properties, name) {
            facts.push((fact.to_owned(), value));
        }
    }
    // 200, no text, no method that failed.
    let _ = send(wire, CLOSE, &[0, 200, 0, 0, 0, 0, 0]).await;
    Ok(facts)
}

/// Server properties and mechanisms of Start.
fn start(body: &[u8]) -> Option<(&[u8], String)> {
    let mut reader = Reader(body);
    reader.take(2)?;
    let length = reader.big(4)? as usize;
    let properties = reader.take(length)?;
    let length = reader.big(4)? as usize;
    Some((properties, String::from_utf8_lossy(reader.take(length)?).into_owned()))
}

/// A text of the top level of a table.
fn property(table: &[u8], wanted: &str) -> Option<String> {
    let mut reader = Reader(table);
    loop {
        let length = usize::from(reader.u8()?);
        let name = reader.take(length)?;
        let length = match reader.u8()? {
            b't' | b'b' | b'B' => 1,
            b's' | b'u' => 2,
            b'I' | b'i' | b'f' => 4,
            b'l' | b'L' | b'd' | b'T' => 8,
            b'D' => 5,
            b'V' => 0,
            b'S' | b'F' | b'A' | b'x' => reader.big(4)? as usize,
            _ => return None,
        };
        let value = reader.take(length)?;
        if name == wanted.as_bytes() {
            return Some(String::from_utf8_lossy(value).into_owned());
        }
    }
}

/// The next method on channel 0, and its arguments.
async fn method(wire: &mut Wire) -> Told<([u16; 2], Vec<u8>)> {
    let head = wire.exact(7).await?;
    let length = u32::from_be_bytes([head[3], head[4], head[5], head[6]]) as usize;
    if head[0] != 1 || !(4..=65_536).contains(&length) {
        return unclear("the server does not speak AMQP 0-9-1");
    }
    let mut frame = wire.exact(length + 1).await?;
    if frame.pop() != Some(0xce) {
        return unclear("the server does not speak AMQP 0-9-1");
    }
    let arguments = frame.split_off(4);
    Ok(([u16::from_be_bytes([frame[0], frame[1]]), u16::from_be_bytes([frame[2], frame[3]])], arguments))
}

async fn send(wire: &mut Wire, kind: [u16; 2], arguments: &[u8]) -> Told<()> {
    let length = (arguments.len() as u32 + 4).to_be_bytes();
    let [class, method] = kind.map(u16::to_be_bytes);
    let frame = Zeroizing::new([&[1, 0, 0], &length[..], &class, &method, arguments, &[0xce]].concat());
    wire.send(&frame).await
}

/// A short string.
fn text(bytes: &[u8]) -> Vec<u8> {
    [&[bytes.len() as u8], bytes].concat()
}

/// A long string or a table.
fn long(bytes: &[u8]) -> Vec<u8> {
    [&(bytes.len() as u32).to_be_bytes()[..], bytes].concat()
}
