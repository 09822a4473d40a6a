//! Rules ready for use: validated, with windows and lazily compiled patterns.
//!
//! Contract: a [`Catalog`] is built once from rule files, is immutable, and never fails afterwards. Patterns compile on
//! first use, so a start costs no more than the rules a scan really meets.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use rayon::prelude::*;
use regex_automata::meta;
use regex_automata::util::syntax;

use super::ask::{self, Ask};
use super::checksum::Recipe;
use super::pairs::Kept;
use super::pattern::{OWN_GROUPS, group_names, parse, part_names};
use super::schema::{Alone, BoundTo, Mismatch, RuleFile, Structure, Token};
use super::{Fault, FileText, select::Selection};
use crate::model::{Confidence, TokenIndex};

/// How far an unbounded pattern may reach if the rule does not say, in bytes.
const DEFAULT_WINDOW: usize = 1024;
/// How far after a near-word a token may end if the rule does not say, in bytes.
const DEFAULT_WITHIN: usize = 80;
/// The widest window a rule may ask for, in bytes.
pub const MAX_WINDOW: usize = 32 << 10;

/// All token types of all rule files in use.
#[derive(Debug, Default)]
pub struct Catalog {
    /// Issuers by id.
    pub issuers: BTreeMap<String, IssuerInfo>,
    /// Token types; [`TokenIndex`] points in here.
    pub tokens: Vec<TokenRule>,
    /// How each token type is asked about: made on first use.
    asks: Vec<OnceLock<Option<Box<Ask>>>>,
    /// The file of each issuer.
    sources: BTreeMap<String, SourceFile>,
}

/// A rule file, whose whole is parsed on first use.
#[derive(Debug)]
struct SourceFile {
    text: FileText,
    parsed: OnceLock<Option<RuleFile>>,
}

/// What reports say of an issuer.
#[derive(Clone, Debug)]
pub struct IssuerInfo {
    /// Slug.
    pub id: String,
    /// The issuer's own spelling.
    pub name: String,
    /// Its page on these tokens.
    pub docs: Option<String>,
    admin_scopes: Vec<String>,
}

impl IssuerInfo {
    /// Whether a scope (role, group) gives an administrator's power.
    pub fn is_admin(&self, scope: &str) -> bool {
        let scope = scope.to_ascii_lowercase();
        self.admin_scopes.iter().any(|pattern| match pattern.strip_suffix('*') {
            Some(beginning) => scope.starts_with(beginning),
            None => scope == *pattern,
        })
    }
}

/// One token type, ready to match.
#[derive(Debug)]
pub struct TokenRule {
    /// `issuer.token`.
    pub rule: String,
    /// Issuer slug.
    pub issuer: String,
    /// Token slug.
    pub id: String,
    /// Human name.
    pub name: String,
    /// Whose authority it carries.
    pub bound_to: BoundTo,
    /// Literals inside the token, with case.
    pub anchors: Vec<Vec<u8>>,
    /// Words beside the token, without case.
    pub near: Vec<Vec<u8>>,
    /// Which of them must begin a word: their own first word is too short to stand inside of another.
    pub near_whole: Vec<bool>,
    /// How far before the anchor or word a match may begin.
    pub before: usize,
    /// How far after the start of the anchor, or the end of the word, a match may reach.
    pub reach: usize,
    /// The pattern as written.
    pub pattern: String,
    regex: OnceLock<meta::Regex>,
    /// A byte that stands in every match and in no anchor: where it is not, the pattern need not be tried.
    pub needs: Option<u8>,
    /// Whether every match begins at a boundary of a word.
    pub boundary: bool,
    /// Whether every match begins with the anchor, and has a newline at most as its last byte: it depends on the rest of the line alone.
    pub line: bool,
    /// Names of the pattern's groups, by index.
    pub groups: Vec<Option<String>>,
    /// Index of the group that is the secret; 0 for the whole match.
    pub secret_group: usize,
    /// Index of the group that entropy and structure look at.
    pub body_group: usize,
    /// Index of the group that marks an encrypted key.
    pub encrypted_group: Option<usize>,
    /// Groups that are parts: name and index.
    pub part_groups: Vec<(String, usize)>,
    /// Its checksum.
    pub checksum: Option<ChecksumRule>,
    /// What the value must be.
    pub structure: Option<Structure>,
    /// Least entropy; `None` for the default by length.
    pub entropy: Option<f32>,
    /// Confidence without a checksum.
    pub confidence: Confidence,
    /// An id, not a secret.
    pub part: bool,
    /// What a part is worth alone.
    pub alone: Alone,
    /// The part that belongs to it.
    pub pair: Option<PairRule>,
    /// Knows no issuer: loses against a rule that does, between equals.
    pub fallback: bool,
    /// Whether values that read like words are dropped.
    pub words: bool,
    allow_patterns: Vec<String>,
    allow: OnceLock<Vec<regex::bytes::Regex>>,
    /// Whether binary files are searched.
    pub binary: bool,
}

