//! Requests at the same time: a thread pool for many, and two of different kinds.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;

/// Applies `work` to each item, with at most `threads` threads; returns the results in the order of the items. After an
/// error, no more items are started; of several errors, the first in that order is returned.
pub(crate) fn each<T: Sync, R: Send>(
    items: &[T],
    threads: usize,
    work: impl Fn(&T) -> anyhow::Result<R> + Sync,
) -> anyhow::Result<Vec<R>> {
    if items.len() < 2 || threads < 2 {
        return items.iter().map(work).collect();
    }
    let (next, stop) = (AtomicUsize::new(0), AtomicBool::new(false));
    let done = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..threads.min(items.len()) {
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    let at = next.fetch_add(1, Ordering::Relaxed);
                    let Some(item) = items.get(at) else { break };
                    let result = work(item);
                    if result.is_err() {
                        stop.store(true, Ordering::Relaxed);
                    }
                    done.lock().unwrap_or_else(PoisonError::into_inner).push((at, result));
                }
            });
        }
    });
    let mut done = done.into_inner().unwrap_or_else(PoisonError::into_inner);
    done.sort_by_key(|(at, _)| *at);
    done.into_iter().map(|(_, result)| result).collect()
}

/// Does two things at the same time; returns both results.
pub fn both<A: Send, B>(one: impl FnOnce() -> A + Send, other: impl FnOnce() -> B) -> (A, B) {
    thread::scope(|scope| {
        let one = scope.spawn(one);
        let other = other();
        (one.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)), other)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_are_done_at_the_same_time() {
        let (tell, told) = std::sync::mpsc::channel();
        let (answer, answered) = std::sync::mpsc::channel();
        let one = move || {
            tell.send(1).unwrap();
            answered.recv().unwrap()
        };
        let other = || {
            answer.send("two").unwrap();
            told.recv().unwrap()
        };
        assert_eq!(both(one, other), ("two", 1));
    }

    #[test]
    fn order_is_kept_and_an_error_ends_it() {
        let items: Vec<u32> = (0..100).collect();
        assert_eq!(each(&items, 3, |item| Ok(item * 2)).unwrap()[7], 14);
        let begun = AtomicUsize::new(0);
        let failed = each(&items, 3, |item| {
            begun.fetch_add(1, Ordering::Relaxed);
            thread::sleep(std::time::Duration::from_millis(1));
            anyhow::ensure!(*item != 5, "five");
            Ok(())
        });
        assert_eq!(failed.unwrap_err().to_string(), "five");
        assert!(begun.into_inner() < 50);
    }
}
