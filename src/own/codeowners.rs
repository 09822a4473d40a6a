//! CODEOWNERS of GitHub, GitLab, Gitea and Bitbucket: which people and teams look after a path.
//!
//! <https://docs.github.com/repositories/managing-your-repositorys-settings-and-features/customizing-your-repository/about-code-owners>,
//! <https://docs.gitlab.com/user/project/codeowners/reference/>.
//! Contract: scanned content, so a hint: it names a team, never the owner of a credential. The last line that fits decides,
//! in each section of its own. Lines that no forge takes count for nothing.

use ignore::gitignore::{Gitignore, GitignoreBuilder};

/// Where the forges look for the file, in the order in which they do.
pub const PATHS: [&str; 6] = [
    ".github/CODEOWNERS",
    ".gitlab/CODEOWNERS",
    "CODEOWNERS",
    "docs/CODEOWNERS",
    ".gitea/CODEOWNERS",
    ".bitbucket/CODEOWNERS",
];

/// The largest file that is read, in bytes: GitHub's own limit is 3 MB.
pub const LARGEST: usize = 3 << 20;
/// The most lines that are looked at.
const MOST_LINES: usize = 20_000;

/// A CODEOWNERS file.
#[derive(Debug, Default)]
pub struct Codeowners {
    sections: Vec<Section>,
}

#[derive(Debug, Default)]
struct Section {
    default: Vec<String>,
    entries: Vec<Entry>,
}

#[derive(Debug)]
struct Entry {
    pattern: Gitignore,
    owners: Vec<String>,
}

impl Codeowners {
    /// Reads the file.
    pub fn parse(text: &[u8]) -> Self {
        let text = String::from_utf8_lossy(&text[..text.len().min(LARGEST)]);
        let mut sections = vec![Section::default()];
        for line in text.lines().take(MOST_LINES) {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            if let Some(default) = section_head(line) {
                sections.push(Section { default, entries: Vec::new() });
            } else if let (Some(section), Some((pattern, rest))) = (sections.last_mut(), split_pattern(line)) {
                section.add(&pattern, words(rest));
            }
        }
        sections.retain(|s| !s.entries.is_empty());
        Self { sections }
    }

    /// The owners of a path, as the file writes them (`@org/team`, `@user`, an address).
    pub fn of(&self, path: &[u8]) -> Vec<&str> {
        let path = String::from_utf8_lossy(path);
        let mut owners: Vec<&str> = Vec::new();
        for section in &self.sections {
            let fits = |e: &&Entry| e.pattern.matched_path_or_any_parents(path.as_ref(), false).is_ignore();
            if path.is_empty() || path.starts_with('/') {
                continue;
            }
            let Some(entry) = section.entries.iter().rev().find(fits) else { continue };
            owners.extend(entry.owners.iter().map(String::as_str));
        }
        owners.dedup();
        owners
    }
}

impl Section {
    fn add(&mut self, pattern: &str, mut owners: Vec<String>) {
        // `!pattern` takes paths out of a section again: an entry without owners.
        let excluded = pattern.strip_prefix('!');
        if excluded.is_none() && owners.is_empty() {
            owners.clone_from(&self.default);
        }
        let mut builder = GitignoreBuilder::new("");
        if builder.add_line(None, excluded.unwrap_or(pattern)).is_err() {
            return;
        }
        let Ok(pattern) = builder.build() else { return };
        self.entries.push(Entry { pattern, owners: if excluded.is_some() { Vec::new() } else { owners } });
    }
}

/// `[Name]`, `^[Name]`, `[Name][2] @default`: the default owners of a section.
fn section_head(line: &str) -> Option<Vec<String>> {
    let line = line.strip_prefix('^').unwrap_or(line);
    let (_, mut rest) = line.strip_prefix('[')?.split_once(']')?;
    if let Some(count) = rest.strip_prefix('[') {
        rest = count.split_once(']')?.1;
    }
    (rest.is_empty() || rest.starts_with(char::is_whitespace)).then(|| words(rest))
}

/// The pattern of a line (spaces in it are escaped), and what follows.
fn split_pattern(line: &str) -> Option<(String, &str)> {
    let mut escaped = false;
    let end = line.char_indices().find(|(_, c)| {
        let here = c.is_whitespace() && !escaped;
        escaped = *c == '\\' && !escaped;
        here
    });
    let (pattern, rest) = line.split_at(end.map_or(line.len(), |(i, _)| i));
    (!pattern.is_empty()).then(|| (pattern.to_owned(), rest))
}

fn words(text: &str) -> Vec<String> {
    let owner = |w: &&str| w.contains('@') && w.len() > 1;
    text.split_whitespace().take_while(|w| !w.starts_with('#')).filter(owner).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "\
# everybody
*                 @acme/all
*.js              @jane docs@example.org # inline
/build/logs/      @ops
docs/*            @writers
apps/             @apps
/apps/github
with\\ space.txt  @space
";

    #[test]
    fn the_last_line_that_fits_decides() {
        let file = Codeowners::parse(FILE.as_bytes());
        let of = |path: &str| file.of(path.as_bytes()).join(" ");
        assert_eq!(of("a.txt"), "@acme/all");
        assert_eq!(of("src/a.js"), "@jane docs@example.org");
        assert_eq!(of("build/logs/x/y.log"), "@ops");
        assert_eq!(of("x/build/logs/y.log"), "@acme/all");
        assert_eq!(of("docs/a.md"), "@writers");
        assert_eq!(of("x/apps/y/z"), "@apps");
        assert_eq!(of("apps/github/z"), "");
        assert_eq!(of("with space.txt"), "@space");
    }

    #[test]
    fn sections_have_owners_of_their_own() {
        let file =
            Codeowners::parse(b"* @all\n[Docs] @doc-team\n*.md\nREADME.md @jane\n!secret.md\n^[Opt][2]\n*.rb @ruby\n");
        let of = |path: &str| file.of(path.as_bytes()).join(" ");
        assert_eq!(of("a.md"), "@all @doc-team");
        assert_eq!(of("README.md"), "@all @jane");
        assert_eq!(of("secret.md"), "@all");
        assert_eq!(of("x.rb"), "@all @ruby");
    }

    #[test]
    fn hostile_files_are_harmless() {
        for text in [&b"[[[[[ @x\n***** @y"[..], b"\xff\xfe @z", b"[ @a\n] @b", b"a{b,c @d\n", b"/ @e", b"\\ @f"] {
            let file = Codeowners::parse(text);
            for path in [&b""[..], b"/", b"..", b"../../x", b"\xff/y", b"a/b"] {
                let _ = file.of(path);
            }
        }
    }
}
