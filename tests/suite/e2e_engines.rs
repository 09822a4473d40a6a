//! Both engines say the same of random histories, packed with deltas and as loose objects, to the last byte.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;

use crate::support::tokens::Random;
use crate::support::*;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

/// A random line: mostly text, sometimes a credential in one of many clothes, or half of one.
fn line(random: &mut Random) -> String {
    let word = format!("engine {}", random.below(30));
    let token = pat(&word);
    match random.below(40) {
        0 => format!("key = {token}"),
        1 => format!("url: https://bot:{token}@example.org/{}", random.base62(5)),
        2 => token[..20].to_owned(),
        3 => token[20..].to_owned(),
        4 => STANDARD.encode(format!("some: value\ntoken: {token}\n")),
        5 => format!("data: {}", STANDARD.encode(format!("x={token}"))),
        6 => token.bytes().map(|b| format!("{b:02x}")).collect(),
        7 => format!("q={}&x", token.replacen('_', "%5F", 1)),
        8 => format!("\"a\\n{token}\\n\","),
        9 => format!("{} # gitleaks:allow", npm(&word)),
        10 => format!("//registry.npmjs.org/:_authToken={}", npm(&word)),
        11 => "# pragma: allowlist nextline secret".to_owned(),
        // Two parts that pair by nearness, and come and go on their own.
        12 => format!("aws_access_key_id = {}{}", "AKIA", base32(&word)),
        13 => format!("aws_secret_access_key = {}", Random::of(&format!("{word} secret")).base62(40)),
        14 => format!("password = \"{}\"", Random::of(&format!("{word} password")).base62(20)),
        15 => random.base62(76),
        16 => "a".repeat(random.below(200)),
        17 => String::new(),
        _ => format!("{} {} {}", random.base62(4), random.base62(6), random.below(1000)),
    }
}

