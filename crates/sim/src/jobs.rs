//! Runs seeds on several threads and hands back what they gave in the order of the seeds.
//!
//! A run shares nothing with another one, so the number of threads changes nothing but the time it takes.

use std::collections::BTreeMap;
use std::num::NonZeroU16;
use std::ops::{ControlFlow, Range};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Mutex, PoisonError};
use std::thread;

/// Seeds per thread that may be ahead of the first one not yet taken, so that a slow seed does not let others pile up.
const AHEAD_PER_JOB: u64 = 16;

/// As many threads as there are cores.
#[must_use]
pub(crate) fn cores() -> NonZeroU16 {
    let cores = thread::available_parallelism().map_or(1, |cores| u16::try_from(cores.get()).unwrap_or(u16::MAX));
    NonZeroU16::new(cores).unwrap_or(NonZeroU16::MIN)
}

/// Runs seeds on `jobs` threads, and gives each result to `take` in the order of seeds until that breaks off.
///
/// What it broke off with is returned; seeds behind it may have run, and are forgotten.
pub(crate) fn in_order<T: Send, B>(
    jobs: NonZeroU16,
    seeds: Range<u64>,
    run: impl Fn(u64) -> T + Sync,
    mut take: impl FnMut(u64, T) -> ControlFlow<B>,
) -> Option<B> {
    let ahead = AHEAD_PER_JOB * u64::from(jobs.get());
    let bound = usize::try_from(ahead).expect("some hundreds of thousands at most");
    let (hand_out, handed_out) = sync_channel(bound);
    let (give, given) = sync_channel(bound);
    let handed_out = Mutex::new(handed_out);
    let ended = AtomicBool::new(false);
    thread::scope(|scope| {
        for _ in 0..jobs.get() {
            let give = give.clone();
            scope.spawn(|| work(&handed_out, &ended, &run, give));
        }
        drop(give);
        let broken = take_in_order(seeds, ahead, &hand_out, &given, &mut take);
        ended.store(true, Ordering::Relaxed);
        drop(hand_out);
        drop(given);
        broken
    })
}

fn take_in_order<T, B>(
    seeds: Range<u64>,
    ahead: u64,
    hand_out: &SyncSender<u64>,
    given: &Receiver<(u64, T)>,
    take: &mut impl FnMut(u64, T) -> ControlFlow<B>,
) -> Option<B> {
    let mut next = seeds.start;
    let mut early = BTreeMap::new();
    for seed in seeds.clone() {
        let result = loop {
            while next < seeds.end && next - seed < ahead {
                // Neither queue can be full or closed: no more than `ahead` seeds are under way.
                hand_out.send(next).expect("threads live as long as seeds come");
                next += 1;
            }
            if let Some(result) = early.remove(&seed) {
                break result;
            }
            let (of, result) = given.recv().expect("a thread ends only when no more seeds come");
            early.insert(of, result);
        };
        if let ControlFlow::Break(broken) = take(seed, result) {
            return Some(broken);
        }
    }
    None
}

fn work<T>(seeds: &Mutex<Receiver<u64>>, ended: &AtomicBool, run: &impl Fn(u64) -> T, give: SyncSender<(u64, T)>) {
    loop {
        let next = seeds.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(seed) = next else { return };
        // Nobody waits for a result that comes after the end.
        if ended.load(Ordering::Relaxed) || give.send((seed, run(seed))).is_err() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::{Level, Plan};
    use crate::{Sabotage, simulate};

    fn jobs(count: u16) -> NonZeroU16 {
        NonZeroU16::new(count).expect("not zero")
    }

    #[test]
    fn results_come_in_the_order_of_seeds_up_to_the_first_that_breaks_off() {
        for count in [1, 2, 7] {
            let mut taken = Vec::new();
            let broken = in_order(
                jobs(count),
                3..1_000,
                |seed| seed * 2,
                |seed, result| {
                    taken.push((seed, result));
                    if seed == 500 {
                        ControlFlow::Break(seed)
                    } else {
                        ControlFlow::Continue(())
                    }
                },
            );
            assert_eq!(broken, Some(500));
            assert!(
                taken.iter().copied().eq((3..=500).map(|seed| (seed, seed * 2))),
                "{count} jobs"
            );
        }
    }

    #[test]
    fn runs_are_the_same_beside_each_other() {
        for level in [Level::Storage, Level::Broker] {
            let fingerprints = |count| {
                let mut all = Vec::new();
                let run = |seed| simulate(&Plan::whole(level, seed, Sabotage::None)).fingerprint;
                in_order::<_, ()>(jobs(count), 0..4, run, |_, fingerprint| {
                    all.push(fingerprint);
                    ControlFlow::Continue(())
                });
                all
            };
            assert_eq!(fingerprints(1), fingerprints(2), "{}", level.name());
        }
    }
}
