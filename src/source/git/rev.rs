//! Resolves what a user writes for a commit: a ref in full or short, `HEAD`, an id in full or abbreviated, each with any
//! number of `~N` and `^N`.

use super::commit;
use super::refs::Refs;
use super::store::ObjectStore;
use super::walk::Kind;
use crate::model::ObjectId;

/// Shortest abbreviation of an id.
const SHORTEST: usize = 4;
/// Longest chain of tags that stand for tags.
const TAGS: usize = 32;

/// Why a revision does not name one commit.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RevError {
    /// Nothing has that name.
    #[error("no ref and no commit is called `{0}`")]
    Unknown(String),
    /// An abbreviation fits several commits.
    #[error("`{0}` fits several commits, among them {1} and {2}")]
    Ambiguous(String, ObjectId, ObjectId),
    /// It names something else.
    #[error("`{0}` is no commit")]
    NoCommit(String),
    /// There are fewer ancestors, or they are not here.
    #[error("`{0}`: there is no such ancestor here")]
    NoParent(String),
    /// Git knows it, we do not.
    #[error("`{0}`: only names, ids, `~N` and `^N` are understood")]
    Unsupported(String),
}

/// Finds the commit that a revision names.
pub fn resolve(store: &ObjectStore, refs: &Refs, rev: &str) -> Result<ObjectId, RevError> {
    let end = rev.find(['^', '~']).unwrap_or(rev.len());
    let (name, mut steps) = rev.split_at(end);
    if name.contains("@{") || name.contains("..") || name.contains(':') {
        return Err(RevError::Unsupported(rev.into()));
    }
    let mut id = to_commit(store, named(store, refs, name)?, rev)?;
    while let Some(step) = steps.chars().next() {
        if step != '^' && step != '~' {
            return Err(RevError::Unsupported(rev.into()));
        }
        steps = &steps[1..];
        if let Some(tail) = steps.strip_prefix("{commit}").or_else(|| steps.strip_prefix("{}")).filter(|_| step == '^')
        {
            steps = tail;
            continue;
        }
        let digits = steps.find(|c: char| !c.is_ascii_digit()).unwrap_or(steps.len());
        let (number, tail) = steps.split_at(digits);
        let number = if number.is_empty() { 1 } else { number.parse::<usize>().unwrap_or(usize::MAX) };
        steps = tail;
        let (times, which) = if step == '~' { (number, 1) } else { (1, number) };
        for _ in 0..if which == 0 { 0 } else { times } {
            id = *parents(store, &id).get(which - 1).ok_or_else(|| RevError::NoParent(rev.into()))?;
        }
    }
    // The last step may have led to a parent that is not here.
    if store.contains(&id) { Ok(id) } else { Err(RevError::NoParent(rev.into())) }
}

/// What a name without steps stands for, looked up in the order that git has.
fn named(store: &ObjectStore, refs: &Refs, name: &str) -> Result<ObjectId, RevError> {
    let name = if name == "@" { "HEAD" } else { name };
    let full = ObjectId::from_hex(name.as_bytes()).filter(|id| store.contains(id));
    if let Some(id) = full {
        return Ok(id);
    }
    if !name.is_empty() {
        let places = ["", "refs/", "refs/tags/", "refs/heads/", "refs/remotes/"];
        let mut names = places.iter().map(|p| format!("{p}{name}")).chain([format!("refs/remotes/{name}/HEAD")]);
        if let Some(found) = names.find_map(|full| refs.get(full.as_bytes())) {
            return Ok(found.target);
        }
    }
    abbreviated(store, name)
}

/// The one commit whose id starts with these digits; a tag if no commit does.
fn abbreviated(store: &ObjectStore, name: &str) -> Result<ObjectId, RevError> {
    let unknown = || RevError::Unknown(name.into());
    let digits = name.to_ascii_lowercase();
    if digits.len() < SHORTEST || digits.len() > 2 * store.hash_len() || !digits.bytes().all(|c| c.is_ascii_hexdigit())
    {
        return Err(unknown());
    }
    let nibble = |i: usize| (digits.as_bytes()[i] as char).to_digit(16).unwrap_or(0) as u8;
    let whole: Vec<u8> = (0..digits.len() / 2).map(|i| nibble(2 * i) << 4 | nibble(2 * i + 1)).collect();
    let fits = |id: &ObjectId| {
        let odd = digits.len().is_multiple_of(2) || id.as_bytes()[whole.len()] >> 4 == nibble(digits.len() - 1);
        id.as_bytes().starts_with(&whole) && odd
    };
    let kind = |id: &ObjectId| store.header(id).ok().flatten().map(|(kind, _)| kind);
    let mut all: Vec<ObjectId> = store.ids().filter(fits).collect();
    all.sort_unstable();
    all.dedup();
    for wanted in [Kind::Commit, Kind::Tag] {
        match all.iter().filter(|id| kind(id) == Some(wanted)).collect::<Vec<_>>().as_slice() {
            [] => {}
            [one] => return Ok(**one),
            [one, other, ..] => return Err(RevError::Ambiguous(name.into(), **one, **other)),
        }
    }
    Err(unknown())
}

/// Follows tags.
pub(super) fn to_commit(store: &ObjectStore, mut id: ObjectId, rev: &str) -> Result<ObjectId, RevError> {
    for _ in 0..TAGS {
        match store.read(&id).ok().flatten() {
            Some((Kind::Commit, _)) => return Ok(id),
            Some((Kind::Tag, data)) => match commit::tag_target(&data) {
                Some((target, _)) => id = target,
                None => break,
            },
            Some(_) => break,
            None => return Err(RevError::Unknown(rev.into())),
        }
    }
    Err(RevError::NoCommit(rev.into()))
}

fn parents(store: &ObjectStore, id: &ObjectId) -> Vec<ObjectId> {
    match store.read(id) {
        Ok(Some((Kind::Commit, data))) => commit::header(&data, store.hash_len()).parents,
        _ => Vec::new(),
    }
}
