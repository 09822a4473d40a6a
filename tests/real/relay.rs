//! A relay before a server, which a test can break: an outage that the server's other users do not notice. It keeps what
//! clients said: what a test can say of the bytes that somebody on the way would see.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicU8, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::thread;

/// What happens to a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// It passes.
    Pass,
    /// It is closed before anything is said.
    Close,
    /// It passes until the server has said this much, then it breaks.
    Break(u8),
    /// It is taken, and nothing ever comes back.
    Hang,
    /// The answer is an HTTP error of the server's: 503.
    Unavailable,
}

/// A listener on loopback that passes what it gets to a server.
pub struct Relay {
    pub port: u16,
    mode: Arc<[AtomicU8; 2]>,
    heard: Heard,
}

/// What the clients of passed connections said, one after the other.
type Heard = Arc<Mutex<Vec<Vec<u8>>>>;

impl Relay {
    /// Before `127.0.0.1:port`. It lives as long as the test's process.
    pub fn to(port: &str) -> Self {
        Self::before(&format!("127.0.0.1:{port}"))
    }

    /// Before an address.
    pub fn before(server: &str) -> Self {
        let server = server.to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let relay = Self { port, mode: Arc::default(), heard: Heard::default() };
        let (mode, heard) = (relay.mode.clone(), relay.heard.clone());
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let mode = [mode[0].load(Relaxed), mode[1].load(Relaxed)];
                let (server, heard) = (server.clone(), heard.clone());
                thread::spawn(move || serve(client, &server, mode, &heard));
            }
        });
        relay
    }

    /// What happens to connections that are made from now on.
    pub fn set(&self, mode: Mode) {
        let (kind, most) = match mode {
            Mode::Pass => (0, 0),
            Mode::Close => (1, 0),
            Mode::Break(most) => (2, most),
            Mode::Unavailable => (3, 0),
            Mode::Hang => (4, 0),
        };
        self.mode[1].store(most, Relaxed);
        self.mode[0].store(kind, Relaxed);
    }

    /// What clients said so far, by connection.
    pub fn heard(&self) -> Vec<Vec<u8>> {
        self.heard.lock().unwrap().clone()
    }
}

fn serve(mut client: TcpStream, server: &str, [kind, most]: [u8; 2], heard: &Heard) -> Option<()> {
    match kind {
        1 => return None,
        3 => {
            let _ = client.read(&mut [0; 4096]).ok()?;
            client
                .write_all(b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
                .ok()?;
            return Some(());
        }
        4 => return client.read_to_end(&mut Vec::new()).ok().map(drop),
        _ => {}
    }
    let mut answers = TcpStream::connect(server).ok()?;
    let (mut from, mut to) = (client.try_clone().ok()?, answers.try_clone().ok()?);
    let number = {
        let mut heard = heard.lock().unwrap();
        heard.push(Vec::new());
        heard.len() - 1
    };
    let heard = heard.clone();
    thread::spawn(move || {
        let mut piece = [0; 8192];
        while let Ok(count @ 1..) = from.read(&mut piece) {
            // Kept before it is passed on: whoever got an answer finds here what it was an answer to.
            heard.lock().unwrap()[number].extend_from_slice(&piece[..count]);
            if to.write_all(&piece[..count]).is_err() {
                break;
            }
        }
        let _ = to.shutdown(Shutdown::Write);
    });
    let most = if kind == 2 { u64::from(most) } else { u64::MAX };
    let _ = std::io::copy(&mut (&mut answers).take(most), &mut client);
    let _ = client.shutdown(Shutdown::Both);
    let _ = answers.shutdown(Shutdown::Both);
    Some(())
}
