//! Repositories made by git itself, in a cleared environment.

use std::ffi::OsStr;
use std::fs::File;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, UNIX_EPOCH};

use super::folder;

/// When the first commit of a test is made: 2023-11-14T22:13:20Z.
pub const START: i64 = 1_700_000_000;

/// A repository in a folder of its own.
pub struct Repo {
    top: Option<tempfile::TempDir>,
    pub dir: PathBuf,
    /// Date of the next commit.
    pub now: i64,
}

impl Repo {
    pub fn new() -> Self {
        Self::with(&[])
    }

    /// With options of `git init`.
    pub fn with(options: &[&str]) -> Self {
        let top = folder();
        let dir = top.path().join("repo");
        std::fs::create_dir(&dir).unwrap();
        let repo = Self { top: Some(top), dir, now: START };
        repo.git(&[&["init", "-q", "-b", "main"], options].concat());
        repo
    }

    /// The folder that holds the repository.
    pub fn top(&self) -> &Path {
        self.dir.parent().unwrap()
    }

    /// Another repository or work tree beside this one, which must outlive it.
    pub fn beside(&self, name: &str) -> Self {
        Self { top: None, dir: self.top().join(name), now: self.now }
    }

    /// Runs git; its output without the last newline.
    #[track_caller]
    pub fn git(&self, args: &[&str]) -> String {
        String::from_utf8(self.run(args, b"")).unwrap().trim_end().to_owned()
    }

    /// Runs git with input; its output.
    #[track_caller]
    pub fn run(&self, args: &[&str], input: &[u8]) -> Vec<u8> {
        let output = self.attempt(args, input);
        assert!(output.status.success(), "git {args:?}: {}", String::from_utf8_lossy(&output.stderr));
        output.stdout
    }

    /// Runs git, which may fail.
    pub fn attempt(&self, args: &[&str], input: &[u8]) -> std::process::Output {
        let mut command = Command::new("git");
        command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command.env("GIT_CONFIG_NOSYSTEM", "1").env("GIT_CONFIG_GLOBAL", "/dev/null").env("HOME", &self.dir);
        command.env("GIT_AUTHOR_DATE", format!("@{} +0100", self.now)).env("LC_ALL", "C");
        command.env("GIT_COMMITTER_DATE", format!("@{} +0100", self.now)).env("GIT_TERMINAL_PROMPT", "0");
        for setting in [
            "user.name=A B",
            "user.email=a@example.org",
            "gc.auto=0",
            "maintenance.auto=0",
            "protocol.file.allow=always",
            "advice.detachedHead=false",
        ] {
            command.args(["-c", setting]);
        }
        command.current_dir(&self.dir).args(args);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        let input = input.to_vec();
        let writer = std::thread::spawn(move || std::io::Write::write_all(&mut stdin, &input).is_ok());
        let output = child.wait_with_output().unwrap();
        writer.join().unwrap();
        output
    }

    /// Writes a file, long ago: see [`settle`](Self::settle).
    pub fn write(&self, path: &str, bytes: impl AsRef<[u8]>) {
        super::write(self.dir.join(path), bytes);
        self.age(path.as_ref());
    }

    /// Gives a file a time in the past, another one each time.
    fn age(&self, path: &Path) {
        static NEXT: AtomicU64 = AtomicU64::new(START as u64);
        let time = UNIX_EPOCH + Duration::from_secs(NEXT.fetch_add(1, Relaxed));
        File::options().append(true).open(self.dir.join(path)).unwrap().set_modified(time).unwrap();
    }

    pub fn remove(&self, path: &str) {
        std::fs::remove_file(self.dir.join(path)).unwrap();
    }

    /// Commits everything, a minute after the last commit; the new commit.
    pub fn commit(&mut self, message: &str) -> String {
        self.git(&["add", "-A"]);
        self.now += 60;
        self.git(&["commit", "-q", "--allow-empty", "-m", message]);
        self.head()
    }

    pub fn head(&self) -> String {
        self.git(&["rev-parse", "HEAD"])
    }

    /// Writes a file and commits it.
    pub fn put(&mut self, path: &str, bytes: impl AsRef<[u8]>) -> String {
        self.write(path, bytes);
        self.commit(&format!("write {path}"))
    }

    /// Makes git sure of the files of the work tree. Files that are as young as the index may have changed behind its
    /// back: they are looked at as files, too.
    pub fn settle(&self) {
        let listed = self.run(&["ls-files", "-z"], b"");
        for path in listed.split(|b| *b == 0).filter(|path| !path.is_empty()) {
            let path = Path::new(OsStr::from_bytes(path));
            if self.dir.join(path).is_file() {
                self.age(path);
            }
        }
        self.git(&["update-index", "-q", "--refresh"]);
    }

    /// Stores a blob that nothing names.
    pub fn blob(&self, bytes: impl AsRef<[u8]>) -> String {
        let id = self.run(&["hash-object", "-w", "--stdin"], bytes.as_ref());
        String::from_utf8(id).unwrap().trim().to_owned()
    }

    /// Files of the object database that end so, as `.pack`.
    pub fn objects(&self, end: &str) -> Vec<PathBuf> {
        let dir = PathBuf::from(self.git(&["rev-parse", "--git-common-dir"]));
        let mut found = Vec::new();
        let mut todo = vec![self.dir.join(dir).join("objects")];
        while let Some(dir) = todo.pop() {
            for entry in std::fs::read_dir(dir).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    todo.push(path);
                } else if path.to_str().unwrap().ends_with(end) {
                    found.push(path);
                }
            }
        }
        found.sort();
        found
    }

    /// How many objects lie in files of their own.
    pub fn loose(&self) -> usize {
        self.objects("").iter().filter(|p| p.parent().unwrap().file_name().unwrap().len() == 2).count()
    }

    /// Changes a file of the object database, which git writes without leave to write.
    pub fn damage(path: &Path, change: impl FnOnce(&mut Vec<u8>)) {
        let mut bytes = std::fs::read(path).unwrap();
        change(&mut bytes);
        std::fs::remove_file(path).unwrap();
        std::fs::write(path, bytes).unwrap();
    }
}
