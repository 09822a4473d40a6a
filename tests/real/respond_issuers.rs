//! Incidents at real issuers, from leak to proof: plan, apply, confirmed by the issuer, journal intact.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use unsprawl::model::plan::Effect;
use unsprawl::respond::journal::Entry;

use crate::incident::{Incident, planned};
use crate::revoke_tokens::{aws_key, aws_user, iam, matrix_login, npm_tokens};
use crate::servers::{Server, fresh, get};
use crate::story::leak;
use crate::support::Repo;

fn npmrc(token: &str) -> Repo {
    leak(".npmrc", &format!("//npm.corp.internal/:_authToken={token}\n"))
}

#[test]
fn npm_the_right_token_of_a_list_dies_and_a_lie_is_found_out() {
    let Some(npm) = get("npm") else { return };
    let (session, [first, leaked]) = npm_tokens(&npm);
    let repo = npmrc(&leaked);
    let incident = Incident::new(&["--endpoint", &format!("npm={}", npm.url())]).approved();
    // The registry says yes to a log-out and does nothing.
    planned(&incident.plan(&[&repo], &["--way", "npm=logout"]), "revoke", "logout");
    let lie = incident.apply(&["--confirm-within", "3s"]);
    lie.all("still-active", 11).because("the issuer said yes; its issuer still accepts it");
    planned(&incident.plan(&[&repo], &[]), "revoke", "delete-own");
    incident.apply(&[]).all("revoked", 0);
    assert_eq!(incident.intents(), 2);
    let neighbour = npmrc(&first);
    assert_eq!(incident.plan(&[&neighbour], &[])["items"].as_array().unwrap().len(), 1, "its neighbour lives on");
    incident.holds_none_of(&[&leaked, &first, &session]);
}

#[test]
fn matrix_a_session_ends_itself_and_its_neighbour_goes_on() {
    let Some(matrix) = get("matrix") else { return };
    let name = fresh("incident");
    let (first, second) = (matrix_login(&matrix, &name), matrix_login(&matrix, &name));
    let repo = leak("bot/config.yaml", &format!("access_token: {second}\n"));
    let incident = Incident::new(&["--endpoint", &format!("matrix={}", matrix.url())]).approved();
    let plan = incident.plan(&[&repo], &[]);
    planned(&plan, "revoke", "logout");
    assert_eq!(plan["items"][0]["finding"]["principal"]["id"], format!("@{name}:corp.example"));
    incident.apply(&[]).all("revoked", 0);
    let neighbour = leak("bot/config.yaml", &format!("access_token: {first}\n"));
    assert_eq!(incident.plan(&[&neighbour], &[])["items"].as_array().unwrap().len(), 1);
    incident.holds_none_of(&[&first, &second]);
}

#[test]
fn jupyterhub_a_token_is_deleted_by_itself() {
    let Some(hub) = get("jupyterhub") else { return };
    let (name, admin) = (fresh("incident"), format!("token {}", hub.fact("token")));
    let call = |method: &str, path: &str| {
        hub.request(method, &format!("/hub/api/users/{name}{path}")).header("Authorization", &admin)
    };
    call("POST", "").expect(&[201]);
    let make = || {
        let made = call("POST", "/tokens").json(json!({ "note": "ci" })).expect(&[201]);
        made["token"].as_str().unwrap().to_owned()
    };
    let (neighbour, leaked) = (make(), make());
    let repo = leak("hub.env", &format!("JUPYTERHUB_API_TOKEN={leaked}\n"));
    let incident = Incident::new(&["--endpoint", &format!("jupyterhub={}/hub/api", hub.url())]).approved();
    incident.plan(&[&repo], &[]);
    incident.apply(&[]).all("revoked", 0);
    let other = leak("hub.env", &format!("JUPYTERHUB_API_TOKEN={neighbour}\n"));
    assert_eq!(incident.plan(&[&other], &[])["items"].as_array().unwrap().len(), 1);
    incident.holds_none_of(&[&leaked, &neighbour]);
}

