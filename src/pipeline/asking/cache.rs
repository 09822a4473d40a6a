//! Verdicts of earlier runs, as far as a store serves.
//!
//! Contract: a store that does not serve is a note and no more. Verdicts stand under the credential with its parts, its rule as
//! this version has it, and the addresses that were asked.

use std::time::{Duration, Instant};

use super::{Asking, Job, Mode};
use crate::model::{Checked, How, NoteKind};
use crate::notes::Notes;
use crate::store::{Key, Keyed, Sqlite, Store, StoreError, TimeToLive, Verdict};

/// Verdicts are written in such portions, or after this time, so that a run that is killed loses few.
const PORTION: usize = 200;
const AFTER: Duration = Duration::from_secs(2);

/// An open store, or none.
#[derive(Debug)]
pub(in crate::pipeline) struct Cache {
    open: Option<(Sqlite, Key)>,
    lives: TimeToLive,
    waiting: Vec<(Keyed, Verdict)>,
    written: Instant,
    trouble: Option<String>,
}

impl Cache {
    /// Opens the store; offline only one that is there.
    pub fn open(asking: &Asking, notes: &Notes) -> Self {
        let wanted = !asking.lives.active.is_zero();
        let path = asking.state.as_deref().filter(|p| wanted && (asking.mode == Mode::Ask || p.exists()));
        let opened = path.map(|path| -> Result<_, StoreError> { Ok((Sqlite::open(path)?, Key::beside(path)?)) });
        let open = opened.transpose().unwrap_or_else(|e| {
            tell(notes, &e.to_string());
            None
        });
        Self { open, lives: asking.lives, waiting: Vec::new(), written: Instant::now(), trouble: None }
    }

    /// What is known of each job.
    pub fn verdicts(&self, jobs: &[Job], now: i64) -> Vec<Option<Verdict>> {
        let Some((store, key)) = &self.open else { return vec![None; jobs.len()] };
        let keys: Vec<Keyed> = jobs.iter().map(|job| keyed(key, job)).collect();
        let found = store.verdicts(&keys, now).unwrap_or_else(|e| {
            tracing::warn!("{e}");
            vec![None; jobs.len()]
        });
        // The user may want fresher ones than the run that wrote them.
        found.into_iter().map(|v| v.filter(|v| self.lives.end(v).is_some_and(|end| end > now))).collect()
    }

    /// Keeps what an issuer said.
    pub fn add(&mut self, job: &Job, checked: &Checked) {
        let (Some((_, key)), How::Asked, Some(at)) = (&self.open, checked.how, checked.at) else { return };
        let verdict = Verdict {
            validity: checked.validity.clone(),
            remark: checked.remark.clone(),
            at,
            principal: checked.principal.clone(),
        };
        if self.lives.end(&verdict).is_some() {
            self.waiting.push((keyed(key, job), verdict));
        }
        if self.waiting.len() >= PORTION || self.written.elapsed() > AFTER {
            self.write();
        }
    }

    fn write(&mut self) {
        if let Some((store, _)) = &mut self.open
            && !self.waiting.is_empty()
            && let Err(e) = store.remember(&self.waiting, &self.lives)
        {
            self.trouble = Some(e.to_string());
        }
        self.waiting.clear();
        self.written = Instant::now();
    }

    /// Writes what is left.
    pub fn close(mut self, notes: &Notes) {
        self.write();
        if let Some(trouble) = &self.trouble {
            tell(notes, trouble);
        }
    }
}

fn tell(notes: &Notes, trouble: &str) {
    notes.add(NoteKind::State, "", format!("{trouble}: verdicts are not kept"));
}

/// What a verdict stands under. The rule's way of asking is part of it: a later version may judge otherwise.
fn keyed(key: &Key, job: &Job) -> Keyed {
    let asked = format!("{:?}", job.ask.verify);
    let mut items: Vec<&[u8]> = vec![b"verdict 1", job.rule.as_bytes(), asked.as_bytes(), job.secret.expose()];
    for (name, value) in &job.parts {
        items.extend([name.as_bytes(), value.as_slice()]);
    }
    for (name, secret) in &job.secrets {
        items.extend([name.as_bytes(), secret.expose()]);
    }
    items.push(b"at");
    for endpoint in job.endpoints.values().flatten().flatten() {
        items.push(endpoint.url.as_bytes());
    }
    key.of(items)
}
