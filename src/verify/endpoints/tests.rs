#![allow(clippy::unwrap_used)]

use super::*;
use crate::rules;

/// The asking part of a made-up issuer's only token type.
fn ask(endpoint: &str) -> Ask {
    let text = format!(
        r#"
[issuer]
id = "acme"
name = "Acme"
[endpoint.api]
{endpoint}
[[token]]
id = "key"
name = "Acme key"
bound_to = "user"
anchors = ["acme_"]
regex = '''acme_(?<subdomain>[a-z]{{3}})(?<host>[a-z]{{3}})[0-9a-f]{{20}}'''
verify = "me"
[[verify.me]]
request = {{ method = "GET", path = "/me", bearer = "{{secret}}" }}
active = [{{ status = 200 }}]
inactive = [{{ status = 401 }}]
"#
    );
    let (place, file) = rules::parse("acme.toml", &text).unwrap();
    let token = file.tokens[0].get_ref();
    rules::ask::compile(&place, &file, token, &rules::pattern::part_names(token).unwrap()).unwrap()
}

fn settings(flags: &[(&str, &str)], env: &[(&str, &str)], file: &[(&str, &str)], hosts: &[&str]) -> Settings {
    let map = |list: &[(&str, &str)]| list.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
    let allow_hosts = hosts.iter().map(|h| (*h).to_owned()).collect();
    let mut sites: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (name, url) in flags {
        sites.entry((*name).to_owned()).or_default().push((*url).to_owned());
    }
    Settings { flags: sites, env: map(env), file: map(file), allow_hosts, home: None }
}

/// Where `api` is: the URLs, those that are configured with a `!`.
fn at(settings: &Settings, endpoint: &str, parts: &[(&str, &str)]) -> Result<String, String> {
    let parts = parts.iter().map(|(k, v)| ((*k).to_owned(), v.as_bytes().to_vec())).collect();
    let found = settings.resolve("acme", &ask(endpoint), &Credential { secret: b"x", parts: &parts, secrets: &[] });
    let shown = |e: &ResolvedEndpoint| format!("{}{}", e.url, if e.configured { "!" } else { "" });
    found["api"].clone().map(|urls| urls.iter().map(shown).collect::<Vec<_>>().join(" "))
}

const PUBLIC: &str = "default = \"https://api.acme.example\"\nenv = [\"ACME_URL\"]\nparts = [\"host\"]\npath = \"/v3\"";

#[test]
fn one_issuer_may_be_in_several_places() {
    let two = [("acme", "https://api.acme.example"), ("acme", "http://10.0.0.1/v3")];
    let settings = settings(&two, &[], &[], &[]);
    assert_eq!(at(&settings, PUBLIC, &[]).unwrap(), "https://api.acme.example! http://10.0.0.1/v3!");
}

#[test]
fn the_user_comes_first() {
    let flag = [("acme", "http://flag:1/x/")];
    let env = [("UNSPRAWL_ENDPOINT_ACME", "https://env"), ("ACME_URL", "https://tool")];
    let file = [("acme.api", "https://file")];
    let own = [("host", "own.example")];
    let ok = |text: &str| Ok(text.to_owned());
    for parts in [&[][..], &own] {
        assert_eq!(at(&settings(&flag, &env, &file, &[]), PUBLIC, parts), ok("http://flag:1/x!"));
        assert_eq!(at(&settings(&[], &env, &file, &[]), PUBLIC, parts), ok("https://env!"));
        assert_eq!(at(&settings(&[], &env[1..], &file, &[]), PUBLIC, parts), ok("https://file!"));
    }
    assert_eq!(at(&settings(&[], &env[1..], &[], &[]), PUBLIC, &[]), ok("https://tool/v3!"));
    assert_eq!(
        at(&settings(&[], &[("ACME_URL", "own.example/deep")], &[], &[]), PUBLIC, &own),
        ok("https://own.example/deep!")
    );
    assert_eq!(at(&settings(&[], &[], &[], &[]), PUBLIC, &[]), ok("https://api.acme.example"));
    let bad = at(&settings(&[], &[("UNSPRAWL_ENDPOINT_ACME", "ftp://x")], &[], &[]), PUBLIC, &[]);
    assert!(bad.unwrap_err().contains("UNSPRAWL_ENDPOINT_ACME"));
}

