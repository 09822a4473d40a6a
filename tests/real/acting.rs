//! Ways to revoke, as the rules have them, driven at a real issuer: the engine's own steps over the engine's own network.

use std::collections::BTreeMap;

use unsprawl::model::Validity;
use unsprawl::rules::FileText;
use unsprawl::rules::ask::{Ask, compile};
use unsprawl::rules::pattern::part_names;
use unsprawl::rules::schema::RuleFile;
use unsprawl::verify::network::{LogIns, Network, Options};
use unsprawl::verify::render::ResolvedEndpoint;
use unsprawl::verify::steps::{self, Acted, Credential, Endpoints, Outcome};
use zeroize::Zeroizing;

/// Where the servers are.
pub const HOST: &str = "127.0.0.1";

/// A leaked credential, where its issuer is, and an administrator's settings.
pub struct Leaked {
    ask: Ask,
    secret: String,
    parts: BTreeMap<String, Vec<u8>>,
    endpoints: Endpoints,
    admin: BTreeMap<String, Zeroizing<String>>,
}

impl Leaked {
    /// Of this rule of the embedded ones.
    pub fn new(issuer: &str, token: &str, secret: &str) -> Self {
        Self::among(&unsprawl::rules::embedded(), issuer, token, secret)
    }

    /// Of a rule in one of these files.
    pub fn among(files: &[(FileText, RuleFile)], issuer: &str, token: &str, secret: &str) -> Self {
        let (text, file) = files.iter().find(|(_, file)| file.issuer.id.get_ref() == issuer).unwrap();
        let token = file.tokens.iter().find(|t| t.get_ref().id.get_ref() == token).unwrap().get_ref();
        let ask = compile(text, file, token, &part_names(token).unwrap()).unwrap();
        let (endpoints, admin) = (Endpoints::new(), BTreeMap::new());
        Self { ask, secret: secret.to_owned(), parts: BTreeMap::new(), endpoints, admin }
    }

    pub fn part(mut self, name: &str, value: &str) -> Self {
        self.parts.insert(name.to_owned(), value.as_bytes().to_vec());
        self
    }

    pub fn at(mut self, endpoint: &str, url: &str) -> Self {
        let site = ResolvedEndpoint { url: url.to_owned(), configured: true };
        self.endpoints.insert(endpoint.to_owned(), Ok(vec![site]));
        self
    }

    pub fn admin(mut self, name: &str, value: &str) -> Self {
        self.admin.insert(name.to_owned(), Zeroizing::new(value.to_owned()));
        self
    }

    fn credential(&self) -> Credential<'_> {
        Credential { secret: self.secret.as_bytes(), parts: &self.parts, secrets: &[] }
    }

    pub fn act(&self, way: &str) -> Acted {
        self.act_on(way, &[&self.secret])
    }

    /// In one call on several credentials of the same rule.
    pub fn act_on(&self, way: &str, secrets: &[&str]) -> Acted {
        let (network, way) = (network(), self.ask.way(way).unwrap());
        let parts = &self.parts;
        let all: Vec<_> = secrets.iter().map(|s| Credential { secret: s.as_bytes(), parts, secrets: &[] }).collect();
        block_on(steps::act(steps::Mode::Act, &self.ask, way, &all, &self.admin, &self.endpoints, &network, now()))
    }

    #[track_caller]
    pub fn does(&self, way: &str, outcome: Outcome, reason: &str) {
        let acted = self.act(way);
        assert_eq!(acted.outcome, outcome, "{acted:?}");
        assert!(acted.reason.as_deref().unwrap_or_default().contains(reason), "{acted:?}");
    }

    pub fn validity(&self) -> Validity {
        let network = network();
        block_on(steps::verify(&self.ask, &self.credential(), &self.endpoints, &network, now())).validity
    }

    #[track_caller]
    pub fn works(&self) {
        assert_eq!(self.validity(), Validity::Active);
    }

    #[track_caller]
    pub fn is_dead(&self) {
        assert_eq!(self.validity(), Validity::Inactive);
    }
}

/// With what `--verify-databases --allow-host --allow-internal` permit.
fn network() -> Network {
    let log_ins = LogIns { on: true, hosts: vec![HOST.into()], plain: Vec::new() };
    Network::new(Options { allow_internal: true, log_ins, ..Options::default() }).unwrap()
}

fn now() -> i64 {
    jiff::Timestamp::now().as_second()
}

fn block_on<F: Future>(future: F) -> F::Output {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}
