#![allow(clippy::unwrap_used)]
use proptest::prelude::*;

use super::*;

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        ".{0,8}".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 24, 4, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            proptest::collection::btree_map(".{0,4}", inner, 0..4).prop_map(|m| Value::Object(m.into_iter().collect())),
        ]
    })
}

/// The same with every object's keys the other way round.
fn turned(value: &Value) -> Value {
    match value {
        Value::Object(fields) => Value::Object(fields.iter().rev().map(|(k, v)| (k.clone(), turned(v))).collect()),
        Value::Array(items) => items.iter().map(turned).collect(),
        other => other.clone(),
    }
}

proptest! {
    #[test]
    fn one_form_for_one_document(a in any_json(), b in any_json()) {
        let document = |v: &Value| json!({ "schema": "x", "items": v });
        let (one, other) = (payload(&document(&a)).unwrap(), payload(&document(&b)).unwrap());
        prop_assert_eq!(&one, &payload(&turned(&document(&a))).unwrap());
        let again: Value = serde_json::from_slice(&one).unwrap();
        prop_assert_eq!(&one, &payload(&again).unwrap());
        prop_assert_eq!(one == other, a == b);
    }
}

#[test]
fn approvals_are_not_part_of_what_is_signed() {
    let mut plan = json!({ "b": 1, "a": [1.0, "x\n"], "approvals": [] });
    let before = payload(&plan).unwrap();
    assert_eq!(before, br#"{"a":[1.0,"x\n"],"b":1}"#);
    add(&mut plan, "S", "now").unwrap();
    assert_eq!(payload(&plan).unwrap(), before);
    assert!(payload(&json!([])).is_err() && add(&mut json!({ "approvals": 1 }), "S", "now").is_err());
}

/// JSON of whole numbers, as plans are.
fn whole() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        // What quotes, braces and digits inside of texts look like to whoever reads carelessly.
        r#"["\\{}:,\[\] 0-9eE.+a-z\n\u{e9}\u{1f600}-]{0,12}"#.prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 24, 4, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            proptest::collection::btree_map(".{0,4}", inner, 0..4).prop_map(|m| Value::Object(m.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn layout_and_order_are_no_part_of_a_document(value in whole()) {
        let plan = json!({ "schema": "x", "items": value });
        let signed = payload(&plan).unwrap();
        for text in [plan.to_string(), serde_json::to_string_pretty(&turned(&plan)).unwrap(), turned(&plan).to_string()] {
            let read = document::read(text.as_bytes()).unwrap();
            prop_assert_eq!(&read, &serde_json::from_str::<Value>(&text).unwrap());
            prop_assert_eq!(&payload(&read).unwrap(), &signed);
        }
        prop_assert_eq!(document::read(&signed).unwrap(), plan);
    }

    #[test]
    fn whatever_is_read_has_one_meaning(text in r#"[{}\[\]:,"0-9eE.+a \\-]{0,24}"#) {
        // No text that another reader takes otherwise: what is read is written again with the same signs.
        if let Ok(value) = document::read(text.as_bytes()) {
            let bare = |text: &str| text.chars().filter(|c| *c != ' ').collect::<String>();
            prop_assert_eq!(bare(&value.to_string()), bare(&text));
        }
    }
}

#[test]
fn a_text_with_two_meanings_is_no_document() {
    use document::{Unfit, read};
    let twice = ["{\"a\":1,\"a\":1}", "{\"a\":1,\"\\u0061\":2}", "[{\"b\":[{\"a\":1,\n\"a\":2}]}]", "{\"\":0,\"\":0}"];
    for text in twice {
        assert!(matches!(read(text.as_bytes()), Err(Unfit::Twice { .. })), "{text}");
    }
    let numbers =
        ["1.0", "1e3", "1E0", "-0", "0.1", "18446744073709551616", "-9223372036854775809", "1.", "0e-1", "1e400"];
    for number in numbers {
        let text = format!("{{\"x\": \"1.0 \\\" 2.0\",\n \"n\": [7, {number}]}}");
        let error = read(text.as_bytes()).unwrap_err();
        assert!(matches!(error, Unfit::Number { line: 2, column: 11 } | Unfit::NotJson(_)), "{number}: {error}");
    }
    for number in ["0", "-1", "18446744073709551615", "-9223372036854775808"] {
        assert_eq!(read(number.as_bytes()).unwrap().to_string(), number);
    }
    for text in ["", "{", "{}{}", "{} x", "\u{feff}{}", "NaN", "01", "{\"a\":1,}", "[1]]"] {
        assert!(matches!(read(text.as_bytes()), Err(Unfit::NotJson(_))), "{text}");
    }
    assert!(read("[".repeat(100_000).as_bytes()).is_err());
    // A key that stands twice may be a secret by mistake.
    let said = read(b"{\"hunter2\":1,\"hunter2\":1}").unwrap_err().to_string();
    assert!(!said.contains("hunter2"), "{said}");
}

