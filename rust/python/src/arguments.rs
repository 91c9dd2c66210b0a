//! Plain arguments on their way in: what is wrong with one is told by its name and its value.

use pyo3::exceptions::{PyOverflowError, PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyString;

use crate::value::number::{class_name, shorten};

/// A whole number that a check turns into what it stands for.
///
/// # Errors
/// `TypeError` for what is no int, `ValueError` for one that the check refuses.
pub fn whole<T>(
    name: &str,
    given: &Bound<'_, PyAny>,
    expected: &str,
    check: impl FnOnce(usize) -> Option<T>,
) -> PyResult<T> {
    let number = given.extract::<usize>();
    if let Err(error) = &number
        && !error.is_instance_of::<PyOverflowError>(given.py())
    {
        return Err(PyTypeError::new_err(told(name, given, expected)));
    }
    // A negative number and a very large one are not even sizes.
    let checked = number.ok().and_then(check);
    checked.ok_or_else(|| PyValueError::new_err(told(name, given, expected)))
}

/// A str.
///
/// # Errors
/// `TypeError` for anything else, `ValueError` for one that is no text.
pub fn text<'a>(name: &str, given: &'a Bound<'_, PyAny>) -> PyResult<&'a str> {
    let Ok(text) = given.cast::<PyString>() else { return Err(not_a(name, given, "str")) };
    text.to_str().map_err(|error| {
        let reason = error.value(given.py());
        PyValueError::new_err(format!("{name} is no text: {reason}"))
    })
}

/// The `TypeError` for an argument of another class.
pub fn not_a(name: &str, given: &Bound<'_, PyAny>, expected: &str) -> PyErr {
    let class = class_name(given.as_borrowed());
    PyTypeError::new_err(format!("{name} is of type {class}; expected {expected}"))
}

fn told(name: &str, given: &Bound<'_, PyAny>, expected: &str) -> String {
    format!("{name} is {}; expected {expected}", shorten(given.as_borrowed()))
}
