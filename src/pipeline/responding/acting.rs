//! Sends what ends a credential: asks first, writes the intent, sends, writes what came of it.
//!
//! Contract: one request that changes something at a time. Before it the issuer was seen to accept every credential in it,
//! as the account of the plan, and the journal holds the intent on disk; without either nothing is sent.

use std::collections::VecDeque;
use std::time::Duration;

use futures_util::StreamExt;

use super::applying::Context;
use super::confirming::settle;
use super::sending::send;
use super::work::{Sent, Work, another};
use crate::model::plan::{Effect, Outcome};
use crate::model::{Checked, Validity};
use crate::respond::journal::{Entry, Journal, Record, Subject};
use crate::rules::ask::Way;
use crate::verify::network::Network;
use crate::verify::polite::Polite;
use crate::verify::steps;

/// Questions at the same time before a batch.
const AT_ONCE: usize = 16;
/// The longest pause for an issuer's limit on calls.
const PATIENCE: Duration = Duration::from_secs(60);

/// Works through the items.
pub(super) struct Acting<'a> {
    pub context: &'a Context<'a>,
    pub journal: Option<&'a mut Journal>,
    pub polite: &'a Polite<Network>,
    /// Credentials that were acted on.
    pub acted: usize,
}

/// Items that go the same way, by their index.
struct Group {
    items: Vec<usize>,
    /// Which of each item's ways.
    way: usize,
}

