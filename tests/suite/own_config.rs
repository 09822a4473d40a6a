//! Directories and thresholds in the user's configuration file, and what is kept of a directory's answers.
#![allow(clippy::unwrap_used)]

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::own_directories::leaked;
use crate::support::http::{self, Http};
use crate::support::{Output, folder, unsprawl, write};

/// A folder with a configuration, a report with a finding of jane's, and a directory file in which she has left.
struct Place {
    dir: tempfile::TempDir,
    report: PathBuf,
}

impl Place {
    fn new(config: &str) -> Self {
        let dir = folder();
        let report = leaked(dir.path(), "jane");
        write(dir.path().join("conf/unsprawl.toml"), config);
        write(dir.path().join("conf/hr.csv"), "login,name,status\njane,Jane Doe,departed\n");
        // Where the program runs may be scanned content: nothing is read from there.
        write(dir.path().join("here/hr.csv"), "login,name,status\njane,Mallory,active\n");
        write(dir.path().join("here/word"), "another\n");
        Self { dir, report }
    }

    fn run(&self, flags: &[&str], env: &[(&str, &str)]) -> Output {
        let config = self.dir.path().join("conf/unsprawl.toml").display().to_string();
        let words = ["owners", "--format", "json", "--config", &config];
        let mut run = unsprawl([&words[..], flags].concat()).arg(&self.report).dir(&self.dir.path().join("here"));
        for (name, value) in env {
            run = run.env(name, value);
        }
        run.run()
    }

    /// The only person of the list.
    #[track_caller]
    fn person(&self, flags: &[&str], env: &[(&str, &str)]) -> Value {
        let output = self.run(flags, env);
        let list: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|e| panic!("{e}: {}", output.stderr));
        assert_eq!(list["people"].as_array().unwrap().len(), 1, "{list}");
        list["people"][0].clone()
    }

    /// The run refuses the configuration: what it says, from the file's name on.
    #[track_caller]
    fn refused(&self, env: &[(&str, &str)]) -> String {
        let output = self.run(&[], env);
        assert_eq!(output.code, 2, "{}", output.stderr);
        let at = output.stderr.find("unsprawl.toml").unwrap_or_else(|| panic!("{}", output.stderr));
        output.stderr[at..].trim_end().to_owned()
    }
}

const FILE: &str = "[[directory]]\nfile = \"hr.csv\"\n";

#[test]
fn a_file_is_looked_for_beside_the_configuration_and_flags_take_its_place() {
    let place = Place::new(FILE);
    let jane = place.person(&[], &[]);
    assert_eq!((&jane["person"]["state"], &jane["orphaned"]), (&json!("departed"), &json!(1)), "{jane}");
    let other = place.dir.path().join("other.csv");
    write(&other, "login,status\njane,suspended\n");
    let other = other.to_str().unwrap();
    assert_eq!(place.person(&["--directory", other], &[])["person"]["state"], "suspended");
    assert_eq!(place.person(&[], &[("UNSPRAWL_DIRECTORY", other)])["person"]["state"], "suspended");
    // The first one that knows somebody decides.
    let both = Place::new(&format!("[[directory]]\nfile = '{other}'\n{FILE}"));
    assert_eq!(both.person(&[], &[])["person"]["state"], "suspended");
    let all = Place::new("[[directory]]\nfile = \"few.csv\"\ncomplete = true\n");
    write(all.dir.path().join("conf/few.csv"), "login\nbob\n");
    assert_eq!(all.person(&[], &[])["person"]["state"], "departed");
}

#[test]
fn accounts_and_thresholds_are_taken_unless_flags_say_otherwise() {
    let config = "[owners]\naccounts = \"accounts.toml\"\nlong_lived_days = 100000\n";
    let place = Place::new(&format!("{config}{FILE}"));
    let map = "[[account]]\nlogin = \"jane\"\nperson = \"robot@example.org\"\n";
    write(place.dir.path().join("conf/accounts.toml"), map);
    write(place.dir.path().join("conf/hr.csv"), "email,login\nrobot@example.org,robot\n");
    let robot = place.person(&[], &[]);
    assert_eq!(robot["person"]["emails"], json!(["robot@example.org"]), "{robot}");
    write(place.dir.path().join("conf/unsprawl.toml"), "[owners]\nlong_lived_days = -1\n");
    assert!(place.refused(&[]).contains("unsprawl.toml:2:"), "{}", place.refused(&[]));
}

#[test]
fn what_is_wrong_is_told_with_its_place() {
    let rows = [
        ("[[directory]]\nfile = \"a\"\nscim = \"https://x\"\n", "1:1: give `file`; or"),
        ("\n[[directory]]\nscim = \"https://x.example\"\n", "2:1: give `file`; or"),
        ("[[directory]]\nldap = \"ldaps://x/dc=x\"\nbind = \"cn=x\"\n", "1:1: give `file`; or"),
        ("[[directory]]\n", "1:1: give `file`; or"),
        ("[[directory]]\nflie = \"a\"\n", "2:1: unknown field `flie`"),
        ("[[directory]]\nscim = \"ftp://x\"\ntoken = { env = \"WORD\" }\n", "1:1: scim+ftp://x: write"),
        ("[[directory]]\nldap = \"ldaps://x\"\n", "1:1: ldaps://x: the search base is missing"),
        ("[[directory]]\nldap = \"ldaps://x/dc=x?bind=cn=y\"\n", "1:1: ldaps://x/dc=x?bind=cn=y: behind the host"),
        (
            "[[directory]]\nscim = \"https://x\"\ntoken = { env = \"NO\" }\n",
            "1:1: the environment variable NO is not set",
        ),
        ("[owners]\ndirectory_ttl = \"soon\"\n", "2:17: `soon` is no duration"),
    ];
    for (config, what) in rows {
        let said = Place::new(config).refused(&[("WORD", "x")]);
        assert!(said.contains(&format!("unsprawl.toml:{what}")), "{config}\n{said}");
    }
    let said = Place::new("[[directory]]\nscim = \"https://x\"\ntoken = { file = \"word\" }\n").refused(&[]);
    assert!(said.contains("conf/word: No such file"), "{said}");
}

