//! Known answers: AWS's published suite, the example of Alibaba Cloud's page, and what the issuers' own Python libraries
//! (botocore, azure-storage-blob, azure-cosmos, tencentcloud-sdk) make of the same request at the same second.
//! RSA keys come from `openssl`, which also checks what is signed with them.

#![allow(clippy::unwrap_used)]

use std::io::Write;
use std::process::{Command, Stdio};

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use zeroize::Zeroizing;

use super::parts::header;
use super::*;
use crate::rules::schema::ask::Method;

/// 2015-08-30 12:36:00 UTC.
pub(super) const NOW: i64 = 1_440_938_160;

pub(super) fn request(method: Method, url: &str, headers: &[(&str, &str)], body: &str) -> Outgoing {
    Outgoing {
        method,
        url: url.to_owned().into(),
        shown: String::new(),
        headers: headers.iter().map(|(n, v)| ((*n).to_owned(), Zeroizing::new((*v).to_owned()))).collect(),
        body: body.as_bytes().to_vec().into(),
        configured: false,
        repeatable: true,
    }
}

fn signing(text: &str) -> Sign {
    let sign: Sign = toml::from_str(text).unwrap();
    sign.check().unwrap();
    sign
}

/// Signs with the rule file's own text, as literal values.
pub(super) fn signed(rule: &str, request: Outgoing, now: i64) -> Outgoing {
    let sign = signing(rule);
    let values = sign.templates().map(|(name, value)| (name, Zeroizing::new(value.to_owned()))).collect();
    let mut request = request;
    apply(&sign, &values, &mut request, now).unwrap();
    request
}

fn aws(extra: &str, request: Outgoing) -> String {
    // The documented example key, in pieces.
    let secret = ["wJalrXUtnFEMI", "/K7MDENG+bPxRfiCY", "EXAMPLEKEY"].concat();
    let rule = format!("with = 'aws-sigv4'\nkey_id = 'AKID{}'\nsecret = '{secret}'\n{extra}", "EXAMPLE");
    let out = signed(&rule, request, NOW);
    assert_eq!(header(&out, "x-amz-date"), "20150830T123600Z");
    header(&out, "authorization").rsplit_once("Signature=").unwrap().1.to_owned()
}

#[test]
fn aws_published_vectors_and_botocore() {
    let url = "https://example.amazonaws.com/";
    assert_eq!(
        aws("service = 'service'", request(Method::Get, url, &[], "")),
        "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"
    );
    let form = [("content-type", "application/x-www-form-urlencoded")];
    assert_eq!(
        aws("service = 'service'", request(Method::Post, url, &form, "Param1=value1")),
        "ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a"
    );
    // The region comes from the host, the session token is signed.
    let call = request(
        Method::Post,
        "https://sts.us-gov-west-1.amazonaws.com/",
        &form,
        "Action=GetCallerIdentity&Version=2011-06-15",
    );
    assert_eq!(
        aws("service = 'sts'\nsession = 'session/token+=='", call),
        "aeac5453dbf9a56d30d1e55501c3573d45cdf140491083b8a46592322fdbc08b"
    );
    // A port, an escape in the path, parameters out of order, an empty one.
    let call = request(Method::Get, "http://127.0.0.1:15000/a%20b?z=1&Action=x%2Fy&b=", &[], "");
    assert_eq!(aws("service = 'iam'", call), "4b2c9fe64f9726d62bbb730b01fbedb5cfaec55e5276ccbfbc9fdf42966038e5");
}

#[test]
fn alibaba_documented_example() {
    let rule = "with = 'acs3'\naction = 'RunInstances'\nversion = '2014-05-26'\n\
                key_id = 'YourAccessKeyId'\nsecret = 'YourAccessKeySecret'";
    let url = "https://ecs.cn-shanghai.aliyuncs.com/\
               ?ImageId=win2019_1809_x64_dtc_zh-cn_40G_alibase_20230811.vhd&RegionId=cn-shanghai";
    let nonce = [("x-acs-signature-nonce", "3156853299f313e23d1673dc12e1703d")];
    // 2023-10-26T10:22:32Z
    let out = signed(rule, request(Method::Post, url, &nonce, ""), 1_698_315_752);
    assert_eq!(header(&out, "x-acs-date"), "2023-10-26T10:22:32Z");
    assert!(
        header(&out, "authorization")
            .ends_with("Signature=06563a9e1b43f5dfe96b81484da74bceab24a1d853912eee15083a6f0f3283c0"),
        "{}",
        header(&out, "authorization")
    );
    let nonce_of = |now| {
        let out = signed(rule, request(Method::Post, url, &[], ""), now);
        header(&out, "x-acs-signature-nonce").to_owned()
    };
    assert_ne!(nonce_of(1), nonce_of(2));
}

