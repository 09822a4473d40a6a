//! Asks about the findings of a run: who may be asked, what earlier runs know, the network, and what comes of it.
//!
//! Contract: a credential is asked about once. Nothing is opened, read or connected to unless there is something to ask. What
//! stops the checks (a signal, the time) leaves the rest unknown, with the reason and a note that makes the run incomplete.

pub(super) mod cache;
pub(super) mod stop;

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::model::{Checked, Finding, How, NoteKind, Validity};
use crate::notes::Notes;
use crate::rules::Catalog;
use crate::rules::ask::Ask;
use crate::secret::Secret;
use crate::store::TimeToLive;
use crate::verify::endpoints::Settings;
use crate::verify::limits::Limits;
use crate::verify::network::{self, Network};
use crate::verify::polite::Polite;
use crate::verify::render::ResolvedEndpoint;
use crate::verify::requests::RequestsLog;
use crate::verify::steps::{self, Credential, Endpoints};
use crate::verify::{canary, echo, flight, offline};
use cache::Cache;
use stop::{Stop, Stopped};

/// Whether anybody is asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// Nobody, and earlier verdicts do not count either.
    #[default]
    Off,
    /// Nobody: earlier verdicts and the tokens themselves tell.
    Offline,
    /// The issuers.
    Ask,
}

/// How to ask.
#[derive(Clone, Debug, Default)]
pub struct Asking {
    /// Whether.
    pub mode: Mode,
    /// Only these issuers or token types may be asked about; empty for all.
    pub only: Vec<String>,
    /// These may never be.
    pub never: Vec<String>,
    /// Known canaries are asked about, too.
    pub canaries: bool,
    /// Where issuers are.
    pub places: Settings,
    /// What the network is like.
    pub network: network::Options,
    /// How much may be asked of whom.
    pub limits: Limits,
    /// How long all checks may take.
    pub within: Duration,
    /// How long verdicts count in further runs.
    pub lives: TimeToLive,
    /// Where they are kept; `None` for nowhere.
    pub state: Option<PathBuf>,
    /// Where every request is written to.
    pub requests_log: Option<PathBuf>,
}

/// A credential that is to be asked about.
pub(super) struct Job {
    /// Findings that it stands for.
    pub findings: Vec<usize>,
    pub rule: String,
    pub issuer: String,
    pub ask: Arc<Ask>,
    pub secret: Secret,
    pub parts: BTreeMap<String, Vec<u8>>,
    pub secrets: Vec<(String, Secret)>,
    pub endpoints: Endpoints,
}

impl Job {
    pub fn credential(&self) -> Credential<'_> {
        Credential { secret: self.secret.expose(), parts: &self.parts, secrets: &self.secrets }
    }

    /// Its issuer at its addresses.
    fn lane(&self) -> String {
        let urls = self.endpoints.values().flatten().flatten().map(|e| e.url.as_str());
        let hosts = self.ask.endpoints.is_empty().then(|| self.parts.get("host")).flatten();
        let host = hosts.map(|h| String::from_utf8_lossy(h).into_owned());
        std::iter::once(self.issuer.as_str()).chain(urls).chain(host.as_deref()).collect::<Vec<_>>().join(" ")
    }

    /// Whether the same question would be asked.
    fn asks_the_same(&self, other: &Self) -> bool {
        (&self.issuer, &self.secret, &self.parts, &self.secrets, &self.endpoints)
            == (&other.issuer, &other.secret, &other.parts, &other.secrets, &other.endpoints)
            && format!("{:?}", self.ask.verify) == format!("{:?}", other.ask.verify)
    }
}

