//! `unsprawl approve`: signs a plan, or tells who did.

use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};
use serde_json::Value;

use super::{plan, terminal};
use crate::exit::ExitCode;
use crate::report;
use crate::respond::approve::{self, NAMESPACE};

/// Arguments of `unsprawl approve`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The plan
    #[arg(value_name = "PLAN.json")]
    plan: PathBuf,
    /// Your SSH key, or its .pub file for a key in an agent [default: the first of your own in ~/.ssh]
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
    /// Sign without asking
    #[arg(long)]
    yes: bool,
    /// Add a signature that `ssh-keygen -Y sign` made over --payload elsewhere
    #[arg(long, value_name = "FILE", conflicts_with = "key")]
    signature: Option<PathBuf>,
    /// Print the bytes that are signed, for ssh-keygen -Y sign or verify, and do nothing else
    #[arg(long, conflicts_with_all = ["key", "signature", "yes"])]
    payload: bool,
    /// Tell whose signatures are on it, and do nothing else
    #[arg(long, conflicts_with_all = ["key", "signature", "yes", "payload"], requires = "allowed_signers")]
    verify: bool,
    /// Who may sign, as ssh-keygen(1) describes it under ALLOWED SIGNERS
    #[arg(long, value_name = "FILE", env = "UNSPRAWL_ALLOWED_SIGNERS")]
    allowed_signers: Option<PathBuf>,
}

/// Runs `unsprawl approve`.
///
/// # Errors
/// When standard output cannot be written.
pub fn run(args: &Args) -> io::Result<ExitCode> {
    let done = plan::read(&args.plan).and_then(|(plan, document)| {
        if args.payload {
            let bytes = approve::payload(&document).map_err(|e| e.to_string())?;
            return io::stdout().write_all(&bytes).map(|()| ExitCode::Clean).map_err(|e| e.to_string());
        }
        if args.verify {
            return verify(args, &document);
        }
        plan::view(&plan, io::stderr().lock()).map_err(|e| e.to_string())?;
        if !args.yes && !terminal::agreed("Sign this plan?").map_err(|e| e.to_string())? {
            return Err("not signed: it was not agreed to (--yes agrees, for machines)".into());
        }
        sign(args, &document)
    });
    done.or_else(|message| {
        eprintln!("error: {message}");
        Ok(ExitCode::Usage)
    })
}

fn verify(args: &Args, document: &Value) -> Result<ExitCode, String> {
    let allowed = args.allowed_signers.as_deref().ok_or("--allowed-signers FILE says who may sign")?;
    let verified = approve::verified(document, allowed).map_err(|e| e.to_string())?;
    for name in &verified.by {
        println(&format!("signed by {name}"))?;
    }
    for why in &verified.not {
        println(&format!("does not count: {why}"))?;
    }
    Ok(if verified.not.is_empty() && !verified.by.is_empty() { ExitCode::Clean } else { ExitCode::Findings })
}

fn println(text: &str) -> Result<(), String> {
    writeln!(io::stdout(), "{}", crate::notes::printable(text.as_bytes())).map_err(|e| e.to_string())
}

fn sign(args: &Args, document: &Value) -> Result<ExitCode, String> {
    let signature = match &args.signature {
        Some(path) => std::fs::read_to_string(path).map_err(|e| format!("{}: {e}", path.display()))?,
        None => approve::sign(document, args.key.as_deref()).map_err(|e| e.to_string())?,
    };
    approve::check(document, &signature).map_err(|e| e.to_string())?;
    let named = |e: io::Error| format!("{}: {e}", args.plan.display());
    // Others may be signing, too: what they added meanwhile stays, and what is not what was shown is not signed.
    let (_lock, path) = locked(&args.plan).map_err(named)?;
    let (_, mut now) = plan::read(&path)?;
    let text = |document: &Value| approve::payload(document).map_err(|e| e.to_string());
    if text(&now)? != text(document)? {
        return Err(format!("{} was changed while it was looked at: it was not signed", args.plan.display()));
    }
    let at = jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    approve::add(&mut now, &signature, &at).map_err(|e| e.to_string())?;
    replace(&path, &now).map_err(named)?;
    eprintln!("signed ({NAMESPACE}); {} on it now", now["approvals"].as_array().map_or(0, Vec::len));
    Ok(ExitCode::Clean)
}

/// Waits until nobody else adds to a plan; gives where it is.
fn locked(path: &Path) -> io::Result<(File, PathBuf)> {
    loop {
        let path = std::fs::canonicalize(path)?;
        let file = File::open(&path)?;
        flock(&file, FlockOperation::LockExclusive)?;
        // Whoever had it has put another file in its place.
        let (open, there) = (file.metadata()?, std::fs::metadata(&path)?);
        if (open.dev(), open.ino()) == (there.dev(), there.ino()) {
            return Ok((file, path));
        }
    }
}

/// Writes a plan beside the old one, then in its place, with the same rights.
fn replace(path: &Path, document: &Value) -> io::Result<()> {
    let folder = path.parent().filter(|f| !f.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut new = tempfile::Builder::new().prefix(".plan-").tempfile_in(folder)?;
    report::write_plan_json(document, &mut new)?;
    new.as_file().set_permissions(std::fs::metadata(path)?.permissions())?;
    new.as_file().sync_all()?;
    new.persist(path)?;
    File::open(folder)?.sync_all()
}
