//! Signatures over a plan: who agreed to it, and whether they count.
//!
//! Contract: what is signed is the plan's document without its approvals, in one form ([`payload`]); a plan that was changed
//! has no approvals. A text that can be read in two ways is no plan ([`document::read`]). Signing and verifying is OpenSSH's
//! own work (`ssh-keygen -Y`), as it is for git: it knows agents, passphrases, hardware keys, certificates, and keys that are
//! over.

pub mod document;
mod openssh;
mod people;

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use openssh::Key;
pub use people::{counting, owners, same_person};

/// What signatures are for, as `ssh-keygen -n` takes it.
pub const NAMESPACE: &str = "unsprawl-plan";
/// Signatures that are looked at: no plan needs more, and each costs a process or two.
const MOST: usize = 64;

/// Why a plan cannot be signed, or its signatures not be verified.
#[derive(Debug, thiserror::Error)]
pub enum ApproveError {
    /// The document is no object, or its approvals are no list.
    #[error("this is no plan")]
    NoPlan,
    /// OpenSSH is not there, or does not start.
    #[error("ssh-keygen cannot be started ({0}): it comes with OpenSSH 8.2 or later")]
    NoProgram(io::Error),
    /// A file that is not there.
    #[error("{0}: {1}")]
    File(PathBuf, io::Error),
    /// It says no.
    #[error("ssh-keygen: {0}")]
    Refused(String),
    /// Nothing to sign with.
    #[error("there is no SSH key: --key FILE names one (its .pub file for a key in an agent)")]
    NoKey,
    /// A signature that would never count.
    #[error("this is no signature over this plan for {NAMESPACE}: --payload prints what is signed")]
    NotOver,
    /// There is no room for more.
    #[error("there are {MOST} signatures on it already")]
    TooMany,
}

/// The bytes that are signed: the document without `approvals`, keys sorted, no white space.
///
/// # Errors
/// When the document is no object.
pub fn payload(plan: &Value) -> Result<Vec<u8>, ApproveError> {
    let Value::Object(fields) = plan else { return Err(ApproveError::NoPlan) };
    let rest: BTreeMap<&String, &Value> = fields.iter().filter(|(name, _)| *name != "approvals").collect();
    let mut out = Vec::new();
    object(rest, &mut out);
    Ok(out)
}

fn object(fields: BTreeMap<&String, &Value>, out: &mut Vec<u8>) {
    out.push(b'{');
    for (i, (name, value)) in fields.into_iter().enumerate() {
        if i > 0 {
            out.push(b',');
        }
        out.extend(Value::from(name.as_str()).to_string().as_bytes());
        out.push(b':');
        canonical(value, out);
    }
    out.push(b'}');
}

fn canonical(value: &Value, out: &mut Vec<u8>) {
    match value {
        Value::Object(fields) => object(fields.iter().collect(), out),
        Value::Array(items) => {
            out.push(b'[');
            for (i, item) in items.iter().enumerate() {
                if i > 0 {
                    out.push(b',');
                }
                canonical(item, out);
            }
            out.push(b']');
        }
        other => out.extend(other.to_string().as_bytes()),
    }
}

/// Signs a plan with a key file, or with the agent for a `.pub` file; may ask for a passphrase on the terminal.
///
/// # Errors
/// See [`ApproveError`].
pub fn sign(plan: &Value, key: Option<&Path>) -> Result<String, ApproveError> {
    let key = match key {
        Some(key) => std::path::absolute(key).map_err(|e| ApproveError::File(key.to_owned(), e))?,
        None => default_key().ok_or(ApproveError::NoKey)?,
    };
    if let Err(e) = std::fs::metadata(&key) {
        return Err(ApproveError::File(key, e));
    }
    openssh::sign(&payload(plan)?, &key)
}

/// Holds that a signature is over this plan, by whatever key. Whether it counts is for [`verified`] to say.
///
/// # Errors
/// It is not, or that cannot be told.
pub fn check(plan: &Value, signature: &str) -> Result<(), ApproveError> {
    match Key::of(signature).is_some() && openssh::is_over(&payload(plan)?, signature)? {
        true => Ok(()),
        false => Err(ApproveError::NotOver),
    }
}

/// Adds a signature to a plan, in place of an earlier one by the same key.
///
/// # Errors
/// When the document is no plan, or full.
pub fn add(plan: &mut Value, signature: &str, at: &str) -> Result<(), ApproveError> {
    let Value::Object(fields) = plan else { return Err(ApproveError::NoPlan) };
    let approvals = fields.entry("approvals").or_insert_with(|| json!([]));
    let Value::Array(approvals) = approvals else { return Err(ApproveError::NoPlan) };
    let key = Key::of(signature);
    let of = |approval: &Value| approval["signature"].as_str().and_then(Key::of);
    approvals.retain(|approval| key.is_none() || of(approval) != key);
    if approvals.len() >= MOST {
        return Err(ApproveError::TooMany);
    }
    approvals.push(json!({ "at": at, "signature": signature }));
    Ok(())
}

/// One of the user's own keys, by OpenSSH's usual names.
fn default_key() -> Option<PathBuf> {
    let home = PathBuf::from(std::env::var_os("HOME")?);
    let names = ["id_ed25519", "id_ed25519_sk", "id_ecdsa", "id_ecdsa_sk", "id_rsa"];
    names.iter().map(|name| home.join(".ssh").join(name)).find(|path| path.is_file())
}

/// What the signatures of a plan are worth.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verified {
    /// Who signed exactly this plan, by all their names (with commas between) in the file of allowed signers; everybody once.
    pub by: Vec<String>,
    /// Why other signatures do not count.
    pub not: Vec<String>,
}

/// Verifies the signatures of a plan against a file of allowed signers, as `ssh-keygen(1)` describes it; a key that is over
/// now does not count.
///
/// # Errors
/// When nothing can be verified. A signature that is wrong is no error.
pub fn verified(plan: &Value, allowed: &Path) -> Result<Verified, ApproveError> {
    let text = payload(plan)?;
    // Read once: all signatures are held against the same file.
    let signers = std::fs::read(allowed).map_err(|e| ApproveError::File(allowed.to_owned(), e))?;
    let signers = String::from_utf8_lossy(&signers);
    let mut verified = Verified::default();
    let approvals = plan["approvals"].as_array().map_or(&[][..], Vec::as_slice);
    for (i, approval) in approvals.iter().take(MOST).enumerate() {
        match openssh::signer(&text, approval["signature"].as_str().unwrap_or_default(), &signers)? {
            Ok(signer) => people::add(&mut verified.by, &signer),
            Err(why) => verified.not.push(format!("signature {}: {why}", i + 1)),
        }
    }
    if approvals.len() > MOST {
        verified.not.push(format!("{} signatures are too many: only {MOST} are looked at", approvals.len()));
    }
    Ok(verified)
}

#[cfg(test)]
mod tests;
