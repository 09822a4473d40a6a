//! The `unsprawl` command: parse, run, exit code.

use clap::Parser;
use unsprawl::cli::{Cli, Command};
use unsprawl::exit::ExitCode;

fn main() -> std::process::ExitCode {
    let cli = Cli::parse();
    let result = match &cli.command {
        Command::Scan(args) => unsprawl::cli::scan::run(args),
        Command::Rules(args) => unsprawl::cli::rules::run(args),
    };
    let code = result.unwrap_or_else(|error| match error.kind() {
        // Whoever read our output had enough.
        std::io::ErrorKind::BrokenPipe => ExitCode::Clean,
        _ => {
            eprintln!("error: {error}");
            ExitCode::Usage
        }
    });
    code.into()
}
