//! Plans and what came of them, for people under stress: what will be done to what, whose it is, what breaks.
//!
//! Contract: everything that comes from scanned content or an issuer is printable; the layout is for eyes and may change.

use std::fmt::Display;
use std::io::{self, Write};

use serde::Serialize;

use super::safe_json;
use super::style::{Style, count, date};
use super::text::person_line;
use crate::model::plan::{Action, Applied, By, Effect, Outcome, Plan, PlanItem, PlannedWay};
use crate::model::{Finding, Principal};
use crate::notes::printable;

/// Places of one credential that are shown.
const PLACES: usize = 3;
/// Width of the labels on the left.
const LABEL: usize = 10;
/// Lines of one kind that are shown.
const LINES: usize = 6;

/// Writes a plan, or its document, as JSON.
///
/// # Errors
/// When it cannot be written.
pub fn write_plan_json(plan: &impl Serialize, out: &mut dyn Write) -> io::Result<()> {
    safe_json::pretty(out, plan)
}

/// Shows a plan; `findings` are those of its items, in their order.
///
/// # Errors
/// When it cannot be written.
pub fn write_plan(plan: &Plan, findings: &[Finding], color: bool, out: &mut dyn Write) -> io::Result<()> {
    let style = Style::new(color);
    let mut view = View { style, out };
    let changing = plan.items.iter().filter(|i| i.action.changes() && i.protected.is_none()).count();
    let head = format!("Plan {} by {}, {}", plan.id.get(..8).unwrap_or(&plan.id), plan.planner, plan.created);
    view.plain(style.bold(safe(&head)))?;
    view.plain(format!(
        "{} in it, {} to be acted on{}",
        count(plan.items.len() as u64, "live credential", "live credentials"),
        changing,
        if plan.items.iter().any(|i| i.action == Action::Manual) { ", some for a person to do" } else { "" }
    ))?;
    if let Some(policy) = &plan.policy {
        view.plain(safe(&format!("by the policy {} (sha256 {})", policy.name, policy.sha256)))?;
    }
    let approvals = plan.items.iter().map(|i| i.approvals).max().unwrap_or(0).max(plan.require_approvals);
    if approvals > 0 || !plan.approvals.is_empty() {
        view.plain(format!("approvals: {} needed at most, {} signed", approvals, plan.approvals.len()))?;
    }
    for (item, finding) in plan.items.iter().zip(findings) {
        view.item(plan, item, finding)?;
    }
    if !plan.left_out.is_empty() {
        view.plain("")?;
        view.plain("Not in this plan:")?;
        for left in &plan.left_out {
            view.plain(safe(&format!("  {} x {}: {}", left.count, left.rule, left.why)))?;
        }
    }
    Ok(())
}

struct View<'a> {
    style: Style,
    out: &'a mut dyn Write,
}

fn safe(text: &str) -> String {
    printable(text.as_bytes())
}

impl View<'_> {
    fn plain(&mut self, text: impl Display) -> io::Result<()> {
        writeln!(self.out, "{text}")
    }

    fn line(&mut self, label: &str, text: &str) -> io::Result<()> {
        writeln!(self.out, "   {} {}", self.style.dim(format_args!("{label:<LABEL$}")), safe(text))
    }

    /// Several lines under one label, cut with a count.
    fn lines(&mut self, label: &str, texts: &[String]) -> io::Result<()> {
        for (i, text) in texts.iter().take(LINES).enumerate() {
            self.line(if i == 0 { label } else { "" }, text)?;
        }
        if texts.len() > LINES {
            self.line("", &format!("and {} more", texts.len() - LINES))?;
        }
        Ok(())
    }

    fn item(&mut self, plan: &Plan, item: &PlanItem, finding: &Finding) -> io::Result<()> {
        let style = self.style;
        let action = match &item.protected {
            Some(_) => "PROTECTED".to_owned(),
            None => item.action.as_str().to_uppercase(),
        };
        self.plain("")?;
        let severity = finding.owned.as_ref().map(|o| o.severity).unwrap_or_default();
        let head = format!("{}. {action}  {}", item.number, finding.name);
        writeln!(
            self.out,
            "{}  {}  {}  {}",
            style.bold(safe(&head)),
            style.severity(severity),
            safe(&finding.secret.redacted()),
            style.dim(safe(&finding.rule))
        )?;
        self.whose(finding)?;
        self.whereabouts(plan, finding)?;
        if let Some(why) = &item.protected {
            self.line("protected", why)?;
        }
        self.doing(item)?;
        self.lines("breaks", &item.breaks)?;
        let others: Vec<String> = item.alternatives.iter().map(|w| format!("{} ({})", w.title, way_note(w))).collect();
        self.lines("or", &others)?;
        if let Some(manual) = &item.manual {
            self.line("by hand", &manual.page)?;
            for (i, step) in manual.steps.iter().enumerate() {
                self.line("", &format!("{}. {step}", i + 1))?;
            }
        }
        if item.approvals > 0 {
            self.line("approvals", &format!("{} needed", item.approvals))?;
        }
        if item.decided_by != "default" {
            self.line("because", &item.decided_by)?;
        }
        Ok(())
    }

    fn whose(&mut self, finding: &Finding) -> io::Result<()> {
        let owner = finding.owned.as_ref().map(|o| &o.owner);
        match owner.and_then(|o| o.person.as_ref()) {
            Some(person) => self.line("owner", &person_line(person))?,
            None => self.line("owner", "not known")?,
        }
        if let Some(account) = finding.checked.principal.as_ref().or(finding.checked.identity.as_ref()) {
            self.line("account", &account_line(account))?;
        }
        let contradictions = owner.map(|o| o.contradictions.clone()).unwrap_or_default();
        self.lines("but", &contradictions)?;
        let posture: Vec<&str> = finding.owned.iter().flat_map(|o| &o.posture).map(|p| p.kind.as_str()).collect();
        if posture.is_empty() { Ok(()) } else { self.line("posture", &posture.join(", ")) }
    }

    fn whereabouts(&mut self, plan: &Plan, finding: &Finding) -> io::Result<()> {
        let mut places: Vec<String> = Vec::new();
        for location in finding.locations.iter().take(PLACES) {
            let target = plan.targets.get(location.target).map_or("", |t| t.name.as_str());
            let path = String::from_utf8_lossy(&location.path);
            places.push(format!("{target}: {path}:{}", location.span.line));
        }
        if finding.locations.len() > PLACES {
            places.push(format!("and {} more", finding.locations.len() - PLACES));
        }
        self.lines("where", &places)?;
        let Some(exposure) = &finding.exposure else { return Ok(()) };
        let since = exposure.introduced.as_ref().map(|c| date(&c.committer));
        let still = match (&exposure.removed, exposure.at_head) {
            (_, true) => ", still at HEAD".to_owned(),
            (Some(c), false) => format!(", removed {}", date(&c.committer)),
            (None, false) => String::new(),
        };
        since.map_or(Ok(()), |since| self.line("exposed", &format!("since {since}{still}")))
    }

    fn doing(&mut self, item: &PlanItem) -> io::Result<()> {
        let verb = if item.protected.is_some() { "would" } else { "do" };
        for (i, way) in item.ways.iter().enumerate() {
            let label = if i == 0 { verb } else { "else" };
            self.line(label, &format!("{} ({})", way.title, way_note(way)))?;
            let missing: Vec<&str> = way.needs.iter().filter(|(_, there)| !**there).map(|(n, _)| n.as_str()).collect();
            if !missing.is_empty() {
                self.line("needs", &format!("{} in the environment of `apply`", missing.join(", ")))?;
            }
        }
        self.lines("at", &item.places)
    }
}