/// Asks about findings and writes into them what is known.
pub fn check(findings: &mut [Finding], catalog: &Catalog, asking: &Asking, notes: &Notes) {
    if asking.mode == Mode::Off {
        return;
    }
    let (mut jobs, mut asks) = (Vec::new(), HashMap::new());
    for (i, finding) in findings.iter_mut().enumerate() {
        let ask = asks.entry(finding.rule.clone()).or_insert_with(|| catalog.ask(&finding.rule).map(Arc::new));
        match prepare(finding, ask.as_ref(), asking) {
            Ok(job) => add(&mut jobs, Job { findings: vec![i], ..job }),
            Err(checked) => finding.checked = *checked,
        }
    }
    if jobs.is_empty() {
        return;
    }
    let now = jiff::Timestamp::now().as_second();
    let mut cache = Cache::open(asking, notes);
    let jobs = from_cache(findings, jobs, &cache, now);
    if asking.mode == Mode::Offline {
        for job in &jobs {
            set(findings, job, &unknown("offline", job));
        }
        return;
    }
    if !jobs.is_empty() {
        ask(findings, jobs, asking, &mut cache, notes, now);
    }
    cache.close(notes);
}

/// Adds a job, or its findings to the job that asks the same.
fn add(jobs: &mut Vec<Job>, job: Job) {
    // Findings of one value stand close together: they are sorted by rule.
    let same = jobs.iter_mut().rev().take(64).find(|known| known.secret == job.secret && known.asks_the_same(&job));
    match same {
        Some(known) => known.findings.extend(job.findings),
        None => jobs.push(job),
    }
}

fn unknown(reason: &str, job: &Job) -> Checked {
    let identity = offline::identity(&job.ask, &job.credential());
    Checked { validity: Validity::Unknown(reason.into()), identity, ..Checked::default() }
}

fn set(findings: &mut [Finding], job: &Job, checked: &Checked) {
    for i in &job.findings {
        findings[*i].checked = checked.clone();
    }
}

/// A job for a finding, or what is known of it without asking.
pub(super) fn prepare(finding: &Finding, ask: Option<&Arc<Ask>>, asking: &Asking) -> Result<Job, Box<Checked>> {
    let reason = |identity, why: &str| {
        Box::new(Checked { validity: Validity::Unknown(why.into()), identity, ..Checked::default() })
    };
    if finding.secret.is_withheld() {
        return Err(Box::new(finding.checked.clone()));
    }
    let Some(ask) = ask else { return Err(reason(None, "there is no known way to ask")) };
    let parts: BTreeMap<String, Vec<u8>> = finding.parts.iter().cloned().collect();
    let credential = Credential { secret: finding.secret.expose(), parts: &parts, secrets: &finding.secrets };
    let identity = offline::identity(ask, &credential);
    if finding.encrypted {
        return Err(reason(identity, "protected by a passphrase"));
    }
    if !asking.canaries
        && let Some(why) =
            canary::known(std::iter::once(finding.secret.expose()).chain(parts.values().map(Vec::as_slice)))
    {
        let checked = Checked { how: How::Canary, validity: Validity::Unknown(why), identity, ..Checked::default() };
        return Err(Box::new(checked));
    }
    let issuer = finding.rule.split('.').next().unwrap_or_default().to_owned();
    let listed = |list: &[String]| list.iter().any(|name| *name == issuer || *name == finding.rule);
    if listed(&asking.never) || !(asking.only.is_empty() || listed(&asking.only)) {
        return Err(reason(identity, "the configuration says not to ask"));
    }
    let endpoints = asking.places.resolve(&issuer, ask, &credential);
    Ok(Job {
        findings: Vec::new(),
        rule: finding.rule.clone(),
        issuer,
        secret: finding.secret.clone(),
        parts,
        secrets: finding.secrets.clone(),
        endpoints,
        ask: ask.clone(),
    })
}

/// Takes what earlier runs know; gives the jobs that are left.
fn from_cache(findings: &mut [Finding], jobs: Vec<Job>, cache: &Cache, now: i64) -> Vec<Job> {
    let known = cache.verdicts(&jobs, now);
    let mut left = Vec::new();
    for (job, verdict) in jobs.into_iter().zip(known) {
        let Some(verdict) = verdict else {
            left.push(job);
            continue;
        };
        let checked = Checked {
            validity: verdict.validity,
            remark: verdict.remark,
            how: How::Cached,
            at: Some(verdict.at),
            principal: verdict.principal,
            identity: offline::identity(&job.ask, &job.credential()),
        };
        set(findings, &job, &checked);
    }
    left
}

