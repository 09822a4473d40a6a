//! Asks about many credentials at once.
//!
//! Contract: credentials of one lane (an issuer at its addresses) wait for one another, those of different lanes do not; no more
//! than a few of a lane are under way, so that memory does not grow with their number. What was done before the run is stopped
//! is kept.

use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::future::Future;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;

/// Credentials of one lane that are under way at the same time.
const PER_LANE: usize = 8;

/// Asks about every job; `done` takes each result as it comes. Ends when all are done, or when `stop` is: then gives why.
pub async fn all<J, R, F, S>(
    jobs: impl IntoIterator<Item = (String, J)>,
    ask: impl Fn(J) -> F,
    done: impl FnMut(R),
    stop: impl Future<Output = S>,
) -> Option<S>
where
    F: Future<Output = R>,
{
    let mut lanes: BTreeMap<String, VecDeque<J>> = BTreeMap::new();
    for (lane, job) in jobs {
        lanes.entry(lane).or_default().push_back(job);
    }
    let lanes: Vec<RefCell<VecDeque<J>>> = lanes.into_values().map(RefCell::new).collect();
    let done = RefCell::new(done);
    let mut workers: FuturesUnordered<_> = lanes
        .iter()
        .flat_map(|lane| {
            let count = lane.borrow().len().min(PER_LANE);
            (0..count).map(move |_| lane)
        })
        .map(|lane| work(lane, &ask, &done))
        .collect();
    tokio::select! {
        biased;
        why = stop => Some(why),
        () = async { while workers.next().await.is_some() {} } => None,
    }
}

/// Takes jobs of one lane until there are no more.
async fn work<J, R, F: Future<Output = R>>(
    lane: &RefCell<VecDeque<J>>,
    ask: &impl Fn(J) -> F,
    done: &RefCell<impl FnMut(R)>,
) {
    loop {
        let next = lane.borrow_mut().pop_front();
        let Some(job) = next else { return };
        let result = ask(job).await;
        done.borrow_mut()(result);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::time::Duration;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn lanes_do_not_wait_for_one_another_and_what_is_done_is_kept() {
        let jobs = (0..1000usize).map(|i| (if i.is_multiple_of(2) { "slow" } else { "quick" }.to_owned(), i));
        let running = RefCell::new((0, 0));
        let ask = async |i: usize| {
            {
                let mut running = running.borrow_mut();
                running.0 += 1;
                running.1 = running.1.max(running.0);
            }
            tokio::time::sleep(Duration::from_secs(if i.is_multiple_of(2) { 3600 } else { 1 })).await;
            running.borrow_mut().0 -= 1;
            i
        };
        let mut results = Vec::new();
        let stop = async {
            tokio::time::sleep(Duration::from_secs(100)).await;
            "stopped"
        };
        assert_eq!(all(jobs, ask, |i| results.push(i), stop).await, Some("stopped"));
        results.sort_unstable();
        assert_eq!(results, (0..1000usize).filter(|i| !i.is_multiple_of(2)).collect::<Vec<_>>());
        assert_eq!(running.borrow().1, 2 * PER_LANE);
    }

    #[tokio::test(start_paused = true)]
    async fn it_ends_when_all_is_done() {
        let mut results = Vec::new();
        let jobs = (0..20).map(|i| (String::new(), i));
        let ended = all(jobs, async |i: i32| i * i, |i| results.push(i), std::future::pending::<()>()).await;
        assert_eq!((ended, results.len()), (None, 20));
    }
}