fn way_note(way: &PlannedWay) -> String {
    let by = match way.by {
        By::Holder => "by the credential itself",
        By::Admin => "by an administrator",
    };
    let undo = match (&way.undo, way.effect) {
        (Some(undo), _) => format!(", can be undone ({undo})"),
        (None, Effect::Contain) => ", can be undone by hand".to_owned(),
        (None, _) => ", cannot be undone".to_owned(),
    };
    format!("{}, {by}{undo}", way.name)
}

fn account_line(account: &Principal) -> String {
    let id = account.id.as_ref().filter(|id| account.login.as_ref() != Some(id)).map(|id| format!("id {id}"));
    let email = account.email.as_ref().map(|e| format!("<{e}>"));
    let organisation = account.organisation.as_ref().map(|o| format!("of {o}"));
    let scopes = (!account.scopes.is_empty()).then(|| format!("may {}", account.scopes.join(", ")));
    let who = [account.login.clone(), account.name.clone(), email, id, organisation, scopes];
    who.into_iter().flatten().collect::<Vec<_>>().join(" ")
}

#[derive(Serialize)]
struct Document<'a> {
    schema: &'static str,
    version: u32,
    tool: super::view::Tool,
    plan: &'a str,
    dry_run: bool,
    confirmed: bool,
    items: &'a [Applied],
}

/// Writes what came of a plan as JSON, `schemas/apply.v1.schema.json`.
///
/// # Errors
/// When it cannot be written.
pub fn write_applied_json(
    plan: &Plan,
    items: &[Applied],
    dry_run: bool,
    confirmed: bool,
    out: &mut dyn Write,
) -> io::Result<()> {
    let (tool, plan) = (super::view::TOOL, plan.id.as_str());
    safe_json::pretty(out, &Document { schema: "unsprawl/apply", version: 1, tool, plan, dry_run, confirmed, items })
}

/// Shows what came of a plan.
///
/// # Errors
/// When it cannot be written.
pub fn write_applied(items: &[Applied], color: bool, out: &mut dyn Write) -> io::Result<()> {
    let style = Style::new(color);
    for applied in items {
        let way = applied.way.as_ref().map(|w| format!(" by {w}")).unwrap_or_default();
        let seen = applied.seen.as_ref().map(|s| format!(", issuer asked {s}")).unwrap_or_default();
        let head = format!("{}. {}", applied.number, applied.outcome.as_str());
        writeln!(out, "{}  {}{}{}", style.bold(head), safe(&applied.rule), safe(&way), safe(&seen))?;
        if let Some(reason) = &applied.reason {
            writeln!(out, "   {}", safe(reason))?;
        }
    }
    let counts: Vec<String> = Outcome::ALL
        .into_iter()
        .map(|o| (o, items.iter().filter(|a| a.outcome == o).count()))
        .filter(|(_, n)| *n > 0)
        .map(|(o, n)| format!("{n} {}", o.as_str()))
        .collect();
    writeln!(out, "{}", if counts.is_empty() { "nothing to do".to_owned() } else { counts.join(", ") })
}
