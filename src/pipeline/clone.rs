//! Clones for URL targets, made by the git binary in an empty folder and environment of ours.
//!
//! Contract: git never runs inside a scanned repository, reads no configuration of anybody, asks nothing, follows no redirect, runs
//! no hook and takes credentials through its environment, never through its arguments. A `file://` URL is not cloned at all:
//! the repository is read where it is.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::ScanError;

/// A URL to clone.
pub struct Url {
    /// What git is given: without credentials.
    address: String,
    /// `user:password` for a basic authorization header.
    credentials: Option<String>,
    /// What reports show.
    pub shown: String,
}

impl Url {
    /// `None` if the target is no clone URL; an error if it is one of a kind that is not supported.
    pub fn parse(target: &str) -> Option<Result<Self, String>> {
        let plain = |address: &str| Self { address: address.to_owned(), credentials: None, shown: address.to_owned() };
        if let Some((scheme, rest)) = target.split_once("://") {
            return match scheme {
                "https" | "http" => Some(Ok(with_credentials(scheme, rest))),
                "ssh" => Some(Ok(Self { shown: without_credentials(target), ..plain(target) })),
                "file" => None,
                _ => Some(Err(format!("cannot clone over {scheme}; use https, ssh or file"))),
            };
        }
        // host:path as ssh has it, unless such a file exists.
        let (host, path) = target.split_once(':')?;
        let is_ssh = host.contains('@') && !host.contains('/') && !path.is_empty() && !Path::new(target).exists();
        if !is_ssh {
            return None;
        }
        Some(if host.starts_with('-') { Err("this is no host".into()) } else { Ok(plain(target)) })
    }
}

fn with_credentials(scheme: &str, rest: &str) -> Url {
    let (authority, path) = rest.split_once('/').map_or((rest, String::new()), |(a, p)| (a, format!("/{p}")));
    let (user, host) = authority.rsplit_once('@').map_or((None, authority), |(u, h)| (Some(u), h));
    let address = format!("{scheme}://{host}{path}");
    Url { shown: address.clone(), address, credentials: user.map(unpercent) }
}

fn unpercent(text: &str) -> String {
    let bytes = crate::detect::escapes::unpercent(text.as_bytes());
    let text = String::from_utf8_lossy(&bytes).into_owned();
    if text.contains(':') { text } else { format!("{text}:") }
}

/// A URL with the part before `@` left out.
pub fn without_credentials(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else { return url.to_owned() };
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    format!("{scheme}://{host}{path}")
}

/// The path of a `file://` URL; `None` for anything else.
pub fn file_url(target: &str) -> Option<Result<PathBuf, String>> {
    let rest = target.strip_prefix("file://")?;
    let path = rest.strip_prefix("localhost").unwrap_or(rest);
    if !path.starts_with('/') {
        return Some(Err("a file URL needs an absolute path: file:///path".into()));
    }
    use std::os::unix::ffi::OsStringExt;
    let bytes = crate::detect::escapes::unpercent(path.as_bytes());
    Some(Ok(PathBuf::from(std::ffi::OsString::from_vec(bytes))))
}

/// Clones into a temporary folder, or below `keep`. Gives the path of the bare repository.
pub fn clone(url: &Url, keep: Option<&Path>) -> Result<(PathBuf, Option<tempfile::TempDir>), ScanError> {
    let failed = |reason: String| ScanError::Clone(url.shown.clone(), reason);
    let (folder, temporary) = match keep {
        Some(dir) => {
            std::fs::create_dir_all(dir).map_err(|e| failed(format!("{}: {e}", dir.display())))?;
            (dir.join(folder_name(&url.address)), None)
        }
        None => {
            let dir = tempfile::Builder::new().prefix("unsprawl-").tempdir().map_err(|e| failed(e.to_string()))?;
            (dir.path().join("clone.git"), Some(dir))
        }
    };
    if folder.exists() {
        return Err(failed(format!("{} is already there", folder.display())));
    }
    let home = tempfile::tempdir().map_err(|e| failed(e.to_string()))?;
    let output = command(url, &folder, home.path()).output().map_err(|e| failed(format!("git: {e}")))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        let last = said.lines().rfind(|l| !l.trim().is_empty()).unwrap_or("git failed");
        return Err(failed(crate::notes::printable(last.as_bytes())));
    }
    Ok((folder, temporary))
}

