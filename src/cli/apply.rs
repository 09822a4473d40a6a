//! `unsprawl apply`: follows a plan.

use std::fs::File;
use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use super::{asking, logging, plan, terminal};
use crate::config;
use crate::exit::ExitCode;
use crate::model::plan::{Action, Applied, Plan, PlanItem};
use crate::notes::{Notes, printable};
use crate::pipeline::asking::Mode;
use crate::pipeline::responding::applying::{self, Applying};
use crate::report;
use crate::respond::approve::{self, Verified};
use crate::respond::plan::Wish;
use crate::respond::policy::{self, Decision, Policy};
use crate::rules::Selection;
use crate::store;

/// Arguments of `unsprawl apply`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The plan
    #[arg(value_name = "PLAN.json")]
    plan: PathBuf,
    /// Act without asking: for machines
    #[arg(long)]
    yes: bool,
    /// Do everything but the requests that change something
    #[arg(long)]
    dry_run: bool,
    /// Bring back what this plan contained
    #[arg(long, conflicts_with = "dry_run")]
    undo: bool,
    /// The record of what is done [default: unsprawl/journal.jsonl in the XDG state folder]
    #[arg(long, value_name = "FILE", env = "UNSPRAWL_JOURNAL")]
    journal: Option<PathBuf>,
    /// A file with values that do not stand any more where the plan says (may be repeated)
    #[arg(long, value_name = "FILE")]
    secret_from: Vec<PathBuf>,
    /// How long an issuer may take to refuse a credential: after it, one that still works is still-active [default: what
    /// its rule says]
    #[arg(long, value_name = "TIME", value_parser = config::duration)]
    confirm_within: Option<Duration>,
    /// How long to wait for that: what is left is accepted, and asked about by the next run
    #[arg(long, value_name = "TIME", default_value = "15m", value_parser = config::duration)]
    wait: Duration,
    /// Signatures that every item needs, besides what the plan says; neither the planner's nor the key's owner's count
    #[arg(long, value_name = "N", default_value_t = 0)]
    require_approvals: u32,
    /// Who may sign, as ssh-keygen(1) describes it under ALLOWED SIGNERS
    #[arg(long, value_name = "FILE", env = "UNSPRAWL_ALLOWED_SIGNERS")]
    allowed_signers: Option<PathBuf>,
    /// Policy that must allow what the plan says, at this moment: its protection, approvals, bound and kill switch count
    #[arg(long, value_name = "FILE", env = "UNSPRAWL_POLICY")]
    policy: Option<PathBuf>,
    /// Act on no more credentials than this
    #[arg(long, value_name = "N")]
    most: Option<usize>,
    /// Rule files or folders of your own, as for `plan`
    #[arg(long, value_name = "PATH")]
    rules: Vec<PathBuf>,
    #[command(flatten)]
    asking: asking::Flags,
    /// Format of the result
    #[arg(long, short = 'f', value_enum, default_value_t, help_heading = "Report")]
    format: Format,
    /// Write the result to a file instead of standard output
    #[arg(long, short = 'o', value_name = "FILE", help_heading = "Report")]
    output: Option<PathBuf>,
    /// Nothing on standard error but errors
    #[arg(long, short = 'q', help_heading = "Report")]
    quiet: bool,
    /// Tell on standard error what is done; never a secret
    #[arg(long, short = 'v', action = clap::ArgAction::Count, help_heading = "Report")]
    verbose: u8,
    /// File with the key that the plan's fingerprints were made with
    #[arg(long, value_name = "FILE", env = "UNSPRAWL_FINGERPRINT_KEY_FILE", help_heading = "Report")]
    fingerprint_key_file: Option<PathBuf>,
}

/// Formats of the result.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Format {
    /// For people
    #[default]
    Text,
    /// One document, see `schemas/apply.v1.schema.json`
    Json,
}

/// Where the journal is.
pub(super) fn journal_path(named: Option<&PathBuf>) -> Result<PathBuf, String> {
    let env = |name: &str| std::env::var(name).ok();
    let default = || Some(store::default_path(env)?.with_file_name("journal.jsonl"));
    named
        .cloned()
        .or_else(default)
        .ok_or_else(|| "there is no home folder for the journal: --journal FILE names it".into())
}

/// Runs `unsprawl apply`.
///
/// # Errors
/// When the result cannot be written.
pub fn run(args: &Args) -> io::Result<ExitCode> {
    logging::start(args.verbose);
    let usage = |message: String| {
        eprintln!("error: {message}");
        Ok(ExitCode::Usage)
    };
    let (plan, document) = match plan::read(&args.plan) {
        Ok(read) => read,
        Err(message) => return usage(message),
    };
    if !args.quiet {
        plan::view(&plan, io::stderr().lock())?;
    }
    if !args.dry_run && !args.yes && !agreed(&plan, args.undo)? {
        return usage("nothing was done: it was not agreed to (--yes agrees, for machines)".into());
    }
    match follow(args, &plan, &document) {
        Ok(applied) => write(args, &plan, &applied),
        Err(message) => usage(message),
    }
}

fn agreed(plan: &Plan, undo: bool) -> io::Result<bool> {
    let count = plan.items.iter().filter(|i| i.action.changes() && i.protected.is_none()).count();
    let what = if undo { "Bring back what this plan contained?" } else { "Do this?" };
    terminal::agreed(&format!("{what} {count} credentials, at the addresses above."))
}

