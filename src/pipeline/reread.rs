//! Reads the values of an earlier report's findings again, from the places that it names.
//!
//! Contract: a value is taken only if its fingerprint is that of the report. Nothing is cloned and no process is started: what is
//! not on this machine any more is told, finding by finding.

use std::collections::{HashMap, HashSet};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::sink::TextSink;
use crate::collect::{Collector, Credential};
use crate::detect::Scanner;
use crate::model::{Checked, Confidence, How, Location, ObjectId, PlaceKind, Report, Target, Validity};
use crate::notes::Notes;
use crate::rules::SharedCatalog;
use crate::secret::{Fingerprint, Fingerprinter};
use crate::source::git::discover::discover;
use crate::source::git::store::ObjectStore;
use crate::source::{Limits, stdin};

/// Places of one finding that are tried.
const MOST_PLACES: usize = 20;

/// What a place is read from.
#[derive(Clone, PartialEq, Eq, Hash)]
enum From {
    File(PathBuf),
    Object(usize, ObjectId),
}

/// Fills in the values of a report's findings. Gives how many were read again; the others are unknown and say why.
pub fn values(
    report: &mut Report,
    catalog: &SharedCatalog,
    fingerprinter: &Fingerprinter,
    notes: &Arc<Notes>,
) -> usize {
    fill(report, catalog, fingerprinter, notes, |checked, why| {
        checked.validity = Validity::Unknown(format!("the value could not be read again: {why}"));
    })
}

/// The same, but what cannot be read again keeps the verdict of the report, as one of an earlier run.
pub fn values_or_verdicts(
    report: &mut Report,
    catalog: &SharedCatalog,
    fingerprinter: &Fingerprinter,
    notes: &Arc<Notes>,
) -> usize {
    fill(report, catalog, fingerprinter, notes, |checked, _| {
        if checked.how == How::Asked {
            checked.how = How::Cached;
        }
    })
}

fn fill(
    report: &mut Report,
    catalog: &SharedCatalog,
    fingerprinter: &Fingerprinter,
    notes: &Arc<Notes>,
    otherwise: impl Fn(&mut Checked, &str),
) -> usize {
    let scanner = Scanner::new(catalog.clone(), Confidence::Low);
    let mut reader =
        Reader { scanner, fingerprinter, notes, stores: HashMap::new(), read: HashSet::new(), found: HashMap::new() };
    let mut count = 0;
    for finding in report.findings.iter_mut().filter(|f| f.secret.is_withheld()) {
        let mut why = "its places are not on this machine";
        for location in finding.locations.iter().take(MOST_PLACES) {
            let Some(from) = place(&report.targets, location) else { continue };
            if reader.read(&report.targets, &from) {
                why = "it no longer stands where the report says";
            }
            if reader.found.contains_key(&(finding.rule.clone(), finding.fingerprint)) {
                break;
            }
        }
        match reader.found.get(&(finding.rule.clone(), finding.fingerprint)) {
            Some(found) => {
                finding.secret = found.secret.clone();
                finding.parts = found.parts.clone().into_iter().collect();
                finding.secrets = found.secrets.clone();
                count += 1;
            }
            None => otherwise(&mut finding.checked, why),
        }
    }
    count
}

/// Where a place is on this machine, if it can be.
fn place(targets: &[Target], location: &Location) -> Option<From> {
    let target = targets.get(location.target)?;
    if let Some(git) = &location.git {
        return Some(From::Object(location.target, git.object));
    }
    use std::os::unix::ffi::OsStrExt;
    let named = Path::new(&target.name);
    let inside = Path::new(std::ffi::OsStr::from_bytes(&location.path));
    match (location.kind, target.kind) {
        (PlaceKind::File, "file") => Some(From::File(named.to_owned())),
        (PlaceKind::File, _) if inside.is_absolute() => Some(From::File(inside.to_owned())),
        (PlaceKind::File, _) => Some(From::File(named.join(inside))),
        _ => None,
    }
}

struct Reader<'a> {
    scanner: Scanner,
    fingerprinter: &'a Fingerprinter,
    notes: &'a Arc<Notes>,
    stores: HashMap<usize, Option<ObjectStore>>,
    read: HashSet<From>,
    /// Values, with what stands beside them.
    found: HashMap<(String, Fingerprint), Credential>,
}

impl Reader<'_> {
    /// Reads a place, once, and remembers every value in it. Gives whether it is there.
    fn read(&mut self, targets: &[Target], from: &From) -> bool {
        if !self.read.insert(from.clone()) {
            return true;
        }
        match from {
            From::File(path) => match std::fs::File::open(path) {
                Ok(mut file) => self.scan(&mut file),
                Err(_) => return false,
            },
            From::Object(target, id) => {
                let notes = self.notes;
                let store = self.stores.entry(*target).or_insert_with(|| open(&targets[*target].name, notes));
                let object = store.as_ref().and_then(|store| store.read(id).ok().flatten());
                let Some((_, bytes)) = object else { return false };
                self.scan(&mut bytes.as_slice());
            }
        }
        true
    }

    fn scan(&mut self, reader: &mut dyn Read) {
        let collector = Collector::default();
        let sink = TextSink::new(&self.scanner, &collector, self.notes);
        stdin::scan(reader, 0, &Limits::default(), self.notes, &sink);
        for credential in collector.take().credentials {
            let rule = self.scanner.catalog().token(credential.token).rule.clone();
            let fingerprint = self.fingerprinter.of(credential.secret.expose());
            self.found.insert((rule, fingerprint), credential);
        }
    }
}

/// The objects of a repository on this machine.
fn open(target: &str, notes: &Arc<Notes>) -> Option<ObjectStore> {
    let path = target.strip_prefix("file://").unwrap_or(target);
    let repository = discover(Path::new(path)).ok().flatten()?;
    ObjectStore::open(&repository.objects_dir, repository.hash_len, notes.clone()).ok()
}
