//! OpenSSH's `ssh-keygen -Y`, and the little of its forms that has to be read here.
//!
//! Contract: whether a signature holds is for `ssh-keygen` to say, never for this module. It runs in a folder of its own, with
//! none of this program's settings.

use std::ffi::OsStr;
use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use base64::Engine;
use base64::alphabet::STANDARD as ALPHABET;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig, STANDARD_NO_PAD};
use sha2::{Digest, Sha256};

use super::people::names;
use super::{ApproveError, NAMESPACE};

/// As generous as OpenSSH.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &ALPHABET,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

/// A public key, as OpenSSH writes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Key(Vec<u8>);

impl Key {
    /// The key that a signature says it was made with (PROTOCOL.sshsig).
    pub fn of(signature: &str) -> Option<Self> {
        let body = signature.trim().strip_prefix("-----BEGIN SSH SIGNATURE-----")?;
        let body = body.strip_suffix("-----END SSH SIGNATURE-----")?;
        let text: Vec<u8> = body.bytes().filter(|b| !b.is_ascii_whitespace()).collect();
        let bytes = BASE64.decode(text).ok()?;
        let rest = bytes.strip_prefix(b"SSHSIG\x00\x00\x00\x01")?;
        let (length, rest) = rest.split_first_chunk::<4>()?;
        rest.get(..u32::from_be_bytes(*length) as usize).map(|key| Self(key.to_owned()))
    }

    /// As `ssh-keygen -l` shows it.
    pub fn fingerprint(&self) -> String {
        format!("SHA256:{}", STANDARD_NO_PAD.encode(Sha256::digest(&self.0)))
    }

    fn is_certificate(&self) -> bool {
        self.0.get(4..).is_some_and(|kind| kind.windows(10).take(40).any(|w| w == b"-cert-v01@"))
    }

    /// The lines of a file of allowed signers that may be about this key, each with its number.
    pub fn lines<'a>(&self, allowed: &'a str) -> Vec<(usize, &'a str)> {
        let lines = allowed.lines().enumerate().map(|(i, line)| (i + 1, line.trim()));
        let lines = lines.filter(|(_, line)| !line.is_empty() && !line.starts_with('#'));
        lines.filter(|(_, line)| self.stands_in(line) || (self.is_certificate() && is_authority(line))).collect()
    }

    /// Whether a line gives this very key to somebody.
    fn stands_in(&self, line: &str) -> bool {
        line.split_ascii_whitespace().any(|word| BASE64.decode(word).is_ok_and(|key| key == self.0))
    }
}

fn is_authority(line: &str) -> bool {
    line.to_ascii_lowercase().contains("cert-authority")
}

/// The names at the beginning of a line of allowed signers.
fn named(line: &str) -> &str {
    match line.strip_prefix('"') {
        Some(quoted) => quoted.split('"').next().unwrap_or_default(),
        None => line.split_ascii_whitespace().next().unwrap_or_default(),
    }
}

/// A folder of its own for what `ssh-keygen` reads.
pub(super) fn folder() -> Result<tempfile::TempDir, ApproveError> {
    let made = tempfile::Builder::new().prefix("unsprawl-").tempdir();
    made.map_err(|e| ApproveError::File(std::env::temp_dir(), e))
}

/// Signs with a key file, or with the agent for a `.pub` file.
pub(super) fn sign(text: &[u8], key: &Path) -> Result<String, ApproveError> {
    let folder = folder()?;
    let words = ["sign", "-n", NAMESPACE, "-f"].map(OsStr::new);
    // A hardware key asks to be touched there.
    let shown = io::stderr().is_terminal();
    let output = run(&[&words[..], &[key.as_os_str()]].concat(), folder.path(), text, shown)?;
    match output.status.success() {
        true => String::from_utf8(output.stdout).map_err(|_| ApproveError::Refused("its signature is no text".into())),
        false => Err(refused(&output)),
    }
}