/// A checksum with its groups resolved.
#[derive(Debug)]
pub struct ChecksumRule {
    /// What is computed.
    pub recipe: Recipe,
    /// Group that is summed.
    pub of: usize,
    /// Group that holds the result (0 if the recipe needs none).
    pub equals: usize,
    /// Bytes put before.
    pub prefix: Vec<u8>,
    /// What a wrong one means.
    pub mismatch: Mismatch,
}

/// A pairing with its tokens resolved.
#[derive(Debug)]
pub struct PairRule {
    /// Token types of the same issuer.
    pub with: Vec<TokenIndex>,
    /// Further ones, of each of which the nearest joins.
    pub also: Vec<TokenIndex>,
    /// Secrets that it only works with: name, and the token types of which the nearest joins.
    pub secrets: Vec<(String, Vec<TokenIndex>)>,
    /// Bytes that may lie between.
    pub within: usize,
    /// No finding without it.
    pub required: bool,
}

impl Catalog {
    /// Builds a catalog from parsed files; a later file replaces an earlier one of the same issuer.
    ///
    /// # Errors
    /// Every fault of every file, with its place.
    pub fn build(files: &[(FileText, RuleFile)], selection: &Selection) -> Result<Self, Vec<Fault>> {
        let mut catalog = Self::default();
        let mut faults = Vec::new();
        let mut last: BTreeMap<&str, usize> = BTreeMap::new();
        for (i, (_, file)) in files.iter().enumerate() {
            last.insert(file.issuer.id.get_ref(), i);
        }
        let used: Vec<_> = files
            .iter()
            .enumerate()
            .filter(|(i, (_, f))| last[f.issuer.id.get_ref().as_str()] == *i)
            .map(|(_, f)| f)
            .collect();
        // Parsing some hundred patterns is most of a start: all cores share it.
        let compiled: Vec<_> = used
            .par_iter()
            .with_max_len(4)
            .map(|(text, file)| (text, file, compile_file(text, file, selection)))
            .collect();
        for (text, file, (tokens, more)) in compiled {
            faults.extend(more);
            catalog.add(text, file, tokens, &mut faults);
        }
        if faults.is_empty() { Ok(catalog) } else { Err(faults) }
    }

    /// The rule at an index.
    pub fn token(&self, index: TokenIndex) -> &TokenRule {
        &self.tokens[index.0 as usize]
    }

    /// The rule with a full name (`issuer.token`).
    pub fn find(&self, rule: &str) -> Option<(TokenIndex, &TokenRule)> {
        let i = self.tokens.iter().position(|t| t.rule == rule)?;
        Some((TokenIndex(i as u32), &self.tokens[i]))
    }

    /// How credentials of a rule are asked about and ended; `None` if there is no such rule here.
    pub fn ask(&self, rule: &str) -> Option<Ask> {
        self.find(rule).and_then(|(index, _)| self.asking(index)).cloned()
    }

    /// How a token type is asked about and ended; read from its rule file on first use. `None` only for a file with faults,
    /// which loading would have told.
    pub fn asking(&self, index: TokenIndex) -> Option<&Ask> {
        let make = || {
            let rule = self.token(index);
            let SourceFile { text, parsed } = self.sources.get(&rule.issuer)?;
            let parse = || super::parse(&text.name, &text.text).ok().map(|(_, file)| file);
            let file = parsed.get_or_init(parse).as_ref()?;
            let token = file.tokens.iter().find(|t| *t.get_ref().id.get_ref() == rule.id)?.get_ref();
            ask::compile(text, file, token, &part_names(token).ok()?).ok().map(Box::new)
        };
        self.asks.get(index.0 as usize)?.get_or_init(make).as_deref()
    }