/// `name.git` from the last component of a URL.
fn folder_name(address: &str) -> String {
    let last = address.trim_end_matches('/').rsplit(['/', ':']).next().unwrap_or_default().trim_end_matches(".git");
    let safe: String =
        last.chars().map(|c| if c.is_alphanumeric() || matches!(c, '-' | '_' | '.') { c } else { '_' }).collect();
    format!("{}.git", if safe.trim_matches('.').is_empty() { "repository" } else { &safe })
}

fn command(url: &Url, folder: &Path, home: &Path) -> Command {
    let mut git = Command::new("git");
    git.env_clear();
    // What ssh needs of the user's session, and where programs and certificates are.
    for name in
        ["PATH", "SSH_AUTH_SOCK", "SSL_CERT_FILE", "SSL_CERT_DIR", "HTTPS_PROXY", "https_proxy", "NO_PROXY", "no_proxy"]
    {
        if let Some(value) = std::env::var_os(name) {
            git.env(name, value);
        }
    }
    git.env("HOME", home)
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_TERMINAL_PROMPT", "0")
        .env("GIT_ALLOW_PROTOCOL", "https:http:ssh")
        .env("GIT_SSH_COMMAND", ssh_command())
        .env("LC_ALL", "C");
    if let Some(credentials) = &url.credentials {
        let header = format!("Authorization: Basic {}", STANDARD.encode(credentials));
        git.env("GIT_CONFIG_COUNT", "1").env("GIT_CONFIG_KEY_0", "http.extraHeader").env("GIT_CONFIG_VALUE_0", header);
    }
    for setting in [
        "credential.helper=",
        "http.followRedirects=false",
        "http.lowSpeedLimit=1000",
        "http.lowSpeedTime=60",
        "gc.auto=0",
        "core.hooksPath=/dev/null",
    ] {
        git.args(["-c", setting]);
    }
    git.args(["clone", "--quiet", "--mirror", "--template=", "--"]).arg(&url.address).arg(folder);
    git.current_dir(home).stdin(Stdio::null()).stdout(Stdio::null());
    git
}

/// ssh with the user's own keys and known hosts, which it looks up by the account and not by `HOME`, and without questions.
fn ssh_command() -> &'static str {
    "ssh -o BatchMode=yes -o ConnectTimeout=30"
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn urls_are_told_from_paths() {
        assert!(Url::parse("src/main.rs").is_none());
        assert!(Url::parse("file:///tmp/x").is_none());
        assert!(Url::parse("a:b").is_none());
        let url = Url::parse("https://bob:p%40ss@example.com/o/r.git").unwrap().unwrap();
        assert_eq!(
            (url.address.as_str(), url.credentials.as_deref()),
            ("https://example.com/o/r.git", Some("bob:p@ss"))
        );
        assert_eq!(url.shown, "https://example.com/o/r.git");
        assert_eq!(Url::parse("git@example.com:o/r").unwrap().unwrap().address, "git@example.com:o/r");
        assert!(Url::parse("ext::sh -c x").is_none());
        assert!(Url::parse("ftp://example.com/x").unwrap().is_err());
        assert_eq!(file_url("file:///a%20b").unwrap().unwrap(), PathBuf::from("/a b"));
        assert!(file_url("file://host/x").unwrap().is_err());
        assert_eq!(folder_name("https://example.com/o/r.git"), "r.git");
        assert_eq!(folder_name("git@example.com:.."), "repository.git");
    }
}
