//! Issuers of tokens that are asked over HTTP: npm, Matrix, JupyterHub, Unleash, OpenID, container registries.

use base64::Engine;
use serde_json::json;

use crate::servers::{Server, fresh, get, password};
use crate::story::{active, finding, inactive, leak, lives_and_dies, unknown};
use crate::support::write;

/// A person of verdaccio's: the session's token.
pub fn npm_person(npm: &Server, name: &str, word: &str) -> String {
    let body = json!({ "name": name, "password": word });
    let made = npm.request("PUT", &format!("/-/user/org.couchdb.user:{name}")).json(body).expect(&[201]);
    made["token"].as_str().unwrap().to_owned()
}

/// A token of that person's: its value and its key.
pub fn npm_token(npm: &Server, session: &str, word: &str) -> (String, String) {
    let body = json!({ "password": word, "readonly": false, "cidr_whitelist": [] });
    let made = npm.request("POST", "/-/npm/v1/tokens").bearer(session).json(body).expect(&[200]);
    (made["token"].as_str().unwrap().to_owned(), made["key"].as_str().unwrap().to_owned())
}

#[test]
fn npm_a_token_in_npmrc_lives_until_it_is_deleted() {
    let Some(npm) = get("npm") else { return };
    let (name, word) = (fresh("alice"), password("npm"));
    let session = npm_person(&npm, &name, &word);
    let (token, key) = npm_token(&npm, &session, &word);
    let repo = leak(".npmrc", &format!("//npm.corp.internal/:_authToken={token}\n"));
    let endpoint = format!("npm={}", npm.url());
    let flags = ["--endpoint", endpoint.as_str()];
    let look = || finding(&repo, &flags, "npm.registry-jwt", &token);
    active(&look(), &[("/login", &name)]);
    // npm's old way to log out says yes, and the token lives on.
    let out = npm.request("DELETE", &format!("/-/user/token/{token}")).bearer(&token).expect(&[200]);
    assert_eq!(out["ok"], "Logged out");
    active(&look(), &[("/login", &name)]);
    npm.request("DELETE", &format!("/-/npm/v1/tokens/token/{key}")).bearer(&session).expect(&[200]);
    inactive(&look());
}

#[test]
fn npm_a_token_is_asked_about_where_it_belongs() {
    let Some(npm) = get("npm") else { return };
    let (name, word) = (fresh("carol"), password("npm host"));
    let session = npm_person(&npm, &name, &word);
    let (token, _) = npm_token(&npm, &session, &word);
    let repo = leak(".npmrc", &format!("//npm.corp.internal/:_authToken={token}\n"));
    // Scanned text names a host: nobody allowed it, and no registry is configured.
    unknown(&finding(&repo, &[], "npm.registry-jwt", &token));
    let other = ["--endpoint", "npm=http://127.0.0.1:9"];
    unknown(&finding(&repo, &other, "npm.registry-jwt", &token));
}

#[test]
fn npm_an_unknown_token_is_not_active_though_the_registry_says_200() {
    let Some(npm) = get("npm") else { return };
    let token = crate::support::npm(&fresh("unknown"));
    let who = npm.request("GET", "/-/whoami").bearer(&token).expect(&[200]);
    assert_eq!(who, json!({}));
    let repo = leak("ci.env", &format!("NPM_TOKEN={token}\n"));
    let endpoint = format!("npm={}", npm.url());
    let found = finding(&repo, &["--endpoint", &endpoint], "npm.access-token", &token);
    assert_ne!(found["validity"]["state"], "active");
}

/// A person of Synapse's who logged in: the access token.
pub fn matrix_login(matrix: &Server, name: &str) -> String {
    let word = password("matrix");
    let person = json!({ "password": word, "displayname": "Alice Archer" });
    let path = format!("/_synapse/admin/v2/users/@{name}:corp.example");
    matrix.request("PUT", &path).bearer(&matrix.fact("token")).json(person).expect(&[201]);
    let login =
        json!({ "type": "m.login.password", "identifier": { "type": "m.id.user", "user": name }, "password": word });
    let made = matrix.request("POST", "/_matrix/client/v3/login").json(login).expect(&[200]);
    made["access_token"].as_str().unwrap().to_owned()
}

