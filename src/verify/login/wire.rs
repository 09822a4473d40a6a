//! A connection to a hostile server: bytes in and out, with TLS when it is time for it.
//!
//! Contract: never reads more than [`MOST`] bytes in all, never more than was asked for past a TLS start, and sends
//! nothing that is secret while neither TLS is on nor clear text allowed ([`Wire::safe`]).

use std::sync::Arc;

use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio_rustls::TlsConnector;

use super::{Told, Trouble, unclear};
use crate::verify::transport::Failure;

/// Most bytes that one log-in reads.
pub const MOST: usize = 256 << 10;

/// What a connection is.
pub trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send> Stream for T {}

/// One connection.
pub struct Wire {
    stream: Option<Box<dyn Stream>>,
    /// Bytes that were read and not used yet.
    buffer: Vec<u8>,
    left: usize,
    host: String,
    tls: Option<Arc<ClientConfig>>,
    plain: bool,
    encrypted: bool,
}

impl Wire {
    /// Over a stream; `plain`: clear text is allowed.
    pub fn new(stream: impl Stream + 'static, host: &str, tls: Arc<ClientConfig>, plain: bool) -> Self {
        Self {
            stream: Some(Box::new(stream)),
            buffer: Vec::new(),
            left: MOST,
            host: host.trim_start_matches('[').trim_end_matches(']').to_owned(),
            tls: Some(tls),
            plain,
            encrypted: false,
        }
    }

    /// Without TLS, for bytes that play a server.
    pub fn in_clear(stream: impl Stream + 'static) -> Self {
        Self {
            stream: Some(Box::new(stream)),
            buffer: Vec::new(),
            left: MOST,
            host: String::new(),
            tls: None,
            plain: true,
            encrypted: false,
        }
    }

    /// Whether clear text is allowed.
    pub fn plain_allowed(&self) -> bool {
        self.plain
    }

    /// Whether TLS is on.
    pub fn encrypted(&self) -> bool {
        self.encrypted
    }

    /// Fails where a password must not be sent.
    pub(super) fn safe(&self) -> Told<()> {
        match self.encrypted || self.plain {
            true => Ok(()),
            false => {
                unclear("the server offers no TLS, and a password goes in clear only to hosts that you allow it for")
            }
        }
    }

    /// Starts TLS. What the server sent ahead of it in clear is not believed.
    pub(super) async fn secure(&mut self) -> Told<()> {
        let (Some(tls), true) = (self.tls.clone(), self.buffer.is_empty()) else {
            return unclear("the server speaks before TLS has begun");
        };
        let Ok(name) = ServerName::try_from(self.host.clone()) else {
            return unclear("its host is no name that TLS can check");
        };
        let Some(stream) = self.stream.take() else { return unclear("the connection is over") };
        match TlsConnector::from(tls).connect(name, stream).await {
            Ok(stream) => {
                self.stream = Some(Box::new(stream));
                self.encrypted = true;
                Ok(())
            }
            Err(error) => unclear(format!("TLS fails: {error}")),
        }
    }

    /// Sends bytes.
    pub(super) async fn send(&mut self, bytes: &[u8]) -> Told<()> {
        let stream = self.stream.as_mut().ok_or_else(closed)?;
        stream.write_all(bytes).await.map_err(broken)?;
        stream.flush().await.map_err(broken)
    }

    /// Exactly so many bytes.
    pub(super) async fn exact(&mut self, count: usize) -> Told<Vec<u8>> {
        while self.buffer.len() < count {
            // Only what is missing, so that nothing behind a TLS start is swallowed.
            self.fill(count - self.buffer.len()).await?;
        }
        let rest = self.buffer.split_off(count);
        Ok(std::mem::replace(&mut self.buffer, rest))
    }

    /// A line without its end.
    pub(super) async fn line(&mut self) -> Told<String> {
        loop {
            if let Some(end) = self.buffer.iter().position(|b| *b == b'\n') {
                let rest = self.buffer.split_off(end + 1);
                let line = std::mem::replace(&mut self.buffer, rest);
                return Ok(String::from_utf8_lossy(&line).trim_end_matches(['\r', '\n']).to_owned());
            }
            if self.buffer.len() > 8192 {
                return unclear("the server sends a line without an end");
            }
            self.fill(512).await?;
        }
    }

    /// Reads up to so many bytes more.
    async fn fill(&mut self, most: usize) -> Told<()> {
        let most = most.min(16 << 10).min(self.left);
        if most == 0 {
            return unclear("the server sends too much");
        }
        let mut piece = vec![0; most];
        let stream = self.stream.as_mut().ok_or_else(closed)?;
        let count = stream.read(&mut piece).await.map_err(broken)?;
        if count == 0 {
            return Err(closed());
        }
        self.left -= count;
        self.buffer.extend_from_slice(&piece[..count]);
        Ok(())
    }
}

fn closed() -> Trouble {
    Trouble::Failed(Failure::Broken("the server closed the connection".into()))
}

fn broken(error: std::io::Error) -> Trouble {
    Trouble::Failed(Failure::Broken(error.kind().to_string()))
}

/// Reads numbers and strings from a message, with bounds.
pub struct Reader<'a>(pub &'a [u8]);

impl<'a> Reader<'a> {
    /// So many bytes.
    pub fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (head, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(head)
    }

    /// One byte.
    pub fn u8(&mut self) -> Option<u8> {
        self.take(1).map(|b| b[0])
    }

    /// Up to a zero byte, which is dropped.
    pub fn zero_ended(&mut self) -> Option<&'a [u8]> {
        let end = self.0.iter().position(|b| *b == 0)?;
        let text = self.take(end)?;
        self.take(1)?;
        Some(text)
    }

    /// Big-endian number of so many bytes.
    pub fn big(&mut self, count: usize) -> Option<u64> {
        Some(self.take(count)?.iter().fold(0, |n, b| n << 8 | u64::from(*b)))
    }

    /// Little-endian number of so many bytes.
    pub fn little(&mut self, count: usize) -> Option<u64> {
        Some(self.take(count)?.iter().rev().fold(0, |n, b| n << 8 | u64::from(*b)))
    }
}
