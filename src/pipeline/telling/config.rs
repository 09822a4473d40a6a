//! `notify.toml`: to whom owners are told, and how.
//!
//! Contract: unknown keys are errors, with file, line and column; secrets stand in no such file, only where they are.

use std::path::{Path, PathBuf};

use serde::Deserialize;
use toml::Spanned;
use zeroize::Zeroizing;

use crate::config::From;
use crate::respond::notify::{TEMPLATE, Template};
use crate::rules::{Fault, FileText};

/// The file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    fallback: String,
    template: Option<Spanned<PathBuf>>,
    #[serde(default)]
    channel: Vec<Spanned<ChannelFile>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ChannelFile {
    name: String,
    kind: KindName,
    url: Option<From>,
    bearer: Option<From>,
    path: Option<PathBuf>,
    format: Option<Shape>,
    host: Option<String>,
    port: Option<u16>,
    tls: Option<Protection>,
    from: Option<String>,
    user: Option<From>,
    password: Option<From>,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
enum KindName {
    File,
    Smtp,
    Slack,
    Teams,
    Webhook,
}

/// How a connection to a mail server is protected.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Protection {
    /// It must become TLS before anything is said.
    #[default]
    Starttls,
    /// It is TLS from the first byte.
    Tls,
    /// Not at all: only to this machine.
    None,
}

/// Forms of a message in a file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Shape {
    /// The text of the template.
    #[default]
    Text,
    /// A title and Markdown, for an issue at GitHub or GitLab.
    Issue,
    /// JSON, a line for each message.
    Json,
}

/// A mail server.
#[derive(Clone)]
pub struct Mail {
    /// Its name.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// How the connection is protected.
    pub tls: Protection,
    /// The sender.
    pub from: String,
    /// User and password, if it wants them.
    pub user: Option<(Zeroizing<String>, Zeroizing<String>)>,
}

/// How a channel sends.
#[derive(Clone)]
pub enum Kind {
    /// Appends to a file.
    File {
        /// Which.
        path: PathBuf,
        /// In which form.
        shape: Shape,
    },
    /// By mail.
    Mail(Mail),
    /// An incoming webhook of Slack's.
    Slack {
        /// Its address, a secret.
        url: Zeroizing<String>,
    },
    /// A workflow webhook of Teams'.
    Teams {
        /// Its address, a secret.
        url: Zeroizing<String>,
    },
    /// Any webhook that takes JSON, `schemas/notice.v1.schema.json`.
    Webhook {
        /// Its address, a secret.
        url: Zeroizing<String>,
        /// What shows who sends.
        bearer: Option<Zeroizing<String>>,
    },
}

/// A channel.
#[derive(Clone)]
pub struct Channel {
    /// The name by which the journal remembers what was sent.
    pub name: String,
    /// How it sends.
    pub kind: Kind,
}

/// Everything that is needed to tell owners.
pub struct Telling {
    /// Who is told where no owner is known; may be empty.
    pub fallback: String,
    /// The text.
    pub template: Template,
    /// The channels.
    pub channels: Vec<Channel>,
}

impl Telling {
    /// Reads the file, and what it points to.
    ///
    /// # Errors
    /// What is wrong, and where.
    pub fn read(path: &Path, env: impl Fn(&str) -> Option<String>) -> Result<Self, Fault> {
        let name = path.display().to_string();
        let text = std::fs::read_to_string(path).map_err(|e| Fault {
            file: name.clone(),
            line: 1,
            column: 1,
            message: format!("cannot be read: {e}"),
        })?;
        Self::parse(&name, &text, env)
    }

    fn parse(name: &str, text: &str, env: impl Fn(&str) -> Option<String>) -> Result<Self, Fault> {
        let place = FileText { name: name.to_owned(), text: text.to_owned().into() };
        let file: File =
            toml::from_str(text).map_err(|e| place.fault(e.span().unwrap_or(0..0), e.message().to_owned()))?;
        let template = match &file.template {
            None => Template::new(TEMPLATE).map_err(|e| place.fault(0..0, e))?,
            Some(path) => {
                let fault = |e: String| place.fault(path.span(), format!("{}: {e}", path.get_ref().display()));
                let text = std::fs::read_to_string(path.get_ref()).map_err(|e| fault(e.to_string()))?;
                Template::new(&text).map_err(fault)?
            }
        };
        let mut channels: Vec<Channel> = Vec::new();
        for channel in &file.channel {
            let made = channel.get_ref().ready(&env).map_err(|e| place.fault(channel.span(), e))?;
            if channels.iter().any(|c| c.name == made.name) {
                return Err(place.fault(channel.span(), format!("there are two channels named `{}`", made.name)));
            }
            channels.push(made);
        }
        Ok(Self { fallback: file.fallback, template, channels })
    }
}

