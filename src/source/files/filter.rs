//! `--include` and `--exclude`: gitignore-style globs on paths below a target.
//!
//! Contract: an excluded folder hides all below it; an included folder covers all below it; without includes everything
//! is covered.

use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use ignore::gitignore::{Gitignore, GitignoreBuilder};

/// Which paths below a target are looked at.
#[derive(Clone, Debug)]
pub struct Filter {
    include: Option<Gitignore>,
    exclude: Gitignore,
}

impl Default for Filter {
    fn default() -> Self {
        Self { include: None, exclude: Gitignore::empty() }
    }
}

/// What a [`Filter`] says of one path, given what it said of the folder that holds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Excluded by name.
    Excluded,
    /// Named by no include so far: a folder is still entered, a file is left out.
    Uncovered,
    /// To be looked at.
    Covered,
}

impl Filter {
    /// Builds the filter; the error names the glob that is wrong.
    pub fn new(includes: &[String], excludes: &[String]) -> Result<Self, String> {
        let include = if includes.is_empty() { None } else { Some(globs(includes)?) };
        Ok(Self { include, exclude: globs(excludes)? })
    }

    /// Judges one path whose folders are not excluded; `covered` if an include names one of them.
    pub fn judge(&self, path: &[u8], folder: bool, covered: bool) -> Verdict {
        let path = Path::new(std::ffi::OsStr::from_bytes(path));
        if self.exclude.matched(path, folder).is_ignore() {
            return Verdict::Excluded;
        }
        match &self.include {
            None => Verdict::Covered,
            Some(_) if covered => Verdict::Covered,
            Some(include) if include.matched(path, folder).is_ignore() => Verdict::Covered,
            Some(_) => Verdict::Uncovered,
        }
    }

    /// Whether a file at this path is to be looked at, all its folders considered: for places that are not walked.
    pub fn wants(&self, path: &[u8]) -> bool {
        if self.include.is_none() && self.exclude.is_empty() {
            return true;
        }
        let mut covered = false;
        for slash in memchr::memchr_iter(b'/', path).filter(|&i| i > 0) {
            match self.judge(&path[..slash], true, covered) {
                Verdict::Excluded => return false,
                verdict => covered = verdict == Verdict::Covered,
            }
        }
        self.judge(path, false, covered) == Verdict::Covered
    }
}

/// One matcher of all globs, relative to nothing: paths are given relative to the target.
fn globs(globs: &[String]) -> Result<Gitignore, String> {
    let mut builder = GitignoreBuilder::new("");
    for glob in globs {
        builder.add_line(None, glob).map_err(|e| format!("{glob:?}: {e}"))?;
    }
    builder.build().map_err(|e| e.to_string())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn filter(includes: &[&str], excludes: &[&str]) -> Filter {
        let owned = |list: &[&str]| list.iter().map(|s| s.to_string()).collect::<Vec<_>>();
        Filter::new(&owned(includes), &owned(excludes)).unwrap()
    }

    #[test]
    fn folders_hide_and_cover_what_is_below() {
        let f = filter(&["src/", "*.md"], &["/src/gen", "!keep.rs", "*.min.js"]);
        for (path, wanted) in [
            ("src/a.rs", true),
            ("src/gen/a.rs", false),
            ("src/x/gen/a.rs", true),
            ("lib/a.rs", false),
            ("lib/a.md", true),
            ("README.md", true),
            ("src/app.min.js", false),
            ("other/src/deep/a", true),
        ] {
            assert_eq!(f.wants(path.as_bytes()), wanted, "{path}");
        }
    }

    #[test]
    fn without_globs_everything_is_wanted() {
        let f = Filter::default();
        assert!(f.wants(b"a/\xff\n/b"));
        assert_eq!(f.judge(b"x", true, false), Verdict::Covered);
    }

    #[test]
    fn a_wrong_glob_is_named() {
        let wrong = Filter::new(&[], &["a{b".to_string()]).unwrap_err();
        assert!(wrong.contains("a{b"), "{wrong}");
    }
}
