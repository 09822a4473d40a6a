//! The `unsprawl` command: parse, run, exit code.

use clap::Parser;
use unsprawl::cli::Cli;
use unsprawl::exit::ExitCode;

fn main() -> std::process::ExitCode {
    // A core dump would hold secrets. Where this is not possible, nothing else depends on it.
    #[cfg(target_os = "linux")]
    let _ = rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable);
    let _ = rustix::process::setrlimit(
        rustix::process::Resource::Core,
        rustix::process::Rlimit { current: Some(0), maximum: Some(0) },
    );
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
