//! Random histories, and what git says of them, commit by commit.
#![allow(clippy::unwrap_used, dead_code)]

use std::collections::{BTreeMap, BTreeSet, HashMap};

use proptest::prelude::*;

use super::{Repo, START};

/// One commit: parents as steps back, changed files (path, content or deletion), and a shift of its date.
#[derive(Clone, Debug)]
pub struct Step {
    parents: Vec<usize>,
    changes: Vec<(usize, Option<u8>)>,
    shift: i64,
}

/// Commits, and which of them get a branch, a tag or a remote branch.
#[derive(Clone, Debug)]
pub struct Plan {
    steps: Vec<Step>,
    refs: Vec<(u8, usize)>,
}

const PATHS: [&str; 6] = ["a", "b", "d/a", "d/b", "d/e/a", "f/a"];

pub fn plan() -> impl Strategy<Value = Plan> {
    let change = (0..PATHS.len(), prop::option::weighted(0.8, 0u8..8));
    let parents = (prop::collection::vec(1usize..5, 3), prop::sample::select(vec![0, 1, 1, 1, 1, 2, 2, 3]))
        .prop_map(|(back, count)| back[..count].to_vec());
    let step = (parents, prop::collection::vec(change, 0..4), prop::sample::select(vec![0, 0, 0, 1, -200, 200]));
    let step = step.prop_map(|(parents, changes, shift)| Step { parents, changes, shift });
    (prop::collection::vec(step, 1..16), prop::collection::vec((0u8..4, 0usize..16), 1..5))
        .prop_map(|(steps, refs)| Plan { steps, refs })
}

/// A commit as git shows it.
#[derive(Clone, Debug)]
pub struct Commit {
    pub id: String,
    pub parents: Vec<usize>,
    pub time: i64,
    /// Path to blob.
    pub files: BTreeMap<String, String>,
}

/// A repository and all its commits, parents first and older first.
pub struct History {
    pub repo: Repo,
    pub commits: Vec<Commit>,
    /// Names without `refs/`, and commits.
    pub refs: Vec<(String, usize)>,
    pub head: usize,
    /// Credentials by blob.
    pub keys: HashMap<String, BTreeSet<u32>>,
}

/// Credentials in a content: some in several contents, some contents with several or none.
fn keys(content: u8) -> Vec<u8> {
    match content {
        0 => vec![],
        1..=4 => vec![content - 1],
        n => vec![n - 5, n - 4],
    }
}

/// Makes the history with `git fast-import`.
pub fn make(plan: &Plan) -> History {
    let repo = Repo::with(&["--bare"]);
    let mut script = String::new();
    for (i, step) in plan.steps.iter().enumerate() {
        let mut parents: Vec<usize> = step.parents.iter().filter(|back| **back <= i).map(|back| i - back).collect();
        parents.dedup();
        let mut seen = BTreeSet::new();
        parents.retain(|p| seen.insert(*p));
        let time = START + 60 * i as i64 + step.shift;
        script += &format!("reset refs/made/{i}\n\ncommit refs/made/{i}\nmark :{}\n", i + 1);
        script += &format!("committer A <a@example.org> {time} +0000\ndata 1\n{}\n", i % 10);
        for (nth, parent) in parents.iter().enumerate() {
            script += &format!("{} :{}\n", if nth == 0 { "from" } else { "merge" }, parent + 1);
        }
        for (path, content) in &step.changes {
            match content {
                Some(content) => {
                    let text: String = keys(*content).iter().map(|k| format!("KEY-{k} ")).collect::<String>() + "end";
                    script += &format!("M 100644 inline {}\ndata {}\n{text}\n", PATHS[*path], text.len());
                }
                None => script += &format!("D {}\n", PATHS[*path]),
            }
        }
        script += "\n";
    }
    repo.run(&["fast-import", "--quiet", "--export-marks=marks"], script.as_bytes());
    let marks = std::fs::read_to_string(repo.dir.join("marks")).unwrap();
    let id_of: HashMap<usize, &str> =
        marks.lines().map(|l| l.split_once(' ').unwrap()).map(|(m, id)| (m[1..].parse().unwrap(), id)).collect();
    let (mut updates, mut refs) = (String::new(), Vec::new());
    for (i, _) in plan.steps.iter().enumerate() {
        updates += &format!("delete refs/made/{i}\n");
    }
    for (n, (class, at)) in plan.refs.iter().enumerate() {
        let at = at % plan.steps.len();
        let folder = ["heads", "tags", "remotes/origin", "other"][usize::from(*class)];
        updates += &format!("create refs/{folder}/r{n} {}\n", id_of[&(at + 1)]);
        refs.push((format!("{folder}/r{n}"), id_of[&(at + 1)].to_owned()));
    }
    repo.run(&["update-ref", "--stdin"], updates.as_bytes());
    repo.git(&["update-ref", "--no-deref", "HEAD", id_of[&plan.steps.len()]]);
    let head = id_of[&plan.steps.len()].to_owned();
    if plan.steps.len().is_multiple_of(2) {
        repo.git(&["pack-refs", "--all"]);
        repo.git(&["repack", "-q", "-a", "-d", "-k"]);
    }
    observe(repo, id_of.values().map(|id| (*id).to_owned()).collect(), refs, &head)
}

