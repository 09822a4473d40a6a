//! Flags on asking issuers, which several subcommands share, and how they join with the environment and the configuration file.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::OnceLock;
use std::time::Duration;

use clap::builder::FalseyValueParser;

use crate::config::{self, Config, Loaded};
use crate::pipeline::asking::{Asking, Mode};
use crate::pipeline::responding::admin::{Admin, variable};
use crate::rules::Catalog;
use crate::store::{self, TimeToLive};
use crate::verify::endpoints::{Settings, check_url};
use crate::verify::limits::Limits;
use crate::verify::network::{self, Proxy};

/// The flags.
#[derive(Clone, Debug, Default, clap::Args)]
#[command(next_help_heading = "Asking issuers")]
pub struct Flags {
    /// Ask nobody whether credentials still work
    #[arg(long)]
    pub no_verify: bool,
    /// Use no network: verdicts come from earlier runs and from the tokens themselves
    #[arg(long, env = "UNSPRAWL_OFFLINE", value_parser = FalseyValueParser::new())]
    offline: bool,
    /// Where an issuer is, for instances of your own: github=https://ghes.example/api/v3; it takes the place of the public
    /// address; given several times for one issuer, a credential is at home at one of them, and inactive only if all say so;
    /// also UNSPRAWL_ENDPOINT_GITHUB and the like
    #[arg(long, value_name = "ISSUER[.NAME]=URL", value_parser = endpoint)]
    endpoint: Vec<(String, String)>,
    /// A host that was read from scanned text and may be asked, as host, host:port or *.domain (may be repeated)
    #[arg(long, value_name = "HOST", value_delimiter = ',')]
    allow_host: Vec<String>,
    /// Permit private, loopback and link-local addresses
    #[arg(long)]
    allow_internal: bool,
    /// Try log-ins to databases, queues, mail servers and directories, at hosts that --allow-host names
    #[arg(long)]
    verify_databases: bool,
    /// A host to which a password may go without TLS in a log-in; loopback always may (may be repeated)
    #[arg(long, value_name = "HOST", value_delimiter = ',')]
    allow_plain: Vec<String>,
    /// Ask about known canaries, too: whoever laid them out is alarmed
    #[arg(long)]
    ask_canaries: bool,
    /// Requests a second to one host [default: 10]
    #[arg(long, value_name = "N", value_parser = rate)]
    rps: Option<f64>,
    /// Requests a second for one issuer, as github=2 (may be repeated)
    #[arg(long, value_name = "ISSUER=N", value_parser = issuer_rate)]
    rps_issuer: Vec<(String, f64)>,
    /// How long one request may take [default: 15s]
    #[arg(long, value_name = "TIME", value_parser = config::duration)]
    request_timeout: Option<Duration>,
    /// How long all checks may take; what is left then is unknown, and the run incomplete [default: 10m]
    #[arg(long, value_name = "TIME", value_parser = config::duration)]
    verify_timeout: Option<Duration>,
    /// How long the verdict `active` counts in further runs (`inactive` 24 times as long); 0 asks every time [default: 10m]
    #[arg(long, value_name = "TIME", value_parser = config::duration)]
    cache_ttl: Option<Duration>,
    /// File that keeps verdicts, without secrets [default: unsprawl/state.db in the XDG state folder]
    #[arg(long, value_name = "FILE", env = "UNSPRAWL_STATE", conflicts_with = "no_state")]
    state: Option<PathBuf>,
    /// Keep nothing
    #[arg(long)]
    no_state: bool,
    /// Proxy, as http://host:port [default: HTTPS_PROXY, except for NO_PROXY]
    #[arg(long, value_name = "URL")]
    proxy: Option<String>,
    /// PEM file with certificate authorities to trust besides the system's
    #[arg(long, value_name = "FILE")]
    ca_cert: Option<PathBuf>,
    /// Write every request that is made to this file: time, method, host, path, status; never a secret
    #[arg(long, value_name = "FILE")]
    requests_log: Option<PathBuf>,
    /// Configuration file [default: unsprawl/unsprawl.toml in the XDG configuration folder]
    #[arg(long, value_name = "FILE", env = "UNSPRAWL_CONFIG")]
    config: Option<PathBuf>,
    /// The configuration once it was read.
    #[arg(skip)]
    loaded: OnceLock<Loaded>,
}

fn pair(text: &str) -> Result<(String, &str), String> {
    let (name, value) = text.split_once('=').ok_or("give NAME=VALUE")?;
    Ok((name.trim().to_owned(), value.trim()))
}

