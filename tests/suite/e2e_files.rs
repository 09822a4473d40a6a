//! Folders as people and attackers have them: nothing hangs, nothing crashes, memory stays bounded, and what was left
//! out is told.
#![allow(clippy::unwrap_used)]

use std::io::{Cursor, Seek, SeekFrom, Write};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::Command;

use crate::support::*;
use zip::write::SimpleFileOptions;

/// Bytes of memory that a scan may take at most: far below what the hostile files of these tests expand to.
const MEMORY: u64 = 300 << 20;

fn zip(members: &[(&str, &[u8])]) -> Vec<u8> {
    let mut zip = zip::ZipWriter::new(Cursor::new(Vec::new()));
    for (name, bytes) in members {
        zip.start_file(*name, SimpleFileOptions::default()).unwrap();
        zip.write_all(bytes).unwrap();
    }
    zip.finish().unwrap().into_inner()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    gzip.write_all(bytes).unwrap();
    gzip.finish().unwrap()
}

/// Scans below a python that tells the peak memory of its child; the scan, and the bytes.
fn measured(target: &Path, flags: &[&str]) -> (Scan, u64) {
    let dir = folder();
    let told = dir.path().join("peak");
    let script = "import resource, subprocess, sys\n\
        code = subprocess.call(sys.argv[2:])\n\
        open(sys.argv[1], 'w').write(str(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss))\n\
        sys.exit(code)";
    let scan = unsprawl(flags).arg(target).wrapper(&["python3", "-c", script, told.to_str().unwrap()]).scan();
    let peak: u64 = std::fs::read_to_string(told).unwrap().parse().unwrap();
    // Kilobytes, except on macOS.
    (scan, if cfg!(target_os = "macos") { peak } else { peak * 1024 })
}

#[test]
fn hidden_files() {
    let (dir, a, b) = (folder(), pat("hidden"), pat("hidden folder"));
    write(dir.path().join(".env"), format!("A=1\nTOKEN={a}\n"));
    write(dir.path().join(".config/gh/hosts.yml"), format!("oauth_token: {b}\n"));
    let scan = scan(dir.path());
    assert_eq!((scan.code, scan.places.len()), (1, 2));
    assert_eq!((scan.one(&a).at(), scan.one(&a).column), (("file", ".env", 2), 7));
    assert_eq!((scan.one(&a).rule.as_str(), scan.one(&b).at()), (PAT, ("file", ".config/gh/hosts.yml", 1)));
}

#[test]
fn a_single_file_as_target() {
    let (dir, token) = (folder(), pat("single"));
    let file = dir.path().join("key.txt");
    write(&file, format!("\n\n  {token}"));
    let scan = scan(&file);
    let place = scan.sole(&token);
    assert_eq!((place.kind.as_str(), place.line, place.column), ("file", 3, 3));
    assert!(place.path.ends_with("key.txt"), "{}", place.path);
}

#[test]
fn a_binary_file() {
    let (dir, token) = (folder(), pat("binary"));
    let mut bytes: Vec<u8> = (0..4000u32).flat_map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes()).collect();
    bytes.splice(0..4, *b"\x7fELF");
    bytes.extend_from_slice(&[0; 64]);
    let offset = bytes.len() as u64;
    bytes.extend_from_slice(token.as_bytes());
    bytes.extend_from_slice(&[0; 64]);
    write(dir.path().join("program"), &bytes);
    let scan = scan(dir.path());
    assert_eq!((scan.sole(&token).path.as_str(), scan.sole(&token).offset), ("program", offset));
}

#[test]
fn nested_archives_to_the_limit_and_beyond() {
    let dir = folder();
    for levels in 1..=7 {
        let token = pat(&format!("nested {levels}"));
        let mut bytes = token.clone().into_bytes();
        for level in 0..levels {
            bytes = match level % 2 {
                0 => zip(&[("inner", &bytes)]),
                _ => gzip(&bytes),
            };
        }
        write(dir.path().join("nested"), &bytes);
        let scan = scan(dir.path());
        if levels <= 5 {
            assert_eq!((scan.sole(&token).at(), scan.count("archive-depth")), (("file", "nested", 1), 0));
        } else {
            assert_eq!((scan.code, scan.places.len(), scan.count("archive-depth")), (3, 0, 1), "{levels}");
            assert!(scan.stderr.contains("nested") && scan.stderr.contains("archive-depth"), "{}", scan.stderr);
        }
    }
}

