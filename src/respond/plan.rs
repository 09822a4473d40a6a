//! Which of an issuer's ways a plan takes.
//!
//! Contract: pure. A way that its issuer does not document, and one that a rule file keeps for when it is asked for, is never
//! chosen by itself. What can be undone is not replaced by what cannot, unless somebody says so.

use crate::model::plan::{Action, By, Effect};
use crate::rules::ask::{Ask, Way};

/// What somebody wants done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Wish {
    /// What the rule file has first.
    #[default]
    Default,
    /// That it ends for good.
    Revoke,
    /// That it is disabled.
    Contain,
    /// That a new value takes its place.
    Rotate,
    /// That its owner is told, and nothing else.
    Notify,
    /// Nothing.
    Leave,
}

/// What a plan does about a credential.
#[derive(Debug)]
pub struct Choice<'a> {
    /// What.
    pub action: Action,
    /// How, in order.
    pub ways: Vec<&'a Way>,
    /// What else could be done.
    pub alternatives: Vec<&'a Way>,
    /// Why it is not what was wished for.
    pub remark: Option<String>,
}

/// Chooses. `named` is a way that was asked for by its name; `ready` tells whether an administrator's settings are there.
pub fn choose<'a>(ask: &'a Ask, wish: Wish, named: Option<&str>, ready: impl Fn(&Way) -> bool) -> Choice<'a> {
    let all: Vec<&Way> = ask.revoke.iter().filter(|w| w.effect != Effect::Undo).collect();
    let (action, ways, remark) = match (wish, named) {
        (Wish::Notify, _) => (Action::Notify, Vec::new(), None),
        (Wish::Leave, _) => (Action::Leave, Vec::new(), None),
        (_, Some(name)) => by_name(&all, name),
        (_, None) => by_itself(&all, wish, &ready),
    };
    let taken = |w: &&Way| ways.iter().any(|t| t.name == w.name);
    let alternatives = all.iter().copied().filter(|w| !taken(w)).collect();
    Choice { action, ways, alternatives, remark }
}

type Chosen<'a> = (Action, Vec<&'a Way>, Option<String>);

fn by_name<'a>(all: &[&'a Way], name: &str) -> Chosen<'a> {
    match all.iter().find(|w| w.name == name) {
        Some(way) if way.docs.is_some() => (action(way.effect), vec![*way], None),
        Some(_) => manual(format!("`{name}` is not documented by the issuer, so it is for a person to do")),
        None => manual(format!("there is no way `{name}` for this token type")),
    }
}

fn by_itself<'a>(all: &[&'a Way], wish: Wish, ready: &impl Fn(&Way) -> bool) -> Chosen<'a> {
    let free: Vec<&Way> = all.iter().copied().filter(|w| w.docs.is_some() && !w.only_if_asked).collect();
    let able = |w: &&&Way| w.by == By::Holder || ready(w);
    let order: &[Effect] = match wish {
        Wish::Revoke => &[Effect::Revoke, Effect::Contain, Effect::Rotate],
        Wish::Contain => &[Effect::Contain],
        Wish::Rotate => &[Effect::Rotate],
        _ => {
            // The rule file's own order; what nobody here can do comes last.
            return match free.iter().find(able).or_else(|| free.first()) {
                Some(first) => (action(first.effect), of(&free, first.effect, &able), None),
                None => manual_unless_asked(all),
            };
        }
    };
    let effect = order
        .iter()
        .find(|e| free.iter().any(|w| w.effect == **e && able(&w)))
        .or_else(|| order.iter().find(|e| free.iter().any(|w| w.effect == **e)));
    match effect {
        Some(effect) => {
            let remark = (*effect != order[0]).then(|| {
                let asked = all.iter().filter(|w| w.only_if_asked && w.effect == order[0]).map(|w| w.name.as_str());
                let asked: Vec<&str> = asked.collect();
                let wanted = action(order[0]).as_str();
                match asked.is_empty() {
                    true => format!("nobody here can {wanted} it"),
                    false => format!("to {wanted} it has to be asked for by name: {}", asked.join(", ")),
                }
            });
            (action(*effect), of(&free, *effect, &able), remark)
        }
        None => {
            let (action, ways, remark) = manual_unless_asked(all);
            let wanted = match wish {
                Wish::Contain => "there is no way to contain it",
                Wish::Rotate => "there is no way to rotate it",
                _ => "there is no way to revoke it",
            };
            (action, ways, remark.or_else(|| Some(wanted.to_owned())))
        }
    }
}

