//! Findings from targets and from reports of earlier runs, for subcommands that take both.

use std::fs::File;
use std::io::{self, IsTerminal};
use std::path::Path;
use std::sync::Arc;

use crate::model::{Confidence, Report};
use crate::pipeline::{self, Engine, History, Progress, Request, gather, reread};
use crate::report;
use crate::rules::SharedCatalog;
use crate::secret::Fingerprinter;
use crate::source::Limits;
use crate::source::files::Filter;

/// What findings come from.
pub(super) struct Inputs<'a> {
    /// Targets and reports.
    pub named: &'a [String],
    /// The rules.
    pub catalog: &'a SharedCatalog,
    /// Makes fingerprints.
    pub key: &'a Fingerprinter,
    /// Least confidence that counts.
    pub confidence: Confidence,
    /// What cannot be read again and asked about keeps the verdict of its report; else it is unknown.
    pub verdicts: bool,
    /// No progress.
    pub quiet: bool,
}

/// Scans the targets, reads the reports, and joins what comes of them. Nobody is asked yet: everything is asked about once,
/// together.
pub(super) fn gathered(inputs: &Inputs<'_>) -> Result<Report, String> {
    let Inputs { named, catalog, key, confidence, verdicts, quiet } = *inputs;
    let (files, targets): (Vec<String>, Vec<String>) =
        named.iter().cloned().partition(|input| gather::is_report(Path::new(input)));
    let mut reports = Vec::new();
    for path in files {
        let file = File::open(&path).map_err(|e| format!("{path}: {e}"))?;
        let mut report = report::read(file).map_err(|e| format!("{path} {e}"))?;
        // Values that can be read again are asked about again.
        let reread = if verdicts { reread::values_or_verdicts } else { reread::values };
        reread(&mut report, catalog, key, &Arc::default());
        report.findings.retain(|f| f.confidence >= confidence);
        reports.push(report);
    }
    if !targets.is_empty() {
        let request = Request {
            targets,
            history: History::default(),
            since: None,
            branch: None,
            catalog: catalog.clone(),
            confidence,
            limits: Limits::default(),
            filter: Filter::new(&[], &[])?,
            no_ignore: false,
            memory: 256 << 20,
            engine: Engine::default(),
            keep_clone: None,
            fingerprinter: key.clone(),
            asking: pipeline::asking::Asking::default(),
            owning: None,
            validities: Vec::new(),
        };
        let progress = Progress::default();
        let shown = !quiet && io::stderr().is_terminal();
        let scanned = super::progress::shown(shown, &progress, || pipeline::scan(&request, &progress));
        reports.push(scanned.map_err(|e| e.to_string())?);
    }
    Ok(gather::merge(reports))
}
