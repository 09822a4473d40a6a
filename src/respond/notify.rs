//! What an owner is told: what leaked, where, since when, what was done, what to do now.
//!
//! Contract: pure. No message holds a byte of a secret beyond what every report shows. Everything that comes from scanned
//! content or an issuer is one printable line; each channel's form keeps it from being read as markup, a mention or a link.

mod forms;

use serde::Serialize;

pub use forms::{adaptive_card, issue, slack};

use crate::model::plan::{Action, Outcome, Plan, PlanItem};
use crate::model::{Finding, PlaceKind};
use crate::notes::printable;

/// Places of a credential that a message names.
const PLACES: usize = 5;
/// The longest line, in characters.
const LONGEST: usize = 300;

/// One message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Message {
    /// E-mail address of the owner, or of whoever stands in; empty if nobody is known.
    pub to: String,
    /// The owner's name; empty if not known.
    pub owner: String,
    /// Token type, for people.
    pub what: String,
    /// `issuer.token-type`.
    pub rule: String,
    /// What may be shown of the value.
    pub value: String,
    /// The account.
    pub account: String,
    /// Where it stands, a line for each place.
    pub places: Vec<String>,
    /// Since when it can be read, and whether it still stands there.
    pub since: String,
    /// How it ended; see [`Outcome`]. `notify` if nothing was done.
    pub outcome: String,
    /// What was done.
    pub done: String,
    /// What to do now, a line for each step.
    pub now: Vec<String>,
    /// The plan's id.
    pub plan: String,
    /// Keyed hash of the value.
    pub fingerprint: String,
}

/// Outcome that a message has where its owner is only told.
pub const TOLD: &str = "notify";

