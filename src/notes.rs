//! Collects what a run left out, cut or could not read, from all threads.
//!
//! Contract: adding never fails and never grows without bound; counts are exact even where single notes are dropped.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use crate::model::{Note, NoteKind};

/// How many single notes of one kind are kept; the rest is counted.
const KEPT_PER_KIND: u64 = 200;

/// Thread-safe collector of [`Note`]s.
#[derive(Debug, Default)]
pub struct Notes(Mutex<BTreeMap<NoteKind, (u64, Vec<Note>)>>);

impl Notes {
    /// Adds one note. `place` and `detail` may come from scanned content: control characters are escaped here.
    pub fn add(&self, kind: NoteKind, place: impl AsRef<[u8]>, detail: impl AsRef<str>) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (count, notes) = all.entry(kind).or_default();
        *count += 1;
        if *count <= KEPT_PER_KIND {
            notes.push(Note { kind, place: printable(place.as_ref()), detail: printable(detail.as_ref().as_bytes()) });
        }
    }

    /// Adds `n` to the count of a kind without a single note.
    pub fn count(&self, kind: NoteKind, n: u64) {
        if n > 0 {
            self.0.lock().unwrap_or_else(PoisonError::into_inner).entry(kind).or_default().0 += n;
        }
    }

    /// Takes everything out: single notes sorted by kind and place, and exact counts.
    pub fn take(&self) -> (Vec<Note>, Vec<(NoteKind, u64)>) {
        let all = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        let counts = all.iter().map(|(kind, (n, _))| (*kind, *n)).collect();
        let mut notes: Vec<Note> = all.into_values().flat_map(|(_, notes)| notes).collect();
        notes.sort_by(|a, b| (a.kind, &a.place, &a.detail).cmp(&(b.kind, &b.place, &b.detail)));
        (notes, counts)
    }
}

/// Makes bytes from scanned content safe to print: invalid UTF-8 becomes `\xNN`, control and direction-changing
/// characters (C0, C1, DEL, bidi overrides, line separators) become `\n`-like or `\u{..}` escapes.
pub fn printable(raw: &[u8]) -> String {
    let mut out = String::with_capacity(raw.len());
    for chunk in raw.utf8_chunks() {
        for c in chunk.valid().chars() {
            match c {
                '\n' | '\r' | '\t' | '\\' if c != '\\' => out.extend(c.escape_default()),
                c if !is_harmless(c) => out.extend(c.escape_unicode()),
                c => out.push(c),
            }
        }
        for b in chunk.invalid() {
            out.push_str(&format!("\\x{b:02x}"));
        }
    }
    out
}

/// Whether a character may reach a terminal: no control character, and none that moves text around or hides it.
pub fn is_harmless(c: char) -> bool {
    !c.is_control()
        && !matches!(c,
            '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
            | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostile_names_become_printable() {
        assert_eq!(printable(b"a\nb\x1b[31m\xff\xe2\x80\xae."), "a\\nb\\u{1b}[31m\\xff\\u{202e}.");
        assert_eq!(printable("caf\u{e9}\\x".as_bytes()), "caf\u{e9}\\x");
    }

    #[test]
    fn counts_stay_exact_when_notes_are_dropped() {
        let notes = Notes::default();
        for i in 0..KEPT_PER_KIND + 5 {
            notes.add(NoteKind::Unreadable, format!("{i}"), "");
        }
        let (kept, counts) = notes.take();
        assert_eq!(kept.len() as u64, KEPT_PER_KIND);
        assert_eq!(counts, [(NoteKind::Unreadable, KEPT_PER_KIND + 5)]);
    }
}