fn endpoint(text: &str) -> Result<(String, String), String> {
    let (issuer, url) = pair(text)?;
    Ok((issuer, check_url(url)?))
}

fn rate(text: &str) -> Result<f64, String> {
    let number: f64 = text.parse().map_err(|_| "give a number of requests a second, as 5 or 0.5")?;
    if number.is_finite() && number > 0.0 { Ok(number) } else { Err("a rate is above 0".into()) }
}

fn issuer_rate(text: &str) -> Result<(String, f64), String> {
    let (issuer, number) = pair(text)?;
    Ok((issuer, rate(number)?))
}

/// The environment, as far as it is text.
fn environment() -> BTreeMap<String, String> {
    std::env::vars_os().filter_map(|(n, v)| Some((n.into_string().ok()?, v.into_string().ok()?))).collect()
}

impl Flags {
    /// The configuration file, which is read once.
    ///
    /// # Errors
    /// What is wrong with it, with its place.
    pub fn loaded(&self) -> Result<&Loaded, String> {
        if let Some(loaded) = self.loaded.get() {
            return Ok(loaded);
        }
        let get = |name: &str| std::env::var(name).ok();
        let loaded = config::load(self.config.as_deref(), get).map_err(|fault| fault.to_string())?;
        Ok(self.loaded.get_or_init(|| loaded))
    }

    /// What is ready to be used.
    ///
    /// # Errors
    /// What is wrong with the configuration, with its place.
    pub fn asking(&self, catalog: &Catalog) -> Result<Asking, String> {
        let env = environment();
        let get = |name: &str| env.get(name).cloned();
        let loaded = self.loaded()?;
        self.check_names(loaded, catalog)?;
        let Config { endpoints, verify, .. } = &loaded.config;
        let offline = self.offline || verify.offline.unwrap_or(false);
        let mode = match (self.no_verify, offline) {
            (true, _) => Mode::Off,
            (false, true) => Mode::Offline,
            (false, false) => Mode::Ask,
        };
        let mut file = BTreeMap::new();
        for (name, url) in endpoints {
            let checked = check_url(url.get_ref()).map_err(|e| loaded.fault(url, e).to_string())?;
            file.insert(name.clone(), checked);
        }
        let allow_hosts = [&self.allow_host[..], &verify.allow_hosts].concat();
        let state = self.state.clone().or_else(|| verify.state.clone()).or_else(|| store::default_path(get));
        Ok(Asking {
            mode,
            only: verify.only.iter().map(|name| name.get_ref().clone()).collect(),
            never: verify.never.iter().map(|name| name.get_ref().clone()).collect(),
            canaries: self.ask_canaries,
            network: self.network(loaded, get)?,
            limits: self.limits(loaded)?,
            within: match self.verify_timeout {
                Some(time) => time,
                None => duration(loaded, &verify.timeout)?.unwrap_or(Duration::from_secs(600)),
            },
            lives: match self.cache_ttl {
                Some(time) => TimeToLive::new(time),
                None => duration(loaded, &verify.cache_ttl)?.map(TimeToLive::new).unwrap_or_default(),
            },
            state: state.filter(|_| !self.no_state),
            requests_log: self.requests_log.clone(),
            places: Settings {
                flags: self.sites(),
                file,
                allow_hosts,
                home: env.get("HOME").map(PathBuf::from).filter(|p| p.is_absolute()),
                env,
            },
        })
    }

    /// Where issuers are, in the order in which they were given.
    fn sites(&self) -> BTreeMap<String, Vec<String>> {
        let mut sites: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for (name, url) in &self.endpoint {
            sites.entry(name.clone()).or_default().push(url.clone());
        }
        sites
    }

    /// An administrator's settings: from the environment, then from what the configuration file points to.
    ///
    /// # Errors
    /// A file that cannot be read, or a name that fits no issuer.
    pub fn admin(&self, catalog: &Catalog) -> Result<Admin, String> {
        let env = environment();
        let loaded = self.loaded()?;
        let mut admin = Admin::default();
        for issuer in catalog.issuers.keys() {
            let prefix = variable(issuer, "");
            for (name, value) in env.range(prefix.clone()..).take_while(|(name, _)| name.starts_with(&prefix)) {
                admin.add(name.clone(), value);
            }
        }
        for (issuer, settings) in &loaded.config.admin {
            for (name, from) in settings {
                if !catalog.issuers.contains_key(issuer) {
                    let wrong = format!("`{issuer}` is no issuer; `unsprawl rules list` shows them");
                    return Err(loaded.fault(from, wrong).to_string());
                }
                let value = match from.get_ref() {
                    config::From::Env(name) => env.get(name).cloned().unwrap_or_default(),
                    config::From::File(path) => std::fs::read_to_string(path)
                        .map_err(|e| loaded.fault(from, format!("{}: {e}", path.display())).to_string())?,
                };
                admin.add(variable(issuer, name), &zeroize::Zeroizing::new(value));
            }
        }
        Ok(admin)
    }

