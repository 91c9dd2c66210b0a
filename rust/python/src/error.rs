//! The core's errors as Python exceptions.

use fastgrad_core::Error;
use fastgrad_core::counts::Problem;
use pyo3::PyErr;
use pyo3::exceptions::{
    PyFloatingPointError, PyIndexError, PyKeyboardInterrupt, PyMemoryError, PyOSError,
    PyOverflowError, PyRuntimeError, PyUnicodeError, PyValueError, PyZeroDivisionError,
};

/// The exception that Python itself raises for the same mistake.
#[cold]
pub fn to_python(error: &Error) -> PyErr {
    let message = error.to_string();
    match error {
        Error::ZeroDivision(_) => PyZeroDivisionError::new_err(message),
        Error::Overflow(_) => PyOverflowError::new_err(message),
        Error::Domain(_)
        | Error::Empty { .. }
        | Error::Length { .. }
        | Error::Cpu { .. }
        | Error::Id { .. }
        | Error::Invalid(_)
        | Error::DeadEnd { .. } => PyValueError::new_err(message),
        Error::NotUtf8 { .. } => PyUnicodeError::new_err(message),
        Error::Target { .. } => PyIndexError::new_err(message),
        Error::Memory => PyMemoryError::new_err(message),
        Error::Counts(problem) => of_counts(problem, message),
        Error::Interrupted => PyKeyboardInterrupt::new_err(message),
        Error::Diverged { .. } => PyFloatingPointError::new_err(message),
        Error::Failed => PyRuntimeError::new_err(message),
    }
}

#[cold]
fn of_counts(problem: &Problem, message: String) -> PyErr {
    match problem {
        Problem::Io { name, code, reason, .. } => os_error(name, *code, reason),
        Problem::Overflow => PyOverflowError::new_err(message),
        Problem::Utf8 { .. } => PyUnicodeError::new_err(message),
        Problem::Dense { .. } => PyMemoryError::new_err(message),
        _ => PyValueError::new_err(message),
    }
}

/// An `OSError` as `open` raises it: Python picks the subclass by the system's number.
fn os_error(name: &str, code: Option<i32>, reason: &str) -> PyErr {
    let reason = reason.split(" (os error").next().unwrap_or(reason).to_owned();
    match code {
        // Windows has numbers of its own, from which Python derives the other.
        Some(code) if cfg!(windows) => PyOSError::new_err((0, reason, name.to_owned(), code)),
        Some(code) => PyOSError::new_err((code, reason, name.to_owned())),
        None => PyOSError::new_err(format!("{name}: {reason}")),
    }
}
