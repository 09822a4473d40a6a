//! `unsprawl owners` and `unsprawl offboard`: credentials by the people they belong to.

use std::fs::File;
use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::Arc;

use super::inputs::{Inputs, gathered};
use super::{asking, logging, owning};
use crate::exit::ExitCode;
use crate::model::{Confidence, Report};
use crate::notes::Notes;
use crate::pipeline;
use crate::report::{self, Options, PeopleFormat, Whose};
use crate::rules::Selection;
use crate::secret::Fingerprinter;

/// What both take.
#[derive(Debug, clap::Args)]
struct Common {
    /// Least confidence that counts
    #[arg(long, value_enum, default_value_t = Confidence::Medium)]
    confidence: Confidence,
    /// Rule files or folders of your own, as for `scan`
    #[arg(long, value_name = "PATH")]
    rules: Vec<PathBuf>,
    #[command(flatten)]
    asking: asking::Flags,
    #[command(flatten)]
    owning: owning::OwnerFlags,
    /// Format of the list
    #[arg(long, short = 'f', value_enum, default_value_t, help_heading = "Report")]
    format: PeopleFormat,
    /// Write the list to a file instead of standard output
    #[arg(long, short = 'o', value_name = "FILE", help_heading = "Report")]
    output: Option<PathBuf>,
    /// Nothing on standard error but errors
    #[arg(long, short = 'q', help_heading = "Report")]
    quiet: bool,
    /// Tell on standard error what is done; never a secret
    #[arg(long, short = 'v', action = clap::ArgAction::Count, help_heading = "Report")]
    verbose: u8,
    /// File with a key of your own for fingerprints and pseudonyms
    #[arg(long, value_name = "FILE", env = "UNSPRAWL_FINGERPRINT_KEY_FILE", help_heading = "Report")]
    fingerprint_key_file: Option<PathBuf>,
}

/// Arguments of `unsprawl owners`.
#[derive(Debug, clap::Args)]
pub struct Owners {
    /// What `scan` takes, or JSON reports of earlier scans: what they hold is asked about again where its value can be read again, and
    /// keeps its verdict where not
    #[arg(value_name = "TARGET|REPORT.json", default_value = ".")]
    inputs: Vec<String>,
    #[command(flatten)]
    common: Common,
}

/// Arguments of `unsprawl offboard`.
#[derive(Debug, clap::Args)]
pub struct Offboard {
    /// E-mail address or log-in name
    #[arg(value_name = "PERSON")]
    person: String,
    /// What `scan` takes, or JSON reports of earlier scans, as for `owners`
    #[arg(value_name = "TARGET|REPORT.json", required = true)]
    inputs: Vec<String>,
    #[command(flatten)]
    common: Common,
}

/// Runs `unsprawl owners`.
///
/// # Errors
/// When the list cannot be written.
pub fn owners(args: &Owners) -> io::Result<ExitCode> {
    finish(&args.common, &args.inputs, None)
}

/// Runs `unsprawl offboard`.
///
/// # Errors
/// When the list cannot be written.
pub fn offboard(args: &Offboard) -> io::Result<ExitCode> {
    finish(&args.common, &args.inputs, Some(&args.person))
}

fn finish(common: &Common, inputs: &[String], person: Option<&str>) -> io::Result<ExitCode> {
    logging::start(common.verbose);
    let work = || -> Result<(Report, Whose, Fingerprinter), String> {
        let selection = Selection { confidence: common.confidence, ..Selection::default() };
        let catalog = super::catalog(&common.rules, &selection)?;
        let key = super::output::fingerprinter(common.fingerprint_key_file.as_deref())?;
        let asking = common.asking.asking(&catalog)?;
        let owning = common.owning.owning(common.asking.loaded()?, asking.state.as_deref())?;
        let whose = match person {
            None => Whose::Owners,
            Some(name) => {
                let (person, remarks) = pipeline::owning::person(name, &owning, &asking)?;
                for remark in remarks.iter().filter(|_| !common.quiet) {
                    eprintln!("note: {}", crate::notes::printable(remark.as_bytes()));
                }
                Whose::One(Box::new(person))
            }
        };
        let (confidence, quiet) = (common.confidence, common.quiet);
        let inputs = Inputs { named: inputs, catalog: &catalog, key: &key, confidence, verdicts: true, quiet };
        let mut report = gathered(&inputs)?;
        let notes = Arc::new(Notes::default());
        pipeline::asking::check(&mut report.findings, &catalog, &asking, &notes);
        pipeline::owning::own(&mut report, &catalog, &owning, &asking, &notes)?;
        let (more, counts) = notes.take();
        report.notes.extend(more);
        report.add_counts(counts);
        Ok((report, whose, key))
    };
    let (mut report, mut whose, key) = match work() {
        Ok(done) => done,
        Err(message) => {
            eprintln!("error: {message}");
            return Ok(ExitCode::Usage);
        }
    };
    let active = report::any_active(&report, &whose);
    let besides = match &mut whose {
        Whose::Owners => &mut [][..],
        Whose::One(person) => std::slice::from_mut(&mut **person),
    };
    common.owning.hide(&mut report, besides, &key);
    write(common, &report, &whose)?;
    Ok(match (report.complete(), active) {
        (false, _) => ExitCode::Incomplete,
        (true, true) if person.is_some() => ExitCode::Findings,
        (true, _) => ExitCode::Clean,
    })
}

fn write(common: &Common, report: &Report, whose: &Whose) -> io::Result<()> {
    let options = Options::default();
    match &common.output {
        Some(path) => {
            let mut file =
                File::create(path).map_err(|e| io::Error::new(e.kind(), format!("{}: {e}", path.display())))?;
            report::write_people(common.format, report, whose, &options, &mut file)
        }
        None => {
            let mut out = io::stdout().lock();
            report::write_people(common.format, report, whose, &options, &mut out)?;
            out.flush()
        }
    }
}