#[test]
fn unleash_a_yes_is_accepted_until_the_server_has_forgotten() {
    let Some(unleash) = get("unleash") else { return };
    let body = json!({ "username": unleash.fact("admin"), "password": unleash.fact("password") });
    let cookie = unleash.request("POST", "/auth/simple/login").json(body).send_for_header("set-cookie");
    let root = cookie.split(';').next().unwrap().to_owned();
    let make = |path: &str, body: Value| {
        let made = unleash.request("POST", path).header("Cookie", &root).json(body).expect(&[201]);
        made["secret"].as_str().unwrap().to_owned()
    };
    let leaked = make(
        "/api/admin/api-tokens",
        json!({ "type": "client", "tokenName": fresh("incident"), "environment": "development", "projects": ["default"] }),
    );
    let responder = make(
        "/api/admin/user/tokens",
        json!({ "description": fresh("responder"), "expiresAt": "2090-01-01T00:00:00.000Z" }),
    );
    let repo = leak("app.env", &format!("UNLEASH_API_TOKEN={leaked}\n"));
    let incident = Incident::new(&["--endpoint", &format!("unleash={}", unleash.url())]).approved();
    // Without a responder's token the plan says what is needed, and apply does nothing.
    let plan = incident.plan(&[&repo], &[]);
    planned(&plan, "revoke", "delete-api-token");
    assert_eq!(plan["items"][0]["ways"][0]["needs"], json!({ "UNSPRAWL_UNLEASH_TOKEN": false }));
    incident.apply(&[]).all("failed", 12).because("the setting `token` of an administrator is not given");
    let incident = incident.admin("UNSPRAWL_UNLEASH_TOKEN", &responder);
    let first = incident.apply(&["--wait", "1s"]);
    first.all("accepted", 10);
    let sent = incident.intents();
    // The next run sends nothing again: it asks until the server refuses.
    let begun = Instant::now();
    incident.apply(&[]).all("revoked", 0);
    assert!(begun.elapsed() < Duration::from_secs(200));
    assert_eq!(incident.intents(), sent);
    incident.holds_none_of(&[&leaked, &responder]);
}

/// An AWS key in a file of credentials.
fn aws_repo((id, secret): &(String, String)) -> Repo {
    leak(".aws/credentials", &format!("[default]\naws_access_key_id = {id}\naws_secret_access_key = {secret}\n"))
}

fn aws_incident(aws: &Server) -> Incident {
    let (sts, iam) = (format!("aws={}", aws.url()), format!("aws.iam={}", aws.url()));
    Incident::new(&["--endpoint", &sts, "--endpoint", &iam]).approved()
}

/// What the administrator sees of a user's keys: id and status.
fn statuses(aws: &Server, user: &str) -> Vec<(String, String)> {
    let keys = iam(aws, "list_access_keys", &json!({ "UserName": user }))["AccessKeyMetadata"].clone();
    let text = |v: &Value| v.as_str().unwrap().to_owned();
    keys.as_array().unwrap().iter().map(|k| (text(&k["AccessKeyId"]), text(&k["Status"]))).collect()
}

#[test]
fn aws_a_key_is_contained_brought_back_and_deleted_only_when_asked() {
    let Some(aws) = get("aws") else { return };
    let user = aws_user(&aws, "incident", "iam:*AccessKey*");
    let responder = aws_key(&aws, &aws_user(&aws, "responder", "iam:*"));
    let (neighbour, leaked) = (aws_key(&aws, &user), aws_key(&aws, &user));
    let repo = aws_repo(&leaked);
    let incident = aws_incident(&aws);
    let plan = incident.plan(&[&repo], &[]);
    planned(&plan, "contain", "deactivate");
    assert!(plan["items"][0]["alternatives"].as_array().unwrap().iter().any(|w| w["name"] == "delete"));
    incident.apply(&[]).all("contained", 0);
    let of = |key: &(String, String), status: &str| (key.0.clone(), status.to_owned());
    assert_eq!(statuses(&aws, &user), [of(&neighbour, "Active"), of(&leaked, "Inactive")]);
    // Once more: it is contained still, no more than that, and can be brought back all the same.
    incident.apply(&[]).all("contained", 0).because("before anything was sent");
    // The key cannot bring itself back; the responder can.
    incident.apply(&["--undo"]).all("failed", 12).because("of an administrator is not given");
    // Not even a try to undo that failed, and another look, lose the way back.
    incident.apply(&[]).all("contained", 0);
    let incident = incident.admin("UNSPRAWL_AWS_KEY_ID", &responder.0).admin("UNSPRAWL_AWS_SECRET", &responder.1);
    incident.apply(&["--undo"]).all("undone", 0);
    assert_eq!(statuses(&aws, &user), [of(&neighbour, "Active"), of(&leaked, "Active")]);
    incident.apply(&["--undo"]).all("skipped", 14).because("nothing to undo");
    // Deleted only when asked for by name.
    planned(&incident.plan(&[&repo], &["--prefer", "revoke"]), "contain", "deactivate");
    planned(&incident.plan(&[&repo], &["--way", "aws=delete-admin"]), "revoke", "delete-admin");
    incident.apply(&[]).all("revoked", 0);
    assert_eq!(statuses(&aws, &user), [of(&neighbour, "Active")]);
    incident.holds_none_of(&[&leaked.1, &neighbour.1, &responder.1]);
}

#[test]
fn aws_a_leaked_key_is_no_responder() {
    let Some(aws) = get("aws") else { return };
    let user = aws_user(&aws, "selfish", "iam:*");
    let leaked = aws_key(&aws, &user);
    let repo = aws_repo(&leaked);
    let incident = aws_incident(&aws).admin("UNSPRAWL_AWS_KEY_ID", &leaked.0).admin("UNSPRAWL_AWS_SECRET", &leaked.1);
    incident.plan(&[&repo], &["--way", "aws=deactivate-admin"]);
    incident.apply(&[]).all("failed", 12).because("is itself one of the leaked credentials");
    assert_eq!(statuses(&aws, &user), [(leaked.0.clone(), "Active".to_owned())]);
    assert_eq!(incident.intents(), 0);
}

