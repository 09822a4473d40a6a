//! Embeds the rule files of `rules/` in the binary: each as it is, and cut down to what detection needs, because every start
//! reads that part of all of them.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs};

/// Keys of a file, and of its tokens, that only asking, revoking and testing need.
const OF_FILE: [&str; 5] = ["endpoint", "verify", "revoke", "manual", "test"];
const OF_TOKEN: [&str; 5] = ["offline", "verify", "no_verify", "revoke", "manual"];

fn main() {
    println!("cargo:rerun-if-changed=rules");
    println!("cargo:rerun-if-changed=build.rs");
    let rules = Path::new(&env::var("CARGO_MANIFEST_DIR").expect("cargo sets it")).join("rules");
    let out = PathBuf::from(env::var("OUT_DIR").expect("cargo sets it"));
    fs::create_dir_all(out.join("detection")).expect("OUT_DIR is writable");
    let mut names: Vec<String> = fs::read_dir(&rules)
        .expect("the folder rules stands beside Cargo.toml")
        .map(|entry| entry.expect("readable").file_name().into_string().expect("UTF-8"))
        .filter(|name| name.ends_with(".toml"))
        .collect();
    names.sort();
    let mut list = String::from(
        "/// Of every rule file its name, its text, and what of it detection needs.\n\
         pub(crate) static FILES: &[(&str, &str, &str)] = &[\n",
    );
    for name in names {
        let path = rules.join(&name);
        let cut = out.join("detection").join(&name);
        let text = fs::read_to_string(&path).expect("a rule file is readable");
        fs::write(&cut, for_detection(&text)).expect("OUT_DIR is writable");
        writeln!(list, "    ({name:?}, include_str!({path:?}), include_str!({cut:?})),").expect("a String takes all");
    }
    list.push_str("];\n");
    fs::write(out.join("embedded.rs"), list).expect("OUT_DIR is writable");
}

/// The part of a file that detection needs. A file that is no TOML stays as it is: a test tells where it is wrong.
fn for_detection(text: &str) -> String {
    let Ok(mut file) = text.parse::<toml::Table>() else { return text.to_owned() };
    OF_FILE.iter().for_each(|key| drop(file.remove(*key)));
    if let Some(toml::Value::Array(tokens)) = file.get_mut("token") {
        for token in tokens.iter_mut().filter_map(toml::Value::as_table_mut) {
            OF_TOKEN.iter().for_each(|key| drop(token.remove(*key)));
        }
    }
    toml::to_string(&file).unwrap_or_else(|_| text.to_owned())
}
