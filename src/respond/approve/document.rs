//! Reads a plan's text so that it can mean only one thing.
//!
//! Contract: JSON allows what readers take differently: a key twice in one object, and numbers beyond what a machine holds.
//! Such a text is refused, for a signature over it would be over one reading of several. Errors quote nothing of it.

use serde_json::Value;

use crate::strict_json;

/// Why a text is not read.
#[derive(Debug, thiserror::Error)]
pub enum Unfit {
    /// It is not JSON.
    #[error("it is not JSON (line {}, column {})", .0.line(), .0.column())]
    NotJson(serde_json::Error),
    /// An object has a key twice.
    #[error("a key stands twice in one object (line {line}, column {column})")]
    Twice {
        /// From 1.
        line: usize,
        /// From 1.
        column: usize,
    },
    /// A number is not a whole one of 64 bits, written with its digits alone.
    #[error("a number is not a whole one of at most 64 bits (line {line}, column {column})")]
    Number {
        /// From 1.
        line: usize,
        /// From 1.
        column: usize,
    },
}

/// Reads a text.
///
/// # Errors
/// See [`Unfit`].
pub fn read(text: &[u8]) -> Result<Value, Unfit> {
    let value = strict_json::read(text).map_err(|e| match strict_json::is_twice(&e) {
        true => Unfit::Twice { line: e.line(), column: e.column() },
        false => Unfit::NotJson(e),
    })?;
    match strange_number(text) {
        Some(at) => {
            let before = &text[..at];
            let line = before.iter().filter(|b| **b == b'\n').count() + 1;
            let column = at - before.iter().rposition(|b| *b == b'\n').map_or(0, |i| i + 1) + 1;
            Err(Unfit::Number { line, column })
        }
        None => Ok(value),
    }
}

/// Where the first number stands that another reader may take otherwise. The text is JSON.
fn strange_number(text: &[u8]) -> Option<usize> {
    let mut at = 0;
    while let Some(byte) = text.get(at) {
        match byte {
            b'"' => {
                at += 1;
                while text.get(at).is_some_and(|b| *b != b'"') {
                    at += if text[at] == b'\\' { 2 } else { 1 };
                }
                at += 1;
            }
            b'-' | b'0'..=b'9' => {
                let part = |b: &u8| matches!(b, b'-' | b'+' | b'.' | b'e' | b'E' | b'0'..=b'9');
                let end = at + text[at..].iter().take_while(|b| part(b)).count();
                let token = std::str::from_utf8(&text[at..end]).unwrap_or_default();
                let whole = token.parse::<u64>().map(|n| n.to_string());
                let whole = whole.or_else(|_| token.parse::<i64>().map(|n| n.to_string()));
                if whole.ok().as_deref() != Some(token) {
                    return Some(at);
                }
                at = end;
            }
            _ => at += 1,
        }
    }
    None
}