#[test]
fn three_issuers_in_one_plan_contain_first() {
    let (Some(aws), Some(npm), Some(matrix)) = (get("aws"), get("npm"), get("matrix")) else { return };
    let leaked = aws_key(&aws, &aws_user(&aws, "three", "iam:*AccessKey*"));
    let (_, [_, token]) = npm_tokens(&npm);
    let session = matrix_login(&matrix, &fresh("three"));
    let repos = [npmrc(&token), leak("bot.env", &format!("MATRIX_TOKEN={session}\n")), aws_repo(&leaked)];
    let endpoints = [format!("npm={}", npm.url()), format!("matrix={}", matrix.url())];
    let (sts, iam) = (format!("aws={}", aws.url()), format!("aws.iam={}", aws.url()));
    let flags = [&endpoints[0], &endpoints[1], &sts, &iam].map(|e| ["--endpoint", e]).concat();
    let incident = Incident::new(&flags).approved();
    let plan = incident.plan(&repos.each_ref(), &[]);
    assert_eq!(plan["items"].as_array().unwrap().len(), 3);
    let applied = incident.apply(&[]);
    assert_eq!(applied.code, 0, "{}", applied.stderr);
    let mut outcomes: Vec<&str> = applied.items.iter().map(|i| i["outcome"].as_str().unwrap()).collect();
    outcomes.sort_unstable();
    assert_eq!(outcomes, ["contained", "revoked", "revoked"]);
    let effects: Vec<Effect> = incident
        .entries()
        .into_iter()
        .filter_map(|e| if let Entry::Intent { effect, .. } = e { Some(effect) } else { None })
        .collect();
    assert_eq!(effects, [Effect::Contain, Effect::Revoke, Effect::Revoke], "what can be undone comes first");
    incident.holds_none_of(&[&leaked.1, &token, &session]);
}

#[test]
fn openid_a_token_is_revoked_by_its_client() {
    let Some(oidc) = get("oidc") else { return };
    let (client, secret) = (oidc.fact("client"), oidc.fact("secret"));
    let made = oidc.request("POST", "/mint").basic(&client, &secret).json(json!({ "sub": "alice" })).expect(&[200]);
    let token = made["refresh_token"].as_str().unwrap().to_owned();
    let repo = leak("session.json", &format!("{}\n", json!({ "refresh_token": token })));
    let folder = crate::support::folder();
    let rule = folder.path().join("corp-openid.toml");
    crate::support::write(&rule, crate::tokens::OPENID.replace("CLIENT-SECRET", &secret));
    let flags = ["--rules", rule.to_str().unwrap(), "--endpoint", &format!("corp-openid={}", oidc.url())];
    let incident = Incident::new(&flags).approved().admin("UNSPRAWL_CORP_OPENID_CLIENT", &client);
    let incident = incident.admin("UNSPRAWL_CORP_OPENID_SECRET", &secret);
    planned(&incident.plan(&[&repo], &[]), "revoke", "revocation");
    incident.apply(&[]).all("revoked", 0);
    incident.holds_none_of(&[&token]);
}

#[test]
fn a_report_is_asked_about_again_before_and_after() {
    let Some(matrix) = get("matrix") else { return };
    let token = matrix_login(&matrix, &fresh("report"));
    let repo = leak("bot.env", &format!("MATRIX_TOKEN={token}\n"));
    let incident = Incident::new(&["--endpoint", &format!("matrix={}", matrix.url())]).approved();
    let (report, out) = (incident.path("report.json"), incident.path("verified.json"));
    let (report, out) = (report.to_str().unwrap(), out.to_str().unwrap());
    let scan = incident.run(&["scan", "-f", "json", "-o", report, repo.dir.to_str().unwrap()]);
    assert_eq!(scan.code, 1, "{}", scan.stderr);
    let verify = || {
        let done = incident.run(&["verify", report, "-f", "json", "-o", out, "--fail-on", "active", "--cache-ttl=0"]);
        let document: Value = serde_json::from_slice(&std::fs::read(out).unwrap()).unwrap();
        (done.code, document["findings"][0]["validity"]["state"].as_str().unwrap().to_owned())
    };
    assert_eq!(verify(), (1, "active".to_owned()));
    matrix.request("POST", "/_matrix/client/v3/logout").bearer(&token).json(json!({})).expect(&[200]);
    assert_eq!(verify(), (0, "inactive".to_owned()));
    // The plan of a report has nothing to do, and one of its value alone finds it by its fingerprint.
    let plan = incident.run(&["plan", report, "--cache-ttl=0"]);
    assert!(String::from_utf8_lossy(&plan.stdout).contains("0 live credentials in it"), "{}", plan.stderr);
    incident.holds_none_of(&[&token]);
}
