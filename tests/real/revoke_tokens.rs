//! Tokens ended at real issuers by the ways of their rules: the right one dies, its neighbour goes on, and an issuer that
//! says yes and does nothing is found out by asking again.

use serde_json::{Value, json};
use unsprawl::model::Validity;
use unsprawl::verify::steps::Outcome;

use crate::acting::Leaked;
use crate::servers::{Server, fresh, get, password};

/// A person of verdaccio's: a session and two tokens of its own.
pub fn npm_tokens(npm: &Server) -> (String, [String; 2]) {
    let (name, word) = (fresh("revoke"), password("npm"));
    let person = json!({ "name": name, "password": word });
    let session = npm.request("PUT", &format!("/-/user/org.couchdb.user:{name}")).json(person).expect(&[201]);
    let session = session["token"].as_str().unwrap().to_owned();
    let make = || {
        let body = json!({ "password": word, "readonly": false, "cidr_whitelist": [] });
        let made = npm.request("POST", "/-/npm/v1/tokens").bearer(&session).json(body).expect(&[200]);
        made["token"].as_str().unwrap().to_owned()
    };
    let tokens = [make(), make()];
    (session, tokens)
}

#[test]
fn npm_says_yes_to_a_log_out_and_the_token_lives_on() {
    let Some(npm) = get("npm") else { return };
    let (session, [first, leaked]) = npm_tokens(&npm);
    let of = |token: &str| Leaked::new("npm", "registry-jwt", token).at("api", &npm.url()).admin("token", &session);
    of(&leaked).works();
    for lie in ["logout", "own-tokens"] {
        of(&leaked).does(lie, Outcome::Done, "");
        of(&leaked).works();
    }
    // By its key, which its own list tells; it is not the first one there.
    of(&leaked).does("delete-own", Outcome::Done, "");
    of(&leaked).is_dead();
    of(&first).works();
}

pub fn matrix_login(matrix: &Server, name: &str) -> String {
    let word = password("matrix");
    let path = format!("/_synapse/admin/v2/users/@{name}:corp.example");
    let person = json!({ "password": word, "logout_devices": false });
    matrix.request("PUT", &path).bearer(&matrix.fact("token")).json(person).expect(&[200, 201]);
    let user = json!({ "type": "m.id.user", "user": name });
    let login = json!({ "type": "m.login.password", "identifier": user, "password": word });
    let made = matrix.request("POST", "/_matrix/client/v3/login").json(login).expect(&[200]);
    made["access_token"].as_str().unwrap().to_owned()
}

#[test]
fn matrix_a_session_is_logged_out_by_itself_or_by_an_administrator() {
    let Some(matrix) = get("matrix") else { return };
    let name = fresh("revoke");
    let [first, second, third] = [0; 3].map(|_| matrix_login(&matrix, &name));
    let of = |token: &str| {
        let leaked = Leaked::new("matrix", "access-token", token).at("api", &matrix.url());
        leaked.admin("token", &matrix.fact("token"))
    };
    of(&second).works();
    of(&second).does("logout", Outcome::Done, "");
    of(&second).is_dead();
    of(&second).does("logout", Outcome::Gone, "");
    of(&third).does("delete-device", Outcome::Done, "");
    of(&third).is_dead();
    of(&first).works();
}

#[test]
fn jupyterhub_a_token_is_deleted_by_the_id_that_it_has_now() {
    let Some(hub) = get("jupyterhub") else { return };
    let (name, admin) = (fresh("revoke"), format!("token {}", hub.fact("token")));
    let call = |method: &str, path: &str| {
        hub.request(method, &format!("/hub/api/users/{name}{path}")).header("Authorization", &admin)
    };
    call("POST", "").expect(&[201]);
    let make = || {
        let made = call("POST", "/tokens").json(json!({ "note": "ci" })).expect(&[201]);
        (made["token"].as_str().unwrap().to_owned(), made["id"].as_str().unwrap().to_owned())
    };
    let of = |token: &str| {
        let leaked = Leaked::new("jupyterhub", "api-token", token).at("api", &format!("{}/hub/api", hub.url()));
        leaked.admin("token", &hub.fact("token"))
    };
    let (neighbour, (leaked, id)) = (make().0, make());
    of(&leaked).works();
    of(&leaked).does("token", Outcome::Done, "");
    of(&leaked).is_dead();
    // The hub gives an id again: the next token has that of the dead one, and is not what is deleted for it.
    let (next, again) = make();
    assert_eq!(id, again, "the hub does not use ids twice any more: this test has lost its point");
    of(&leaked).does("token", Outcome::Gone, "");
    of(&leaked).does("token-admin", Outcome::Gone, "");
    of(&next).works();
    of(&next).does("token-admin", Outcome::Done, "");
    of(&next).is_dead();
    of(&neighbour).works();
}

