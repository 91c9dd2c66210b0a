//! Messages between ranks, sent by a Python object: a `fastgrad.distributed.Comm`.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use fastgrad_core::nplm::Shard;
use fastgrad_core::nplm::ranks::{Comm, Reduction};
use fastgrad_core::{Error, Result};
use numpy::{Element, PyArray1, PyArrayMethods};
use pyo3::exceptions::{PyKeyboardInterrupt, PyValueError};
use pyo3::prelude::*;

use super::args::Number;
use crate::args::{at_least, count, quoted};

/// The ranks of a run.
pub struct PyComm {
    comm: Py<PyAny>,
    rank: usize,
    size: usize,
    pub reduction: Reduction,
    /// The first exception of `comm`.
    raised: Mutex<Option<PyErr>>,
    /// True once all ranks have ended their steps.
    together: AtomicBool,
}

impl PyComm {
    /// Reads the arguments `comm` and `reduction`; None where `comm` is.
    pub fn parse(comm: Option<&Bound<'_, PyAny>>, reduction: &str) -> PyResult<Option<PyComm>> {
        let reduction = match reduction {
            "exact" => Reduction::Exact,
            "fast" => Reduction::Fast,
            _ => {
                let message =
                    format!("reduction is {}; expected 'exact' or 'fast'", quoted(reduction));
                return Err(PyValueError::new_err(message));
            }
        };
        let Some(comm) = comm else { return Ok(None) };
        let size = count("comm.size", &comm.getattr("size")?)?;
        let rank = rank_below(&comm.getattr("rank")?, size)?;
        let comm = comm.clone().unbind();
        Ok(Some(PyComm {
            comm,
            rank,
            size,
            reduction,
            raised: Mutex::new(None),
            together: AtomicBool::new(false),
        }))
    }

    /// Returns the shard of this rank, if ranks have shards.
    pub fn shard(&self, vocab_size: usize) -> Option<Shard> {
        let shard = Shard::of(vocab_size, self.rank, self.size);
        (self.reduction == Reduction::Exact).then_some(shard)
    }

    /// Returns the exception that `comm` raised, or else this one.
    fn raised(&self, error: PyErr) -> PyErr {
        self.raised.lock().unwrap_or_else(PoisonError::into_inner).take().unwrap_or(error)
    }

    /// Notes that all ranks have come to the end of the same work, unless it failed on this one;
    /// returns None where it was interrupted.
    pub fn ended<T>(&self, result: Result<T>) -> Result<Option<T>> {
        let result = match result {
            Err(Error::Interrupted) => None,
            result => Some(result?),
        };
        self.together.store(true, Ordering::Relaxed);
        Ok(result)
    }

    /// Returns the value, or the exception that ended the call. If the call was interrupted on one
    /// rank, it raises that rank's exception there, and `KeyboardInterrupt` on all others. `result` is
    /// `Ok(None)` where the core was interrupted.
    ///
    /// Other errors concern one rank alone, which raises them without waiting for the others.
    pub fn agree<T>(&self, result: PyResult<Option<T>>) -> PyResult<T> {
        if !self.together.load(Ordering::Relaxed) {
            return Err(result.err().map_or_else(interrupt, |error| self.raised(error)));
        }
        let mut interrupted = [if matches!(result, Ok(Some(_))) { 0.0 } else { 1.0 }];
        Comm::<f64>::sum(self, &mut interrupted).map_err(|_| self.raised(interrupt()))?;
        match result? {
            Some(value) if interrupted[0] == 0.0 => Ok(value),
            _ => Err(interrupt()),
        }
    }

    /// Calls a method with an array of the numbers and, if there is one, the rank of a partner; copies
    /// the array back into the numbers.
    fn call<T: Element + Copy>(
        &self,
        method: &str,
        numbers: &mut [T],
        partner: Option<usize>,
    ) -> Result<()> {
        let call = |py: Python<'_>| {
            let array = PyArray1::from_slice(py, numbers);
            let comm = self.comm.bind(py);
            match partner {
                Some(partner) => comm.call_method1(method, (&array, partner))?,
                None => comm.call_method1(method, (&array,))?,
            };
            numbers.copy_from_slice(array.readonly().as_slice()?);
            Ok(())
        };
        Python::attach(call).map_err(|error: PyErr| {
            self.raised.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
            Error::Failed
        })
    }
}

/// Parses a rank, which must be below the number of ranks.
pub fn rank_below(rank: &Bound<'_, PyAny>, size: usize) -> PyResult<usize> {
    let number = at_least("rank", rank, 0)?;
    let inside = usize::try_from(number).ok().filter(|number| *number < size);
    inside.ok_or_else(|| {
        let message = format!("rank is {number}; expected a number below that of ranks, {size}");
        PyValueError::new_err(message)
    })
}

fn interrupt() -> PyErr {
    PyKeyboardInterrupt::new_err("interrupted on another rank")
}

impl<T: Number> Comm<T> for PyComm {
    fn rank(&self) -> usize {
        self.rank
    }

    fn size(&self) -> usize {
        self.size
    }

    fn send(&self, numbers: &mut [T], to: usize) -> Result<()> {
        self.call("send", numbers, Some(to))
    }

    fn receive(&self, numbers: &mut [T], from: usize) -> Result<()> {
        self.call("receive", numbers, Some(from))
    }

    fn broadcast(&self, numbers: &mut [T], from: usize) -> Result<()> {
        self.call("broadcast", numbers, Some(from))
    }

    fn sum(&self, numbers: &mut [T]) -> Result<()> {
        self.call("allreduce", numbers, None)
    }

    fn sum_doubles(&self, numbers: &mut [f64]) -> Result<()> {
        self.call("allreduce", numbers, None)
    }
}
