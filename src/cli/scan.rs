//! `unsprawl scan`: flags to a ready request, then the scan, its reports and its exit code.

use std::fs::File;
use std::io::{self, IsTerminal, Write};
use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::time::Duration;

use clap::builder::{PossibleValuesParser, TypedValueParser};

use super::progress;
use crate::exit::{ExitCode, FailOn};
use crate::model::{Confidence, Report};
use crate::pipeline::{self, Engine, History, Progress, Request, Since};
use crate::report::{self, Format, Style, summary};
use crate::rules::{self, Selection};
use crate::secret::Fingerprinter;
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
    /// Only these issuers or token types, as github or github.pat-classic (may be repeated)
    #[arg(long, value_name = "ISSUER[.TYPE]", value_delimiter = ',', help_heading = "Detection")]
    only: Vec<String>,
    /// Not these issuers or token types (may be repeated)
    #[arg(long, value_name = "ISSUER[.TYPE]", value_delimiter = ',', help_heading = "Detection")]
    skip: Vec<String>,

    /// Format of the report
    #[arg(long, short = 'f', value_enum, default_value_t, help_heading = "Report")]
    format: Format,
    /// Write the report to a file instead of standard output
    #[arg(long, short = 'o', value_name = "FILE", help_heading = "Report")]
    output: Option<PathBuf>,
    /// Write one more report, as sarif=report.sarif (may be repeated)
    #[arg(long, value_name = "FORMAT=FILE", value_parser = format_file, help_heading = "Report")]
    report: Vec<(Format, PathBuf)>,
    /// Show secrets in full: mind where the report goes
    #[arg(long, help_heading = "Report")]
    show_secrets: bool,
    /// Which findings make the exit code 1
    #[arg(long, value_enum, default_value_t, help_heading = "Report")]
    fail_on: FailOn,
    /// No summary and no progress on standard error
    #[arg(long, short = 'q', help_heading = "Report")]
    quiet: bool,
    /// Colours: on a terminal unless NO_COLOR is set, always, or never
    #[arg(long, value_name = "WHEN", default_value = "auto",
          value_parser = PossibleValuesParser::new(["auto", "always", "never"]).map(|s| s), help_heading = "Report")]
    color: String,
    /// File with a key of your own for fingerprints: without it, whoever can guess a secret can confirm the guess
    #[arg(long, value_name = "FILE", env = "UNSPRAWL_FINGERPRINT_KEY_FILE", help_heading = "Report")]
    fingerprint_key_file: Option<PathBuf>,
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

fn format_file(text: &str) -> Result<(Format, PathBuf), String> {
    let (format, file) = text.split_once('=').ok_or("give FORMAT=FILE, as sarif=report.sarif")?;
    let format = <Format as clap::ValueEnum>::from_str(format, true).map_err(|_| format!("`{format}` is no format"))?;
    if file.is_empty() {
        return Err("give a file after the `=`".into());
    }
    Ok((format, PathBuf::from(file)))
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

impl Args {
    fn request(&self) -> Result<Request, String> {
        let selection = Selection { only: self.only.clone(), skip: self.skip.clone(), confidence: self.confidence };
        let catalog = rules::load(&self.rules, &selection)
            .map_err(|faults| faults.iter().map(ToString::to_string).collect::<Vec<_>>().join("\nerror: "))?;
        let fingerprinter = match &self.fingerprint_key_file {
            None => Fingerprinter::default(),
            Some(path) => {
                let key = std::fs::read(path).map_err(|e| format!("{}: {e}", path.display()))?;
                let key = key.trim_ascii();
                if key.len() < 16 {
                    return Err(format!("{}: a fingerprint key needs 16 bytes or more", path.display()));
                }
                Fingerprinter::new(key)
            }
        };
        let limits = Limits::default();
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
        })
    }

    fn colors(&self, terminal: bool) -> bool {
        let no_color = std::env::var_os("NO_COLOR").is_some_and(|v| !v.is_empty());
        match self.color.as_str() {
            "always" => true,
            "never" => false,
            _ => terminal && !no_color && std::env::var_os("TERM").is_none_or(|t| t != "dumb"),
        }
    }
}

/// Runs the subcommand.
///
/// # Errors
/// When a report cannot be written.
pub fn run(args: &Args) -> io::Result<ExitCode> {
    let request = match args.request() {
        Ok(request) => request,
        Err(message) => {
            eprintln!("error: {message}");
            return Ok(ExitCode::Usage);
        }
    };
    // A report that cannot be written should fail before an hour of scanning, not after.
    let mut files = Vec::new();
    let main = args.output.as_ref().map(|path| (args.format, path.clone()));
    for (format, path) in main.iter().chain(&args.report) {
        let file = File::create(path).map_err(|e| io::Error::new(e.kind(), format!("{}: {e}", path.display())))?;
        files.push((*format, file));
    }
    let progress = Progress::default();
    let result = with_pool(args.jobs, || {
        let shown = !args.quiet && io::stderr().is_terminal();
        progress::shown(shown, &progress, || pipeline::scan(&request, &progress))
    })?;
    let report = match result {
        Ok(report) => report,
        Err(error) => {
            eprintln!("error: {error}");
            return Ok(ExitCode::Usage);
        }
    };
    write_all(args, &report, files)?;
    Ok(ExitCode::of(&report, args.fail_on))
}

fn with_pool<T: Send>(jobs: Option<u16>, work: impl FnOnce() -> T + Send) -> io::Result<T> {
    let threads = jobs.map_or(0, usize::from);
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().map_err(io::Error::other)?;
    Ok(pool.install(work))
}

fn write_all(args: &Args, report: &Report, files: Vec<(Format, File)>) -> io::Result<()> {
    let options = |color| report::Options { show_secrets: args.show_secrets, color, ..report::Options::default() };
    for (format, mut file) in files {
        report::write(format, report, &options(false), &mut file)?;
    }
    if args.output.is_none() {
        let mut out = io::stdout().lock();
        let color = args.colors(out.is_terminal());
        report::write(args.format, report, &options(color), &mut out)?;
        out.flush()?;
    }
    if !args.quiet {
        let style = Style::new(args.colors(io::stderr().is_terminal()));
        eprint!("{}", summary(report, style));
    }
    Ok(())
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