#[test]
fn tencent_like_its_library() {
    let rule = "with = 'tc3'\naction = 'GetCallerIdentity'\nversion = '2018-08-13'\nservice = 'sts'\n\
                key_id = 'AKIDxxxxxxxx'\nsecret = 'k3yyyyyyyyy'";
    let call = request(Method::Post, "https://sts.tencentcloudapi.com/", &[("content-type", "application/json")], "{}");
    let out = signed(rule, call, NOW);
    assert_eq!(
        header(&out, "authorization"),
        "TC3-HMAC-SHA256 Credential=AKIDxxxxxxxx/2015-08-30/sts/tc3_request, SignedHeaders=content-type;host, \
         Signature=e89a78e8f921634aaa599ec8327e2a240d68d66e1d1191121b03be2a25a8a9a9"
    );
    assert_eq!(header(&out, "x-tc-timestamp"), "1440938160");
}

#[test]
fn azure_like_its_libraries() {
    let key = STANDARD.encode((0..64).collect::<Vec<u8>>());
    let rule = format!("with = 'azure-shared-key'\naccount = 'acmestore'\nkey = '{key}'");
    let url = "https://acmestore.blob.core.windows.net/?comp=list&maxresults=1";
    let out = signed(&rule, request(Method::Get, url, &[], ""), NOW);
    assert_eq!(header(&out, "x-ms-date"), "Sun, 30 Aug 2015 12:36:00 GMT");
    assert_eq!(header(&out, "authorization"), "SharedKey acmestore:esRDA5452qoz273ozsy7hCNSnKs+MywRGpi3D0wY0ck=");
    let rule = format!("with = 'azure-cosmos'\nkey = '{key}'");
    let out = signed(&rule, request(Method::Get, "https://acme.documents.azure.com/dbs", &[], ""), NOW);
    assert_eq!(
        header(&out, "authorization"),
        "type%3Dmaster%26ver%3D1.0%26sig%3D%2Bv9Xq9odJo81F09HHGCd8BLeiq3%2BCz0VGRQMdGy09So%3D"
    );
    let rule = format!("with = 'azure-sas'\nname = 'Root'\nkey = '{}'", "k".repeat(44));
    let out =
        signed(&rule, request(Method::Get, "https://acme.servicebus.windows.net/$Resources/queues", &[], ""), NOW);
    assert_eq!(
        header(&out, "authorization"),
        "SharedAccessSignature sr=https%3A%2F%2Facme.servicebus.windows.net%2F\
         &sig=Ihk0s1W48voC0LpVVTkQ4myUzp5Wd6DNAwTlXc5yiP8%3D&se=1440938460&skn=Root"
    );
}

/// What `openssl` says; `None` where it is not installed (a failure under CI=true).
pub(super) fn openssl(arguments: &[&str], input: &[u8]) -> Option<Vec<u8>> {
    let started = Command::new("openssl")
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn();
    let Ok(mut child) = started else {
        assert!(std::env::var_os("CI").is_none(), "openssl is needed");
        eprintln!("skipped: openssl is not installed");
        return None;
    };
    child.stdin.take().unwrap().write_all(input).unwrap();
    let out = child.wait_with_output().unwrap();
    assert!(out.status.success(), "openssl {arguments:?}");
    Some(out.stdout)
}

/// A new key in a file (openssl signs only with files), and its PEM.
pub(super) fn new_key(arguments: &[&str]) -> Option<(tempfile::NamedTempFile, String)> {
    let pem = openssl(arguments, b"")?;
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(&pem).unwrap();
    Some((file, String::from_utf8(pem).unwrap()))
}

const RSA: &[&str] = &["genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"];

