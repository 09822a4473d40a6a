//! Attribution and parts of history against a slow oracle: git itself, asked commit by commit about random histories.
#![allow(clippy::unwrap_used)]

use std::collections::{BTreeMap, BTreeSet};

use crate::git_repo::random::{History, make, plan};
use proptest::prelude::*;
use unsprawl::model::{NoteKind, ObjectId, PlaceKind};
use unsprawl::source::git::select::{Part, Since, select};
use unsprawl::source::git::tips::Reach;

fn config() -> ProptestConfig {
    ProptestConfig { cases: 16, failure_persistence: None, max_shrink_iters: 60, ..ProptestConfig::default() }
}

/// Commits in the order in which they count: reached ones first, then the others, each from the oldest on.
fn in_order(history: &History, reached: &BTreeSet<usize>) -> Vec<usize> {
    let (mut first, rest): (Vec<usize>, Vec<usize>) = (0..history.commits.len()).partition(|c| reached.contains(c));
    first.extend(rest);
    first
}

fn tips(history: &History) -> Vec<usize> {
    history.refs.iter().map(|(_, at)| *at).chain([history.head]).collect()
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn attribution_is_what_git_says(plan in plan()) {
        let history = make(&plan);
        let found = history.repo.find();
        let reached = history.reached(tips(&history));
        let order = in_order(&history, &reached);
        let is_branch = |name: &str| name.starts_with("heads/") || name.starts_with("remotes/");
        let branches: Vec<usize> = history.refs.iter().filter(|(n, _)| is_branch(n)).map(|(_, at)| *at).collect();
        let heads: Vec<usize> = branches.iter().copied().chain([history.head]).collect();
        prop_assert!(found.notes.is_empty(), "{:?}", found.notes);

        // Places: every blob at every path, with its first commit.
        let mut expected = BTreeMap::new();
        for at in &order {
            for (path, blob) in history.commits[*at].files.iter().filter(|(_, b)| !history.keys[*b].is_empty()) {
                let present = heads.iter().any(|h| history.commits[*h].files.get(path) == Some(blob));
                let reach = if reached.contains(at) { Reach::Refs } else { Reach::Nothing };
                let place = (history.commits[*at].id.clone(), reach, present);
                expected.entry((blob.clone(), path.clone())).or_insert(place);
            }
        }
        let mut seen = BTreeMap::new();
        for (i, hot) in found.hot.iter().enumerate() {
            if !history.keys.contains_key(&hot.id.to_string()) {
                prop_assert_eq!(found.attribution.places(i)[0].kind, PlaceKind::Dangling); // written and deleted in one step
                continue;
            }
            for place in found.attribution.places(i) {
                prop_assert_eq!(place.kind, PlaceKind::Blob);
                let commit = found.commit(place).unwrap();
                seen.insert((hot.id.to_string(), found.path(place)), (commit, place.reach, place.present));
            }
        }
        prop_assert_eq!(seen, expected);

        // Exposure: every credential.
        for key in 0..4u32 {
            let holders: Vec<usize> = order.iter().copied().filter(|c| history.held(*c).contains(&key)).collect();
            let Some(first) = holders.first() else { continue };
            let exposure = found.exposure(key);
            prop_assert_eq!(found.introduced(key), Some(history.commits[*first].id.clone()));
            prop_assert_eq!(exposure.unreachable, !reached.contains(first));
            prop_assert_eq!(exposure.at_head, history.held(history.head).contains(&key));
            let on = branches.iter().filter(|b| history.held(**b).contains(&key)).count();
            prop_assert_eq!(exposure.branches as usize, on);
            let gone = on == 0 && !exposure.at_head;
            let last = |all: bool| reached.iter().rev().copied().find(|c| {
                let mut parents = history.commits[*c].parents.iter().map(|p| history.held(*p).contains(&key));
                let had = if all { parents.len() > 0 && parents.all(|had| had) } else { parents.any(|had| had) };
                had && !history.held(*c).contains(&key)
            });
            let removed = last(true).or_else(|| last(false)).filter(|_| gone).map(|c| history.commits[c].id.clone());
            prop_assert_eq!(found.removed(key), removed);
        }
    }

    #[test]
    fn parts_of_history_are_what_git_says(plan in plan(), at in any::<prop::sample::Index>()) {
        let history = make(&plan);
        let loaded = history.repo.load();
        let all = history.reached(tips(&history));
        let at = at.index(history.commits.len());
        let id = |c: usize| ObjectId::from_hex(history.commits[c].id.as_bytes()).unwrap();
        let seen = |part: Part| {
            let chosen = select(&loaded.repo, &loaded.store, &loaded.refs, &[], part, &loaded.notes);
            let blobs = history.blobs(&(0..history.commits.len()).collect::<BTreeSet<_>>());
            let has = |hex: &String| chosen.contains(&ObjectId::from_hex(hex.as_bytes()).unwrap());
            let commits: BTreeSet<usize> = (0..history.commits.len()).filter(|c| has(&history.commits[*c].id)).collect();
            (commits, blobs.into_iter().filter(|b| has(b)).collect::<BTreeSet<_>>())
        };
        // A part of commits, without what the commits just outside have.
        let new = |commits: BTreeSet<usize>| {
            let outside: BTreeSet<usize> =
                commits.iter().flat_map(|c| history.commits[*c].parents.iter().copied()).filter(|p| !commits.contains(p)).collect();
            let blobs = history.blobs(&commits).difference(&history.blobs(&outside)).cloned().collect::<BTreeSet<_>>();
            (commits, blobs)
        };
        prop_assert_eq!(seen(Part::default()), (all.clone(), history.blobs(&all)));
        let branch = history.reached([at]);
        prop_assert_eq!(seen(Part { branch: Some(id(at)), since: None }), (branch.clone(), history.blobs(&branch)));
        let since: BTreeSet<usize> = all.difference(&branch).copied().collect();
        prop_assert_eq!(seen(Part { branch: None, since: Some(Since::Commit(id(at))) }), new(since));
        let time = history.commits[at].time;
        let dated = |commits: &BTreeSet<usize>| commits.iter().copied().filter(|c| history.commits[*c].time >= time).collect();
        prop_assert_eq!(seen(Part { branch: None, since: Some(Since::Date(time)) }), new(dated(&all)));
        let of_head = history.reached([history.head]);
        let part = Part { branch: Some(id(history.head)), since: Some(Since::Date(time)) };
        prop_assert_eq!(seen(part), new(dated(&of_head)));
        prop_assert!(loaded.notes.take().1.iter().all(|(kind, _)| *kind == NoteKind::Other));
    }
}
