//! `-v`: what is done, on standard error.
//!
//! Contract: only what this crate says, which never holds a secret: what libraries log is dropped, at any verbosity.

use tracing::{Level, Metadata, Subscriber};
use tracing_subscriber::layer::{Context, Filter, SubscriberExt};
use tracing_subscriber::{Layer, Registry, fmt};

/// Lets our own through, up to a level.
struct Ours(Level);

impl<S: Subscriber> Filter<S> for Ours {
    fn enabled(&self, meta: &Metadata<'_>, _: &Context<'_, S>) -> bool {
        let ours = meta.target() == "unsprawl" || meta.target().starts_with("unsprawl::");
        ours && *meta.level() <= self.0
    }
}

/// Starts logging: warnings, with 1 verdicts and the like, with 2 every request, with 3 everything.
pub(super) fn start(verbosity: u8) {
    let level = match verbosity {
        0 => Level::WARN,
        1 => Level::INFO,
        2 => Level::DEBUG,
        _ => Level::TRACE,
    };
    let lines = fmt::layer().with_writer(std::io::stderr).with_ansi(false).with_target(false).without_time();
    let registry = Registry::default().with(lines.with_filter(Ours(level)));
    // Fails only if logging was started before, by a program that uses this library.
    let _ = tracing::subscriber::set_global_default(registry);
}
