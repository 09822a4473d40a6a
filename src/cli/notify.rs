//! `unsprawl notify`: tells owners what became of their credentials.

use std::io::{self, Write};
use std::path::PathBuf;

use super::apply::journal_path;
use super::{asking, logging, plan};
use crate::exit::ExitCode;
use crate::notes::printable;
use crate::pipeline::telling::{self, Shape, Telling};
use crate::respond::journal::{self, Journal};
use crate::respond::notify::{TEMPLATE, Template};
use crate::rules::Selection;

/// Arguments of `unsprawl notify`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The plan
    #[arg(value_name = "PLAN.json")]
    plan: PathBuf,
    /// The channels, see docs/notify.md; without it, messages are only shown
    #[arg(long, value_name = "FILE", env = "UNSPRAWL_NOTIFY")]
    channels: Option<PathBuf>,
    /// Show messages on standard output, send nothing and record nothing
    #[arg(long)]
    dry_run: bool,
    /// Form of messages that are shown
    #[arg(long, short = 'f', value_enum, default_value_t)]
    format: Shape,
    /// The record of what was done [default: unsprawl/journal.jsonl in the XDG state folder]
    #[arg(long, value_name = "FILE", env = "UNSPRAWL_JOURNAL")]
    journal: Option<PathBuf>,
    #[command(flatten)]
    asking: asking::Flags,
    /// Nothing on standard error but errors
    #[arg(long, short = 'q', help_heading = "Report")]
    quiet: bool,
    /// Tell on standard error what is done; never a secret
    #[arg(long, short = 'v', action = clap::ArgAction::Count, help_heading = "Report")]
    verbose: u8,
}

/// Runs `unsprawl notify`.
///
/// # Errors
/// When standard output cannot be written.
pub fn run(args: &Args) -> io::Result<ExitCode> {
    logging::start(args.verbose);
    work(args).or_else(|message| {
        eprintln!("error: {message}");
        Ok(ExitCode::Usage)
    })
}

fn work(args: &Args) -> Result<ExitCode, String> {
    let (plan, _) = plan::read(&args.plan)?;
    let findings = plan::findings(&plan)?;
    let env = |name: &str| std::env::var(name).ok().filter(|v| !v.is_empty());
    let telling = args.channels.as_deref().map(|path| Telling::read(path, env)).transpose();
    let telling = telling.map_err(|fault| fault.to_string())?;
    let path = journal_path(args.journal.as_ref())?;
    let Some(telling) = telling.as_ref().filter(|_| !args.dry_run) else {
        let built_in = Template::new(TEMPLATE)?;
        let (template, fallback) = telling.as_ref().map_or((&built_in, ""), |t| (&t.template, t.fallback.as_str()));
        let records =
            if path.exists() { journal::verify(&path).map_err(|e| e.to_string())?.records } else { Vec::new() };
        for (_, message) in telling::messages(&plan, &findings, &records, fallback) {
            let text = telling::shaped(args.format, &message, &template.text(&message)?);
            io::stdout().write_all(text.as_bytes()).map_err(|e| e.to_string())?;
        }
        return Ok(ExitCode::Clean);
    };
    let catalog = super::catalog(&[], &Selection::default())?;
    let asking = args.asking.asking(&catalog)?;
    let mut journal = Journal::open(&path).map_err(|e| e.to_string())?;
    let messages = telling::messages(&plan, &findings, journal.records(), &telling.fallback);
    let told = telling::send(&plan, &messages, telling, &mut journal, &asking)?;
    for one in told.iter().filter(|t| !args.quiet || t.failed.is_some()) {
        let how = one.failed.as_ref().map_or("sent".to_owned(), |why| format!("not sent: {why}"));
        let text =
            format!("{}: {} {} ({}): {how}", one.channel, one.message.rule, one.message.value, one.message.outcome);
        eprintln!("{}", printable(text.as_bytes()));
    }
    let failed = told.iter().any(|t| t.failed.is_some());
    Ok(if failed { ExitCode::Incomplete } else { ExitCode::Clean })
}
