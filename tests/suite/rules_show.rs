//! `unsprawl rules show`: what a rule file says about asking and ending, told to people.
#![allow(clippy::unwrap_used)]

use crate::support::{folder, unsprawl, write};
use insta::assert_snapshot;

/// A rule file of an issuer that only this test knows, with what a call, a condition and a way are made of.
const ACME: &str = r#"
[issuer]
id = "acme"
name = "Acme"
docs = "https://docs.acme.example/keys"
[endpoint.api]
default = "https://api.acme.example/v1"
sites = ["https://api.eu.acme.example/v1"]
parts = ["host"]
env = ["ACME_URL"]

[[token]]
id = "key"
name = "Acme key"
bound_to = "user"
anchors = ["acmekey_"]
regex = '''\bacmekey_(?<secret>[0-9a-f]{32})\b(?:@(?<host>[a-z0-9.:-]{4,60}))?'''
verify = "key"
revoke = ["end", "lock", "unlock", "list", "shut", "open"]
manual = "console"
offline = [{ decode = "base64-json", principal = { email = { json = "/email" } } }]

[[verify.key]]
request = { method = "GET", path = "/me", query = { full = "1", key = "{secret}" }, headers = { x-key = "{secret}", accept = "text/x" } }
active = [{ status = [200, 203], has = "/login", lacks = "/error" }, { status = 403, text = ["scope", "role"], reason = "it may not ask" }]
inactive = [{ status = 401, json = { "/code" = ["expired", 7], "/ok" = false } }]
unknown = [{ header = { x-busy = "1" } }]
[verify.key.principal]
login = { json = "/login" }
more = { plan = { json = "/plan" } }
[verify.key.capture]
id = { json = "/id" }
[[verify.key]]
request = { method = "POST", path = "/users/{id}", basic = ["{id}", "{secret}"], json = { ask = ["{secret}", 1, true], of = { id = "{id}" } } }
when = "{id}"
[verify.key.principal]
email = { json = "/email" }
[[verify.key]]
request = { method = "GET", path = "/signed", sign = { with = "aws-sigv4", service = "acme", key_id = "{id}", secret = "{secret}" } }
[verify.key.principal]
name = { json = "/name" }

[revoke.end]
title = "End the keys"
by = "holder"
effect = "revoke"
docs = "https://docs.acme.example/keys/end"
side_effects = ["the owner is told"]
batch = 50
limit = { calls = 60, per = "1h" }
within = "2m"
[[revoke.end.step]]
request = { method = "POST", path = "/keys/end", json = { keys = "{secrets}" } }
done = [{ status = 202 }]
gone = [{ status = 404 }]
refused = [{ status = 422 }]
[revoke.end.dry_run]
request = { method = "POST", path = "/keys/end", query = { test = "1" }, json = { keys = "{secrets}" } }
done = [{ status = 200 }]

[revoke.lock]
title = "Lock the account"
by = "admin"
admin = ["token"]
effect = "contain"
docs = "https://docs.acme.example/lock"
undo = "unlock"
[[revoke.lock.step]]
request = { method = "PUT", path = "/locks", bearer = "{admin.token}", form = { key = "{secret}" } }
done = [{ status = 200 }]

[revoke.unlock]
title = "Unlock the account"
by = "admin"
admin = ["token"]
effect = "undo"
docs = "https://docs.acme.example/unlock"
[[revoke.unlock.step]]
request = { method = "DELETE", path = "/locks", bearer = "{admin.token}", body = "key {secret}" }
done = [{ status = 200 }]

[revoke.list]
title = "Take it off the list"
by = "admin"
admin = ["token"]
effect = "contain"
proof = "listing"
only_if_asked = true
[[revoke.list.step]]
request = { method = "DELETE", path = "/list/{secret}", bearer = "{admin.token}" }
done = [{ status = 200 }]

[revoke.shut]
title = "Lock it at its server"
by = "admin"
admin = ["user", "password"]
effect = "contain"
docs = "https://docs.acme.example/shut"
undo = "open"
[[revoke.shut.step]]
login = { protocol = "ldap", host = "{host}", user = "{admin.user}", password = "{admin.password}", change = "lock", account = "{secret}" }

