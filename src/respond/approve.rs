//! Signatures over a plan: who agreed to it, and whether they count.
//!
//! Contract: what is signed is the plan's document without its approvals, in one form ([`payload`]); a plan that was changed
//! has no approvals. Signing and verifying is OpenSSH's own work (`ssh-keygen -Y`), as it is for git: it knows agents,
//! passphrases, hardware keys, certificates, and keys that are over. Its process starts in a folder of its own.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::{Value, json};

/// What signatures are for, as `ssh-keygen -n` takes it.
pub const NAMESPACE: &str = "unsprawl-plan";

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
    let folder = folder()?;
    let mut command = Command::new("ssh-keygen");
    command.args(["-Y", "sign", "-n", NAMESPACE, "-f"]).arg(&key).current_dir(folder.path());
    let output = run(&mut command, &payload(plan)?)?;
    if !output.status.success() {
        return Err(refused(&output));
    }
    String::from_utf8(output.stdout).map_err(|_| ApproveError::Refused("its signature is no text".into()))
}

/// Adds a signature to a plan. Whether it counts is for [`verified`] to say.
///
/// # Errors
/// When the document is no plan.
pub fn add(plan: &mut Value, signature: &str, at: &str) -> Result<(), ApproveError> {
    let Value::Object(fields) = plan else { return Err(ApproveError::NoPlan) };
    let approvals = fields.entry("approvals").or_insert_with(|| json!([]));
    let Value::Array(approvals) = approvals else { return Err(ApproveError::NoPlan) };
    approvals.push(json!({ "at": at, "signature": signature }));
    Ok(())
}

/// One of the user's own keys, by OpenSSH's usual names.
fn default_key() -> Option<PathBuf> {
    let home = PathBuf::from(std::env::var_os("HOME")?);
    let names = ["id_ed25519", "id_ed25519_sk", "id_ecdsa", "id_ecdsa_sk", "id_rsa"];
    names.iter().map(|name| home.join(".ssh").join(name)).find(|path| path.is_file())
}

fn folder() -> Result<tempfile::TempDir, ApproveError> {
    let made = tempfile::Builder::new().prefix("unsprawl-").tempdir();
    made.map_err(|e| ApproveError::File(std::env::temp_dir(), e))
}

fn run(command: &mut Command, input: &[u8]) -> Result<Output, ApproveError> {
    // An administrator's settings are none of its business.
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("UNSPRAWL_")) {
        command.env_remove(name);
    }
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().map_err(ApproveError::NoProgram)?;
    // A program that says no before it has read everything closes the pipe.
    if let Some(mut stdin) = child.stdin.take() {
        let _ = stdin.write_all(input);
    }
    child.wait_with_output().map_err(ApproveError::NoProgram)
}

fn refused(output: &Output) -> ApproveError {
    let said = String::from_utf8_lossy(&output.stderr);
    let line = said.lines().map(str::trim).rfind(|l| !l.is_empty()).unwrap_or("it gives no reason");
    ApproveError::Refused(crate::notes::printable(line.as_bytes()))
}

/// What the signatures of a plan are worth.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verified {
    /// Who signed exactly this plan, by their names (with commas between) in the file of allowed signers; everybody once.
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
    let allowed = std::path::absolute(allowed).map_err(|e| ApproveError::File(allowed.to_owned(), e))?;
    std::fs::File::open(&allowed).map_err(|e| ApproveError::File(allowed.clone(), e))?;
    let folder = folder()?;
    let mut verified = Verified::default();
    for (i, approval) in plan["approvals"].as_array().map_or(&[][..], Vec::as_slice).iter().enumerate() {
        let file = folder.path().join(format!("{i}.sig"));
        let signature = approval["signature"].as_str().unwrap_or_default();
        std::fs::write(&file, signature).map_err(|e| ApproveError::File(file.clone(), e))?;
        match signer(&text, &file, &allowed, folder.path())? {
            Ok(signer) if verified.by.iter().any(|known| names(known).any(|n| names(&signer).any(|m| m == n))) => {}
            Ok(signer) => verified.by.push(signer),
            Err(why) => verified.not.push(format!("signature {}: {why}", i + 1)),
        }
    }
    Ok(verified)
}

