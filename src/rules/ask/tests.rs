#![allow(clippy::unwrap_used)]
//! What is wrong with an asking part, and where.

use crate::rules;

const HEAD: &str = "[issuer]\nid = \"x\"\nname = \"X\"\n[endpoint.api]\ndefault = \"https://api.example.com\"\n[[token]]\nid = \"t\"\nname = \"T\"\nbound_to = \"user\"\nanchors = [\"xyz_\"]\nregex = '(?<secret>xyz_(?<org>[a-z]{2})[0-9a-z]{10})'\n";
const STEP: &str = "[[verify.v]]\nrequest = { method = \"GET\", path = \"/\", bearer = \"{secret}\" }\n";
const JUDGED: &str = "active = [{ status = 200 }]\ninactive = [{ status = 401 }]\n";

fn faults(body: &str) -> Vec<String> {
    let text = format!("{HEAD}{body}");
    match rules::parse("x.toml", &text) {
        Ok((text, file)) => {
            let mut faults = super::compile_all(&text, &file).err().unwrap_or_default();
            faults.extend(super::lint::unused(&text, &file));
            faults.iter().map(ToString::to_string).collect()
        }
        Err(fault) => vec![fault.to_string()],
    }
}

#[test]
fn a_right_one_has_none() {
    let body = format!(
        "verify = \"v\"\n{STEP}{JUDGED}principal = {{ login = {{ json = \"/login\" }}, name = [{{ json = \"/a\" }}, {{ text = \"{{org}}\" }}] }}\n"
    );
    assert_eq!(faults(&body), [""; 0]);
}

