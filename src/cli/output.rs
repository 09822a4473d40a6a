//! Flags on reports, which several subcommands share.

use std::fs::File;
use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};

use clap::builder::{PossibleValuesParser, TypedValueParser};

use crate::exit::FailOn;
use crate::model::Report;
use crate::report::{self, Format, Style, summary};
use crate::secret::Fingerprinter;

/// The flags.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Report")]
pub struct Output {
    /// Format of the report
    #[arg(long, short = 'f', value_enum, default_value_t)]
    pub format: Format,
    /// Write the report to a file instead of standard output
    #[arg(long, short = 'o', value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Write one more report, as sarif=report.sarif (may be repeated)
    #[arg(long, value_name = "FORMAT=FILE", value_parser = format_file)]
    pub report: Vec<(Format, PathBuf)>,
    /// Show secrets in full: mind where the report goes
    #[arg(long)]
    pub show_secrets: bool,
    /// Which findings make the exit code 1
    #[arg(long, value_enum, default_value_t)]
    pub fail_on: FailOn,
    /// No summary and no progress on standard error
    #[arg(long, short = 'q')]
    pub quiet: bool,
    /// Tell on standard error what is done: verdicts with -v, requests with -vv; never a secret
    #[arg(long, short = 'v', action = clap::ArgAction::Count)]
    pub verbose: u8,
    /// Colours: on a terminal unless NO_COLOR is set, always, or never
    #[arg(long, value_name = "WHEN", default_value = "auto",
          value_parser = PossibleValuesParser::new(["auto", "always", "never"]).map(|s| s))]
    pub color: String,
    /// File with a key of your own for fingerprints: without it, whoever can guess a secret can confirm the guess
    #[arg(long, value_name = "FILE", env = "UNSPRAWL_FINGERPRINT_KEY_FILE")]
    pub fingerprint_key_file: Option<PathBuf>,
}

fn format_file(text: &str) -> Result<(Format, PathBuf), String> {
    let (format, file) = text.split_once('=').ok_or("give FORMAT=FILE, as sarif=report.sarif")?;
    let format = <Format as clap::ValueEnum>::from_str(format, true).map_err(|_| format!("`{format}` is no format"))?;
    if file.is_empty() {
        return Err("give a file after the `=`".into());
    }
    Ok((format, PathBuf::from(file)))
}

/// Makes fingerprints with the key in a file, or else the built-in one.
///
/// # Errors
/// When the key cannot be read, or is too short.
pub fn fingerprinter(file: Option<&Path>) -> Result<Fingerprinter, String> {
    let Some(path) = file else { return Ok(Fingerprinter::default()) };
    let key = std::fs::read(path).map_err(|e| format!("{}: {e}", path.display()))?;
    let key = key.trim_ascii();
    if key.len() < 16 {
        return Err(format!("{}: a fingerprint key needs 16 bytes or more", path.display()));
    }
    Ok(Fingerprinter::new(key))
}

impl Output {
    /// Opens the files: a report that cannot be written should fail before an hour of scanning, not after.
    ///
    /// # Errors
    /// With the name of the file.
    pub fn open(&self) -> io::Result<Vec<(Format, File)>> {
        let main = self.output.as_ref().map(|path| (self.format, path.clone()));
        let open = |(format, path): &(Format, PathBuf)| {
            let file = File::create(path).map_err(|e| io::Error::new(e.kind(), format!("{}: {e}", path.display())))?;
            Ok((*format, file))
        };
        main.iter().chain(&self.report).map(open).collect()
    }

    /// Writes the report into the opened files and to standard output, and the summary.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write(&self, report: &Report, by_severity: bool, files: Vec<(Format, File)>) -> io::Result<()> {
        let options = |color| report::Options {
            show_secrets: self.show_secrets,
            color,
            by_severity,
            ..report::Options::default()
        };
        for (format, mut file) in files {
            report::write(format, report, &options(false), &mut file)?;
        }
        if self.output.is_none() {
            let mut out = io::stdout().lock();
            let color = self.colors(out.is_terminal());
            report::write(self.format, report, &options(color), &mut out)?;
            out.flush()?;
        }
        if !self.quiet {
            let style = Style::new(self.colors(io::stderr().is_terminal()));
            eprint!("{}", summary(report, style));
        }
        Ok(())
    }

    /// Makes fingerprints with the user's key, or else the built-in one.
    ///
    /// # Errors
    /// When the key cannot be read, or is too short.
    pub fn fingerprinter(&self) -> Result<Fingerprinter, String> {
        fingerprinter(self.fingerprint_key_file.as_deref())
    }

    fn colors(&self, terminal: bool) -> bool {
        match self.color.as_str() {
            "always" => true,
            "never" => false,
            _ => super::terminal::colors(terminal),
        }
    }
}
