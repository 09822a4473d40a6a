//! Directories: lists of the people of an organisation, whether they are still there, and in which team.
//!
//! Contract: reading one never changes it. What the user wrote wrongly is an error with its place; a directory that does not
//! answer is [`Directory::unreachable`], and says nothing about anybody.

mod cache;
pub mod file;
mod ldap;
mod scim;
mod states;

use std::collections::BTreeSet;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::people::{Directory, People};
use crate::model::{Finding, Person, Report};
use crate::rules::ask::template;
use crate::secret::Secret;
use crate::transport::Transport;
use cache::Cache;
use ldap::Ldap;
use scim::Scim;

/// The most people of one directory.
const MOST_PEOPLE: usize = 1_000_000;

/// One directory as the user names it.
pub struct Source {
    name: String,
    place: Place,
    /// It lists everybody: who is not in it has left.
    complete: bool,
}

enum Place {
    File(PathBuf),
    Scim(Scim),
    Ldap(Ldap),
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Source({})", self.name)
    }
}

/// Names that somebody should be found by, in lower case.
pub type Wanted = BTreeSet<String>;

impl Source {
    /// Reads what `--directory` takes: a CSV or JSON file, `scim+https://host/path#TOKEN_VARIABLE` or
    /// `ldaps://host/base?bind=DN#PASSWORD_VARIABLE`; before it `complete:` if it lists everybody, so that who is not in it
    /// has left. `env` reads an environment variable.
    ///
    /// # Errors
    /// What is wrong with it, and what to write.
    pub fn parse(text: &str, env: &dyn Fn(&str) -> Option<String>) -> Result<Self, String> {
        let (complete, text) = match text.strip_prefix("complete:") {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        let (address, variable) = text.split_once('#').unwrap_or((text, ""));
        if !address.contains("://") {
            return Ok(Self::file(text.into()).complete(complete));
        }
        let secret = |default: &str| {
            let variable = if variable.is_empty() { default } else { variable };
            env(variable).map(|v| Secret::new(v.as_bytes())).ok_or_else(|| {
                format!("{address}: the environment variable {variable} is not set: it holds what signs in there")
            })
        };
        let source = if let Some(base) = address.strip_prefix("scim+") {
            Self::scim(base, secret("UNSPRAWL_SCIM_TOKEN")?)?
        } else if address.starts_with("ldap://") || address.starts_with("ldaps://") {
            let (place, bind) = match address.split_once('?') {
                None => (address, None),
                Some((place, query)) => match query.strip_prefix("bind=") {
                    Some(dn) => (place, Some((template::unquoted(dn), secret("UNSPRAWL_LDAP_PASSWORD")?))),
                    None => return Err(format!("{address}: only `bind=` may stand behind the `?`")),
                },
            };
            Self::ldap(place, bind)?
        } else {
            return Err(format!("{address}: a directory is a file, scim+https://..., ldaps://... or ldap://..."));
        };
        Ok(source.complete(complete))
    }

    /// A CSV or JSON file.
    pub fn file(path: PathBuf) -> Self {
        let name = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned();
        Self { name, place: Place::File(path), complete: false }
    }

    /// A SCIM server: the address below which `/Users` is, and the bearer token.
    ///
    /// # Errors
    /// What is wrong with the address.
    pub fn scim(base: &str, token: Secret) -> Result<Self, String> {
        let scim = Scim::new(base, token)?;
        Ok(Self { name: scim.name(), place: Place::Scim(scim), complete: false })
    }

    /// An LDAP server: `ldaps://host/base`, and who binds with which password.
    ///
    /// # Errors
    /// What is wrong with the address, or with who binds.
    pub fn ldap(address: &str, bind: Option<(String, Secret)>) -> Result<Self, String> {
        let ldap = Ldap::new(address, bind)?;
        Ok(Self { name: ldap.name(), place: Place::Ldap(ldap), complete: false })
    }

    /// Whether it lists everybody, so that who is not in it has left.
    #[must_use]
    pub fn complete(self, complete: bool) -> Self {
        Self { complete, ..self }
    }

    /// Whether asking it needs the network.
    pub fn is_remote(&self) -> bool {
        !matches!(self.place, Place::File(_))
    }
}

/// How directories are asked.
#[derive(Clone)]
pub struct Options<'a> {
    /// Folder in which answers are kept, readable by the user alone; `None` keeps nothing.
    pub cache: Option<PathBuf>,
    /// How long an answer is good.
    pub ttl: Duration,
    /// How long one directory may take in all.
    pub within: Duration,
    /// How long it may take for one answer.
    pub answer_within: Duration,
    /// No network: remote directories do not answer unless their answers are kept.
    pub offline: bool,
    /// Now, seconds since 1970-01-01 UTC.
    pub now: i64,
    /// TLS for LDAP.
    pub tls: Arc<rustls::ClientConfig>,
    /// Hears of searches that do not go through the transport: of which server, and what went wrong.
    pub searched: &'a (dyn Fn(&str, Option<&str>) + Sync),
}

