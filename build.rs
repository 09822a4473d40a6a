//! Lists the rule files of `rules/` so that they are embedded in the binary.

use std::fmt::Write as _;
use std::path::Path;
use std::{env, fs};

fn main() {
    println!("cargo:rerun-if-changed=rules");
    println!("cargo:rerun-if-changed=build.rs");
    let root = env::var("CARGO_MANIFEST_DIR").expect("cargo sets it");
    let mut names: Vec<String> = fs::read_dir(Path::new(&root).join("rules"))
        .expect("the folder rules stands beside Cargo.toml")
        .map(|entry| entry.expect("readable").file_name().into_string().expect("UTF-8"))
        .filter(|name| name.ends_with(".toml"))
        .collect();
    names.sort();
    let mut out =
        String::from("/// Name and text of every rule file.\npub(crate) static FILES: &[(&str, &str)] = &[\n");
    for name in names {
        let path = Path::new(&root).join("rules").join(&name);
        writeln!(out, "    ({name:?}, include_str!({path:?})),").expect("a String takes everything");
    }
    out.push_str("];\n");
    let dest = Path::new(&env::var("OUT_DIR").expect("cargo sets it")).join("embedded.rs");
    fs::write(dest, out).expect("OUT_DIR is writable");
}
