//! `unsprawl scan`: flags to a ready request, then the scan, its reports and its exit code.

use std::io::{self, IsTerminal};
use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::output::Output;
use super::{asking, logging, owning, progress};
use crate::exit::ExitCode;
use crate::model::Confidence;
use crate::pipeline::{self, Engine, History, Progress, Request, Since};
use crate::rules::Selection;
use crate::source::Limits;
use crate::source::files::Filter;

/// Arguments of `unsprawl scan`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Files, folders, git work trees, bare repositories, clone URLs (https, ssh, file), or - for standard input
    #[arg(value_name = "TARGET", default_value = ".")]
    targets: Vec<String>,

    /// How much of a repository's history to scan
    #[arg(long, value_enum, default_value_t, help_heading = "Git")]
    history: History,
    /// Only what is new since a date (2026-01-31, 2026-01-31T12:00:00Z) or since a revision
    #[arg(long, value_name = "DATE|REV", help_heading = "Git")]
    since: Option<String>,
    /// Only history that this revision reaches
    #[arg(long, value_name = "REV", help_heading = "Git")]
    branch: Option<String>,
    /// Keep clones of URL targets in this folder
    #[arg(long, value_name = "DIR", help_heading = "Git")]
    keep_clone: Option<PathBuf>,
    /// Memory for decoded git objects, as 512M or 2G
    #[arg(long, value_name = "BYTES", default_value = "256M", value_parser = bytes, help_heading = "Git")]
    memory: u64,
    #[arg(long, value_enum, default_value_t, hide = true)]
    engine: Engine,

    /// Scan files that .gitignore leaves out, too
    #[arg(long, help_heading = "Files")]
    no_ignore: bool,
    /// Leave out files that fit this glob (may be repeated)
    #[arg(long, value_name = "GLOB", help_heading = "Files")]
    exclude: Vec<String>,
    /// Scan only files that fit this glob (may be repeated)
    #[arg(long, value_name = "GLOB", help_heading = "Files")]
    include: Vec<String>,
    /// Leave out larger files, as 10M or 1G
    #[arg(long, value_name = "BYTES", value_parser = bytes, help_heading = "Files")]
    max_file_size: Option<u64>,
    /// Threads; all cores if not given
    #[arg(long, short = 'j', value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024), help_heading = "Files")]
    jobs: Option<u16>,

    /// Least confidence to report
    #[arg(long, value_enum, default_value_t = Confidence::Medium, help_heading = "Detection")]
    confidence: Confidence,
    /// Rule files or folders of your own: they add issuers, or replace those of the same id
    #[arg(long, value_name = "PATH", help_heading = "Detection")]
    rules: Vec<PathBuf>,
    /// Only these issuers or token types, as github or github.pat-classic, or only findings of these validities, as
    /// active,unknown (may be repeated)
    #[arg(long, value_name = "ISSUER[.TYPE]|VALIDITY", value_delimiter = ',', help_heading = "Detection")]
    only: Vec<String>,
    /// Not these issuers or token types (may be repeated)
    #[arg(long, value_name = "ISSUER[.TYPE]", value_delimiter = ',', help_heading = "Detection")]
    skip: Vec<String>,

    #[command(flatten)]
    asking: asking::Flags,

    #[command(flatten)]
    owning: owning::OwnerFlags,

    #[command(flatten)]
    output: Output,

    /// Order of the findings
    #[arg(long, value_enum, default_value_t, help_heading = "Report")]
    sort: Sort,
}

/// Orders of findings.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
enum Sort {
    /// Most certain first
    #[default]
    Confidence,
    /// Most urgent first
    Severity,
}

/// `10`, `10k`, `10M`, `1.5G`: bytes in powers of 1024.
fn bytes(text: &str) -> Result<u64, String> {
    let lower = text.to_ascii_lowercase();
    let lower = lower.trim_end_matches("ib").trim_end_matches('b');
    let (number, shift) = match lower.chars().last() {
        Some('k') => (&lower[..lower.len() - 1], 10),
        Some('m') => (&lower[..lower.len() - 1], 20),
        Some('g') => (&lower[..lower.len() - 1], 30),
        Some('t') => (&lower[..lower.len() - 1], 40),
        _ => (lower, 0),
    };
    match number.trim().parse::<f64>() {
        Ok(n) if n >= 0.0 && n.is_finite() => Ok((n * (1u64 << shift) as f64) as u64),
        _ => Err("give a size as 800k, 512M or 2G".into()),
    }
}

