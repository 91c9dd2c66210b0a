//! Threads that share work, part after part, for as long as a call takes.
//!
//! A part may take a tenth of a millisecond, and a thread that sleeps between parts half as much to
//! wake up. So the threads stay awake from part to part and look for work; one that finds none for
//! a while sleeps, so that a busy machine is left to others. Nobody waits for a thread that sleeps
//! or was sent off its core before it began: its share is done by the others.

use std::slice::IterMut;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use rayon::{ThreadPool, ThreadPoolBuilder, Yield};

use crate::progress::Progress;
use crate::{Result, alloc};

/// How long a thread looks for work before it sleeps.
const AWAKE: Duration = Duration::from_micros(100);
/// How long it sleeps before it looks again.
const ASLEEP: Duration = Duration::from_millis(1);

/// The threads that share the work of a step.
#[derive(Debug)]
pub struct Team<'a> {
    /// None if the caller's thread is the only one.
    pool: Option<ThreadPool>,
    progress: &'a Progress,
}

impl<'a> Team<'a> {
    /// So many threads, which end early once the work is cancelled; just the caller's own if it is
    /// one, or if the system refuses threads.
    #[must_use]
    pub fn new(threads: usize, progress: &'a Progress) -> Team<'a> {
        // Where the system refuses so many threads, fewer do the work.
        let fewer = std::iter::successors(Some(threads), |threads| Some(threads / 2));
        let pool = fewer
            .take_while(|&threads| threads > 1)
            .find_map(|threads| ThreadPoolBuilder::new().num_threads(threads).build().ok());
        Team { pool, progress }
    }

    /// What tells them to end early.
    #[must_use]
    pub fn progress(&self) -> &'a Progress {
        self.progress
    }

    /// How many they are.
    #[must_use]
    pub fn threads(&self) -> usize {
        self.pool.as_ref().map_or(1, ThreadPool::current_num_threads)
    }

    /// Runs work on one of them, while the others stand by for what [`Team::each`] shares out.
    pub fn run<R: Send>(&self, work: impl FnOnce() -> R + Send) -> R {
        let Some(pool) = &self.pool else {
            return work();
        };
        let ended = &AtomicBool::new(false);
        pool.scope(|scope| {
            let leader = pool.current_thread_index();
            let _end = SetAtEnd(ended);
            scope.spawn_broadcast(move |_, thread| {
                if Some(thread.index()) != leader {
                    stand_by(ended);
                }
            });
            work()
        })
    }

    /// Does something to each item, from within [`Team::run`]; items do not know of each other.
    ///
    /// A thread has the same share of the items each time, if they are as many, so that its caches
    /// hold what it needs. When it is done with them, it helps the others, from the end of theirs.
    ///
    /// # Errors
    /// [`Error::Interrupted`] once the work is cancelled: checked before every item, and the rest
    /// is left out.
    pub fn each<I: Send>(
        &self,
        items: &mut [I],
        work: impl Fn(&mut I) + Send + Sync,
    ) -> Result<()> {
        let Some(pool) = &self.pool else {
            return items.iter_mut().try_for_each(|item| {
                self.progress.check()?;
                work(item);
                Ok(())
            });
        };
        let length = items.len().div_ceil(self.threads()).max(1);
        let shares = alloc::collected(items.chunks_mut(length).map(Share::new))?;
        let do_all = || {
            let own = pool.current_thread_index().and_then(|thread| shares.get(thread));
            let of_others = shares.iter().flat_map(|share| share.from(IterMut::next_back));
            let own = own.into_iter().flat_map(|share| share.from(IterMut::next));
            let goes_on = |_: &&mut I| self.progress.check().is_ok();
            own.chain(of_others).take_while(goes_on).for_each(&work);
        };
        let others = AtomicUsize::new(self.threads() - 1);
        pool.in_place_scope(|scope| {
            for _ in 1..self.threads() {
                scope.spawn(|_| {
                    do_all();
                    others.fetch_sub(1, Ordering::Release);
                });
            }
            do_all();
            // The scope would send this thread to sleep at once.
            look_for_work_until(|| others.load(Ordering::Acquire) == 0);
        });
        self.progress.check()
    }
}

/// The items of a thread that are not done yet.
struct Share<'a, I>(Mutex<IterMut<'a, I>>);

impl<'a, I> Share<'a, I> {
    fn new(items: &'a mut [I]) -> Share<'a, I> {
        Share(Mutex::new(items.iter_mut()))
    }

    /// Takes items from one of the ends, one at a time.
    fn from(
        &self,
        end: impl Fn(&mut IterMut<'a, I>) -> Option<&'a mut I>,
    ) -> impl Iterator<Item = &'a mut I> {
        std::iter::from_fn(move || end(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner)))
    }
}

/// Tells the others that the work has ended, be it with a panic.
struct SetAtEnd<'a>(&'a AtomicBool);

impl Drop for SetAtEnd<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Release);
    }
}

/// Does what is shared out, until all has ended.
fn stand_by(ended: &AtomicBool) {
    while !look_for_work_until(|| ended.load(Ordering::Acquire)) {
        thread::sleep(ASLEEP);
    }
}

/// Does work of the pool until a condition holds, or there was none for too long; whether it holds.
fn look_for_work_until(holds: impl Fn() -> bool) -> bool {
    let mut idle_since = Instant::now();
    while !holds() {
        if rayon::yield_now() == Some(Yield::Executed) {
            idle_since = Instant::now();
        } else if idle_since.elapsed() > AWAKE {
            return false;
        } else {
            // Whoever has the work may be waiting for this very core.
            thread::yield_now();
        }
    }
    true
}
