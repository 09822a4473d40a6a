//! The user's configuration file, `unsprawl.toml`: what he does not want to say at every run.
//!
//! Contract: it lies in the user's own configuration folder (or where `--config` says) and is never looked for in what is
//! scanned. Flags come before the environment, the environment before this file, this file before the defaults. Unknown keys are
//! errors; errors name file, line and column.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;
use toml::Spanned;

use crate::rules::{Fault, FileText};
use crate::secret::Secret;

/// The file.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Where issuers are: `issuer` or `issuer.name`, and a URL.
    pub endpoints: BTreeMap<String, Spanned<String>>,
    /// How credentials are asked about.
    pub verify: Verify,
    /// An administrator's settings at issuers, which ways to revoke need: by issuer and name.
    pub admin: BTreeMap<String, BTreeMap<String, Spanned<From>>>,
    /// How owners are found.
    pub owners: Owners,
    /// Directories of people, in the order in which they are believed.
    #[serde(rename = "directory")]
    pub directories: Vec<Spanned<Directory>>,
}

/// `[owners]`: the flags of the same names say the same.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Owners {
    /// Which account is whose, and which team looks after which path: a file.
    pub accounts: Option<PathBuf>,
    /// How long answers of directories are kept.
    pub directory_ttl: Option<Spanned<String>>,
    /// When something counts as old, in days.
    pub long_lived_days: Option<u32>,
    /// The same.
    pub stale_days: Option<u32>,
    /// The same.
    pub exposed_days: Option<u32>,
}

/// `[[directory]]`: exactly one of `file`, `scim` and `ldap`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Directory {
    /// A CSV or JSON file.
    pub file: Option<PathBuf>,
    /// Where SCIM is: `https://host/path`.
    pub scim: Option<String>,
    /// The bearer token for SCIM.
    pub token: Option<From>,
    /// Where LDAP is: `ldaps://host/base`.
    pub ldap: Option<String>,
    /// Who binds to LDAP.
    pub bind: Option<String>,
    /// With which password.
    pub password: Option<From>,
    /// It lists everybody: who is not in it has left.
    pub complete: bool,
}

/// Where a value lies that does not stand in the configuration itself.
#[derive(Clone, Debug)]
pub enum From {
    /// In an environment variable.
    Env(String),
    /// In a file, alone.
    File(PathBuf),
}

/// By hand: what stands there by mistake may be the value itself, and no error may quote it.
impl<'de> Deserialize<'de> for From {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let value = toml::Value::deserialize(d)?;
        let table = value.as_table().filter(|t| t.len() == 1);
        let text = |name: &str| table?.get(name)?.as_str().map(str::to_owned);
        let from = text("env").map(Self::Env).or_else(|| text("file").map(|path| Self::File(path.into())));
        let form = "give { env = \"VARIABLE\" } or { file = \"PATH\" }, never the value itself";
        from.ok_or_else(|| serde::de::Error::custom(form))
    }
}

/// `[verify]`: the flags of the same names say the same.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Verify {
    /// Only these issuers or token types may be asked about.
    pub only: Vec<Spanned<String>>,
    /// These issuers or token types may never be asked about.
    pub never: Vec<Spanned<String>>,
    /// Hosts read from scanned text that may be asked.
    pub allow_hosts: Vec<String>,
    /// Private, loopback and link-local addresses are permitted.
    pub allow_internal: Option<bool>,
    /// Log-ins to databases and mail servers are tried.
    pub databases: Option<bool>,
    /// Nobody is asked.
    pub offline: Option<bool>,
    /// Requests a second to one host.
    pub rps: Option<Spanned<f64>>,
    /// Requests a second for one issuer.
    pub rps_issuer: BTreeMap<String, Spanned<f64>>,
    /// How long one request may take.
    pub request_timeout: Option<Spanned<String>>,
    /// How long all checks may take.
    pub timeout: Option<Spanned<String>>,
    /// How long an active verdict counts; an inactive one counts 24 times as long.
    pub cache_ttl: Option<Spanned<String>>,
    /// Where verdicts are kept.
    pub state: Option<PathBuf>,
    /// A proxy.
    pub proxy: Option<Spanned<String>>,
    /// Certificate authorities besides the system's, as PEM.
    pub ca_cert: Option<PathBuf>,
}

/// A file with its text, so that what only turns out later can still be told with its place.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// What it says.
    pub config: Config,
    text: FileText,
}

impl Default for Loaded {
    fn default() -> Self {
        Self { config: Config::default(), text: FileText { name: String::new(), text: "".into() } }
    }
}

impl Loaded {
    /// A fault at a value.
    pub fn fault<T>(&self, at: &Spanned<T>, message: impl Into<String>) -> Fault {
        self.text.fault(at.span(), message)
    }

    /// A path of the file, from the folder that the file is in: where the program runs may be scanned content.
    pub fn beside(&self, path: &Path) -> PathBuf {
        Path::new(&self.text.name).parent().unwrap_or(Path::new("")).join(path)
    }

