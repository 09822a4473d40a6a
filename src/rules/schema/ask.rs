//! How an issuer is asked and acted on: the part of a rule file behind detection, as TOML says it.
//!
//! Contract: data only, like `schema`. Every string marked as a template may hold `{name}`: see `rules/README.md`.

mod made_up;
mod many;
mod sign;

use std::collections::BTreeMap;

use serde::Deserialize;
use toml::Spanned;

pub use made_up::{TestReply, TestSent};
pub use many::OneOrMany;
pub use sign::{Scheme, Sign};

/// A place that requests go to; `api` is the one a request uses if it names none.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Endpoint {
    /// Where the issuer is for everybody: `https://host`, perhaps with a path. A label of the host may be a template.
    pub default: Option<Spanned<String>>,
    /// Further public sites of the issuer. A credential is at home at one of them: the others do not know it.
    #[serde(default)]
    pub sites: Vec<Spanned<String>>,
    /// Parts of the credential that name the host of its own instance; used only if the user allows that host.
    #[serde(default)]
    pub parts: Vec<String>,
    /// Domains that belong to the issuer: a host from `parts` below one of these is the issuer's and needs no allowance.
    #[serde(default)]
    pub domains: Vec<Spanned<String>>,
    /// Environment variables in which the issuer's own tools keep this address.
    #[serde(default)]
    pub env: Vec<String>,
    /// The tool in whose configuration the user names the registry.
    pub tool: Option<Tool>,
    /// Path that is put behind a host that the credential or the environment names (`/api/v3`).
    #[serde(default)]
    pub path: String,
}

/// Tools whose own configuration names a registry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Tool {
    /// `.npmrc`
    Npm,
    /// `pip.conf`, `.pypirc`
    Pip,
    /// Cargo's `config.toml`
    Cargo,
}

/// HTTP methods.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
#[allow(missing_docs)]
pub enum Method {
    Get,
    Head,
    Post,
    Put,
    Patch,
    Delete,
}

/// One HTTP request.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Request {
    /// Which endpoint of the file; `api` if not given.
    pub endpoint: Option<Spanned<String>>,
    /// The method.
    pub method: Method,
    /// Path below the endpoint, beginning with `/`; a template whose values are percent-encoded.
    pub path: Spanned<String>,
    /// Query: values are templates, percent-encoded.
    #[serde(default)]
    pub query: BTreeMap<String, Spanned<String>>,
    /// Headers: values are templates.
    #[serde(default)]
    pub headers: BTreeMap<String, Spanned<String>>,
    /// `Authorization: Bearer`: a template.
    pub bearer: Option<Spanned<String>>,
    /// `Authorization: Basic`: user and password, templates.
    pub basic: Option<[Spanned<String>; 2]>,
    /// An `application/x-www-form-urlencoded` body: values are templates.
    #[serde(default)]
    pub form: BTreeMap<String, Spanned<String>>,
    /// A JSON body: every string in it is a template; the string `{secrets}` alone in an array stands for all of a batch.
    pub json: Option<Spanned<toml::Value>>,
    /// Any other body: a template. Give its `content-type` in `headers`.
    pub body: Option<Spanned<String>>,
    /// Signing that needs code.
    pub sign: Option<Spanned<Sign>>,
}

/// A log-in that is not HTTP. All strings are templates.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Login {
    /// What is spoken; if not given, what the `scheme` says.
    pub protocol: Option<Protocol>,
    /// Scheme of the URL. It names the protocol where `protocol` does not, and that TLS comes first (`rediss`, `ldaps`).
    #[serde(default)]
    pub scheme: String,
    /// Host name or address; always from the credential, so only asked if the user allows it.
    pub host: String,
    /// Port; the protocol's own if empty.
    #[serde(default)]
    pub port: String,
    /// User, or bind DN.
    #[serde(default)]
    pub user: String,
    /// Password.
    pub password: String,
    /// Database, virtual host.
    #[serde(default)]
    pub database: String,
    /// MongoDB: the database that knows the user (`authSource`), where it is another than `database`.
    #[serde(default)]
    pub source: String,
    /// Revoke: what is done to `account` once an administrator has logged in.
    pub change: Option<Change>,
    /// Revoke: the user, role or bind DN that is changed.
    #[serde(default)]
    pub account: String,
}

impl Login {
    /// All templates with the names under which `verify::login` expects their values. A part that the credential does not
    /// have is the empty text here: `verify::login` tells what it cannot do without.
    pub fn templates(&self) -> [(&'static str, &str); 8] {
        [
            ("scheme", &self.scheme),
            ("host", &self.host),
            ("port", &self.port),
            ("user", &self.user),
            ("password", &self.password),
            ("database", &self.database),
            ("source", &self.source),
            ("account", &self.account),
        ]
    }
}

/// What an administrator's [`Login`] does to an account: PostgreSQL, MySQL and MariaDB, Redis, LDAP.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Change {
    /// Nobody logs in to it any more; it keeps its password and all else. Connections that are open stay open.
    Lock,
    /// Undoes `lock`.
    Unlock,
}