/// The ways of one effect: those that can be taken here, else all.
fn of<'a>(free: &[&'a Way], effect: Effect, able: &impl Fn(&&&Way) -> bool) -> Vec<&'a Way> {
    let fitting = || free.iter().filter(|w| w.effect == effect);
    let now: Vec<&Way> = fitting().filter(able).copied().collect();
    if now.is_empty() { fitting().copied().collect() } else { now }
}

fn manual_unless_asked<'a>(all: &[&'a Way]) -> Chosen<'a> {
    let asked: Vec<&str> = all.iter().filter(|w| w.only_if_asked).map(|w| w.name.as_str()).collect();
    let remark =
        (!asked.is_empty()).then(|| format!("what could be done has to be asked for by name: {}", asked.join(", ")));
    (Action::Manual, Vec::new(), remark)
}

fn manual<'a>(why: String) -> Chosen<'a> {
    (Action::Manual, Vec::new(), Some(why))
}

fn action(effect: Effect) -> Action {
    match effect {
        Effect::Contain => Action::Contain,
        Effect::Rotate => Action::Rotate,
        Effect::Revoke | Effect::Undo => Action::Revoke,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn way(name: &str, by: By, effect: Effect) -> Way {
        Way {
            name: name.into(),
            title: name.into(),
            by,
            effect,
            docs: Some("https://example.org".into()),
            side_effects: vec![],
            undo: None,
            only_if_asked: false,
            proof: crate::rules::ask::Proof::Asking,
            batch: None,
            limit: None,
            within: None,
            admin: vec![],
            steps: vec![],
            dry_run: None,
        }
    }

    fn names<'a>(choice: &Choice<'a>) -> (Action, Vec<&'a str>) {
        (choice.action, choice.ways.iter().map(|w| w.name.as_str()).collect())
    }

    /// As AWS: what can be undone first, deleting only when asked.
    fn aws() -> Ask {
        let asked = |way| Way { only_if_asked: true, ..way };
        Ask {
            revoke: vec![
                way("deactivate", By::Holder, Effect::Contain),
                way("deactivate-admin", By::Admin, Effect::Contain),
                way("activate-admin", By::Admin, Effect::Undo),
                asked(way("delete", By::Holder, Effect::Revoke)),
            ],
            ..Ask::default()
        }
    }

    #[test]
    fn what_can_be_undone_comes_first_and_the_rest_only_when_asked() {
        let ask = aws();
        let choose = |wish, named, ready: bool| choose(&ask, wish, named, move |_| ready);
        assert_eq!(names(&choose(Wish::Default, None, false)), (Action::Contain, vec!["deactivate"]));
        let both = choose(Wish::Default, None, true);
        assert_eq!(names(&both), (Action::Contain, vec!["deactivate", "deactivate-admin"]));
        assert_eq!(both.alternatives.len(), 1, "an undo is no alternative");
        let revoke = choose(Wish::Revoke, None, false);
        assert_eq!(names(&revoke), (Action::Contain, vec!["deactivate"]));
        assert!(revoke.remark.as_deref().unwrap_or_default().contains("delete"));
        assert_eq!(names(&choose(Wish::Revoke, Some("delete"), false)), (Action::Revoke, vec!["delete"]));
        assert_eq!(names(&choose(Wish::Default, Some("none"), false)), (Action::Manual, vec![]));
        assert_eq!(names(&choose(Wish::Notify, Some("delete"), false)), (Action::Notify, vec![]));
        assert_eq!(names(&choose(Wish::Rotate, None, true)).0, Action::Manual);
    }

    #[test]
    fn nothing_that_cannot_be_undone_in_place_of_what_can() {
        let ask = Ask { revoke: vec![way("end", By::Holder, Effect::Revoke)], ..Ask::default() };
        let choice = choose(&ask, Wish::Contain, None, |_| true);
        assert_eq!(names(&choice), (Action::Manual, vec![]));
        assert!(choice.remark.is_some());
    }

    #[test]
    fn a_holder_before_an_administrator_who_is_not_there() {
        let ask = Ask {
            revoke: vec![way("admin", By::Admin, Effect::Contain), way("self", By::Holder, Effect::Revoke)],
            ..Ask::default()
        };
        assert_eq!(names(&choose(&ask, Wish::Default, None, |_| false)), (Action::Revoke, vec!["self"]));
        assert_eq!(names(&choose(&ask, Wish::Default, None, |_| true)), (Action::Contain, vec!["admin"]));
        let undocumented = Way { docs: None, ..way("x", By::Holder, Effect::Revoke) };
        let ask = Ask { revoke: vec![undocumented], ..Ask::default() };
        assert_eq!(names(&choose(&ask, Wish::Default, None, |_| true)), (Action::Manual, vec![]));
        assert_eq!(names(&choose(&ask, Wish::Default, Some("x"), |_| true)), (Action::Manual, vec![]));
    }
}
