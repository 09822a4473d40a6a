//! One way to end credentials, through its steps.
//!
//! Contract: only the last step changes something. Before it, a step that does not give what the last one needs ends the
//! act with `refused`: nothing has changed. Once the last request may have reached the issuer, only its reply says what
//! happened; without one the outcome is `unknown`.

use std::collections::BTreeMap;

use zeroize::Zeroizing;

use super::{Credential, Endpoints, Run, capture, values};
use crate::rules::ask::{Ask, Call, Proof, Step, Way};
use crate::verify::judge::{self, Body, Did};
use crate::verify::transport::{Answer, Failure, Transport};

/// How an act ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The issuer says it is done, or accepted. Proof is to ask again.
    Done,
    /// The credential was gone before.
    Gone,
    /// Nothing has changed.
    Refused,
    /// It may have changed.
    Unknown,
    /// Everything but the request that changes something was done.
    Ready,
}

/// Whether an act is one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// It is.
    Act,
    /// Everything but the request that changes something.
    Rehearse,
}

impl Outcome {
    /// All.
    pub const ALL: [Self; 5] = [Self::Done, Self::Gone, Self::Refused, Self::Unknown, Self::Ready];

    /// Its name in rule files and reports.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Gone => "gone",
            Self::Refused => "refused",
            Self::Unknown => "unknown",
            Self::Ready => "ready",
        }
    }
}

/// The result of an act.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Acted {
    /// How it ended.
    pub outcome: Outcome,
    /// Why, or a remark. Holds no secret.
    pub reason: Option<String>,
    /// The request that changes something was sent.
    pub sent: bool,
}

