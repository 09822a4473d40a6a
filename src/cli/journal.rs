//! `unsprawl journal`: verifies and shows the record of revocations.

use std::io::{self, Write};
use std::path::PathBuf;

use clap::Subcommand;

use super::apply::{Format, journal_path};
use crate::exit::ExitCode;
use crate::model::plan::By;
use crate::notes::printable;
use crate::respond::journal::{self, Entry, JournalError, Record};

/// Arguments of `unsprawl journal`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Check that nothing was changed, moved or cut
    ///
    /// Exit codes: 0 intact, 1 not intact, 2 cannot be read.
    Verify {
        /// The journal [default: unsprawl/journal.jsonl in the XDG state folder]
        #[arg(value_name = "FILE", env = "UNSPRAWL_JOURNAL")]
        file: Option<PathBuf>,
    },
    /// Show it
    Show {
        /// The journal [default: unsprawl/journal.jsonl in the XDG state folder]
        #[arg(value_name = "FILE", env = "UNSPRAWL_JOURNAL")]
        file: Option<PathBuf>,
        /// Only this plan, by the beginning of its id
        #[arg(long, value_name = "ID")]
        plan: Option<String>,
        /// Format
        #[arg(long, short = 'f', value_enum, default_value_t)]
        format: Format,
    },
}

/// Runs `unsprawl journal`.
///
/// # Errors
/// When standard output cannot be written.
pub fn run(args: &Args) -> io::Result<ExitCode> {
    let file = match &args.command {
        Command::Verify { file } | Command::Show { file, .. } => file.as_ref(),
    };
    let path = match journal_path(file) {
        Ok(path) => path,
        Err(message) => {
            eprintln!("error: {message}");
            return Ok(ExitCode::Usage);
        }
    };
    let summary = match journal::verify(&path) {
        Ok(summary) => summary,
        Err(JournalError::Broken { path, what }) => {
            eprintln!("error: the journal {} is not intact: {what}", path.display());
            return Ok(ExitCode::Findings);
        }
        Err(e) => {
            eprintln!("error: {e}");
            return Ok(ExitCode::Usage);
        }
    };
    let mut out = io::stdout().lock();
    match &args.command {
        Command::Verify { .. } => {
            writeln!(out, "intact: {} lines", summary.records.len())?;
            if summary.torn > 0 {
                writeln!(
                    out,
                    "{} bytes of half a line stand at its end: a crash, or a run that is writing",
                    summary.torn
                )?;
            }
            if summary.behind > 0 {
                writeln!(out, "{} lines are newer than its head: a crash, or a run that is writing", summary.behind)?;
            }
        }
        Command::Show { plan, format, .. } => {
            let wanted = |r: &&Record| plan.as_ref().is_none_or(|p| plan_of(&r.entry).starts_with(p.as_str()));
            for record in summary.records.iter().filter(wanted) {
                match format {
                    Format::Json => writeln!(out, "{}", serde_json::to_string(record)?)?,
                    Format::Text => writeln!(out, "{}", printable(line(record).as_bytes()))?,
                }
            }
        }
    }
    out.flush()?;
    Ok(ExitCode::Clean)
}

fn plan_of(entry: &Entry) -> &str {
    match entry {
        Entry::Begin { plan, .. }
        | Entry::Intent { plan, .. }
        | Entry::Acted { plan, .. }
        | Entry::Outcome { plan, .. }
        | Entry::Notified { plan, .. }
        | Entry::End { plan, .. } => plan,
    }
}

fn short(text: &str) -> &str {
    text.get(..8).unwrap_or(text)
}

fn line(record: &Record) -> String {
    let because = |reason: &Option<String>| reason.as_ref().map(|r| format!(": {r}")).unwrap_or_default();
    let said = match &record.entry {
        Entry::Begin { run, plan, by, items, undo } => {
            let what = if *undo { "undoes" } else { "applies" };
            format!("run {} begins: {by} {what} plan {}, {items} items", short(run), short(plan))
        }
        Entry::Intent { items, way, by, place, .. } => {
            let by = if *by == By::Holder { "holder" } else { "admin" };
            let rules: Vec<String> = items.iter().take(3).map(|s| format!("{}. {}", s.number, s.rule)).collect();
            let more = if items.len() > 3 { format!(" and {} more", items.len() - 3) } else { String::new() };
            format!("about to send {way} by {by} at {place} for {}{more}", rules.join(", "))
        }
        Entry::Acted { intent, outcome, reason, .. } => {
            format!("answer to line {intent}: {outcome}{}", because(reason))
        }
        Entry::Outcome { item, outcome, reason, .. } => {
            let print = item.fingerprint.to_string();
            format!("{}. {} ({}): {}{}", item.number, item.rule, &print[..16], outcome.as_str(), because(reason))
        }
        Entry::Notified { fingerprint, outcome, channel, .. } => {
            format!("told by {channel}: {} is {outcome}", &fingerprint.to_string()[..16])
        }
        Entry::End { run, counts, .. } => {
            let counts: Vec<String> = counts.iter().map(|(name, n)| format!("{n} {name}")).collect();
            format!("run {} ends: {}", short(run), counts.join(", "))
        }
    };
    format!("{:>5}  {}  {said}", record.seq, record.at)
}