#[test]
fn matrix_a_session_lives_until_it_logs_out() {
    let Some(matrix) = get("matrix") else { return };
    let name = fresh("alice");
    let token = matrix_login(&matrix, &name);
    let repo = leak("bot/config.yaml", &format!("access_token: {token}\n"));
    let endpoint = format!("matrix={}", matrix.url());
    let id = format!("@{name}:corp.example");
    lives_and_dies(&repo, &["--endpoint", &endpoint], "matrix.access-token", &token, &[("/id", &id)], || {
        matrix.request("POST", "/_matrix/client/v3/logout").bearer(&token).json(json!({})).expect(&[200]);
    });
}

#[test]
fn matrix_a_deactivated_account_has_no_living_token() {
    let Some(matrix) = get("matrix") else { return };
    let name = fresh("gone");
    let token = matrix_login(&matrix, &name);
    let repo = leak("bot.env", &format!("MATRIX_TOKEN={token}\n"));
    let endpoint = format!("matrix={}", matrix.url());
    lives_and_dies(&repo, &["--endpoint", &endpoint], "matrix.access-token", &token, &[], || {
        let path = format!("/_synapse/admin/v1/deactivate/@{name}:corp.example");
        matrix.request("POST", &path).bearer(&matrix.fact("token")).json(json!({ "erase": false })).expect(&[200]);
    });
}

#[test]
fn jupyterhub_a_token_lives_until_the_hub_deletes_it() {
    let Some(hub) = get("jupyterhub") else { return };
    let (name, admin) = (fresh("alice"), format!("token {}", hub.fact("token")));
    let call = |method: &str, path: &str| {
        hub.request(method, &format!("/hub/api/users/{name}{path}")).header("Authorization", &admin)
    };
    call("POST", "").expect(&[201]);
    let made = call("POST", "/tokens").json(json!({ "note": "ci" })).expect(&[201]);
    let (token, id) = (made["token"].as_str().unwrap(), made["id"].as_str().unwrap());
    let repo = leak("hub.env", &format!("JUPYTERHUB_API_TOKEN={token}\n"));
    let endpoint = format!("jupyterhub={}/hub/api", hub.url());
    let principal = [("/login", name.as_str()), ("/key_id", id)];
    lives_and_dies(&repo, &["--endpoint", &endpoint], "jupyterhub.api-token", token, &principal, || {
        call("DELETE", &format!("/tokens/{id}")).expect(&[204]);
    });
}

/// A logged-in session of Unleash: its cookie.
fn unleash_login(unleash: &Server, name: &str, word: &str) -> String {
    let body = json!({ "username": name, "password": word });
    let cookie = unleash.request("POST", "/auth/simple/login").json(body).send_for_header("set-cookie");
    cookie.split(';').next().unwrap().to_owned()
}

#[test]
fn unleash_a_personal_token_lives_until_it_is_deleted() {
    let Some(unleash) = get("unleash") else { return };
    let (name, word) = (fresh("alice"), format!("{}aA1!", password("unleash")));
    let root = unleash_login(&unleash, &unleash.fact("admin"), &unleash.fact("password"));
    let email = format!("{name}@example.com");
    let person = json!({ "username": name, "email": email, "name": "Alice Archer", "rootRole": 1, "sendEmail": false, "password": word });
    let made = unleash.request("POST", "/api/admin/user-admin").header("Cookie", &root).json(person).expect(&[201]);
    let session = unleash_login(&unleash, &name, &word);
    // Not the only one, and not the first of its list.
    let make = |note: &str| {
        let body = json!({ "description": note, "expiresAt": "2090-01-01T00:00:00.000Z" });
        unleash.request("POST", "/api/admin/user/tokens").header("Cookie", &session).json(body).expect(&[201])
    };
    let (first, second) = (make("mine"), make("leaked"));
    let token = second["secret"].as_str().unwrap();
    let repo = leak("flags.env", &format!("UNLEASH_TOKEN={token}\n"));
    let endpoint = format!("unleash={}", unleash.url());
    let flags = ["--endpoint", endpoint.as_str()];
    let id = made["id"].to_string();
    let principal = [("/id", id.as_str()), ("/login", &name), ("/email", &email), ("/name", "Alice Archer")];
    lives_and_dies(&repo, &flags, "unleash.personal-access-token", token, &principal, || {
        unleash
            .request("DELETE", &format!("/api/admin/user/tokens/{}", second["id"]))
            .header("Authorization", token)
            .expect(&[200]);
    });
    let left = first["secret"].as_str().unwrap();
    active(
        &finding(&leak("b.env", &format!("TOKEN={left}\n")), &flags, "unleash.personal-access-token", left),
        &principal,
    );
}

