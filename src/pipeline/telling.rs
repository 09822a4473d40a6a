//! Sends messages to owners: file, mail, Slack, Teams, webhook.
//!
//! Contract: once for each outcome of a credential and channel. A message is recorded in the journal when its channel has
//! taken it: after a crash between the two it may come a second time, and it is never lost. What a channel refuses is told
//! and sent by the next run. Addresses of webhooks and passwords are secrets: they come from the environment or from files,
//! and stand in no log and no error.

mod config;
mod mail;

use std::collections::HashMap;
use std::io::Write;
use std::path::PathBuf;

use zeroize::Zeroizing;

pub use config::{Channel, Kind, Shape, Telling};

use super::asking::{Asking, connect};
use crate::model::Finding;
use crate::model::plan::{Outcome, Plan};
use crate::respond::journal::{Entry, Journal, Record};
use crate::respond::notify::{self, Message};
use crate::rules::ask::Method;
use crate::secret::Fingerprint;
use crate::verify::network::Network;
use crate::verify::polite::Polite;
use crate::verify::transport::{Outgoing, Transport};

/// What became of one message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    /// The message.
    pub message: Message,
    /// Name of the channel.
    pub channel: String,
    /// `None` if it was sent, else why not.
    pub failed: Option<String>,
}

/// The messages of a plan, from the last outcomes in its journal.
pub fn messages(plan: &Plan, findings: &[Finding], records: &[Record], fallback: &str) -> Vec<(Fingerprint, Message)> {
    let mut last: HashMap<(Fingerprint, &str), (Outcome, Option<&str>)> = HashMap::new();
    for record in records {
        if let Entry::Outcome { plan: p, item, outcome, seen_at, .. } = &record.entry
            && *p == plan.id
        {
            let known = last.entry((item.fingerprint, &item.rule)).or_insert((*outcome, None));
            // A run that did not try says nothing of what an earlier one did.
            if *outcome != Outcome::Skipped {
                *known = (*outcome, seen_at.as_deref());
            }
        }
    }
    let items = plan.items.iter().zip(findings);
    let one = |(item, finding): (_, &Finding)| {
        let last = last.get(&(finding.fingerprint, finding.rule.as_str())).copied();
        Some((finding.fingerprint, notify::message(plan, item, finding, last, fallback)?))
    };
    items.filter_map(one).collect()
}

/// Sends what was not sent before; gives what was tried.
///
/// # Errors
/// When nothing could be tried: no network, a template that does not fit.
pub fn send(
    plan: &Plan,
    messages: &[(Fingerprint, Message)],
    telling: &Telling,
    journal: &mut Journal,
    asking: &Asking,
) -> Result<Vec<Told>, String> {
    let (runtime, polite) = connect(asking)?;
    let mut told = Vec::new();
    for channel in &telling.channels {
        for (fingerprint, message) in messages {
            let fingerprint = *fingerprint;
            if journal.notified(fingerprint, &message.outcome, &channel.name) {
                continue;
            }
            let text = telling.template.text(message)?;
            let sent = match &channel.kind {
                Kind::File { path, shape } => append(path, &shaped(*shape, message, &text)),
                Kind::Mail(mail) => mail::send(mail, message, &text, asking),
                Kind::Slack { url } => runtime.block_on(post(&polite, url, None, &notify::slack(message, &text))),
                Kind::Teams { url } => {
                    runtime.block_on(post(&polite, url, None, &notify::adaptive_card(message, &text)))
                }
                Kind::Webhook { url, bearer } => {
                    let body = serde_json::json!({ "schema": "unsprawl/notice", "version": 1, "text": text, "notice": message });
                    runtime.block_on(post(&polite, url, bearer.as_ref(), &body))
                }
            };
            let failed = match sent {
                Ok(()) => {
                    let entry = Entry::Notified {
                        run: String::new(),
                        plan: plan.id.clone(),
                        fingerprint,
                        outcome: message.outcome.clone(),
                        channel: channel.name.clone(),
                    };
                    journal.append(&entry).err().map(|e| format!("sent, but that could not be recorded: {e}"))
                }
                Err(why) => Some(why),
            };
            told.push(Told { message: message.clone(), channel: channel.name.clone(), failed });
        }
    }
    Ok(told)
}

/// A message in a form for files and standard output.
pub fn shaped(shape: Shape, message: &Message, text: &str) -> String {
    match shape {
        Shape::Text => format!("{text}\n"),
        Shape::Issue => format!("{}\n", notify::issue(message)),
        Shape::Json => format!("{}\n", serde_json::to_string(message).unwrap_or_default()),
    }
}

fn append(path: &PathBuf, text: &str) -> Result<(), String> {
    use std::os::unix::fs::OpenOptionsExt;
    let file = std::fs::OpenOptions::new().create(true).append(true).mode(0o600).open(path);
    let written = file.and_then(|mut file| file.write_all(text.as_bytes()).and_then(|()| file.sync_data()));
    written.map_err(|e| format!("{}: {e}", path.display()))
}

async fn post(
    polite: &Polite<Network>,
    url: &Zeroizing<String>,
    bearer: Option<&Zeroizing<String>>,
    body: &serde_json::Value,
) -> Result<(), String> {
    let mut headers = vec![("content-type".to_owned(), Zeroizing::new("application/json".to_owned()))];
    headers.extend(bearer.map(|b| ("authorization".to_owned(), Zeroizing::new(format!("Bearer {}", b.as_str())))));
    // The path of a webhook is its password.
    let shown = reqwest::Url::parse(url).ok().map(|u| u.origin().ascii_serialization()).unwrap_or_default();
    let outgoing = Outgoing {
        method: Method::Post,
        url: url.clone(),
        shown,
        headers,
        body: Zeroizing::new(body.to_string().into_bytes()),
        configured: true,
        repeatable: false,
    };
    match polite.of("notify").send(&outgoing).await {
        Ok(reply) if (200..300).contains(&reply.status) => Ok(()),
        Ok(reply) => Err(format!("it answers {}", reply.status)),
        Err(failure) => Err(failure.to_string()),
    }
}
