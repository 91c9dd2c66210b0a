//! Runs work with the GIL released; meanwhile answers Ctrl-C and reports progress.
//!
//! Nearly all long work goes through [`run`]. Elsewhere `detach` releases the GIL
//!
//! - where work and Python take turns: `py_reader.rs`, `sampling.rs`;
//! - for one large op over Values: `operands.rs`, `weights.rs`;
//! - for a moment, so that other threads run: [`pause`], and backward passes (`value/backward.rs`);
//! - for a wait: for a pass of another thread (`value/pass_lock.rs`), for a file in non-blocking
//!   mode (`ngram_counts.rs`).

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread::{self, Builder};
use std::time::Duration;

use fastgrad_core::progress::Progress;
use fastgrad_core::{Error, Result};
use pyo3::prelude::*;

use crate::errors::{panicked, to_python};

/// The time between two checks for signals and reports of progress.
pub const PERIOD: Duration = Duration::from_millis(40);

/// Items between two checks for signals, at which other threads may run.
pub const PAUSE_EVERY: usize = 1 << 16;

/// An estimate of how long work takes, in nanoseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cost(u64);

impl Cost {
    /// The most work that is done on the calling thread: 2 ms, a few dozen times as long as starting a
    /// thread takes.
    pub const QUICK: Cost = Cost(2_000_000);
    /// The cost of work whose length is not known beforehand.
    pub const UNKNOWN: Cost = Cost(u64::MAX);

    /// Returns the cost of `units` units of work, which take `nanoseconds` each.
    pub fn of(units: usize, nanoseconds: u64) -> Cost {
        Cost((units as u64).saturating_mul(nanoseconds))
    }

    /// Returns the cost of the work done `count` times.
    pub fn times(self, count: u64) -> Cost {
        Cost(self.0.saturating_mul(count))
    }

    /// Returns true for work that ends before anybody would interrupt it.
    pub fn is_quick(self) -> bool {
        self <= Cost::QUICK
    }
}

/// Runs work without the GIL.
///
/// Python answers signals on its main thread only. So work that is not quick runs on a thread of
/// its own, and this one waits for it. `callback` is called with the work done so far, every few
/// dozen milliseconds and at the end; an exception that it or a signal handler raises stops the
/// work and is passed on. A panic becomes an `InternalError`.
pub fn run<T: Send>(
    py: Python<'_>,
    cost: Cost,
    callback: Option<&Bound<'_, PyAny>>,
    work: impl FnOnce(&Progress) -> Result<T> + Send,
) -> PyResult<T> {
    let progress = Progress::new();
    if cost.is_quick() {
        let value = to_result(py.detach(|| catch_unwind(AssertUnwindSafe(|| work(&progress)))))?;
        if callback.is_some() {
            report(py, callback, &progress)?;
        }
        return Ok(value);
    }
    let shared = callback.map(|callback| callback.clone().unbind());
    let mut raised = Ok(());
    let mut work = Some(work);
    let mut work = || work.take().map_or(Err(Error::Failed), |work| work(&progress));
    let result = py.detach(|| {
        let wait = |ended: &mut Receiver<()>| {
            while ended.recv_timeout(PERIOD) == Err(RecvTimeoutError::Timeout) {
                if raised.is_ok() {
                    raised = Python::attach(|py| {
                        report(py, shared.as_ref().map(|callback| callback.bind(py)), &progress)
                    });
                    if raised.is_err() {
                        progress.cancel();
                    }
                }
            }
        };
        // Where the system refuses a thread, signals are answered only after the work.
        in_background(&mut work, wait).unwrap_or_else(|| catch_unwind(AssertUnwindSafe(work)))
    });
    raised?;
    let value = to_result(result)?;
    report(py, callback, &progress)?;
    Ok(value)
}

/// Runs work on a thread of its own and, meanwhile, `wait` on this one; returns None where the system
/// refuses a thread. `wait` gets a channel that closes when the work has ended.
pub fn in_background<T: Send>(
    work: impl FnOnce() -> T + Send,
    wait: impl FnOnce(&mut Receiver<()>),
) -> Option<thread::Result<T>> {
    let (sender, mut ended) = mpsc::channel::<()>();
    thread::scope(|scope| {
        // A panic in the work drops the sender too.
        let work = move || {
            let _sender = sender;
            work()
        };
        let worker = Builder::new().spawn_scoped(scope, work).ok()?;
        wait(&mut ended);
        Some(worker.join())
    })
}

/// Returns the result of work, or the exception for its error or its panic.
pub fn to_result<T>(result: thread::Result<Result<T>>) -> PyResult<T> {
    match result {
        Ok(result) => result.map_err(|error| to_python(&error)),
        Err(payload) => Err(panicked(&*payload)),
    }
}

/// Checks for signals and reports progress.
pub fn report(
    py: Python<'_>,
    callback: Option<&Bound<'_, PyAny>>,
    progress: &Progress,
) -> PyResult<()> {
    py.check_signals()?;
    if let Some(callback) = callback {
        callback.call1((progress.done(),))?;
    }
    Ok(())
}

/// Checks for signals and lets other threads run, after every [`PAUSE_EVERY`] items.
#[inline(always)]
pub fn pause(py: Python<'_>, i: usize) -> PyResult<()> {
    if i % PAUSE_EVERY == PAUSE_EVERY - 1 {
        py.check_signals()?;
        py.detach(|| ());
    }
    Ok(())
}
