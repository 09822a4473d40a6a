//! What earlier runs did for the items of a plan, from the journal.
//!
//! Contract: an intent that no later outcome settles was perhaps sent: its item is asked about before anything is sent again.

use std::time::Duration;

use super::work::{Sent, Work};
use crate::model::plan::{Effect, Outcome, Plan};
use crate::respond::journal::{Entry, Record};
use crate::verify::steps;

/// What the journal knows of one item.
#[derive(Default)]
struct Known<'a> {
    /// The last intent: its number, when, way, effect.
    intent: Option<(u64, &'a str, &'a str, &'a str)>,
    /// How its act ended.
    acted: Option<steps::Outcome>,
    reason: Option<&'a str>,
    /// The last outcome that settles something.
    settled: Option<&'a str>,
    /// The last way that contained it.
    contained_by: Option<&'a str>,
}

/// Fills in what was sent before; with `undo`, ends every item that is not contained.
pub(super) fn recall(works: &mut [Work<'_>], records: &[Record], plan: &Plan, undo: bool) {
    for work in works.iter_mut().filter(|w| w.open()) {
        let known = of(work, records, &plan.id);
        if undo && known.contained_by.is_none() {
            work.end(Outcome::Skipped, "it was not contained by this plan: there is nothing to undo".to_owned());
            continue;
        }
        work.way = known.contained_by.map(str::to_owned);
        let Some((intent, at, way, effect)) = known.intent.filter(|_| known.settled.is_none()) else { continue };
        let Some(effect) = read_effect(effect).filter(|e| (*e == Effect::Undo) == undo) else { continue };
        let now = jiff::Timestamp::now();
        let then: jiff::Timestamp = at.parse().unwrap_or(now);
        // A clock that was set back makes it no younger than now.
        let ago = Duration::try_from(now.duration_since(then)).unwrap_or_default();
        let (acted, reason) = (known.acted, known.reason.map(str::to_owned));
        let at = tokio::time::Instant::now();
        work.sent = Some(Sent { intent, way: way.to_owned(), effect, ago, at, acted, reason });
    }
}

fn of<'a>(work: &Work<'_>, records: &'a [Record], plan: &str) -> Known<'a> {
    let fingerprint = work.finding.fingerprint;
    let mut known = Known::default();
    for record in records {
        match &record.entry {
            Entry::Intent { plan: p, items, way, effect, .. }
                if p == plan && items.iter().any(|s| s.fingerprint == fingerprint && s.rule == work.finding.rule) =>
            {
                known.intent = Some((record.seq, &record.at, way, effect));
                (known.acted, known.reason, known.settled) = (None, None, None);
            }
            Entry::Acted { intent, outcome, reason, .. } if known.intent.is_some_and(|i| i.0 == *intent) => {
                known.acted = steps::Outcome::ALL.into_iter().find(|o| o.as_str() == outcome);
                known.reason = reason.as_deref();
            }
            Entry::Outcome { plan: p, item, outcome, .. }
                if p == plan && item.fingerprint == fingerprint && item.rule == work.finding.rule =>
            {
                let open = [Outcome::Accepted, Outcome::Unknown, Outcome::Skipped];
                if !open.iter().any(|o| o.as_str() == outcome) {
                    known.settled = Some(outcome);
                }
                if outcome == Outcome::Contained.as_str() {
                    known.contained_by = known.intent.map(|i| i.2);
                } else if [Outcome::Undone, Outcome::Revoked].iter().any(|o| o.as_str() == outcome) {
                    known.contained_by = None;
                }
            }
            _ => {}
        }
    }
    known
}

fn read_effect(name: &str) -> Option<Effect> {
    [Effect::Revoke, Effect::Contain, Effect::Rotate, Effect::Undo].into_iter().find(|e| effect_name(*e) == name)
}

/// The name of an effect in the journal.
pub(super) fn effect_name(effect: Effect) -> &'static str {
    match effect {
        Effect::Revoke => "revoke",
        Effect::Contain => "contain",
        Effect::Rotate => "rotate",
        Effect::Undo => "undo",
    }
}