/// Why the directories could not be used.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct DirectoryError(#[from] file::FileError);

/// Asks all directories about these names.
///
/// # Errors
/// Only for what the user has to mend: a file that cannot be read. A server that does not answer is no error.
pub async fn fetch<T: Transport>(
    sources: &[Source],
    wanted: &Wanted,
    transport: &T,
    options: &Options<'_>,
) -> Result<People, DirectoryError> {
    let mut directories = Vec::new();
    for source in sources {
        let answer = match &source.place {
            Place::File(path) => Ok(file::read(path, &today(options.now))?),
            Place::Scim(_) | Place::Ldap(_) => remote(source, wanted, transport, options).await,
        };
        directories.push(match answer {
            Ok(people) => Directory::new(&source.name, people, source.complete),
            Err(fault) => Directory::unreachable(&source.name, &fault),
        });
    }
    Ok(People::new(directories))
}

/// Asks a server for the names that are not kept from an earlier run.
async fn remote<T: Transport>(
    source: &Source,
    wanted: &Wanted,
    transport: &T,
    options: &Options<'_>,
) -> Result<Vec<Person>, String> {
    let mut cache = Cache::open(options.cache.as_deref(), &source.name, options.ttl, options.now);
    let missing: Wanted = wanted.iter().filter(|name| !cache.knows(name)).cloned().collect();
    if missing.is_empty() {
        return Ok(cache.people());
    }
    if options.offline {
        return Err("offline".into());
    }
    let asked = async {
        match &source.place {
            Place::Scim(scim) => scim.people(&missing, transport, &source.name).await,
            Place::Ldap(ldap) => ldap.people(&missing, options, &source.name).await,
            Place::File(_) => Ok(Vec::new()),
        }
    };
    let answer = tokio::time::timeout(options.within, asked).await;
    let answer = answer.unwrap_or_else(|_| Err("no answer in time".into()));
    if let Place::Ldap(ldap) = &source.place {
        (options.searched)(ldap.server(), answer.as_ref().err().map(String::as_str));
    }
    cache.add(&missing, answer?);
    cache.save();
    Ok(cache.people())
}

/// All names of a report that a directory may know: of accounts and of authors.
pub fn wanted(report: &Report, knowledge: &super::Knowledge) -> Wanted {
    report.findings.iter().flat_map(|finding| names(finding, knowledge)).collect()
}

fn names(finding: &Finding, knowledge: &super::Knowledge) -> Vec<String> {
    let issuer = finding.rule.split('.').next().unwrap_or_default();
    let mut names: Vec<String> = Vec::new();
    for principal in finding.checked.principal.iter().chain(&finding.checked.identity) {
        names.extend([&principal.email, &principal.login].into_iter().flatten().cloned());
        names.extend(knowledge.accounts.person(issuer, principal).map(|(person, _)| person.to_owned()));
    }
    let none = super::RepositoryFiles::default();
    for location in &finding.locations {
        let Some(commit) = location.git.as_ref().and_then(|g| g.commit.as_ref()) else { continue };
        let author = knowledge.repositories.get(location.target).unwrap_or(&none).authors.person(&commit.author);
        names.extend(author.emails);
        names.extend(author.logins);
    }
    names.iter().map(|n| n.trim().to_lowercase()).filter(|n| !n.is_empty() && n.len() <= 320).collect()
}

/// A day of UTC as `YYYY-MM-DD`.
fn today(now: i64) -> String {
    jiff::Timestamp::from_second(now).map(|t| t.to_string()).unwrap_or_default().chars().take(10).collect()
}

/// A folder only its user can read.
fn private_folder(path: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(path)
}

/// Puts text into the quotes of a filter.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}
