//! Asks issuers again until they refuse what was ended, or as long as they may take.
//!
//! Contract: `revoked`, `contained` and `undone` are only what an issuer was seen to do. A yes that is not borne out within
//! the issuer's time is `still-active`; a yes that was not waited for is `accepted`.

use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::time::Instant;

use super::applying::Context;
use super::sending::send;
use super::work::{Sent, Work};
use crate::model::plan::{Effect, Outcome};
use crate::model::{Checked, Validity};
use crate::pipeline::asking::Job;
use crate::pipeline::asking::cache::Cache;
use crate::respond::journal::{Entry, Journal, Subject};
use crate::rules::ask::{Proof, Way};
use crate::verify::network::Network;
use crate::verify::polite::Polite;
use crate::verify::steps;

/// How long an issuer may take if its rule does not say.
const WITHIN: Duration = Duration::from_secs(60);
/// The longest pause between two questions.
const PAUSE: Duration = Duration::from_secs(15);

/// Asks about everything that was sent, until it is settled.
pub(super) async fn all(
    context: &Context<'_>,
    works: &mut [Work<'_>],
    mut journal: Option<&mut Journal>,
    polite: &Polite<Network>,
    cache: &mut Cache,
) {
    let begun = Instant::now();
    let asking = works.iter_mut().filter(|w| w.open() && w.sent.is_some());
    let mut asking: FuturesUnordered<_> = asking.map(|work| one(context, work, polite, begun)).collect();
    while let Some((work, checked)) = asking.next().await {
        if let Some(job) = &work.job {
            cache.add(job, &checked);
        }
        settle(context, work, journal.as_deref_mut());
    }
}

/// Writes down and tells what became of an item.
pub(super) fn settle(context: &Context<'_>, work: &mut Work<'_>, journal: Option<&mut Journal>) {
    let applied = work.applied();
    if let Some(journal) = journal {
        let entry = Entry::Outcome {
            run: context.run.clone(),
            plan: context.plan.id.clone(),
            intent: work.sent.as_ref().map(|s| s.intent),
            item: Subject { number: applied.number, rule: applied.rule.clone(), fingerprint: applied.fingerprint },
            outcome: applied.outcome,
            reason: applied.reason.clone(),
            seen_at: applied.seen.clone(),
        };
        if let Err(e) = journal.append(&entry) {
            // It is known all the same, but the record of it is not kept: the next run asks again.
            let reason = applied.reason.map(|r| format!("{r}; ")).unwrap_or_default();
            work.end(applied.outcome, format!("{reason}the journal could not be written: {e}"));
        }
    }
    let applied = work.applied();
    let reason = applied.reason.map(|r| format!(" ({r})")).unwrap_or_default();
    (context.applying.tell)(&format!("{}. {}: {}{reason}", applied.number, applied.rule, applied.outcome.as_str()));
}

/// Asks about one item until it is settled.
async fn one<'w, 'p>(
    context: &Context<'_>,
    work: &'w mut Work<'p>,
    polite: &Polite<Network>,
    begun: Instant,
) -> (&'w mut Work<'p>, Checked) {
    let Some(sent) = work.sent.clone() else { return (work, Checked::default()) };
    let issuer = work.issuer().to_owned();
    let way = work.ask().and_then(|ask| ask.way(&sent.way)).cloned();
    let of_rule = way.as_ref().and_then(|way| way.within);
    let listed = way.filter(|way| way.proof == Proof::Listing);
    let within = context.applying.within.or(of_rule).unwrap_or(WITHIN);
    let mut pause = Duration::from_millis(500);
    loop {
        let checked = match (&listed, &work.job) {
            (Some(way), Some(job)) => in_list(context, polite, job, way, &work.site).await,
            // Of what an earlier run sent it is not known which site knows it.
            _ => work.look(&polite.of(&issuer), !sent.ago.is_zero()).await,
        };
        work.seen = checked.at.or(work.seen);
        let horizon = sent.ago + sent.at.elapsed() >= within;
        let over = horizon || begun.elapsed() >= context.applying.wait || context.interrupted();
        if let Some((outcome, reason)) = judge(&sent, &checked, horizon, over) {
            work.way = Some(sent.way.clone());
            work.end(outcome, reason);
            return (work, checked);
        }
        let left = within.saturating_sub(sent.ago + sent.at.elapsed());
        let left = left.min(context.applying.wait.saturating_sub(begun.elapsed()));
        let next = Instant::now() + pause.min(left).max(Duration::from_millis(50));
        while Instant::now() < next && !context.interrupted() {
            tokio::time::sleep_until(next.min(Instant::now() + Duration::from_millis(200))).await;
        }
        pause = (pause * 2).min(PAUSE);
    }
}

/// Whether the list that a way looks a credential up in still holds it: for what lives on elsewhere.
async fn in_list(
    context: &Context<'_>,
    polite: &Polite<Network>,
    job: &Job,
    way: &Way,
    site: &steps::Endpoints,
) -> Checked {
    let acted = send(steps::Mode::Rehearse, context, polite, &[job], way, site).await;
    let validity = match acted.outcome {
        steps::Outcome::Gone => Validity::Inactive,
        steps::Outcome::Ready => Validity::Active,
        _ => Validity::Unknown(acted.reason.clone().unwrap_or_default()),
    };
    let remark = acted.reason.filter(|_| validity == Validity::Inactive);
    // Not asked with the credential: this is no verdict that other runs could take.
    Checked { validity, remark, at: Some(jiff::Timestamp::now().as_second()), ..Checked::default() }
}

/// What an answer says of what was sent; `None` to ask again. `horizon`: the issuer's time is over; `over`: there is no
/// time to ask again.
fn judge(sent: &Sent, checked: &Checked, horizon: bool, over: bool) -> Option<(Outcome, Option<String>)> {
    let said_yes = matches!(sent.acted, Some(steps::Outcome::Done | steps::Outcome::Gone));
    let wanted = if sent.effect == Effect::Undo { Validity::Active } else { Validity::Inactive };
    if checked.validity == wanted {
        let outcome = match sent.effect {
            Effect::Contain => Outcome::Contained,
            Effect::Undo => Outcome::Undone,
            Effect::Revoke | Effect::Rotate => Outcome::Revoked,
        };
        return Some((outcome, checked.remark.clone()));
    }
    if !over {
        return None;
    }
    let seen = match &checked.validity {
        Validity::Unknown(reason) => format!("its issuer does not tell: {reason}"),
        Validity::Active => "its issuer still accepts it".to_owned(),
        Validity::Inactive => "its issuer still refuses it".to_owned(),
    };
    let told = !matches!(checked.validity, Validity::Unknown(_));
    let reason = sent.reason.as_ref().map(|r| format!("{r}; ")).unwrap_or_default();
    Some(match (said_yes, told && horizon) {
        (true, true) if sent.effect == Effect::Undo => (Outcome::Failed, Some(format!("the issuer said yes; {seen}"))),
        (true, true) => (Outcome::StillActive, Some(format!("the issuer said yes; {seen}"))),
        (true, false) => (Outcome::Accepted, Some(format!("the issuer said yes; {seen}"))),
        (false, true) => (Outcome::Failed, Some(format!("{reason}{seen}"))),
        (false, false) => (Outcome::Unknown, Some(format!("{reason}{seen}"))),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(effect: Effect, acted: Option<steps::Outcome>) -> Sent {
        let (way, at) = ("w".to_owned(), Instant::now());
        Sent { intent: 1, way, effect, ago: Duration::ZERO, at, acted, reason: None }
    }

    fn checked(validity: Validity) -> Checked {
        Checked { validity, ..Checked::default() }
    }

    #[test]
    fn nothing_is_called_done_that_was_not_seen() {
        let unknown = || Validity::Unknown("no answer in time".into());
        let done = Some(steps::Outcome::Done);
        for (effect, acted, validity, horizon, over, expected) in [
            (Effect::Revoke, done, Validity::Inactive, false, false, Some(Outcome::Revoked)),
            (Effect::Rotate, None, Validity::Inactive, true, true, Some(Outcome::Revoked)),
            (Effect::Contain, done, Validity::Inactive, false, false, Some(Outcome::Contained)),
            (Effect::Undo, done, Validity::Active, false, false, Some(Outcome::Undone)),
            (Effect::Revoke, done, Validity::Active, false, false, None),
            (Effect::Revoke, done, unknown(), false, false, None),
            (Effect::Revoke, done, Validity::Active, false, true, Some(Outcome::Accepted)),
            (Effect::Revoke, done, Validity::Active, true, true, Some(Outcome::StillActive)),
            (Effect::Revoke, done, unknown(), true, true, Some(Outcome::Accepted)),
            (Effect::Revoke, Some(steps::Outcome::Unknown), Validity::Active, true, true, Some(Outcome::Failed)),
            (Effect::Revoke, Some(steps::Outcome::Unknown), Validity::Active, false, true, Some(Outcome::Unknown)),
            (Effect::Revoke, None, unknown(), true, true, Some(Outcome::Unknown)),
            (Effect::Undo, done, Validity::Inactive, true, true, Some(Outcome::Failed)),
        ] {
            let got = judge(&sent(effect, acted), &checked(validity.clone()), horizon, over).map(|(o, _)| o);
            assert_eq!(got, expected, "{effect:?} {acted:?} {validity:?} {horizon} {over}");
        }
    }
}