/// Protocols of [`Login`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
#[allow(missing_docs)]
pub enum Protocol {
    Postgres,
    Mysql,
    Redis,
    Mongodb,
    Amqp,
    Smtp,
    Imap,
    Ldap,
}

/// What a reply must be like. All that is given must hold.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Condition {
    /// One status or several.
    pub status: Option<OneOrMany<u16>>,
    /// JSON pointers that lead to something other than null (a `*` steps over every item).
    pub has: Option<OneOrMany<String>>,
    /// JSON pointers that lead to nothing, or to null.
    pub lacks: Option<OneOrMany<String>>,
    /// JSON pointer and what stands there, or an array of what may stand there. Text is compared without case.
    #[serde(default)]
    pub json: BTreeMap<String, toml::Value>,
    /// The body holds one of these texts, without case.
    pub text: Option<OneOrMany<String>>,
    /// Headers that hold this text, without case; the empty text asks that the header is there.
    #[serde(default)]
    pub header: BTreeMap<String, String>,
    /// Why, as reports show it: "expired", "limited by IP address".
    pub reason: Option<String>,
}

/// Where a value is taken from: exactly one of `json`, `header`, `regex`, `text`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pick {
    /// JSON pointer into the body; `*` steps over every item of an array or object.
    pub json: Option<Spanned<String>>,
    /// Name of a header.
    pub header: Option<String>,
    /// Pattern over the body; its first group, or else the whole match.
    pub regex: Option<Spanned<String>>,
    /// A template over the credential and what was captured.
    pub text: Option<Spanned<String>>,
    /// The value is a list: separated by this (spaces around items are trimmed).
    pub split: Option<String>,
    /// A template: only values that begin with it count, and of them the rest.
    pub after: Option<Spanned<String>>,
}

/// The account behind a credential: where each of its facts is taken from; of several sources the first that has any.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs)]
pub struct PrincipalSpec {
    /// `user`, `service`, `organisation`, `app`, `bot` or what the issuer calls it.
    pub kind: Option<OneOrMany<Pick>>,
    pub id: Option<OneOrMany<Pick>>,
    pub login: Option<OneOrMany<Pick>>,
    pub name: Option<OneOrMany<Pick>>,
    pub email: Option<OneOrMany<Pick>>,
    pub organisation: Option<OneOrMany<Pick>>,
    /// The issuer's id of the credential itself, by which it can be revoked.
    pub key_id: Option<OneOrMany<Pick>>,
    pub scopes: Option<OneOrMany<Pick>>,
    pub created: Option<OneOrMany<Pick>>,
    pub expires: Option<OneOrMany<Pick>>,
    pub last_used: Option<OneOrMany<Pick>>,
    /// Anything else worth showing, by name.
    #[serde(default)]
    pub more: BTreeMap<String, OneOrMany<Pick>>,
}

/// The one item of a list that is the credential.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Item {
    /// JSON pointer to the list.
    pub each: Spanned<String>,
    /// JSON pointers inside an item and the template each must equal. Exactly one item may fit, or nothing is done.
    #[serde(default)]
    pub equals: BTreeMap<String, Spanned<String>>,
    /// JSON pointers to a value that is shown in part (`sk-ab...wxyz`), and the template whose beginning and end it must show.
    #[serde(default)]
    pub masked: BTreeMap<String, Spanned<String>>,
    /// Captures: name and JSON pointer inside the item.
    pub capture: BTreeMap<String, Spanned<String>>,
}

/// One step of asking or acting: one request, and what its reply means.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Step {
    /// The request; or
    pub request: Option<Request>,
    /// the log-in.
    pub login: Option<Spanned<Login>>,
    /// Only where this template gives something: a step for one kind of credential among several.
    pub when: Option<Spanned<String>>,
    /// Verify: the issuer accepts the credential.
    #[serde(default)]
    pub active: Vec<Condition>,
    /// Verify: the issuer says that it does not work (any more).
    #[serde(default)]
    pub inactive: Vec<Condition>,
    /// Verify: the reply does not tell; looked at before `active` and `inactive`.
    #[serde(default)]
    pub unknown: Vec<Condition>,
    /// Revoke: the issuer says it is done (or accepted).
    #[serde(default)]
    pub done: Vec<Condition>,
    /// Revoke: the credential was gone before.
    #[serde(default)]
    pub gone: Vec<Condition>,
    /// Revoke: refused, and nothing has changed.
    #[serde(default)]
    pub refused: Vec<Condition>,
    /// Values for later steps, by name.
    #[serde(default)]
    pub capture: BTreeMap<String, Pick>,
    /// The item of a list that is the credential.
    pub item: Option<Spanned<Item>>,
    /// The account behind the credential.
    #[serde(default)]
    pub principal: PrincipalSpec,
}

