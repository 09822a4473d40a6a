//! Registries in the user's own configuration of npm, pip and Cargo.
//!
//! Contract: only files of the user and the machine, never of a scanned tree; a file that cannot be read or understood names
//! nothing. Only addresses are taken, no credential.

use std::path::{Path, PathBuf};

use super::Settings;
use crate::rules::ask::Tool;

/// The longest file that is read.
const MAX_FILE: u64 = 1 << 20;

/// Addresses of registries, the one that is used by default first, each once.
pub(super) fn registries(tool: Tool, settings: &Settings) -> Vec<String> {
    let found = match tool {
        Tool::Npm => npm(settings),
        Tool::Pip => pip(settings),
        Tool::Cargo => cargo(settings),
    };
    let mut distinct: Vec<String> = Vec::new();
    for url in found {
        let url = url.trim().trim_end_matches('/').to_owned();
        if !url.is_empty() && !distinct.contains(&url) {
            distinct.push(url);
        }
    }
    distinct
}

impl Settings {
    fn get(&self, name: &str) -> Option<String> {
        self.env.get(name).filter(|v| !v.is_empty()).cloned()
    }

    fn home(&self, path: &str) -> Option<PathBuf> {
        Some(self.home.as_ref()?.join(path))
    }

    fn config_home(&self, path: &str) -> Option<PathBuf> {
        match self.get("XDG_CONFIG_HOME") {
            Some(folder) => Some(Path::new(&folder).join(path)),
            None => self.home(&format!(".config/{path}")),
        }
    }
}

fn read(path: Option<PathBuf>) -> String {
    let read = |path: PathBuf| {
        let small = std::fs::metadata(&path).ok()?.len() <= MAX_FILE;
        if small { std::fs::read_to_string(path).ok() } else { None }
    };
    path.and_then(read).unwrap_or_default()
}

/// `key = value` lines, with the section they stand in; comments begin with `#` or `;`.
fn ini(text: &str) -> impl Iterator<Item = (String, String, String)> {
    let mut section = String::new();
    text.lines().filter_map(move |line| {
        let line = line.trim();
        if let Some(name) = line.strip_prefix('[').and_then(|l| l.strip_suffix(']')) {
            section = name.trim().to_owned();
            return None;
        }
        if line.starts_with(['#', ';']) {
            return None;
        }
        let (key, value) = line.split_once('=')?;
        Some((section.clone(), key.trim().to_owned(), value.trim().trim_matches(['"', '\'']).to_owned()))
    })
}

/// `registry` and the registries of scopes, in the user's `.npmrc`; the environment first.
fn npm(settings: &Settings) -> Vec<String> {
    let variable = settings.get("npm_config_registry").or_else(|| settings.get("NPM_CONFIG_REGISTRY"));
    let own = settings.get("npm_config_userconfig").or_else(|| settings.get("NPM_CONFIG_USERCONFIG"));
    let text = read(own.map(PathBuf::from).or_else(|| settings.home(".npmrc")));
    let lines: Vec<_> = ini(&text).collect();
    let default = lines.iter().rfind(|(_, key, _)| key == "registry").map(|(.., value)| value.clone());
    let scopes = lines.iter().filter(|(_, key, _)| key.starts_with('@') && key.ends_with(":registry"));
    variable.or(default).into_iter().chain(scopes.map(|(.., value)| value.clone())).collect()
}

/// Where twine uploads to, then where pip installs from.
fn pip(settings: &Settings) -> Vec<String> {
    let mut found: Vec<String> = settings.get("TWINE_REPOSITORY_URL").into_iter().collect();
    let uploads = read(settings.home(".pypirc"));
    found.extend(ini(&uploads).filter(|(_, key, _)| key == "repository").map(|(.., value)| value));
    found.extend(settings.get("PIP_INDEX_URL"));
    let own = settings.get("PIP_CONFIG_FILE").map(PathBuf::from);
    let places = match own {
        Some(file) => vec![Some(file)],
        None => {
            vec![settings.config_home("pip/pip.conf"), settings.home(".pip/pip.conf"), Some("/etc/pip.conf".into())]
        }
    };
    for place in places {
        let text = read(place);
        for (_, key, value) in ini(&text).filter(|(section, ..)| matches!(section.as_str(), "global" | "install")) {
            if matches!(key.as_str(), "index-url" | "index_url" | "extra-index-url" | "extra_index_url") {
                found.extend(value.split_whitespace().map(str::to_owned));
            }
        }
    }
    // An index may have a user and password in its URL: they are not ours.
    found.iter().map(|url| without_user(url)).collect()
}

/// Sparse registries: where the index is, the API is by convention. An index in git says nothing of that.
fn cargo(settings: &Settings) -> Vec<String> {
    let folder = settings.get("CARGO_HOME").map(PathBuf::from).or_else(|| settings.home(".cargo"));
    let mut text = read(folder.as_ref().map(|f| f.join("config.toml")));
    if text.is_empty() {
        text = read(folder.map(|f| f.join("config")));
    }
    let table: toml::Table = toml::from_str(&text).unwrap_or_default();
    let index = |name: &str| {
        let variable = format!("CARGO_REGISTRIES_{}_INDEX", name.to_ascii_uppercase().replace('-', "_"));
        let of_file = || Some(table.get("registries")?.get(name)?.get("index")?.as_str()?.to_owned());
        settings.get(&variable).or_else(of_file)
    };
    let of_file = || Some(table.get("registry")?.get("default")?.as_str()?.to_owned());
    let default = settings.get("CARGO_REGISTRY_DEFAULT").or_else(of_file);
    let all = table.get("registries").and_then(toml::Value::as_table).into_iter().flat_map(|t| t.keys().cloned());
    let indexes = default.into_iter().chain(all).filter_map(|name| index(&name));
    let sparse = indexes.filter_map(|url| Some(url.strip_prefix("sparse+")?.to_owned()));
    sparse.filter_map(|url| Some(reqwest::Url::parse(&url).ok()?.origin().ascii_serialization())).collect()
}

fn without_user(url: &str) -> String {
    let Ok(mut parsed) = reqwest::Url::parse(url) else { return url.to_owned() };
    // Fails only for URLs that cannot have a user.
    let _ = parsed.set_username("");
    let _ = parsed.set_password(None);
    parsed.into()
}
