//! The progress bar: on a terminal only, drawn by a thread of its own from the scan's counters.

use std::sync::atomic::{AtomicBool, Ordering};

use indicatif::{ProgressBar, ProgressStyle};

use super::scan::{TICK, load};
use crate::pipeline::Progress;

/// Runs `work`, with a progress bar on standard error if `wanted`.
pub fn shown<T>(wanted: bool, progress: &Progress, work: impl FnOnce() -> T) -> T {
    if !wanted {
        return work();
    }
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let drawer = scope.spawn(|| draw(progress, &done));
        let result = work();
        done.store(true, Ordering::Relaxed);
        drawer.thread().unpark();
        result
    })
}

fn draw(progress: &Progress, done: &AtomicBool) {
    let bar = ProgressBar::new_spinner();
    while !done.load(Ordering::Relaxed) {
        let (total, objects) = (load(&progress.objects_total), load(&progress.objects));
        let files = load(&progress.counters.files);
        let template =
            if total > 0 { "{bar:30} {pos}/{len} git objects, {msg} files" } else { "{spinner} {msg} files" };
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        bar.set_length(total.max(objects));
        bar.set_position(objects);
        bar.set_message(files.to_string());
        bar.tick();
        std::thread::park_timeout(TICK);
    }
    bar.finish_and_clear();
}