impl Acting<'_> {
    /// Acts on everything that is open.
    pub async fn all(&mut self, works: &mut [Work<'_>]) {
        let mut groups = self.groups(works);
        while let Some(group) = groups.pop_front() {
            if let Some(why) = self.context.halted() {
                for i in group.items {
                    // What was sent in an earlier run is still asked about.
                    if works[i].sent.is_none() {
                        self.end(&mut works[i], Outcome::Skipped, why.clone());
                    }
                }
                continue;
            }
            let refused = self.group(works, &group).await;
            for i in refused {
                // Nothing has changed: the next way, if the plan has one.
                if self.ways(&works[i]).len() > group.way + 1 {
                    works[i].done = None;
                    groups.push_front(Group { items: vec![i], way: group.way + 1 });
                } else {
                    self.journal_end(&mut works[i]);
                }
            }
        }
    }

    /// Names of the ways of an item, in order.
    fn ways(&self, work: &Work<'_>) -> Vec<String> {
        if !self.context.applying.undo {
            return work.item.ways.iter().map(|w| w.name.clone()).collect();
        }
        let ask = work.ask();
        let taken = ask.and_then(|ask| ask.way(work.contained_by.as_deref()?));
        taken.and_then(|way| way.undo.clone()).into_iter().collect()
    }

    /// What can be undone first; then what goes in one call together.
    fn groups(&mut self, works: &mut [Work<'_>]) -> VecDeque<Group> {
        let mut groups: Vec<(bool, String, Group)> = Vec::new();
        for (i, work) in works.iter_mut().enumerate().filter(|(_, w)| w.open()) {
            let Some(name) = self.ways(work).into_iter().next() else {
                // Asked about all the same: a person may have done it.
                groups.push((true, String::new(), Group { items: vec![i], way: 0 }));
                continue;
            };
            let way = work.ask().and_then(|ask| ask.way(&name));
            let batch = way.is_some_and(|w| w.batch.unwrap_or(1) > 1);
            let last = !way.is_some_and(|w| w.effect == Effect::Contain);
            let endpoints = work.job.as_ref().map(|j| &j.endpoints);
            let key = if batch { format!("{} {name} {endpoints:?}", work.issuer()) } else { String::new() };
            match groups.iter_mut().find(|(_, k, _)| batch && *k == key) {
                Some((_, _, group)) => group.items.push(i),
                None => groups.push((last, key, Group { items: vec![i], way: 0 })),
            }
        }
        groups.sort_by_key(|(last, ..)| *last);
        groups.into_iter().map(|(_, _, group)| group).collect()
    }

    /// One group; gives the items for which nothing has changed.
    async fn group(&mut self, works: &mut [Work<'_>], group: &Group) -> Vec<usize> {
        let ready = self.ask(works, &group.items).await;
        let Some(first) = ready.first().copied() else { return Vec::new() };
        let name = self.ways(&works[first]).get(group.way).cloned();
        let way = name.as_ref().and_then(|name| works[first].ask()?.way(name)).cloned();
        let Some(way) = way.filter(|w| w.docs.is_some()) else {
            for i in ready {
                let why = manual(&works[i]);
                self.end(&mut works[i], Outcome::Skipped, why);
            }
            return Vec::new();
        };
        let ready: Vec<usize> = ready
            .into_iter()
            .filter(|i| match unplanned(&works[*i], &way, self.context.applying.undo) {
                Some(why) => {
                    works[*i].way = Some(way.name.clone());
                    self.end(&mut works[*i], Outcome::Failed, format!("nothing was sent: {why}"));
                    false
                }
                None => true,
            })
            .collect();
        let mut refused = Vec::new();
        for chunk in ready.chunks(way.batch.unwrap_or(1)) {
            refused.extend(self.call(works, chunk, &way).await);
        }
        refused
    }

    /// Asks about items; gives those that may be acted on.
    async fn ask(&mut self, works: &mut [Work<'_>], items: &[usize]) -> Vec<usize> {
        let polite = self.polite;
        let wanted: Vec<&mut Work<'_>> =
            works.iter_mut().enumerate().filter(|(i, _)| items.contains(i)).map(|(_, w)| w).collect();
        let asked = futures_util::stream::iter(wanted).map(async |work: &mut Work<'_>| {
            let issuer = work.issuer().to_owned();
            work.look(&polite.of(&issuer), true).await
        });
        let answers: Vec<Checked> = asked.buffered(AT_ONCE).collect().await;
        let mut sorted = items.to_vec();
        sorted.sort_unstable();
        let answers: Vec<(usize, Checked)> = sorted.into_iter().zip(answers).collect();
        answers.into_iter().filter(|(i, checked)| self.may_act(&mut works[*i], checked)).map(|(i, _)| i).collect()
    }

    /// Whether the answer lets an item be acted on; ends it otherwise.
    fn may_act(&mut self, work: &mut Work<'_>, checked: &Checked) -> bool {
        let undo = self.context.applying.undo;
        // What this plan contained is still no more than that.
        let (wanted, reached) = match (undo, &work.contained_by) {
            (true, _) => (Validity::Inactive, Outcome::Undone),
            (false, Some(_)) => (Validity::Active, Outcome::Contained),
            (false, None) => (Validity::Active, Outcome::Revoked),
        };
        if let Validity::Unknown(reason) = &checked.validity {
            // Sent before, perhaps: that is asked about until its time is over.
            if work.sent.is_none() {
                self.end(
                    work,
                    Outcome::Failed,
                    format!("nothing was sent: its issuer does not tell whether it works: {reason}"),
                );
            }
            return false;
        }
        if checked.validity != wanted {
            if work.sent.is_none() {
                let why = if undo { "it works already" } else { "it was inactive before anything was sent" };
                self.end(work, reached, why.to_owned());
            }
            return false;
        }
        if let Some(why) =
            another(work.finding.checked.principal.as_ref(), checked.principal.as_ref()).filter(|_| !undo)
        {
            self.end(work, Outcome::Failed, format!("nothing was sent: {why}"));
            return false;
        }
        // A yes of an earlier run is waited for, and a rotation is never sent twice on a guess.
        work.forbidden.is_none()
            && !work.sent.as_ref().is_some_and(|sent| {
                matches!(sent.acted, Some(steps::Outcome::Done | steps::Outcome::Gone)) || sent.effect == Effect::Rotate
            })
    }

    /// One call for items that were all seen active just now; gives those for which nothing has changed.
    async fn call(&mut self, works: &mut [Work<'_>], items: &[usize], way: &Way) -> Vec<usize> {
        let context = self.context;
        let issuer = works[items[0]].issuer().to_owned();
        if let Err((outcome, why)) = self.permitted(works, items, way, &issuer).await {
            items.iter().for_each(|i| works[*i].way = Some(way.name.clone()));
            for i in items {
                self.end(&mut works[*i], outcome, why.clone());
            }
            return Vec::new();
        }
        let place = works[items[0]].place(way);
        let number = works[items[0]].item.number;
        let what =
            if items.len() > 1 { format!("{} credentials", items.len()) } else { works[items[0]].finding.rule.clone() };
        let doing = if context.applying.dry_run { "would be sent" } else { "sending" };
        (context.applying.tell)(&format!("{number}. {what}: {doing}: {} ({}) at {place}", way.title, way.name));
        let intent = match self.intend(works, items, way, &place) {
            Ok(intent) => intent,
            Err(e) => {
                for i in items {
                    works[*i].end(Outcome::Failed, format!("nothing was sent: the journal cannot be written: {e}"));
                }
                return Vec::new();
            }
        };
        let acted = self.act(works, items, way).await;
        self.acted += items.len();
        self.note(works, items, way, intent, &acted)
    }

    /// Whether the call may be made now.
    async fn permitted(
        &mut self,
        works: &[Work<'_>],
        items: &[usize],
        way: &Way,
        issuer: &str,
    ) -> Result<(), (Outcome, String)> {
        let applying = self.context.applying;
        if applying.most.is_some_and(|most| self.acted + items.len() > most) {
            let most = applying.most.unwrap_or_default();
            return Err((Outcome::Skipped, format!("no more than {most} credentials are acted on in one run")));
        }
        let secrets = works.iter().filter_map(|w| w.job.as_ref()).map(|job| job.secret.expose());
        if let Some(variable) = applying.admin.leaked(issuer, way, secrets) {
            let why = format!("{variable} is itself one of the leaked credentials: an administrator needs another one");
            return Err((Outcome::Failed, why));
        }
        let (Some((calls, per)), Some(journal)) = (way.limit, &self.journal) else { return Ok(()) };
        loop {
            let since = jiff::Timestamp::now() - jiff::SignedDuration::try_from(per).unwrap_or_default();
            let made = calls_since(journal.records(), issuer, &way.name, since);
            if made.len() < calls as usize {
                return Ok(());
            }
            // The oldest of the last `calls` calls has to be old enough.
            let oldest = made[made.len() - calls as usize];
            let free = oldest + jiff::SignedDuration::try_from(per).unwrap_or_default();
            let wait = Duration::try_from(free.duration_since(jiff::Timestamp::now())).unwrap_or_default();
            if wait > PATIENCE {
                let why =
                    format!("the issuer takes {calls} calls in {} s: run it again after {free:.0}", per.as_secs());
                return Err((Outcome::Skipped, why));
            }
            tokio::time::sleep(wait + Duration::from_millis(20)).await;
        }
    }

    fn intend(&mut self, works: &[Work<'_>], items: &[usize], way: &Way, place: &str) -> Result<u64, String> {
        let Some(journal) = &mut self.journal else { return Ok(0) };
        let entry = Entry::Intent {
            run: self.context.run.clone(),
            plan: self.context.plan.id.clone(),
            items: items.iter().map(|i| subject(&works[*i])).collect(),
            way: way.name.clone(),
            by: way.by,
            effect: way.effect,
            place: place.to_owned(),
            undo: self.context.applying.undo,
        };
        journal.append(&entry).map_err(|e| e.to_string())
    }

    async fn act(&self, works: &[Work<'_>], items: &[usize], way: &Way) -> steps::Acted {
        let jobs: Vec<_> = items.iter().filter_map(|i| works[*i].job.as_ref()).collect();
        let site = &works[items[0]].site;
        let mode = if self.context.applying.dry_run { steps::Mode::Rehearse } else { steps::Mode::Act };
        send(mode, self.context, self.polite, &jobs, way, site).await
    }

    /// Writes down how the act ended; gives the items for which nothing has changed.
    fn note(
        &mut self,
        works: &mut [Work<'_>],
        items: &[usize],
        way: &Way,
        intent: u64,
        acted: &steps::Acted,
    ) -> Vec<usize> {
        let entry = Entry::Acted {
            run: self.context.run.clone(),
            plan: self.context.plan.id.clone(),
            intent,
            outcome: acted.outcome.as_str().into(),
            reason: acted.reason.clone(),
            sent: acted.sent,
        };
        // If this cannot be written, the intent stands alone: the next run asks.
        let trouble = self.journal.as_mut().and_then(|j| j.append(&entry).err());
        if let Some(e) = trouble {
            (self.context.applying.tell)(&format!("the journal cannot be written any more: {e}"));
        }
        for i in items {
            let work = &mut works[*i];
            work.way = Some(way.name.clone());
            match acted.outcome {
                steps::Outcome::Ready => work.end(Outcome::Ready, acted.reason.clone()),
                _ if self.context.applying.dry_run => work.end(Outcome::Failed, acted.reason.clone()),
                steps::Outcome::Refused => work.done = Some((Outcome::Failed, acted.reason.clone())),
                _ => {
                    let (at, ago) = (tokio::time::Instant::now(), Duration::ZERO);
                    let (acted, reason) = (Some(acted.outcome), acted.reason.clone());
                    work.sent =
                        Some(Sent { intent, way: way.name.clone(), effect: way.effect, ago, at, acted, reason });
                }
            }
        }
        if acted.outcome == steps::Outcome::Refused { items.to_vec() } else { Vec::new() }
    }

    fn end(&mut self, work: &mut Work<'_>, outcome: Outcome, why: String) {
        work.end(outcome, why);
        self.journal_end(work);
    }

    fn journal_end(&mut self, work: &mut Work<'_>) {
        settle(self.context, work, self.journal.as_deref_mut());
    }
}

/// When a way of an issuer was called since then, oldest first.
fn calls_since(records: &[Record], issuer: &str, name: &str, since: jiff::Timestamp) -> Vec<jiff::Timestamp> {
    let of_issuer = |items: &[Subject]| items.iter().any(|s| s.rule.split('.').next() == Some(issuer));
    let calls = records
        .iter()
        .filter(|r| matches!(&r.entry, Entry::Intent { way, items, .. } if way == name && of_issuer(items)));
    let mut times: Vec<jiff::Timestamp> = calls.filter_map(|r| r.at.parse().ok()).filter(|at| *at > since).collect();
    times.sort_unstable();
    times
}

/// How a way differs from what the plan says, and people signed, if it does: rules and endpoints may have changed since.
fn unplanned(work: &Work<'_>, way: &Way, undo: bool) -> Option<String> {
    if undo {
        return None;
    }
    let planned = work.item.ways.iter().find(|w| w.name == way.name)?;
    if planned.effect != way.effect || planned.by != way.by || planned.undo != way.undo {
        return Some("the rule file has changed since the plan was made: make it again".into());
    }
    let place = work.place(way);
    if !work.item.places.contains(&place) {
        let said = match work.item.places.as_slice() {
            [] => "no place".to_owned(),
            places => places.join(", "),
        };
        return Some(format!(
            "the plan says {said}, and it would go to {place}: make the plan with the same endpoints"
        ));
    }
    None
}

fn subject(work: &Work<'_>) -> Subject {
    Subject { number: work.item.number, rule: work.finding.rule.clone(), fingerprint: work.finding.fingerprint }
}

/// What a person is told where there is no call.
fn manual(work: &Work<'_>) -> String {
    match &work.item.manual {
        Some(manual) => format!("for a person to do: {}", manual.page),
        None => "there is no way to end it from here".into(),
    }
}
