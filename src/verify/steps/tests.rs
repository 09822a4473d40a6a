#![allow(clippy::unwrap_used)]
//! Steps in order, what stops them, what a failure means before and after the decisive request.

use super::*;
use crate::rules::ask::Ask;
use crate::verify::judge::tests::ask;
use crate::verify::replay::{self, Played, Replay};
use crate::verify::transport::Reply;

const NOW: i64 = 1_767_323_045;
const ADMIN: &str = "admin";

fn json(status: u16, body: &str) -> Played {
    let headers = vec![("content-type".into(), "application/json".into())];
    Played::Reply(Reply { status, headers, body: body.into(), cut: false })
}

fn parts(list: &[(&str, &str)]) -> BTreeMap<String, Vec<u8>> {
    list.iter().map(|(n, v)| ((*n).to_owned(), v.as_bytes().to_vec())).collect()
}

fn endpoints(urls: &[&str]) -> Endpoints {
    let all = urls.iter().map(|u| ResolvedEndpoint { url: (*u).to_owned(), configured: false }).collect();
    Endpoints::from([("api".to_owned(), Ok(all))])
}

fn asked(ask: &Ask, org: &[(&str, &str)], to: &Endpoints, replies: Vec<Played>) -> (Checked, Vec<String>) {
    let (transport, parts) = (Replay::new(replies), parts(org));
    let credential = Credential { secret: b"xyz_ac0123456789", parts: &parts, secrets: &[] };
    let checked = replay::run(verify(ask, &credential, to, &transport, NOW)).unwrap();
    assert_eq!(transport.left(), 0, "replies that nobody asked for");
    (checked, transport.sent().into_iter().map(|s| format!("{:?} {}", s.method, s.url)).collect())
}

const TWO: &str = "verify = \"v\"\n[[verify.v]]\nrequest = { method = \"GET\", path = \"/who\", bearer = \"{secret}\" }\ncapture = { id = { json = \"/id\" } }\n\
    [[verify.v]]\nrequest = { method = \"GET\", path = \"/users/{id}\" }\nactive = [{ status = 200, has = \"/login\" }]\ninactive = [{ status = 401 }]\nprincipal = { login = { json = \"/login\" } }\n\
    [[verify.v]]\nrequest = { method = \"GET\", path = \"/orgs/{id}\" }\nprincipal = { organisation = { json = \"/name\" } }\n";

