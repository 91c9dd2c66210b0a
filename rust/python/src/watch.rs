//! Long work without the interpreter's lock, during which Ctrl-C is answered and progress is told.

use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use fastgrad_core::Result;
use fastgrad_core::watch::Watch;
use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;

use crate::error::to_python;

/// How often signals are looked at and progress is told.
pub const PERIOD: Duration = Duration::from_millis(40);

/// Runs work that takes a few milliseconds at most, on this thread, without the lock.
pub fn briefly<T: Send>(
    py: Python<'_>,
    work: impl FnOnce(&Watch) -> Result<T> + Send,
) -> PyResult<T> {
    py.detach(|| work(&Watch::new())).map_err(|error| to_python(&error))
}

/// Runs work on a thread of its own, without the lock, while this thread waits for it.
///
/// Python answers signals on its main thread only, which is why that one must not do the work.
/// `progress` is called with the work done so far, every few dozen milliseconds and at the end; an
/// exception that it or a signal handler raises stops the work and is passed on.
pub fn run<T: Send>(
    py: Python<'_>,
    progress: Option<&Bound<'_, PyAny>>,
    work: impl FnOnce(&Watch) -> Result<T> + Send,
) -> PyResult<T> {
    let watch = Watch::new();
    let progress = progress.map(|callback| callback.clone().unbind());
    let mut raised = None;
    let result = py.detach(|| {
        let (sender, receiver) = mpsc::channel::<()>();
        thread::scope(|scope| {
            // A panic in the work drops the sender, which ends the waiting below.
            let worker = scope.spawn(|| {
                let result = work(&watch);
                drop(sender);
                result
            });
            while receiver.recv_timeout(PERIOD) == Err(RecvTimeoutError::Timeout) {
                if raised.is_none()
                    && let Err(error) = Python::attach(|py| look(py, progress.as_ref(), &watch))
                {
                    raised = Some(error);
                    watch.stop();
                }
            }
            worker.join()
        })
    });
    if let Some(error) = raised {
        return Err(error);
    }
    match result {
        Ok(Ok(value)) => {
            look(py, progress.as_ref(), &watch)?;
            Ok(value)
        }
        Ok(Err(error)) => Err(to_python(&error)),
        Err(_) => {
            Err(PyRuntimeError::new_err("a computation failed from within; please report it"))
        }
    }
}

/// Answers signals and tells progress.
pub fn look(py: Python<'_>, progress: Option<&Py<PyAny>>, watch: &Watch) -> PyResult<()> {
    py.check_signals()?;
    if let Some(callback) = progress {
        callback.call1(py, (watch.done(),))?;
    }
    Ok(())
}