fn line(text: &str) -> String {
    let text = printable(text.as_bytes());
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

/// The message on one item; `outcome` is its last one, with when the issuer was asked. `None` if there is nothing to tell.
pub fn message(
    plan: &Plan,
    item: &PlanItem,
    finding: &Finding,
    outcome: Option<(Outcome, Option<&str>)>,
    fallback: &str,
) -> Option<Message> {
    let (name, done) = match outcome {
        Some((Outcome::Skipped | Outcome::Ready, _)) | None if item.action == Action::Notify => {
            (TOLD, "Nothing was done: it still works.".to_owned())
        }
        Some((Outcome::Skipped | Outcome::Ready, _)) | None => return None,
        Some((outcome, seen)) => (outcome.as_str(), done(outcome, seen)),
    };
    let owner = finding.owned.as_ref().and_then(|o| o.owner.person.as_ref());
    let account = finding.checked.principal.as_ref().or(finding.checked.identity.as_ref());
    let mail = owner.and_then(|p| p.emails.first()).or(account.and_then(|a| a.email.as_ref()));
    Some(Message {
        to: line(mail.map_or(fallback, String::as_str)),
        owner: line(owner.and_then(|p| p.name.as_deref()).unwrap_or_default()),
        what: line(&finding.name),
        rule: line(&finding.rule),
        value: line(&finding.secret.redacted()),
        account: line(account.map(|a| a.names().collect::<Vec<_>>().join(", ")).unwrap_or_default().as_str()),
        places: places(plan, finding),
        since: since(finding),
        outcome: name.to_owned(),
        done,
        now: now(name, item, finding),
        plan: line(&plan.id),
        fingerprint: finding.fingerprint.to_string(),
    })
}

fn done(outcome: Outcome, seen: Option<&str>) -> String {
    let seen = seen.map(|s| format!(" ({})", line(s))).unwrap_or_default();
    match outcome {
        Outcome::Revoked => format!("It was ended: its issuer was seen to refuse it{seen}."),
        Outcome::Contained => {
            format!("It was disabled, and can be brought back: its issuer was seen to refuse it{seen}.")
        }
        Outcome::Undone => format!("It was brought back: its issuer accepts it again{seen}."),
        Outcome::Accepted => "Its issuer said that it will be ended, and has not been seen to refuse it yet.".into(),
        Outcome::StillActive => format!("Ending it was tried, and its issuer still accepts it{seen}."),
        Outcome::Failed => "Ending it was tried, and nothing has changed.".into(),
        Outcome::Unknown => "Ending it was tried; whether it still works is not known.".into(),
        Outcome::Skipped | Outcome::Ready => "Nothing was done: it still works.".into(),
    }
}

fn places(plan: &Plan, finding: &Finding) -> Vec<String> {
    let mut places = Vec::new();
    for location in finding.locations.iter().take(PLACES) {
        let target = plan.targets.get(location.target).map_or("", |t| t.name.as_str());
        let path = String::from_utf8_lossy(&location.path);
        let commit =
            location.git.as_ref().and_then(|g| g.commit.as_ref()).map(|c| format!(", commit {:.12}", c.id.to_string()));
        let kind = match location.kind {
            PlaceKind::Commit => " (message of a commit)",
            PlaceKind::Tag => " (message of a tag)",
            _ => "",
        };
        places.push(line(&format!("{target}: {path}:{}{kind}{}", location.span.line, commit.unwrap_or_default())));
    }
    if finding.locations.len() > PLACES {
        places.push(format!("and {} more", finding.locations.len() - PLACES));
    }
    places
}

fn since(finding: &Finding) -> String {
    let date =
        |at: i64| jiff::Timestamp::from_second(at).map(|t| t.strftime("%Y-%m-%d").to_string()).unwrap_or_default();
    let Some(exposure) = &finding.exposure else { return "not known: it is in no history".into() };
    let begun = exposure.introduced.as_ref().map(|c| format!("{}, by {}", date(c.committer.time), c.author.name));
    let still = match (&exposure.removed, exposure.at_head) {
        (_, true) => "it still stands there",
        (Some(_), false) => "removed from the files, but not from their history",
        (None, false) => "in the history",
    };
    line(&format!("{}; {still}", begun.unwrap_or_else(|| "not known".into())))
}

fn now(outcome: &str, item: &PlanItem, finding: &Finding) -> Vec<String> {
    let page = item.manual.as_ref().map(|m| m.page.as_str()).or(finding.docs.as_deref());
    let at = page.map(|p| format!(" ({p})")).unwrap_or_default();
    let mut now = Vec::new();
    let dead = ["revoked", "contained"].contains(&outcome);
    if !dead && outcome != "undone" {
        now.push(format!("End it yourself at its issuer{at}: as long as it works, whoever read it can act as you."));
    }
    if outcome != "undone" {
        let at = if dead { at.as_str() } else { "" };
        now.push(format!("Make a new one{at} for what used it, and keep it in a secret store, not in a repository."));
    }
    if finding.exposure.as_ref().is_some_and(|e| e.at_head) || finding.exposure.is_none() {
        now.push("Take it out of the files.".into());
    }
    now.push("Look at what was done with it since then: its issuer's log of your account.".into());
    if outcome == "contained" {
        now.push("If something important stopped, say so: it can be brought back.".into());
    }
    now.iter().map(|text| line(text)).collect()
}

/// The template that is used without one of the user's own.
pub const TEMPLATE: &str = "\
Hello{% if owner %} {{ owner }}{% endif %},

a credential {% if owner %}of yours {% endif %}was found where others can read it.

What:    {{ what }}, {{ value }} ({{ rule }})
{%- if account %}
Account: {{ account }}
{%- endif %}
{%- for place in places %}
{% if loop.first %}Where:  {% else %}        {% endif %} {{ place }}
{%- endfor %}
Since:   {{ since }}
Done:    {{ done }}

What to do now:
{%- for step in now %}
{{ loop.index }}. {{ step }}
{%- endfor %}

Plan {{ plan }}, fingerprint {{ fingerprint }}
";

/// A template, the user's own or the built-in one.
#[derive(Debug)]
pub struct Template(minijinja::Environment<'static>);

impl Template {
    /// Reads a template.
    ///
    /// # Errors
    /// What is wrong with it, with its line.
    pub fn new(text: &str) -> Result<Self, String> {
        let mut environment = minijinja::Environment::new();
        environment.set_undefined_behavior(minijinja::UndefinedBehavior::Strict);
        environment.add_template_owned("message", text.to_owned()).map_err(|e| e.to_string())?;
        Ok(Self(environment))
    }

    /// The text of a message.
    ///
    /// # Errors
    /// A name that messages do not have.
    pub fn text(&self, message: &Message) -> Result<String, String> {
        let template = self.0.get_template("message").map_err(|e| e.to_string())?;
        template.render(minijinja::value::Serde(message)).map_err(|e| e.to_string())
    }
}

impl Message {
    /// One line that says it all.
    pub fn subject(&self) -> String {
        let how = match self.outcome.as_str() {
            "revoked" => "it was ended",
            "contained" => "it was disabled",
            "undone" => "it was brought back",
            TOLD => "please end it",
            _ => "it may still work",
        };
        line(&format!("Leaked credential: {} {}: {how}", self.what, self.value))
    }
}

#[cfg(test)]
pub(super) mod tests;