#[test]
fn unleash_a_client_token_lives_on_for_a_while() {
    let Some(unleash) = get("unleash") else { return };
    let login = |name: &str, word: &str| {
        let body = json!({ "username": name, "password": word });
        let cookie = unleash.request("POST", "/auth/simple/login").json(body).send_for_header("set-cookie");
        cookie.split(';').next().unwrap().to_owned()
    };
    let root = login(&unleash.fact("admin"), &unleash.fact("password"));
    let make = |path: &str, body: Value| {
        let made = unleash.request("POST", path).header("Cookie", &root).json(body).expect(&[201]);
        made["secret"].as_str().unwrap().to_owned()
    };
    let client = || {
        let body = json!({ "type": "client", "tokenName": fresh("revoke"), "environment": "development", "projects": ["default"] });
        make("/api/admin/api-tokens", body)
    };
    let responder = make(
        "/api/admin/user/tokens",
        json!({ "description": fresh("responder"), "expiresAt": "2090-01-01T00:00:00.000Z" }),
    );
    let of =
        |token: &str| Leaked::new("unleash", "api-token", token).at("api", &unleash.url()).admin("token", &responder);
    let (neighbour, leaked) = (client(), client());
    of(&leaked).works();
    of(&leaked).does("delete-api-token", Outcome::Done, "");
    // Its server keeps what it knows for a minute: a yes is no proof, the rule's `within` says how long to ask.
    let within = std::time::Duration::from_secs(180);
    let begun = std::time::Instant::now();
    while of(&leaked).validity() == Validity::Active {
        assert!(begun.elapsed() < within, "it still works");
        std::thread::sleep(std::time::Duration::from_secs(2));
    }
    of(&leaked).is_dead();
    of(&neighbour).works();
}

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

/// A key of a user, who may do this.
pub fn aws_key(aws: &Server, user: &str) -> (String, String) {
    let key = iam(aws, "create_access_key", &json!({ "UserName": user }))["AccessKey"].clone();
    let text = |name: &str| key[name].as_str().unwrap().to_owned();
    (text("AccessKeyId"), text("SecretAccessKey"))
}

pub fn aws_user(aws: &Server, stem: &str, action: &str) -> String {
    let user = fresh(stem);
    iam(aws, "create_user", &json!({ "UserName": user }));
    let policy =
        json!({ "Version": "2012-10-17", "Statement": [{ "Effect": "Allow", "Action": action, "Resource": "*" }] });
    let inline = json!({ "UserName": user, "PolicyName": "p", "PolicyDocument": policy.to_string() });
    iam(aws, "put_user_policy", &inline);
    user
}

#[test]
fn aws_a_key_is_inactivated_brought_back_and_deleted() {
    let Some(aws) = get("aws") else { return };
    let (user, poor) = (aws_user(&aws, "revoke", "iam:UpdateAccessKey"), aws_user(&aws, "poor", "s3:GetObject"));
    let responder = aws_key(&aws, &aws_user(&aws, "responder", "iam:*"));
    let of = |(id, secret): &(String, String)| {
        let leaked = Leaked::new("aws", "secret-access-key", secret).part("access-key-id", id);
        let leaked = leaked.at("api", &aws.url()).at("iam", &aws.url());
        leaked.admin("key-id", &responder.0).admin("secret", &responder.1)
    };
    let (neighbour, leaked) = (aws_key(&aws, &user), aws_key(&aws, &user));
    of(&leaked).works();
    of(&leaked).does("deactivate", Outcome::Done, "");
    of(&leaked).is_dead();
    of(&neighbour).works();
    of(&leaked).does("activate-admin", Outcome::Done, "");
    of(&leaked).works();
    of(&leaked).does("deactivate-admin", Outcome::Done, "");
    of(&leaked).is_dead();
    of(&leaked).does("delete-admin", Outcome::Done, "");
    of(&leaked).is_dead();
    of(&neighbour).works();
    // Who may not do it, does not; his key goes on.
    let other = aws_key(&aws, &poor);
    of(&other).does("deactivate", Outcome::Refused, "");
    of(&other).works();
}
