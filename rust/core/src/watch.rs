//! How long work is watched from outside: how far it is, and whether it is to end early.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

use crate::{Error, Result};

/// What a computation and the thread that waits for it know of each other.
///
/// The computation calls [`Watch::advance`] every few milliseconds at least, from any of its
/// threads, and returns the error at once when it gets one. What it has changed by then is its
/// caller's to undo, so computations that change their input say in their documentation what an
/// early end leaves behind.
#[derive(Debug, Default)]
pub struct Watch {
    done: AtomicU64,
    stopped: AtomicBool,
}

impl Watch {
    /// A watch at 0, not stopped.
    #[must_use]
    pub fn new() -> Watch {
        Watch::default()
    }

    /// Adds to the work that is done, in whatever unit the computation counts.
    ///
    /// # Errors
    /// [`Error::Interrupted`] once [`Watch::stop`] was called.
    pub fn advance(&self, work: u64) -> Result<()> {
        // Threads that only ask do not write, so that they need not wait for each other.
        if work > 0 {
            self.done.fetch_add(work, Relaxed);
        }
        if self.stopped.load(Relaxed) { Err(Error::Interrupted) } else { Ok(()) }
    }

    /// Goes back to how much was done before: the work since was taken back, and may come again.
    pub fn rewind(&self, done: u64) {
        self.done.store(done, Relaxed);
    }

    /// How much work is done.
    pub fn done(&self) -> u64 {
        self.done.load(Relaxed)
    }

    /// Asks the computation to end early.
    pub fn stop(&self) {
        self.stopped.store(true, Relaxed);
    }
}
