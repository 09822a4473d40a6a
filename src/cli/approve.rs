//! `unsprawl approve`: signs a plan, or tells who did.

use std::io::{self, BufRead, IsTerminal, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::plan;
use crate::exit::ExitCode;
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
        plan::view(&plan, &mut io::stderr().lock()).map_err(|e| e.to_string())?;
        if !args.yes && !agreed().map_err(|e| e.to_string())? {
            return Err("not signed: it was not agreed to (--yes agrees, for machines)".into());
        }
        sign(args, document)
    });
    done.or_else(|message| {
        eprintln!("error: {message}");
        Ok(ExitCode::Usage)
    })
}

fn agreed() -> io::Result<bool> {
    if !io::stdin().is_terminal() {
        return Ok(false);
    }
    eprint!("\nSign this plan? Type yes: ");
    io::stderr().flush()?;
    let mut answer = String::new();
    io::stdin().lock().read_line(&mut answer)?;
    Ok(answer.trim() == "yes")
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

fn sign(args: &Args, mut document: Value) -> Result<ExitCode, String> {
    let signature = match &args.signature {
        Some(path) => std::fs::read_to_string(path).map_err(|e| format!("{}: {e}", path.display()))?,
        None => approve::sign(&document, args.key.as_deref()).map_err(|e| e.to_string())?,
    };
    let now = jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    approve::add(&mut document, &signature, &now).map_err(|e| e.to_string())?;
    replace(&args.plan, &document).map_err(|e| format!("{}: {e}", args.plan.display()))?;
    eprintln!("signed ({NAMESPACE}); {} on it now", document["approvals"].as_array().map_or(0, Vec::len));
    Ok(ExitCode::Clean)
}

/// Writes a plan beside the old one, then in its place.
fn replace(path: &Path, document: &Value) -> io::Result<()> {
    let mode = std::fs::metadata(path)?.permissions().mode() & 0o777;
    let mut new = path.as_os_str().to_owned();
    new.push(".new");
    let mut file = std::fs::OpenOptions::new().write(true).create(true).truncate(true).mode(mode).open(&new)?;
    serde_json::to_writer_pretty(&mut file, document)?;
    file.write_all(b"\n")?;
    file.sync_all()?;
    std::fs::rename(new, path)
}
