//! The network against real servers on loopback: what is refused, what is bounded, what is never followed or kept.
#![allow(clippy::unwrap_used)]

use std::collections::HashMap;
use std::io::Write;
use std::net::IpAddr;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::support::http::{Act, Http, reply};
use unsprawl::rules::schema::ask::Method;
use unsprawl::verify::guard::{Guard, Looking, Lookup, internal};
use unsprawl::verify::network::{Network, Options, Proxy, USER_AGENT, authorities};
use unsprawl::verify::transport::{Failure, Outgoing, Reply, Transport};
use zeroize::Zeroizing;

const SECRET: &str = "geheim-0123456789-geheim";

/// A request with the secret everywhere it can stand.
fn get(url: &str, configured: bool) -> Outgoing {
    Outgoing {
        method: Method::Get,
        url: Zeroizing::new(format!("{url}?key={SECRET}")),
        shown: url.to_owned(),
        headers: vec![("authorization".into(), Zeroizing::new(format!("Bearer {SECRET}")))],
        body: Zeroizing::default(),
        configured,
        repeatable: true,
    }
}

fn options() -> Options {
    Options { within: Duration::from_secs(5), ..Options::default() }
}

fn ask_with(options: Options, requests: &[Outgoing]) -> Vec<Result<Reply, Failure>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let results = runtime.block_on(async {
        let network = Network::new(options).unwrap();
        let mut results = Vec::new();
        for request in requests {
            results.push(network.send(request).await);
        }
        results
    });
    for result in &results {
        let shown = match result {
            Ok(reply) => format!("{reply:?}"),
            Err(failure) => format!("{failure} {failure:?}"),
        };
        assert!(!shown.contains("geheim"), "{shown}");
    }
    runtime.shutdown_background();
    results
}

fn ask(options: Options, request: Outgoing) -> Result<Reply, Failure> {
    ask_with(options, &[request]).remove(0)
}

#[track_caller]
fn refused(result: Result<Reply, Failure>, word: &str) {
    match result {
        Err(Failure::Refused(why)) => assert!(why.contains(word), "{why}"),
        other => panic!("{other:?}"),
    }
}

/// A resolver that says what the test wants: the answers of each name in turn, the last one for ever.
#[derive(Debug, Default)]
struct Fake {
    answers: HashMap<&'static str, Vec<Vec<IpAddr>>>,
    asked: Mutex<Vec<String>>,
}

impl Lookup for Fake {
    fn lookup(&self, name: &str) -> Looking {
        let mut asked = self.asked.lock().unwrap();
        let before = asked.iter().filter(|n| *n == name).count();
        asked.push(name.to_owned());
        let answers = self.answers.get(name).cloned().unwrap_or_default();
        let answer = answers.get(before).or(answers.last()).cloned();
        Box::pin(async move { answer.ok_or_else(|| std::io::Error::other("no such name")) })
    }
}