#[test]
fn a_host_of_the_credential_is_asked_if_allowed_and_no_other_is() {
    let own = [("host", "Git.Corp.example:8443")];
    let hint = at(&settings(&[], &[("ACME_URL", "https://tool")], &[], &["other.example"]), PUBLIC, &own).unwrap_err();
    assert!(hint.contains("--allow-host git.corp.example:8443"), "{hint}");
    for allowed in ["git.corp.example", "git.corp.example:8443", "*.corp.example", "GIT.corp.example"] {
        let found = at(&settings(&[], &[], &[], &[allowed]), PUBLIC, &own);
        assert_eq!(found.unwrap(), "https://git.corp.example:8443/v3", "{allowed}");
    }
    for other in ["corp.example", "*.git.corp.example", "git.corp.example:1", "*"] {
        assert!(at(&settings(&[], &[], &[], &[other]), PUBLIC, &own).is_err(), "{other}");
    }
    let known = [("host", "https://api.acme.example/path")];
    assert_eq!(at(&settings(&[], &[], &[], &[]), PUBLIC, &known).unwrap(), "https://api.acme.example");
    for trap in ["a@b", "api.acme.example@evil.example", "api.acme.example evil", "\u{202e}x", "a%2fb"] {
        let found = at(&settings(&[], &[], &[], &["*.example"]), PUBLIC, &[("host", trap)]);
        assert!(found.is_err(), "{trap}: {found:?}");
        assert!(!found.unwrap_err().contains(trap));
    }
}

#[test]
fn labels_and_sites_and_nothing() {
    let label = "default = \"https://{subdomain}.acme.example\"";
    let none = settings(&[], &[], &[], &[]);
    assert_eq!(at(&none, label, &[("subdomain", "abc")]).unwrap(), "https://abc.acme.example");
    for trap in ["a.b", "evil.example/", "", "-a", "a@b"] {
        assert!(at(&none, label, &[("subdomain", trap)]).is_err(), "{trap}");
    }
    let sites = "default = \"https://a.example\"\nsites = [\"https://eu.a.example\"]";
    assert_eq!(at(&none, sites, &[]).unwrap(), "https://a.example https://eu.a.example");
    assert!(at(&none, "parts = [\"host\"]", &[]).unwrap_err().contains("--endpoint acme=URL"));
}

#[test]
fn registries_of_tools() {
    let home = tempfile::tempdir().unwrap();
    let write = |path: &str, text: &str| {
        let path = home.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    };
    let with = |env: &[(&str, &str)]| Settings { home: Some(home.path().into()), ..settings(&[], env, &[], &[]) };
    assert!(at(&with(&[]), "tool = \"npm\"", &[]).unwrap_err().contains("npm configuration"));
    write(
        ".npmrc",
        "# x\nregistry = http://localhost:4873/\n@acme:registry=https://npm.acme.example/r/\n//x/:_authToken=y\n",
    );
    assert_eq!(at(&with(&[]), "tool = \"npm\"", &[]).unwrap(), "http://localhost:4873! https://npm.acme.example/r!");
    let env = [("npm_config_registry", "https://env.example")];
    assert_eq!(at(&with(&env), "tool = \"npm\"", &[]).unwrap(), "https://env.example! https://npm.acme.example/r!");

    write(".pypirc", "[distutils]\nindex-servers = a\n[a]\nrepository = https://up.example/legacy/\nusername = x\n");
    write(
        ".config/pip/pip.conf",
        "[global]\nindex-url = https://u:p@in.example/simple\n[x]\nindex-url = https://no.example\n",
    );
    assert_eq!(at(&with(&[]), "tool = \"pip\"", &[]).unwrap(), "https://up.example/legacy! https://in.example/simple!");

    let toml = "[registry]\ndefault = \"b\"\n[registries.a]\nindex = \"https://git.example/index.git\"\n\
                [registries.b]\nindex = \"sparse+https://b.example/index/\"\n[registries.c-c]\nindex = \"x\"\n";
    write(".cargo/config.toml", toml);
    let env = [("CARGO_REGISTRIES_C_C_INDEX", "sparse+https://c.example/")];
    assert_eq!(at(&with(&env), "tool = \"cargo\"", &[]).unwrap(), "https://b.example! https://c.example!");
}