    fn add(&mut self, text: &FileText, file: &RuleFile, tokens: Vec<(&Token, TokenRule)>, faults: &mut Vec<Fault>) {
        let issuer = file.issuer.id.get_ref();
        let base = self.tokens.len();
        let (kept, rules): (Vec<&Token>, Vec<TokenRule>) = tokens.into_iter().unzip();
        self.asks.extend(rules.iter().map(|_| OnceLock::new()));
        self.tokens.extend(rules);
        self.sources.insert(issuer.clone(), SourceFile { text: text.clone(), parsed: OnceLock::new() });
        let kept = Kept { text, file, tokens: &kept, base };
        for (i, token) in kept.tokens.iter().enumerate() {
            if let Some(pair) = &token.pair {
                self.tokens[base + i].pair = Some(kept.pair(&self.tokens[base + i], pair, faults));
            }
        }
        let info = IssuerInfo {
            id: issuer.clone(),
            name: file.issuer.name.clone(),
            docs: file.issuer.docs.clone(),
            admin_scopes: file.issuer.admin_scopes.iter().map(|s| s.to_ascii_lowercase()).collect(),
        };
        self.issuers.insert(issuer.clone(), info);
    }
}

/// Compiles the wanted tokens of one file.
fn compile_file<'a>(
    text: &FileText,
    file: &'a RuleFile,
    selection: &Selection,
) -> (Vec<(&'a Token, TokenRule)>, Vec<Fault>) {
    let issuer = file.issuer.id.get_ref();
    let mut faults = Vec::new();
    let mut kept: Vec<(&Token, TokenRule)> = Vec::new();
    for spanned in &file.tokens {
        let token = spanned.get_ref();
        let id = token.id.get_ref();
        if !selection.wants(issuer, token) && !selection.needed_as_part(issuer, token, file) {
            continue;
        }
        if kept.iter().any(|(t, _)| t.id.get_ref() == id) {
            faults.push(text.fault(token.id.span(), format!("token `{id}` stands twice in this file")));
            continue;
        }
        match compile(issuer, token) {
            Ok(rule) => kept.push((token, rule)),
            Err((span, message)) => faults.push(text.fault(span.unwrap_or(spanned.span()), message)),
        }
    }
    (kept, faults)
}

type TokenFault = (Option<std::ops::Range<usize>>, String);

fn compile(issuer: &str, token: &Token) -> Result<TokenRule, TokenFault> {
    let span = Some(token.regex.span());
    let hir = parse(token.regex.get_ref()).map_err(|message| (span.clone(), message))?;
    let anchored = !token.anchors.is_empty();
    if anchored != token.near.is_empty() {
        return Err((Some(token.id.span()), "give either `anchors` or `near`, and not both".into()));
    }
    let groups = group_names(&hir);
    let group = |name: &str| groups.iter().position(|g| g.as_deref() == Some(name));
    let secret_group = group("secret").unwrap_or(0);
    let checksum = match &token.checksum {
        None => None,
        Some(checksum) => {
            Some(compile_checksum(checksum.get_ref(), group).map_err(|message| (Some(checksum.span()), message))?)
        }
    };
    let used: Vec<usize> = checksum.iter().flat_map(|c| [c.of, c.equals]).collect();
    let part_groups = groups
        .iter()
        .enumerate()
        .filter_map(|(i, name)| Some((name.clone()?, i)))
        .filter(|(name, i)| !OWN_GROUPS.contains(&name.as_str()) && !used.contains(i))
        .collect();
    let longest = hir.properties().maximum_len();
    let reach = if anchored {
        token.window.unwrap_or_else(|| longest.unwrap_or(DEFAULT_WINDOW))
    } else {
        token.within.unwrap_or(DEFAULT_WITHIN)
    };
    if reach > MAX_WINDOW || token.before > MAX_WINDOW {
        let hint = "bound its repetitions, or give `window`";
        return Err((span, format!("this pattern may reach {reach} bytes, more than {MAX_WINDOW}; {hint}")));
    }
    let confidence = token.confidence.unwrap_or(if anchored { Confidence::High } else { Confidence::Medium });
    let near = super::near::spellings(literals(&token.near, 3)?);
    let anchors = literals(&token.anchors, 3)?;
    let needs = super::needed::byte(&hir, &anchors);
    Ok(TokenRule {
        rule: format!("{issuer}.{}", token.id.get_ref()),
        issuer: issuer.to_owned(),
        id: token.id.get_ref().clone(),
        name: token.name.clone(),
        bound_to: token.bound_to,
        anchors,
        near_whole: near.iter().map(|(_, whole)| *whole).collect(),
        near: near.into_iter().map(|(word, _)| word).collect(),
        before: token.before,
        reach,
        pattern: token.regex.get_ref().clone(),
        regex: OnceLock::new(),
        needs,
        boundary: super::needed::boundary(&hir),
        line: anchored && token.before == 0 && super::needed::line(&hir),
        secret_group,
        body_group: group("body").unwrap_or(secret_group),
        encrypted_group: group("encrypted"),
        part_groups,
        groups,
        checksum,
        structure: token.structure,
        entropy: token.entropy,
        confidence: if token.public { Confidence::Low } else { confidence },
        part: token.part,
        alone: token.alone.unwrap_or(Alone::Drop),
        pair: None,
        fallback: token.fallback,
        words: token.words.unwrap_or(!anchored),
        allow_patterns: token.allow.iter().map(|p| p.get_ref().clone()).collect(),
        allow: OnceLock::new(),
        binary: token.binary.unwrap_or(anchored),
    })
}

fn literals(list: &[toml::Spanned<String>], least: usize) -> Result<Vec<Vec<u8>>, TokenFault> {
    list.iter()
        .map(|l| {
            if l.get_ref().len() < least {
                return Err((Some(l.span()), format!("`{}` is shorter than {least} bytes: too common", l.get_ref())));
            }
            Ok(l.get_ref().as_bytes().to_vec())
        })
        .collect()
}

fn compile_checksum(
    checksum: &super::schema::Checksum,
    group: impl Fn(&str) -> Option<usize>,
) -> Result<ChecksumRule, String> {
    let recipe = Recipe::parse(&checksum.steps)?;
    let find = |name: &str| group(name).ok_or_else(|| format!("the regex has no group `{name}`"));
    let equals = if recipe == Recipe::Bech32 { 0 } else { find(&checksum.equals)? };
    Ok(ChecksumRule {
        recipe,
        of: find(&checksum.of)?,
        equals,
        prefix: checksum.prefix.as_bytes().to_vec(),
        mismatch: checksum.mismatch,
    })
}

impl TokenRule {
    /// The compiled pattern; compiled on first use.
    pub fn regex(&self) -> &meta::Regex {
        self.regex.get_or_init(|| {
            let config =
                meta::Config::new().utf8_empty(false).hybrid_cache_capacity(1 << 20).nfa_size_limit(Some(20 << 20));
            meta::Builder::new()
                .syntax(syntax::Config::new().unicode(false).utf8(false))
                .configure(config)
                .build(&self.pattern)
                // The pattern parsed when the catalog was built; only its size can fail now. Matching nothing would
                // hide secrets, so this is checked for every embedded rule by a test and for others by `rules check`.
                .unwrap_or_else(|_| meta::Regex::new(r"[^\s\S]").expect("the empty class is a valid pattern"))
        })
    }

    /// Whether a secret has a shape that is no credential.
    pub fn allows(&self, secret: &[u8]) -> bool {
        let build = |p: &String| regex::bytes::RegexBuilder::new(p).unicode(false).build().ok();
        let allow = self.allow.get_or_init(|| self.allow_patterns.iter().filter_map(build).collect());
        allow.iter().any(|a| a.is_match(secret))
    }

    /// Whether all patterns compile within the size limits.
    ///
    /// # Errors
    /// What the regex engine says.
    pub fn compiles(&self) -> Result<(), String> {
        let config = meta::Config::new().nfa_size_limit(Some(20 << 20));
        let mut builder = meta::Builder::new();
        builder.syntax(syntax::Config::new().unicode(false).utf8(false)).configure(config);
        builder.build(&self.pattern).map_err(|e| e.to_string())?;
        for pattern in &self.allow_patterns {
            let built = regex::bytes::RegexBuilder::new(pattern).unicode(false).build();
            built.map_err(|e| format!("allow: {e}"))?;
        }
        Ok(())
    }
}

/// A catalog shared between threads.
pub type SharedCatalog = Arc<Catalog>;
