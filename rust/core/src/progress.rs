//! How far a computation is, and whether to cancel it.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

use crate::{Error, Result};

/// The work that a computation has done, and whether it is cancelled: shared with the thread that
/// waits for it.
///
/// A computation calls [`Progress::add`] or [`Progress::check`] every few milliseconds at least,
/// from any of its threads, and returns their error at once. Computations that change their input
/// document what a cancel leaves behind.
#[derive(Debug, Default)]
pub struct Progress {
    done: AtomicU64,
    cancelled: AtomicBool,
}

impl Progress {
    /// Starts at 0, not cancelled.
    #[must_use]
    pub fn new() -> Progress {
        Progress::default()
    }

    /// Adds to the work done, in the computation's own unit, and checks for a cancel.
    ///
    /// # Errors
    /// [`Error::Interrupted`] once [`Progress::cancel`] was called.
    pub fn add(&self, work: u64) -> Result<()> {
        self.done.fetch_add(work, Relaxed);
        self.check()
    }

    /// Checks for a cancel. Does not write, so that threads do not contend for the cache line.
    ///
    /// # Errors
    /// [`Error::Interrupted`] once [`Progress::cancel`] was called.
    #[inline]
    pub fn check(&self) -> Result<()> {
        if self.cancelled.load(Relaxed) { Err(Error::Interrupted) } else { Ok(()) }
    }

    /// Sets the work done back to a former value, where work was undone and may be repeated.
    pub fn rewind(&self, done: u64) {
        self.done.store(done, Relaxed);
    }

    /// Returns the work done so far.
    pub fn done(&self) -> u64 {
        self.done.load(Relaxed)
    }

    /// Cancels the computation: its next check returns an error.
    pub fn cancel(&self) {
        self.cancelled.store(true, Relaxed);
    }
}