impl ChannelFile {
    fn ready(&self, env: &impl Fn(&str) -> Option<String>) -> Result<Channel, String> {
        let secret = |from: &From| -> Result<Zeroizing<String>, String> {
            let text = match from {
                From::Env(name) => env(name).ok_or_else(|| format!("the variable {name} is not set"))?,
                From::File(path) => std::fs::read_to_string(path).map_err(|e| format!("{}: {e}", path.display()))?,
            };
            Ok(Zeroizing::new(text.trim().to_owned()))
        };
        let needed = |name: &str| format!("a channel of this kind needs `{name}`");
        let url = || -> Result<Zeroizing<String>, String> {
            let url = secret(self.url.as_ref().ok_or_else(|| needed("url"))?)?;
            let parsed = reqwest::Url::parse(&url).map_err(|_| "its `url` is no URL".to_owned())?;
            match parsed.scheme() {
                "https" | "http" => Ok(url),
                _ => Err("its `url` is no http(s) URL".into()),
            }
        };
        self.only_what_fits()?;
        let kind = match self.kind {
            KindName::File => {
                let path = self.path.clone().ok_or_else(|| needed("path"))?;
                Kind::File { path, shape: self.format.unwrap_or_default() }
            }
            KindName::Slack => Kind::Slack { url: url()? },
            KindName::Teams => Kind::Teams { url: url()? },
            KindName::Webhook => Kind::Webhook { url: url()?, bearer: self.bearer.as_ref().map(secret).transpose()? },
            KindName::Smtp => {
                let user = match (&self.user, &self.password) {
                    (Some(user), Some(password)) => Some((secret(user)?, secret(password)?)),
                    (None, None) => None,
                    _ => return Err("give both `user` and `password`, or neither".into()),
                };
                let tls = self.tls.unwrap_or_default();
                let host = self.host.clone().ok_or_else(|| needed("host"))?;
                let local = ["localhost", "127.0.0.1", "::1"].contains(&host.as_str());
                if tls == Protection::None && !local {
                    return Err("mail goes without TLS to this machine only".into());
                }
                let port = self.port.unwrap_or(if tls == Protection::Tls { 465 } else { 587 });
                Kind::Mail(Mail { host, port, tls, from: self.from.clone().ok_or_else(|| needed("from"))?, user })
            }
        };
        Ok(Channel { name: self.name.clone(), kind })
    }

    /// A key that does nothing for a kind is an error: it was meant to do something.
    fn only_what_fits(&self) -> Result<(), String> {
        let given = [
            ("url", self.url.is_some()),
            ("bearer", self.bearer.is_some()),
            ("path", self.path.is_some()),
            ("format", self.format.is_some()),
            ("host", self.host.is_some()),
            ("port", self.port.is_some()),
            ("tls", self.tls.is_some()),
            ("from", self.from.is_some()),
            ("user", self.user.is_some()),
            ("password", self.password.is_some()),
        ];
        let fits: &[&str] = match self.kind {
            KindName::File => &["path", "format"],
            KindName::Slack | KindName::Teams => &["url"],
            KindName::Webhook => &["url", "bearer"],
            KindName::Smtp => &["host", "port", "tls", "from", "user", "password"],
        };
        match given.iter().find(|(name, is)| *is && !fits.contains(name)) {
            Some((name, _)) => Err(format!("a channel of this kind has no `{name}`")),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn parse(text: &str) -> Result<Telling, Fault> {
        Telling::parse("notify.toml", text, |name| (name == "HOOK").then(|| "https://hooks.example/x".to_owned()))
    }

    #[test]
    fn faults_have_their_place() {
        for (channel, says) in [
            ("kind = \"slack\"", "needs `url`"),
            ("kind = \"slack\"\nurl = { env = \"NONE\" }", "NONE is not set"),
            ("kind = \"slack\"\nurl = \"https://hooks.example/x\"", "never the value itself"),
            ("kind = \"slack\"\nurl = { env = \"HOOK\" }\npath = \"x\"", "has no `path`"),
            ("kind = \"file\"", "needs `path`"),
            ("kind = \"smtp\"\nhost = \"mail.example\"\nfrom = \"a@b.example\"\ntls = \"none\"", "this machine only"),
            ("kind = \"smtp\"\nhost = \"m.example\"\nfrom = \"a@b.example\"\nuser = { env = \"HOOK\" }", "give both"),
            ("kind = \"pager\"", "unknown variant"),
        ] {
            let fault = parse(&format!("fallback = \"x\"\n[[channel]]\nname = \"n\"\n{channel}\n")).err().unwrap();
            assert!(fault.message.contains(says) && fault.line >= 2, "{channel}: {fault}");
            assert!(!fault.message.contains("hooks.example"), "{fault}");
        }
        let two = "[[channel]]\nname = \"n\"\nkind = \"file\"\npath = \"a\"\n".repeat(2);
        assert!(parse(&two).err().unwrap().message.contains("two channels"));
        assert!(parse("fallbak = \"x\"").err().unwrap().message.contains("unknown field"));
        let page = include_str!("../../../docs/notify.md");
        let example = page.split("```toml\n").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
        let dir = tempfile::tempdir().unwrap();
        let (template, word) = (dir.path().join("message"), dir.path().join("word"));
        std::fs::write(&template, "{{ what }}").unwrap();
        std::fs::write(&word, "a word").unwrap();
        let example = example.replace("/etc/unsprawl/message.txt", template.to_str().unwrap());
        let example = example.replace("/run/secrets/smtp", word.to_str().unwrap());
        let telling = Telling::parse("docs/notify.md", &example, |_| Some("https://hooks.example/x".into()));
        assert_eq!(telling.unwrap_or_else(|fault| panic!("{fault}")).channels.len(), 5);
        let good = parse("[[channel]]\nname = \"n\"\nkind = \"webhook\"\nurl = { env = \"HOOK\" }\n").unwrap();
        assert_eq!(good.channels.len(), 1);
    }
}
