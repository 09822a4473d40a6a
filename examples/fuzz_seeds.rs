//! Makes seeds for the fuzz targets: `fuzz_seeds FOLDER` (see fuzz/run). Tokens in them are made from the rules.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::io::{Cursor, Write};
use std::path::{Path, PathBuf};
use std::process::Command;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use unsprawl::model::TokenIndex;
use unsprawl::rules::{self, Selection, check};

struct Seeds(PathBuf);

impl Seeds {
    fn add(&self, target: &str, name: &str, parts: &[&[u8]]) {
        let folder = self.0.join(target);
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join(name), parts.concat()).unwrap();
    }
}

fn main() {
    let folder = std::env::args_os().nth(1).expect("usage: fuzz_seeds FOLDER");
    let seeds = Seeds(PathBuf::from(folder));
    texts(&seeds);
    archives(&seeds);
    deltas(&seeds);
    repository(&seeds);
    for entry in fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("rules")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|e| e == "toml") {
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            seeds.add("rules", &name, &[&fs::read(&path).unwrap()]);
        }
    }
}

fn short(n: usize) -> [u8; 2] {
    u16::try_from(n).unwrap().to_le_bytes()
}

/// Tokens of all rules, plain and encoded, and changes of the texts that hold them.
fn texts(seeds: &Seeds) {
    let catalog = rules::load(&[] as &[&Path], &Selection::default()).unwrap();
    for (i, some) in catalog.tokens.chunks(4).enumerate() {
        let mut text = Vec::new();
        for (j, rule) in some.iter().enumerate() {
            let word = rule.near.first().map_or(&b"token"[..], |w| w);
            let secret = check::decent(rule, (i * 4 + j) as u64, false);
            text.extend([word, b" = \"", &secret[..secret.len().min(4000)], b"\"\n"].concat());
        }
        let n = text.len();
        // A copy of all, an insert, a copy of the end.
        let change = [&[3, 1, 0, 0], &short(n)[..], &[0, 4], b"more", &[1], &short(n / 2), &short(n)].concat();
        seeds.add("scan", &i.to_string(), &[&short(n), &text, &change]);
        for (j, rule) in some.iter().enumerate() {
            let index = TokenIndex((i * 4 + j) as u32);
            for offline in catalog.asking(index).iter().flat_map(|ask| &ask.offline) {
                let secret = check::decent(rule, j as u64, false);
                seeds.add(
                    "offline",
                    &format!("{}-{:?}", rule.rule, offline.decode),
                    &[&[offline.decode as u8], &secret],
                );
            }
        }
        if i % 8 == 0 {
            encoded(seeds, i, &text);
        }
    }
}

fn encoded(seeds: &Seeds, i: usize, text: &[u8]) {
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    gzip.write_all(text).unwrap();
    let zipped = STANDARD.encode(gzip.finish().unwrap());
    let base64 = STANDARD.encode(text);
    let wrapped: Vec<u8> = base64.as_bytes().chunks(76).flat_map(|line| [line, b"\n"].concat()).collect();
    let each = |f: fn(&u8) -> String| text.iter().map(f).collect::<String>();
    let wide: Vec<u8> = text.iter().flat_map(|b| [*b, 0]).collect();
    let forms = [
        ("base64", base64.into_bytes()),
        ("wrapped", wrapped),
        ("gzip", zipped.into_bytes()),
        ("hex", each(|b| format!("{b:02x}")).into_bytes()),
        ("percent", each(|b| format!("%{b:02x}")).into_bytes()),
        ("escape", each(|b| format!("\\u{b:04x}")).into_bytes()),
        ("wide", STANDARD.encode(wide).into_bytes()),
    ];
    for (name, form) in forms {
        let block = [b"data: ", form.as_slice(), b"\nend\n"].concat();
        let (n, half) = (short(block.len()), short(block.len() / 2));
        seeds.add("decode", &format!("{name}-{i}"), &[&half, &n, &block]);
        seeds.add("scan", &format!("{name}-{i}"), &[&n, &block, &[2, 1], &half, &n, &[1, 0, 0], &n]);
    }
}

fn archives(seeds: &Seeds) {
    let text = b"name = value\n".repeat(40);
    let mut tar = tar::Builder::new(Vec::new());
    for name in ["a.txt", "deep/b.txt", &"long/".repeat(40)] {
        let mut header = tar::Header::new_gnu();
        header.set_size(text.len() as u64);
        header.set_mode(0o644);
        tar.append_data(&mut header, name, text.as_slice()).unwrap();
    }
    let tar = tar.into_inner().unwrap();
    let mut zip = zip::ZipWriter::new(Cursor::new(Vec::new()));
    for (name, method) in [
        ("stored.txt", zip::CompressionMethod::Stored),
        ("deflated.txt", zip::CompressionMethod::Deflated),
        ("b.bz2.txt", zip::CompressionMethod::Bzip2),
        ("z.zst.txt", zip::CompressionMethod::Zstd),
        ("inner.tar", zip::CompressionMethod::Deflated),
    ] {
        zip.start_file(name, zip::write::SimpleFileOptions::default().compression_method(method)).unwrap();
        zip.write_all(if name.ends_with("tar") { &tar } else { &text }).unwrap();
    }
    let zip = zip.finish().unwrap().into_inner();
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    gzip.write_all(&tar).unwrap();
    let mut bzip2 = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::default());
    bzip2.write_all(&tar).unwrap();
    let mut xz = liblzma::write::XzEncoder::new(Vec::new(), 6);
    xz.write_all(&zip).unwrap();
    seeds.add("archive", "tar", &[&tar]);
    seeds.add("archive", "zip", &[&zip]);
    seeds.add("archive", "prefixed-zip", &[b"#!/bin/sh\n", &zip]);
    seeds.add("archive", "gz", &[&gzip.finish().unwrap()]);
    seeds.add("archive", "bz2", &[&bzip2.finish().unwrap()]);
    seeds.add("archive", "xz", &[&xz.finish().unwrap()]);
    seeds.add("archive", "zst", &[&zstd::encode_all(tar.as_slice(), 3).unwrap()]);
}

