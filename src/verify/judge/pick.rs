//! What is taken from a reply: captures, the one item of a list, and the facts of the account.
//!
//! Contract: bounded in number and length. A capture has exactly one value or none: never the first of several.

use serde_json::Value;

use super::Body;
use crate::model::Principal;
use crate::rules::ask::{Encode, Facts, Item, Pick, PickFrom, Unfilled, Values};
use crate::verify::times;

/// The longest value that is kept, in characters.
pub const MAX_VALUE: usize = 1000;
/// The most scopes that are kept.
pub const MAX_SCOPES: usize = 200;
/// The most other facts that are kept.
const MAX_JOINED: usize = 20;

/// Where values are taken from.
#[derive(Clone, Copy, Debug)]
pub enum Source<'a> {
    /// A reply.
    Reply(&'a Body<'a>),
    /// What a credential tells by itself: decoded, and as it was.
    Decoded(&'a Value, &'a [u8]),
}

impl<'a> Source<'a> {
    fn json(self) -> Option<&'a Value> {
        match self {
            Self::Reply(body) => body.json(),
            Self::Decoded(json, _) => Some(json),
        }
    }

    fn header(self, name: &str) -> Option<&'a str> {
        match self {
            Self::Reply(body) => body.reply.header(name),
            Self::Decoded(..) => None,
        }
    }

    /// What patterns look at: the body, or decoded text.
    fn bytes(self) -> &'a [u8] {
        match self {
            Self::Reply(body) => &body.reply.body,
            Self::Decoded(Value::String(text), _) => text.as_bytes(),
            Self::Decoded(_, text) => text,
        }
    }
}

/// What a pick finds: all values, in order, without empty ones.
pub fn values(pick: &Pick, source: Source<'_>, known: &Values) -> Vec<String> {
    let found: Vec<String> = match &pick.from {
        PickFrom::Json(pointer) => {
            source.json().map(|json| pointer.find(json)).unwrap_or_default().into_iter().flat_map(texts).collect()
        }
        PickFrom::Header(name) => source.header(name).map(str::to_owned).into_iter().collect(),
        PickFrom::Regex(regex) => {
            let group = regex.captures(source.bytes()).and_then(|c| c.get(1).or_else(|| c.get(0)));
            group.map(|g| String::from_utf8_lossy(g.as_bytes()).into_owned()).into_iter().collect()
        }
        PickFrom::Text(template) => {
            template.fill(known, Encode::Plain).ok().map(|t| t.to_string()).into_iter().collect()
        }
    };
    let split = found.into_iter().flat_map(|value| match &pick.split {
        Some(by) => value.split(by.as_str()).map(|v| v.trim().to_owned()).collect(),
        None => vec![value],
    });
    let rest = split.filter_map(|value| match &pick.after {
        Some(after) => value.strip_prefix(after.fill(known, Encode::Plain).ok()?.as_str()).map(str::to_owned),
        None => Some(value),
    });
    rest.filter(|v| !v.is_empty()).collect()
}

/// Scalars as text; the items of an array of scalars. Numbers that were too large to be read exactly are nothing.
fn texts(value: &Value) -> Vec<String> {
    match value {
        Value::Array(items) => items.iter().take(MAX_SCOPES + 1).filter_map(scalar).collect(),
        value => scalar(value).into_iter().collect(),
    }
}

fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Bool(b) => Some(b.to_string()),
        Value::Number(n) if n.is_f64() && n.as_f64().is_some_and(|f| f.abs() >= 9_007_199_254_740_992.0) => None,
        Value::Number(n) => Some(n.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

/// The one value of a capture; `None` if there is none, or several that differ.
pub fn take(pick: &Pick, source: Source<'_>, known: &Values) -> Option<String> {
    one(values(pick, source, known))
}

fn one(mut values: Vec<String>) -> Option<String> {
    values.dedup();
    (values.len() == 1).then(|| values.remove(0))
}

/// The captures of the one item of a list that is the credential.
///
/// # Errors
/// In words: no list, none, several, or what the credential lacks.
pub fn item(item: &Item, body: &Body<'_>, known: &Values) -> Result<Vec<(String, String)>, String> {
    let json = body.json().ok_or("the list could not be read")?;
    let mut wanted = Vec::new();
    let exact = item.equals.iter().map(|w| (w, false));
    for ((pointer, template), masked) in exact.chain(item.masked.iter().map(|w| (w, true))) {
        let value = template.fill(known, Encode::Plain).map_err(|e: Unfilled| e.to_string())?;
        if value.is_empty() {
            return Err("the credential has nothing to be told by".into());
        }
        wanted.push((pointer, value, masked));
    }
    let lists = item.each.find(json);
    let items = lists.into_iter().flat_map(|list| match list {
        Value::Array(items) => items.iter().collect::<Vec<_>>(),
        Value::Object(map) => map.values().collect(),
        _ => Vec::new(),
    });
    let is = |candidate: &&Value| {
        wanted.iter().all(|(pointer, value, masked)| match pointer.find(candidate).as_slice() {
            [found] if *masked => scalar(found).is_some_and(|shown| shows(&shown, value)),
            [found] => scalar(found).as_deref() == Some(value.as_str()),
            _ => false,
        })
    };
    let fitting: Vec<&Value> = items.filter(is).collect();
    let [found] = fitting.as_slice() else {
        return Err(match fitting.len() {
            0 => ABSENT.into(),
            n => format!("{n} items of the list fit this credential: it is not certain which one it is"),
        });
    };
    let mut captures = Vec::new();
    for (name, pointer) in &item.capture {
        let values = pointer.find(found).into_iter().flat_map(texts).filter(|v| !v.is_empty()).collect();
        captures.push((name.clone(), one(values).ok_or_else(|| format!("the item has no single `{name}`"))?));
    }
    Ok(captures)
}

/// Why [`item`] finds none in a list that could be read.
pub const ABSENT: &str = "the list does not hold this credential";

/// Whether a text shows a value in part: its beginning, a run of dots, stars or bullets, and its end. At least three
/// characters of the end and eight in all must stand there, and something must be hidden; a whole value is not shown in part.
fn shows(shown: &str, value: &str) -> bool {
    let hides = |c: char| matches!(c, '.' | '*' | '\u{2022}' | '\u{2026}');
    let (Some(from), Some(to)) = (shown.find(hides), shown.rfind(hides)) else { return false };
    let (start, end) = (&shown[..from], shown[to..].trim_start_matches(hides));
    let run = &shown[from..shown.len() - end.len()];
    run.chars().all(hides)
        && end.len() >= 3
        && start.len() + end.len() >= 8
        && start.len() + end.len() < value.len()
        && value.starts_with(start)
        && value.ends_with(end)
}

/// Adds the facts that a reply (or decoded JSON) gives; what is known already stays.
pub fn principal(facts: &Facts, source: Source<'_>, known: &Values, to: &mut Principal) {
    let all = |picks: &[Pick]| picks.iter().map(|p| values(p, source, known)).find(|v| !v.is_empty());
    let text = |picks: &[Pick], slot: &mut Option<String>| {
        if slot.is_none()
            && let Some(mut values) = all(picks)
        {
            values.dedup();
            *slot = Some(bounded(&values[..values.len().min(MAX_JOINED)].join(", ")));
        }
    };
    text(&facts.kind, &mut to.kind);
    text(&facts.id, &mut to.id);
    text(&facts.login, &mut to.login);
    text(&facts.name, &mut to.name);
    text(&facts.email, &mut to.email);
    text(&facts.organisation, &mut to.organisation);
    text(&facts.key_id, &mut to.key_id);
    let time = |picks: &[Pick], slot: &mut Option<String>| {
        if slot.is_none() {
            *slot = all(picks).and_then(|v| times::normal(&bounded(&v[0])));
        }
    };
    time(&facts.created, &mut to.created);
    time(&facts.expires, &mut to.expires);
    time(&facts.last_used, &mut to.last_used);
    for value in all(&facts.scopes).unwrap_or_default() {
        let value = bounded(&value);
        if to.scopes.len() < MAX_SCOPES && !to.scopes.contains(&value) {
            to.scopes.push(value);
        }
    }
    for (name, picks) in &facts.more {
        let mut slot = to.more.remove(name);
        text(picks, &mut slot);
        if let Some(value) = slot {
            to.more.insert(name.clone(), value);
        }
    }
}

/// Whether an answer is one that would tell when the credential ends. That it told nothing is for the caller to know.
pub fn tells_no_end(facts: &Facts, body: &Body<'_>) -> bool {
    let readable = |pick: &Pick| match &pick.from {
        PickFrom::Json(_) => body.json().is_some_and(Value::is_object),
        PickFrom::Header(_) => true,
        PickFrom::Regex(_) | PickFrom::Text(_) => false,
    };
    (200..300).contains(&body.reply.status) && !facts.expires.is_empty() && facts.expires.iter().all(readable)
}

fn bounded(text: &str) -> String {
    match text.char_indices().nth(MAX_VALUE) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::shows;

    #[test]
    fn a_value_shown_in_part() {
        let value = "sk-acme-abcdefghijklmnop-wxyz";
        let fits = [
            "sk-acme-ab...wxyz",
            "sk-a****wxyz",
            "sk-acme-a\u{2026}xyz",
            "sk-acme\u{2022}\u{2022}xyz",
            "....bcdefghijklmnop-wxyz",
        ];
        let others = [
            value,                 // not in part
            "sk-acme-ab...wxyy",   // another end
            "sk-acmf-ab...wxyz",   // another beginning
            "sk-acme-abcdef...yz", // too little of the end
            "sk-...xyz",           // too little in all
            "sk-acme-ab..c..wxyz", // two runs
            "sk-acme-abcdefghijklmnop-wxyz...",
            "sk-acme-abcdefghijklmnop...nop-wxyz",
            "...",
            "",
        ];
        for shown in fits {
            assert!(shows(shown, value), "{shown}");
        }
        for shown in others {
            assert!(!shows(shown, value), "{shown}");
        }
    }
}