    fn network(&self, loaded: &Loaded, env: impl Fn(&str) -> Option<String>) -> Result<network::Options, String> {
        let verify = &loaded.config.verify;
        let proxy = match (&self.proxy, &verify.proxy) {
            (Some(url), _) => Some(Proxy::new(url, &env("NO_PROXY").unwrap_or_default())?),
            (None, Some(url)) => {
                let except = env("NO_PROXY").unwrap_or_default();
                Some(Proxy::new(url.get_ref(), &except).map_err(|e| loaded.fault(url, e).to_string())?)
            }
            (None, None) => Proxy::from_env(env)?,
        };
        let authorities = match self.ca_cert.as_ref().or(verify.ca_cert.as_ref()) {
            Some(path) => network::authorities(path)?,
            None => Vec::new(),
        };
        let allow_internal = self.allow_internal || verify.allow_internal.unwrap_or(false);
        let log_ins = network::LogIns {
            on: self.verify_databases || verify.databases.unwrap_or(false),
            hosts: [&self.allow_host[..], &verify.allow_hosts].concat(),
            plain: self.allow_plain.clone(),
        };
        let options = network::Options { allow_internal, proxy, authorities, log_ins, ..network::Options::default() };
        let within = match self.request_timeout {
            Some(time) => time,
            None => duration(loaded, &verify.request_timeout)?.unwrap_or(options.within),
        };
        Ok(network::Options { within, connect_within: options.connect_within.min(within), ..options })
    }

    fn limits(&self, loaded: &Loaded) -> Result<Limits, String> {
        let verify = &loaded.config.verify;
        let mut limits = Limits::default();
        let positive = |value: &toml::Spanned<f64>| match *value.get_ref() {
            n if n.is_finite() && n > 0.0 => Ok(n),
            _ => Err(loaded.fault(value, "a rate is above 0").to_string()),
        };
        for (issuer, value) in &verify.rps_issuer {
            limits.rps_issuer.insert(issuer.clone(), positive(value)?);
        }
        limits.rps_issuer.extend(self.rps_issuer.iter().cloned());
        if let Some(value) = &verify.rps {
            limits.rps = positive(value)?;
        }
        limits.rps = self.rps.unwrap_or(limits.rps);
        Ok(limits)
    }

    /// A name that fits no rule protects nothing: an error.
    fn check_names(&self, loaded: &Loaded, catalog: &Catalog) -> Result<(), String> {
        let known = |name: &str| catalog.issuers.contains_key(name.split('.').next().unwrap_or(name));
        let wrong = |name: &str| format!("`{name}` is no issuer; `unsprawl rules list` shows them");
        let Config { endpoints, verify, .. } = &loaded.config;
        let flags = self
            .endpoint
            .iter()
            .map(|(n, _)| ("--endpoint", n))
            .chain(self.rps_issuer.iter().map(|(n, _)| ("--rps-issuer", n)));
        for (flag, name) in flags {
            if !known(name) {
                return Err(format!("{flag}: {}", wrong(name)));
            }
        }
        let listed = verify.only.iter().chain(&verify.never).find(|name| !known(name.get_ref()));
        let named = endpoints.iter().find(|(name, _)| !known(name)).map(|(name, at)| loaded.fault(at, wrong(name)));
        let rated =
            verify.rps_issuer.iter().find(|(name, _)| !known(name)).map(|(name, at)| loaded.fault(at, wrong(name)));
        let fault = listed.map(|name| loaded.fault(name, wrong(name.get_ref()))).or(named).or(rated);
        if let Some(fault) = fault {
            return Err(fault.to_string());
        }
        Ok(())
    }
}

fn duration(loaded: &Loaded, value: &Option<toml::Spanned<String>>) -> Result<Option<Duration>, String> {
    loaded.duration(value).map_err(|fault| fault.to_string())
}