fn base32(word: &str) -> String {
    let mut random = Random::of(&format!("{word} id"));
    (0..16).map(|_| char::from(b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"[random.below(32)])).collect()
}

type Files = BTreeMap<String, Vec<String>>;

/// Changes some files: lines inserted, removed, replaced, moved; files copied, renamed, removed, added.
fn edit(files: &mut Files, random: &mut Random) {
    for _ in 0..1 + random.below(3) {
        let names: Vec<String> = files.keys().cloned().collect();
        let name = names[random.below(names.len())].clone();
        match random.below(10) {
            0 => {
                let lines = files[&name].clone();
                files.insert(format!("dir{}/{}", random.below(3), random.base62(4)), lines);
            }
            1 if files.len() > 2 => {
                let lines = files.remove(&name).unwrap();
                files.insert(format!("moved/{}", random.base62(4)), lines);
            }
            2 if files.len() > 4 => {
                files.remove(&name);
            }
            _ => {
                let lines = files.get_mut(&name).unwrap();
                for _ in 0..1 + random.below(4) {
                    let at = random.below(lines.len() + 1);
                    match random.below(5) {
                        0 if at < lines.len() && lines.len() > 20 => {
                            lines.remove(at);
                        }
                        1 if at < lines.len() => lines[at] = line(random),
                        2 => {
                            let end = (at + random.below(15)).min(lines.len());
                            let block: Vec<String> = lines[at..end].to_vec();
                            let to = random.below(lines.len() + 1);
                            lines.splice(to..to, block);
                        }
                        _ => lines.insert(at, line(random)),
                    }
                }
            }
        }
    }
}

fn commit(script: &mut Vec<u8>, at: usize, branch: usize, from: Option<usize>, merge: Option<usize>, files: &Files) {
    let time = crate::support::repo::START + 600 * at as i64;
    let mut say = |text: String| script.extend_from_slice(text.as_bytes());
    say(format!("commit refs/heads/b{branch}\nmark :{}\ncommitter A B <a@example.org> {time} +0000\n", at + 1));
    say(format!("data 8\nchange {}\n", at % 10));
    if let Some(from) = from {
        say(format!("from :{}\n", from + 1));
    }
    if let Some(merge) = merge {
        say(format!("merge :{}\n", merge + 1));
    }
    say("deleteall\n".into());
    for (name, lines) in files {
        let text = lines.join("\n");
        say(format!("M 100644 inline {name}\ndata {}\n{text}\n", text.len()));
    }
}

/// A random history on three branches, bare and packed by `git gc`.
fn history(seed: u64, commits: usize) -> Repo {
    let mut random = Random::new(seed);
    let repo = Repo::with(&["--bare"]);
    let mut files = Files::new();
    for n in 0..6 {
        let lines = (0..40 + random.below(200)).map(|_| line(&mut random)).collect();
        files.insert(format!("file{n}.txt"), lines);
    }
    let mut tips: [Option<(usize, Files)>; 3] = [None, None, None];
    let mut script = Vec::new();
    for at in 0..commits {
        let branch = if at == 0 { 0 } else { random.below(3) };
        let other = tips[random.below(3)].clone();
        let (from, mut now) = match tips[branch].clone().or_else(|| tips[0].clone()) {
            Some((from, files)) => (Some(from), files),
            None => (None, files.clone()),
        };
        let merge = other.filter(|(tip, _)| random.below(6) == 0 && Some(*tip) != from);
        if let Some((_, theirs)) = &merge {
            for (name, lines) in theirs {
                if random.below(2) == 0 {
                    now.insert(name.clone(), lines.clone());
                }
            }
        }
        edit(&mut now, &mut random);
        commit(&mut script, at, branch, from, merge.map(|(tip, _)| tip), &now);
        tips[branch] = Some((at, now));
    }
    repo.run(&["fast-import", "--quiet"], &script);
    repo.git(&["symbolic-ref", "HEAD", "refs/heads/b0"]);
    repo.git(&["gc", "-q", "--aggressive", "--prune=now"]);
    repo
}

/// The report without what differs from run to run.
fn report(repo: &Repo, flags: &[&str]) -> (Value, u64) {
    let scan = scan_with(&repo.dir, flags);
    let mut report = scan.report;
    let objects = report["totals"]["objects"].as_u64().unwrap();
    for key in ["started", "totals"] {
        report.as_object_mut().unwrap().remove(key);
    }
    (report, objects)
}

#[track_caller]
fn same(a: &Value, b: &Value, what: &str) {
    if a == b {
        return;
    }
    let places = |report: &Value| -> Vec<String> {
        let findings = report["findings"].as_array().unwrap().iter();
        let lines = findings.flat_map(|f| {
            let rule = f["rule"].as_str().unwrap().to_owned();
            let secret = f["secret"].as_str().unwrap_or_default().to_owned();
            f["locations"].as_array().unwrap().iter().map(move |l| format!("{rule} {secret} {} {l}", f["confidence"]))
        });
        lines.collect()
    };
    let (left, right) = (places(a), places(b));
    let only = |these: &[String], those: &[String]| -> Vec<String> {
        these.iter().filter(|p| !those.contains(p)).take(5).cloned().collect()
    };
    let heads = |report: &Value| -> Vec<String> {
        let findings = report["findings"].as_array().unwrap().iter();
        findings.map(|f| format!("{} {} {} {}", f["rule"], f["secret"], f["parts"], f["exposure"])).collect()
    };
    let heads = (heads(a), heads(b));
    eprintln!("findings: {:#?} or {:#?}", only(&heads.0, &heads.1), only(&heads.1, &heads.0));
    eprintln!("notes: {} {}\nor {} {}", a["notes"], a["note_counts"], b["notes"], b["note_counts"]);
    panic!("{what}: only in the first {:#?}\nonly in the second {:#?}", only(&left, &right), only(&right, &left));
}

fn compare(seed: u64, commits: usize) {
    let repo = history(seed, commits);
    let pack = repo.objects(".pack")[0].clone();
    let listed = repo.git(&["verify-pack", "-v", pack.to_str().unwrap()]);
    assert!(listed.lines().filter(|l| l.starts_with("chain length")).count() > 1, "no deltas: {listed}");
    let low = "--confidence=low";
    let (full, objects) = report(&repo, &["--engine=full", low]);
    let findings = full["findings"].as_array().unwrap();
    assert!(findings.len() >= 20 && objects > commits as u64, "{} findings, {objects} objects", findings.len());
    for flags in
        [&["--engine=delta", low][..], &["--engine=delta", low, "--jobs=1"], &["--engine=delta", low, "--memory=64k"]]
    {
        let (delta, seen) = report(&repo, flags);
        same(&full, &delta, &format!("seed {seed} {flags:?}"));
        assert_eq!(seen, objects, "{flags:?}");
    }
    let part = ["--branch=b1", "--since=b0~3"];
    let (a, n) = report(&repo, &[part[0], part[1], "--engine=full"]);
    let (b, m) = report(&repo, &[part[0], part[1], "--engine=delta"]);
    same(&a, &b, &format!("seed {seed}, a part"));
    assert_eq!(n, m);
    // The same objects, each in a file of its own: nothing to inherit.
    let bytes = std::fs::read(&pack).unwrap();
    for end in [".pack", ".idx", ".rev", ".bitmap"] {
        repo.objects(end).iter().for_each(|path| std::fs::remove_file(path).unwrap());
    }
    repo.run(&["unpack-objects", "-q"], &bytes);
    let (loose, seen) = report(&repo, &["--engine=delta", low]);
    same(&full, &loose, &format!("seed {seed}, loose"));
    assert_eq!((seen, repo.objects(".pack").len()), (objects, 0));
}

#[test]
fn engines_agree_on_short_histories() {
    for seed in 1..=4 {
        compare(seed, 25);
    }
}

#[test]
fn engines_agree_on_a_long_history() {
    compare(7, 120);
}

#[test]
fn engines_agree_on_a_middling_history() {
    compare(8, 60);
}
