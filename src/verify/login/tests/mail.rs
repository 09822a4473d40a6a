//! What mail servers say.

use super::*;

#[test]
fn smtp_replies() {
    let hello: &[u8] = b"250-x\r\n250 AUTH LOGIN PLAIN\r\n";
    let case = |last: &[u8]| scripted("smtp", true, &[b"220 x\r\n", hello, last]).0;
    assert!(matches!(case(b"235 ok\r\n"), Answer::Accepted(_)));
    assert!(denied_as(&case(b"535 5.7.8 no\r\n"), "refuses"));
    for code in ["454 4.7.0 later", "534 5.7.9 application password", "530 first", "421 bye"] {
        assert!(unclear_as(&case(format!("{code}\r\n").as_bytes()), &code[..3]));
    }
    assert!(unclear_as(&scripted("smtp", true, &[b"220 x\r\n", b"250 x\r\n"]).0, "no passwords"));
}

#[test]
fn imap_replies() {
    let case = |last: &[u8]| scripted("imap", true, &[b"* OK x\r\n", b"* CAPABILITY IMAP4rev1\r\na1 OK\r\n", last]).0;
    assert!(matches!(case(b"a4 OK [CAPABILITY x] in\r\n"), Answer::Accepted(_)));
    assert!(denied_as(&case(b"a4 NO [AUTHENTICATIONFAILED] no\r\n"), "refuses"));
    assert!(unclear_as(&case(b"a4 NO [UNAVAILABLE] later\r\n"), "UNAVAILABLE"));
    assert!(unclear_as(&case(b"a4 NO\r\n"), "NO"));
    assert!(unclear_as(&scripted("imap", true, &[b"* PREAUTH x\r\n"]).0, "no password"));
    // Lines stand between question and answer; a mechanism without PLAIN.
    let case = |offers: &str, pieces: &[&[u8]]| {
        let offers = format!("* CAPABILITY IMAP4rev1 {offers}\r\na1 OK\r\n");
        scripted("imap", true, &[&[&b"* OK x\r\n"[..], offers.as_bytes()], pieces].concat())
    };
    let accepted = |(answer, _): (Answer, Vec<u8>)| matches!(answer, Answer::Accepted(_));
    assert!(accepted(case("AUTH=PLAIN", &[b"* OK wait\r\n+ \r\n", b"* CAPABILITY x\r\na4 OK in\r\n"])));
    let (answer, heard) = case("LOGINDISABLED AUTH=LOGIN", &[b"+ VXNlcg==\r\n", b"+ UGFzcw==\r\n", b"a4 OK in\r\n"]);
    assert!(String::from_utf8_lossy(&heard).contains("AUTHENTICATE LOGIN\r\nYXBw\r\n"), "{answer:?}");
    assert!(accepted((answer, heard)));
    let (answer, _) = case("AUTH=PLAIN", &[b"+ \r\n", b"+ more\r\n"]);
    assert!(unclear_as(&answer, "asks for more"), "{answer:?}");
    assert!(unclear_as(&case("LOGINDISABLED AUTH=NTLM", &[]).0, "no passwords"));
}