/// As toml of a rule: a JSON string of TOML.
pub(super) fn quoted(text: &str) -> String {
    serde_json::to_string(text).unwrap()
}

#[test]
fn jwt_is_signed_as_openssl_signs() {
    let Some((file, pem)) = new_key(RSA) else { return };
    let path = file.path().to_str().unwrap();
    let public = openssl(&["pkey", "-in", path, "-pubout", "-outform", "DER"], b"").unwrap();
    let pkcs1 = String::from_utf8(openssl(&["rsa", "-in", path, "-traditional"], b"").unwrap()).unwrap();
    for key in [pem.clone(), pem.replace('\n', "\\n"), pem.replace('\n', "\\\\n"), pem.replace('\n', ""), pkcs1] {
        let rule = format!(
            "with = 'jwt'\nkid = 'k1'\nlifetime = 300\nkey = {}\nclaims = {{ iss = 'A.B.SHA256:%public%', sub = 'x' }}",
            quoted(&key)
        );
        let out = signed(&rule, request(Method::Get, "https://h/", &[], ""), NOW);
        let token = header(&out, "authorization").strip_prefix("Bearer ").unwrap();
        let (text, signature) = token.rsplit_once('.').unwrap();
        let expected = openssl(&["dgst", "-sha256", "-sign", path], text.as_bytes()).unwrap();
        assert_eq!(URL_SAFE_NO_PAD.decode(signature).unwrap(), expected);
        let part = |n: usize| -> serde_json::Value {
            serde_json::from_slice(&URL_SAFE_NO_PAD.decode(text.split('.').nth(n).unwrap()).unwrap()).unwrap()
        };
        assert_eq!(part(0), serde_json::json!({"alg": "RS256", "typ": "JWT", "kid": "k1"}));
        use sha2::Digest;
        let digest = STANDARD.encode(sha2::Sha256::digest(&public));
        assert_eq!(
            part(1),
            serde_json::json!({"iss": format!("A.B.SHA256:{digest}"), "sub": "x", "iat": NOW - 30, "exp": NOW + 270})
        );
    }
}

#[test]
fn jwt_in_a_form() {
    let Some((_, pem)) = new_key(RSA) else { return };
    let rule =
        format!("with = 'jwt'\nlifetime = 60\nform = 'assertion'\nkey = {}\nclaims = {{ iss = 'x' }}", quoted(&pem));
    let out = signed(&rule, request(Method::Post, "https://h/", &[], "grant_type=g"), NOW);
    let body = std::str::from_utf8(&out.body).unwrap();
    assert!(body.starts_with("grant_type=g&assertion=eyJ"), "{}", &body[..30]);
    assert_eq!(header(&out, "content-type"), "application/x-www-form-urlencoded");
    assert_eq!(header(&out, "authorization"), "");
}

#[test]
fn es256_is_right() {
    use ring::signature::{ECDSA_P256_SHA256_FIXED, UnparsedPublicKey};
    let Some((file, pem)) = new_key(&["genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"]) else {
        return;
    };
    let public = openssl(&["pkey", "-in", file.path().to_str().unwrap(), "-pubout", "-outform", "DER"], b"").unwrap();
    let key = PrivateKey::read(&pem).unwrap();
    assert_eq!(key.public_der().unwrap(), public);
    let signature = key.sign_jwt(b"text").unwrap();
    let point = &public[public.len() - 65..];
    UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point).verify(b"text", &signature).unwrap();
    assert!(key.modulus().is_err());
}

#[test]
fn oracle_as_openssl_signs() {
    let Some((file, pem)) = new_key(RSA) else { return };
    let path = file.path().to_str().unwrap();
    let rule = format!("with = 'oci'\ntenancy = 't'\nuser = 'u'\nkey = {}", quoted(&pem));
    let url = "https://identity.eu-frankfurt-1.oraclecloud.com/20160918/users/u?x=1";
    let out = signed(&rule, request(Method::Get, url, &[], ""), NOW);
    let text = "date: Sun, 30 Aug 2015 12:36:00 GMT\n(request-target): get /20160918/users/u?x=1\n\
                host: identity.eu-frankfurt-1.oraclecloud.com";
    let signature = STANDARD.encode(openssl(&["dgst", "-sha256", "-sign", path], text.as_bytes()).unwrap());
    let public = openssl(&["pkey", "-in", path, "-pubout", "-outform", "DER"], b"").unwrap();
    let digest = String::from_utf8(openssl(&["dgst", "-md5", "-c"], &public).unwrap()).unwrap();
    let fingerprint = digest.trim().rsplit(' ').next().unwrap();
    assert_eq!(
        header(&out, "authorization"),
        format!(
            "Signature version=\"1\",keyId=\"t/u/{fingerprint}\",algorithm=\"rsa-sha256\",\
             headers=\"date (request-target) host\",signature=\"{signature}\""
        )
    );
}