/// A SCIM server in which jane is suspended; it takes one token.
fn scim(token: &'static str) -> Http {
    Http::start(move |seen| {
        if seen.header("authorization") != format!("Bearer {token}") {
            return http::json(401, json!({}));
        }
        let user = json!({ "id": "1", "userName": "jane", "active": false });
        http::json(200, json!({ "totalResults": 1, "Resources": [user] }))
    })
}

#[test]
fn servers_are_asked_with_the_secret_that_the_file_points_to() {
    let server = scim("right");
    let online = [("UNSPRAWL_OFFLINE", "0"), ("WORD", "right")];
    let config = |token: &str| format!("[[directory]]\nscim = \"{}/v2/\"\ntoken = {token}\n", server.url());
    let place = Place::new(&config("{ env = \"WORD\" }"));
    assert_eq!(place.person(&["--allow-internal"], &online)["person"]["state"], "suspended");
    let place = Place::new(&config("{ file = \"word\" }"));
    write(place.dir.path().join("conf/word"), "right\n");
    assert_eq!(place.person(&[], &online)["person"]["state"], "suspended");
    write(place.dir.path().join("conf/word"), "wrong\n");
    let output = place.run(&[], &online);
    assert_eq!(output.code, 3);
    assert!(!String::from_utf8_lossy(&output.stdout).contains("suspended"));
    assert!(!output.stderr.contains("wrong") && !output.stderr.contains("right"), "{}", output.stderr);
    assert!(server.seen().iter().all(|s| s.path() == "/v2/Users"));
    // A directory of LDAP that nobody answers for, as the second one: the first still counts.
    write(place.dir.path().join("conf/word"), "right\n");
    let ldap = "[[directory]]\nldap = \"ldap://127.0.0.1:9/dc=x\"\nbind = \"cn=r\"\npassword = { env = \"WORD\" }\n";
    write(place.dir.path().join("conf/unsprawl.toml"), config("{ file = \"word\" }") + ldap);
    let output = place.run(&[], &online);
    assert_eq!(output.code, 3);
    assert!(String::from_utf8_lossy(&output.stdout).contains("suspended"), "{}", output.stderr);
}

#[test]
fn answers_are_kept_beside_the_state_unless_nothing_is_to_be_kept() {
    let server = scim("right");
    let place = Place::new(&format!(
        "[[directory]]\nscim = \"{}\"\ntoken = {{ env = \"WORD\" }}\n[owners]\ndirectory_ttl = \"10m\"\n",
        server.url()
    ));
    let state = place.dir.path().join("kept/state.db");
    let state = state.to_str().unwrap();
    let env = [("UNSPRAWL_OFFLINE", "0"), ("WORD", "right")];
    let asked = |flags: &[&str]| {
        let before = server.seen().len();
        assert_eq!(place.person(flags, &env)["person"]["state"], "suspended");
        server.seen().len() - before
    };
    assert_eq!([asked(&["--state", state]), asked(&["--state", state])], [1, 0]);
    assert_eq!(asked(&["--state", state, "--directory-ttl", "0"]), 1);
    assert_eq!([asked(&["--no-state"]), asked(&["--no-state"])], [1, 1]);
    let kept: Vec<PathBuf> = files(&place.dir.path().join("kept"));
    assert!(kept.iter().any(|p| p.parent().unwrap().ends_with("state.directories")), "{kept:?}");
    assert!(kept.iter().all(|p| !String::from_utf8_lossy(&std::fs::read(p).unwrap()).contains("right")));
    // Without a network, what is kept still counts.
    assert_eq!(place.person(&["--state", state, "--offline"], &env)["person"]["state"], "suspended");
}

fn files(dir: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(dir).unwrap().map(|e| e.unwrap().path());
    entries.flat_map(|p| if p.is_dir() { files(&p) } else { vec![p] }).collect()
}

#[test]
fn searches_stand_in_the_log_of_requests() {
    let server = scim("right");
    let place = Place::new("");
    let log = place.dir.path().join("requests.jsonl");
    let directory = format!("scim+{}/v2#WORD", server.url());
    let env = [("UNSPRAWL_OFFLINE", "0"), ("WORD", "right")];
    let ldap = "ldap://127.0.0.1:9/dc=x";
    let flags = ["--requests-log", log.to_str().unwrap(), "--directory", &directory, "--directory", ldap];
    assert_eq!(place.run(&flags, &env).code, 3);
    let text = std::fs::read_to_string(&log).unwrap();
    let lines: Vec<Value> = text.lines().map(|l| serde_json::from_str(l).unwrap()).collect();
    let facts: Vec<(&Value, &Value)> = lines.iter().map(|l| (&l["method"], &l["path"])).collect();
    assert_eq!(facts, [(&json!("GET"), &json!("/v2/Users")), (&json!("SEARCH"), &json!("/"))], "{text}");
    assert!(lines[1]["error"].as_str().unwrap().contains("no connection") && !text.contains("right"), "{text}");
}
