//! From credentials and their places to the findings of a report.
//!
//! Contract: in git a place is a path, not a version: however many versions of a file hold a credential, its report names the
//! one that brought it to that path and, where the position differs, the one that stands there now.

use std::collections::{BTreeMap, HashSet};

use super::Context;
use super::repository::Scanned;
use crate::collect::{Collected, ObjectPlace};
use crate::model::{Checked, Exposure, Finding, GitPlace, Location, NoteKind, ObjectId, PathBytes, PlaceKind, Report};
use crate::source::git::attribute::{self, Attribution, History, Hot, HotTrees};
use crate::source::git::graph::Graph;
use crate::source::git::tips::Reach;
use crate::source::git::walk::Kind;

/// Builds the findings of everything collected.
pub fn build(
    context: &Context<'_>,
    repositories: Vec<(usize, Scanned<'_>)>,
    collected: &mut Collected,
    report: &mut Report,
) {
    let count = collected.credentials.len();
    let mut locations: Vec<Vec<Location>> = vec![Vec::new(); count];
    let mut exposures: Vec<Option<Exposure>> = vec![None; count];
    for (origin, place) in collected.files.drain(..) {
        locations[place.credential as usize].push(Location {
            target: origin.target,
            kind: origin.kind,
            path: origin.path,
            member: origin.member,
            span: place.span,
            encoding: place.encoding,
            git: None,
        });
    }
    for (index, scanned) in repositories {
        in_history(context, index, scanned, collected, &mut locations, &mut exposures, report.started);
    }
    context.notes.count(NoteKind::LocationLimit, collected.uncounted);
    let catalog = context.scanner.catalog();
    for ((credential, mut locations), exposure) in collected.credentials.drain(..).zip(locations).zip(exposures) {
        if locations.is_empty() {
            continue;
        }
        locations.sort_by(|a, b| order(a).cmp(&order(b)));
        let rule = catalog.token(credential.token);
        let issuer = &catalog.issuers[&rule.issuer];
        report.findings.push(Finding {
            rule: rule.rule.clone(),
            name: rule.name.clone(),
            issuer: issuer.name.clone(),
            docs: issuer.docs.clone(),
            confidence: credential.confidence,
            fingerprint: context.request.fingerprinter.of(credential.secret.expose()),
            secret: credential.secret,
            parts: credential.parts.into_iter().collect(),
            secrets: credential.secrets,
            encrypted: credential.encrypted,
            bound_to: rule.bound_to,
            checked: Checked::default(),
            owned: None,
            locations,
            exposure,
        });
    }
    report.findings.sort_by(|a, b| {
        (b.confidence, &a.rule, order(&a.locations[0]), a.fingerprint).cmp(&(
            a.confidence,
            &b.rule,
            order(&b.locations[0]),
            b.fingerprint,
        ))
    });
}

type Order<'a> = (usize, bool, i64, PlaceKind, &'a PathBytes, u64, u64);

/// Oldest in git first, then files; then by path and position.
fn order(location: &Location) -> Order<'_> {
    let git = location.git.as_ref();
    let time = git.and_then(|g| g.commit.as_ref()).map_or(i64::MAX, |c| c.committer.time);
    (location.target, git.is_none(), time, location.kind, &location.path, location.span.line, location.span.column)
}

/// What hits of one repository are grouped by: credential, kind of place, path, member, and the object itself where it has
/// no path to be grouped by (messages, dangling blobs).
type PlaceKey = (u32, PlaceKind, PathBytes, Vec<String>, Option<ObjectId>);

/// Versions of one path that hold one credential.
struct Versions {
    /// The one that came first, and the one that stands there now.
    first: (usize, attribute::Place),
    now: Option<(usize, attribute::Place)>,
    blobs: HashSet<ObjectId>,
}