/// Acts on credentials: one, or as many as the way takes in a batch. `admin` holds the settings of an administrator.
#[allow(clippy::too_many_arguments)]
pub async fn act<T: Transport>(
    mode: Mode,
    ask: &Ask,
    way: &Way,
    credentials: &[Credential<'_>],
    admin: &BTreeMap<String, Zeroizing<String>>,
    endpoints: &Endpoints,
    transport: &T,
    now: i64,
) -> Acted {
    let refused = |reason: String| Acted { outcome: Outcome::Refused, reason: Some(reason), sent: false };
    let Some(first) = credentials.first() else { return refused("there is no credential".into()) };
    if credentials.len() > way.batch.unwrap_or(1) {
        return refused(format!("one call takes {} credentials", way.batch.unwrap_or(1)));
    }
    let mut known = values(ask, first, now);
    for name in &way.admin {
        match admin.get(name).filter(|v| !v.is_empty()) {
            Some(value) => known.set(format!("admin.{name}"), value.as_bytes()),
            None => return refused(format!("the setting `{name}` of an administrator is not given")),
        }
    }
    let secrets: Vec<&[u8]> = credentials.iter().map(|c| c.secret).collect();
    let mut run = Run { values: known, endpoints, site: 0, transport, asked: false, endless: ask.endless, now };
    let wanted: Vec<&Step> = way.steps.iter().collect();
    for (i, step) in wanted.iter().enumerate() {
        if !run.wanted(step).unwrap_or(false) {
            continue;
        }
        let last = i + 1 == wanted.len();
        if let Some(step) = way.dry_run.as_ref().filter(|_| last && mode == Mode::Rehearse) {
            return run.dry(step, &secrets).await;
        }
        if let Some(acted) = run.act(mode, step, &secrets, last, way.proof == Proof::Listing).await {
            return acted;
        }
    }
    refused("none of the steps fits what is known of this credential".into())
}

impl<T: Transport> Run<'_, T> {
    /// The issuer's own dry run: nothing changes, whatever it says.
    async fn dry(&mut self, step: &Step, secrets: &[&[u8]]) -> Acted {
        let acted = self.act(Mode::Act, step, secrets, true, false).await;
        let (outcome, reason) = match acted {
            Some(Acted { outcome: Outcome::Done, reason, .. }) => (Outcome::Ready, reason),
            Some(Acted { outcome: Outcome::Gone, reason, .. }) => (Outcome::Gone, reason),
            Some(Acted { reason, .. }) => (Outcome::Refused, reason),
            None => (Outcome::Refused, None),
        };
        Acted { outcome, reason, sent: false }
    }

    /// One step; `None` to go on with the next.
    async fn act(&mut self, mode: Mode, step: &Step, secrets: &[&[u8]], last: bool, listed: bool) -> Option<Acted> {
        let acted = |outcome, reason, sent| Some(Acted { outcome, reason, sent });
        let request = match &step.call {
            Call::Http(request) => request,
            Call::Login(login) => return self.act_by_login(mode, login, last).await,
        };
        let outgoing = match self.outgoing(request, secrets, !last) {
            Ok(outgoing) => outgoing,
            Err(reason) => return acted(Outcome::Refused, Some(reason), false),
        };
        if last && mode == Mode::Rehearse {
            return acted(Outcome::Ready, None, false);
        }
        let reply = match self.transport.send(&outgoing).await {
            Ok(reply) => reply,
            Err(failure) => {
                let perhaps = matches!(failure, Failure::TimedOut | Failure::Broken(_) | Failure::Interrupted) && last;
                let outcome = if perhaps { Outcome::Unknown } else { Outcome::Refused };
                return acted(outcome, Some(failure.to_string()), perhaps);
            }
        };
        let known = self.values.clone();
        let body = Body::about(&reply, &known);
        match judge::did(step, &body) {
            Did::Done(remark) if last => acted(Outcome::Done, remark, true),
            Did::Gone(remark) => acted(Outcome::Gone, remark, last),
            Did::Refused(reason) => acted(Outcome::Refused, Some(reason), last),
            Did::Unknown(reason) if last => acted(Outcome::Unknown, Some(reason), true),
            // A look-up: what its conditions do not tell, its captures do.
            Did::Unknown(reason) if !(200..300).contains(&reply.status) => {
                acted(Outcome::Refused, Some(format!("nothing was changed: {reason}")), false)
            }
            Did::Done(_) | Did::Unknown(_) => match capture(step, &body, &mut self.values) {
                Ok(()) => None,
                // Where the list is the proof, that it is not there is an answer; in a rehearsal always.
                Err(reason) if reason == judge::ABSENT && (listed || mode == Mode::Rehearse) => {
                    acted(Outcome::Gone, Some(reason), false)
                }
                Err(reason) => acted(Outcome::Refused, Some(format!("nothing was changed: {reason}")), false),
            },
        }
    }

    async fn act_by_login(&mut self, mode: Mode, login: &crate::rules::ask::Login, last: bool) -> Option<Acted> {
        let acted = |outcome, reason: String, sent| Some(Acted { outcome, reason: Some(reason), sent });
        let login = match crate::verify::render::login(login, &self.values) {
            Ok(login) => login,
            Err(reason) => return acted(Outcome::Refused, reason.to_string(), false),
        };
        if login.change.is_some() && !last {
            return acted(Outcome::Refused, "only the last step may change something".into(), false);
        }
        if last && mode == Mode::Rehearse {
            return Some(Acted { outcome: Outcome::Ready, reason: None, sent: false });
        }
        match self.transport.log_in(&login).await {
            Ok(Answer::Changed) => Some(Acted { outcome: Outcome::Done, reason: None, sent: true }),
            Ok(Answer::Gone(reason)) => acted(Outcome::Gone, reason, false),
            Ok(Answer::Perhaps(reason)) => acted(Outcome::Unknown, reason, true),
            Ok(Answer::Accepted(_)) if !last => None,
            Ok(Answer::Accepted(_)) => acted(Outcome::Refused, "a log-in alone changes nothing".into(), false),
            Ok(Answer::Denied(reason)) => acted(Outcome::Refused, format!("the administrator: {reason}"), false),
            Ok(Answer::Unclear(reason)) => acted(Outcome::Refused, reason, false),
            // The connection tells by `Perhaps` that it broke after the change was sent; a clock that ran out does not.
            Err(failure @ (Failure::TimedOut | Failure::Interrupted)) if login.change.is_some() => {
                acted(Outcome::Unknown, failure.to_string(), true)
            }
            Err(failure) => acted(Outcome::Refused, failure.to_string(), false),
        }
    }
}