#[test]
fn circles_of_links() {
    let (dir, token) = (folder(), pat("circles"));
    let path = dir.path();
    symlink("b", path.join("a")).unwrap();
    symlink("a", path.join("b")).unwrap();
    symlink("self", path.join("self")).unwrap();
    write(path.join("real/key"), &token);
    symlink("..", path.join("real/up")).unwrap();
    symlink("/", path.join("root")).unwrap();
    let scan_all = scan(path);
    assert_eq!((scan_all.sole(&token).at(), scan_all.count("link")), (("file", "real/key", 1), 5));
    assert!(scan_all.stderr.contains("5 symbolic links"), "{}", scan_all.stderr);
    // A link that is the target itself is followed; one that leads nowhere is an error.
    symlink("real", path.join("link")).unwrap();
    assert_eq!(scan(path.join("link")).sole(&token).path, "key");
    let run = unsprawl(["scan"]).arg(path.join("a")).run();
    assert_eq!((run.code, run.stdout.len()), (2, 0), "{}", run.stderr);
}

#[test]
fn fifos_sockets_and_devices() {
    let (dir, token) = (folder(), pat("fifo"));
    let fifo = dir.path().join("fifo");
    assert!(Command::new("mkfifo").arg(&fifo).status().unwrap().success());
    let _socket = std::os::unix::net::UnixListener::bind(dir.path().join("socket")).unwrap();
    write(dir.path().join("key"), &token);
    let found = scan(dir.path());
    assert_eq!((found.sole(&token).path.as_str(), found.count("not-a-file")), ("key", 2));
    // As the target itself: no hang, and no silence.
    for target in [fifo.as_path(), Path::new("/dev/zero"), Path::new("/dev/null")] {
        let run = unsprawl(["scan"]).arg(target).run();
        assert_eq!((run.code, run.stdout.len()), (3, 0), "{target:?}: {}", run.stderr);
        assert!(run.stderr.contains(target.to_str().unwrap()), "{}", run.stderr);
    }
}

#[test]
fn entries_that_cannot_be_read() {
    let (dir, token) = (folder(), pat("unreadable"));
    let (file, sub) = (dir.path().join("closed"), dir.path().join("sub"));
    write(&file, "text");
    write(sub.join("inside"), "text");
    write(dir.path().join("open"), &token);
    let mode = |path: &Path, mode| std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    mode(&file, 0);
    mode(&sub, 0);
    // The superuser may read everything, until it gives that up.
    let mut run = unsprawl([dir.path()]);
    if std::fs::read(&file).is_ok() {
        let command = ["setpriv", "--bounding-set=-all", "--inh-caps=-all"];
        match Command::new(command[0]).args(&command[1..]).arg("cat").arg(&file).output() {
            Ok(output) if !output.status.success() && output.stdout.is_empty() => run = run.wrapper(&command),
            _ => {
                eprintln!("left out: this user can read everything, and there is no setpriv that could stop it");
                return;
            }
        }
    }
    let scan = run.scan();
    mode(&sub, 0o755);
    assert_eq!(
        (scan.code, scan.one(&token).path.as_str(), scan.count("unreadable")),
        (3, "open", 2),
        "{}",
        scan.stderr
    );
    for name in ["closed", "sub"] {
        assert!(scan.notes("unreadable").iter().any(|n| n.starts_with(name)), "{:?}", scan.report["notes"]);
        assert!(scan.stderr.contains(name), "{}", scan.stderr);
    }
}

#[test]
fn a_sparse_file_of_ten_gigabytes() {
    let (dir, token) = (folder(), pat("sparse"));
    let path = dir.path().join("disk.img");
    let mut file = std::fs::File::create(&path).unwrap();
    let at = 10u64 << 30;
    file.write_all(b"start\n").unwrap();
    file.seek(SeekFrom::Start(at)).unwrap();
    file.write_all(format!("\n{token}\n").as_bytes()).unwrap();
    drop(file);
    if std::os::unix::fs::MetadataExt::blocks(&path.metadata().unwrap()) > 1 << 16 {
        eprintln!("left out: this file system has no sparse files");
        return;
    }
    let begun = std::time::Instant::now();
    let (scan, peak) = measured(dir.path(), &[]);
    let place = scan.sole(&token);
    assert_eq!((place.at(), place.offset), (("file", "disk.img", 3), at + 1));
    assert!(begun.elapsed().as_secs() < 60 && peak < MEMORY, "{:?} {peak}", begun.elapsed());
}

