//! Signatures of requests that need code, as a rule file asks for them.

use std::collections::BTreeMap;

use serde::Deserialize;

/// A signature that needs code: how it is made, and templates for what it is made from.
#[derive(Clone, Debug, Deserialize)]
pub struct Sign {
    /// How.
    pub with: Scheme,
    /// JWT: claims besides `iat` and `exp`; the values are templates.
    #[serde(default)]
    pub claims: BTreeMap<String, String>,
    /// JWT: seconds it is valid; at most 600.
    pub lifetime: Option<u32>,
    /// What else it is made from, by the names of [`Scheme::inputs`]; the values are templates.
    #[serde(flatten)]
    pub fields: BTreeMap<String, String>,
}

impl Sign {
    /// All templates with the names under which `verify::sign` expects their values; claims are called `claims.NAME`.
    pub fn templates(&self) -> impl Iterator<Item = (String, &str)> {
        let claims = self.claims.iter().map(|(name, template)| (format!("claims.{name}"), template.as_str()));
        self.fields.iter().map(|(name, template)| (name.clone(), template.as_str())).chain(claims)
    }

    /// Whether the fields are those of the scheme.
    ///
    /// # Errors
    /// What is wrong, for the author of a rule file.
    pub fn check(&self) -> Result<(), String> {
        let (needed, optional) = self.with.inputs();
        for name in needed {
            if !self.fields.contains_key(*name) {
                return Err(format!("this signature needs `{name}`"));
            }
        }
        if let Some(name) =
            self.fields.keys().find(|n| !needed.contains(&n.as_str()) && !optional.contains(&n.as_str()))
        {
            return Err(format!("this signature has no `{name}`; it has {}", [needed, optional].concat().join(", ")));
        }
        if self.with == Scheme::Jwt {
            return match self.lifetime {
                Some(1..=600) => Ok(()),
                _ => Err("`lifetime` is 1 to 600 seconds".into()),
            };
        }
        match self.claims.is_empty() && self.lifetime.is_none() {
            true => Ok(()),
            false => Err("only a JWT has `claims` and `lifetime`".into()),
        }
    }
}

/// Kinds of [`Sign`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Scheme {
    /// AWS Signature Version 4. An empty `region` is the one that the host names, else `us-east-1`.
    AwsSigv4,
    /// Azure Storage Shared Key; the key in base64.
    AzureSharedKey,
    /// Azure Cosmos DB primary or secondary key, base64.
    AzureCosmos,
    /// Azure Service Bus and its kin: a shared access signature of the host that ends after minutes. `name` is the policy.
    AzureSas,
    /// A JWT signed with a private key (PEM): RS256 for RSA, ES256 for P-256. It goes into the header, or with `form` into that
    /// field of the form. `%public%` in a claim is SHA-256 of the public key, base64.
    Jwt,
    /// Alibaba Cloud, version 3 (`ACS3-HMAC-SHA256`).
    Acs3,
    /// Tencent Cloud, version 3 (`TC3-HMAC-SHA256`).
    Tc3,
    /// Oracle Cloud: RSA over the request line, the date and the host. `fingerprint` comes from the key if empty.
    Oci,
    /// OVHcloud: the application's key and secret, and the consumer key.
    Ovh,
    /// Duo Security: the integration key and its secret; for requests without a body.
    Duo,
    /// Exoscale (`EXO2-HMAC-SHA256`).
    Exo2,
    /// OAuth 1.0a with HMAC-SHA-1, as a user of an application; for requests without a body.
    Oauth1,
    /// Coinbase Developer Platform: a JWT for this one request, signed with the key of this name: P-256 as PEM, or Ed25519 as
    /// 64 bytes in base64.
    Cdp,
}

impl Scheme {
    /// Names of what it is made from: what must be there, and what may.
    pub fn inputs(self) -> (&'static [&'static str], &'static [&'static str]) {
        match self {
            Self::AwsSigv4 => (&["service", "key_id", "secret"], &["region", "session"]),
            Self::AzureSharedKey => (&["account", "key"], &[]),
            Self::AzureCosmos => (&["key"], &[]),
            Self::AzureSas => (&["name", "key"], &[]),
            Self::Jwt => (&["key"], &["kid", "form"]),
            Self::Acs3 => (&["action", "version", "key_id", "secret"], &["session"]),
            Self::Tc3 => (&["action", "version", "service", "key_id", "secret"], &[]),
            Self::Oci => (&["tenancy", "user", "key"], &["fingerprint"]),
            Self::Ovh => (&["key", "secret", "consumer"], &[]),
            Self::Duo | Self::Exo2 => (&["key", "secret"], &[]),
            Self::Oauth1 => (&["consumer_key", "consumer_secret", "token", "token_secret"], &[]),
            Self::Cdp => (&["name", "key"], &[]),
        }
    }
}
