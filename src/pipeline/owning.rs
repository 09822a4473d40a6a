//! Joins findings with what directories, maps and repositories say of people.
//!
//! Contract: no directory is asked unless the user named one, and then only about names that the findings hold. A directory that
//! does not answer is a note, and nobody's state.

use std::path::PathBuf;
use std::time::Duration;

use super::asking::{Asking, Mode};
use crate::model::{NoteKind, PeopleFiles, Report};
use crate::notes::Notes;
use crate::own::accounts::AccountMap;
use crate::own::authors::Authors;
use crate::own::codeowners::Codeowners;
use crate::own::directory::{self, Source};
use crate::own::people::{Directory, People};
use crate::own::posture::Thresholds;
use crate::own::{self, Knowledge, RepositoryFiles};
use crate::rules::Catalog;
use crate::verify::network::{self, Network};
use crate::verify::polite::Polite;
use crate::verify::requests::RequestsLog;

/// How owners are found.
#[derive(Debug, Default)]
pub struct Owning {
    /// Directories, in the order in which they are believed.
    pub directories: Vec<Source>,
    /// The user's own map.
    pub accounts: AccountMap,
    /// When something counts as old.
    pub thresholds: Thresholds,
    /// Folder that keeps answers of directories; `None` for nowhere.
    pub cache: Option<PathBuf>,
    /// How long they are good.
    pub ttl: Duration,
}

/// How long one directory may take in all.
const WITHIN: Duration = Duration::from_secs(300);

/// Fills in owner, posture and severity of all findings.
///
/// # Errors
/// A directory file that cannot be read: the user has to mend it.
pub fn own(
    report: &mut Report,
    catalog: &Catalog,
    owning: &Owning,
    asking: &Asking,
    notes: &Notes,
) -> Result<People, String> {
    let mut knowledge = Knowledge {
        people: People::default(),
        accounts: owning.accounts.clone(),
        thresholds: owning.thresholds,
        repositories: report.targets.iter().map(|t| files(&t.people)).collect(),
        now: jiff::Timestamp::now().as_second(),
    };
    if !owning.directories.is_empty() {
        let wanted = directory::wanted(report, &knowledge);
        knowledge.people = fetch(owning, &wanted, asking, knowledge.now)?;
        let silent = knowledge.people.directories().iter().filter_map(|d| Some((d.name(), d.fault()?)));
        for (name, fault) in silent {
            let detail = format!("this directory did not answer, so nobody in it is known: {fault}");
            notes.add(NoteKind::Directory, name, detail);
        }
    }
    own::own(report, catalog, &knowledge);
    Ok(knowledge.people)
}

fn files(people: &PeopleFiles) -> RepositoryFiles {
    RepositoryFiles {
        authors: if people.mailmap.is_empty() { Authors::default() } else { Authors::parse(&people.mailmap) },
        codeowners: Codeowners::parse(&people.codeowners),
    }
}

fn fetch(owning: &Owning, wanted: &directory::Wanted, asking: &Asking, now: i64) -> Result<People, String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|e| e.to_string())?;
    let network = {
        let _entered = runtime.enter();
        // A page of people is larger than what an issuer says of one.
        let options = network::Options { body: 16 << 20, ..asking.network.clone() };
        Network::new(options).map_err(|e| e.to_string())?
    };
    let log = asking.requests_log.as_deref().map(RequestsLog::open).transpose();
    let log = log.map_err(|e| format!("the log of requests cannot be written: {e}"))?;
    let options = directory::Options {
        cache: owning.cache.clone(),
        ttl: owning.ttl,
        within: WITHIN,
        answer_within: asking.network.within,
        offline: asking.mode == Mode::Offline,
        now,
        tls: network.tls_config(),
        searched: &|server, error| log.iter().for_each(|log| log.add_search("directory", server, error)),
    };
    let polite = Polite::new(network, asking.limits.clone(), log.clone());
    let transport = polite.of("directory");
    let fetched = directory::fetch(&owning.directories, wanted, &transport, &options);
    runtime.block_on(fetched).map_err(|e| e.to_string())
}

/// The record of one person in the directories, or only their name; and what has to be said besides.
///
/// # Errors
/// As for [`own`].
pub fn person(name: &str, owning: &Owning, asking: &Asking) -> Result<(crate::model::Person, Vec<String>), String> {
    let wanted = [name.trim().to_lowercase()].into();
    let people = match owning.directories.is_empty() {
        true => People::new(Vec::<Directory>::new()),
        false => fetch(owning, &wanted, asking, jiff::Timestamp::now().as_second())?,
    };
    let found = people.find(name);
    Ok((found.person.unwrap_or_else(|| own::people::named(name)), found.remarks))
}
