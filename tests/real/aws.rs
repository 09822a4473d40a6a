//! AWS: moto with enforcement on and inactive keys refused.

use serde_json::{Value, json};

use crate::servers::{Server, fresh, get};
use crate::story::{active, finding, inactive, leak, unknown};

/// One call of IAM as the administrator, through AWS's own SDK.
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
