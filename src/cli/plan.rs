//! `unsprawl plan`: what to do about live credentials.

use std::fs::OpenOptions;
use std::io::{self, IsTerminal, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::inputs::{Inputs, gathered};
use super::{asking, logging, owning, terminal};
use crate::exit::ExitCode;
use crate::model::plan::{PLAN_SCHEMA, PLAN_VERSION, Plan, PolicyRef};
use crate::model::{Confidence, Finding};
use crate::notes::Notes;
use crate::pipeline;
use crate::pipeline::gather;
use crate::pipeline::responding::planning::{self, Planning};
use crate::report;
use crate::respond::approve::document;
use crate::respond::plan::Wish;
use crate::respond::policy::{self, Decision, Policy};
use crate::rules::{self, Selection};

/// Arguments of `unsprawl plan`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// What `scan` takes, or JSON reports of earlier scans; or one plan, to look at it
    #[arg(value_name = "TARGET|REPORT.json|PLAN.json", default_value = ".")]
    inputs: Vec<String>,
    /// Write the plan to this file, for `approve` and `apply`; without it, it is only shown
    #[arg(long, short = 'o', value_name = "FILE")]
    output: Option<PathBuf>,
    /// Only these issuers or token types (may be repeated)
    #[arg(long, value_name = "ISSUER[.TYPE]", value_delimiter = ',')]
    only: Vec<String>,
    /// Not these (may be repeated)
    #[arg(long, value_name = "ISSUER[.TYPE]", value_delimiter = ',')]
    skip: Vec<String>,
    /// Policy that says what to do about which credentials; see docs/policy.md
    #[arg(long, value_name = "FILE", env = "UNSPRAWL_POLICY")]
    policy: Option<PathBuf>,
    /// What is wanted where an issuer offers more than one thing, and no rule of a policy decides
    #[arg(long, value_enum, default_value_t)]
    prefer: Prefer,
    /// End credentials of an issuer or token type by this way, as aws=delete; `rules show` names the ways (may be repeated)
    #[arg(long, value_name = "ISSUER[.TYPE]=WAY", value_parser = pair)]
    way: Vec<(String, String)>,
    /// Signatures that `apply` needs; see `approve`
    #[arg(long, value_name = "N", default_value_t = 0)]
    require_approvals: u32,
    /// Who makes this plan: nobody may approve his own [default: the user's name]
    #[arg(long, value_name = "NAME")]
    planner: Option<String>,
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
    /// Nothing on standard error but errors
    #[arg(long, short = 'q', help_heading = "Report")]
    quiet: bool,
    /// Tell on standard error what is done; never a secret
    #[arg(long, short = 'v', action = clap::ArgAction::Count, help_heading = "Report")]
    verbose: u8,
    /// File with a key of your own for fingerprints; `apply` needs the same
    #[arg(long, value_name = "FILE", env = "UNSPRAWL_FINGERPRINT_KEY_FILE", help_heading = "Report")]
    fingerprint_key_file: Option<PathBuf>,
}

/// What is wanted where an issuer offers more than one thing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
enum Prefer {
    /// What is best for this issuer: where a credential can be disabled and brought back, that
    #[default]
    Best,
    /// Only what can be undone
    Contain,
    /// That it ends for good
    Revoke,
    /// That a new value takes its place
    Rotate,
}

fn pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, way)) if !name.is_empty() && !way.is_empty() => Ok((name.to_owned(), way.to_owned())),
        _ => Err("give ISSUER=WAY, as aws=delete".into()),
    }
}

/// Runs `unsprawl plan`.
///
/// # Errors
/// When the plan cannot be written.
pub fn run(args: &Args) -> io::Result<ExitCode> {
    logging::start(args.verbose);
    if let [only] = &args.inputs[..]
        && gather::is_document(Path::new(only), PLAN_SCHEMA)
    {
        return show(Path::new(only));
    }
    match make(args) {
        Ok((plan, complete)) => {
            if let Some(path) = &args.output {
                write(&plan, path)?;
            }
            view(&plan, io::stdout().lock())?;
            if args.output.is_none() && !args.quiet && !plan.items.is_empty() {
                eprintln!("not kept: -o FILE writes it for `approve` and `apply`");
            }
            Ok(if complete { ExitCode::Clean } else { ExitCode::Incomplete })
        }
        Err(message) => {
            eprintln!("error: {message}");
            Ok(ExitCode::Usage)
        }
    }
}