fn follow(args: &Args, plan: &Plan, document: &Value) -> Result<Vec<Applied>, String> {
    let catalog = super::catalog(&args.rules, &Selection::default())?;
    let asking = args.asking.asking(&catalog)?;
    if asking.mode != Mode::Ask {
        return Err("apply asks issuers: it cannot be done offline or without verifying".into());
    }
    let admin = args.asking.admin(&catalog)?;
    let quiet = args.quiet;
    let tell = |text: &str| {
        if !quiet {
            eprintln!("{}", printable(text.as_bytes()));
        }
    };
    let verified = match &args.allowed_signers {
        Some(path) => approve::verified(document, path).map_err(|e| e.to_string())?,
        None => Verified::default(),
    };
    let policy = args.policy.as_deref().map(Policy::read).transpose().map_err(|fault| fault.to_string())?;
    let forbidden = |item: &PlanItem| {
        let decision = match policy.as_ref().map(|policy| decide(policy, plan, item)).transpose() {
            Ok(decision) => decision.unwrap_or_default(),
            Err(why) => return Some(why),
        };
        let needed = item.approvals.max(plan.require_approvals).max(args.require_approvals).max(decision.approvals);
        disallowed(item, &decision).or_else(|| unapproved(item, needed, plan, &verified))
    };
    let halted = || stopped_by(args.policy.as_deref());
    let most = policy.as_ref().and_then(Policy::most_revocations);
    let most = args.most.into_iter().chain(most).min();
    let applying = Applying {
        admin,
        asking,
        fingerprinter: super::output::fingerprinter(args.fingerprint_key_file.as_deref())?,
        secret_from: args.secret_from.clone(),
        journal: journal_path(args.journal.as_ref())?,
        dry_run: args.dry_run,
        undo: args.undo,
        within: args.confirm_within,
        wait: args.wait,
        most,
        by: plan::user(),
        forbidden: &forbidden,
        halted: &halted,
        tell: &tell,
    };
    let notes = Arc::new(Notes::default());
    let applied = applying::apply(plan, &catalog, &applying, &notes)?;
    let (notes, _) = notes.take();
    notes.iter().for_each(|note| tell(&format!("note: {} {}", note.place, note.detail)));
    Ok(applied)
}

/// What a policy says of an item now.
fn decide(policy: &Policy, plan: &Plan, item: &PlanItem) -> Result<Decision, String> {
    let finding = report::finding(&item.finding).map_err(|e| format!("its finding {e}"))?;
    let targets: Vec<String> = plan.targets.iter().map(|t| t.name.clone()).collect();
    Ok(policy.decide(&policy::facts(&finding, &targets, jiff::Timestamp::now().as_second())))
}

/// Why a policy does not allow what the plan says: a plan may be older than it, or made without it.
fn disallowed(item: &PlanItem, decision: &Decision) -> Option<String> {
    let by = &decision.by;
    if let Some(why) = &decision.protected {
        return Some(format!("protected by the policy: {why}"));
    }
    match decision.wish {
        Wish::Leave | Wish::Notify => Some(format!("`{by}` of the policy does not let it be touched")),
        Wish::Contain if item.action != Action::Contain && item.action.changes() => {
            Some(format!("`{by}` of the policy only lets it be contained"))
        }
        _ => None,
    }
}

/// Whether the kill switch is on by now: the file is read again each time. One that has a fault by now stops everything.
fn stopped_by(policy: Option<&Path>) -> Option<String> {
    let path = policy?;
    match Policy::read(path) {
        Ok(policy) if policy.kill_switch() => Some(format!("the kill switch of {} is on", path.display())),
        Ok(_) => None,
        Err(fault) => Some(fault.to_string()),
    }
}

/// Why the signatures of a plan are not enough for an item, if they are not.
fn unapproved(item: &PlanItem, needed: u32, plan: &Plan, verified: &Verified) -> Option<String> {
    let owners = match report::finding(&item.finding) {
        Ok(finding) => approve::owners(&finding),
        Err(e) => return Some(format!("its finding {e}")),
    };
    let (counting, not) = approve::counting(&verified.by, &plan.planner, &owners);
    if counting.len() >= needed as usize {
        return None;
    }
    let has = counting.len();
    let why = [&not[..], &verified.not[..]].concat();
    let why = if why.is_empty() { String::new() } else { format!(": {}", why.join("; ")) };
    let hint = if plan.approvals.is_empty() { "; `unsprawl approve` signs it" } else { "" };
    let hint = if verified.by.is_empty() && !plan.approvals.is_empty() {
        "; --allowed-signers says whose count"
    } else {
        hint
    };
    Some(format!("it needs {needed} approvals and has {has}{why}{hint}"))
}

fn write(args: &Args, plan: &Plan, applied: &[Applied]) -> io::Result<ExitCode> {
    let code = ExitCode::of_applied(applied);
    let put = |color: bool, out: &mut dyn Write| match args.format {
        Format::Text => report::write_applied(applied, color, out),
        Format::Json => {
            let confirmed = code == ExitCode::Clean && !args.dry_run;
            report::write_applied_json(plan, applied, args.dry_run, confirmed, out)
        }
    };
    match &args.output {
        Some(path) => {
            let named = |e: io::Error| io::Error::new(e.kind(), format!("{}: {e}", path.display()));
            put(false, &mut File::create(path).map_err(named)?)?;
        }
        None => {
            let mut out = io::stdout().lock();
            let color = terminal::colors(out.is_terminal());
            put(color, &mut out)?;
            out.flush()?;
        }
    }
    Ok(code)
}