fn in_history(
    context: &Context<'_>,
    index: usize,
    scanned: Scanned<'_>,
    collected: &mut Collected,
    locations: &mut [Vec<Location>],
    exposures: &mut [Option<Exposure>],
    now: i64,
) {
    let Some(store) = &scanned.target.store else { return };
    let mut objects: Vec<(ObjectId, Vec<ObjectPlace>)> = Vec::new();
    collected.objects.retain(|(target, id), places| {
        let ours = *target == index;
        if ours {
            objects.push((*id, std::mem::take(places)));
        }
        !ours
    });
    let shallow = &scanned.target.repository.shallow;
    if objects.is_empty() {
        // For what is to be said of commits that are not here.
        scanned.commits.map(|commits| commits.finish(shallow, &context.notes));
        return;
    }
    // Threads found them in any order.
    objects.sort_by_key(|(id, _)| *id);
    let hot: Vec<Hot> = objects
        .iter()
        .map(|(id, places)| {
            let mut credentials: Vec<u32> = places.iter().map(|p| p.place.credential).collect();
            credentials.sort_unstable();
            credentials.dedup();
            Hot { id: *id, kind: kind(store, id), credentials }
        })
        .collect();
    let graph = || match scanned.commits {
        Some(commits) => commits.finish(shallow, &context.notes),
        None => Graph::read(store, shallow, &context.notes),
    };
    let (graph, trees) = rayon::join(graph, || HotTrees::read(store, &hot, &context.notes));
    let history = History {
        repo: &scanned.target.repository,
        store,
        graph: &graph,
        refs: &scanned.target.refs,
        index: &scanned.index,
        now,
    };
    // The pages of packs are let go beside it, since they would be when the process ends.
    let attribute = || attribute::attribute(&history, &hot, trees, locations.len() as u32, &context.notes);
    let (attribution, ()) = rayon::join(attribute, || store.let_go());
    let grouped = group(&objects, &attribution);
    for ((credential, kind, path, member, _), versions) in grouped {
        let mut shown = vec![versions.first];
        shown.extend(versions.now.filter(|(object, _)| *object != versions.first.0));
        let mut positions = HashSet::new();
        for (object, place) in shown {
            let (id, places) = &objects[object];
            for found in places.iter().filter(|p| p.place.credential == credential && p.member == member) {
                if !positions.insert((found.place.span.line, found.place.span.column)) {
                    continue;
                }
                locations[credential as usize].push(Location {
                    target: index,
                    kind,
                    path: path.clone(),
                    member: member.clone(),
                    span: found.place.span,
                    encoding: found.place.encoding.clone(),
                    git: Some(GitPlace {
                        object: *id,
                        commit: place.commit.and_then(|c| attribution.commit(c)).cloned(),
                        versions: versions.blobs.len() as u32,
                        reachable: place.reach == Reach::Refs,
                        present: versions.now.is_some(),
                    }),
                });
            }
        }
    }
    let here: HashSet<u32> = hot.iter().flat_map(|h| h.credentials.iter().copied()).collect();
    for credential in here {
        let Some(exposure) = attribution.exposure(credential) else { continue };
        let known = &mut exposures[credential as usize];
        *known = Some(match known.take() {
            None => exposure.clone(),
            Some(other) => merge(other, exposure),
        });
    }
}

fn kind(store: &crate::source::git::store::ObjectStore, id: &ObjectId) -> Kind {
    store.header(id).ok().flatten().map_or(Kind::Blob, |(kind, _)| kind)
}

/// Groups the places of all objects by credential and path.
fn group(objects: &[(ObjectId, Vec<ObjectPlace>)], attribution: &Attribution) -> BTreeMap<PlaceKey, Versions> {
    let mut grouped: BTreeMap<PlaceKey, Versions> = BTreeMap::new();
    for (i, (id, found)) in objects.iter().enumerate() {
        for place in attribution.places(i) {
            let path = attribution.path(place);
            let mut seen = HashSet::new();
            for found in found {
                if !seen.insert((found.place.credential, &found.member)) {
                    continue;
                }
                let own = path.is_empty().then_some(*id);
                let key = (found.place.credential, place.kind, path.clone(), found.member.clone(), own);
                let versions = grouped.entry(key).or_insert_with(|| Versions {
                    first: (i, *place),
                    now: None,
                    blobs: HashSet::new(),
                });
                versions.blobs.insert(*id);
                if rank(place) < rank(&versions.first.1) {
                    versions.first = (i, *place);
                }
                if place.present {
                    versions.now = Some((i, *place));
                }
            }
        }
    }
    grouped
}

/// Reached by refs first, then the oldest commit.
fn rank(place: &attribute::Place) -> (Reach, u32) {
    (place.reach, place.commit.unwrap_or(u32::MAX))
}

/// The history of a credential that stands in several repositories.
pub(super) fn merge(a: Exposure, b: &Exposure) -> Exposure {
    let time = |e: &Exposure| e.introduced.as_ref().map_or(i64::MAX, |c| c.committer.time);
    let removed = |e: &Exposure| e.removed.as_ref().map_or(i64::MIN, |c| c.committer.time);
    let branches = a.branches.saturating_add(b.branches);
    let gone = branches == 0 && !a.at_head && !b.at_head;
    let newest = if removed(&a) >= removed(b) { a.removed.clone() } else { b.removed.clone() };
    let mut warnings = a.warnings.clone();
    warnings.extend(b.warnings.iter().filter(|w| !a.warnings.contains(w)).cloned());
    Exposure {
        introduced: if time(&a) <= time(b) { a.introduced.clone() } else { b.introduced.clone() },
        removed: newest.filter(|_| gone),
        at_head: a.at_head || b.at_head,
        branches,
        unreachable: a.unreachable && b.unreachable,
        warnings,
    }
}
