//! Reads a plan's text so that it can mean only one thing.
//!
//! Contract: JSON allows what readers take differently: a key twice in one object, and numbers beyond what a machine holds.
//! Such a text is refused, for a signature over it would be over one reading of several. Errors quote nothing of it.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

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

const TWICE: &str = "a key stands twice";

/// Reads a text.
///
/// # Errors
/// See [`Unfit`].
pub fn read(text: &[u8]) -> Result<Value, Unfit> {
    let mut reader = serde_json::Deserializer::from_slice(text);
    let value = Strict.deserialize(&mut reader).and_then(|value| reader.end().map(|()| value));
    let value = value.map_err(|e| match e.is_data() && e.to_string().starts_with(TWICE) {
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

/// Any value, whose objects have each key once.
struct Strict;

impl<'de> DeserializeSeed<'de> for Strict {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Number::from_f64(value).map_or(Value::Null, Value::Number))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut all = Vec::new();
        while let Some(item) = items.next_element_seed(Strict)? {
            all.push(item);
        }
        Ok(Value::Array(all))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Value, A::Error> {
        let mut all = Map::new();
        while let Some(name) = fields.next_key::<String>()? {
            if all.contains_key(&name) {
                return Err(A::Error::custom(TWICE));
            }
            let value = fields.next_value_seed(Strict)?;
            all.insert(name, value);
        }
        Ok(Value::Object(all))
    }
}
