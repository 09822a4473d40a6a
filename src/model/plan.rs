//! What would be revoked, and how: the document that `plan` writes, people approve, and `apply` follows.
//!
//! Contract: holds no secret, only fingerprints, places and what a report shows. What is signed is the document as it is
//! written, so a field that this program does not know is an error and never passed over.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub use crate::rules::schema::ask::{By, Effect};
use crate::secret::Fingerprint;

/// What names the schema inside a plan.
pub const PLAN_SCHEMA: &str = "unsprawl/plan";
/// Version of that schema.
pub const PLAN_VERSION: u32 = 1;

/// A plan.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// [`PLAN_SCHEMA`].
    pub schema: String,
    /// [`PLAN_VERSION`].
    pub version: u32,
    /// 32 hex digits, random.
    pub id: String,
    /// When it was made, RFC 3339.
    pub created: String,
    /// Who made it.
    pub planner: String,
    /// Name and version of the program that made it.
    pub tool: String,
    /// The policy that decided, if there was one.
    pub policy: Option<PolicyRef>,
    /// Approvals that every item needs.
    pub require_approvals: u32,
    /// What was scanned; places point into it.
    pub targets: Vec<PlanTarget>,
    /// What is to be done, most urgent first.
    pub items: Vec<PlanItem>,
    /// Findings that are no items, and why.
    pub left_out: Vec<LeftOut>,
    /// Signatures over everything else; see `respond::approve`.
    #[serde(default)]
    pub approvals: Vec<serde_json::Value>,
}

/// A policy file, as it was.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PolicyRef {
    /// Its path.
    pub name: String,
    /// SHA-256 of its text, hex.
    pub sha256: String,
}

/// What was scanned.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlanTarget {
    /// Its path, absolute if it is on this machine, or its URL without credentials.
    pub name: String,
    /// As in a report.
    pub kind: String,
}

/// What is to be done about a credential.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    /// It is disabled, and can be brought back.
    Contain,
    /// It ends for good.
    Revoke,
    /// A new value takes its place.
    Rotate,
    /// A person has to do it: there are steps, but no call.
    Manual,
    /// Its owner is told; nothing else.
    Notify,
    /// Nothing, because the policy says so.
    Leave,
}

impl Action {
    /// The lower-case name used in plans and reports.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Contain => "contain",
            Self::Revoke => "revoke",
            Self::Rotate => "rotate",
            Self::Manual => "manual",
            Self::Notify => "notify",
            Self::Leave => "leave",
        }
    }

    /// Whether `apply` sends something that changes the credential.
    pub fn changes(self) -> bool {
        matches!(self, Self::Contain | Self::Revoke | Self::Rotate)
    }
}

/// One credential of a plan.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlanItem {
    /// From 1.
    pub number: u32,
    /// The finding, as a report shows it.
    pub finding: serde_json::Value,
    /// What is to be done.
    pub action: Action,
    /// How: tried in this order until one is not refused.
    pub ways: Vec<PlannedWay>,
    /// What else could be done.
    pub alternatives: Vec<PlannedWay>,
    /// Where it was asked whether it works, sorted: `apply` asks nowhere else.
    pub asked: Vec<String>,
    /// Where the requests go: hosts, or addresses of endpoints.
    pub places: Vec<String>,
    /// What a person does, where there is no call or none may be made.
    pub manual: Option<PlannedManual>,
    /// Why nothing may be done to it.
    pub protected: Option<String>,
    /// Approvals that it needs.
    pub approvals: u32,
    /// What stops working, as far as known.
    pub breaks: Vec<String>,
    /// What decided on the action: a rule of the policy, a flag, or `default`.
    pub decided_by: String,
}

/// A way to end a credential, as the rule file has it when the plan is made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlannedWay {
    /// Its name in the rule file.
    pub name: String,
    /// What it does, in a few words.
    pub title: String,
    /// Who can do it.
    pub by: By,
    /// What it does to the credential.
    pub effect: Effect,
    /// The issuer's page that documents it.
    pub docs: Option<String>,
    /// What else dies or changes.
    pub side_effects: Vec<String>,
    /// The way that undoes it.
    pub undo: Option<String>,
    /// Environment variables with an administrator's settings, and whether each was set when the plan was made.
    pub needs: BTreeMap<String, bool>,
    /// How many credentials one call takes.
    pub batch: Option<usize>,
    /// Seconds until the issuer refuses the credential.
    pub within: Option<u64>,
}

/// What a person does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlannedManual {
    /// The issuer's page.
    pub page: String,
    /// Steps, in order.
    pub steps: Vec<String>,
}

/// Findings that are no items: how many of a token type, and why.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LeftOut {
    /// `issuer.token-type`.
    pub rule: String,
    /// Why.
    pub why: String,
    /// How many.
    pub count: usize,
}

/// What became of a credential that a plan names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// The issuer was seen to refuse it, and it cannot be brought back.
    Revoked,
    /// The issuer was seen to refuse it, and it can be brought back.
    Contained,
    /// The issuer was seen to accept it again.
    Undone,
    /// The issuer said yes, and has not been seen to refuse it yet.
    Accepted,
    /// The issuer said yes, and accepts it still after the time that it may take.
    StillActive,
    /// Nothing has changed.
    Failed,
    /// It may have changed.
    Unknown,
    /// Nothing was tried.
    Skipped,
    /// In a dry run: everything but the request that changes something was done.
    Ready,
}

impl Outcome {
    /// All, as reports list them.
    pub const ALL: [Self; 9] = [
        Self::Revoked,
        Self::Contained,
        Self::Undone,
        Self::Accepted,
        Self::StillActive,
        Self::Failed,
        Self::Unknown,
        Self::Skipped,
        Self::Ready,
    ];

    /// The name used in the journal and in reports.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Revoked => "revoked",
            Self::Contained => "contained",
            Self::Undone => "undone",
            Self::Accepted => "accepted",
            Self::StillActive => "still-active",
            Self::Failed => "failed",
            Self::Unknown => "unknown",
            Self::Skipped => "skipped",
            Self::Ready => "ready",
        }
    }

    /// Whether the issuer was asked and said so.
    pub fn confirmed(self) -> bool {
        matches!(self, Self::Revoked | Self::Contained | Self::Undone)
    }
}

/// What `apply` did about one item.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Applied {
    /// Number of the item.
    pub number: u32,
    /// `issuer.token-type`.
    pub rule: String,
    /// Keyed hash of the value.
    pub fingerprint: Fingerprint,
    /// What the plan says is to be done.
    pub action: Action,
    /// The way that was taken last.
    pub way: Option<String>,
    /// What became of it.
    pub outcome: Outcome,
    /// Why, or a remark. Holds no secret.
    pub reason: Option<String>,
    /// When the issuer was last asked, RFC 3339.
    pub seen: Option<String>,
}
