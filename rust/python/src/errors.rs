//! Turns the core's errors and panics into Python exceptions.
//!
//! Every entry from Python runs its body in [`guard`], or in [`guard_slot`] where it is a raw slot,
//! so that a panic, such as a failed assertion in a kernel, becomes an [`InternalError`].

use std::any::Any;
use std::ffi::c_int;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr;

use fastgrad_core::Error;
use pyo3::exceptions::{
    PyFloatingPointError, PyIndexError, PyKeyboardInterrupt, PyMemoryError, PyOSError,
    PyOverflowError, PyRuntimeError, PyUnicodeError, PyValueError, PyZeroDivisionError,
};
use pyo3::prelude::*;
use pyo3::{create_exception, ffi};

create_exception!(
    fastgrad,
    InternalError,
    PyRuntimeError,
    "A fault in fastgrad itself, not in the call; please report it with what led to it."
);

/// Returns the exception that Python itself raises for the same mistake.
#[cold]
pub fn to_python(error: &Error) -> PyErr {
    let message = error.to_string();
    match error {
        Error::ZeroDivision(_) => PyZeroDivisionError::new_err(message),
        Error::Overflow(_) | Error::CountOverflow => PyOverflowError::new_err(message),
        Error::Domain(_)
        | Error::Empty { .. }
        | Error::Length { .. }
        | Error::Cpu { .. }
        | Error::Id { .. }
        | Error::Blank { .. }
        | Error::Order(_)
        | Error::Orders(..)
        | Error::Characters { .. }
        | Error::Unknown { .. }
        | Error::Entry { .. }
        | Error::Items { .. }
        | Error::Invalid(_)
        | Error::DeadEnd { .. } => PyValueError::new_err(message),
        Error::NotUtf8 { .. } => PyUnicodeError::new_err(message),
        Error::Target { .. } => PyIndexError::new_err(message),
        Error::Memory | Error::Dense { .. } => PyMemoryError::new_err(message),
        Error::Io { name, code, reason, .. } => os_error(name, *code, reason),
        Error::Interrupted => PyKeyboardInterrupt::new_err(message),
        Error::Diverged { .. } => PyFloatingPointError::new_err(message),
        Error::Failed => internal_error(&message),
    }
}

/// Returns an `OSError` as `open` raises it: Python picks the subclass by the system's number.
fn os_error(name: &str, code: Option<i32>, reason: &str) -> PyErr {
    let reason = reason.split(" (os error").next().unwrap_or(reason).to_owned();
    match code {
        // Windows has error codes of its own, from which Python derives `errno`.
        Some(code) if cfg!(windows) => PyOSError::new_err((0, reason, name.to_owned(), code)),
        Some(code) => PyOSError::new_err((code, reason, name.to_owned())),
        None => PyOSError::new_err(format!("{name}: {reason}")),
    }
}

/// Runs an entry from Python; a panic in it becomes an [`InternalError`].
#[inline]
pub fn guard<T>(entry: impl FnOnce() -> PyResult<T>) -> PyResult<T> {
    catch_unwind(AssertUnwindSafe(entry)).unwrap_or_else(|payload| Err(panicked(&*payload)))
}

/// The result type of a raw slot.
pub trait SlotResult {
    /// The result that says that an exception is set.
    const RAISED: Self;
}

impl SlotResult for *mut ffi::PyObject {
    const RAISED: *mut ffi::PyObject = ptr::null_mut();
}

impl SlotResult for c_int {
    const RAISED: c_int = -1;
}

/// Runs the body of a raw slot; a panic in it becomes an [`InternalError`], which is set.
///
/// The slot is called with the GIL held and sets its other exceptions itself.
#[inline]
pub fn guard_slot<R: SlotResult>(slot: impl FnOnce() -> R) -> R {
    catch_unwind(AssertUnwindSafe(slot)).unwrap_or_else(|payload| {
        Python::attach(|py| panicked(&*payload).restore(py));
        R::RAISED
    })
}

/// Returns the exception for a panic's payload.
#[cold]
pub fn panicked(payload: &(dyn Any + Send)) -> PyErr {
    // A worker thread passes on an error as a panic, see `fastgrad_core::alloc::demand`.
    if let Some(error) = payload.downcast_ref::<Error>() {
        return to_python(error);
    }
    let said = payload.downcast_ref::<String>().map(String::as_str);
    internal_error(said.or_else(|| payload.downcast_ref().copied()).unwrap_or("no message"))
}

#[cold]
fn internal_error(said: &str) -> PyErr {
    InternalError::new_err(format!("a fault in fastgrad, please report it: {said}"))
}
