//! Repositories made by git itself, and what the library says of them.
#![allow(clippy::unwrap_used, dead_code)]

pub mod random;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;

use unsprawl::model::{CommitInfo, Exposure, NoteKind, ObjectId};
use unsprawl::notes::Notes;
use unsprawl::source::git::attribute::{Attribution, History, Hot, HotTrees, Place, attribute};
use unsprawl::source::git::discover::{Repository, discover};
use unsprawl::source::git::graph::Graph;
use unsprawl::source::git::refs::Refs;
use unsprawl::source::git::store::ObjectStore;
use unsprawl::source::git::walk::Kind;
use unsprawl::source::git::worktree::WorkTree;

/// When the first commit of a test is made.
pub const START: i64 = 1_700_000_000;

/// A repository in a folder of its own.
pub struct Repo {
    _top: Option<tempfile::TempDir>,
    pub dir: PathBuf,
    /// Date of the next commit.
    pub now: i64,
}

impl Repo {
    pub fn new() -> Self {
        Self::with(&[])
    }

    pub fn with(options: &[&str]) -> Self {
        let top = tempfile::tempdir().unwrap();
        let dir = top.path().join("repo");
        std::fs::create_dir(&dir).unwrap();
        let repo = Self { _top: Some(top), dir, now: START };
        repo.git(&[&["init", "-q", "-b", "main"], options].concat());
        repo
    }

    /// Another repository or worktree in a folder beside.
    pub fn beside(&self, name: &str) -> Self {
        Self { _top: None, dir: self.dir.parent().unwrap().join(name), now: self.now }
    }

    /// Runs git, without any configuration of this machine; its output without the last newline.
    pub fn git(&self, args: &[&str]) -> String {
        String::from_utf8(self.run(args, b"")).unwrap().trim_end().to_owned()
    }

    pub fn run(&self, args: &[&str], input: &[u8]) -> Vec<u8> {
        let mut command = Command::new("git");
        command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command.env("GIT_CONFIG_NOSYSTEM", "1").env("GIT_CONFIG_GLOBAL", "/dev/null").env("HOME", &self.dir);
        command.env("GIT_AUTHOR_DATE", format!("@{} +0100", self.now));
        command.env("GIT_COMMITTER_DATE", format!("@{} +0100", self.now));
        let fixed = ["user.name=A B", "user.email=a@example.org", "gc.auto=0", "maintenance.auto=0"];
        let allowed = ["protocol.file.allow=always", "advice.detachedHead=false"];
        for setting in fixed.iter().chain(&allowed) {
            command.args(["-c", setting]);
        }
        command.current_dir(&self.dir).args(args);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        std::io::Write::write_all(&mut child.stdin.take().unwrap(), input).unwrap();
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "git {args:?}: {}", String::from_utf8_lossy(&output.stderr));
        output.stdout
    }

    pub fn write(&self, path: &str, text: &str) {
        let path = self.dir.join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    pub fn remove(&self, path: &str) {
        std::fs::remove_file(self.dir.join(path)).unwrap();
    }

    /// Commits everything, a minute after the last commit; the new commit.
    pub fn commit(&mut self, message: &str) -> String {
        self.git(&["add", "-A"]);
        self.now += 60;
        self.git(&["commit", "-q", "--allow-empty", "-m", message]);
        self.git(&["rev-parse", "HEAD"])
    }

    /// Writes a file and commits.
    pub fn put(&mut self, path: &str, text: &str) -> String {
        self.write(path, text);
        self.commit(&format!("write {path}"))
    }

    pub fn load(&self) -> Loaded {
        Loaded::new(&self.dir)
    }

    pub fn find(&self) -> Found {
        self.load().find()
    }
}

/// What the library reads of a repository.
pub struct Loaded {
    pub repo: Repository,
    pub store: ObjectStore,
    pub refs: Refs,
    pub graph: Graph,
    pub tree: WorkTree,
    pub notes: Arc<Notes>,
}

impl Loaded {
    pub fn new(path: &Path) -> Self {
        let notes = Arc::new(Notes::default());
        let repo = discover(path).unwrap().unwrap();
        let store = ObjectStore::open(&repo.objects_dir, repo.hash_len, Arc::clone(&notes)).unwrap();
        let refs = Refs::load(&repo, &notes);
        let graph = Graph::read(&store, &repo.shallow, &notes);
        let tree = WorkTree::open(&repo, &notes);
        Self { repo, store, refs, graph, tree, notes }
    }

    /// Objects with the text `KEY-n`, where `n` is the number of a credential.
    pub fn hot(&self) -> Vec<Hot> {
        let mut ids: Vec<ObjectId> = self.store.ids().collect();
        ids.sort_unstable();
        ids.dedup();
        let mut hot = Vec::new();
        for id in ids {
            let (kind, data) = self.store.read(&id).unwrap().unwrap();
            let text = String::from_utf8_lossy(&data);
            let digits = |rest: &str| rest.chars().take_while(char::is_ascii_digit).collect::<String>();
            let credentials: Vec<u32> =
                text.split("KEY-").skip(1).filter_map(|rest| digits(rest).parse().ok()).collect();
            if kind != Kind::Tree && !credentials.is_empty() {
                hot.push(Hot { id, kind, credentials });
            }
        }
        hot
    }

    pub fn find(self) -> Found {
        let hot = self.hot();
        let count = hot.iter().flat_map(|h| h.credentials.iter()).max().map_or(0, |n| n + 1);
        let history = History {
            repo: &self.repo,
            store: &self.store,
            graph: &self.graph,
            refs: &self.refs,
            index: self.tree.entries(),
            now: START + 1_000_000,
        };
        let trees = HotTrees::read(&self.store, &hot, &self.notes);
        let attribution = attribute(&history, &hot, trees, count, &self.notes);
        let notes = self.notes.take().1;
        Found { loaded: self, hot, attribution, notes }
    }
}

/// Where everything stands.
pub struct Found {
    pub loaded: Loaded,
    pub hot: Vec<Hot>,
    pub attribution: Attribution,
    pub notes: Vec<(NoteKind, u64)>,
}

impl Found {
    pub fn exposure(&self, credential: u32) -> &Exposure {
        self.attribution.exposure(credential).unwrap()
    }

    /// Places of all objects that hold a credential.
    pub fn places(&self, credential: u32) -> Vec<Place> {
        let hot = self.hot.iter().enumerate().filter(|(_, h)| h.credentials.contains(&credential));
        hot.flat_map(|(i, _)| self.attribution.places(i).to_vec()).collect()
    }

    /// The only place of a credential, and its path.
    pub fn place(&self, credential: u32) -> (Place, String) {
        let places = self.places(credential);
        assert_eq!(places.len(), 1, "{places:?}");
        (places[0], self.path(&places[0]))
    }

    pub fn path(&self, place: &Place) -> String {
        String::from_utf8_lossy(&self.attribution.path(place)).into_owned()
    }

    /// The id of the commit of a place.
    pub fn commit(&self, place: &Place) -> Option<String> {
        place.commit.map(|c| self.attribution.commit(c).unwrap().id.to_string())
    }

    pub fn introduced(&self, credential: u32) -> Option<String> {
        name(&self.exposure(credential).introduced)
    }

    pub fn removed(&self, credential: u32) -> Option<String> {
        name(&self.exposure(credential).removed)
    }
}

fn name(info: &Option<CommitInfo>) -> Option<String> {
    info.as_ref().map(|info| info.id.to_string())
}
