//! Gathers hits from all threads and groups them into credentials.
//!
//! Contract: equal values of one token type are one credential, wherever they stand. Memory grows with distinct credentials
//! and places, both bounded: past [`MAX_PLACES`] places are only counted.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Mutex, PoisonError};

use crate::model::{Confidence, Hit, ObjectId, TextSpan, TokenIndex};
use crate::secret::Secret;
use crate::source::Origin;

/// Most places that are kept in all; further ones are counted.
pub const MAX_PLACES: usize = 2_000_000;

/// Number of a credential in a [`Collected`].
pub type CredentialNumber = u32;

/// One distinct value of one token type.
#[derive(Clone, Debug)]
pub struct Credential {
    /// Its token type.
    pub token: TokenIndex,
    /// The value.
    pub secret: Secret,
    /// Parts seen beside it, all at one place.
    pub parts: BTreeMap<String, Vec<u8>>,
    /// Further secrets that it only works with, seen at the same place.
    pub secrets: Vec<(String, Secret)>,
    /// The best confidence of its hits.
    pub confidence: Confidence,
    /// Protected by a passphrase.
    pub encrypted: bool,
}

/// Where a credential stands, before paths of blobs are known.
#[derive(Clone, Debug)]
pub struct Place {
    /// Which credential.
    pub credential: CredentialNumber,
    /// Position in the text.
    pub span: TextSpan,
    /// Encodings that were undone.
    pub encoding: Vec<&'static str>,
}

/// Hits in one git object.
#[derive(Clone, Debug)]
pub struct ObjectPlace {
    /// Member path, if the blob is an archive.
    pub member: Vec<String>,
    /// The place in it.
    pub place: Place,
}

/// Everything that was found.
#[derive(Debug, Default)]
pub struct Collected {
    /// Credentials by number.
    pub credentials: Vec<Credential>,
    /// Places in files and standard input.
    pub files: Vec<(Origin, Place)>,
    /// Places in git objects: target and object.
    pub objects: HashMap<(usize, ObjectId), Vec<ObjectPlace>>,
    /// Places that were only counted.
    pub uncounted: u64,
    /// Hits left out because of an inline comment.
    pub ignored_inline: u64,
    numbers: HashMap<(TokenIndex, Secret), CredentialNumber>,
    seen: HashSet<(u64, CredentialNumber, u64)>,
    places: usize,
}

/// Thread-safe [`Collected`].
#[derive(Debug, Default)]
pub struct Collector(Mutex<Collected>);

impl Collector {
    /// Takes the hits of one text. Nothing is locked when there are none.
    pub fn add(&self, origin: &Origin, hits: Vec<Hit>) {
        if hits.is_empty() {
            return;
        }
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for hit in hits {
            all.add(origin, hit);
        }
    }

    /// Everything gathered so far.
    pub fn take(&self) -> Collected {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Collected {
    fn add(&mut self, origin: &Origin, hit: Hit) {
        if hit.ignored {
            self.ignored_inline += 1;
            return;
        }
        let credential = self.number(&hit);
        let known = &mut self.credentials[credential as usize];
        known.confidence = known.confidence.max(hit.confidence);
        // Threads come in any order, and the report must not depend on it: the fullest set, of equal ones the smallest.
        let parts: BTreeMap<String, Vec<u8>> = hit.parts.into_iter().collect();
        if rank(&parts, &hit.secrets) > rank(&known.parts, &known.secrets) {
            (known.parts, known.secrets) = (parts, hit.secrets);
        }
        // Pieces of a long text overlap: the same place may be seen twice.
        if !self.seen.insert((hash(origin), credential, hit.span.start)) {
            return;
        }
        if self.places >= MAX_PLACES {
            self.uncounted += 1;
            return;
        }
        self.places += 1;
        let place = Place { credential, span: hit.span, encoding: hit.encoding };
        match origin.object {
            Some(object) => {
                let entry = self.objects.entry((origin.target, object)).or_default();
                entry.push(ObjectPlace { member: origin.member.clone(), place });
            }
            None => self.files.push((origin.clone(), place)),
        }
    }

    fn number(&mut self, hit: &Hit) -> CredentialNumber {
        let next = self.credentials.len() as CredentialNumber;
        let number = *self.numbers.entry((hit.token, hit.secret.clone())).or_insert(next);
        if number == next {
            self.credentials.push(Credential {
                token: hit.token,
                secret: hit.secret.clone(),
                parts: BTreeMap::new(),
                secrets: Vec::new(),
                confidence: hit.confidence,
                encrypted: hit.encrypted,
            });
        }
        number
    }
}

/// The fuller, then the smaller, the higher.
fn rank<'a>(parts: &'a BTreeMap<String, Vec<u8>>, secrets: &'a [(String, Secret)]) -> impl Ord + use<'a> {
    let values: Vec<&[u8]> = secrets.iter().map(|(_, secret)| secret.expose()).collect();
    (parts.len() + secrets.len(), Reverse(parts), Reverse(values))
}

fn hash(origin: &Origin) -> u64 {
    use std::hash::{Hash, Hasher};
    let mut hasher = std::hash::DefaultHasher::new();
    (origin.target, origin.kind, &origin.path, origin.object, &origin.member).hash(&mut hasher);
    hasher.finish()
}
