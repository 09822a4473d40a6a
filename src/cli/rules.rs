//! `unsprawl rules list|show|check`.

use std::io::{self, Write};
use std::path::PathBuf;

use clap::Subcommand;

use crate::exit::ExitCode;
use crate::rules::{self, FileText, Selection, TokenRule, check, schema::RuleFile};

/// Arguments of `unsprawl rules`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// List every token type: rule, confidence, whether it has a checksum, name
    List {
        /// Rule files or folders of your own, as for `scan`
        #[arg(long, value_name = "PATH")]
        rules: Vec<PathBuf>,
        /// One JSON object a line
        #[arg(long)]
        json: bool,
    },
    /// Show what is known of an issuer or a token type
    Show {
        /// An issuer (`github`) or a token type (`github.pat-classic`)
        name: String,
        /// Rule files or folders of your own, as for `scan`
        #[arg(long, value_name = "PATH")]
        rules: Vec<PathBuf>,
    },
    /// Check rule files and run the tests in them; without a path, the embedded ones
    Check {
        /// Rule files, or folders of them
        #[arg(value_name = "PATH")]
        paths: Vec<PathBuf>,
    },
}

/// Runs the subcommand.
///
/// # Errors
/// When the output cannot be written.
pub fn run(args: &Args) -> io::Result<ExitCode> {
    let mut out = io::stdout().lock();
    match &args.action {
        Action::List { rules, json } => list(&mut out, rules, *json),
        Action::Show { name, rules } => show(&mut out, name, rules),
        Action::Check { paths } => check_all(&mut out, paths),
    }
}

fn load(own: &[PathBuf]) -> Result<rules::SharedCatalog, ExitCode> {
    rules::load(own, &Selection::default()).map_err(|faults| {
        faults.iter().for_each(|fault| eprintln!("error: {fault}"));
        ExitCode::Usage
    })
}

fn list(out: &mut impl Write, own: &[PathBuf], json: bool) -> io::Result<ExitCode> {
    let catalog = match load(own) {
        Ok(catalog) => catalog,
        Err(code) => return Ok(code),
    };
    for token in &catalog.tokens {
        if json {
            let object = serde_json::json!({
                "rule": token.rule, "name": token.name, "issuer": catalog.issuers[&token.issuer].name,
                "confidence": token.confidence, "checksum": token.checksum.is_some(),
                "bound_to": token.bound_to, "part": token.part,
            });
            writeln!(out, "{object}")?;
        } else {
            let mark = if token.checksum.is_some() { "checksum" } else { "" };
            writeln!(out, "{:<44} {:<7} {:<9} {}", token.rule, token.confidence.as_str(), mark, token.name)?;
        }
    }
    Ok(ExitCode::Clean)
}

fn show(out: &mut impl Write, name: &str, own: &[PathBuf]) -> io::Result<ExitCode> {
    let catalog = match load(own) {
        Ok(catalog) => catalog,
        Err(code) => return Ok(code),
    };
    let tokens: Vec<_> = catalog.tokens.iter().filter(|t| t.rule == name || t.issuer == name).collect();
    if tokens.is_empty() {
        eprintln!("error: `{name}` is no issuer and no issuer.token; `unsprawl rules list` shows them");
        return Ok(ExitCode::Usage);
    }
    for token in tokens {
        show_one(out, token, &catalog.issuers[&token.issuer])?;
    }
    Ok(ExitCode::Clean)
}

fn show_one(out: &mut impl Write, token: &TokenRule, issuer: &rules::catalog::IssuerInfo) -> io::Result<()> {
    let text =
        |list: &[Vec<u8>]| list.iter().map(|l| String::from_utf8_lossy(l).into_owned()).collect::<Vec<_>>().join(", ");
    writeln!(out, "{}\n  {}", token.rule, token.name)?;
    writeln!(out, "  issuer:     {}", issuer.name)?;
    if let Some(docs) = &issuer.docs {
        writeln!(out, "  docs:       {docs}")?;
    }
    if token.near.is_empty() {
        writeln!(out, "  anchors:    {}", text(&token.anchors))?;
    } else {
        writeln!(out, "  near:       {} (within {} bytes)", text(&token.near), token.reach)?;
    }
    writeln!(out, "  regex:      {}", token.pattern)?;
    let certain = if token.checksum.is_some() { ", certain if the checksum fits" } else { "" };
    writeln!(out, "  confidence: {}{certain}", token.confidence)?;
    writeln!(out, "  bound to:   {:?}", token.bound_to)
}

fn check_all(out: &mut impl Write, paths: &[PathBuf]) -> io::Result<ExitCode> {
    let mut files: Vec<(FileText, RuleFile)> = Vec::new();
    let mut faults = Vec::new();
    if paths.is_empty() {
        files = rules::embedded();
    }
    for path in paths {
        match rules::read(path) {
            Ok(more) => files.extend(more),
            Err(more) => faults.extend(more),
        }
    }
    let (mut tests, mut tokens) = (0, 0);
    for (text, file) in &files {
        let outcome = check::check(text, file);
        tests += outcome.tests;
        tokens += file.tokens.len();
        faults.extend(outcome.faults);
    }
    for fault in &faults {
        writeln!(out, "{fault}")?;
    }
    writeln!(out, "{} files, {tokens} token types, {tests} tests, {} faults", files.len(), faults.len())?;
    Ok(if faults.is_empty() { ExitCode::Clean } else { ExitCode::Usage })
}