#[test]
fn modulus_is_the_public_one() {
    let Some((file, pem)) = new_key(RSA) else { return };
    let out = openssl(&["rsa", "-in", file.path().to_str().unwrap(), "-noout", "-modulus"], b"").unwrap();
    let hex = String::from_utf8(out).unwrap().trim().rsplit('=').next().unwrap().to_lowercase();
    let ours = URL_SAFE_NO_PAD.decode(PrivateKey::read(&pem).unwrap().modulus().unwrap()).unwrap();
    assert_eq!(crate::secret::hex(&ours), hex);
    let told = public_half(&pem).unwrap();
    assert_eq!((&told["type"], told["md5"].as_str().unwrap().len()), (&"RSA".into(), 47));
    assert!(public_half("-----BEGIN PRIVATE KEY-----").is_none());
}

#[test]
fn what_cannot_be_signed_says_why_and_leaves_the_request() {
    let sign = signing("with = 'aws-sigv4'\nservice = 'sts'\nkey_id = ''\nsecret = 'x'");
    let mut values: Values = [("service".to_owned(), Zeroizing::new("sts".to_owned()))].into_iter().collect();
    let mut call = request(Method::Get, "https://sts.amazonaws.com/", &[], "");
    assert_eq!(apply(&sign, &values, &mut call, NOW), Err(Unsigned::Missing("key_id")));
    assert!(call.headers.is_empty());
    values.set("key_id", Zeroizing::new("hunter2".into()));
    assert!(!format!("{values:?}").contains("hunter2"));
    for text in ["", "-----BEGIN PRIVATE KEY-----", "-----BEGIN PRIVATE KEY-----AAAA-----END PRIVATE KEY-----"] {
        assert!(PrivateKey::read(text).is_err(), "{text}");
    }
    let key = format!("-----BEGIN {} PRIVATE KEY-----AAAA-----END {0} PRIVATE KEY-----", "ENCRYPTED");
    assert!(PrivateKey::read(&key).unwrap_err().to_string().contains("passphrase"));
}

#[test]
fn fields_of_a_scheme_are_checked() {
    let check = |text: &str| toml::from_str::<Sign>(text).unwrap().check();
    assert!(check("with = 'azure-sas'\nkey = 'a'").unwrap_err().contains("name"));
    assert!(check("with = 'azure-cosmos'\nkey = 'a'\nregion = 'b'").unwrap_err().contains("region"));
    assert!(check("with = 'jwt'\nkey = 'a'\nlifetime = 601").is_err());
    assert!(check("with = 'azure-cosmos'\nkey = 'a'\nlifetime = 60").is_err());
    assert!(toml::from_str::<Sign>("with = 'magic'").is_err());
}

#[test]
fn ovh_as_sha1sum_does() {
    // printf 'AS+CK+GET+https://eu.api.ovh.com/1.0/auth/currentCredential++1440938160' | sha1sum, and with a body.
    let rule = "with = 'ovh'\nkey = 'AK'\nsecret = 'AS'\nconsumer = 'CK'";
    let out = signed(rule, request(Method::Get, "https://eu.api.ovh.com/1.0/auth/currentCredential", &[], ""), NOW);
    assert_eq!(header(&out, "x-ovh-signature"), "$1$9134935f410a8bc03f86bb2faa6b39a307c0d2d6");
    let told = ["x-ovh-application", "x-ovh-consumer", "x-ovh-timestamp"].map(|name| header(&out, name));
    assert_eq!(told, ["AK", "CK", "1440938160"]);
    let out = signed(rule, request(Method::Post, "https://eu.api.ovh.com/1.0/x?a=1", &[], "{\"a\":1}"), NOW);
    assert_eq!(header(&out, "x-ovh-signature"), "$1$a301891ecfb3dc2ef5f8dc377f29acda8f420132");
}