    /// What a value points to, without white space around it.
    ///
    /// # Errors
    /// A variable that is not set, a file that cannot be read.
    pub fn secret(&self, from: &From, env: impl Fn(&str) -> Option<String>) -> Result<Secret, String> {
        let text = match from {
            From::Env(name) => env(name).ok_or_else(|| format!("the environment variable {name} is not set"))?,
            From::File(path) => {
                let path = self.beside(path);
                std::fs::read_to_string(&path).map_err(|e| format!("{}: {e}", path.display()))?
            }
        };
        Ok(Secret::new(zeroize::Zeroizing::new(text).trim().as_bytes()))
    }

    /// A duration at a value.
    ///
    /// # Errors
    /// With its place.
    pub fn duration(&self, value: &Option<Spanned<String>>) -> Result<Option<Duration>, Fault> {
        let parse = |v: &Spanned<String>| duration(v.get_ref()).map_err(|e| self.fault(v, e));
        value.as_ref().map(parse).transpose()
    }
}

/// Reads `path`; without one, the file in the user's configuration folder if it is there.
///
/// # Errors
/// A file that was named and cannot be read, or one that is wrong.
pub fn load(path: Option<&Path>, env: impl Fn(&str) -> Option<String>) -> Result<Loaded, Fault> {
    let (path, named) = match path {
        Some(path) => (path.to_owned(), true),
        None => match default_path(env) {
            Some(path) => (path, false),
            None => return Ok(Loaded::default()),
        },
    };
    let name = path.display().to_string();
    match std::fs::read_to_string(&path) {
        Ok(text) => parse(&name, &text),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound && !named => Ok(Loaded::default()),
        Err(e) => Err(Fault { file: name, line: 1, column: 1, message: format!("cannot be read: {e}") }),
    }
}

fn parse(name: &str, text: &str) -> Result<Loaded, Fault> {
    let text = FileText { name: name.to_owned(), text: text.to_owned().into() };
    match toml::from_str(&text.text) {
        Ok(config) => Ok(Loaded { config, text }),
        Err(e) => Err(text.fault(e.span().unwrap_or(0..0), e.message().to_owned())),
    }
}

/// `$XDG_CONFIG_HOME/unsprawl/unsprawl.toml`, or below `~/.config`.
fn default_path(env: impl Fn(&str) -> Option<String>) -> Option<PathBuf> {
    let absolute = |name: &str| env(name).map(PathBuf::from).filter(|p| p.is_absolute());
    let folder = absolute("XDG_CONFIG_HOME").or_else(|| Some(absolute("HOME")?.join(".config")))?;
    Some(folder.join("unsprawl/unsprawl.toml"))
}

/// Reads `500ms`, `90s`, `10m`, `1h`, `2d`; `0` is none at all.
///
/// # Errors
/// What it should be.
pub fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || format!("`{text}` is no duration: give 90s, 10m, 1h or 2d");
    let text = text.trim();
    let (number, unit) = text.split_at(text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len()));
    let seconds = match unit.trim() {
        "ms" => 0.001,
        "s" => 1.0,
        "m" => 60.0,
        "h" => 3600.0,
        "d" => 86_400.0,
        "" if number == "0" => 1.0,
        _ => return Err(wrong()),
    };
    let number: f64 = number.parse().map_err(|_| wrong())?;
    Duration::try_from_secs_f64(number * seconds).map_err(|_| wrong())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn faults_name_line_and_column() {
        let fault = parse("unsprawl.toml", "[verify]\nrps = 5\nrsp = 6\n").unwrap_err();
        assert_eq!((fault.file.as_str(), fault.line, fault.column), ("unsprawl.toml", 3, 1), "{fault}");
        let fault = parse("unsprawl.toml", "[verify]\nrps = \"many\"\n").unwrap_err();
        assert_eq!((fault.line, fault.column), (2, 7), "{fault}");
        let loaded = parse("unsprawl.toml", "[verify]\ntimeout = \"soon\"\n").unwrap();
        let fault = loaded.duration(&loaded.config.verify.timeout).unwrap_err();
        assert_eq!((fault.line, fault.column), (2, 11), "{fault}");
    }

    #[test]
    fn a_missing_file_is_an_error_only_if_it_was_named() {
        let folder = tempfile::tempdir().unwrap();
        let env = |name: &str| (name == "XDG_CONFIG_HOME").then(|| folder.path().display().to_string());
        assert!(load(None, env).unwrap().config.endpoints.is_empty());
        assert!(load(Some(&folder.path().join("x.toml")), env).is_err());
        std::fs::create_dir(folder.path().join("unsprawl")).unwrap();
        std::fs::write(folder.path().join("unsprawl/unsprawl.toml"), "endpoints.github = \"https://x\"").unwrap();
        assert_eq!(load(None, env).unwrap().config.endpoints["github"].get_ref(), "https://x");
    }

    #[test]
    fn durations() {
        let ok = |text: &str| duration(text).unwrap();
        assert_eq!(
            (ok("90s"), ok("1.5m"), ok("0")),
            (Duration::from_secs(90), Duration::from_secs(90), Duration::ZERO)
        );
        assert_eq!((ok("2d"), ok("5ms")), (Duration::from_secs(172_800), Duration::from_millis(5)));
        for wrong in ["", "5", "m", "-1s", "1e9d", "1 year", "99999999999999999999999d"] {
            assert!(duration(wrong).is_err(), "{wrong}");
        }
    }
}