fn fake(answers: &[(&'static str, &[&[&str]])]) -> Arc<Fake> {
    let parse = |list: &&[&str]| list.iter().map(|a| a.parse().unwrap()).collect::<Vec<IpAddr>>();
    let answers = answers.iter().map(|(name, lists)| (*name, lists.iter().map(parse).collect())).collect();
    Arc::new(Fake { answers, ..Fake::default() })
}

/// 127.0.0.2 stands for a public address: everything else is as it is.
fn public_two(address: IpAddr) -> Option<&'static str> {
    if address == IpAddr::from([127, 0, 0, 2]) { None } else { internal(address) }
}

#[test]
fn a_request_arrives_as_it_was_meant() {
    let server = Http::start(|_| reply(200, &[("x-scopes", "a, b")], "{}"));
    let got = ask(options(), get(&format!("{}/user", server.url()), true)).unwrap();
    assert_eq!(
        (got.status, got.body.as_slice(), got.header("x-scopes"), got.cut),
        (200, &b"{}"[..], Some("a, b"), false)
    );
    let seen = &server.seen()[0];
    assert_eq!((seen.method.as_str(), seen.target.as_str()), ("GET", format!("/user?key={SECRET}").as_str()));
    assert_eq!(seen.header("authorization"), format!("Bearer {SECRET}"));
    assert_eq!(seen.header("user-agent"), USER_AGENT);
    let body = Outgoing {
        method: Method::Post,
        headers: vec![("user-agent".into(), Zeroizing::new("own".into()))],
        body: Zeroizing::new(b"a=b".to_vec()),
        ..get(&server.url(), true)
    };
    ask(options(), body).unwrap();
    let seen = &server.seen()[1];
    assert_eq!((seen.method.as_str(), seen.body.as_slice(), seen.header("user-agent")), ("POST", &b"a=b"[..], "own"));
}

#[test]
fn redirects_are_not_followed_and_cookies_not_kept() {
    let other = Http::start(|_| reply(200, &[], ""));
    let target = format!("{}/caught", other.url());
    let server = Http::start(move |_| reply(302, &[("location", &target), ("set-cookie", "session=1; Path=/")], ""));
    let url = format!("{}/", server.url());
    let results = ask_with(options(), &[get(&url, true), get(&url, true)]);
    for result in results {
        assert_eq!(result.unwrap().status, 302);
    }
    assert!(other.seen().is_empty());
    assert_eq!(server.seen().len(), 2);
    assert!(server.seen().iter().all(|s| s.header("cookie").is_empty() && s.header("referer").is_empty()));
}

#[test]
fn plain_http_only_where_it_was_configured() {
    let server = Http::start(|_| reply(200, &[], ""));
    let open = Options { allow_internal: true, ..options() };
    refused(ask(open.clone(), get(&server.url(), false)), "plain http");
    assert!(ask(open, get(&server.url(), true)).is_ok());
    assert_eq!(server.seen().len(), 1);
}

#[test]
fn urls_that_are_traps_are_refused() {
    let server = Http::start(|_| reply(200, &[], ""));
    let port = server.port;
    for url in [
        format!("https://api.example.org:{SECRET}@127.0.0.1:{port}/"),
        format!("https://api.example.org@127.0.0.1:{port}/"),
        "ftp://127.0.0.1/".into(),
        "file:///etc/passwd".into(),
        "https:///".into(),
        "nonsense".into(),
    ] {
        assert!(matches!(ask(options(), get(&url, true)), Err(Failure::Refused(_))), "{url}");
    }
    let header = Outgoing {
        headers: vec![("authorization".into(), Zeroizing::new(format!("Bearer {SECRET}\r\nx: y")))],
        ..get(&server.url(), true)
    };
    refused(ask(options(), header), "header authorization");
    assert!(server.seen().is_empty());
}

#[test]
fn internal_addresses_are_refused_however_they_are_written() {
    let port = Http::start(|_| reply(200, &[], "")).port;
    for (host, word) in [
        ("127.0.0.1", "loopback"),
        ("2130706433", "loopback"),
        ("0x7f.1", "loopback"),
        ("0177.0.0.1", "loopback"),
        ("[::1]", "loopback"),
        ("[::ffff:127.0.0.1]", "disguise"),
        ("localhost", "loopback"),
        ("10.1.2.3", "private"),
        ("192.168.0.1", "private"),
        ("169.254.169.254", "metadata"),
        ("[fd00:ec2::254]", "private"),
        ("[fe80::1]", "link-local"),
        ("100.64.0.1", "carrier"),
        ("metadata.google.internal", "private networks"),
        ("0.0.0.0", "unspecified"),
    ] {
        refused(ask(options(), get(&format!("https://{host}:{port}/"), false)), word);
    }
}

#[test]
fn names_are_judged_by_all_their_addresses() {
    let lookup = fake(&[
        ("private.example", &[&["10.0.0.1"]]),
        ("mixed.example", &[&["1.1.1.1", "192.168.0.7"]]),
        ("metadata.example", &[&["169.254.169.254"]]),
        ("six.example", &[&["fe80::1"]]),
        ("nowhere.example", &[&[]]),
    ]);
    let options = Options { guard: Guard::new(lookup.clone(), internal), ..options() };
    for (name, word) in [("private", "private"), ("mixed", "private"), ("metadata", "metadata"), ("six", "link-local")]
    {
        refused(ask(options.clone(), get(&format!("https://{name}.example/"), false)), word);
    }
    for name in ["nowhere.example", "unknown.example"] {
        let failed = ask(options.clone(), get(&format!("https://{name}/"), false));
        assert_eq!(failed, Err(Failure::Unreachable(format!("cannot resolve {name}"))));
    }
    assert_eq!(lookup.asked.lock().unwrap().len(), 6);
}

#[test]
fn a_name_that_changes_its_mind_gains_nothing() {
    // Public when it is looked at, internal ever after; the server would take either.
    let server = Http::on("0.0.0.0:0", |_| Act::Close(b"HTTP/1.1 200 X\r\ncontent-length: 0\r\n\r\n".to_vec()));
    let lookup = fake(&[("rebind.example", &[&["127.0.0.2"], &["127.0.0.1"]])]);
    let guard = Guard::new(lookup.clone(), public_two);
    let url = format!("https://rebind.example:{}/", server.port);
    // TLS never succeeds here: what counts is which connections were made.
    let results = ask_with(Options { guard, ..options() }, &[get(&url, false), get(&url, false)]);
    assert!(!matches!(results[0], Err(Failure::Refused(_))), "{results:?}");
    refused(results[1].clone(), "loopback");
    assert_eq!(lookup.asked.lock().unwrap().len(), 2, "one look-up a connection, and no other");
    assert_eq!(server.connections.load(SeqCst), 1, "connected to what was looked at");
}

#[test]
fn permission_is_for_configured_endpoints_or_for_all() {
    let server = Http::start(|_| reply(204, &[], ""));
    let lookup = fake(&[("issuer.example", &[&["127.0.0.1"]])]);
    let options = Options { guard: Guard::new(lookup, internal), ..options() };
    let url = format!("http://issuer.example:{}/", server.port);
    assert_eq!(ask(options.clone(), get(&url, true)).unwrap().status, 204);
    let tls = url.replace("http:", "https:");
    refused(ask(options.clone(), get(&tls, false)), "loopback");
    let allowed = ask(Options { allow_internal: true, ..options }, get(&tls, false));
    assert!(matches!(allowed, Err(Failure::Unreachable(_) | Failure::Broken(_))), "{allowed:?}");
}

#[test]
fn sizes_are_bounded() {
    let gzip = |bytes: &[u8]| {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    };
    let bomb = gzip(&vec![b'a'; 30 << 20]);
    let server = Http::start(move |seen| match seen.path() {
        "/long" => reply(200, &[], vec![b'a'; 3 << 20]),
        "/bomb" => reply(200, &[("content-encoding", "gzip")], &bomb),
        "/packed" => reply(200, &[("content-encoding", "gzip")], gzip(b"{\"ok\":true}")),
        "/endless" => {
            Act::Flood(b"HTTP/1.1 200 X\r\n\r\nxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx".to_vec())
        }
        "/heads" => Act::Close(format!("HTTP/1.1 200 X\r\n{}\r\n", "a: b\r\n".repeat(1000)).into_bytes()),
        _ => Act::Flood(b"HTTP/1.1 200 X\r\na: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa".to_vec()),
    });
    let get = |path: &str| ask(options(), get(&format!("{}{path}", server.url()), true));
    for path in ["/long", "/bomb", "/endless"] {
        let got = get(path).unwrap();
        assert_eq!((got.body.len(), got.cut), (1 << 20, true), "{path}");
    }
    assert_eq!(get("/packed").unwrap().body, b"{\"ok\":true}");
    assert!(matches!(get("/heads"), Err(Failure::Broken(_))), "too many headers");
    assert!(matches!(get("/head"), Err(Failure::Broken(_))), "a header without end");
}

#[test]
fn time_is_bounded() {
    let server = Http::start(|seen| match seen.path() {
        "/hang" => Act::Hang,
        "/head" => Act::Trickle(b"HTTP/1.1 200 X\r\na: ".to_vec()),
        _ => Act::Trickle(b"HTTP/1.1 200 X\r\n\r\n".to_vec()),
    });
    let options = Options { within: Duration::from_millis(300), ..options() };
    for path in ["/hang", "/head", "/body"] {
        assert_eq!(
            ask(options.clone(), get(&format!("{}{path}", server.url()), true)),
            Err(Failure::TimedOut),
            "{path}"
        );
    }
}

#[test]
fn what_is_broken_says_so_without_the_secret() {
    let server = Http::start(|seen| match seen.path() {
        "/garbage" => Act::Close(format!("SSH-2.0 {SECRET}\r\n").into_bytes()),
        "/short" => Act::Close(b"HTTP/1.1 200 X\r\ncontent-length: 100\r\n\r\nshort".to_vec()),
        "/zip" => reply(200, &[("content-encoding", "gzip")], "no gzip"),
        _ => Act::Close(vec![]),
    });
    for path in ["/garbage", "/short", "/zip", "/nothing"] {
        let failed = ask(options(), get(&format!("{}{path}", server.url()), true));
        assert!(matches!(failed, Err(Failure::Broken(_))), "{path}: {failed:?}");
    }
    // A port that was free a moment ago.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let url = format!("http://127.0.0.1:{port}");
    let failed = ask(options(), get(&url, true));
    assert!(matches!(failed, Err(Failure::Unreachable(_))), "{failed:?}");
}

#[test]
fn a_proxy_is_used_and_resolves() {
    let lines = Arc::new(AtomicUsize::new(0));
    let counted = lines.clone();
    let proxy = Http::start(move |seen| {
        counted.fetch_add(1, SeqCst);
        match seen.method.as_str() {
            "CONNECT" => Act::Close(b"HTTP/1.1 403 no\r\ncontent-length: 0\r\n\r\n".to_vec()),
            _ => reply(200, &[], "by proxy"),
        }
    });
    let lookup = fake(&[]);
    let by = |except: &str| Options {
        proxy: Some(Proxy::new(&proxy.url(), except).unwrap()),
        guard: Guard::new(lookup.clone(), internal),
        ..options()
    };
    assert_eq!(ask(by(""), get("http://issuer.example/x", true)).unwrap().body, b"by proxy");
    assert!(proxy.seen()[0].target.starts_with("http://issuer.example/x"));
    assert!(ask(by(""), get("https://issuer.example/x", false)).is_err());
    let seen = &proxy.seen()[1];
    assert_eq!((seen.method.as_str(), seen.target.as_str()), ("CONNECT", "issuer.example:443"));
    assert!(seen.header("authorization").is_empty(), "the tunnel's request holds no secret");
    assert!(lookup.asked.lock().unwrap().is_empty(), "the proxy resolves");
    // What is internal by its look is refused behind a proxy, too, and exceptions go past it.
    for host in ["localhost", "10.0.0.1", "169.254.169.254", "vault.internal"] {
        assert!(matches!(ask(by(""), get(&format!("https://{host}/"), false)), Err(Failure::Refused(_))), "{host}");
    }
    assert!(ask(by("example"), get("https://issuer.example/x", false)).is_err());
    let direct = Http::start(|_| reply(200, &[], "direct"));
    assert_eq!(ask(by(""), get(&direct.url(), true)).unwrap().body, b"direct", "loopback needs no proxy");
    assert_eq!(lines.load(SeqCst), 2);
}

/// An https server with a certificate for `issuer.example` that it made itself; the certificate as PEM, and the port.
fn tls_server() -> (String, u16) {
    use rustls::pki_types::PrivateKeyDer;
    let made = rcgen::generate_simple_self_signed(vec!["issuer.example".to_owned()]).unwrap();
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let config = config.with_no_client_auth().with_single_cert(vec![made.cert.der().clone()], key).unwrap();
    let config = Arc::new(config);
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut connection = rustls::ServerConnection::new(config.clone()).unwrap();
            let mut tls = rustls::Stream::new(&mut connection, &mut stream);
            let mut request = [0; 4096];
            // Who does not trust the certificate hangs up.
            if std::io::Read::read(&mut tls, &mut request).is_ok() {
                let _ = tls.write_all(b"HTTP/1.1 200 X\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok");
            }
        }
    });
    (made.cert.pem(), port)
}