/// Asks git for everything, commit by commit.
fn observe(repo: Repo, ids: BTreeSet<String>, refs: Vec<(String, String)>, head: &str) -> History {
    let mut raw: Vec<(String, Vec<String>, i64)> = Vec::new();
    let wanted: Vec<&str> = ids.iter().map(String::as_str).collect();
    for line in repo.git(&[&["show", "-s", "--format=%H %ct %P"], &wanted[..]].concat()).lines() {
        let mut words = line.split_whitespace().map(str::to_owned);
        let (id, time) = (words.next().unwrap(), words.next().unwrap().parse().unwrap());
        raw.push((id, words.collect(), time));
    }
    let mut commits: Vec<Commit> = Vec::new();
    let mut at: HashMap<String, usize> = HashMap::new();
    while commits.len() < raw.len() {
        let ready =
            raw.iter().filter(|(id, parents, _)| !at.contains_key(id) && parents.iter().all(|p| at.contains_key(p)));
        let (id, parents, time) = ready.min_by_key(|(id, _, time)| (*time, id.clone())).unwrap();
        let listed = repo.git(&["ls-tree", "-r", id]);
        let file = |line: &str| {
            let (meta, path) = line.split_once('\t').unwrap();
            (path.to_owned(), meta.split(' ').nth(2).unwrap().to_owned())
        };
        at.insert(id.clone(), commits.len());
        commits.push(Commit {
            id: id.clone(),
            parents: parents.iter().map(|p| at[p]).collect(),
            time: *time,
            files: listed.lines().map(file).collect(),
        });
    }
    let blobs: BTreeSet<&String> = commits.iter().flat_map(|c| c.files.values()).collect();
    let listed: String = blobs.iter().map(|b| format!("{b}\n")).collect();
    let shown = String::from_utf8(repo.run(&["cat-file", "--batch=<%(objectname)>"], listed.as_bytes())).unwrap();
    let mut keys = HashMap::new();
    for object in shown.split('<').skip(1) {
        let (id, text) = object.split_once('>').unwrap();
        keys.insert(id.to_owned(), text.split("KEY-").skip(1).map(|k| k[..1].parse().unwrap()).collect());
    }
    let refs = refs.into_iter().map(|(name, id)| (name, at[&id])).collect();
    History { head: at[head], repo, commits, refs, keys }
}

impl History {
    /// Commits reachable from some.
    pub fn reached(&self, from: impl IntoIterator<Item = usize>) -> BTreeSet<usize> {
        let mut todo: Vec<usize> = from.into_iter().collect();
        let mut seen = BTreeSet::new();
        while let Some(next) = todo.pop() {
            if seen.insert(next) {
                todo.extend(&self.commits[next].parents);
            }
        }
        seen
    }

    /// Credentials in the tree of a commit.
    pub fn held(&self, commit: usize) -> BTreeSet<u32> {
        self.commits[commit].files.values().flat_map(|blob| self.keys[blob].iter().copied()).collect()
    }

    /// All blobs in the trees of some commits.
    pub fn blobs<'a>(&self, commits: impl IntoIterator<Item = &'a usize>) -> BTreeSet<String> {
        commits.into_iter().flat_map(|c| self.commits[*c].files.values().cloned()).collect()
    }
}
