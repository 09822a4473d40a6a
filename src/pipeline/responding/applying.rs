//! Follows a plan: reads the values again, asks, acts, asks again, and writes the journal.
//!
//! Contract: see the module above. A signal or the kill switch ends it between two requests, never within one; what was sent
//! by then is in the journal, and what was not is told as skipped.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::acting::Acting;
use super::admin::Admin;
use super::work::{self, Work};
use super::{confirming, earlier};
use crate::model::NoteKind;
use crate::model::plan::{Action, Applied, Outcome, Plan, PlanItem};
use crate::notes::Notes;
use crate::pipeline::asking::cache::Cache;
use crate::pipeline::asking::stop::{Stop, Stopped};
use crate::pipeline::asking::{Asking, connect};
use crate::respond::journal::{Entry, Journal};
use crate::rules::SharedCatalog;
use crate::secret::Fingerprinter;
use crate::verify::network::Network;
use crate::verify::polite::Polite;

/// How a plan is followed.
pub struct Applying<'a> {
    /// How issuers are asked.
    pub asking: Asking,
    /// An administrator's settings.
    pub admin: Admin,
    /// Makes fingerprints as the plan's were made.
    pub fingerprinter: Fingerprinter,
    /// Files with values whose places are gone.
    pub secret_from: Vec<PathBuf>,
    /// The journal.
    pub journal: PathBuf,
    /// Everything but the request that changes something.
    pub dry_run: bool,
    /// What was contained is brought back.
    pub undo: bool,
    /// How long an issuer may take to refuse a credential, in place of what its rule says.
    pub within: Option<Duration>,
    /// How long to wait for that.
    pub wait: Duration,
    /// How many credentials are acted on at most.
    pub most: Option<usize>,
    /// Who does it.
    pub by: String,
    /// Why an item may not be acted on: approvals, protection, the policy.
    pub forbidden: &'a dyn Fn(&PlanItem) -> Option<String>,
    /// Why nothing may be done any more: the kill switch.
    pub halted: &'a dyn Fn() -> Option<String>,
    /// Told what is being done.
    pub tell: &'a dyn Fn(&str),
}

/// Shared by the steps of a run.
pub(super) struct Context<'a> {
    pub plan: &'a Plan,
    pub run: String,
    pub applying: &'a Applying<'a>,
    pub stopped: &'a AtomicBool,
}

impl Context<'_> {
    /// Why nothing more may be sent that changes something.
    pub fn halted(&self) -> Option<String> {
        if self.interrupted() { Some("interrupted".into()) } else { (self.applying.halted)() }
    }

    /// Whether a signal asked to end.
    pub fn interrupted(&self) -> bool {
        self.stopped.load(Ordering::Relaxed)
    }
}

/// Follows a plan; gives what became of every item, in the order of the plan.
///
/// # Errors
/// When nothing was done: the journal cannot be opened or is not intact, the plan cannot be read, there is no network to
/// be had. An error later on ends up in the outcomes.
pub fn apply(
    plan: &Plan,
    catalog: &SharedCatalog,
    applying: &Applying<'_>,
    notes: &Arc<Notes>,
) -> Result<Vec<Applied>, String> {
    let mut journal = match applying.dry_run {
        true => None,
        false => Some(Journal::open(&applying.journal).map_err(|e| e.to_string())?),
    };
    if let Some(torn) = journal.as_ref().and_then(Journal::torn) {
        notes.add(NoteKind::Other, "", torn);
    }
    let mut works = work::prepare(plan, catalog, applying, notes)?;
    let (runtime, polite) = connect(&applying.asking)?;
    let stopped = AtomicBool::new(false);
    let context = Context { plan, run: crate::secret::random_hex::<8>()?, applying, stopped: &stopped };
    if let Some(journal) = &mut journal {
        earlier::recall(&mut works, journal.records(), plan, applying.undo);
        let begin = Entry::Begin {
            run: context.run.clone(),
            plan: plan.id.clone(),
            by: applying.by.clone(),
            items: plan.items.len(),
            undo: applying.undo,
        };
        journal.append(&begin).map_err(|e| e.to_string())?;
    }
    let mut cache = Cache::open(&applying.asking, notes);
    let mut stop = Stop::new(&runtime);
    runtime.block_on(async {
        let work = run(&context, &mut works, journal.as_mut(), &polite, &mut cache);
        let watch = async {
            // The first signal ends it between two requests, the second at once.
            if stop.wait(Duration::from_secs(u64::from(u32::MAX))).await == Stopped::Signal {
                stopped.store(true, Ordering::Relaxed);
                (applying.tell)("interrupted: ending after the request that is under way; again to end at once");
            }
            stop.wait(Duration::from_secs(u64::from(u32::MAX))).await;
            std::process::exit(130)
        };
        tokio::select! {
            () = work => {}
            () = watch => {}
        }
    });
    stop.leave(runtime);
    cache.close(notes);
    Ok(works.iter().map(Work::applied).collect())
}

async fn run(
    context: &Context<'_>,
    works: &mut [Work<'_>],
    mut journal: Option<&mut Journal>,
    polite: &Polite<Network>,
    cache: &mut Cache,
) {
    permit(context, works);
    Acting { context, journal: journal.as_deref_mut(), polite, acted: 0 }.all(works).await;
    confirming::all(context, works, journal.as_deref_mut(), polite, cache).await;
    let Some(journal) = journal else { return };
    let mut counts = std::collections::BTreeMap::new();
    for work in works.iter() {
        *counts.entry(work.applied().outcome.as_str().to_owned()).or_insert(0) += 1;
    }
    let end = Entry::End { run: context.run.clone(), plan: context.plan.id.clone(), counts };
    if let Err(e) = journal.append(&end) {
        (context.applying.tell)(&format!("the journal cannot be written any more: {e}"));
    }
}

/// Ends what may not be touched. What was sent in an earlier run is asked about all the same, and nothing sent again.
fn permit(context: &Context<'_>, works: &mut [Work<'_>]) {
    for work in works.iter_mut().filter(|w| w.open()) {
        let item = work.item;
        let forbidden = match (&item.protected, item.action) {
            (_, Action::Leave) => Some("the policy leaves it alone".to_owned()),
            (_, Action::Notify) => Some("its owner is told, and nothing else is done".to_owned()),
            (Some(why), _) => Some(format!("protected: {why}")),
            (None, _) => (context.applying.forbidden)(item),
        };
        match (forbidden, &work.sent) {
            (Some(why), None) => work.end(Outcome::Skipped, why),
            (forbidden, _) => work.forbidden = forbidden,
        }
    }
}