fn deltas(seeds: &Seeds) {
    let base = b"0123456789abcdefghijklmnopqrstuvwxyz";
    // Sizes, then: copy 10 from 0, insert 3, copy 26 from 10.
    let delta = [36, 39, 0x90, 10, 3, b'n', b'e', b'w', 0x91, 10, 26];
    seeds.add("delta", "small", &[&short(base.len()), base, &delta]);
    let entry = |mode: &str, name: &str| [mode.as_bytes(), b" ", name.as_bytes(), b"\0", &[7; 20]].concat();
    let tree = [entry("100644", "a"), entry("40000", "dir"), entry("160000", "module")].concat();
    let change =
        [&[3, 1, 0, 0], &short(28)[..], &[0, 28], &entry("100644", "new"), &[1], &short(28), &short(90)].concat();
    seeds.add("tree", "small", &[&[0], &short(tree.len()), &tree, &change]);
}

/// A small repository, made by git in a folder of its own.
fn repository(seeds: &Seeds) {
    let top = tempfile::tempdir().unwrap();
    let git = |args: &[&str]| {
        let mut command = Command::new("git");
        command.current_dir(top.path()).env("GIT_CONFIG_NOSYSTEM", "1").env("GIT_CONFIG_GLOBAL", "/dev/null");
        for who in ["AUTHOR", "COMMITTER"] {
            command.env(format!("GIT_{who}_NAME"), "A").env(format!("GIT_{who}_EMAIL"), "a@example.org");
            command.env(format!("GIT_{who}_DATE"), "1700000000 +0100");
        }
        let done = command.args(args).output().unwrap();
        assert!(done.status.success(), "git {args:?}: {}", String::from_utf8_lossy(&done.stderr));
        done.stdout
    };
    git(&["init", "-q", "-b", "main"]);
    let mut text = String::new();
    for round in 0..3 {
        (0..60).for_each(|i| text += &format!("{}\n", (i + 60 * round) * 7919 % 1000));
        fs::write(top.path().join("text"), &text).unwrap();
        git(&["add", "-A"]);
        git(&["commit", "-q", "-m", "message\n\nmore"]);
    }
    git(&["tag", "-a", "-m", "tag", "v1"]);
    let dir = top.path().join(".git");
    let loose = first(&dir.join("objects"), |p| p.file_name().is_some_and(|n| n.len() == 38)).unwrap();
    let loose = fs::read(loose).unwrap();
    for (name, index) in [("HEAD", 1), ("logs/HEAD", 4), ("refs/heads/main", 3), ("index", 6), ("config", 0)] {
        seeds.add("git_files", &format!("{index}"), &[&[index], &fs::read(dir.join(name)).unwrap()]);
    }
    git(&["pack-refs", "--all"]);
    seeds.add("git_files", "2", &[&[2], &fs::read(dir.join("packed-refs")).unwrap()]);
    let id = git(&["rev-parse", "HEAD"]);
    seeds.add("git_files", "5", &[&[5], &id]);
    seeds.add("git_files", "8", &[&[8], b"../other\n\"quo\\ted\"\n# comment\n"]);
    seeds.add("commit", "commit", &[&git(&["cat-file", "commit", "HEAD"])]);
    seeds.add("commit", "tag", &[&git(&["cat-file", "tag", "v1"])]);
    seeds.add("pack_entry", "loose", &[&loose]);
    for version in ["1", "2"] {
        git(&["-c", &format!("pack.indexVersion={version}"), "repack", "-adfq"]);
        let pack = first(&dir.join("objects/pack"), |p| p.extension().is_some_and(|e| e == "pack")).unwrap();
        let index = fs::read(pack.with_extension("idx")).unwrap();
        let pack = fs::read(pack).unwrap();
        seeds.add("pack_index", version, &[&index]);
        seeds.add("pack_entry", version, &[&[13], &pack]);
        for flags in [0, 2, 4] {
            let sizes = [short(pack.len()), short(loose.len())].concat();
            seeds.add("pack", &format!("{version}-{flags}"), &[&[flags], &sizes, &pack, &loose, &index]);
        }
    }
}

/// The first file below a folder that fits.
fn first(folder: &Path, fits: impl Fn(&Path) -> bool + Copy) -> Option<PathBuf> {
    let mut paths: Vec<PathBuf> = fs::read_dir(folder).ok()?.map(|e| e.unwrap().path()).collect();
    paths.sort();
    paths.iter().find_map(|p| if p.is_dir() { first(p, fits) } else { fits(p).then(|| p.clone()) })
}
