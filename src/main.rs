//! The `unsprawl` command: parse, run, exit code.

use clap::Parser;
use unsprawl::cli::Cli;
use unsprawl::exit::ExitCode;

fn main() -> std::process::ExitCode {
    let code = Cli::parse().command.run().unwrap_or_else(|error| match error.kind() {
        // Whoever read our output had enough.
        std::io::ErrorKind::BrokenPipe => ExitCode::Clean,
        _ => {
            eprintln!("error: {error}");
            ExitCode::Usage
        }
    });
    code.into()
}
