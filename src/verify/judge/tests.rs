#![allow(clippy::unwrap_used)]
//! The traps: replies that look like a verdict and are none.

use super::*;
use crate::rules;
use crate::rules::ask::Ask;

/// The asking part of a token type with these steps.
pub(crate) fn ask(steps: &str) -> Ask {
    let head = "[issuer]\nid = \"x\"\nname = \"X\"\n[endpoint.api]\ndefault = \"https://api.example.com\"\n[[token]]\nid = \"t\"\n\
                name = \"T\"\nbound_to = \"user\"\nanchors = [\"xyz_\"]\nregex = '(?<secret>xyz_(?<org>[a-z]{2})[0-9a-z]{10})'\n";
    let (text, file) = rules::parse("x.toml", &format!("{head}{steps}")).unwrap();
    let asks = rules::ask::compile_all(&text, &file).unwrap_or_else(|f| panic!("{f:?}"));
    asks.into_values().next().unwrap()
}

fn step(conditions: &str) -> Step {
    let request = "[[verify.v]]\nrequest = { method = \"GET\", path = \"/\", bearer = \"{secret}\" }\n";
    ask(&format!("verify = \"v\"\n{request}{conditions}")).verify.remove(0)
}

fn reply(status: u16, kind: &str, body: &str) -> Reply {
    let headers = if kind.is_empty() { vec![] } else { vec![("content-type".into(), kind.into())] };
    Reply { status, headers, body: body.into(), cut: false }
}

fn name(said: &Said) -> &'static str {
    match said {
        Said::Active(_) => "active",
        Said::Inactive(_) => "inactive",
        Said::Unknown(_) => "unknown",
    }
}

fn judge(step: &Step, status: u16, body: &str) -> &'static str {
    name(&said(step, &Body::new(&reply(status, "application/json", body))))
}