#[test]
fn unleash_a_client_token_is_known_by_its_server() {
    let Some(unleash) = get("unleash") else { return };
    let root = unleash_login(&unleash, &unleash.fact("admin"), &unleash.fact("password"));
    let make = |kind: &str| {
        let body =
            json!({ "type": kind, "tokenName": fresh(kind), "environment": "development", "projects": ["default"] });
        let made = unleash.request("POST", "/api/admin/api-tokens").header("Cookie", &root).json(body).expect(&[201]);
        made["secret"].as_str().unwrap().to_owned()
    };
    let endpoint = format!("unleash={}", unleash.url());
    for kind in ["client", "frontend"] {
        let token = make(kind);
        let repo = leak("flags.env", &format!("UNLEASH_API_TOKEN={token}\n"));
        active(
            &finding(&repo, &["--endpoint", &endpoint], "unleash.api-token", &token),
            &[("/organisation", "default")],
        );
        let (stem, last) = token.split_at(token.len() - 1);
        let wrong = format!("{stem}{}", if last == "0" { "1" } else { "0" });
        let repo = leak("flags.env", &format!("UNLEASH_API_TOKEN={wrong}\n"));
        inactive(&finding(&repo, &["--endpoint", &endpoint], "unleash.api-token", &wrong));
    }
}

/// The rule that a company writes for its own OpenID provider: tokens without a form of their own, where they stand in JSON.
pub const OPENID: &str = r#"
[issuer]
id = "corp-openid"
name = "Corp's OpenID provider"
docs = "https://www.rfc-editor.org/rfc/rfc7662"
[endpoint.api]
[[token]]
id = "access-token"
name = "Access token"
bound_to = "user"
near = ["access_token"]
regex = '''"\s?:\s?"(?<secret>[\w-]{43})"'''
verify = "userinfo"
[[verify.userinfo]]
request = { method = "GET", path = "/me", bearer = "{secret}" }
active = [{ status = 200, has = "/sub" }]
inactive = [{ status = 401, json = { "/error" = "invalid_token" } }]
[verify.userinfo.principal]
id = { json = "/sub" }
login = { json = "/preferred_username" }
name = { json = "/name" }
email = { json = "/email" }
[[token]]
id = "refresh-token"
name = "Refresh token"
bound_to = "user"
near = ["refresh_token"]
regex = '''"\s?:\s?"(?<secret>[\w-]{43})"'''
verify = "introspection"
revoke = ["revocation"]
[revoke.revocation]
title = "Revoke the token (RFC 7009)"
by = "admin"
effect = "revoke"
admin = ["client", "secret"]
docs = "https://www.rfc-editor.org/rfc/rfc7009"
[[revoke.revocation.step]]
request = { method = "POST", path = "/token/revocation", basic = ["{admin.client}", "{admin.secret}"], form = { token = "{secret}", token_type_hint = "refresh_token" } }
done = [{ status = 200 }]
refused = [{ status = [400, 401] }]
[[verify.introspection]]
request = { method = "POST", path = "/token/introspection", basic = ["scanner", "CLIENT-SECRET"], form = { token = "{secret}", token_type_hint = "refresh_token" } }
active = [{ status = 200, json = { "/active" = true } }]
inactive = [{ status = 200, json = { "/active" = false } }]
[verify.introspection.principal]
id = { json = "/sub" }
expires = { json = "/exp" }
[[test]]
token = "access-token"
text = '{ "access_token": "{make}" }'
hits = 1
[[test]]
token = "access-token"
text = '{ "access_token": "{cut}" }'
hits = 0
[[test]]
token = "access-token"
text = '{ "access_token": "{long}" }'
hits = 0
[[test]]
token = "refresh-token"
text = '{ "refresh_token": "{make}" }'
hits = 1
[[test]]
token = "refresh-token"
text = '{ "refresh_token": "{cut}" }'
hits = 0
[[test]]
token = "refresh-token"
text = '{ "refresh_token": "{long}" }'
hits = 0
"#;

