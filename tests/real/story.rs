//! The steps that all these tests share: leak, scan, compare.

use serde_json::Value;

use crate::support::{Repo, unsprawl};

/// A repository in whose history a text stands that was committed and then removed.
pub fn leak(path: &str, text: &str) -> Repo {
    let mut repo = Repo::new();
    repo.put("README.md", "A shop.\n");
    repo.put(path, text);
    repo.remove(path);
    repo.commit("tidy up");
    repo
}

/// What a scan says of one secret. It must be found, by this rule and no other.
#[track_caller]
pub fn finding(repo: &Repo, flags: &[&str], rule: &str, secret: &str) -> Value {
    let scan = unsprawl(flags).arg("--allow-internal").env("UNSPRAWL_OFFLINE", "0").arg(&repo.dir).scan();
    let findings = scan.report["findings"].as_array().unwrap();
    let of: Vec<&Value> = findings.iter().filter(|f| f["secret"] == secret).collect();
    assert_eq!(of.len(), 1, "findings of the secret among {:?}\n{}", kinds(findings), scan.stderr);
    assert_eq!(of[0]["rule"], rule);
    of[0].clone()
}

fn kinds(findings: &[Value]) -> Vec<&Value> {
    findings.iter().map(|f| &f["rule"]).collect()
}

/// The finding's credential works and belongs to this account. `principal` gives pointers and values.
#[track_caller]
pub fn active(finding: &Value, principal: &[(&str, &str)]) {
    assert_eq!(finding["validity"]["state"], "active", "{}", told(finding));
    assert_eq!(finding["checked"]["how"], "asked", "{}", told(finding));
    for (pointer, value) in principal {
        let found = finding["principal"].pointer(pointer);
        assert_eq!(found.and_then(Value::as_str), Some(*value), "{pointer}: {}", told(finding));
    }
}

/// The issuer refuses the finding's credential.
#[track_caller]
pub fn inactive(finding: &Value) {
    assert_eq!(finding["validity"]["state"], "inactive", "{}", told(finding));
    assert_eq!(finding["checked"]["how"], "asked", "{}", told(finding));
}

/// Nothing can be said of it.
#[track_caller]
pub fn unknown(finding: &Value) {
    assert_eq!(finding["validity"]["state"], "unknown", "{}", told(finding));
}

/// What a finding says of its credential, without the secret.
fn told(finding: &Value) -> String {
    format!(
        "{} {} {} {} {}",
        finding["rule"], finding["validity"], finding["checked"], finding["principal"], finding["parts"]
    )
}

/// Two scans around an end: active with this principal, then inactive.
#[track_caller]
pub fn lives_and_dies(
    repo: &Repo,
    flags: &[&str],
    rule: &str,
    secret: &str,
    principal: &[(&str, &str)],
    end: impl FnOnce(),
) {
    active(&finding(repo, flags, rule, secret), principal);
    end();
    inactive(&finding(repo, flags, rule, secret));
}