#[test]
fn each_mistake_is_told_with_its_place() {
    let with = |more: &str| format!("verify = \"v\"\n{STEP}{more}");
    let request = |request: &str| format!("verify = \"v\"\n[[verify.v]]\nrequest = {{ {request} }}\n{JUDGED}");
    let way = |more: &str| {
        format!("revoke = [\"w\"]\n[revoke.w]\ntitle = \"W\"\nby = \"holder\"\neffect = \"revoke\"\n{more}")
    };
    let cases: Vec<(String, &str)> = vec![
        ("verify = \"w\"\n".into(), "x.toml:12:10: there is no [[verify.w]]"),
        ("revoke = [\"w\"]\n".into(), "x.toml:12:11: there is no [revoke.w]"),
        ("manual = \"w\"\n".into(), "x.toml:12:10: there is no [manual.w]"),
        (format!("{STEP}{JUDGED}"), "no token says `verify = \"v\"`"),
        (request("method = \"GET\", path = \"/{nobody}\""), "x.toml:14:36: `{nobody}` is not known here"),
        (request("method = \"GET\", path = \"/{admin.token}\""), "`{admin.token}` is not known here"),
        (request("method = \"GET\", path = \"/{secret|shout}\""), "there is no filter `shout`"),
        (request("method = \"GET\", path = \"user\""), "a path begins with `/`"),
        (request("method = \"GET\", path = \"/a?b=c\""), "use `query`"),
        (request("method = \"GET\", path = \"/\", endpoint = \"no\""), "there is no [endpoint.no]"),
        (
            request("method = \"GET\", path = \"/\", bearer = \"{secret}\", basic = [\"a\", \"{secret}\"]"),
            "one of `bearer`",
        ),
        (request("method = \"GET\", path = \"/\", body = \"a\", form = { a = \"b\" }"), "one of `form`"),
        (request("method = \"GET\", path = \"/\", bearer = \"{secrets}\""), "stands alone in an array"),
        (with("active = [{ status = 200 }]\n"), "both when it is `active` and when `inactive`"),
        (
            format!("endless = \"https://docs.example.com/\"\n{}", with(JUDGED)),
            "x.toml:12:11: no answer tells when it ends",
        ),
        (format!("endless = \"they say so\"\n{}", with(JUDGED)), "is the page of the issuer's that says so"),
        (with(""), "no step has `active` or `inactive`"),
        (with("active = [{ status = 200 }]\ninactive = [{ status = 429 }]\n"), "429 is never a verdict"),
        (with("active = [{ status = [200, 503] }]\ninactive = [{ status = 401 }]\n"), "503 is never a verdict"),
        (with("active = [{ status = 200 }]\ninactive = [{ status = [401, 302] }]\n"), "302 is never a verdict"),
        (with("active = [{ status = 200 }]\ninactive = [{ status = 403 }]\n"), "403 alone is no proof"),
        (with("active = [{ status = 200, has = \"login\" }]\ninactive = [{ status = 401 }]\n"), "no JSON pointer"),
        (
            with("active = [{ status = 200, json = { \"/a\" = 1.5 } }]\ninactive = [{ status = 401 }]\n"),
            "whole numbers",
        ),
        (with("active = [{ reason = \"x\" }]\ninactive = [{ status = 401 }]\n"), "asks for nothing"),
        (with(&format!("{JUDGED}capture = {{ a = {{ regex = \"(\" }} }}\n")), "x.toml:17:27: regex parse error"),
        (with(&format!("{JUDGED}capture = {{ a = {{ json = \"/a\", header = \"b\" }} }}\n")), "exactly one of"),
        (with(&format!("{JUDGED}capture = {{ org = {{ json = \"/a\" }} }}\n")), "has a name that is taken"),
        (with(&format!("{JUDGED}{STEP}{STEP}{STEP}{STEP}{STEP}")), "one to 5 steps, not 6"),
        (
            with(&format!("{JUDGED}[endpoint.two]\ndefault = \"https://b.example.com\"\n")),
            "no request goes to the endpoint `two`",
        ),
        (way("steps = []\n"), "unknown field `steps`"),
        (
            way(
                "within = \"soon\"\n[[revoke.w.step]]\nrequest = { method = \"POST\", path = \"/\" }\ndone = [{ status = 200 }]\n",
            ),
            "`soon` is no duration",
        ),
        (way("[[revoke.w.step]]\nrequest = { method = \"POST\", path = \"/\" }\n"), "says when it is `done`"),
        (
            way(
                "batch = 10\n[[revoke.w.step]]\nrequest = { method = \"POST\", path = \"/\" }\ndone = [{ status = 200 }]\n",
            ),
            "belong together",
        ),
        (
            way(
                "[[revoke.w.step]]\nrequest = { method = \"POST\", path = \"/\", json = [\"{secrets}\"] }\ndone = [{ status = 200 }]\n",
            ),
            "belong together",
        ),
        (
            way(
                "admin = [\"token\"]\n[[revoke.w.step]]\nrequest = { method = \"POST\", path = \"/\" }\ndone = [{ status = 200 }]\n",
            ),
            "by = \"admin\"",
        ),
        (
            way(
                "undo = \"u\"\n[[revoke.w.step]]\nrequest = { method = \"POST\", path = \"/\" }\ndone = [{ status = 200 }]\n",
            ),
            "there is no [revoke.u]",
        ),
        (
            way(
                "[[revoke.w.step]]\nrequest = { method = \"GET\", path = \"/\" }\nitem = { each = \"/i\", equals = { \"/a\" = \"b\" }, capture = { id = \"/id\" } }\n",
            ),
            "the same for all",
        ),
        (
            "offline = [{ decode = \"none\", principal = { id = { json = \"/a\" } } }]\n".into(),
            "decoder `none` gives no JSON",
        ),
        ("offline = [{ decode = \"jwt\", principal = { id = { header = \"a\" } } }]\n".into(), "no header offline"),
        ("offline = [{ decode = \"jwt\" }]\n".into(), "tells nothing"),
        ("verify = \"v\"\nno_verify = \"no\"\n".to_owned() + STEP + JUDGED, "either `verify` or `no_verify`"),
    ];
    let mut wrong = Vec::new();
    for (body, wanted) in cases {
        let found = faults(&body);
        let placed = found.iter().all(|f| f.starts_with("x.toml:") && !f.starts_with("x.toml:1:1:"));
        if !placed || !found.iter().any(|f| f.contains(wanted)) {
            wrong.push(format!("{wanted}\n  got {found:?}\n  of {body}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn public_addresses_are_https_and_their_own() {
    for (address, right) in [
        ("https://api.example.com", true),
        ("https://api.example.com/v1", true),
        ("https://{org}.example.com", true),
        ("http://api.example.com", false),
        ("https://user@example.com", false),
        ("https://example.com/{org}", false),
        ("https://x{org}.example.com", false),
        ("https://{org}.com", false),
        ("https://example.{org}", false),
        ("https://{secret}.{org}.example.com", false),
        ("https://api.example.com?x=1", false),
    ] {
        let body = format!("verify = \"v\"\n{STEP}{JUDGED}");
        let text = format!("{HEAD}{body}").replace("https://api.example.com", address);
        let (text, file) = rules::parse("x.toml", &text).unwrap();
        assert_eq!(super::compile_all(&text, &file).is_ok(), right, "{address}");
    }
}

#[test]
fn a_label_of_a_host_is_one_plain_label() {
    let text = format!("{HEAD}verify = \"v\"\n{STEP}{JUDGED}").replace("https://api.", "https://{org}.");
    let (text, file) = rules::parse("x.toml", &text).unwrap();
    let asks = super::compile_all(&text, &file).unwrap();
    let endpoint = &asks["t"].endpoints["api"];
    let public = |org: &str| {
        let mut values = super::Values::default();
        values.set("org", org.as_bytes());
        endpoint.public(&values).ok().map(|u| u.concat())
    };
    assert_eq!(public("acme-1").as_deref(), Some("https://acme-1.example.com"));
    for bad in ["", "a.b", "evil.com/", "a@b", "-a", "a-", "a:1", "a#", "é", &"a".repeat(64)] {
        assert_eq!(public(bad), None, "{bad}");
    }
}

#[test]
fn a_step_that_waits_for_a_part_of_other_tokens_is_left_out() {
    let other = "[[token]]\nid = \"o\"\nname = \"O\"\nbound_to = \"user\"\nanchors = [\"abc_\"]\nregex = '(?<secret>abc_(?<site>[a-z]{2})[0-9a-z]{10})'\nverify = \"v\"\n";
    let step = "[[verify.v]]\nwhen = \"{site}\"\nrequest = { method = \"GET\", path = \"/{site}\" }\n";
    let (text, file) =
        rules::parse("x.toml", &format!("{HEAD}verify = \"v\"\n{other}{step}{JUDGED}{STEP}{JUDGED}")).unwrap();
    let asks = super::compile_all(&text, &file).unwrap_or_else(|f| panic!("{f:?}"));
    assert_eq!((asks["t"].verify.len(), asks["o"].verify.len()), (1, 2));
}