#[test]
fn captures_lead_to_the_verdict_and_later_steps_only_add() {
    let (ask, to) = (ask(TWO), endpoints(&["https://a.example.com"]));
    let (checked, sent) = asked(
        &ask,
        &[],
        &to,
        vec![json(200, r#"{"id":7}"#), json(200, r#"{"login":"jane"}"#), json(200, r#"{"name":"Acme"}"#)],
    );
    assert_eq!(
        sent,
        ["Get https://a.example.com/who", "Get https://a.example.com/users/7", "Get https://a.example.com/orgs/7"]
    );
    assert_eq!((checked.validity, checked.how, checked.at), (Validity::Active, How::Asked, Some(NOW)));
    let principal = checked.principal.unwrap();
    assert_eq!((principal.login.as_deref(), principal.organisation.as_deref()), (Some("jane"), Some("Acme")));
    for last in [json(500, ""), json(404, "{}"), Played::Failure(Failure::TimedOut)] {
        let (checked, _) =
            asked(&ask, &[], &to, vec![json(200, r#"{"id":7}"#), json(200, r#"{"login":"jane"}"#), last]);
        assert_eq!(checked.validity, Validity::Active);
        assert_eq!(checked.principal.unwrap().login.as_deref(), Some("jane"));
    }
}

#[test]
fn a_step_before_the_verdict_must_give_its_captures() {
    let (ask, to) = (ask(TWO), endpoints(&["https://a.example.com"]));
    for (first, reason) in [
        (json(200, "{}"), "no single `id`"),
        (json(200, r#"{"id":123456789012345678901}"#), "no single `id`"),
        (json(401, r#"{"id":7}"#), "(401)"),
        (json(429, r#"{"id":7}"#), "(429)"),
        (Played::Failure(Failure::TimedOut), "no answer in time"),
    ] {
        let (checked, sent) = asked(&ask, &[], &to, vec![first]);
        assert!(
            matches!(&checked.validity, Validity::Unknown(r) if r.contains(reason)),
            "{:?} {reason}",
            checked.validity
        );
        assert_eq!((sent.len(), checked.principal), (1, None));
    }
}

#[test]
fn inactive_and_unknown_stop() {
    let (ask, to) = (ask(TWO), endpoints(&["https://a.example.com"]));
    let (checked, sent) = asked(&ask, &[], &to, vec![json(200, r#"{"id":7}"#), json(401, "")]);
    assert_eq!((checked.validity, sent.len()), (Validity::Inactive, 2));
    let (checked, sent) = asked(&ask, &[], &to, vec![json(200, r#"{"id":7}"#), json(403, "")]);
    assert!(matches!(checked.validity, Validity::Unknown(_)) && sent.len() == 2);
}

#[test]
fn what_is_missing_is_named_and_nothing_is_sent() {
    let one = "verify = \"v\"\n[[verify.v]]\nrequest = { method = \"GET\", path = \"/{org}\" }\nactive = [{ status = 200 }]\ninactive = [{ status = 401 }]\n";
    let nowhere = Endpoints::from([("api".to_owned(), Err("give --endpoint x=URL".to_owned()))]);
    let to = endpoints(&["https://a.example.com"]);
    for (org, to, reason) in [
        (vec![], &to, "the credential's `org` is not known"),
        (vec![("org", "")], &to, "the credential's `org` is not known"),
        (vec![("org", "..")], &to, "would leave the path"),
        (vec![("org", "ac")], &nowhere, "give --endpoint x=URL"),
        (vec![("org", "ac")], &Endpoints::new(), "`api` is not known"),
    ] {
        let (checked, sent) = asked(&ask(one), &org, to, vec![]);
        assert!(
            matches!(&checked.validity, Validity::Unknown(r) if r.contains(reason)),
            "{:?} {reason}",
            checked.validity
        );
        assert_eq!((sent.len(), checked.how, checked.at), (0, How::NotAsked, None));
    }
    let (checked, _) = asked(&ask(one), &[("org", "ac")], &to, vec![Played::Failure(Failure::Offline)]);
    assert_eq!((checked.validity, checked.how), (Validity::Unknown("offline".into()), How::NotAsked));
}

#[test]
fn of_several_sites_one_is_enough_and_inactive_needs_all() {
    let one = ask(
        "verify = \"v\"\n[[verify.v]]\nrequest = { method = \"GET\", path = \"/\" }\nactive = [{ status = 200 }]\ninactive = [{ status = 401 }]\n",
    );
    let to = endpoints(&["https://a.example.com", "https://b.example.com"]);
    let verdict = |replies| asked(&one, &[], &to, replies);
    let (checked, sent) = verdict(vec![json(401, ""), json(200, "")]);
    assert_eq!(
        (checked.validity, sent.as_slice()),
        (Validity::Active, ["Get https://a.example.com/", "Get https://b.example.com/"].map(String::from).as_slice())
    );
    assert_eq!(verdict(vec![json(200, "")]).0.validity, Validity::Active);
    assert_eq!(verdict(vec![json(401, ""), json(401, "")]).0.validity, Validity::Inactive);
    assert_eq!(verdict(vec![json(503, ""), json(200, "")]).0.validity, Validity::Active);
    assert!(matches!(verdict(vec![json(503, ""), json(401, "")]).0.validity, Validity::Unknown(_)));
    assert!(matches!(verdict(vec![json(401, ""), json(503, "")]).0.validity, Validity::Unknown(_)));
}

#[test]
fn over_by_its_own_date_is_not_asked_about() {
    let rule = "offline = [{ decode = \"none\", principal = { expires = { text = \"{org}\" } } }]\n";
    let body = "verify = \"v\"\n[[verify.v]]\nrequest = { method = \"GET\", path = \"/\" }\nactive = [{ status = 200 }]\ninactive = [{ status = 401 }]\n";
    let (dated, to) = (ask(&format!("{rule}{body}")), endpoints(&["https://a.example.com"]));
    let (checked, sent) = asked(&dated, &[("org", "2025-12-31T00:00:00Z")], &to, vec![]);
    assert_eq!((checked.validity, checked.how, sent.len()), (Validity::Inactive, How::Offline, 0));
    assert_eq!(checked.remark.as_deref(), Some("expired, by its own date"));
    for later in ["2027-01-01", "next year", "0"] {
        let (checked, _) = asked(&dated, &[("org", later)], &to, vec![json(200, "")]);
        assert_eq!(checked.validity, Validity::Active, "{later}");
    }
}

#[test]
fn what_a_value_holds_can_be_used_to_ask() {
    let rule = "offline = [{ decode = \"none\", capture = { site = { text = \"{org:0..1}\" } } }]\nverify = \"v\"\n";
    let body = "[[verify.v]]\nrequest = { method = \"GET\", path = \"/{site}\" }\nactive = [{ status = 200 }]\ninactive = [{ status = 401 }]\n";
    let (_, sent) = asked(
        &ask(&format!("{rule}{body}")),
        &[("org", "ac")],
        &endpoints(&["https://a.example.com"]),
        vec![json(200, "")],
    );
    assert_eq!(sent, ["Get https://a.example.com/a"]);
}

const DELETE: &str = "revoke = [\"w\"]\n[revoke.w]\ntitle = \"Delete\"\nby = \"admin\"\nadmin = [\"token\"]\neffect = \"revoke\"\ndocs = \"https://example.com\"\n\
    [[revoke.w.step]]\nrequest = { method = \"GET\", path = \"/keys\", bearer = \"{admin.token}\" }\nitem = { each = \"/keys\", equals = { \"/prefix\" = \"{secret:0..8}\" }, capture = { id = \"/id\" } }\nrefused = [{ status = 401, reason = \"the administrator's token does not work\" }]\n\
    [[revoke.w.step]]\nrequest = { method = \"DELETE\", path = \"/keys/{id}\", bearer = \"{admin.token}\" }\ndone = [{ status = 204 }]\ngone = [{ status = 404 }]\nrefused = [{ status = 403 }]\n";

fn acted(ask: &Ask, secrets: &[&[u8]], replies: Vec<Played>) -> (Acted, Vec<String>) {
    let (transport, none) = (Replay::new(replies), BTreeMap::new());
    let credentials: Vec<Credential<'_>> =
        secrets.iter().map(|secret| Credential { secret, parts: &none, secrets: &[] }).collect();
    let admin = BTreeMap::from([("token".to_owned(), zeroize::Zeroizing::new(ADMIN.to_owned()))]);
    let to = endpoints(&["https://a.example.com"]);
    let acted = replay::run(act(Mode::Act, ask, &ask.revoke[0], &credentials, &admin, &to, &transport, NOW)).unwrap();
    (acted, transport.sent().into_iter().map(|s| format!("{:?} {}", s.method, s.url)).collect())
}

#[test]
fn only_the_item_that_is_the_credential_is_deleted() {
    let way = ask(DELETE);
    let secret: &[&[u8]] = &[b"xyz_ac0123456789"];
    let list = r#"{"keys":[{"prefix":"xyz_zz99","id":1},{"prefix":"xyz_ac01","id":2}]}"#;
    let (done, sent) = acted(&way, secret, vec![json(200, list), json(204, "")]);
    assert_eq!((done.outcome, done.sent), (Outcome::Done, true));
    assert_eq!(sent, ["Get https://a.example.com/keys", "Delete https://a.example.com/keys/2"]);
    for (list, reason) in [
        (r#"{"keys":[]}"#, "does not hold this credential"),
        (r#"{"keys":[{"prefix":"xyz_zz99","id":1}]}"#, "does not hold this credential"),
        (r#"{"keys":[{"prefix":"xyz_ac01","id":1},{"prefix":"xyz_ac01","id":2}]}"#, "2 items"),
        (r#"{"keys":[{"prefix":"xyz_ac01"}]}"#, "no single `id`"),
        (r#"{"keys":[{"prefix":"xyz_ac01","id":[1,2]}]}"#, "no single `id`"),
        (r#"{"keys":[{"prefix":"xyz_ac01","id":1,"id":2}]}"#, "could not be read"),
        ("<html>", "could not be read"),
    ] {
        let (refused, sent) = acted(&way, secret, vec![json(200, list)]);
        assert_eq!((refused.outcome, refused.sent, sent.len()), (Outcome::Refused, false, 1), "{list}");
        assert!(refused.reason.as_deref().unwrap_or_default().contains(reason), "{:?} {list}", refused.reason);
    }
}

#[test]
fn what_may_have_changed_is_told_apart_from_what_has_not() {
    let way = ask(DELETE);
    let list = || json(200, r#"{"keys":[{"prefix":"xyz_ac01","id":2}]}"#);
    let secret: &[&[u8]] = &[b"xyz_ac0123456789"];
    let broken = || Played::Failure(Failure::Broken("connection reset".into()));
    let cases = vec![
        (vec![list(), json(404, "")], Outcome::Gone, true),
        (vec![list(), json(403, "")], Outcome::Refused, true),
        (vec![list(), json(202, "")], Outcome::Unknown, true),
        (vec![list(), json(429, "")], Outcome::Unknown, true),
        (vec![list(), json(502, "")], Outcome::Unknown, true),
        (vec![list(), json(302, "")], Outcome::Unknown, true),
        (vec![list(), broken()], Outcome::Unknown, true),
        (vec![list(), Played::Failure(Failure::TimedOut)], Outcome::Unknown, true),
        (vec![list(), Played::Failure(Failure::Offline)], Outcome::Refused, false),
        (vec![list(), Played::Failure(Failure::CircuitOpen("a".into()))], Outcome::Refused, false),
        (vec![broken()], Outcome::Refused, false),
        (vec![json(401, "")], Outcome::Refused, false),
        (vec![json(500, "")], Outcome::Refused, false),
    ];
    for (i, (replies, outcome, sent)) in cases.into_iter().enumerate() {
        let (acted, _) = acted(&way, secret, replies);
        assert_eq!((acted.outcome, acted.sent), (outcome, sent), "case {i}: {:?}", acted.reason);
    }
}

#[test]
fn a_batch_takes_many_and_a_single_call_one() {
    let way = ask(
        "revoke = [\"w\"]\n[revoke.w]\ntitle = \"Revoke\"\nby = \"holder\"\neffect = \"revoke\"\nbatch = 2\n[[revoke.w.step]]\nrequest = { method = \"POST\", path = \"/r\", json = { all = [\"{secrets}\"] } }\ndone = [{ status = 202 }]\n",
    );
    let two: &[&[u8]] = &[b"xyz_ac0123456789", b"xyz_ac9876543210"];
    let (done, sent) = acted(&way, two, vec![json(202, "")]);
    assert_eq!((done.outcome, sent.len()), (Outcome::Done, 1));
    let (refused, sent) = acted(&way, &[two[0], two[1], two[0]], vec![]);
    assert_eq!((refused.outcome, sent.len()), (Outcome::Refused, 0));
    let (refused, sent) = acted(&ask(DELETE), two, vec![]);
    assert_eq!((refused.outcome, sent.len()), (Outcome::Refused, 0));
    assert_eq!(acted(&way, &[], vec![]).0.outcome, Outcome::Refused);
}

#[test]
fn an_administrator_brings_his_own() {
    let way = ask(DELETE);
    let none = BTreeMap::new();
    let credential = Credential { secret: b"xyz_ac0123456789", parts: &none, secrets: &[] };
    let transport = Replay::default();
    let one = [credential];
    let to = endpoints(&["https://a.example.com"]);
    let acted =
        replay::run(act(Mode::Act, &way, &way.revoke[0], &one, &BTreeMap::new(), &to, &transport, NOW)).unwrap();
    assert_eq!((acted.outcome, transport.sent().len()), (Outcome::Refused, 0));
    assert!(acted.reason.unwrap().contains("`token`"));
}

#[test]
fn without_an_end_told_there_is_none_only_if_the_rule_says_so() {
    let step = |pick: &str| {
        format!(
            "[[verify.v]]\nrequest = {{ method = \"GET\", path = \"/\" }}\nactive = [{{ status = [200, 403], has = \"/id\" }}]\ninactive = [{{ status = 401 }}]\n\
             principal = {{ id = {{ json = \"/id\" }}, expires = {{ {pick} }} }}\n"
        )
    };
    let to = endpoints(&["https://a.example.com"]);
    let expires = |rule: &str, reply: Played| asked(&ask(rule), &[], &to, vec![reply]).0.principal.unwrap().expires;
    let endless = "verify = \"v\"\nendless = \"https://docs.example.com/\"\n";
    let by_json = format!("{endless}{}", step("json = \"/end\""));
    for none in ["", r#","end":null"#, r#","end":"""#, r#","end":0"#, r#","end":"0001-01-01T00:00:00Z""#] {
        let reply = || json(200, &format!(r#"{{"id":7{none}}}"#));
        assert_eq!(expires(&by_json, reply()).as_deref(), Some("never"), "{none}");
        assert_eq!(expires(&format!("verify = \"v\"\n{}", step("json = \"/end\"")), reply()), None, "{none}");
    }
    let end = json(200, r#"{"id":7,"end":"2027-01-01"}"#);
    assert_eq!(expires(&by_json, end).as_deref(), Some("2027-01-01T00:00:00Z"));
    assert_eq!(expires(&by_json, json(200, r#"{"id":7,"end":"soon"}"#)).as_deref(), Some("soon"));
    // A refusal that shows that it works tells nothing of its end.
    assert_eq!(expires(&by_json, json(403, r#"{"id":7}"#)), None);
    let by_header = format!("{endless}{}", step("header = \"x-end\""));
    assert_eq!(expires(&by_header, json(200, r#"{"id":7}"#)).as_deref(), Some("never"));
    assert_eq!(expires(&format!("{endless}{}", step("regex = 'end=(.*)'")), json(200, r#"{"id":7}"#)), None);
}