#[test]
fn bombs_in_archives() {
    let (dir, token) = (folder(), pat("bomb"));
    // A gigabyte of zeros from a megabyte, several times over and nested.
    let zeros = gzip(&vec![0; 32 << 20]).repeat(32);
    write(dir.path().join("zeros.gz"), &zeros);
    let inner = zip(&[("zeros.gz", &zeros[..zeros.len() / 32])]);
    let many: Vec<(String, &[u8])> = (0..40).map(|n| (format!("{n}.zip"), inner.as_slice())).collect();
    let many: Vec<(&str, &[u8])> = many.iter().map(|(n, b)| (n.as_str(), *b)).collect();
    write(dir.path().join("many.zip"), zip(&many));
    write(dir.path().join("key"), &token);
    let (scan, peak) = measured(dir.path(), &[]);
    assert_eq!((scan.code, scan.one(&token).path.as_str()), (3, "key"), "{}", scan.stderr);
    assert_eq!(scan.count("archive-size"), 2, "{}", scan.stderr);
    assert!(scan.stderr.contains("zeros.gz") && scan.stderr.contains("many.zip"), "{}", scan.stderr);
    assert!(peak < MEMORY, "{} MiB", peak >> 20);
}

#[test]
fn a_bomb_inside_base64() {
    use base64::Engine;
    let (dir, token) = (folder(), pat("base64 bomb"));
    let zeros = gzip(&vec![0; 32 << 20]).repeat(4);
    let text = base64::engine::general_purpose::STANDARD.encode(&zeros);
    write(dir.path().join("bomb.yaml"), format!("key: {token}\ndata: {text}\n"));
    let (scan, peak) = measured(dir.path(), &[]);
    assert_eq!((scan.code, scan.one(&token).line, scan.count("decode-limit")), (3, 1, 1), "{}", scan.stderr);
    assert!(scan.stderr.contains("bomb.yaml") && peak < MEMORY, "{} MiB: {}", peak >> 20, scan.stderr);
}