/// What is known of a credential without asking anybody.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Offline {
    /// How the value is decoded into JSON; `none` for what only needs its parts.
    pub decode: Spanned<Decoder>,
    /// What is decoded: a template, `{secret}` if not given.
    pub of: Option<Spanned<String>>,
    /// Values for templates and endpoints, by name, as if they were parts of the credential.
    #[serde(default)]
    pub capture: BTreeMap<String, Pick>,
    /// The account.
    #[serde(default)]
    pub principal: PrincipalSpec,
}

/// Offline decoders. Each gives JSON, into which `json` of a [`Pick`] points.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Decoder {
    /// Nothing: `{}`.
    None,
    /// Payload of a JSON Web Token.
    Jwt,
    /// JSON itself.
    Json,
    /// Base64 (either alphabet) of JSON.
    Base64Json,
    /// Base64 (either alphabet) of text: a string.
    Base64Text,
    /// `{"account": "…"}` of an AWS access key id.
    AwsAccount,
    /// `{"location": "…", "identifier": "…", "caveats": ["…"], "tags": {"0": […], …}}` of a macaroon, version 1 or 2 in base64.
    /// `tags` has the caveats that are JSON arrays beginning with a number: the rest of the array, under that number.
    Macaroon,
    /// `{"o": n, "u": n, …}`: the routing payload of a GitLab token, numbers in base 10.
    GitlabRoutable,
    /// `{"scheme": "…", "user": "…", "host": "…", "port": n, "path": "…", "query": {…}}`.
    Url,
    /// Query parameters of a URL or query string, by name.
    Query,
    /// `{"type": "…", "fingerprint": "SHA256:…", "comment": "…"}` of an OpenSSH or PuTTY private key. An encrypted OpenSSH key
    /// keeps its comment to itself.
    SshKey,
    /// `{"user_ids": ["…"], "created": n, "fingerprint": "…"}` of an OpenPGP private key.
    PgpKey,
    /// `{"type": "RSA", "modulus": "…", "sha256": "…", "md5": "…"}` of a PEM private key: its public half, as JSON Web Keys,
    /// Snowflake and Oracle Cloud name it.
    PrivateKey,
}

/// One way to end a credential, or to take its power away.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Revoke {
    /// What it does, in a few words: "Delete the access key".
    pub title: String,
    /// Who can do it: the credential itself, or an administrator with a credential of his own.
    pub by: By,
    /// What it does to the credential.
    pub effect: Effect,
    /// The issuer's page that documents it. Without one it is only shown to a human, never done.
    pub docs: Option<String>,
    /// What else dies or changes; shown before anything is done.
    #[serde(default)]
    pub side_effects: Vec<String>,
    /// The way that undoes this one.
    pub undo: Option<Spanned<String>>,
    /// Only done when asked for by name, never chosen by itself.
    #[serde(default)]
    pub only_if_asked: bool,
    /// What shows that it is done.
    #[serde(default)]
    pub proof: Proof,
    /// How many credentials one call takes.
    pub batch: Option<usize>,
    /// How often it may be called.
    pub limit: Option<Limit>,
    /// How long it may take until the issuer refuses the credential: "10m".
    pub within: Option<Spanned<String>>,
    /// By an administrator: names of his settings, available to templates as `{admin.NAME}`; the value comes from the
    /// environment variable `UNSPRAWL_<ISSUER>_<NAME>` or the user's configuration, never from what was scanned.
    #[serde(default)]
    pub admin: Vec<String>,
    /// The steps, five at most; the last one changes something.
    #[serde(rename = "step")]
    pub steps: Vec<Spanned<Step>>,
    /// The issuer's own dry run: what is sent in place of the last step to see whether that would be done.
    pub dry_run: Option<Spanned<Step>>,
}

/// Who can do it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum By {
    /// Whoever holds the leaked credential.
    Holder,
    /// An administrator at the issuer.
    Admin,
}

/// What a way does to the credential.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Effect {
    /// It ends for good.
    Revoke,
    /// It stops working and can be brought back.
    Contain,
    /// It stops working, and a new value takes its place (which is neither kept nor shown).
    Rotate,
    /// Gives back what `contain` took.
    Undo,
}

/// What shows that a way is done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Proof {
    /// The issuer refuses the credential.
    #[default]
    Asking,
    /// The credential lives on elsewhere: the list that the way looks it up in does not hold it any more.
    Listing,
}

/// A bound on calls.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limit {
    /// So many calls
    pub calls: u32,
    /// in this time: "1h".
    pub per: Spanned<String>,
}

/// What a human does where no call exists.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manual {
    /// The issuer's page.
    pub page: String,
    /// Steps, in order.
    pub steps: Vec<String>,
}
