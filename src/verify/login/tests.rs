//! Servers that are scripts: what a log-in makes of what they say, and what it never says to them. Real servers:
//! `tests/real/login_servers.rs`.

#![allow(clippy::unwrap_used)]

mod mail;

use std::sync::Mutex;

use proptest::prelude::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::*;

const PASSWORD: &str = "n0t-in-the-clear";

fn run<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(work)
}

/// Connects to one scripted server, whatever the host; clear text as told.
struct Script {
    address: std::net::SocketAddr,
    plain: bool,
    tls: Arc<ClientConfig>,
}

impl Dial for Script {
    async fn dial(&self, _: &str, _: u16) -> Result<TcpStream, Failure> {
        TcpStream::connect(self.address).await.map_err(|e| Failure::Broken(e.to_string()))
    }
    fn tls(&self) -> Arc<ClientConfig> {
        self.tls.clone()
    }
    fn plain(&self, _: &str) -> bool {
        self.plain
    }
}

fn no_roots() -> Arc<ClientConfig> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    Arc::new(builder.with_root_certificates(rustls::RootCertStore::empty()).with_no_client_auth())
}

fn request(url: &[(&'static str, &str)]) -> LogIn {
    let mut values: Vec<(&'static str, Zeroizing<String>)> =
        url.iter().map(|(n, v)| (*n, Zeroizing::new((*v).to_owned()))).collect();
    for (name, value) in [("host", "db.corp.net"), ("user", "app"), ("password", PASSWORD)] {
        if !url.iter().any(|(n, _)| *n == name) {
            values.push((name, Zeroizing::new(value.to_owned())));
        }
    }
    LogIn { protocol: None, values, change: None }
}

/// A conversation in which the server says these pieces, each after having heard something (the first at once if
/// `speaks_first`). Gives the verdict and all that the server heard.
fn scripted(scheme: &str, speaks_first: bool, pieces: &[&[u8]]) -> (Answer, Vec<u8>) {
    scripted_change(None, scheme, speaks_first, pieces)
}

/// The same with an account to lock.
fn scripted_change(lock: Option<&str>, scheme: &str, speaks_first: bool, pieces: &[&[u8]]) -> (Answer, Vec<u8>) {
    let stream = tokio::io::duplex(1 << 16);
    let (ours, mut theirs) = stream;
    let heard = Arc::new(Mutex::new(Vec::new()));
    run(async {
        let script = async {
            for (number, piece) in pieces.iter().enumerate() {
                if number > 0 || !speaks_first {
                    let mut buffer = [0; 4096];
                    let count = theirs.read(&mut buffer).await.unwrap();
                    heard.lock().unwrap().extend_from_slice(&buffer[..count]);
                }
                theirs.write_all(piece).await.unwrap();
            }
            let mut rest = Vec::new();
            let _ = tokio::time::timeout(Duration::from_millis(50), theirs.read_to_end(&mut rest)).await;
            heard.lock().unwrap().extend_from_slice(&rest);
            drop(theirs);
        };
        let (protocol, mut account) = account(&request(&[("scheme", scheme)])).unwrap();
        account.change = lock.map(|name| (Change::Lock, Zeroizing::new(name.to_owned())));
        let mut wire = Wire::in_clear(ours);
        let (told, ()) = tokio::join!(
            async {
                let told = converse(protocol, &account, &mut wire).await;
                drop(wire);
                told
            },
            script
        );
        let answer = match told {
            Ok(_) if lock.is_some() => Answer::Changed,
            Err(Trouble::Gone(reason)) => Answer::Gone(reason),
            Err(Trouble::Perhaps(reason)) => Answer::Perhaps(reason),
            Ok(facts) => Answer::Accepted(facts),
            Err(Trouble::Denied(reason)) => Answer::Denied(reason),
            Err(Trouble::Unclear(reason)) => Answer::Unclear(reason),
            Err(Trouble::Failed(failure)) => Answer::Unclear(format!("failed: {failure}")),
        };
        (answer, heard.lock().unwrap().clone())
    })
}

fn denied_as(answer: &Answer, part: &str) -> bool {
    matches!(answer, Answer::Denied(reason) if reason.contains(part))
}

fn unclear_as(answer: &Answer, part: &str) -> bool {
    matches!(answer, Answer::Unclear(reason) if reason.contains(part))
}

/// A PostgreSQL message.
fn pg(kind: u8, body: &[u8]) -> Vec<u8> {
    [&[kind], &(body.len() as u32 + 4).to_be_bytes()[..], body].concat()
}

fn pg_error(code: &str, text: &str) -> Vec<u8> {
    pg(b'E', format!("SFATAL\0C{code}\0M{text}\0\0").as_bytes())
}

#[test]
fn postgres_replies() {
    let clear = pg(b'R', &[0, 0, 0, 3]);
    let ok = pg(b'R', &[0, 0, 0, 0]);
    let ready = pg(b'Z', b"I");
    let case = |last: &[u8]| scripted("postgres", false, &[b"N", &clear, last]).0;
    assert!(denied_as(&case(&pg_error("28P01", "password authentication failed")), "refuses"));
    assert!(denied_as(&case(&pg_error("28000", "role \"app\" is not permitted to log in")), "locked"));
    assert!(unclear_as(&case(&pg_error("28000", "no pg_hba.conf entry for host")), "28000"));
    assert!(unclear_as(&case(&pg_error("53300", "too many clients")), "53300"));
    // The password was right, the database is not there.
    let missing = [ok.clone(), pg_error("3D000", "database \"d\" does not exist")].concat();
    assert!(
        matches!(case(&missing), Answer::Accepted(facts) if facts.iter().any(|(_, v)| v.contains("does not exist")))
    );
    assert!(matches!(case(&[ok.clone(), ready.clone()].concat()), Answer::Accepted(_)));
    // Nobody asked for the password.
    let (answer, heard) = scripted("postgres", false, &[b"N", &[ok.clone(), ready].concat()]);
    assert!(unclear_as(&answer, "asks for no password"));
    assert!(!String::from_utf8_lossy(&heard).contains(PASSWORD));
    // SCRAM that ends before the server has proven anything.
    let sasl = pg(b'R', b"\0\0\0\x0aSCRAM-SHA-256\0\0");
    assert!(unclear_as(&scripted("postgres", false, &[b"N", &sasl, &ok]).0, "prove"));
    assert!(unclear_as(&scripted("postgres", false, &[b"H"]).0, "does not speak"));
}

/// A MySQL packet.
fn my(sequence: u8, body: &[u8]) -> Vec<u8> {
    [&(body.len() as u32).to_le_bytes()[..3], &[sequence], body].concat()
}

fn my_hello(flags: u32, plugin: &str) -> Vec<u8> {
    let (low, high) = ((flags as u16).to_le_bytes(), ((flags >> 16) as u16).to_le_bytes());
    let body = [b"\x0a8.0\0\x01\0\0\0abcdefgh\0", &low[..], b"\x2d\x02\0", &high, b"\x15", &[0; 10], b"ijklmnopqrst\0"];
    my(0, &[&body.concat()[..], plugin.as_bytes(), b"\0"].concat())
}

#[test]
fn mysql_replies() {
    let hello = my_hello(0x0008_8201, "mysql_native_password");
    let case = |last: &[u8]| scripted("mysql", true, &[&hello, &my(2, last)]).0;
    assert!(denied_as(&case(b"\xff\x15\x04#28000Access denied"), "refuses"));
    assert!(denied_as(&case(b"\xff\x37\x10#HY000locked"), "locked"));
    assert!(denied_as(&case(b"\xff\x2e\x0c#HY000locked"), "locked"));
    assert!(unclear_as(&case(b"\xff\x10\x04#08004Too many connections"), "1040"));
    assert!(matches!(case(b"\xff\x46\x07#HY000expired"), Answer::Accepted(_)));
    assert!(matches!(case(b"\x00\x00\x00\x02\x00\x00\x00"), Answer::Accepted(_)));
    assert!(unclear_as(&case(b"\xfeclient_ed25519\0abc"), "client_ed25519"));
    assert!(unclear_as(&scripted("mysql", true, &[&my(0, b"\xff\x69\x04Host is blocked")]).0, "1129"));
    // Full authentication of caching_sha2_password wants TLS: the password does not go without.
    let hello = my_hello(0x0008_8201, "caching_sha2_password");
    let (answer, heard) = scripted("mysql", true, &[&hello, &my(2, &[1, 4])]);
    assert!(unclear_as(&answer, "TLS"));
    assert!(!String::from_utf8_lossy(&heard).contains(PASSWORD));
}

#[test]
fn redis_replies() {
    let case = |last: &[u8]| scripted("redis", false, &[b"-NOAUTH Authentication required.\r\n", last]).0;
    assert!(denied_as(&case(b"-WRONGPASS invalid username-password pair or user is disabled.\r\n"), "refuses"));
    assert!(denied_as(&case(b"-ERR invalid password\r\n"), "refuses"));
    assert!(unclear_as(&case(b"-ERR max number of clients reached\r\n"), "max number"));
    assert!(matches!(case(b"+OK\r\n"), Answer::Accepted(_)));
    assert!(unclear_as(&scripted("redis", false, &[b"HTTP/1.1 400 Bad Request\r\n\r\n"]).0, "does not speak"));
    let (protocol, account) = account(&request(&[("scheme", "redis"), ("user", "")])).unwrap();
    let mut wire = Wire::in_clear(tokio::io::join(&b"+PONG\r\n+OK\r\n"[..], tokio::io::sink()));
    assert!(
        matches!(run(converse(protocol, &account, &mut wire)), Err(Trouble::Unclear(r)) if r.contains("no password"))
    );
}

#[test]
fn directory_replies() {
    let no_tls = [0x30, 12, 2, 1, 1, 0x78, 7, 10, 1, 2, 4, 0, 4, 0];
    let bound = |code: u8, text: &str| {
        let length = text.len() as u8;
        [&[0x30, 12 + length, 2, 1, 2, 0x61, 7 + length, 10, 1, code, 4, 0, 4, length], text.as_bytes()].concat()
    };
    let case = |last: &[u8]| scripted("ldap", false, &[&no_tls, last]).0;
    assert!(denied_as(&case(&bound(49, "")), "refuses"));
    assert!(denied_as(&case(&bound(49, "80090308: LdapErr: AcceptSecurityContext error, data 775, v1")), "locked"));
    assert!(denied_as(&case(&bound(49, "AcceptSecurityContext error, data 533, v1")), "disabled"));
    assert!(unclear_as(&case(&bound(8, "")), "8"));
    assert!(unclear_as(&case(&bound(53, "")), "53"));
    assert!(matches!(case(&bound(0, "")), Answer::Accepted(_)));
}

#[test]
fn queue_replies() {
    let frame = |method: [u8; 4], arguments: &[u8]| {
        let length = (arguments.len() as u32 + 4).to_be_bytes();
        [&[1, 0, 0], &length[..], &method, arguments, &[0xce]].concat()
    };
    let start =
        frame([0, 10, 0, 10], b"\0\x09\0\0\0\x0e\x07productS\0\0\0\x01R\0\0\0\x0eAMQPLAIN PLAIN\0\0\0\x05en_US");
    let close =
        |text: &str| frame([0, 10, 0, 50], &[&[1, 0x93, text.len() as u8], text.as_bytes(), &[0, 0, 0, 0]].concat());
    let case = |last: &[u8]| scripted("amqp", false, &[&start, last]).0;
    assert!(denied_as(&case(&close("ACCESS_REFUSED - Login was refused")), "refuses"));
    assert!(unclear_as(&case(&close("ACCESS_REFUSED - User 'guest' can only log in via localhost")), "localhost"));
    let answer = case(&frame([0, 10, 0, 30], &[0; 8]));
    assert!(matches!(answer, Answer::Accepted(facts) if facts.contains(&("product".into(), "R".into()))));
    assert!(unclear_as(&scripted("amqp", false, &[b"AMQP\0\0\x09\x01"]).0, "does not speak"));
}

/// The password never goes to a server without TLS, unless that was allowed; for each protocol with a server that offers none.
#[test]
fn no_password_without_tls() {
    let servers: &[(&str, &[&[u8]])] = &[
        ("postgres", &[b"", b"N"]),
        ("mysql", &[&my_hello(0x0008_8201, "mysql_native_password")]),
        ("redis", &[b"", b"+PONG\r\n"]),
        ("amqp", &[b"", b"x"]),
        ("mongodb", &[b"", b"x"]),
        ("smtp", &[b"220 x\r\n", b"250 AUTH PLAIN\r\n"]),
        ("imap", &[b"* OK x\r\n", b"* CAPABILITY IMAP4rev1\r\na1 OK\r\n"]),
        ("ldap", &[b"", &[0x30, 12, 2, 1, 1, 0x78, 7, 10, 1, 2, 4, 0, 4, 0]]),
    ];
    for (scheme, pieces) in servers {
        let heard = Arc::new(Mutex::new(Vec::new()));
        let (ours, mut theirs) = tokio::io::duplex(1 << 16);
        let (protocol, account) = account(&request(&[("scheme", scheme)])).unwrap();
        let mut wire = Wire::new(ours, "db.corp.net", no_roots(), false);
        let told = run(async {
            let server = async {
                for piece in *pieces {
                    theirs.write_all(piece).await.unwrap();
                    let mut buffer = [0; 4096];
                    let wait = tokio::time::timeout(Duration::from_millis(50), theirs.read(&mut buffer)).await;
                    heard.lock().unwrap().extend_from_slice(&buffer[..wait.map_or(0, Result::unwrap)]);
                }
                drop(theirs);
            };
            tokio::join!(converse(protocol, &account, &mut wire), server).0
        });
        let heard = heard.lock().unwrap().clone();
        assert!(matches!(told, Err(Trouble::Unclear(_))), "{scheme}: {told:?}");
        assert!(!heard.windows(4).any(|w| PASSWORD.as_bytes().starts_with(w)), "{scheme}");
    }
}

#[test]
fn accounts_of_urls() {
    let port = |url: &[(&'static str, &str)]| account(&request(url)).map(|(p, a)| (p, a.port, a.secure));
    assert_eq!(port(&[("scheme", "postgresql+psycopg2")]), Ok((Protocol::Postgres, 5432, false)));
    assert_eq!(port(&[("scheme", "REDISS")]), Ok((Protocol::Redis, 6379, true)));
    assert_eq!(port(&[("scheme", "amqps")]), Ok((Protocol::Amqp, 5671, true)));
    assert_eq!(port(&[("scheme", "smtp"), ("port", "465")]), Ok((Protocol::Smtp, 465, true)));
    assert_eq!(port(&[("scheme", "smtp+ssl")]), Ok((Protocol::Smtp, 465, true)));
    assert_eq!(port(&[("scheme", "smtp+tls")]), Ok((Protocol::Smtp, 587, false)));
    assert_eq!(port(&[("scheme", "imap+ssl"), ("port", "1993")]), Ok((Protocol::Imap, 1993, true)));
    assert_eq!(port(&[("scheme", "ldap"), ("port", "1389")]), Ok((Protocol::Ldap, 1389, false)));
    assert!(port(&[("scheme", "mongodb+srv")]).unwrap_err().contains("DNS"));
    assert!(port(&[("scheme", "ftp")]).unwrap_err().contains("ftp"));
    assert!(port(&[]).unwrap_err().contains("protocol"));
    assert!(port(&[("scheme", "redis"), ("host", "")]).unwrap_err().contains("host"));
    assert!(port(&[("scheme", "ldap"), ("password", "")]).unwrap_err().contains("empty"));
    assert!(port(&[("scheme", "redis"), ("port", "70000")]).unwrap_err().contains("port"));
}

/// TLS, with an authority that `openssl` makes: from the first byte, by upgrade, and not trusted.
#[test]
fn tls_is_checked() {
    let Some((config, roots)) = authority() else { return };
    let acceptor = tokio_rustls::TlsAcceptor::from(config);
    let trusting = {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
        Arc::new(builder.with_root_certificates(roots).with_no_client_auth())
    };
    let redis: &[&[u8]] = &[b"-NOAUTH x\r\n", b"+OK\r\n", b"$3\r\napp\r\n"];
    let smtp: &[&[u8]] = &[b"250 AUTH PLAIN\r\n", b"235 ok\r\n"];
    for (scheme, before, pieces, tls, host, accepted) in [
        ("rediss", &[][..], redis, &trusting, "localhost", true),
        ("redis", &[], redis, &trusting, "localhost", true),
        ("rediss", &[], redis, &no_roots(), "localhost", false),
        ("rediss", &[], redis, &trusting, "other.example", false),
        ("smtp", &[&b"220 x\r\n"[..], b"250 STARTTLS\r\n", b"220 go\r\n"], smtp, &trusting, "localhost", true),
        // What stands behind the go-ahead in clear was put there by somebody else.
        (
            "smtp",
            &[b"220 x\r\n", b"250 STARTTLS\r\n", b"220 go\r\n250 AUTH PLAIN\r\n"],
            smtp,
            &trusting,
            "localhost",
            false,
        ),
    ] {
        let told = run(async {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let address = listener.local_addr().unwrap();
            let acceptor = acceptor.clone();
            let server = async move {
                let (mut stream, _) = listener.accept().await.unwrap();
                for (number, piece) in before.iter().enumerate() {
                    stream.write_all(piece).await.unwrap();
                    if number + 1 < before.len() {
                        let _ = stream.read(&mut [0; 4096]).await;
                    }
                }
                let Ok(mut stream) = acceptor.accept(stream).await else { return };
                for piece in pieces {
                    let _ = stream.read(&mut [0; 4096]).await;
                    let _ = stream.write_all(piece).await;
                }
                let _ = stream.read(&mut [0; 4096]).await;
            };
            let (protocol, account) = account(&request(&[("scheme", scheme), ("host", host)])).unwrap();
            let client = async {
                let stream = TcpStream::connect(address).await.unwrap();
                let mut wire = Wire::new(stream, host, tls.clone(), false);
                if protocol == Protocol::Redis {
                    wire.secure().await?;
                }
                converse(protocol, &account, &mut wire).await
            };
            tokio::join!(client, tokio::time::timeout(Duration::from_secs(5), server)).0
        });
        assert_eq!(told.is_ok(), accepted, "{scheme} {host}: {told:?}");
    }
}

/// A certificate of `localhost`, by an authority of its own.
fn authority() -> Option<(Arc<rustls::ServerConfig>, rustls::RootCertStore)> {
    use rustls::pki_types::pem::PemObject;
    use rustls::pki_types::{CertificateDer, PrivateKeyDer};
    let folder = tempfile::tempdir().unwrap();
    let made = std::process::Command::new("openssl")
        .args(["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=localhost", "-days", "2"])
        .args(["-addext", "subjectAltName=DNS:localhost", "-addext", "basicConstraints=critical,CA:FALSE"])
        .args(["-keyout", "key.pem", "-out", "cert.pem"])
        .current_dir(&folder)
        .output();
    let Ok(made) = made else {
        assert!(std::env::var_os("CI").is_none(), "openssl is needed");
        eprintln!("skipped: openssl is not installed");
        return None;
    };
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let certificate = CertificateDer::from_pem_file(folder.path().join("cert.pem")).unwrap();
    let key = PrivateKeyDer::from_pem_file(folder.path().join("key.pem")).unwrap();
    let mut roots = rustls::RootCertStore::empty();
    roots.add(certificate.clone()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = rustls::ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let config = builder.with_no_client_auth().with_single_cert(vec![certificate], key).unwrap();
    Some((Arc::new(config), roots))
}

#[test]
fn a_silent_server_is_left() {
    let told = run(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let script = Script { address: listener.local_addr().unwrap(), plain: true, tls: no_roots() };
        ask_within(Duration::from_millis(50), &script, &request(&[("scheme", "redis")])).await
    });
    assert_eq!(told, Err(Failure::TimedOut));
}

const ALL: [Protocol; 8] = [
    Protocol::Postgres,
    Protocol::Mysql,
    Protocol::Redis,
    Protocol::Mongodb,
    Protocol::Amqp,
    Protocol::Smtp,
    Protocol::Imap,
    Protocol::Ldap,
];

proptest! {
    /// Whatever a server says, the conversation ends without a panic.
    #[test]
    fn hostile_bytes_end(bytes in proptest::collection::vec(any::<u8>(), 0..300), which in 0..8_usize) {
        let stream = tokio::io::join(std::io::Cursor::new(bytes), tokio::io::sink());
        let _ = run(replay(ALL[which], stream));
    }
}

#[test]
fn a_change_that_was_sent_without_an_answer_may_have_been_made() {
    let users = b"*2\r\n$3\r\napp\r\n$5\r\nadmin\r\n";
    let until: [&[u8]; 4] = [b"-NOAUTH\r\n", b"+OK\r\n", b"$5\r\nadmin\r\n", users];
    let end = |last: &'static [u8]| scripted_change(Some("app"), "redis", false, &[&until[..], &[last]].concat());
    let (answer, heard) = end(b"+OK\r\n");
    assert_eq!(answer, Answer::Changed);
    assert!(heard.ends_with(b"*4\r\n$3\r\nACL\r\n$7\r\nSETUSER\r\n$3\r\napp\r\n$3\r\noff\r\n"));
    assert!(unclear_as(&end(b"-NOPERM not you\r\n").0, "NOPERM"));
    for nonsense in [&b"HTTP/1.1 200 OK\r\n"[..], b"+"] {
        assert!(matches!(end(nonsense).0, Answer::Perhaps(_)), "{:?}", end(nonsense).0);
    }
    let (answer, _) = scripted_change(Some("app"), "redis", false, &until);
    assert!(matches!(answer, Answer::Perhaps(_)), "{answer:?}");
    // Before it is sent nothing has changed, whatever the server does.
    let (answer, heard) = scripted_change(Some("other"), "redis", false, &until);
    assert!(matches!(answer, Answer::Gone(_)), "{answer:?}");
    assert!(!String::from_utf8_lossy(&heard).contains("SETUSER"));
    assert!(unclear_as(&scripted_change(Some("admin"), "redis", false, &until[..3]).0, "own account"));
}
