//! JSON pointers (RFC 6901), with `*` for every item of an array or object.
//!
//! Contract: what a pointer leads to is found without panics, and at most [`MAX_FOUND`] values of it.

use serde_json::Value;

/// The most values that one pointer finds.
pub const MAX_FOUND: usize = 1000;

/// A parsed pointer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pointer {
    text: String,
    tokens: Vec<String>,
}

impl Pointer {
    /// Parses a pointer.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(text: &str) -> Result<Self, String> {
        let Some(rest) = text.strip_prefix('/') else {
            return if text.is_empty() {
                Ok(Self { text: String::new(), tokens: Vec::new() })
            } else {
                Err(format!("`{text}` is no JSON pointer: it begins with `/`"))
            };
        };
        let tokens = rest.split('/').map(|t| t.replace("~1", "/").replace("~0", "~")).collect();
        Ok(Self { text: text.to_owned(), tokens })
    }

    /// The pointer as written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// All it leads to, in order.
    pub fn find<'a>(&self, root: &'a Value) -> Vec<&'a Value> {
        let mut at = vec![root];
        for token in &self.tokens {
            let mut next: Vec<&Value> = Vec::new();
            for value in at {
                match value {
                    Value::Array(items) if token == "*" => next.extend(items.iter().take(MAX_FOUND)),
                    Value::Object(map) if token == "*" => next.extend(map.values().take(MAX_FOUND)),
                    Value::Object(map) => next.extend(map.get(token)),
                    Value::Array(items) => next.extend(index(token).and_then(|i| items.get(i))),
                    _ => {}
                }
                if next.len() > MAX_FOUND {
                    next.truncate(MAX_FOUND);
                    break;
                }
            }
            at = next;
        }
        at
    }
}

/// An array index as RFC 6901 writes it: no sign, no leading zero.
fn index(token: &str) -> Option<usize> {
    let plain = token == "0" || !token.starts_with('0') && token.bytes().all(|b| b.is_ascii_digit());
    plain.then(|| token.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn plain_and_starred() {
        let json = serde_json::json!({"a": {"b/c": [1, {"d": 2}]}, "l": [{"x": 1}, {"x": 2}, {"y": 3}], "": 0});
        let found = |p: &str| Pointer::parse(p).unwrap().find(&json).iter().map(|v| v.to_string()).collect::<Vec<_>>();
        assert_eq!(found("/a/b~1c/0"), ["1"]);
        assert_eq!(found("/a/b~1c/1/d"), ["2"]);
        assert_eq!(found("/a/b~1c/01"), [""; 0]);
        assert_eq!(found("/l/*/x"), ["1", "2"]);
        assert_eq!(found("/"), ["0"]);
        assert_eq!(found("").len(), 1);
        assert!(Pointer::parse("a/b").is_err());
    }
}