/// A runtime, and the network within the limits of the run.
pub(super) fn connect(asking: &Asking) -> Result<(tokio::runtime::Runtime, Polite<Network>), String> {
    // Asking without the list that was asked for is not what the user wants.
    let log = asking.requests_log.as_deref().map(RequestsLog::open).transpose();
    let log = log.map_err(|e| format!("the log of requests cannot be written: {e}"))?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|e| e.to_string())?;
    let network = {
        let _entered = runtime.enter();
        Network::new(asking.network.clone()).map_err(|e| e.to_string())?
    };
    let polite = Polite::new(network, asking.limits.clone(), log);
    let offline = asking.network.proxy.is_none() && !network::has_route();
    Ok((runtime, if offline { polite.without_network() } else { polite }))
}

/// An issuer that is elsewhere for everybody else may know the credential there: says where it was refused.
fn where_asked(job: &Job, checked: &mut Checked) {
    if checked.validity != Validity::Inactive || checked.how != How::Asked {
        return;
    }
    let public = |(name, sites): (&String, &Result<Vec<ResolvedEndpoint>, String>)| {
        let endpoint = job.ask.endpoints.get(name)?;
        let elsewhere = endpoint.default.is_some() || !endpoint.sites.is_empty();
        let sites = sites.as_ref().ok().filter(|_| elsewhere)?;
        let named: Vec<&str> = sites.iter().filter(|s| s.configured).map(|s| s.url.as_str()).collect();
        (!named.is_empty()).then(|| named.join(" and "))
    };
    if let Some(places) = job.endpoints.iter().find_map(public) {
        let said = checked.remark.take().map(|r| format!("{r}; ")).unwrap_or_default();
        checked.remark = Some(format!("{said}asked at {places} only"));
    }
}

/// Asks the issuers.
fn ask(findings: &mut [Finding], jobs: Vec<Job>, asking: &Asking, cache: &mut Cache, notes: &Notes, now: i64) {
    let mut left: BTreeMap<usize, &Job> = jobs.iter().enumerate().collect();
    let failed = |findings: &mut [Finding], why: &str| {
        notes.add(NoteKind::Other, "", format!("nobody could be asked: {why}"));
        jobs.iter().for_each(|job| set(findings, job, &unknown(why, job)));
    };
    let (runtime, polite) = match connect(asking) {
        Ok(connected) => connected,
        Err(why) => return failed(findings, &why),
    };
    let mut stop = Stop::new(&runtime);
    let stopped = runtime.block_on(async {
        // Jobs by number: a reference in and out of an async closure has no lifetime that could be named.
        let one = async |i: usize| {
            let job = &jobs[i];
            let credential = job.credential();
            let mut checked = steps::verify(&job.ask, &credential, &job.endpoints, &polite.of(&job.issuer), now).await;
            for secret in std::iter::once(&job.secret).chain(job.secrets.iter().map(|(_, secret)| secret)) {
                echo::cut(&mut checked, secret.expose());
            }
            where_asked(job, &mut checked);
            (i, checked)
        };
        let done = |(i, checked): (usize, Checked)| {
            let job = &jobs[i];
            tracing::info!("{}: {}", job.rule, checked.validity.as_str());
            cache.add(job, &checked);
            set(findings, job, &checked);
            left.remove(&i);
        };
        let lanes = jobs.iter().enumerate().map(|(i, job)| (job.lane(), i));
        flight::all(lanes, one, done, stop.wait(asking.within)).await
    });
    if let Some(why) = stopped {
        let (kind, reason, detail) = match why {
            Stopped::Signal => (NoteKind::Interrupted, "interrupted", "the checks were interrupted"),
            Stopped::Time => {
                (NoteKind::Interrupted, "not asked in time", "the time for checks was over (--verify-timeout)")
            }
        };
        notes.add(kind, "", format!("{detail}: {} credentials were not asked about", left.len()));
        left.values().for_each(|job| set(findings, job, &unknown(reason, job)));
    }
    stop.leave(runtime);
}