#[test]
fn certificates_are_checked_and_authorities_can_be_added() {
    let (pem, port) = tls_server();
    let lookup = fake(&[("issuer.example", &[&["127.0.0.1"]]), ("other.example", &[&["127.0.0.1"]])]);
    let options = Options { allow_internal: true, guard: Guard::new(lookup, internal), ..options() };
    let url = |name: &str| format!("https://{name}:{port}/");
    for request in [get(&url("issuer.example"), false), get(&url("issuer.example"), true)] {
        let failed = ask(options.clone(), request);
        assert!(matches!(&failed, Err(Failure::Unreachable(why)) if why.contains("certificate")), "{failed:?}");
    }
    let folder = crate::support::folder();
    let file = folder.path().join("ca.pem");
    crate::support::write(&file, &pem);
    let trusting = Options { authorities: authorities(&file).unwrap(), ..options };
    assert_eq!(ask(trusting.clone(), get(&url("issuer.example"), false)).unwrap().body, b"ok");
    let other = ask(trusting, get(&url("other.example"), false));
    assert!(matches!(&other, Err(Failure::Unreachable(why)) if why.contains("certificate")), "{other:?}");
    crate::support::write(&file, "no certificate");
    assert!(authorities(&file).unwrap_err().contains("ca.pem"));
}
