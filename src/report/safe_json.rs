//! JSON that may be shown on a terminal.
//!
//! Contract: the same documents as serde_json writes, but characters that steer a terminal or turn text around
//! (DEL, C1, bidi and zero-width characters, which JSON allows to stand raw) are written as `\uXXXX`.

use std::io::{self, Write};

use serde::Serialize;
use serde_json::ser::{CompactFormatter, Formatter, PrettyFormatter, Serializer};

use crate::notes::is_harmless;

/// Writes `value` on one line, without a line end.
pub(crate) fn compact(out: &mut dyn Write, value: &impl Serialize) -> io::Result<()> {
    value.serialize(&mut Serializer::with_formatter(out, Safe(CompactFormatter))).map_err(io::Error::from)
}

/// Writes `value` indented, with a line end.
pub(crate) fn pretty(out: &mut dyn Write, value: &impl Serialize) -> io::Result<()> {
    let formatter = Safe(PrettyFormatter::with_indent(b" "));
    value.serialize(&mut Serializer::with_formatter(&mut *out, formatter))?;
    out.write_all(b"\n")
}

/// Escapes inside strings and leaves the layout to another formatter.
struct Safe<F>(F);

/// Hands methods that only lay out the document to the inner formatter.
macro_rules! delegate {
    ($($method:ident($($flag:ident)?)),*) => {$(
        fn $method<W: ?Sized + Write>(&mut self, writer: &mut W $(, $flag: bool)?) -> io::Result<()> {
            self.0.$method(writer $(, $flag)?)
        }
    )*};
}

impl<F: Formatter> Formatter for Safe<F> {
    delegate!(
        begin_array(),
        end_array(),
        begin_array_value(first),
        end_array_value(),
        begin_object(),
        end_object(),
        begin_object_key(first),
        end_object_key(),
        begin_object_value(),
        end_object_value()
    );

    fn write_string_fragment<W: ?Sized + Write>(&mut self, writer: &mut W, fragment: &str) -> io::Result<()> {
        if fragment.bytes().all(|b| (b' '..0x7f).contains(&b)) {
            return writer.write_all(fragment.as_bytes());
        }
        let mut rest = fragment;
        while let Some((at, c)) = rest.char_indices().find(|&(_, c)| !is_harmless(c)) {
            writer.write_all(&rest.as_bytes()[..at])?;
            for unit in c.encode_utf16(&mut [0; 2]) {
                write!(writer, "\\u{unit:04x}")?;
            }
            rest = &rest[at + c.len_utf8()..];
        }
        writer.write_all(rest.as_bytes())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_document_is_the_same_and_harmless() {
        let text = "a\u{9b}31m\u{7f}\u{202e}\u{e0001}\u{1f600}\u{e9}\"\\\n\u{feff}";
        let value = serde_json::json!({ "k\u{85}": [text, 1, null, {}, []], "x": { "y": true } });
        for pretty_too in [false, true] {
            let mut out = Vec::new();
            if pretty_too {
                pretty(&mut out, &value).unwrap()
            } else {
                compact(&mut out, &value).unwrap()
            }
            assert_eq!(serde_json::from_slice::<serde_json::Value>(&out).unwrap(), value);
            let shown = String::from_utf8(out).unwrap();
            assert!(shown.chars().all(|c| c == '\n' || is_harmless(c)), "{shown:?}");
            assert!(shown.contains("\u{1f600}\u{e9}") && shown.contains("\\u009b31m\\u007f\\u202e"));
        }
    }
}