#[test]
fn a_status_of_200_that_means_invalid() {
    let slack = step(
        "active = [{ status = 200, json = { \"/ok\" = true } }]\ninactive = [{ status = 200, json = { \"/error\" = [\"token_revoked\", \"invalid_auth\"] } }]",
    );
    assert_eq!(judge(&slack, 200, r#"{"ok":true}"#), "active");
    assert_eq!(judge(&slack, 200, r#"{"ok":false,"error":"Token_Revoked"}"#), "inactive");
    assert_eq!(judge(&slack, 200, r#"{"ok":false,"error":"ratelimited"}"#), "unknown");
    assert_eq!(judge(&slack, 200, r#"{"ok":"true"}"#), "unknown", "a text is no boolean");
    let anonymous = step(
        "active = [{ status = 200, has = \"/user/id\" }]\ninactive = [{ status = 200, has = \"/user\", lacks = \"/user/id\" }]",
    );
    assert_eq!(judge(&anonymous, 200, r#"{"user":{"id":7}}"#), "active");
    assert_eq!(judge(&anonymous, 200, r#"{"user":{"id":null}}"#), "inactive");
    assert_eq!(judge(&anonymous, 200, "{}"), "unknown");
}

#[test]
fn graphql_errors() {
    let graphql = step(
        "active = [{ status = 200, has = \"/data/viewer/id\", lacks = \"/errors\" }]\ninactive = [{ status = [200, 400], json = { \"/errors/*/extensions/code\" = \"AUTHENTICATION_ERROR\" } }]",
    );
    assert_eq!(judge(&graphql, 200, r#"{"data":{"viewer":{"id":"u"}}}"#), "active");
    assert_eq!(
        judge(&graphql, 200, r#"{"data":null,"errors":[{"extensions":{"code":"AUTHENTICATION_ERROR"}}]}"#),
        "inactive"
    );
    assert_eq!(judge(&graphql, 200, r#"{"data":null,"errors":[{"extensions":{"code":"RATELIMITED"}}]}"#), "unknown");
    assert_eq!(judge(&graphql, 200, r#"{"data":{"viewer":{"id":"u"}},"errors":[{}]}"#), "unknown");
}

#[test]
fn a_403_may_be_alive_and_is_never_dead_by_itself() {
    let scoped = step(
        "active = [{ status = 200, has = \"/id\" }, { status = 403, text = \"missing scope\", reason = \"under-scoped\" }]\ninactive = [{ status = 401 }]",
    );
    assert_eq!(
        said(&scoped, &Body::new(&reply(403, "", "Error: Missing Scope x"))),
        Said::Active(Some("under-scoped".into()))
    );
    assert_eq!(judge(&scoped, 403, r#"{"message":"forbidden"}"#), "unknown");
    assert_eq!(judge(&scoped, 401, ""), "inactive");
}

#[test]
fn what_says_nothing_says_nothing_whatever_its_body() {
    let bare = step(
        "active = [{ status = 200 }, { text = \"ok\", status = 200 }]\ninactive = [{ text = \"invalid\" }, { json = { \"/ok\" = false } }]",
    );
    for status in [100, 301, 302, 304, 307, 308, 408, 429, 500, 502, 503, 520, 599] {
        for body in ["", "invalid", r#"{"ok":false}"#, "<html>invalid</html>"] {
            assert_eq!(judge(&bare, status, body), "unknown", "{status} {body}");
        }
    }
    assert_eq!(judge(&bare, 403, r#"{"ok":false}"#), "inactive");
}

#[test]
fn pages_for_people_are_no_answers() {
    let bare = step("active = [{ status = [200, 203] }]\ninactive = [{ status = 401 }]");
    for status in [200, 203, 401] {
        for (kind, body) in [
            ("text/html; charset=utf-8", "sign in"),
            ("", "\r\n<!DOCTYPE html><html>"),
            ("application/json", "<html><body>proxy</body></html>"),
        ] {
            assert_eq!(name(&said(&bare, &Body::new(&reply(status, kind, body)))), "unknown", "{status} {kind} {body}");
        }
    }
    assert_eq!(judge(&bare, 401, ""), "inactive");
    // JSON under a wrong content type is JSON; text under a JSON type is none.
    let json = step("active = [{ status = 200, has = \"/id\" }]\ninactive = [{ status = 401, lacks = \"/id\" }]");
    assert_eq!(name(&said(&json, &Body::new(&reply(200, "text/html", r#"{"id":1}"#)))), "active");
    assert_eq!(name(&said(&json, &Body::new(&reply(200, "application/json", "id")))), "unknown");
    assert_eq!(name(&said(&json, &Body::new(&reply(401, "application/json", "")))), "unknown", "nothing lacks nothing");
    // Where the rule knows the page, it may say so.
    let known = step(
        "active = [{ status = 200, has = \"/id\" }]\ninactive = [{ status = 203, header = { content-type = \"html\" } }]",
    );
    assert_eq!(name(&said(&known, &Body::new(&reply(203, "text/html", "<html>sign in</html>")))), "inactive");
}

#[test]
fn json_that_two_readers_read_differently_is_none() {
    let json = step(
        "active = [{ status = 200, json = { \"/ok\" = true } }]\ninactive = [{ status = 200, json = { \"/ok\" = false } }]",
    );
    for body in [
        r#"{"ok":true,"ok":false}"#,
        r#"{"a":[{"x":1,"x":1}],"ok":true}"#,
        r#"{"ok":true"#,
        r#"{"ok":true} {"ok":false}"#,
        r#"{"ok":true,"n":1e999}"#,
        "",
        "null",
    ] {
        assert_eq!(judge(&json, 200, body), "unknown", "{body}");
    }
    assert_eq!(judge(&json, 200, &format!("{}{}", "[".repeat(100_000), "]".repeat(100_000))), "unknown");
    let cut = Reply { cut: true, ..reply(200, "application/json", r#"{"ok":true}"#) };
    assert_eq!(name(&said(&json, &Body::new(&cut))), "unknown");
    assert_eq!(judge(&json, 200, "\u{feff}{\"ok\":true}"), "active");
}

#[test]
fn unknown_conditions_come_first_and_bring_their_reason() {
    let s = step(
        "unknown = [{ status = 403, text = \"ip address\", reason = \"limited by address\" }]\nactive = [{ status = [200, 403] }]\ninactive = [{ status = 401 }]",
    );
    assert_eq!(
        said(&s, &Body::new(&reply(403, "", "IP address not allowed"))),
        Said::Unknown("limited by address".into())
    );
    assert_eq!(judge(&s, 403, "{}"), "active");
}

#[test]
fn numbers_that_cannot_be_read_exactly_are_nothing() {
    let mut v = ask("verify = \"v\"\n[[verify.v]]\nrequest = { method = \"GET\", path = \"/\" }\nactive = [{ status = 200 }]\ninactive = [{ status = 401 }]\nprincipal = { id = { json = \"/id\" }, key_id = { json = \"/k\" } }").verify;
    let reply = reply(200, "", r#"{"id":12345678901234567890123,"k":18446744073709551615}"#);
    let mut found = crate::model::Principal::default();
    principal(&v.remove(0).principal, Source::Reply(&Body::new(&reply)), &Default::default(), &mut found);
    assert_eq!((found.id, found.key_id.as_deref()), (None, Some("18446744073709551615")));
}
