//! `unsprawl completions SHELL` and `unsprawl man`: made from the command line's own definition, so never out of step.
//!
//! Contract: output goes to standard output (`man --dir` excepted), holds no time and no path, and is the same in every run.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use clap::CommandFactory;
use clap_complete::Shell;

use super::Cli;
use crate::exit::ExitCode;

/// Arguments of `unsprawl completions`.
#[derive(Debug, clap::Args)]
pub struct Completions {
    /// The shell that they are for
    #[arg(value_enum)]
    shell: Shell,
}

/// Arguments of `unsprawl man`.
#[derive(Debug, clap::Args)]
pub struct Man {
    /// Write the pages of all subcommands into this folder (unsprawl.1, unsprawl-scan.1, ...)
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
}

/// Writes a completion script.
///
/// # Errors
/// When it cannot be written.
pub fn completions(args: &Completions) -> io::Result<ExitCode> {
    io::stdout().lock().write_all(&script(args.shell))?;
    Ok(ExitCode::Clean)
}

/// Writes the manual page, or the pages of all subcommands.
///
/// # Errors
/// When they cannot be written.
pub fn man(args: &Man) -> io::Result<ExitCode> {
    match &args.dir {
        None => io::stdout().lock().write_all(&page(Cli::command())?)?,
        Some(dir) => pages(dir)?,
    }
    Ok(ExitCode::Clean)
}

/// The generators of clap_complete panic where they cannot write, so they write to memory.
fn script(shell: Shell) -> Vec<u8> {
    let mut out = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "unsprawl", &mut out);
    out
}

fn page(command: clap::Command) -> io::Result<Vec<u8>> {
    let mut out = Vec::new();
    clap_mangen::Man::new(command).render(&mut out)?;
    Ok(out)
}

fn pages(dir: &Path) -> io::Result<()> {
    let named = |e: io::Error| io::Error::new(e.kind(), format!("{}: {e}", dir.display()));
    std::fs::create_dir_all(dir).map_err(named)?;
    clap_mangen::generate_to(Cli::command(), dir).map_err(named)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use clap::ValueEnum;

    use super::*;

    #[test]
    fn every_shell_completes_subcommands_and_flags() {
        for shell in Shell::value_variants() {
            let script = String::from_utf8(script(*shell)).unwrap();
            for word in ["unsprawl", "scan", "rules", "completions", "history", "show-secrets"] {
                assert!(script.contains(word), "{shell}: {word}");
            }
        }
    }

    #[test]
    fn a_manual_page_for_every_subcommand() {
        let dir = tempfile::tempdir().unwrap();
        let into = dir.path().join("man1");
        pages(&into).unwrap();
        for name in ["unsprawl", "unsprawl-scan", "unsprawl-rules", "unsprawl-completions", "unsprawl-man"] {
            let text = std::fs::read_to_string(into.join(format!("{name}.1"))).unwrap();
            assert!(text.contains(".TH") && text.contains("unsprawl"), "{name}");
        }
        let scan = std::fs::read_to_string(into.join("unsprawl-scan.1")).unwrap();
        assert!(scan.contains("Exit codes") && scan.contains("keep\\-clone"), "{scan}");
    }

    #[test]
    fn the_same_in_every_run() {
        assert_eq!(script(Shell::Bash), script(Shell::Bash));
        assert_eq!(page(Cli::command()).unwrap(), page(Cli::command()).unwrap());
    }
}
