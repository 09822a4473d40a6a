//! `unsprawl rules list|show|check`.

mod asking;

use std::io::{self, Write};
use std::path::PathBuf;

use clap::Subcommand;

use crate::exit::ExitCode;
use crate::model::TokenIndex;
use crate::rules::{self, FileText, Selection, TokenRule, capabilities, check, schema::RuleFile};

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
        #[arg(long, conflicts_with = "capabilities")]
        json: bool,
        /// Instead, for each issuer, how many token types can be checked, identified, asked about, revoked, ...
        #[arg(long)]
        capabilities: bool,
        /// How the capabilities are printed
        #[arg(long, value_name = "FORMAT", default_value = "text", requires = "capabilities")]
        format: TableFormat,
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

/// How a table is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum TableFormat {
    Text,
    Json,
    Markdown,
}

/// Runs the subcommand.
///
/// # Errors
/// When the output cannot be written.
pub fn run(args: &Args) -> io::Result<ExitCode> {
    let mut out = io::stdout().lock();
    match &args.action {
        Action::List { rules, capabilities: true, format, .. } => table(&mut out, rules, *format),
        Action::List { rules, json, .. } => list(&mut out, rules, *json),
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

fn table(out: &mut impl Write, own: &[PathBuf], format: TableFormat) -> io::Result<ExitCode> {
    let catalog = match load(own) {
        Ok(catalog) => catalog,
        Err(code) => return Ok(code),
    };
    let rows = capabilities::table(&catalog);
    match format {
        TableFormat::Text => write!(out, "{}", capabilities::text(&rows))?,
        TableFormat::Markdown => write!(out, "{}", capabilities::markdown(&rows))?,
        TableFormat::Json => {
            serde_json::to_writer_pretty(&mut *out, &rows)?;
            writeln!(out)?;
        }
    }
    Ok(ExitCode::Clean)
}

fn show(out: &mut impl Write, name: &str, own: &[PathBuf]) -> io::Result<ExitCode> {
    let catalog = match load(own) {
        Ok(catalog) => catalog,
        Err(code) => return Ok(code),
    };
    let tokens = catalog.tokens.iter().enumerate().filter(|(_, t)| t.rule == name || t.issuer == name);
    let tokens: Vec<_> = tokens.collect();
    if tokens.is_empty() {
        eprintln!("error: `{name}` is no issuer and no issuer.token; `unsprawl rules list` shows them");
        return Ok(ExitCode::Usage);
    }
    for (i, token) in tokens {
        show_one(out, token, &catalog.issuers[&token.issuer])?;
        if let Some(ask) = catalog.asking(TokenIndex(i as u32)) {
            asking::show(out, ask)?;
        }
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
    writeln!(out, "  bound to:   {}", asking::word(token.bound_to))
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