#[test]
fn oauth1_as_rfc_5849_signs() {
    // The values of section 1.2. Its signature is without `oauth_version`, which X asks for: these were made by a few lines of
    // Python that give the signature of the RFC for the parameters of the RFC.
    let values: Values = [
        ("consumer_key", "dpf43f3p2l4k3l03"),
        ("consumer_secret", "kd94hf93k423kf44"),
        ("token", "nnch734d00sl2jdk"),
        ("token_secret", "pfkkdhi9sl3r4s00"),
    ]
    .map(|(name, value)| (name.to_owned(), Zeroizing::new(value.to_owned())))
    .into_iter()
    .collect();
    let url = "http://photos.example.net/photos?file=vacation.jpg&size=original";
    let mut call = request(Method::Get, url, &[], "");
    oauth1::sign_once(&values, &mut call, 137_131_202, "chapoH").unwrap();
    let told = header(&call, "authorization").to_owned();
    assert!(told.starts_with("OAuth oauth_consumer_key=\"dpf43f3p2l4k3l03\", oauth_nonce=\"chapoH\", "), "{told}");
    assert!(told.ends_with("oauth_signature=\"1IAE9RzK%2BDqSqVTdQ%2F0zWANXVzs%3D\""), "{told}");
    // What stands encoded in the address is signed once encoded.
    let url = "https://api.x.com/1.1/a.json?q=caf%C3%A9,%20b&include=true";
    let mut call = request(Method::Post, url, &[], "");
    oauth1::sign_once(&values, &mut call, 137_131_202, "chapoH").unwrap();
    let told = header(&call, "authorization").to_owned();
    assert!(told.ends_with("oauth_signature=\"wFGsyd9EfJ3za2q8tR0%2FvG8qd9I%3D\""), "{told}");
    let mut call = request(Method::Post, url, &[], "a=b");
    assert!(oauth1::sign_once(&values, &mut call, NOW, "n").is_err());
}

#[test]
fn duo_and_exoscale_as_python_signs() {
    let rule = "with = 'duo'\nkey = 'DIX'\nsecret = 'sk'";
    let url = "https://API-1.duosecurity.com/auth/v2/x?b=2&a=1%201";
    let out = signed(rule, request(Method::Get, url, &[], ""), NOW);
    assert_eq!(header(&out, "date"), "Sun, 30 Aug 2015 12:36:00 -0000");
    assert_eq!(
        header(&out, "authorization"),
        "Basic RElYOjBjMTY5ZTM0NjMwZjY0YjMwY2FhNDk3YzE5ZDk3MWY3MzFlYjQ5OTI3OWQyOTlmMTI5YzBlNjg3MjU5N2IyZGY3OWVlY2M3MzU4ODhlOGRkZTM2MWMwOTZhM2E5NDAxMDQzZWJmMmFiOTQwOGExNDFlNTllMTZjMTRjYWVhOGRj"
    );
    let rule = "with = 'exo2'\nkey = 'EXOx'\nsecret = 's'";
    let url = "https://api-ch-gva-2.exoscale.com/v2/resource/a?p1=v1&p2=v2";
    let out = signed(rule, request(Method::Get, url, &[], ""), NOW);
    let told = "EXO2-HMAC-SHA256 credential=EXOx,signed-query-args=p1;p2,expires=1440938280,signature=6oUBCE09GCEOsqCQhum0weGp5ZsCXIRhVOAxpE1a5T8=";
    assert_eq!(header(&out, "authorization"), told);
    let url = "https://api-ch-gva-2.exoscale.com/v2/security-group";
    let out = signed(rule, request(Method::Post, url, &[], "{\"name\":\"a\"}"), NOW);
    let told =
        "EXO2-HMAC-SHA256 credential=EXOx,expires=1440938280,signature=66rirAcx4RjWmGMi87jQQ7Yaj4micfDMqJmfgUUMUck=";
    assert_eq!(header(&out, "authorization"), told);
}
