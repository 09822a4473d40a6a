//! Words that directories use for whether somebody is still there.

use crate::model::PersonState;

/// The state that a word stands for; `None` for a word that nobody told us.
pub(super) fn state(word: &str) -> Option<PersonState> {
    match word.trim().to_lowercase().replace(['_', ' '], "-").as_str() {
        "active" | "enabled" | "employed" | "current" | "true" | "yes" | "1" | "on-leave" | "leave" => {
            Some(PersonState::Active)
        }
        "suspended" | "disabled" | "inactive" | "locked" | "blocked" | "deactivated" | "false" | "no" | "0" => {
            Some(PersonState::Suspended)
        }
        "departed" | "terminated" | "left" | "deleted" | "deprovisioned" | "offboarded" | "former" | "resigned"
        | "retired" => Some(PersonState::Departed),
        "" | "unknown" => Some(PersonState::Unknown),
        _ => None,
    }
}

/// The state at a moment (an RFC 3339 date), by status word and last day: whoever's last day is over has left.
pub(super) fn at(today: &str, word: Option<PersonState>, end: Option<&str>) -> (PersonState, Option<String>) {
    // Dates of this form compare as text.
    let over = end.filter(|end| end.len() >= 10 && today.get(..10).is_some_and(|t| &end[..10] < t));
    match (word, over) {
        (Some(PersonState::Departed), _) => (PersonState::Departed, end.map(str::to_owned)),
        (_, Some(end)) => (PersonState::Departed, Some(end.to_owned())),
        (Some(state), None) => (state, None),
        (None, None) => (PersonState::Active, None),
    }
}
