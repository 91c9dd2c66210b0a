//! The core's errors as Python exceptions.

use fastgrad_core::Error;
use pyo3::PyErr;
use pyo3::exceptions::{
    PyFloatingPointError, PyIndexError, PyKeyboardInterrupt, PyMemoryError, PyOverflowError,
    PyRuntimeError, PyUnicodeError, PyValueError, PyZeroDivisionError,
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
        | Error::Invalid(_)
        | Error::DeadEnd { .. } => PyValueError::new_err(message),
        Error::NotUtf8 { .. } => PyUnicodeError::new_err(message),
        Error::Target { .. } => PyIndexError::new_err(message),
        Error::Memory => PyMemoryError::new_err(message),
        Error::Interrupted => PyKeyboardInterrupt::new_err(message),
        Error::Diverged { .. } => PyFloatingPointError::new_err(message),
        Error::Failed => PyRuntimeError::new_err(message),
    }
}
