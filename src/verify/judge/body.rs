//! A reply's body, looked at as JSON and as text, each made once and only when asked for.

use std::cell::OnceCell;

use serde_json::Value;

use crate::rules::ask::{Encode, Template, Values};
use crate::strict_json;
use crate::verify::transport::Reply;

/// A reply and what its body is.
#[derive(Debug)]
pub struct Body<'a> {
    /// The reply.
    pub reply: &'a Reply,
    /// What is known of the credential, for conditions that compare with it.
    known: Option<&'a Values>,
    json: OnceCell<Option<Value>>,
    lower: OnceCell<String>,
}

impl<'a> Body<'a> {
    /// Of a reply.
    pub fn new(reply: &'a Reply) -> Self {
        Self { reply, known: None, json: OnceCell::new(), lower: OnceCell::new() }
    }

    /// Of a reply to a request about a credential.
    pub fn about(reply: &'a Reply, known: &'a Values) -> Self {
        Self { known: Some(known), ..Self::new(reply) }
    }

    /// Whether a text is what this template gives, without case.
    pub fn is_filled(&self, template: &Template, text: &str) -> bool {
        let filled = self.known.and_then(|known| template.fill(known, Encode::Plain).ok());
        filled.is_some_and(|filled| !filled.is_empty() && filled.to_lowercase() == text.to_lowercase())
    }

    /// The body as JSON; `None` if it is none, is cut, nests too deep, or says one thing twice: what it means would then
    /// depend on who reads it.
    pub fn json(&self) -> Option<&Value> {
        let read = || if self.reply.cut { None } else { strict(&self.reply.body) };
        self.json.get_or_init(read).as_ref()
    }

    /// The body as text in lower case, lossily decoded.
    pub fn lower(&self) -> &str {
        self.lower.get_or_init(|| String::from_utf8_lossy(&self.reply.body).to_lowercase())
    }

    /// Whether it is a page for people: a sign-in form, a proxy's notice, a captive portal.
    pub fn is_html(&self) -> bool {
        let kind = self.reply.header("content-type").unwrap_or_default().to_ascii_lowercase();
        let start = self.reply.body.trim_ascii_start();
        let begins = |with: &[u8]| start.get(..with.len()).is_some_and(|s| s.eq_ignore_ascii_case(with));
        let says = kind.contains("text/html") || kind.contains("application/xhtml");
        (says && !start.is_empty() && !matches!(start[0], b'{' | b'[')) || begins(b"<!doctype html") || begins(b"<html")
    }
}

/// Reads JSON in which no object has a key twice. A leading byte order mark is allowed.
pub fn strict(text: &[u8]) -> Option<Value> {
    strict_json::read(text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text)).ok()
}
