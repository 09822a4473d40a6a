//! HTTP servers on loopback addresses that answer as a test says, misbehave as it says, and remember what they were asked.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// One request as it came.
#[derive(Clone, Debug)]
pub struct Seen {
    pub method: String,
    /// Path and query.
    pub target: String,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    /// The address it was sent to.
    pub to: SocketAddr,
    /// Which connection, from 0.
    pub connection: usize,
}

impl Seen {
    pub fn header(&self, name: &str) -> &str {
        self.headers.iter().find(|(n, _)| n == name).map_or("", |(_, v)| v)
    }

    pub fn path(&self) -> &str {
        self.target.split('?').next().unwrap()
    }
}

/// What the server does.
pub enum Act {
    /// Sends these bytes and keeps the connection.
    Raw(Vec<u8>),
    /// Sends these bytes and closes.
    Close(Vec<u8>),
    /// Says nothing until the server stops.
    Hang,
    /// Sends these bytes, then one every 20 ms, without end.
    Trickle(Vec<u8>),
    /// Sends these bytes again and again, without end.
    Flood(Vec<u8>),
}

/// A whole reply.
pub fn reply(status: u16, headers: &[(&str, &str)], body: impl AsRef<[u8]>) -> Act {
    let body = body.as_ref();
    let mut out = format!("HTTP/1.1 {status} X\r\ncontent-length: {}\r\n", body.len());
    for (name, value) in headers {
        out.push_str(&format!("{name}: {value}\r\n"));
    }
    let mut out = (out + "\r\n").into_bytes();
    out.extend_from_slice(body);
    Act::Raw(out)
}

/// A reply with a JSON body.
pub fn json(status: u16, body: serde_json::Value) -> Act {
    reply(status, &[("content-type", "application/json")], body.to_string())
}

type Handler = dyn Fn(&Seen) -> Act + Send + Sync;

/// A running server; gone when dropped.
pub struct Http {
    pub port: u16,
    pub connections: Arc<AtomicUsize>,
    address: SocketAddr,
    seen: Arc<Mutex<Vec<Seen>>>,
    stop: Arc<AtomicBool>,
}

impl Http {
    /// On 127.0.0.1.
    pub fn start(handler: impl Fn(&Seen) -> Act + Send + Sync + 'static) -> Self {
        Self::on("127.0.0.1:0", handler)
    }

    /// On an address; port 0 for any.
    pub fn on(address: &str, handler: impl Fn(&Seen) -> Act + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind(address).unwrap();
        let address = listener.local_addr().unwrap();
        let (seen, connections, stop) = <(Arc<Mutex<Vec<Seen>>>, Arc<AtomicUsize>, Arc<AtomicBool>)>::default();
        let server = Self {
            port: address.port(),
            connections: connections.clone(),
            address,
            seen: seen.clone(),
            stop: stop.clone(),
        };
        let handler: Arc<Handler> = Arc::new(handler);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                if stop.load(SeqCst) {
                    return;
                }
                let Ok(stream) = stream else { continue };
                let connection = connections.fetch_add(1, SeqCst);
                let (handler, seen, stop) = (handler.clone(), seen.clone(), stop.clone());
                std::thread::spawn(move || serve(stream, connection, &*handler, &seen, &stop));
            }
        });
        server
    }

    /// `http://127.0.0.1:PORT`
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }
}

impl Drop for Http {
    fn drop(&mut self) {
        self.stop.store(true, SeqCst);
        let _ = TcpStream::connect(self.address);
    }
}

fn serve(stream: TcpStream, connection: usize, handler: &Handler, seen: &Mutex<Vec<Seen>>, stop: &AtomicBool) {
    let Ok(to) = stream.local_addr() else { return };
    let Ok(mut out) = stream.try_clone() else { return };
    let mut input = BufReader::new(stream);
    while let Some(request) = read(&mut input, to, connection) {
        let act = handler(&request);
        seen.lock().unwrap().push(request);
        let pause = |millis| std::thread::sleep(Duration::from_millis(millis));
        let sent = match act {
            Act::Raw(bytes) => out.write_all(&bytes).is_ok(),
            Act::Close(bytes) => {
                let _ = out.write_all(&bytes);
                return;
            }
            Act::Hang => {
                while !stop.load(SeqCst) {
                    pause(10);
                }
                return;
            }
            Act::Trickle(bytes) => {
                let mut open = out.write_all(&bytes).is_ok();
                while open && !stop.load(SeqCst) {
                    pause(20);
                    open = out.write_all(b"x").is_ok();
                }
                return;
            }
            Act::Flood(bytes) => {
                while !stop.load(SeqCst) && out.write_all(&bytes).is_ok() {}
                return;
            }
        };
        if !sent {
            return;
        }
    }
}

fn read(input: &mut BufReader<TcpStream>, to: SocketAddr, connection: usize) -> Option<Seen> {
    let mut line = String::new();
    input.read_line(&mut line).ok().filter(|n| *n > 0)?;
    let mut words = line.split(' ').map(str::to_owned);
    let (method, target) = (words.next()?, words.next()?);
    let mut headers = Vec::new();
    loop {
        let mut line = String::new();
        input.read_line(&mut line).ok().filter(|n| *n > 0)?;
        let Some((name, value)) = line.trim_end().split_once(':') else { break };
        headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
    let length = headers.iter().find(|(n, _)| n == "content-length").and_then(|(_, v)| v.parse().ok()).unwrap_or(0);
    let mut body = vec![0; length];
    input.read_exact(&mut body).ok()?;
    Some(Seen { method, target, headers, body, to, connection })
}
