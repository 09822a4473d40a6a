//! The items of a plan, ready to be worked on: values read again, places, and what is known so far.
//!
//! Contract: a value is taken only if its fingerprint is that of the plan. What cannot be worked on says why.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::applying::Applying;
use super::planning::{asked_at, places_of};
use crate::model::plan::{Applied, Effect, Outcome, Plan, PlanItem};
use crate::model::{Checked, Finding, Principal, Report, Validity};
use crate::notes::Notes;
use crate::pipeline::asking::{self, Job};
use crate::pipeline::{reread, single};
use crate::report;
use crate::rules::SharedCatalog;
use crate::rules::ask::{Ask, Way};
use crate::verify::echo;
use crate::verify::steps::{self, Endpoints};
use crate::verify::transport::Transport;

/// What was sent for an item, in this run or in an earlier one.
#[derive(Clone, Debug)]
pub(super) struct Sent {
    /// Number of the intent in the journal.
    pub intent: u64,
    /// The way that was taken.
    pub way: String,
    /// What it does.
    pub effect: Effect,
    /// How long before this run it was sent.
    pub ago: Duration,
    /// When in this run.
    pub at: tokio::time::Instant,
    /// How the act ended; `None` if that is not known.
    pub acted: Option<steps::Outcome>,
    /// Why.
    pub reason: Option<String>,
}

/// One item.
pub(super) struct Work<'p> {
    pub item: &'p PlanItem,
    pub finding: Finding,
    pub job: Option<Job>,
    /// The endpoints at the site that knows it.
    pub site: Endpoints,
    pub sent: Option<Sent>,
    /// Why nothing may be sent for it (again); what was sent is asked about all the same.
    pub forbidden: Option<String>,
    /// The way by which this plan contained it.
    pub contained_by: Option<String>,
    /// The way that was tried last.
    pub way: Option<String>,
    pub seen: Option<i64>,
    pub done: Option<(Outcome, Option<String>)>,
}

impl Work<'_> {
    pub fn end(&mut self, outcome: Outcome, reason: impl Into<Option<String>>) {
        self.done = Some((outcome, reason.into()));
    }

    pub fn open(&self) -> bool {
        self.done.is_none()
    }

    pub fn issuer(&self) -> &str {
        self.finding.rule.split('.').next().unwrap_or_default()
    }

    pub fn ask(&self) -> Option<&Arc<Ask>> {
        self.job.as_ref().map(|job| &job.ask)
    }

    /// Where the last step of a way goes at the site that knows it.
    pub fn place(&self, way: &Way) -> String {
        let none = BTreeMap::new();
        let parts = self.job.as_ref().map_or(&none, |job| &job.parts);
        places_of(way, &self.site, parts).first().cloned().unwrap_or_default()
    }

    pub fn applied(&self) -> Applied {
        let (outcome, reason) = self.done.clone().unwrap_or((Outcome::Skipped, Some("not reached".into())));
        Applied {
            number: self.item.number,
            rule: self.finding.rule.clone(),
            fingerprint: self.finding.fingerprint,
            action: self.item.action,
            way: self.way.clone(),
            outcome,
            reason,
            seen: self.seen.and_then(|at| jiff::Timestamp::from_second(at).ok()).map(|t| t.to_string()),
        }
    }

    /// Asks the issuer, at every site until one accepts it, and keeps that one.
    pub async fn look<T: Transport>(&mut self, transport: &T, all_sites: bool) -> Checked {
        let Some(job) = &self.job else { return Checked::default() };
        let now = jiff::Timestamp::now().as_second();
        let sites = if all_sites { sited(&job.endpoints) } else { vec![self.site.clone()] };
        let mut last: Option<Checked> = None;
        for site in sites {
            let mut checked = steps::verify(&job.ask, &job.credential(), &site, transport, now).await;
            echo::cut(&mut checked, job.secret.expose());
            self.seen = checked.at.or(self.seen);
            if checked.validity == Validity::Active {
                self.site = site;
                return checked;
            }
            // One site that does not tell leaves it open.
            let keep = !matches!(last, Some(Checked { validity: Validity::Unknown(_), .. }));
            last = if keep { Some(checked) } else { last };
        }
        last.unwrap_or_default()
    }
}

/// The endpoints of one site after the other.
pub(super) fn sited(endpoints: &Endpoints) -> Vec<Endpoints> {
    let count = endpoints.values().flatten().map(Vec::len).max().unwrap_or(1).max(1);
    let at = |site: usize| {
        let one = |(name, sites): (&String, &Result<Vec<_>, String>)| {
            let sites = sites.clone().map(|s| s.get(site).or(s.first()).cloned().into_iter().collect());
            (name.clone(), sites)
        };
        endpoints.iter().map(one).collect()
    };
    (0..count).map(at).collect()
}