#[test]
fn a_key_signs_once_and_a_plan_is_full_at_some_time() {
    let armour = |key: &[u8], rest: &str| {
        use base64::Engine;
        let blob =
            [b"SSHSIG\x00\x00\x00\x01".as_slice(), &(key.len() as u32).to_be_bytes(), key, rest.as_bytes()].concat();
        let body = base64::engine::general_purpose::STANDARD.encode(blob);
        format!("-----BEGIN SSH SIGNATURE-----\n{body}\n-----END SSH SIGNATURE-----\n")
    };
    let mut plan = json!({});
    add(&mut plan, &armour(b"one", "old"), "1").unwrap();
    add(&mut plan, &armour(b"two", "x"), "2").unwrap();
    add(&mut plan, &armour(b"one", "new"), "3").unwrap();
    let at: Vec<&str> = plan["approvals"].as_array().unwrap().iter().map(|a| a["at"].as_str().unwrap()).collect();
    assert_eq!(at, ["2", "3"]);
    let full = (0..MOST as u32 + 5).filter(|n| add(&mut plan, &armour(&n.to_be_bytes(), ""), "4").is_ok()).count();
    assert_eq!((full, plan["approvals"].as_array().unwrap().len()), (MOST - 2, MOST));
    for strange in ["", "x", "-----BEGIN SSH SIGNATURE-----\n-----END SSH SIGNATURE-----", &armour(b"", "")[..40]] {
        assert_eq!(Key::of(strange), None);
    }
    let short = "SSHSIG\0\0\0\u{1}\u{7f}\u{7f}\u{7f}\u{7f}";
    let short = {
        use base64::Engine;
        base64::engine::general_purpose::STANDARD.encode(short)
    };
    assert_eq!(Key::of(&format!("-----BEGIN SSH SIGNATURE-----{short}-----END SSH SIGNATURE-----")), None);
}

#[test]
fn nobody_approves_his_own() {
    let by = ["al,alice@corp.example", "bob@corp.example", "carol"].map(String::from);
    let owners = ["Bob".to_owned(), "dave@corp.example".to_owned()];
    for planner in ["Alice", "alice@Corp.example", "Alice Archer <alice@corp.example>", " AL "] {
        let (counting, not) = counting(&by, planner, &owners);
        assert_eq!(counting, ["carol"], "{planner}");
        assert_eq!(not.len(), 2);
    }
    assert!(!same_person("bob@a.example", "bob@b.example") && !same_person("", "@x"));
    assert!(!same_person("<>", "@x") && !same_person("a>", "b"));
}

#[test]
fn one_person_counts_once_by_whatever_name() {
    let all = |signers: &[&str]| {
        let mut known = Vec::new();
        signers.iter().for_each(|signer| people::add(&mut known, signer));
        known
    };
    assert_eq!(all(&["bob@corp.example", "Bob@Corp.Example", "bob"]).len(), 1);
    assert_eq!(all(&["bob@a.example", "bob@b.example", "carol"]).len(), 3);
    // Two who turn out to be one by a third.
    assert_eq!(
        all(&["zed", "al", "dan", "alice@corp.example", "al,alice"]),
        ["zed", "al,alice@corp.example,alice", "dan"]
    );
    assert_eq!(all(&["al,alice", "al", "alice@corp.example"]).len(), 1);
}

#[test]
fn whoever_may_own_it_is_an_owner() {
    use crate::model::{
        BoundTo, Checked, Confidence, Evidence, EvidenceSource, Finding, Owned, Owner, Person, Principal, Weight,
    };
    use crate::secret::{Fingerprinter, Secret};
    let person = |email: &str| Person { emails: vec![email.into()], ..Person::default() };
    let says = |source, email: &str| Evidence {
        source,
        weight: Weight::High,
        says: String::new(),
        person: Some(person(email)),
        team: None,
    };
    let owner = Owner {
        person: Some(person("alice@corp.example")),
        introduced_by: vec![person("git@corp.example")],
        evidence: vec![
            says(EvidenceSource::Issuer, "issuer@corp.example"),
            says(EvidenceSource::AccountMap, "map@corp.example"),
            says(EvidenceSource::IntroducedBy, "git@corp.example"),
            says(EvidenceSource::Codeowners, "lead@corp.example"),
        ],
        ..Owner::default()
    };
    let principal = |login: &str| Principal { login: Some(login.into()), ..Principal::default() };
    let checked =
        Checked { principal: Some(principal("al")), identity: Some(principal("inner")), ..Checked::default() };
    let finding = Finding {
        rule: "a.b".into(),
        name: String::new(),
        issuer: String::new(),
        docs: None,
        confidence: Confidence::High,
        fingerprint: Fingerprinter::default().of(b"x"),
        secret: Secret::new(b"x"),
        parts: vec![],
        secrets: Vec::new(),
        encrypted: false,
        bound_to: BoundTo::User,
        checked,
        owned: Some(Owned { owner, ..Owned::default() }),
        locations: vec![],
        exposure: None,
    };
    let signers = ["alice", "issuer", "map", "al", "inner", "git", "lead"].map(|name| match name {
        "al" | "inner" => name.to_owned(),
        _ => format!("{name}@corp.example"),
    });
    let (counting, _) = counting(&signers, "ivy", &owners(&finding));
    assert_eq!(counting, ["git@corp.example", "lead@corp.example"]);
}
