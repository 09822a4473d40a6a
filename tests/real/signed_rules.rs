//! Rules whose requests are signed with the leaked private key itself: with a real key, which `openssl` makes, and replies
//! as the issuer documents them. Skipped without openssl; under CI=true that is a failure.

#![allow(clippy::unwrap_used, clippy::print_stderr)]

use std::collections::BTreeMap;
use std::process::Command;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use ring::rand::SystemRandom;
use ring::signature::{Ed25519KeyPair, KeyPair};
use unsprawl::model::Validity;
use unsprawl::rules::ask::{Ask, compile};
use unsprawl::rules::pattern::part_names;
use unsprawl::verify::render::ResolvedEndpoint;
use unsprawl::verify::replay::{Played, Replay, run};
use unsprawl::verify::steps::{self, Credential, Endpoints, Outcome};
use unsprawl::verify::transport::Reply;

/// 2026-01-01
const NOW: i64 = 1_767_225_600;

fn key() -> Option<String> {
    made(&["genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"])
}

fn made(arguments: &[&str]) -> Option<String> {
    let made = Command::new("openssl").args(arguments).output();
    let Ok(made) = made else {
        assert!(std::env::var_os("CI").is_none(), "openssl is needed");
        eprintln!("skipped: openssl is not installed");
        return None;
    };
    Some(String::from_utf8(made.stdout).unwrap())
}

fn ask(issuer: &str, token: &str) -> Ask {
    let files = unsprawl::rules::embedded();
    let (text, file) = files.iter().find(|(_, file)| file.issuer.id.get_ref() == issuer).unwrap();
    let token = file.tokens.iter().find(|t| t.get_ref().id.get_ref() == token).unwrap().get_ref();
    compile(text, file, token, &part_names(token).unwrap()).unwrap()
}

fn reply(status: u16, body: &str) -> Played {
    Played::Reply(Reply { status, headers: Vec::new(), body: body.as_bytes().to_vec(), cut: false })
}

fn parts(list: &[(&str, &str)]) -> BTreeMap<String, Vec<u8>> {
    list.iter().map(|(n, v)| ((*n).to_owned(), v.as_bytes().to_vec())).collect()
}

/// Where the rule's own endpoints are.
fn endpoints(ask: &Ask, credential: &Credential<'_>) -> Endpoints {
    let values = steps::values(ask, credential, NOW);
    let place = |url: String| ResolvedEndpoint { url, configured: false };
    let named = |(name, endpoint): (&String, &unsprawl::rules::ask::Endpoint)| {
        let public = endpoint.public(&values).map_err(|e| e.to_string());
        (name.clone(), public.map(|urls| urls.into_iter().map(place).collect()))
    };
    ask.endpoints.iter().map(named).collect()
}

