//! Whose a credential is, what is wrong about it beyond being leaked, and how bad that is: the result of the own stage.

use super::Principal;

/// Whether a person is still there, as a directory says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PersonState {
    /// Works here.
    Active,
    /// Locked or disabled for now.
    Suspended,
    /// Has left.
    Departed,
    /// No directory was asked, it did not answer, or it does not know the person.
    #[default]
    Unknown,
}

impl PersonState {
    /// The lower-case name used in reports.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Suspended => "suspended",
            Self::Departed => "departed",
            Self::Unknown => "unknown",
        }
    }
}

/// A person, as one directory (or, without any, the issuer) knows them.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(default)]
pub struct Person {
    /// Stable within its directory: its own id there, else the main e-mail address or log-in name.
    pub id: String,
    /// Full name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// E-mail addresses in lower case, the main one first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub emails: Vec<String>,
    /// Log-in names, in lower case.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub logins: Vec<String>,
    /// Whether they are still there.
    pub state: PersonState,
    /// Since when the state holds (RFC 3339 date or moment), where the directory says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<String>,
    /// First day.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub start: Option<String>,
    /// The manager: a name or an e-mail address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub manager: Option<String>,
    /// Team or department.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub team: Option<String>,
    /// Which directory says so; empty if none was asked.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub directory: String,
}

impl Person {
    /// Whether two records are of one person: the same record, or a common address or log-in name.
    pub fn is_same(&self, other: &Self) -> bool {
        let common = |a: &[String], b: &[String]| a.iter().any(|x| b.contains(x));
        (!self.directory.is_empty() && self.directory == other.directory && self.id == other.id)
            || common(&self.emails, &other.emails)
            || common(&self.logins, &other.logins)
    }

    /// How reports call them: name and main e-mail address, as far as known.
    pub fn title(&self) -> String {
        match (&self.name, self.emails.first().or(self.logins.first())) {
            (Some(name), Some(address)) => format!("{name} <{address}>"),
            (Some(name), None) => name.clone(),
            (None, Some(address)) => address.clone(),
            (None, None) => self.id.clone(),
        }
    }
}

/// Where a piece of evidence comes from, strongest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EvidenceSource {
    /// The issuer's answer.
    Issuer,
    /// The token itself.
    Token,
    /// The user's own map from accounts to people.
    AccountMap,
    /// Who brought it into git. Never makes an owner.
    IntroducedBy,
    /// A CODEOWNERS file of the repository.
    Codeowners,
    /// The user's own map from paths to teams.
    PathMap,
}

/// How much a piece of evidence is worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Weight {
    /// A hint.
    Low,
    /// Likely: a log-in name that a directory has, too.
    Medium,
    /// The issuer or the user says so.
    High,
}

/// One reason to think of a person or team.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Evidence {
    /// Where it comes from.
    pub source: EvidenceSource,
    /// What it is worth.
    pub weight: Weight,
    /// What was seen: "e-mail address jane@example.org".
    pub says: String,
    /// The person it leads to; a person without a directory if none knows them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub person: Option<Person>,
    /// The team it leads to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub team: Option<String>,
}

/// Whose a credential is, with everything that speaks for it.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(default)]
pub struct Owner {
    /// The person behind the account; `None` if nothing but git names anybody.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub person: Option<Person>,
    /// The team: of the person, else by CODEOWNERS or the path map.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub team: Option<String>,
    /// Who brought it into git, oldest first, through the repository's mailmap. Not owners by that.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub introduced_by: Vec<Person>,
    /// All evidence, in order of its source.
    pub evidence: Vec<Evidence>,
    /// Where evidence does not agree.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub contradictions: Vec<String>,
}

/// What is wrong about a credential beyond being leaked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PostureKind {
    /// Its owner has left or is disabled, and it is still active.
    Orphaned,
    /// A personal credential that more than its owner uses.
    Shared,
    /// It may do what an administrator may.
    OverScoped,
    /// It has no end.
    NoExpiry,
    /// It is old.
    LongLived,
    /// It works, and nobody uses it.
    Stale,
    /// It still stands where everybody who reads the repository sees it.
    StillPresent,
    /// How long it has been readable.
    ExposedFor,
}

impl PostureKind {
    /// All kinds, gravest first.
    pub const ALL: [Self; 8] = [
        Self::Orphaned,
        Self::Shared,
        Self::OverScoped,
        Self::NoExpiry,
        Self::LongLived,
        Self::Stale,
        Self::StillPresent,
        Self::ExposedFor,
    ];

    /// The stable id used in reports.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Orphaned => "orphaned",
            Self::Shared => "shared",
            Self::OverScoped => "over-scoped",
            Self::NoExpiry => "no-expiry",
            Self::LongLived => "long-lived",
            Self::Stale => "stale",
            Self::StillPresent => "still-present",
            Self::ExposedFor => "exposed-for",
        }
    }
}

/// One thing that is wrong, with what shows it.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Posture {
    /// What.
    pub kind: PostureKind,
    /// What shows it, each in a few words.
    pub evidence: Vec<String>,
    /// Since when, RFC 3339, where it has a beginning.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<String>,
}

/// How urgent a finding is; README, "Severity", has the table.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    Hash,
    PartialOrd,
    Ord,
    serde::Serialize,
    serde::Deserialize,
    clap::ValueEnum,
)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Nothing to hurry for: it does not work any more, or is hardly a credential.
    #[default]
    Info,
    /// Look when there is time.
    Low,
    /// Look soon.
    Medium,
    /// Act today.
    High,
    /// Act now.
    Critical,
}

impl Severity {
    /// The lower-case name used in flags and reports.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
            Self::Critical => "critical",
        }
    }
}

/// Everything the own stage says of a finding.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Owned {
    /// Whose it is.
    pub owner: Owner,
    /// What is wrong, gravest first.
    pub posture: Vec<Posture>,
    /// How urgent it is.
    pub severity: Severity,
}

impl Owned {
    /// Whether it has this posture.
    pub fn is(&self, kind: PostureKind) -> bool {
        self.posture.iter().any(|p| p.kind == kind)
    }
}

impl Principal {
    /// What names a person: e-mail address, log-in name, id, in this order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        [&self.email, &self.login, &self.id].into_iter().flatten().map(String::as_str)
    }
}