fn make(args: &Args) -> Result<(Plan, bool), String> {
    if args.owning.hides() {
        return Err("a plan names people: under pseudonyms nobody could tell whether an owner approves".into());
    }
    let selection = Selection { confidence: args.confidence, ..Selection::default() };
    let catalog = super::catalog(&args.rules, &selection)?;
    let key = super::output::fingerprinter(args.fingerprint_key_file.as_deref())?;
    let asking = args.asking.asking(&catalog)?;
    let admin = args.asking.admin(&catalog)?;
    let owning = args.owning.owning(args.asking.loaded()?, asking.state.as_deref())?;
    check(args, &catalog)?;
    let inputs = Inputs {
        named: &args.inputs,
        catalog: &catalog,
        key: &key,
        confidence: args.confidence,
        verdicts: false,
        quiet: args.quiet,
    };
    let mut report = gathered(&inputs)?;
    let notes = Arc::new(Notes::default());
    pipeline::asking::check(&mut report.findings, &catalog, &asking, &notes);
    pipeline::owning::own(&mut report, &catalog, &owning, &asking, &notes)?;
    let (more, counts) = notes.take();
    report.notes.extend(more);
    report.add_counts(counts);
    let wish = match args.prefer {
        Prefer::Best => Wish::Default,
        Prefer::Contain => Wish::Contain,
        Prefer::Revoke => Wish::Revoke,
        Prefer::Rotate => Wish::Rotate,
    };
    let policy = args.policy.as_deref().map(Policy::read).transpose().map_err(|fault| fault.to_string())?;
    let targets: Vec<String> = report.targets.iter().map(|t| t.name.clone()).collect();
    let now = jiff::Timestamp::now().as_second();
    let decide = |finding: &Finding| {
        let decision = policy.as_ref().map(|p| p.decide(&policy::facts(finding, &targets, now)));
        match decision.unwrap_or_else(|| Decision { by: "default".into(), ..Decision::default() }) {
            open if open.by == "default" && wish != Wish::Default => Decision { wish, by: "--prefer".into(), ..open },
            decided => decided,
        }
    };
    let planning = Planning {
        planner: args.planner.clone().unwrap_or_else(user),
        policy: policy
            .as_ref()
            .zip(args.policy.as_ref())
            .map(|(policy, path)| PolicyRef { name: path.display().to_string(), sha256: policy.sha256().to_owned() }),
        decide: &decide,
        ways: args.way.clone(),
        require_approvals: args.require_approvals,
        only: args.only.clone(),
        skip: args.skip.clone(),
        admin: &admin,
    };
    let plan = planning::plan(&report, &catalog, &planning, &asking)?;
    Ok((plan, report.complete()))
}

/// A name that fits no rule would silently leave everything out, or choose nothing.
fn check(args: &Args, catalog: &rules::Catalog) -> Result<(), String> {
    let known = |name: &str| catalog.issuers.contains_key(name) || catalog.find(name).is_some();
    let named = args.only.iter().map(|n| ("--only", n)).chain(args.skip.iter().map(|n| ("--skip", n)));
    for (flag, name) in named.chain(args.way.iter().map(|(n, _)| ("--way", n))) {
        if !known(name) {
            return Err(format!("{flag}: `{name}` is no issuer or token type; `unsprawl rules list` shows them"));
        }
    }
    for (name, way) in &args.way {
        let tokens = catalog.tokens.iter().filter(|t| t.rule == *name || t.issuer == *name);
        if !tokens.clone().any(|t| catalog.ask(&t.rule).is_some_and(|ask| ask.way(way).is_some())) {
            return Err(format!("--way: `{name}` has no way `{way}`; `unsprawl rules show {name}` names them"));
        }
    }
    Ok(())
}

/// The user's name, as the environment has it.
pub(super) fn user() -> String {
    let named = ["USER", "LOGNAME"].iter().find_map(|n| std::env::var(n).ok().filter(|v| !v.is_empty()));
    named.unwrap_or_else(|| format!("uid {}", rustix::process::getuid().as_raw()))
}

fn write(plan: &Plan, path: &Path) -> io::Result<()> {
    let named = |e: io::Error| io::Error::new(e.kind(), format!("{}: {e}", path.display()));
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path).map_err(named)?;
    report::write_plan_json(plan, &mut file).map_err(named)
}

/// Reads a plan, with its document as it stands in the file; both are one reading of one text.
pub(super) fn read(path: &Path) -> Result<(Plan, serde_json::Value), String> {
    let text = std::fs::read(path).map_err(|e| format!("{}: {e}", path.display()))?;
    let value = document::read(&text).map_err(|e| format!("{} is no plan: {e}", path.display()))?;
    let wrong = |e: serde_json::Error| {
        // What stands there may be anything: only names of fields are quoted.
        let said = e.to_string();
        let named = said.starts_with("unknown field") || said.starts_with("missing field");
        let what = if named { format!(": {said}") } else { format!(", line {} column {}", e.line(), e.column()) };
        format!("{} is no plan of version {PLAN_VERSION}{what}", path.display())
    };
    let plan: Plan = serde_json::from_slice(&text).map_err(wrong)?;
    let id = plan.id.len() == 32 && plan.id.bytes().all(|b| b.is_ascii_hexdigit());
    if plan.schema != PLAN_SCHEMA || plan.version != PLAN_VERSION || !id {
        return Err(format!("{} is no plan of version {PLAN_VERSION}", path.display()));
    }
    Ok((plan, value))
}

/// The findings of a plan's items.
pub(super) fn findings(plan: &Plan) -> Result<Vec<Finding>, String> {
    let read = plan.items.iter().map(|item| report::finding(&item.finding));
    read.collect::<Result<_, _>>().map_err(|e| format!("an item of the plan {e}"))
}

/// Shows a plan.
pub(super) fn view(plan: &Plan, mut out: impl Write + IsTerminal) -> io::Result<()> {
    let color = terminal::colors(out.is_terminal());
    let findings = findings(plan).map_err(io::Error::other)?;
    report::write_plan(plan, &findings, color, &mut out)
}

fn show(path: &Path) -> io::Result<ExitCode> {
    match read(path) {
        Ok((plan, _)) => view(&plan, io::stdout().lock()).map(|()| ExitCode::Clean),
        Err(message) => {
            eprintln!("error: {message}");
            Ok(ExitCode::Usage)
        }
    }
}