/// A date, a date and time, or else a revision.
fn since(text: &str) -> Since {
    let timestamp = text.parse::<jiff::Timestamp>().ok();
    // Without an offset, and a date alone, it is UTC.
    let civil = || jiff::tz::TimeZone::UTC.to_timestamp(text.parse::<jiff::civil::DateTime>().ok()?).ok();
    match timestamp.or_else(civil) {
        Some(time) => Since::Date(time.as_second()),
        None => Since::Revision(text.to_owned()),
    }
}

/// Validities and other names of `--only`: no issuer is called by one of these words.
fn only(names: &[String]) -> (Vec<String>, Vec<String>) {
    names.iter().cloned().partition(|name| matches!(name.as_str(), "active" | "inactive" | "unknown"))
}

impl Args {
    fn request(&self) -> Result<Request, String> {
        let (only_validities, only) = only(&self.only);
        let selection = Selection { only, skip: self.skip.clone(), confidence: self.confidence };
        let catalog = super::catalog(&self.rules, &selection)?;
        let fingerprinter = self.output.fingerprinter()?;
        let limits = Limits::default();
        let asking = self.asking.asking(&catalog)?;
        let owning = self.owning.owning(self.asking.loaded()?, asking.state.as_deref())?;
        Ok(Request {
            targets: self.targets.clone(),
            history: self.history,
            since: self.since.as_deref().map(since),
            branch: self.branch.clone(),
            catalog,
            confidence: self.confidence,
            limits: Limits { file_size: self.max_file_size.unwrap_or(limits.file_size), ..limits },
            filter: Filter::new(&self.include, &self.exclude)?,
            no_ignore: self.no_ignore,
            memory: self.memory,
            engine: self.engine,
            keep_clone: self.keep_clone.clone(),
            fingerprinter,
            asking,
            owning: Some(owning),
            validities: only_validities,
        })
    }
}

/// Runs the subcommand.
///
/// # Errors
/// When a report cannot be written.
pub fn run(args: &Args) -> io::Result<ExitCode> {
    logging::start(args.output.verbose);
    let request = match args.request() {
        Ok(request) => request,
        Err(message) => {
            eprintln!("error: {message}");
            return Ok(ExitCode::Usage);
        }
    };
    let files = args.output.open()?;
    let progress = Progress::default();
    let result = with_pool(args.jobs, || {
        let shown = !args.output.quiet && io::stderr().is_terminal();
        progress::shown(shown, &progress, || pipeline::scan(&request, &progress))
    })?;
    let mut report = match result {
        Ok(report) => report,
        Err(error) => {
            eprintln!("error: {error}");
            return Ok(ExitCode::Usage);
        }
    };
    args.owning.hide(&mut report, &mut [], &request.fingerprinter);
    args.output.write(&report, args.sort == Sort::Severity, files)?;
    Ok(ExitCode::of(&report, args.output.fail_on))
}

fn with_pool<T: Send>(jobs: Option<u16>, work: impl FnOnce() -> T + Send) -> io::Result<T> {
    let threads = jobs.map_or(0, usize::from);
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().map_err(io::Error::other)?;
    Ok(pool.install(work))
}

/// How often the progress bar is drawn.
pub(super) const TICK: Duration = Duration::from_millis(100);

/// Reads a counter.
pub(super) fn load(counter: &std::sync::atomic::AtomicU64) -> u64 {
    counter.load(Ordering::Relaxed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        assert_eq!(bytes("10"), Ok(10));
        assert_eq!(bytes("1.5k"), Ok(1536));
        assert_eq!(bytes("2GiB"), Ok(2 << 30));
        assert!(bytes("many").is_err());
        assert!(bytes("-1").is_err());
    }

    #[test]
    fn dates_are_told_from_revisions() {
        assert_eq!(since("1970-01-02"), Since::Date(86400));
        assert_eq!(since("1970-01-01T00:01:00Z"), Since::Date(60));
        assert_eq!(since("1970-01-01T00:01"), Since::Date(60));
        assert_eq!(since("v1.2"), Since::Revision("v1.2".into()));
        assert_eq!(since("20260101"), Since::Date(1_767_225_600));
    }
}
