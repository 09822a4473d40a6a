//! Replies that a rule file's tests make up, and what must have been sent.

use std::collections::BTreeMap;

use serde::Deserialize;

/// A reply that a rule file's test makes up.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TestReply {
    /// Status of a reply; or
    #[serde(default)]
    pub status: u16,
    /// how a log-in ended: `accepted`, `denied` or `unclear`; of one that changes `changed`, `gone` or `perhaps`.
    pub login: Option<String>,
    /// Headers.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    /// A JSON body; placeholders of the test's text may stand in its strings; or
    pub json: Option<toml::Value>,
    /// any other body.
    pub body: Option<String>,
}

/// What a request of a test must look like.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TestSent {
    /// The method.
    pub method: Option<String>,
    /// The whole URL.
    pub url: Option<String>,
    /// Headers that must be there, with their values.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    /// Headers that must not be there.
    #[serde(default)]
    pub without: Vec<String>,
    /// The whole body; or
    pub body: Option<String>,
    /// the body as JSON; or
    pub json: Option<toml::Value>,
    /// the body as a form, every field of it.
    pub form: Option<BTreeMap<String, String>>,
    /// User and password of `Authorization: Basic`.
    pub basic: Option<[String; 2]>,
}
