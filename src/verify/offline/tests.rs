#![allow(clippy::unwrap_used)]
//! Decoders on what issuers document, on what their own tools make, and on damaged bytes.

use std::process::Command;

use proptest::prelude::*;

use super::*;

const ALL: [Decoder; 13] = [
    Decoder::None,
    Decoder::Jwt,
    Decoder::Json,
    Decoder::Base64Json,
    Decoder::Base64Text,
    Decoder::AwsAccount,
    Decoder::Macaroon,
    Decoder::GitlabRoutable,
    Decoder::Url,
    Decoder::Query,
    Decoder::SshKey,
    Decoder::PgpKey,
    Decoder::PrivateKey,
];

#[test]
fn aws_account_of_published_ids() {
    // From publications on the format: the id in two pieces, so that none stands in the repository.
    let account = |id: String| decode(Decoder::AwsAccount, id.as_bytes()).map(|j| j["account"].clone());
    assert_eq!(account(["ASIA", "QNZGKIQY56JQ7WML"].concat()), Some("029608264753".into()));
    assert_eq!(account(["AKIA", "I0189"].concat()), None);
    assert_eq!(account(["AKIA", "I018901890189018"].concat()), None);
    // The arithmetic backwards, for any account.
    let digits = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    for number in [0u64, 1, 123_456_789_012, 999_999_999_999] {
        let bits = 1u64 << 49 | number << 9 | 0x155;
        let id: String = (0..10).rev().map(|i| char::from(digits[(bits >> (5 * i) & 31) as usize])).collect();
        assert_eq!(account(format!("AKIA{id}ABCDEF")), Some(format!("{number:012}").into()));
    }
}