/// Whether a signature is over this text, whoever made it.
pub(super) fn is_over(text: &[u8], signature: &str) -> Result<bool, ApproveError> {
    let folder = folder()?;
    let file = put(folder.path(), "sig", signature.as_bytes())?;
    let words = ["check-novalidate", "-n", NAMESPACE, "-s"].map(OsStr::new);
    Ok(run(&[&words[..], &[file.as_os_str()]].concat(), folder.path(), text, false)?.status.success())
}

/// Who made a signature over a text, or why nobody who counts did.
///
/// Every line that holds the key is asked about by itself: `ssh-keygen` looks at the first of them only. Who counts by one of
/// them is known by the names in all of them.
pub(super) fn signer(text: &[u8], signature: &str, allowed: &str) -> Result<Result<String, String>, ApproveError> {
    let Some(key) = Key::of(signature) else { return Ok(Err("it is no SSH signature".into())) };
    let folder = folder()?;
    let file = put(folder.path(), "sig", signature.as_bytes())?;
    let lines = key.lines(allowed);
    let mut said = format!("its key {} is not among the allowed signers", key.fingerprint());
    let (mut signer, mut also): (Vec<String>, Vec<String>) = (Vec::new(), Vec::new());
    for (number, line) in &lines {
        let only = put(folder.path(), "allowed", format!("{line}\n").as_bytes())?;
        let words = ["find-principals", "-s"].map(OsStr::new);
        let words = [&words[..], &[file.as_os_str(), OsStr::new("-f"), only.as_os_str()]].concat();
        let found = run(&words, folder.path(), b"", false)?;
        if key.stands_in(line) {
            also.extend(names(named(line)).map(str::to_owned));
        }
        if !found.status.success() {
            said = format!("line {number} of the allowed signers: the key is over, not valid yet, or another one");
            continue;
        }
        // One person may have several names.
        for name in String::from_utf8_lossy(&found.stdout).lines().flat_map(names) {
            if is_pattern(name) {
                said = format!("`{name}` is a pattern and names no person");
                continue;
            }
            let words = ["verify", "-n", NAMESPACE, "-I", name, "-s"].map(OsStr::new);
            let words = [&words[..], &[file.as_os_str(), OsStr::new("-f"), only.as_os_str()]].concat();
            let output = run(&words, folder.path(), text, false)?;
            if output.status.success() {
                signer.push(name.to_owned());
            } else if let ApproveError::Refused(why) = refused(&output) {
                let why = why.rsplit_once("allowed:1: ").map_or(why.as_str(), |(_, why)| why);
                said =
                    format!("it is not over this plan, or not by {name} (line {number} of the allowed signers): {why}");
            }
        }
    }
    if signer.is_empty() {
        return Ok(Err(said));
    }
    for name in also {
        if !is_pattern(&name) && !signer.contains(&name) {
            signer.push(name);
        }
    }
    Ok(Ok(signer.join(",")))
}

fn is_pattern(name: &str) -> bool {
    name.contains(['*', '?', '!'])
}

fn put(folder: &Path, name: &str, bytes: &[u8]) -> Result<PathBuf, ApproveError> {
    let file = folder.join(name);
    std::fs::write(&file, bytes).map_err(|e| ApproveError::File(file.clone(), e))?;
    Ok(file)
}

fn run(words: &[&OsStr], folder: &Path, input: &[u8], shown: bool) -> Result<Output, ApproveError> {
    let mut command = Command::new("ssh-keygen");
    command.arg("-Y").args(words).current_dir(folder);
    // An administrator's settings are none of its business.
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("UNSPRAWL_")) {
        command.env_remove(name);
    }
    let stderr = if shown { Stdio::inherit() } else { Stdio::piped() };
    let child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(stderr).spawn();
    let mut child = child.map_err(ApproveError::NoProgram)?;
    // A program that says no before it has read everything closes the pipe.
    if let Some(mut stdin) = child.stdin.take() {
        let _ = stdin.write_all(input);
    }
    child.wait_with_output().map_err(ApproveError::NoProgram)
}

fn refused(output: &Output) -> ApproveError {
    let said = String::from_utf8_lossy(&output.stderr);
    let line = said.lines().map(str::trim).rfind(|l| !l.is_empty()).unwrap_or("it did not sign");
    ApproveError::Refused(crate::notes::printable(line.as_bytes()))
}
