//! `unsprawl verify` and `unsprawl whois`: about credentials that the user has in his hands, or those of an earlier report.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::output::Output;
use super::{asking, logging, owning};
use crate::config;
use crate::exit::ExitCode;
use crate::notes::Notes;
use crate::pipeline::asking::{Asking, Mode};
use crate::pipeline::owning::Owning;
use crate::pipeline::{self, reread, single};
use crate::report::read;
use crate::rules::{Selection, SharedCatalog};
use crate::store;

/// The longest text that is taken for a credential.
const LONGEST: u64 = 1 << 20;

/// What both take.
#[derive(Debug, clap::Args)]
struct Input {
    /// Standard input (-), or a JSON report of an earlier scan, whose values are read again from their places
    ///
    /// A credential itself is refused here: others see the command line.
    #[arg(value_name = "-|REPORT.json", required_unless_present = "file")]
    input: Option<PathBuf>,
    /// A file with the credential in it
    #[arg(long, value_name = "FILE", conflicts_with = "input")]
    file: Option<PathBuf>,
    /// What it is, as github.pat-classic; without it the catalog tells
    #[arg(long, value_name = "ISSUER.TYPE")]
    r#type: Option<String>,
    /// Rule files or folders of your own, as for `scan`
    #[arg(long, value_name = "PATH")]
    rules: Vec<PathBuf>,
}

/// Arguments of `unsprawl verify`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    input: Input,
    #[command(flatten)]
    asking: asking::Flags,
    #[command(flatten)]
    owning: owning::OwnerFlags,
    #[command(flatten)]
    output: Output,
}

/// Arguments of `unsprawl whois`.
#[derive(Debug, clap::Args)]
pub struct Whois {
    #[command(flatten)]
    input: Input,
    /// Configuration file [default: unsprawl/unsprawl.toml in the XDG configuration folder]
    #[arg(long, value_name = "FILE", env = "UNSPRAWL_CONFIG")]
    config: Option<PathBuf>,
    #[command(flatten)]
    owning: owning::OwnerFlags,
    #[command(flatten)]
    output: Output,
}

/// Runs `unsprawl verify`.
///
/// # Errors
/// When a report cannot be written.
pub fn run(args: &Args) -> io::Result<ExitCode> {
    logging::start(args.output.verbose);
    with_catalog(&args.input, |catalog| {
        let asking = args.asking.asking(catalog)?;
        let owning = args.owning.owning(args.asking.loaded()?, asking.state.as_deref())?;
        work(&args.input, &args.output, (&args.owning, &owning), catalog, &asking)
    })
}

/// Runs `unsprawl whois`.
///
/// # Errors
/// When a report cannot be written.
pub fn whois(args: &Whois) -> io::Result<ExitCode> {
    logging::start(args.output.verbose);
    // Without a store and a network, only the token itself is left to tell.
    let asking = Asking { mode: Mode::Offline, ..Asking::default() };
    with_catalog(&args.input, |catalog| {
        let env = |name: &str| std::env::var(name).ok();
        let loaded = config::load(args.config.as_deref(), env).map_err(|fault| fault.to_string())?;
        // Nobody is asked, but what directories said to an earlier run still counts.
        let owning = args.owning.owning(&loaded, store::default_path(env).as_deref())?;
        work(&args.input, &args.output, (&args.owning, &owning), catalog, &asking)
    })
}

fn with_catalog(
    input: &Input,
    work: impl FnOnce(&SharedCatalog) -> Result<io::Result<ExitCode>, String>,
) -> io::Result<ExitCode> {
    let selection = Selection::default();
    let loaded = super::catalog(&input.rules, &selection);
    loaded.and_then(|catalog| work(&catalog)).unwrap_or_else(|message| {
        eprintln!("error: {message}");
        Ok(ExitCode::Usage)
    })
}

fn work(
    input: &Input,
    output: &Output,
    (flags, owning): (&owning::OwnerFlags, &Owning),
    catalog: &SharedCatalog,
    asking: &Asking,
) -> Result<io::Result<ExitCode>, String> {
    let fingerprinter = output.fingerprinter()?;
    let files = match output.open() {
        Ok(files) => files,
        Err(e) => return Ok(Err(e)),
    };
    let notes = Arc::new(Notes::default());
    let begun = std::time::Instant::now();
    let mut report = match source(input)? {
        Source::Report(path) => {
            let file = File::open(&path).map_err(|e| format!("{}: {e}", path.display()))?;
            let mut report = read(file).map_err(|e| format!("{} {e}", path.display()))?;
            let withheld = report.findings.iter().filter(|f| f.secret.is_withheld()).count();
            let found = reread::values(&mut report, catalog, &fingerprinter, &notes);
            if found < withheld && !output.quiet {
                eprintln!("{} of {withheld} values could not be read again", withheld - found);
            }
            report
        }
        Source::Text(text) => single::find(&text, input.r#type.as_deref(), catalog, &fingerprinter, &notes)?,
    };
    pipeline::asking::check(&mut report.findings, catalog, asking, &notes);
    pipeline::owning::own(&mut report, catalog, owning, asking, &notes)?;
    report.totals.millis = begun.elapsed().as_millis() as u64;
    let (more, counts) = notes.take();
    report.notes.extend(more);
    report.add_counts(counts);
    flags.hide(&mut report, &mut [], &fingerprinter);
    Ok(output.write(&report, false, files).map(|()| ExitCode::of(&report, output.fail_on)))
}

/// Where credentials come from.
enum Source {
    Text(Vec<u8>),
    Report(PathBuf),
}

fn source(input: &Input) -> Result<Source, String> {
    let read = |from: &mut dyn Read, name: &dyn std::fmt::Display| {
        let mut text = Vec::new();
        from.take(LONGEST + 1).read_to_end(&mut text).map_err(|e| format!("{name}: {e}"))?;
        if text.len() as u64 > LONGEST {
            Err(format!("{name}: longer than 1 MiB; `scan` takes it"))
        } else {
            Ok(Source::Text(text))
        }
    };
    if let Some(path) = &input.file {
        let mut file = File::open(path).map_err(|e| format!("{}: {e}", path.display()))?;
        return read(&mut file, &path.display());
    }
    match &input.input {
        Some(path) if path != Path::new("-") => {
            // Not shown: it may be a credential.
            if path.is_file() {
                Ok(Source::Report(path.clone()))
            } else {
                Err("give - for standard input, --file FILE, or a report; a credential on the command line is refused, because others see it there and shells keep it".into())
            }
        }
        _ => read(&mut io::stdin().lock(), &"standard input"),
    }
}
