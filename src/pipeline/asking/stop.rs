//! What ends the checks early: Ctrl-C, a termination signal, the time.
//!
//! Contract: the first signal stops asking, and the report is still written; the next one ends the process at once.

use std::time::Duration;

use tokio::runtime::Runtime;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// Why the checks ended early.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::pipeline) enum Stopped {
    /// A signal.
    Signal,
    /// The time is over.
    Time,
}

/// Listens from when it is made.
#[derive(Debug)]
pub(in crate::pipeline) struct Stop {
    interrupt: Option<Signal>,
    terminate: Option<Signal>,
}

impl Stop {
    /// Within a runtime.
    pub fn new(runtime: &Runtime) -> Self {
        let _entered = runtime.enter();
        Self { interrupt: signal(SignalKind::interrupt()).ok(), terminate: signal(SignalKind::terminate()).ok() }
    }

    /// Waits for the first reason to stop.
    pub async fn wait(&mut self, within: Duration) -> Stopped {
        tokio::select! {
            () = next(&mut self.interrupt) => Stopped::Signal,
            () = next(&mut self.terminate) => Stopped::Signal,
            () = tokio::time::sleep(within) => Stopped::Time,
        }
    }

    /// Gives the runtime to a thread of its own: signals end the process again, and a look-up that hangs in the system's
    /// resolver holds nobody up.
    pub fn leave(mut self, runtime: Runtime) {
        std::thread::spawn(move || {
            let code = runtime.block_on(async {
                tokio::select! {
                    () = next(&mut self.interrupt) => 130,
                    () = next(&mut self.terminate) => 143,
                }
            });
            std::process::exit(code);
        });
    }
}

async fn next(signal: &mut Option<Signal>) {
    match signal {
        Some(signal) => drop(signal.recv().await),
        None => std::future::pending().await,
    }
}
