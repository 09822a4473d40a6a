//! What is known of a credential beyond where it stands: whether it works, and the account behind it.

use std::collections::BTreeMap;

use super::Validity;

/// The account at the issuer that a credential acts as. Facts come from the issuer's answer or from the token itself.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(default)]
pub struct Principal {
    /// `user`, `service`, `organisation`, `app`, `bot` or what the issuer calls it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// The issuer's id of the account.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// Log-in name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub login: Option<String>,
    /// Name as people read it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// E-mail address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
    /// Organisation, workspace, tenant or cloud account.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub organisation: Option<String>,
    /// The issuer's id of the credential itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key_id: Option<String>,
    /// What it may do.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub scopes: Vec<String>,
    /// When the credential was made: RFC 3339 where the issuer's form could be read, else as the issuer says it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub created: Option<String>,
    /// When it ends.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires: Option<String>,
    /// When it was last used.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_used: Option<String>,
    /// Other facts, by name.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub more: BTreeMap<String, String>,
}

impl Principal {
    /// Whether nothing is known.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// Where a verdict comes from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum How {
    /// Nobody was asked.
    #[default]
    NotAsked,
    /// The issuer, in this run.
    Asked,
    /// The issuer, in an earlier run.
    Cached,
    /// The token itself: it carries its own end.
    Offline,
    /// It is known to be a canary: asking would raise an alarm, so it was not asked.
    Canary,
}

/// A credential that was checked: the result of the verify stage.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checked {
    /// Whether the issuer accepts it.
    pub validity: Validity,
    /// More about an active or inactive verdict: "expired", "limited by IP address".
    pub remark: Option<String>,
    /// Where the verdict comes from.
    pub how: How,
    /// When the issuer was asked, seconds since 1970-01-01 UTC.
    pub at: Option<i64>,
    /// The account, as the issuer says.
    pub principal: Option<Principal>,
    /// The account, as the token itself says; no one was asked for it.
    pub identity: Option<Principal>,
}

impl Default for Checked {
    fn default() -> Self {
        Self {
            validity: Validity::Unknown("not asked".into()),
            remark: None,
            how: How::NotAsked,
            at: None,
            principal: None,
            identity: None,
        }
    }
}
