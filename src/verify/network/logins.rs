//! Log-ins over the same network: the same guard, the same TLS, the same time limits.
//!
//! Contract: only if they are switched on, and only to hosts that the user named; a password goes in clear only to
//! loopback and to hosts that he named for that, too. Proxies for HTTP do not carry them, so with one there are none.

use std::sync::Arc;

use tokio::net::TcpStream;

use super::Network;
use crate::verify::endpoints::allowed;
use crate::verify::login::{self, Dial};
use crate::verify::transport::{Answer, Failure, LogIn};

/// Log-ins that are not HTTP.
#[derive(Clone, Debug, Default)]
pub struct LogIns {
    /// They are made.
    pub on: bool,
    /// Hosts at which they are made.
    pub hosts: Vec<String>,
    /// Hosts to which a password may go without TLS.
    pub plain: Vec<String>,
}

impl Network {
    /// Tries a log-in.
    ///
    /// # Errors
    /// [`Failure`].
    pub(super) async fn log_in(&self, request: &LogIn) -> Result<Answer, Failure> {
        let refused = |why: String| Err(Failure::Refused(why));
        let log_ins = &self.options.log_ins;
        if !log_ins.on {
            return refused("log-ins are only made with --verify-databases".into());
        }
        let host = request.value("host").to_ascii_lowercase();
        if !host.is_empty() && !allowed(&log_ins.hosts, &host) {
            return refused(format!("its host was read from scanned text: --allow-host {host} lets it be asked"));
        }
        if self.options.proxy.is_some() {
            return refused("log-ins do not go through a proxy".into());
        }
        let made = login::ask(self, request);
        tokio::time::timeout(self.options.within, made).await.unwrap_or(Err(Failure::TimedOut))
    }
}

impl Dial for Network {
    async fn dial(&self, host: &str, port: u16) -> Result<TcpStream, Failure> {
        let addresses = self.options.guard.sockets(host, port, self.options.allow_internal).await?;
        // One of `addresses` after the other.
        let connecting = TcpStream::connect(&addresses[..]);
        match tokio::time::timeout(self.options.connect_within, connecting).await {
            Ok(Ok(stream)) => Ok(stream),
            Ok(Err(error)) => Err(Failure::Unreachable(format!("cannot connect: {}", error.kind()))),
            Err(_) => Err(Failure::Unreachable("cannot connect: no answer in time".into())),
        }
    }

    fn tls(&self) -> Arc<rustls::ClientConfig> {
        self.tls.clone()
    }

    fn plain(&self, host: &str) -> bool {
        allowed(&self.options.log_ins.plain, &host.to_ascii_lowercase())
    }
}
