//! What several subcommands do at a terminal.

use std::io::{self, BufRead, IsTerminal, Write};

/// Whether to use colours where nobody said: at a terminal that knows them, unless `NO_COLOR` is set.
pub(super) fn colors(terminal: bool) -> bool {
    let no_color = std::env::var_os("NO_COLOR").is_some_and(|v| !v.is_empty());
    terminal && !no_color && std::env::var_os("TERM").is_none_or(|t| t != "dumb")
}

/// Asks the person at the terminal; without one, nobody agrees.
///
/// # Errors
/// When the terminal cannot be read or written.
pub(super) fn agreed(question: &str) -> io::Result<bool> {
    if !io::stdin().is_terminal() {
        return Ok(false);
    }
    eprint!("\n{question} Type yes: ");
    io::stderr().flush()?;
    let mut answer = String::new();
    io::stdin().lock().read_line(&mut answer)?;
    Ok(answer.trim() == "yes")
}