#[test]
fn tokens_of_json() {
    let part = |json: &str| URL_SAFE.encode(json).trim_end_matches('=').to_owned();
    // RFC 7519, section 3.1.
    let claims = "{\"iss\":\"joe\",\r\n \"exp\":1300819380,\r\n \"http://example.com/is_root\":true}";
    let token = format!("{}.{}.{}", part(r#"{"typ":"JWT","alg":"HS256"}"#), part(claims), part("signature"));
    let json = decode(Decoder::Jwt, token.as_bytes()).unwrap();
    assert_eq!((json["iss"].as_str(), json["exp"].as_i64()), (Some("joe"), Some(1_300_819_380)));
    for bad in
        ["", "a.b.c", "a", &format!("{}.{}", part("{}"), part("[1]")), &format!("{0}.{0}.{0}.{0}.{0}", part("{}"))]
    {
        assert_eq!(decode(Decoder::Jwt, bad.as_bytes()), None, "{bad}");
    }
    assert_eq!(decode(Decoder::Base64Json, STANDARD.encode(r#"{"o":"1"}"#).as_bytes()), Some(json!({"o": "1"})));
    assert_eq!(decode(Decoder::Base64Text, STANDARD.encode("tok:1:2").as_bytes()), Some("tok:1:2".into()));
    assert_eq!(decode(Decoder::Base64Text, STANDARD.encode([0xff, 0xfe]).as_bytes()), None);
}

#[test]
fn routable_tokens_as_gitlab_makes_them() {
    let token = |lines: &str, prefix: &str, version: &str| {
        let payload = [&[0xfbu8; 16], lines.as_bytes(), &[lines.len() as u8]].concat();
        let payload = URL_SAFE.encode(payload).trim_end_matches('=').to_owned();
        let digit = |n: usize| char::from_digit(n as u32, 36).unwrap();
        format!("{prefix}{payload}.{version}{}{}0123456", digit(payload.len() / 36), digit(payload.len() % 36))
    };
    let wanted = json!({"o": 1, "p": 12_345, "u": 35});
    for (prefix, version) in [("glpat-", "01."), ("acme-glpat-", "01."), ("glrt-t1_", ""), ("", "01.")] {
        let made = token("o:1\np:9ix\nu:z", prefix, version);
        assert_eq!(decode(Decoder::GitlabRoutable, made.as_bytes()), Some(wanted.clone()), "{made}");
    }
    assert_eq!(decode(Decoder::GitlabRoutable, concat!("glpat-", "abcdefghijklmnopqrst").as_bytes()), None);
    assert_eq!(decode(Decoder::GitlabRoutable, token("o:1", "", "01.").replace('.', "x").as_bytes()), None);
}

#[test]
fn macaroons_of_both_versions() {
    let packet = |text: &str| format!("{:04x}{text}\n", text.len() + 5);
    let mut v1: Vec<u8> =
        ["location https://api.example.com", "identifier id 1", "cid user = jane", "cid third", "vid x"]
            .iter()
            .flat_map(|t| packet(t).into_bytes())
            .collect();
    v1.extend(b"002fsignature ");
    v1.extend([7; 32]);
    v1.push(b'\n');
    let json = decode(Decoder::Macaroon, URL_SAFE.encode(&v1).as_bytes()).unwrap();
    assert_eq!(
        (json["location"].as_str(), json["identifier"].as_str()),
        (Some("https://api.example.com"), Some("id 1"))
    );
    assert_eq!(json["caveats"], json!(["user = jane"]));

    let field = |kind: u8, data: &[u8]| [&[kind, data.len() as u8], data].concat();
    let v2 = [
        &[2][..],
        &field(1, b"index.example.com"),
        &field(2, b"6d3e"),
        &[0],
        &field(2, br#"[0,1767323045,1767000000]"#),
        &[0],
        &field(2, br#"[1,["one","two"]]"#),
        &[0],
        &field(1, b"elsewhere"),
        &field(2, b"third"),
        &field(4, b"vid"),
        &[0],
        &[0],
        &field(6, &[9; 32]),
    ]
    .concat();
    let json = decode(Decoder::Macaroon, URL_SAFE.encode(&v2).as_bytes()).unwrap();
    assert_eq!(json["tags"], json!({"0": [1_767_323_045, 1_767_000_000], "1": [["one", "two"]]}));
    assert_eq!(json["caveats"].as_array().map(Vec::len), Some(2));
}

#[test]
fn urls_and_queries() {
    let json =
        decode(Decoder::Url, b"Postgres://jane%40x:p@ss@DB.example.com:5433/app%20db?sslmode=require&a=b+c#f").unwrap();
    let wanted = json!({"scheme": "postgres", "user": "jane@x", "host": "db.example.com", "port": 5433, "path": "/app db",
        "query": {"sslmode": "require", "a": "b c"}});
    assert_eq!(json, wanted);
    assert_eq!(decode(Decoder::Url, b"http://[::1]:80/").unwrap()["host"], "[::1]");
    assert_eq!(decode(Decoder::Url, b"no url"), None);
    let sas = decode(Decoder::Query, b"https://x.example.com/c?sv=2024&se=2026-01-02T03%3A04%3A05Z&se=x").unwrap();
    assert_eq!(sas["se"], "2026-01-02T03:04:05Z");
    assert_eq!(decode(Decoder::Query, b"?sp=r").unwrap()["sp"], "r");
    assert_eq!(decode(Decoder::Query, b"plain"), None);
}

/// Whether a tool is there. Under CI it must be.
fn tool(name: &str, version: &str) -> bool {
    let there = Command::new(name).arg(version).output().is_ok();
    assert!(there || std::env::var_os("CI").is_none(), "{name} is not installed");
    if !there {
        eprintln!("skipped: {name} is not installed");
    }
    there
}

#[test]
fn ssh_keys_as_openssh_makes_them() {
    if !tool("ssh-keygen", "-?") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    for (i, (kind, bits, pass)) in
        [("ed25519", "256", ""), ("rsa", "2048", ""), ("ecdsa", "384", ""), ("ed25519", "256", "open sesame")]
            .iter()
            .enumerate()
    {
        let path = folder.path().join(i.to_string());
        let keygen = |args: &[&str]| Command::new("ssh-keygen").args(args).output().unwrap();
        let made =
            keygen(&["-q", "-t", kind, "-b", bits, "-N", pass, "-C", "jane@laptop", "-f", path.to_str().unwrap()]);
        assert!(made.status.success(), "{made:?}");
        let json = decode(Decoder::SshKey, &std::fs::read(&path).unwrap()).unwrap();
        let listed = keygen(&["-l", "-f", path.with_extension("pub").to_str().unwrap()]).stdout;
        let listed = String::from_utf8(listed).unwrap();
        assert!(listed.contains(json["fingerprint"].as_str().unwrap()), "{listed} {json}");
        assert_eq!(json["comment"].as_str(), pass.is_empty().then_some("jane@laptop"), "{json}");
        // PuTTY's file names the same public key.
        let public = std::fs::read_to_string(path.with_extension("pub")).unwrap();
        let blob = public.split(' ').nth(1).unwrap();
        let (one, two) = blob.split_at(40);
        let file = format!(
            "PuTTY-User-Key-File-3: ssh\nEncryption: none\nComment: jane\nPublic-Lines: 2\n{one}\n{two}\nPrivate-Lines: 1\nAAAA\n"
        );
        let putty = decode(Decoder::SshKey, file.as_bytes()).unwrap();
        assert_eq!((&putty["fingerprint"], &putty["comment"]), (&json["fingerprint"], &json!("jane")));
    }
}

#[test]
fn pgp_keys_as_gnupg_makes_them() {
    if !tool("gpg", "--version") {
        return;
    }
    let home = tempfile::tempdir().unwrap();
    let gpg = |args: &[&str]| {
        let base =
            ["--homedir", home.path().to_str().unwrap(), "--batch", "--passphrase", "", "--pinentry-mode", "loopback"];
        Command::new("gpg").args(base).args(args).output().unwrap()
    };
    for (i, algorithm) in ["ed25519", "rsa2048"].iter().enumerate() {
        let id = format!("Jane Doe {i} <jane{i}@example.org>");
        let made = gpg(&["--quick-generate-key", &id, algorithm, "default", "never"]);
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        let key = gpg(&["--armor", "--export-secret-keys", &id]).stdout;
        let json = decode(Decoder::PgpKey, &key).unwrap();
        assert_eq!(json["user_ids"], json!([id]));
        let listed = String::from_utf8(gpg(&["--with-colons", "--list-keys", &id]).stdout).unwrap();
        assert!(listed.contains(json["fingerprint"].as_str().unwrap()), "{listed} {json}");
        assert!(listed.contains(&json["created"].to_string()), "{listed} {json}");
    }
    let _ = Command::new("gpgconf").args(["--homedir", home.path().to_str().unwrap(), "--kill", "all"]).output();
}

proptest! {
    #[test]
    fn nothing_panics(bytes in proptest::collection::vec(any::<u8>(), 0..300), cut in 0usize..300) {
        for decoder in ALL {
            decode(decoder, &bytes);
            let text = STANDARD.encode(&bytes);
            decode(decoder, text.as_bytes());
            decode(decoder, &text.as_bytes()[..cut.min(text.len())]);
            decode(decoder, &[&[2u8][..], &bytes].concat());
            decode(decoder, STANDARD.encode([b"openssh-key-v1\0".as_slice(), &bytes].concat()).as_bytes());
        }
    }
}
