//! AWS: moto with enforcement on and inactive keys refused.

use serde_json::{Value, json};

use crate::servers::{Server, fresh, get};
use crate::story::{active, finding, inactive, leak, unknown};
use crate::support::unsprawl;

/// One call of IAM (or, with its name and a colon before, of another service) as the administrator, through AWS's own SDK.
pub fn iam(aws: &Server, call: &str, arguments: &Value) -> Value {
    let (url, key_id, secret) = (aws.url(), aws.fact("key_id"), aws.fact("secret"));
    let env = [
        ("AWS_ACCESS_KEY_ID", key_id.as_str()),
        ("AWS_SECRET_ACCESS_KEY", &secret),
        ("AWS_EC2_METADATA_DISABLED", "true"),
    ];
    let output = aws.run(&aws.fact("python"), &[&aws.fact("call"), &url, call, &arguments.to_string()], &env, "");
    serde_json::from_str(&output).unwrap()
}

#[test]
fn an_access_key_is_active_with_its_arn_until_it_is_inactivated_or_deleted() {
    let Some(aws) = get("aws") else { return };
    let user = fresh("alice");
    iam(&aws, "create_user", &json!({ "UserName": user }));
    let key = iam(&aws, "create_access_key", &json!({ "UserName": user }))["AccessKey"].clone();
    let (key_id, secret) = (key["AccessKeyId"].as_str().unwrap(), key["SecretAccessKey"].as_str().unwrap());
    let repo = leak(
        ".aws/credentials",
        &format!("[default]\naws_access_key_id = {key_id}\naws_secret_access_key = {secret}\n"),
    );
    let (sts, iam_flag) = (format!("aws={}", aws.url()), format!("aws.iam={}", aws.url()));
    let flags = ["--endpoint", &sts, "--endpoint", &iam_flag];
    let look = || finding(&repo, &flags, "aws.secret-access-key", secret);
    let set = |status: &str| {
        iam(&aws, "update_access_key", &json!({ "UserName": user, "AccessKeyId": key_id, "Status": status }));
    };
    let arn = format!("arn:aws:iam::123456789012:user/{user}");
    active(&look(), &[("/organisation", "123456789012"), ("/login", &user), ("/key_id", key_id), ("/more/arn", &arn)]);
    set("Inactive");
    inactive(&look());
    set("Active");
    active(&look(), &[]);
    iam(&aws, "delete_access_key", &json!({ "UserName": user, "AccessKeyId": key_id }));
    inactive(&look());
}

#[test]
fn a_wrong_secret_says_nothing_of_the_key() {
    let Some(aws) = get("aws") else { return };
    let user = fresh("bob");
    iam(&aws, "create_user", &json!({ "UserName": user }));
    let key = iam(&aws, "create_access_key", &json!({ "UserName": user }))["AccessKey"].clone();
    let key_id = key["AccessKeyId"].as_str().unwrap();
    let other = crate::support::tokens::Random::of(&user).base62(40);
    let repo = leak("env", &format!("AWS_ACCESS_KEY_ID={key_id}\nAWS_SECRET_ACCESS_KEY={other}\n"));
    let (sts, iam_flag) = (format!("aws={}", aws.url()), format!("aws.iam={}", aws.url()));
    unknown(&finding(&repo, &["--endpoint", &sts, "--endpoint", &iam_flag], "aws.secret-access-key", &other));
}

#[test]
fn temporary_keys_work_with_their_session_token_and_no_other() {
    let Some(aws) = get("aws") else { return };
    let (role, session) = (fresh("ci"), fresh("build"));
    let trust = json!({ "Version": "2012-10-17", "Statement": [{ "Effect": "Allow", "Principal": { "AWS": "*" }, "Action": "sts:AssumeRole" }] });
    let made = iam(&aws, "create_role", &json!({ "RoleName": role, "AssumeRolePolicyDocument": trust.to_string() }));
    let assume = || {
        let call = json!({ "RoleArn": made["Role"]["Arn"], "RoleSessionName": session });
        iam(&aws, "sts:assume_role", &call)["Credentials"].clone()
    };
    let text = |keys: &Value, token: &Value| {
        let of = |name: &str| keys[name].as_str().unwrap().to_owned();
        let (id, secret, token) = (of("AccessKeyId"), of("SecretAccessKey"), token.as_str().unwrap());
        format!("AWS_ACCESS_KEY_ID={id}\nAWS_SECRET_ACCESS_KEY={secret}\nAWS_SESSION_TOKEN={token}\n")
    };
    let (keys, others) = (assume(), assume());
    let secret = keys["SecretAccessKey"].as_str().unwrap();
    let (sts, iam_flag) = (format!("aws={}", aws.url()), format!("aws.iam={}", aws.url()));
    let flags = ["--endpoint", &sts, "--endpoint", &iam_flag];
    let repo = leak("ci.env", &text(&keys, &keys["SessionToken"]));
    let found = finding(&repo, &flags, "aws.secret-access-key", secret);
    let key_id = keys["AccessKeyId"].as_str().unwrap();
    active(
        &found,
        &[("/kind", "assumed-role"), ("/organisation", "123456789012"), ("/key_id", key_id), ("/login", &session)],
    );
    assert_eq!(found["secrets"]["session"]["secret"], keys["SessionToken"]);

    // A report holds neither of the two, and what it names is read again from the repository.
    let folder = crate::support::folder();
    let report = folder.path().join("report.json");
    let scan = unsprawl(["scan", "--no-verify", "--format=json", "--output"]).arg(&report).arg(&repo.dir).run();
    let redacted = std::fs::read_to_string(&report).unwrap_or_else(|e| panic!("{e}: {}", scan.stderr));
    assert!(redacted.contains("\"session\"") && !redacted.contains(secret));
    assert!(!redacted.contains(&keys["SessionToken"].as_str().unwrap()[20..60]));
    let verify = unsprawl(["verify", "--format=json", "--allow-internal"]).env("UNSPRAWL_OFFLINE", "0");
    let again = flags.iter().fold(verify, |verify, flag| verify.arg(flag)).arg(&report).run();
    let again: Value = serde_json::from_slice(&again.stdout).unwrap();
    let of_secret =
        again["findings"].as_array().unwrap().iter().find(|f| f["rule"] == "aws.secret-access-key").unwrap();
    active(of_secret, &[("/login", &session)]);

    let repo = leak("ci.env", &text(&keys, &others["SessionToken"]));
    unknown(&finding(&repo, &flags, "aws.secret-access-key", secret));
}
