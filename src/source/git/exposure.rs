//! The history of each credential from the sets of credentials that commits hold: who brought it, who removed it, where
//! it still stands, and what about that is not to be relied on.

use std::collections::{HashMap, HashSet};

use super::attribute::{History, Hot, Place, Presence};
use super::graph::Graph;
use super::ids::QuickState;
use super::sets::SetNumber;
use super::tips::{Reach, Tips};
use super::walk::Kind;
use crate::model::{CommitInfo, Exposure, PlaceKind};

/// 1980-01-01: no commit is older.
const EARLIEST: i64 = 315_532_800;
/// Clocks differ by less.
const DAY: i64 = 24 * 60 * 60;

/// What is known of one credential, in positions of commits.
#[derive(Clone, Debug, Default)]
pub(super) struct Facts {
    introduced: Option<(Reach, u32)>,
    /// A commit that no ref reaches, dated before `introduced`.
    before: Option<u32>,
    removed: Option<u32>,
    /// A merge that left it out although one side never had it.
    dropped: Option<u32>,
    at_head: bool,
    branches: u32,
    /// Something other than a commit's tree holds it and is reached: the index, a message, a ref by itself.
    elsewhere: bool,
    in_message: bool,
    /// A commit that has only part of its tree may hide it.
    holes: bool,
}

/// Gathers the facts of all credentials.
pub(super) fn facts(
    graph: &Graph,
    tips: &Tips,
    reach: &[Reach],
    presence: &Presence,
    hot: &[Hot],
    places: &[Vec<Place>],
    credentials: u32,
) -> Vec<Facts> {
    let mut facts = vec![Facts::default(); credentials as usize];
    introductions(graph, reach, presence, &mut facts);
    heads(tips, presence, &mut facts);
    removals(graph, &graph.ancestors(tips.lines.iter().copied()), presence, &mut facts);
    for (hot, places) in hot.iter().zip(places) {
        for place in places {
            let message = matches!(place.kind, PlaceKind::Commit | PlaceKind::Tag);
            for credential in &hot.credentials {
                let Some(fact) = facts.get_mut(*credential as usize) else { continue };
                fact.in_message |= message && place.reach == Reach::Refs;
                fact.elsewhere |= place.reach == Reach::Refs && (message || place.commit.is_none());
                if let (PlaceKind::Commit, Some(commit)) = (place.kind, place.commit) {
                    let own = (place.reach, commit);
                    fact.introduced = Some(fact.introduced.map_or(own, |other| other.min(own)));
                }
            }
        }
    }
    let in_trees = hot.iter().any(|h| h.kind == Kind::Blob);
    let holes = in_trees && presence.holes.iter().any(|h| *h);
    facts.iter_mut().for_each(|fact| fact.holes = holes);
    facts
}

/// The first commit in topological order that has each credential: of those that refs reach, then of the others.
fn introductions(graph: &Graph, reach: &[Reach], presence: &Presence, facts: &mut [Facts]) {
    for group in [Reach::Refs, Reach::Reflog, Reach::Nothing] {
        let mut done = HashSet::<SetNumber, QuickState>::default();
        for commit in graph.commits().filter(|c| reach[*c as usize] == group) {
            let set = presence.commits[commit as usize];
            if !done.insert(set) {
                continue;
            }
            for credential in presence.sets.members(set) {
                let Some(fact) = facts.get_mut(credential as usize) else { continue };
                match fact.introduced {
                    None => fact.introduced = Some((group, commit)),
                    Some((known, first)) if known != group && graph.time(commit) < graph.time(first) => {
                        let oldest = fact.before.is_none_or(|before| graph.time(commit) < graph.time(before));
                        fact.before = if oldest { Some(commit) } else { fact.before };
                    }
                    Some(_) => {}
                }
            }
        }
    }
}

/// Where credentials still stand.
fn heads(tips: &Tips, presence: &Presence, facts: &mut [Facts]) {
    if let Some(set) = tips.head.and_then(|head| presence.commits.get(head as usize)) {
        for credential in presence.sets.members(*set) {
            if let Some(fact) = facts.get_mut(credential as usize) {
                fact.at_head = true;
            }
        }
    }
    // Most branches hold the same few sets.
    let mut counts = HashMap::<Vec<SetNumber>, u32>::new();
    for heads in tips.branches.values() {
        let mut sets: Vec<SetNumber> =
            heads.iter().filter_map(|c| presence.commits.get(*c as usize)).copied().collect();
        sets.sort_unstable();
        sets.dedup();
        *counts.entry(sets).or_default() += 1;
    }
    for (sets, count) in counts {
        let members: HashSet<u32> = sets.iter().flat_map(|set| presence.sets.members(*set)).collect();
        for credential in members {
            if let Some(fact) = facts.get_mut(credential as usize) {
                fact.branches += count;
            }
        }
    }
}

