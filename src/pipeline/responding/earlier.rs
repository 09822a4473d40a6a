//! What earlier runs did for the items of a plan, from the journal.
//!
//! Contract: an intent that no later outcome settles was perhaps sent: its item is asked about before anything is sent again.

use std::collections::HashMap;
use std::time::Duration;

use super::work::{Sent, Work};
use crate::model::plan::{Effect, Outcome, Plan};
use crate::respond::journal::{Entry, Record, Subject};
use crate::secret::Fingerprint;
use crate::verify::steps;

/// What the journal knows of one item.
#[derive(Default)]
struct Known<'a> {
    /// The last intent: its number, when, way, effect.
    intent: Option<(u64, &'a str, &'a str, Effect)>,
    /// How its act ended.
    acted: Option<steps::Outcome>,
    reason: Option<&'a str>,
    /// The last outcome that settles something.
    settled: Option<Outcome>,
    /// The last way that contained it.
    contained_by: Option<&'a str>,
}

/// What an item is known by in the journal.
type Name<'a> = (Fingerprint, &'a str);

/// Fills in what was sent before; with `undo`, ends every item that is not contained.
pub(super) fn recall(works: &mut [Work<'_>], records: &[Record], plan: &Plan, undo: bool) {
    let all = known(records, &plan.id);
    for work in works.iter_mut().filter(|w| w.open()) {
        let none = Known::default();
        let known = all.get(&(work.finding.fingerprint, work.finding.rule.as_str())).unwrap_or(&none);
        if undo && known.contained_by.is_none() {
            work.end(Outcome::Skipped, "it was not contained by this plan: there is nothing to undo".to_owned());
            continue;
        }
        work.contained_by = known.contained_by.map(str::to_owned);
        let Some((intent, at, way, effect)) = known.intent.filter(|_| known.settled.is_none()) else { continue };
        if (effect == Effect::Undo) != undo {
            continue;
        }
        let ago = ago(at, jiff::Timestamp::now());
        let (acted, reason) = (known.acted, known.reason.map(str::to_owned));
        let at = tokio::time::Instant::now();
        work.sent = Some(Sent { intent, way: way.to_owned(), effect, ago, at, acted, reason });
    }
}

/// How long ago a line was written: one from the future, by a clock that was set back since, was written now.
fn ago(at: &str, now: jiff::Timestamp) -> Duration {
    let then: jiff::Timestamp = at.parse().unwrap_or(now);
    Duration::try_from(now.duration_since(then)).unwrap_or_default()
}

/// What the journal knows of every item of a plan.
fn known<'a>(records: &'a [Record], plan: &str) -> HashMap<Name<'a>, Known<'a>> {
    let mut all: HashMap<Name<'a>, Known<'a>> = HashMap::new();
    let mut intents: HashMap<u64, &'a [Subject]> = HashMap::new();
    for record in records {
        match &record.entry {
            Entry::Intent { plan: p, items, way, effect, .. } if p == plan => {
                intents.insert(record.seq, items);
                for item in items {
                    let known = all.entry((item.fingerprint, &item.rule)).or_default();
                    known.intent = Some((record.seq, &record.at, way, *effect));
                    (known.acted, known.reason, known.settled) = (None, None, None);
                }
            }
            Entry::Acted { intent, outcome, reason, .. } => {
                for item in intents.get(intent).copied().unwrap_or_default() {
                    let known = all.entry((item.fingerprint, &item.rule)).or_default();
                    if known.intent.is_some_and(|i| i.0 == *intent) {
                        known.acted = steps::Outcome::ALL.into_iter().find(|o| o.as_str() == outcome);
                        known.reason = reason.as_deref();
                    }
                }
            }
            Entry::Outcome { plan: p, item, outcome, .. } if p == plan => {
                let known = all.entry((item.fingerprint, &item.rule)).or_default();
                known.ended(*outcome);
            }
            _ => {}
        }
    }
    all
}

impl Known<'_> {
    fn ended(&mut self, outcome: Outcome) {
        if !matches!(outcome, Outcome::Accepted | Outcome::Unknown | Outcome::Skipped | Outcome::Ready) {
            self.settled = Some(outcome);
        }
        match outcome {
            // Seen contained again after a try to undo it: the way is the one before.
            Outcome::Contained => {
                let way = self.intent.filter(|i| i.3 != Effect::Undo).map(|i| i.2);
                self.contained_by = way.or(self.contained_by);
            }
            Outcome::Undone | Outcome::Revoked => self.contained_by = None,
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_clock_that_jumps_makes_no_time_negative() {
        let now = "2026-01-02T03:04:05Z".parse().unwrap();
        for (at, seconds) in
            [("2026-01-02T03:04:00.000Z", 5), ("2026-01-02T03:05:00Z", 0), ("2030-01-01T00:00:00Z", 0), ("nonsense", 0)]
        {
            assert_eq!(ago(at, now).as_secs(), seconds, "{at}");
        }
    }
}