#[test]
fn names_that_lead_out_of_an_archive() {
    let (top, token) = (folder(), pat("slip"));
    let dir = top.path().join("a/b");
    let absolute = top.path().join("absolute");
    let members = [("../../slipped", token.as_bytes()), (absolute.to_str().unwrap(), token.as_bytes())];
    write(dir.join("slip.zip"), zip(&members));
    let mut tar = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_size(token.len() as u64);
    header.as_gnu_mut().unwrap().name[..13].copy_from_slice(b"../../slipped");
    header.set_cksum();
    tar.append(&header, token.as_bytes()).unwrap();
    write(dir.join("slip.tar"), tar.into_inner().unwrap());
    let scan = scan(&dir);
    assert_eq!((scan.code, scan.of(&token).len()), (1, 3), "{:#?}", scan.places);
    let members: Vec<_> = scan.of(&token).iter().map(|p| (p.path.as_str(), p.member.clone().unwrap())).collect();
    let slipped = "../../slipped".to_owned();
    assert!(
        members.contains(&("slip.tar", slipped.clone())) && members.contains(&("slip.zip", slipped)),
        "{members:?}"
    );
    let names: Vec<_> = std::fs::read_dir(top.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!((names.len(), std::fs::read_dir(&dir).unwrap().count()), (1, 2), "{names:?}");
}

#[test]
fn damaged_and_encrypted_archives() {
    let (dir, token) = (folder(), pat("damaged archive"));
    let good = zip(&[("a", token.as_bytes()), ("b", &[7; 100])]);
    write(dir.path().join("cut.zip"), &good[..good.len() - 30]);
    let packed = gzip(format!("{token}\n{}", "more text\n".repeat(4000)).as_bytes());
    write(dir.path().join("cut.gz"), &packed[..packed.len() - 9]);
    write(dir.path().join("not.zip"), b"PK\x03\x04 this is only text");
    let scan = scan(dir.path());
    let mut paths: Vec<_> = scan.of(&token).iter().map(|p| p.path.as_str()).collect();
    paths.sort_unstable();
    assert_eq!((scan.code, paths), (1, vec!["cut.gz", "cut.zip"]), "{}", scan.stderr);
    assert!(scan.count("archive-damaged") >= 2, "{}", scan.stderr);
}

#[test]
fn include_and_exclude() {
    let (dir, words) = (folder(), ["a.txt", "b.md", "sub/c.txt", "sub/gen/d.txt"]);
    for word in words {
        write(dir.path().join(word), pat(word));
    }
    for (flags, wanted) in [
        (&[][..], &words[..]),
        (&["--include=*.txt"], &["a.txt", "sub/c.txt", "sub/gen/d.txt"]),
        (&["--exclude=gen"], &["a.txt", "b.md", "sub/c.txt"]),
        (&["--include=sub", "--exclude=*.md", "--exclude=/sub/gen/"], &["sub/c.txt"]),
        (&["--include", "*.md", "--include", "a.*"], &["a.txt", "b.md"]),
    ] {
        let scan = scan_with(dir.path(), flags);
        let found: Vec<_> = scan.places.iter().map(|p| p.path.as_str()).collect();
        let mut found = found;
        found.sort_unstable();
        assert_eq!((scan.code, found.as_slice()), (1, wanted), "{flags:?}");
        assert_eq!(scan.count("excluded") > 0, !flags.is_empty(), "{flags:?}");
    }
    let wrong = unsprawl(["scan", "--exclude=a{b"]).arg(dir.path()).run();
    assert_eq!((wrong.code, wrong.stderr.contains("a{b")), (2, true), "{}", wrong.stderr);
}

#[test]
fn files_larger_than_allowed() {
    let (dir, small, large) = (folder(), pat("small"), pat("large"));
    write(dir.path().join("small"), &small);
    write(dir.path().join("large"), format!("{large}{}", " text".repeat(1000)));
    let cut = scan_with(dir.path(), &["--max-file-size=1k"]);
    assert_eq!((cut.code, cut.has(&small), cut.has(&large), cut.count("too-large")), (3, true, false, 1));
    assert!(cut.stderr.contains("too-large") && cut.stderr.contains("large"), "{}", cut.stderr);
    let all = scan_with(dir.path(), &["--max-file-size=1M"]);
    assert_eq!((all.code, all.places.len()), (1, 2));
}

#[test]
fn one_thread_or_many_give_the_same() {
    let dir = folder();
    for n in 0..300 {
        let key = if n % 10 == 0 { pat(&format!("threads {n}")) } else { "none".into() };
        write(dir.path().join(format!("{}/{n}.txt", n % 7)), format!("{}\nkey = {key}\n", "text\n".repeat(n)));
    }
    let report = |jobs: &str| {
        let scan = scan_with(dir.path(), &["--jobs", jobs]);
        assert_eq!((scan.code, scan.places.len()), (1, 30));
        scan.report["findings"].clone()
    };
    let one = report("1");
    assert_eq!(one, report("2"));
    assert_eq!(one, report("9"));
    for wrong in ["0", "-1", "many"] {
        assert_eq!(unsprawl(["scan", "--jobs", wrong]).arg(dir.path()).run().code, 2);
    }
}

#[test]
fn ignore_files_mean_nothing_outside_of_a_work_tree() {
    let (dir, token) = (folder(), pat("outside"));
    write(dir.path().join(".gitignore"), "*\n");
    write(dir.path().join(".ignore"), "*\n");
    write(dir.path().join("key.env"), &token);
    let scan = scan(dir.path());
    assert_eq!((scan.sole(&token).path.as_str(), scan.count("git-ignored")), ("key.env", 0));
}

#[test]
fn a_work_tree_below_a_folder() {
    let (mut repo, ignored, gone) = (Repo::new(), pat("below ignored"), pat("below gone"));
    repo.put(".gitignore", "*.env\n");
    repo.write("local.env", &ignored);
    write(repo.top().join("beside.env"), &gone);
    let scan = scan(repo.top());
    assert_eq!((scan.sole(&gone).path.as_str(), scan.count("git-ignored")), ("beside.env", 1));
    let all = scan_with(repo.top(), &["--no-ignore"]);
    assert_eq!(all.one(&ignored).at(), ("file", "repo/local.env", 1));
}

#[test]
fn files_that_say_nothing_of_their_size() {
    if !Path::new("/proc/self/status").exists() {
        eprintln!("left out: there is no /proc here");
        return;
    }
    let scan = scan("/proc/self/environ");
    assert_eq!(scan.code, 0, "{}", scan.stderr);
    assert_eq!(scan.report["totals"]["files"], 1);
}

#[test]
fn a_file_that_grows_and_one_that_vanishes() {
    use std::sync::atomic::{AtomicBool, Ordering};
    let (dir, token) = (folder(), pat("vanish"));
    let stop = AtomicBool::new(false);
    write(dir.path().join("key"), &token);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut log = std::fs::File::create(dir.path().join("growing.log")).unwrap();
            let mut n = 0;
            while !stop.load(Ordering::Relaxed) {
                log.write_all(&[b'x'; 8192]).unwrap();
                let name = dir.path().join(format!("temporary{}", n % 50));
                let _ = if n % 100 < 50 { std::fs::write(&name, "text") } else { std::fs::remove_file(&name) };
                n += 1;
                std::thread::sleep(std::time::Duration::from_micros(500));
            }
        });
        for _ in 0..3 {
            let scan = scan(dir.path());
            // Complete or not, but never without the file that stays.
            assert!([1, 3].contains(&scan.code) && scan.has(&token), "{}", scan.stderr);
        }
        stop.store(true, Ordering::Relaxed);
    });
}