/// The newest commit whose tree lacks a credential that all its parents have. A merge that takes the side without it
/// removed nothing: that was done on this side, or the other side's change was dropped, which counts if nothing else does.
fn removals(graph: &Graph, lines: &[bool], presence: &Presence, facts: &mut [Facts]) {
    let sets = &presence.sets;
    for commit in graph.commits().filter(|c| lines[*c as usize] && !presence.holes[*c as usize]) {
        let own = presence.commits[commit as usize];
        let parents = graph.parents(commit);
        for parent in parents {
            let before = presence.commits[*parent as usize];
            if before == own {
                continue;
            }
            for credential in sets.without(before, own) {
                let Some(fact) = facts.get_mut(credential as usize).filter(|f| f.branches == 0 && !f.at_head) else {
                    continue;
                };
                if parents.iter().all(|p| sets.contains(presence.commits[*p as usize], credential)) {
                    fact.removed = Some(commit);
                } else {
                    fact.dropped = Some(commit);
                }
            }
        }
    }
}

impl Facts {
    fn removal(&self) -> Option<u32> {
        self.removed.or(self.dropped).filter(|_| !self.elsewhere)
    }

    /// The commits that are named.
    pub fn commits(&self) -> impl Iterator<Item = u32> {
        self.introduced.map(|(_, commit)| commit).into_iter().chain(self.removal()).chain(self.before)
    }

    /// As reports show it.
    pub fn exposure(&self, history: &History<'_>, commits: &HashMap<u32, CommitInfo>) -> Exposure {
        let info = |commit: Option<u32>| commit.and_then(|c| commits.get(&c).cloned());
        let (introduced, removed) = (self.introduced.map(|(_, commit)| commit), self.removal());
        let by_refs = matches!(self.introduced, Some((Reach::Refs, _)));
        let mut warnings = Vec::new();
        if history.repo.reftable {
            warnings.push("refs could not be read: whether a ref reaches it is not known".to_owned());
        } else if !by_refs && !self.elsewhere && matches!(self.introduced, Some((Reach::Reflog, _))) {
            warnings.push("reachable only from a reflog".to_owned());
        }
        if let Some(before) = self.before.and_then(|c| commits.get(&c)) {
            let detail = "a commit that no ref reaches had it before: history was rewritten";
            warnings.push(format!("{detail} ({} of {})", short(before), day(before.committer.time)));
        }
        if introduced.is_some_and(|c| history.graph.is_cut(c)) {
            warnings.push("history ends at the commit that is named as the first: it may be older".to_owned());
        }
        if self.in_message {
            warnings.push("it stands in the text of a commit or tag, which no later commit removes".to_owned());
        }
        if self.holes {
            warnings.push("some trees are missing: commits may have it that are not known to".to_owned());
        }
        for commit in introduced.into_iter().chain(removed) {
            if let Some(info) = commits.get(&commit) {
                dates(history, commit, info, &mut warnings);
            }
        }
        Exposure {
            introduced: info(introduced),
            removed: info(removed),
            at_head: self.at_head,
            branches: self.branches,
            unreachable: !by_refs && !self.elsewhere,
            warnings,
        }
    }
}

/// What is wrong with the dates of a commit.
fn dates(history: &History<'_>, commit: u32, info: &CommitInfo, warnings: &mut Vec<String>) {
    let time = info.committer.time;
    let mut warn = |what: &str| warnings.push(format!("commit {} {what}", short(info)));
    if time < EARLIEST {
        warn("is dated before 1980");
    }
    if time > history.now.saturating_add(DAY) {
        warn("is dated in the future");
    }
    if history.graph.parents(commit).iter().any(|p| history.graph.time(*p) > time.saturating_add(DAY)) {
        warn("is dated more than a day before its parent");
    }
    if info.author.time > time.saturating_add(DAY) {
        warn("was written, by its date, more than a day after it was committed");
    }
}

fn short(info: &CommitInfo) -> String {
    info.id.to_string().chars().take(10).collect()
}

fn day(time: i64) -> String {
    jiff::Timestamp::from_second(time).map_or_else(|_| time.to_string(), |t| t.strftime("%Y-%m-%d").to_string())
}