/// Who made a signature over a text, or why nobody who counts did.
fn signer(
    text: &[u8],
    signature: &Path,
    allowed: &Path,
    folder: &Path,
) -> Result<Result<String, String>, ApproveError> {
    let mut find = Command::new("ssh-keygen");
    find.args(["-Y", "find-principals", "-s"]).arg(signature).arg("-f").arg(allowed).current_dir(folder);
    let found = run(&mut find, b"")?;
    if !found.status.success() {
        return Ok(Err("no allowed signer made it, or the key is over".into()));
    }
    let lines = String::from_utf8_lossy(&found.stdout).into_owned();
    let mut said = String::from("it names nobody");
    let mut signer: Vec<&str> = Vec::new();
    // One person may have several names.
    for name in lines.lines().flat_map(names) {
        if name.contains(['*', '?', '!']) {
            said = format!("`{name}` is a pattern and names no person");
            continue;
        }
        let mut verify = Command::new("ssh-keygen");
        verify.args(["-Y", "verify", "-n", NAMESPACE, "-I", name, "-s"]).arg(signature).arg("-f").arg(allowed);
        let output = run(verify.current_dir(folder), text)?;
        if output.status.success() {
            signer.push(name);
        } else if let ApproveError::Refused(why) = refused(&output) {
            said = format!("it is not over this plan, or not by {name}: {why}");
        }
    }
    Ok(if signer.is_empty() { Err(said) } else { Ok(signer.join(",")) })
}

/// The names of one signer.
fn names(signer: &str) -> impl Iterator<Item = &str> {
    signer.split(',').map(str::trim).filter(|name| !name.is_empty())
}

/// Whether two names may be one person's: the same, or the same before an `@`.
pub fn same_person(a: &str, b: &str) -> bool {
    let local = |name: &str| name.split('@').next().unwrap_or_default().trim().to_lowercase();
    let whole = |name: &str| name.trim().to_lowercase();
    let one_is_short = !a.contains('@') || !b.contains('@');
    whole(a) == whole(b) || (one_is_short && !local(a).is_empty() && local(a) == local(b))
}

/// Who of those that signed counts for one item: neither who made the plan nor whose credential it is. Gives those that count,
/// and why others do not.
pub fn counting(by: &[String], planner: &str, owners: &[String]) -> (Vec<String>, Vec<String>) {
    let (mut counting, mut not) = (Vec::new(), Vec::new());
    for name in by {
        let is = |other: &str| names(name).any(|n| same_person(n, other));
        if is(planner) {
            not.push(format!("{name} made the plan"));
        } else if owners.iter().any(|owner| is(owner)) {
            not.push(format!("{name} owns the credential"));
        } else {
            counting.push(name.clone());
        }
    }
    (counting, not)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;

    use super::*;

    fn any_json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            ".{0,8}".prop_map(Value::from),
        ];
        leaf.prop_recursive(3, 24, 4, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                proptest::collection::btree_map(".{0,4}", inner, 0..4)
                    .prop_map(|m| Value::Object(m.into_iter().collect())),
            ]
        })
    }

    /// The same with every object's keys the other way round.
    fn turned(value: &Value) -> Value {
        match value {
            Value::Object(fields) => Value::Object(fields.iter().rev().map(|(k, v)| (k.clone(), turned(v))).collect()),
            Value::Array(items) => items.iter().map(turned).collect(),
            other => other.clone(),
        }
    }

    proptest! {
        #[test]
        fn one_form_for_one_document(a in any_json(), b in any_json()) {
            let document = |v: &Value| json!({ "schema": "x", "items": v });
            let (one, other) = (payload(&document(&a)).unwrap(), payload(&document(&b)).unwrap());
            prop_assert_eq!(&one, &payload(&turned(&document(&a))).unwrap());
            let again: Value = serde_json::from_slice(&one).unwrap();
            prop_assert_eq!(&one, &payload(&again).unwrap());
            prop_assert_eq!(one == other, a == b);
        }
    }

    #[test]
    fn approvals_are_not_part_of_what_is_signed() {
        let mut plan = json!({ "b": 1, "a": [1.0, "x\n"], "approvals": [] });
        let before = payload(&plan).unwrap();
        assert_eq!(before, br#"{"a":[1.0,"x\n"],"b":1}"#);
        add(&mut plan, "S", "now").unwrap();
        assert_eq!(payload(&plan).unwrap(), before);
        assert!(payload(&json!([])).is_err() && add(&mut json!({ "approvals": 1 }), "S", "now").is_err());
    }

    #[test]
    fn nobody_approves_his_own() {
        let by = ["al,alice@corp.example", "bob@corp.example", "carol"].map(String::from);
        let owners = ["Bob".to_owned(), "dave@corp.example".to_owned()];
        let (counting, not) = counting(&by, "Alice", &owners);
        assert_eq!(counting, ["carol"]);
        assert_eq!(not.len(), 2);
        assert!(!same_person("bob@a.example", "bob@b.example") && !same_person("", "@x"));
    }
}