#[test]
fn openid_tokens_live_until_they_are_revoked() {
    let Some(oidc) = get("oidc") else { return };
    let (client, secret) = (oidc.fact("client"), oidc.fact("secret"));
    let mint = |kind: &str| {
        let body = json!({ "sub": "alice" });
        let made = oidc.request("POST", "/mint").basic(&client, &secret).json(body).expect(&[200]);
        json!({ kind: made[kind] })
    };
    // Revoking one of a log-in's tokens ends the others, too: these two are of two.
    let (first, second) = (mint("access_token"), mint("refresh_token"));
    let (access, refresh) = (first["access_token"].as_str().unwrap(), second["refresh_token"].as_str().unwrap());
    let repo = leak("session.json", &format!("{first}\n{second}\n"));
    let rules = crate::support::folder();
    let rule = rules.path().join("corp-openid.toml");
    write(&rule, OPENID.replace("CLIENT-SECRET", &secret));
    let endpoint = format!("corp-openid={}", oidc.url());
    let flags = ["--rules", rule.to_str().unwrap(), "--endpoint", endpoint.as_str()];
    let end = |value: &str| {
        oidc.request("POST", "/token/revocation").basic(&client, &secret).form(&[("token", value)]).expect(&[200]);
    };
    let person = [("/id", "alice"), ("/login", "alice"), ("/email", "alice@corp.example")];
    lives_and_dies(&repo, &flags, "corp-openid.access-token", access, &person, || end(access));
    lives_and_dies(&repo, &flags, "corp-openid.refresh-token", refresh, &[("/id", "alice")], || end(refresh));
}

#[test]
fn a_container_registrys_login_lives_until_its_line_is_gone() {
    let Some(registry) = get("registry") else { return };
    let (name, word, users) = (fresh("alice"), password("registry"), registry.fact("htpasswd"));
    registry.run("htpasswd", &["-bB", "-C", "5", &users, &name, &word], &[], "");
    let pair = base64::engine::general_purpose::STANDARD.encode(format!("{name}:{word}"));
    let repo =
        leak(".docker/config.json", &json!({ "auths": { "registry.corp.internal": { "auth": &pair } } }).to_string());
    let endpoint = format!("config-files.registry={}", registry.url());
    let flags = ["--endpoint", endpoint.as_str()];
    lives_and_dies(&repo, &flags, "config-files.docker-auth", &pair, &[], || {
        registry.run("htpasswd", &["-D", &users, &name], &[], "");
    });
}

#[test]
fn openid_says_yes_to_every_revocation_and_only_the_named_token_ends() {
    use unsprawl::verify::steps::Outcome;
    let Some(oidc) = get("oidc") else { return };
    let (client, secret) = (oidc.fact("client"), oidc.fact("secret"));
    let mint = || {
        let made = oidc.request("POST", "/mint").basic(&client, &secret).json(json!({ "sub": "alice" })).expect(&[200]);
        made["refresh_token"].as_str().unwrap().to_owned()
    };
    let folder = crate::support::folder();
    let rule = folder.path().join("corp-openid.toml");
    write(&rule, OPENID.replace("CLIENT-SECRET", &secret));
    let Ok(files) = unsprawl::rules::read(&rule) else { panic!("the rule file has faults") };
    let of = |token: &str, word: &str| {
        let leaked = crate::acting::Leaked::among(&files, "corp-openid", "refresh-token", token);
        leaked.at("api", &oidc.url()).admin("client", &client).admin("secret", word)
    };
    let (neighbour, leaked) = (mint(), mint());
    of(&leaked, &secret).works();
    of(&leaked, "wrong").does("revocation", Outcome::Refused, "");
    of(&leaked, &secret).works();
    of(&leaked, &secret).does("revocation", Outcome::Done, "");
    of(&leaked, &secret).is_dead();
    // RFC 7009, 2.2: 200 for a token that is none, too. Only asking again is proof.
    of(&leaked, &secret).does("revocation", Outcome::Done, "");
    of(&neighbour, &secret).works();
}
