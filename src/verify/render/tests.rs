#![allow(clippy::unwrap_used)]
//! What goes out, and what a hostile value cannot change about it.

use super::*;
use crate::rules::ask::Call;
use crate::verify::judge::tests::ask;

fn rendered(spec: &str, secret: &str) -> Result<Outgoing, Unfilled> {
    let conditions = "active = [{ status = 200 }]\ninactive = [{ status = 401 }]\n";
    let ask = ask(&format!("verify = \"v\"\n[[verify.v]]\nrequest = {{ {spec} }}\n{conditions}"));
    let Call::Http(spec) = &ask.verify[0].call else { panic!("a request") };
    let mut values = Values::default();
    values.set("secret", secret.as_bytes());
    values.set("org", b"acme");
    let endpoint = ResolvedEndpoint { url: "https://api.example.com/v1/".into(), configured: false };
    request(spec, &endpoint, &values, &[b"one", b"two"], true)
}

fn headers(outgoing: &Outgoing) -> Vec<(&str, &str)> {
    outgoing.headers.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect()
}

#[test]
fn the_whole_request() {
    let out = rendered("method = \"GET\", path = \"/orgs/{org}\", query = { q = \"a b,c:&{secret}\", \"x y\" = \"1\" }, headers = { X-Key = \"k {secret}\" }", "s/1").unwrap();
    assert_eq!(out.url.as_str(), "https://api.example.com/v1/orgs/acme?q=a%20b,c:%26s%2F1&x%20y=1");
    assert_eq!(headers(&out), [("x-key", "k s/1")]);
    assert_eq!(out.shown, "https://api.example.com/v1/orgs/{org}");
    assert!(!format!("{out:?}").contains("s/1"));
}

#[test]
fn each_kind_of_body_and_of_proof() {
    let out = rendered(
        "method = \"POST\", path = \"\", basic = [\"{org}\", \"{secret}\"], form = { token = \"{secret}\", a = \"b\" }",
        "x y&=",
    )
    .unwrap();
    assert_eq!(out.url.as_str(), "https://api.example.com/v1");
    assert_eq!(String::from_utf8_lossy(&out.body), "a=b&token=x%20y%26%3D");
    let kinds = [("authorization", "Basic YWNtZTp4IHkmPQ=="), ("content-type", "application/x-www-form-urlencoded")];
    assert_eq!(headers(&out), kinds);
    let out = rendered("method = \"POST\", path = \"/\", json = { a = [\"{secret}\", 1, true], b = { c = \"{org}\" }, all = [\"first\", \"{secrets}\"] }", "q\"\\").unwrap();
    let json: serde_json::Value = serde_json::from_slice(&out.body).unwrap();
    assert_eq!(json, serde_json::json!({"a": ["q\"\\", 1, true], "b": {"c": "acme"}, "all": ["first", "one", "two"]}));
    let out = rendered(
        "method = \"POST\", path = \"/\", body = \"<t>{secret}</t>\", headers = { content-type = \"text/xml\" }",
        "x",
    )
    .unwrap();
    assert_eq!((out.body.as_slice(), headers(&out)), (b"<t>x</t>".as_slice(), vec![("content-type", "text/xml")]));
}

#[test]
fn a_value_does_not_leave_its_place() {
    for secret in ["../admin", "a/b", "?x=1", "#f", "a b", "%2e%2e", "@evil.example", "\r\nhost: evil"] {
        let out = rendered("method = \"GET\", path = \"/t/{secret}/x\"", secret).unwrap();
        let url: Vec<&str> = out.url.split('/').collect();
        assert_eq!((url.len(), url[2], url[6]), (7, "api.example.com", "x"), "{secret}");
    }
    for secret in ["..", ".", "%2e."] {
        let out = rendered("method = \"GET\", path = \"/t/{secret}\"", secret);
        assert!(out.is_err() || secret.starts_with('%'), "{secret}");
    }
    for secret in ["a/../b", "a/%2E%2e/b", "a/./b"] {
        let spec = "method = \"GET\", path = \"/t/{secret|path}\"";
        let out = rendered(spec, secret);
        assert!(out.is_err() || secret.contains('%'), "{secret}");
    }
    for secret in ["a\nb", "a\r\nx: y", "a\0", " a"] {
        let out = rendered("method = \"GET\", path = \"/\", headers = { x = \"{secret}\" }", secret);
        assert!(matches!(out, Err(Unfilled::Unfit(_))), "{secret:?}");
    }
    assert!(rendered("method = \"GET\", path = \"/\", basic = [\"{secret}\", \"x\"]", "a:b").is_err());
    let missing = rendered("method = \"GET\", path = \"/{org}\"", "x").unwrap();
    assert!(!missing.url.contains('{'));
}
