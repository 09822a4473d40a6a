//! What a reply means: pure functions of a step and a reply.
//!
//! Contract: never a verdict that the reply does not carry. Redirects, 408, 429 and 5xx say nothing; a body that is no
//! JSON fits no condition that asks for JSON, a bare status does not fit an HTML page. Hostile bodies cost no more than
//! their size, and nothing panics.

mod body;
mod pick;

pub use body::{Body, strict};
pub use pick::{ABSENT, MAX_SCOPES, MAX_VALUE, Source, item, principal, take, tells_no_end, values};

use serde_json::Value;

use super::transport::Reply;
use crate::rules::ask::{Condition, Expected, Pointer, Step, says_nothing};

/// What a reply says of a credential that was asked about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Said {
    /// It works; perhaps with a remark.
    Active(Option<String>),
    /// It does not work (any more); perhaps with a remark.
    Inactive(Option<String>),
    /// The reply does not tell, for this reason.
    Unknown(String),
}

/// Whether a step without a verdict of its own says, or must be taken to say, that its reply tells nothing.
pub fn silent(step: &Step, body: &Body<'_>) -> bool {
    says_nothing(body.reply.status) || step.unknown.iter().any(|c| fits(c, body))
}

/// What a reply says of an act.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Did {
    /// Done, or accepted.
    Done(Option<String>),
    /// The credential was gone before.
    Gone(Option<String>),
    /// Refused: nothing has changed.
    Refused(String),
    /// It may have changed, for all the reply says.
    Unknown(String),
}

/// What a reply says of a credential.
pub fn said(step: &Step, body: &Body<'_>) -> Said {
    let first = |list: &[Condition]| list.iter().find(|c| fits(c, body)).map(|c| c.reason.clone());
    if let Some(reason) = first(&step.unknown) {
        return Said::Unknown(reason.unwrap_or_else(|| unfit(body)));
    }
    if says_nothing(body.reply.status) {
        return Said::Unknown(unfit(body));
    }
    if let Some(reason) = first(&step.active) {
        return Said::Active(reason);
    }
    first(&step.inactive).map_or_else(|| Said::Unknown(unfit(body)), Said::Inactive)
}

/// What a reply says of an act. `gone` and `refused` are looked at before `done`.
pub fn did(step: &Step, body: &Body<'_>) -> Did {
    if says_nothing(body.reply.status) {
        return Did::Unknown(unfit(body));
    }
    let first = |list: &[Condition]| list.iter().find(|c| fits(c, body)).map(|c| c.reason.clone());
    if let Some(reason) = first(&step.gone) {
        return Did::Gone(reason);
    }
    if let Some(reason) = first(&step.refused) {
        return Did::Refused(reason.unwrap_or_else(|| unfit(body)));
    }
    first(&step.done).map_or_else(|| Did::Unknown(unfit(body)), Did::Done)
}

/// Why a reply fits nothing, in words. Names the status and what kind of body it is, nothing from inside.
pub fn unfit(body: &Body<'_>) -> String {
    let reply = body.reply;
    match reply.status {
        429 => "the issuer limits how often it is asked (429)".into(),
        408 => "the issuer gave up waiting (408)".into(),
        300..=399 => format!("the issuer redirects elsewhere ({})", reply.status),
        500.. => format!("the issuer has a fault ({})", reply.status),
        status if body.is_html() => format!("an HTML page instead of an answer ({status})"),
        status if reply.cut => format!("the answer is too long to be read ({status})"),
        status if reply.body.is_empty() => format!("an empty answer that the rule does not know ({status})"),
        status => format!("an answer that the rule does not know ({status})"),
    }
}

/// Whether a reply is like this.
pub fn fits(condition: &Condition, body: &Body<'_>) -> bool {
    let reply = body.reply;
    if !condition.status.is_empty() && !condition.status.contains(&reply.status) {
        return false;
    }
    let bare = !condition.needs_json() && condition.text.is_empty() && condition.header.is_empty();
    if bare && body.is_html() {
        return false;
    }
    if condition.needs_json() {
        let Some(json) = body.json() else { return false };
        let something = |p: &Pointer| p.find(json).iter().any(|v| !v.is_null());
        let stands = |(p, expected): &(Pointer, Vec<Expected>)| {
            p.find(json).iter().any(|v| expected.iter().any(|e| equals(e, v, body)))
        };
        if !condition.has.iter().all(something)
            || condition.lacks.iter().any(something)
            || !condition.json.iter().all(stands)
        {
            return false;
        }
    }
    let text = |wanted: &String| body.lower().contains(wanted.as_str());
    if !condition.text.is_empty() && !condition.text.iter().any(text) {
        return false;
    }
    condition.header.iter().all(|(name, wanted)| header_holds(reply, name, wanted))
}

fn header_holds(reply: &Reply, name: &str, wanted: &str) -> bool {
    reply.headers.iter().any(|(n, value)| n == name && value.to_lowercase().contains(wanted))
}

fn equals(expected: &Expected, value: &Value, body: &Body<'_>) -> bool {
    match (expected, value) {
        (Expected::Filled(template), Value::String(value)) => body.is_filled(template, value),
        (Expected::Text(text), Value::String(value)) => value.to_lowercase() == *text,
        (Expected::Number(n), Value::Number(value)) => value.as_i64() == Some(*n),
        (Expected::Bool(b), Value::Bool(value)) => b == value,
        _ => false,
    }
}

#[cfg(test)]
pub(crate) mod tests;