[revoke.open]
title = "Unlock it at its server"
by = "admin"
admin = ["user", "password"]
effect = "undo"
docs = "https://docs.acme.example/open"
[[revoke.open.step]]
login = { protocol = "ldap", host = "{host}", user = "{admin.user}", password = "{admin.password}", change = "unlock", account = "{secret}" }

[manual.console]
page = "https://acme.example/keys"
steps = ["Open the list of keys", "Delete the key"]
"#;

/// What `rules show` prints of it.
fn shown(text: &str) -> String {
    let home = folder();
    write(home.path().join("acme.toml"), text);
    let run = unsprawl(["rules", "show", "acme", "--rules"]).arg(home.path().join("acme.toml")).run();
    assert_eq!(run.code, 0, "{}", run.stderr);
    String::from_utf8(run.stdout).unwrap()
}

#[test]
fn everything_of_a_rule_file() {
    assert_snapshot!(shown(ACME), @r#"
    acme.key
      Acme key
      issuer:     Acme
      docs:       https://docs.acme.example/keys
      anchors:    acmekey_
      regex:      \bacmekey_(?<secret>[0-9a-f]{32})\b(?:@(?<host>[a-z0-9.:-]{4,60}))?
      confidence: high
      bound to:   user
      by itself:  email (base64-json)
      endpoint:   api: https://api.acme.example/v1, https://api.eu.acme.example/v1, https://{host}, $ACME_URL
      ask:        GET {api}/me?full=1&key={secret}, x-key: {secret}
                  active: 200 or 203, with /login, without /error; or 403, text "scope" or "role" (it may not ask)
                  inactive: 401, /code = "expired" or 7, /ok = false
                  unknown: header x-busy: 1
                  tells login, plan
      ask:        POST {api}/users/{id}, basic {id}:{secret}, json {"ask": ["{secret}", 1, true], "of": {"id": "{id}"}}
                  if there is {id}
                  tells email
      ask:        GET {api}/signed, signed (aws-sigv4)
                  tells name
      revoke:     end: End the keys, by whoever holds it
                  https://docs.acme.example/keys/end
                  besides: the owner is told
                  up to 50 in one call; at most 60 calls in 3600 s; refused after at most 120 s
      call:       POST {api}/keys/end, json {"keys": {secrets}}
                  done: 202
                  gone: 404
                  refused: 422
      dry run:    POST {api}/keys/end?test=1, json {"keys": {secrets}}
                  done: 200
      contain:    lock: Lock the account, by an administrator (token)
                  https://docs.acme.example/lock
                  undone by unlock
      call:       PUT {api}/locks, bearer {admin.token}, form key={secret}
                  done: 200
      undo:       unlock: Unlock the account, by an administrator (token)
                  https://docs.acme.example/unlock
      call:       DELETE {api}/locks, bearer {admin.token}, body key {secret}
                  done: 200
      contain:    list: Take it off the list, by an administrator (token)
                  shown only: no page documents it
                  only if asked for by name; proved by the issuer's list, for it may work elsewhere
      call:       DELETE {api}/list/{secret}, bearer {admin.token}
                  done: 200
      contain:    shut: Lock it at its server, by an administrator (user, password)
                  https://docs.acme.example/shut
                  undone by open
      call:       log in by ldap and lock the account
      undo:       open: Unlock it at its server, by an administrator (user, password)
                  https://docs.acme.example/open
      call:       log in by ldap and unlock the account
      by hand:    https://acme.example/keys
                  1. Open the list of keys
                  2. Delete the key
    "#);
}

#[test]
fn one_that_is_not_asked_says_why() {
    let (head, _) = ACME.split_once("verify = ").unwrap();
    let text = shown(&format!("{head}no_verify = \"asking would use it up\"\n"));
    assert!(text.ends_with("\n  not asked:  asking would use it up\n"), "{text}");
}