/// Why an account is not the one of the plan, if it is not.
pub(super) fn another(planned: Option<&Principal>, now: Option<&Principal>) -> Option<String> {
    let (planned, now) = (planned?, now?);
    let facts = [
        ("id", &planned.id, &now.id),
        ("login", &planned.login, &now.login),
        ("organisation", &planned.organisation, &now.organisation),
        ("key id", &planned.key_id, &now.key_id),
    ];
    let differs = facts.iter().find_map(|(name, a, b)| match (a, b) {
        (Some(a), Some(b)) if a != b => Some(*name),
        _ => None,
    });
    differs.map(|name| format!("it is not the account of the plan any more: its {name} is another"))
}

/// Reads the items of a plan, and their values from where they stand or from what the user gives.
pub(super) fn prepare<'p>(
    plan: &'p Plan,
    catalog: &SharedCatalog,
    applying: &Applying<'_>,
    notes: &Arc<Notes>,
) -> Result<Vec<Work<'p>>, String> {
    let findings = plan.items.iter().map(|item| report::finding(&item.finding));
    let findings: Result<Vec<Finding>, _> = findings.collect();
    let mut report = Report {
        targets: plan.targets.iter().map(|t| report::target(t.name.clone(), &t.kind)).collect(),
        findings: findings.map_err(|e| format!("an item of the plan {e}"))?,
        ..Report::default()
    };
    let planned: Vec<Validity> = report.findings.iter().map(|f| f.checked.validity.clone()).collect();
    for path in &applying.secret_from {
        given(path, &mut report, catalog, applying, notes)?;
    }
    reread::values(&mut report, catalog, &applying.fingerprinter, notes);
    let works = plan.items.iter().zip(report.findings).zip(planned).map(|((item, mut finding), planned)| {
        let lost = match (&finding.checked.validity, finding.secret.is_withheld()) {
            (Validity::Unknown(why), true) => Some(format!("{why}; --secret-from FILE gives it")),
            _ => None,
        };
        finding.checked.validity = planned;
        let mut work = Work {
            item,
            finding,
            job: None,
            site: Endpoints::new(),
            sent: None,
            forbidden: None,
            contained_by: None,
            way: None,
            seen: None,
            done: lost.map(|why| (Outcome::Failed, Some(why))),
        };
        if work.open() {
            let ask = catalog.ask(&work.finding.rule).map(Arc::new);
            match asking::prepare(&work.finding, ask.as_ref(), &applying.asking) {
                Ok(job) => {
                    let asked = asked_at(&job.ask, &job.endpoints, &job.parts);
                    if asked != item.asked {
                        work.end(Outcome::Failed, elsewhere(&item.asked, &asked));
                    }
                    work.site = sited(&job.endpoints).into_iter().next().unwrap_or_default();
                    work.job = Some(job);
                }
                Err(checked) => {
                    let why = match checked.validity {
                        Validity::Unknown(why) => why,
                        other => other.as_str().to_owned(),
                    };
                    work.end(Outcome::Failed, format!("its issuer may not be asked: {why}"));
                }
            }
        }
        work
    });
    Ok(works.collect())
}

/// Somebody else would be asked than when the plan was made, and what they say is nothing about this credential.
fn elsewhere(planned: &[String], now: &[String]) -> String {
    let said = |places: &[String]| if places.is_empty() { "nowhere".to_owned() } else { places.join(", ") };
    let (planned, now) = (said(planned), said(now));
    format!(
        "nothing was sent: the plan was made by asking at {planned}, and now it would be {now}: give the same endpoints"
    )
}

/// Values from a file of the user's.
fn given(
    path: &Path,
    report: &mut Report,
    catalog: &SharedCatalog,
    applying: &Applying<'_>,
    notes: &Arc<Notes>,
) -> Result<(), String> {
    let text = std::fs::read(path).map_err(|e| format!("{}: {e}", path.display()))?;
    let text = zeroize::Zeroizing::new(text);
    // What the file holds is for the fingerprints to say; a text in which nothing is found may still be one value.
    let mut found = single::find(&text, None, catalog, &applying.fingerprinter, notes).unwrap_or_default().findings;
    let rules: std::collections::BTreeSet<String> = report.findings.iter().map(|f| f.rule.clone()).collect();
    for rule in rules {
        let more = single::find(&text, Some(&rule), catalog, &applying.fingerprinter, notes);
        found.extend(more.unwrap_or_default().findings);
    }
    for finding in report.findings.iter_mut().filter(|f| f.secret.is_withheld()) {
        let fits = |f: &&Finding| f.rule == finding.rule && f.fingerprint == finding.fingerprint;
        if let Some(fit) = found.iter().find(fits) {
            finding.secret = fit.secret.clone();
            // Parts that the file does not have are as the plan has them.
            for (name, value) in &fit.parts {
                match finding.parts.iter_mut().find(|(n, _)| n == name) {
                    Some((_, known)) => known.clone_from(value),
                    None => finding.parts.push((name.clone(), value.clone())),
                }
            }
            for (name, secret) in &fit.secrets {
                match finding.secrets.iter_mut().find(|(n, _)| n == name) {
                    Some((_, known)) => known.clone_from(secret),
                    None => finding.secrets.push((name.clone(), secret.clone())),
                }
            }
        }
    }
    Ok(())
}
