//! What may be done to which credentials: `policy.toml`, with conditions in the Common Expression Language.
//!
//! Contract: the first rule that fits decides, and everything that protects is looked at. A condition that cannot be
//! evaluated protects the credential: nothing is ever done because something could not be told. Errors name file, line
//! and column. `docs/policy.md` has the format and every field that a condition may use.

mod facts;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use cel::{Context, Program, Value};
use serde::Deserialize;
use sha2::{Digest, Sha256};
use toml::Spanned;

pub use facts::facts;

use super::plan::Wish;
use crate::rules::{Fault, FileText};

/// The file.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct File {
    kill_switch: bool,
    most_revocations: Option<usize>,
    approvals: u32,
    rule: Vec<Rule>,
    protect: Vec<Protect>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Rule {
    name: String,
    when: Spanned<String>,
    action: Action,
    approvals: Option<u32>,
    way: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Protect {
    name: String,
    when: Spanned<String>,
    why: Option<String>,
}

/// What a rule asks for.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Action {
    Best,
    Revoke,
    Contain,
    Rotate,
    Notify,
    Leave,
}

impl From<Action> for Wish {
    fn from(action: Action) -> Self {
        match action {
            Action::Best => Self::Default,
            Action::Revoke => Self::Revoke,
            Action::Contain => Self::Contain,
            Action::Rotate => Self::Rotate,
            Action::Notify => Self::Notify,
            Action::Leave => Self::Leave,
        }
    }
}

/// A condition, ready to be evaluated.
struct Condition(Program);

/// What a policy says of one finding.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Decision {
    /// What is wanted.
    pub wish: Wish,
    /// By this way.
    pub way: Option<String>,
    /// With so many approvals.
    pub approvals: u32,
    /// Nothing may be done, and why.
    pub protected: Option<String>,
    /// The rule that decided; `default` if none fits.
    pub by: String,
}

/// A policy.
pub struct Policy {
    file: File,
    rules: Vec<Condition>,
    protect: Vec<Condition>,
    sha256: String,
}

impl std::fmt::Debug for Policy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Policy").field("file", &self.file).finish_non_exhaustive()
    }
}

impl Policy {
    /// Reads a policy file.
    ///
    /// # Errors
    /// What is wrong with it, and where.
    pub fn read(path: &Path) -> Result<Self, Fault> {
        let name = path.display().to_string();
        match std::fs::read_to_string(path) {
            Ok(text) => Self::parse(&name, &text),
            Err(e) => Err(Fault { file: name, line: 1, column: 1, message: format!("cannot be read: {e}") }),
        }
    }

    /// Reads a policy from its text.
    ///
    /// # Errors
    /// What is wrong with it, and where.
    pub fn parse(name: &str, text: &str) -> Result<Self, Fault> {
        let place = FileText { name: name.to_owned(), text: text.to_owned().into() };
        let file: File =
            toml::from_str(text).map_err(|e| place.fault(e.span().unwrap_or(0..0), e.message().to_owned()))?;
        let one = |when: &Spanned<String>| {
            Condition::compile(when.get_ref()).map_err(|message| place.fault(when.span(), message))
        };
        let rules = file.rule.iter().map(|r| one(&r.when)).collect::<Result<_, _>>()?;
        let protect = file.protect.iter().map(|p| one(&p.when)).collect::<Result<_, _>>()?;
        Ok(Self { file, rules, protect, sha256: crate::secret::hex(&Sha256::digest(text)) })
    }

    /// What it says of a finding, from its [`facts`].
    pub fn decide(&self, facts: &serde_json::Value) -> Decision {
        let mut decision = Decision { approvals: self.file.approvals, by: "default".into(), ..Decision::default() };
        let mut context = Context::default();
        if let Err(e) = context.add_variable("finding", facts) {
            decision.protected = Some(format!("the policy cannot look at it: {e}"));
            return decision;
        }
        for (protect, condition) in self.file.protect.iter().zip(&self.protect) {
            let why = match condition.fits(&context) {
                Ok(false) => continue,
                Ok(true) => protect.why.clone().unwrap_or_else(|| protect.name.clone()),
                Err(e) => format!("`{}` of the policy cannot be evaluated: {e}", protect.name),
            };
            decision.protected = Some(why);
            decision.by.clone_from(&protect.name);
            return decision;
        }
        for (rule, condition) in self.file.rule.iter().zip(&self.rules) {
            match condition.fits(&context) {
                Ok(false) => continue,
                Ok(true) => {
                    decision.wish = rule.action.into();
                    decision.way.clone_from(&rule.way);
                    decision.approvals = rule.approvals.unwrap_or(self.file.approvals);
                }
                Err(e) => {
                    decision.protected = Some(format!("`{}` of the policy cannot be evaluated: {e}", rule.name));
                }
            }
            decision.by.clone_from(&rule.name);
            break;
        }
        decision
    }

    /// Nothing may be done at all.
    pub fn kill_switch(&self) -> bool {
        self.file.kill_switch
    }

    /// How many credentials may be acted on in one run.
    pub fn most_revocations(&self) -> Option<usize> {
        self.file.most_revocations
    }

    /// SHA-256 of its text, hex.
    pub fn sha256(&self) -> &str {
        &self.sha256
    }
}

impl Condition {
    fn compile(text: &str) -> Result<Self, String> {
        // The parser is a large machine, and the text a user's: a panic in it is an error like others.
        match catch_unwind(|| Program::compile(text)) {
            Ok(Ok(program)) => Ok(Self(program)),
            Ok(Err(errors)) => {
                let one = |e: &cel::ParseError| format!("at {}:{} of it: {}", e.pos.0, e.pos.1, e.msg);
                let first = errors.errors.first().map(one).unwrap_or_default();
                Err(format!("this is no condition in CEL: {first}"))
            }
            Err(_) => Err("this is no condition in CEL".into()),
        }
    }

    fn fits(&self, context: &Context<'_, '_>) -> Result<bool, String> {
        match catch_unwind(AssertUnwindSafe(|| self.0.execute(context))) {
            Ok(Ok(Value::Bool(fits))) => Ok(fits),
            Ok(Ok(_)) => Err("it gives neither true nor false".into()),
            Ok(Err(e)) => Err(e.to_string()),
            Err(_) => Err("the evaluator gave up".into()),
        }
    }
}

#[cfg(test)]
mod tests;