#[test]
fn oracle_asks_as_the_user() {
    let Some(pem) = key() else { return };
    let ask = ask("oracle", "api-signing-key");
    let parts =
        parts(&[("user-ocid", "ocid1.user.x"), ("tenancy-ocid", "ocid1.tenancy.x"), ("region", "eu-frankfurt-1")]);
    let credential = Credential { secret: pem.as_bytes(), parts: &parts, secrets: &[] };
    let verify = |status, body| {
        let transport = Replay::new([reply(status, body)]);
        let checked = run(steps::verify(&ask, &credential, &endpoints(&ask, &credential), &transport, NOW)).unwrap();
        (checked, transport.sent())
    };
    let (checked, sent) = verify(200, r#"{"id":"ocid1.user.x","name":"jo","email":"jo@corp.example"}"#);
    assert_eq!(checked.validity, Validity::Active);
    assert_eq!(checked.principal.unwrap().email.as_deref(), Some("jo@corp.example"));
    assert_eq!(sent[0].url, "https://identity.eu-frankfurt-1.oraclecloud.com/20160918/users/ocid1.user.x");
    let signature = &sent[0].headers.iter().find(|(n, _)| n == "authorization").unwrap().1;
    assert!(signature.starts_with("Signature version=\"1\",keyId=\"ocid1.tenancy.x/ocid1.user.x/"), "{signature}");
    assert_eq!(verify(401, r#"{"code":"NotAuthenticated"}"#).0.validity, Validity::Inactive);
    assert_eq!(verify(404, r#"{"code":"NotAuthorizedOrNotFound"}"#).0.validity, Validity::Active);
    assert!(matches!(verify(403, "{}").0.validity, Validity::Unknown(_)));
}

#[test]
fn google_compares_the_public_half_and_ends_the_key_with_itself() {
    let Some(pem) = key() else { return };
    let ask = ask("google", "service-account-key");
    let email = "bot@acme-prod.iam.gserviceaccount.com";
    let parts = parts(&[("service-account-email", email), ("private_key_id", "0c4f")]);
    // As it stands in JSON.
    let secret = pem.trim_end().replace('\n', "\\n");
    let credential = Credential { secret: secret.as_bytes(), parts: &parts, secrets: &[] };
    let modulus = unsprawl::verify::sign::PrivateKey::read(&pem).unwrap().modulus().unwrap();
    let places = endpoints(&ask, &credential);
    let verify = |n: &str| {
        let transport = Replay::new([reply(200, &format!(r#"{{"keys":[{{"kid":"1","n":"{n}"}}]}}"#))]);
        run(steps::verify(&ask, &credential, &places, &transport, NOW)).unwrap().validity
    };
    assert_eq!(verify(&modulus), Validity::Active);
    assert_eq!(verify("other"), Validity::Inactive);

    let act = |name: &str, replies: Vec<Played>| {
        let transport = Replay::new(replies);
        let way = ask.way(name).unwrap();
        let (one, admin) = ([credential], BTreeMap::new());
        let acting = steps::act(steps::Mode::Act, &ask, way, &one, &admin, &places, &transport, NOW);
        (run(acting).unwrap().outcome, transport.sent())
    };
    let token = || reply(200, r#"{"access_token":"at","expires_in":3599}"#);
    let (outcome, sent) = act("disable", vec![token(), reply(200, "{}")]);
    assert_eq!(outcome, Outcome::Done);
    assert_eq!(sent[0].url, "https://oauth2.googleapis.com/token");
    let form = String::from_utf8(sent[0].body.clone()).unwrap();
    assert!(form.starts_with("grant_type=urn:ietf:params:oauth:grant-type:jwt-bearer&assertion=eyJ"), "{form}");
    let place = "https://iam.googleapis.com/v1/projects/acme-prod/serviceAccounts/bot%40acme-prod.iam.gserviceaccount.com/keys/0c4f";
    assert_eq!(sent[1].url, format!("{place}:disable"));
    assert!(sent[1].headers.contains(&("authorization".into(), "Bearer at".into())));
    assert_eq!(act("delete", vec![token(), reply(200, "{}")]).1[1].url, place);
    assert_eq!(act("disable", vec![token(), reply(403, "{}")]).0, Outcome::Refused);
    let (outcome, sent) = act("disable", vec![reply(400, r#"{"error":"invalid_grant"}"#)]);
    assert_eq!((outcome, sent.len()), (Outcome::Gone, 1));
}

#[test]
fn coinbase_asks_what_the_key_may_do() {
    let Some(pem) = made(&["ecparam", "-name", "prime256v1", "-genkey", "-noout"]) else { return };
    let ask = ask("coinbase", "private-key");
    let (organisation, key) = ("3f0c8a1e-0000-4000-8000-0000000000aa", "5d2c8a31-0000-4000-8000-0000000000bb");
    let name = format!("organizations/{organisation}/apiKeys/{key}");
    let parts = parts(&[("key-name", &name)]);
    // As it stands in the key's JSON file.
    let secret = pem.replace('\n', "\\n");
    let credential = Credential { secret: secret.as_bytes(), parts: &parts, secrets: &[] };
    let verify = |status, body| {
        let transport = Replay::new([reply(status, body)]);
        let checked = run(steps::verify(&ask, &credential, &endpoints(&ask, &credential), &transport, NOW)).unwrap();
        (checked, transport.sent())
    };
    let (checked, sent) = verify(200, r#"{"can_view":true,"can_trade":false,"portfolio_uuid":"p"}"#);
    assert_eq!(checked.validity, Validity::Active);
    let principal = checked.principal.unwrap();
    assert_eq!((principal.organisation.as_deref(), principal.key_id.as_deref()), (Some(organisation), Some(key)));
    assert_eq!(sent[0].url, "https://api.coinbase.com/api/v3/brokerage/key_permissions");
    let authorization = &sent[0].headers.iter().find(|(n, _)| n == "authorization").unwrap().1;
    assert!(authorization.starts_with("Bearer eyJ") && authorization.split('.').count() == 3);
    // Live keys get 401, too.
    assert!(matches!(verify(401, "Unauthorized").0.validity, Validity::Unknown(_)));
    assert!(matches!(verify(403, "{}").0.validity, Validity::Unknown(_)));
    assert!(matches!(verify(200, "<html></html>").0.validity, Validity::Unknown(_)));
}

/// A new Ed25519 key as Coinbase hands it out.
fn edwards() -> String {
    let document = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).unwrap();
    let pair = Ed25519KeyPair::from_pkcs8(document.as_ref()).unwrap();
    // PKCS #8 (RFC 8410): the seed follows a head of 16 bytes.
    let seed = &document.as_ref()[16..48];
    STANDARD.encode([seed, pair.public_key().as_ref()].concat())
}

#[test]
fn coinbase_asks_with_edwards_keys_by_id_and_by_name() {
    let (secret, ask) = (edwards(), ask("coinbase", "api-key-secret"));
    let (organisation, key) = ("3f0c8a1e-0000-4000-8000-0000000000aa", "5d2c8a31-0000-4000-8000-0000000000bb");
    let name = format!("organizations/{organisation}/apiKeys/{key}");
    for (part, value, of) in [("key-id", key, None), ("key-name", name.as_str(), Some(organisation))] {
        let parts = parts(&[(part, value)]);
        let credential = Credential { secret: secret.as_bytes(), parts: &parts, secrets: &[] };
        let verify = |status, body| {
            let transport = Replay::new([reply(status, body)]);
            let checked =
                run(steps::verify(&ask, &credential, &endpoints(&ask, &credential), &transport, NOW)).unwrap();
            (checked, transport.sent())
        };
        let (checked, sent) = verify(200, r#"{"can_view":false,"can_trade":true,"portfolio_uuid":"p"}"#);
        assert_eq!(checked.validity, Validity::Active, "{part}");
        let principal = checked.principal.unwrap();
        assert_eq!((principal.organisation.as_deref(), principal.key_id.as_deref()), (of, Some(key)));
        assert_eq!(sent.len(), 1);
        assert_eq!(sent[0].url, "https://api.coinbase.com/api/v3/brokerage/key_permissions");
        let authorization = &sent[0].headers.iter().find(|(n, _)| n == "authorization").unwrap().1;
        let head = authorization.strip_prefix("Bearer ").and_then(|token| token.split('.').next()).unwrap();
        let head: serde_json::Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(head).unwrap()).unwrap();
        assert_eq!((&head["alg"], &head["kid"]), (&"EdDSA".into(), &value.into()));
        assert!(matches!(verify(401, "Unauthorized").0.validity, Validity::Unknown(_)));
        assert!(matches!(verify(403, "{}").0.validity, Validity::Unknown(_)));
        assert!(matches!(verify(200, "<html></html>").0.validity, Validity::Unknown(_)));
    }
}
