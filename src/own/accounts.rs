//! The user's own map: from accounts at issuers to people, and from paths to teams.
//!
//! Contract: what is wrong with the file is told with line and column; nothing in it is passed over.

use std::collections::HashMap;
use std::path::Path;

use globset::{GlobBuilder, GlobMatcher};
use serde::Deserialize;
use toml::Spanned;

use crate::model::Principal;
use crate::rules::{Fault, FileText};

/// The whole map.
#[derive(Clone, Debug, Default)]
pub struct AccountMap {
    /// By the name of the account, in lower case; those of one name in the order of the file.
    accounts: HashMap<String, Vec<Account>>,
    paths: Vec<PathTeam>,
}

#[derive(Clone, Debug)]
struct Account {
    issuer: String,
    person: String,
}

#[derive(Clone, Debug)]
struct PathTeam {
    repository: Option<GlobMatcher>,
    path: GlobMatcher,
    team: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    #[serde(default, rename = "account")]
    accounts: Vec<Spanned<AccountDoc>>,
    #[serde(default, rename = "path")]
    paths: Vec<PathDoc>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AccountDoc {
    issuer: Option<String>,
    login: Option<String>,
    id: Option<String>,
    email: Option<String>,
    person: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PathDoc {
    repository: Option<Spanned<String>>,
    path: Spanned<String>,
    team: String,
}

impl AccountMap {
    /// Reads a map from a file.
    ///
    /// # Errors
    /// What is wrong, with file, line and column.
    pub fn read(path: &Path) -> Result<Self, Fault> {
        let name = path.display().to_string();
        let text = std::fs::read_to_string(path).map_err(|e| Fault {
            file: name.clone(),
            line: 1,
            column: 1,
            message: format!("cannot be read: {e}"),
        })?;
        Self::parse(&name, &text)
    }

    /// Reads a map from its text; `name` is for messages.
    ///
    /// # Errors
    /// What is wrong, with file, line and column.
    pub fn parse(name: &str, text: &str) -> Result<Self, Fault> {
        let place = FileText { name: name.to_owned(), text: text.to_owned().into() };
        let document: Document =
            toml::from_str(text).map_err(|e| place.fault(e.span().unwrap_or(0..0), e.message().to_owned()))?;
        let mut map = Self::default();
        for entry in document.accounts {
            let span = entry.span();
            let AccountDoc { issuer, login, id, email, person } = entry.into_inner();
            let issuer = issuer.unwrap_or_else(|| "*".into()).to_lowercase();
            let names: Vec<String> = [login, id, email].into_iter().flatten().collect();
            if names.is_empty() || person.trim().is_empty() {
                return Err(place.fault(span, "give `login`, `id` or `email` of the account, and the `person`"));
            }
            for name in names {
                let account = Account { issuer: issuer.clone(), person: person.clone() };
                map.accounts.entry(name.to_lowercase()).or_default().push(account);
            }
        }
        for entry in document.paths {
            let glob = |pattern: &Spanned<String>| {
                let glob = GlobBuilder::new(pattern.get_ref()).literal_separator(true).build();
                glob.map(|g| g.compile_matcher()).map_err(|e| place.fault(pattern.span(), e.to_string()))
            };
            map.paths.push(PathTeam {
                repository: entry.repository.as_ref().map(glob).transpose()?,
                path: glob(&entry.path)?,
                team: entry.team,
            });
        }
        Ok(map)
    }

    /// The person (an e-mail address or log-in name) to whom an account belongs, and the name that was looked up.
    pub fn person<'a>(&'a self, issuer: &str, principal: &'a Principal) -> Option<(&'a str, &'a str)> {
        principal.names().find_map(|name| {
            let fits = |a: &&Account| a.issuer == "*" || a.issuer == issuer;
            let account = self.accounts.get(&name.to_lowercase())?.iter().find(fits)?;
            Some((account.person.as_str(), name))
        })
    }

    /// The team that a path belongs to: the last entry that fits decides.
    pub fn team(&self, repository: &str, path: &[u8]) -> Option<&str> {
        let path = String::from_utf8_lossy(path);
        let fits = |p: &&PathTeam| {
            p.repository.as_ref().is_none_or(|r| r.is_match(repository)) && p.path.is_match(path.as_ref())
        };
        self.paths.iter().rev().find(fits).map(|p| p.team.as_str())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn accounts_and_paths() {
        let map = AccountMap::parse(
            "accounts.toml",
            r#"
            [[account]]
            issuer = "npm"
            login = "JaneD"
            person = "jane@example.org"
            [[path]]
            path = "**"
            team = "Everybody"
            [[path]]
            repository = "*/shop"
            path = "services/pay/**"
            team = "Payments"
            "#,
        )
        .unwrap();
        let account = |login: &str| Principal { login: Some(login.into()), ..Principal::default() };
        let jane = account("janed");
        assert_eq!(map.person("npm", &jane), Some(("jane@example.org", "janed")));
        assert_eq!(map.person("github", &jane), None);
        assert_eq!(map.team("git/shop", b"services/pay/a/b.rs"), Some("Payments"));
        assert_eq!(map.team("git/web", b"services/pay/a/b.rs"), Some("Everybody"));
    }

    #[test]
    fn faults_name_their_place() {
        let fault = AccountMap::parse("a.toml", "[[account]]\nissuer = \"npm\"\nperson = \"x\"\n").unwrap_err();
        assert_eq!((fault.line, fault.column), (1, 1), "{fault}");
        let fault = AccountMap::parse("a.toml", "[[path]]\npath = \"[\"\nteam = \"x\"\n").unwrap_err();
        assert_eq!(fault.line, 2, "{fault}");
        let fault = AccountMap::parse("a.toml", "[[account]]\nlogn = \"x\"\nperson = \"y\"\n").unwrap_err();
        assert!(fault.line >= 1 && fault.message.contains("logn"), "{fault}");
    }
}
