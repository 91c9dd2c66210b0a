//! A pool of worker threads that stay awake between one parallel loop and the next.
//!
//! A loop may take a tenth of a millisecond, and waking a sleeping thread half as long. So workers
//! spin from loop to loop; one that finds no work for a while sleeps, which leaves a busy machine to
//! others. Nobody waits for a worker that sleeps or is descheduled before it begins: the others do
//! its items.

use std::slice::IterMut;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use rayon::{ThreadPool, ThreadPoolBuilder, Yield};

use crate::progress::Progress;
use crate::{Result, alloc};

/// The time that a worker spins without work before it sleeps.
const SPIN: Duration = Duration::from_micros(100);
/// The time that it sleeps before it looks for work again.
const SLEEP: Duration = Duration::from_millis(1);

/// The threads of one call.
///
/// They are made for the call and end with it: a global pool hangs in a forked child and panics
/// where the system refuses threads.
#[derive(Debug)]
pub struct WorkerPool<'a> {
    /// None if the caller's thread is the only one.
    pool: Option<ThreadPool>,
    progress: &'a Progress,
}

impl<'a> WorkerPool<'a> {
    /// Starts threads; fewer where the system refuses so many, none besides the caller's if it is 1.
    #[must_use]
    pub fn new(threads: usize, progress: &'a Progress) -> WorkerPool<'a> {
        let fewer = std::iter::successors(Some(threads), |threads| Some(threads / 2));
        let pool = fewer
            .take_while(|&threads| threads > 1)
            .find_map(|threads| ThreadPoolBuilder::new().num_threads(threads).build().ok());
        WorkerPool { pool, progress }
    }

    /// Returns the progress that cancels its loops.
    #[must_use]
    pub fn progress(&self) -> &'a Progress {
        self.progress
    }

    /// Returns the number of threads.
    #[must_use]
    pub fn threads(&self) -> usize {
        self.pool.as_ref().map_or(1, ThreadPool::current_num_threads)
    }

    /// Runs work on one thread, while the others stand by for [`WorkerPool::for_each`].
    pub fn run<R: Send>(&self, work: impl FnOnce() -> R + Send) -> R {
        let Some(pool) = &self.pool else {
            return work();
        };
        let ended = &AtomicBool::new(false);
        pool.scope(|scope| {
            let leader = pool.current_thread_index();
            let _end = SetOnDrop(ended);
            scope.spawn_broadcast(move |_, thread| {
                if Some(thread.index()) != leader {
                    stand_by(ended);
                }
            });
            work()
        })
    }

    /// Calls a function for each item, on all threads, from within [`WorkerPool::run`].
    ///
    /// Items are partitioned the same way each time, if they are as many, so that a thread finds its
    /// data in its caches. A thread that is done takes items of the others, from the end of theirs.
    ///
    /// # Errors
    /// [`crate::Error::Interrupted`] once the work is cancelled, which is checked before each item;
    /// the remaining items are skipped.
    pub fn for_each<I: Send>(
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
        let queues = alloc::collected(items.chunks_mut(length).map(Queue::new))?;
        let do_all = || {
            let own = pool.current_thread_index().and_then(|thread| queues.get(thread));
            let of_others = queues.iter().flat_map(|queue| queue.take(IterMut::next_back));
            let own = own.into_iter().flat_map(|queue| queue.take(IterMut::next));
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
            // Spins first, as the end of the scope would put this thread to sleep at once.
            work_until(|| others.load(Ordering::Acquire) == 0);
        });
        self.progress.check()
    }
}

/// The items of a thread that are not done yet.
struct Queue<'a, I>(Mutex<IterMut<'a, I>>);

impl<'a, I> Queue<'a, I> {
    fn new(items: &'a mut [I]) -> Queue<'a, I> {
        Queue(Mutex::new(items.iter_mut()))
    }

    /// Takes items one by one, from the end that `next` takes from.
    fn take(
        &self,
        next: impl Fn(&mut IterMut<'a, I>) -> Option<&'a mut I>,
    ) -> impl Iterator<Item = &'a mut I> {
        std::iter::from_fn(move || next(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner)))
    }
}

/// Sets a flag when it is dropped, also by a panic.
struct SetOnDrop<'a>(&'a AtomicBool);

impl Drop for SetOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Release);
    }
}

/// Executes jobs of the pool until all work has ended.
fn stand_by(ended: &AtomicBool) {
    while !work_until(|| ended.load(Ordering::Acquire)) {
        thread::sleep(SLEEP);
    }
}

/// Executes jobs of the pool until a condition holds, or there were none for [`SPIN`]; returns
/// whether it holds.
fn work_until(holds: impl Fn() -> bool) -> bool {
    let mut idle_since = Instant::now();
    while !holds() {
        if rayon::yield_now() == Some(Yield::Executed) {
            idle_since = Instant::now();
        } else if idle_since.elapsed() > SPIN {
            return false;
        } else {
            // The thread that has the work may be waiting for this core.
            thread::yield_now();
        }
    }
    true
}
