//! Reads the operands of a `Value`: Values, int, float, and whatever registers as a real number.

use pyo3::exceptions::{PyOverflowError, PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyFloat, PyInt, PyType};
use pyo3::{Borrowed, ffi};

use super::node::{NodeRef, RAW};
use crate::args::described;
pub use crate::args::{class_name, shorten};

/// A plain number, or a node.
#[derive(Clone, Copy)]
pub struct Operand<'a> {
    /// the number, or the node's value
    pub data: f64,
    /// the node; none for a number
    pub node: Option<NodeRef<'a>>,
}

impl<'a> Operand<'a> {
    /// Makes the operand of a plain number.
    #[inline(always)]
    pub fn number(data: f64) -> Operand<'a> {
        Operand { data, node: None }
    }

    /// Makes the operand of a node.
    #[inline(always)]
    pub fn value(node: NodeRef<'a>) -> Operand<'a> {
        Operand { data: node.data(), node: Some(node) }
    }
}

/// The kind of a plain number: `_op` shows a whole one without a point.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// an int, or a numpy integer
    Whole,
    /// any other number
    Fraction,
}

/// Reads an operand without running any Python code: a `Value` whose `__init__` has run, a float,
/// or an int that a float can hold. None for the rest.
#[inline(always)]
pub fn quick<'a>(object: Borrowed<'a, '_, PyAny>) -> Option<Operand<'a>> {
    if let Some(node) = NodeRef::exact(object) {
        (!node.has(RAW)).then(|| Operand::value(node))
    } else {
        quick_float(object).or_else(|| quick_int(object)).map(Operand::number)
    }
}

/// Returns the number of an exact float. `PyO3`'s casts are not inlined.
#[inline(always)]
pub fn quick_float(object: Borrowed<'_, '_, PyAny>) -> Option<f64> {
    let is_float = object.get_type_ptr() == &raw mut ffi::PyFloat_Type;
    // SAFETY: a living float.
    is_float.then(|| unsafe { ffi::PyFloat_AS_DOUBLE(object.as_ptr()) })
}

/// Returns the number of an exact int; None when it is too large for a float.
#[inline(always)]
pub fn quick_int(object: Borrowed<'_, '_, PyAny>) -> Option<f64> {
    let is_int = object.get_type_ptr() == &raw mut ffi::PyLong_Type;
    if is_int { int_as_float(object) } else { None }
}

#[inline(never)]
fn int_as_float(int: Borrowed<'_, '_, PyAny>) -> Option<f64> {
    // SAFETY: a borrowed object is alive, and the GIL held. An error, as for a large int, is cleared.
    unsafe {
        let data = ffi::PyLong_AsDouble(int.as_ptr());
        if data == -1.0 && !ffi::PyErr_Occurred().is_null() {
            ffi::PyErr_Clear();
            return None;
        }
        Some(data)
    }
}

/// Reads any operand; None for what is not a number. Its errors are those of [`number`], and one
/// for a `Value` whose `__init__` has not run.
pub fn any<'a>(object: Borrowed<'a, '_, PyAny>, op: &str) -> PyResult<Option<Operand<'a>>> {
    if let Some(operand) = quick(object) {
        return Ok(Some(operand));
    }
    match NodeRef::of(object) {
        Some(node) if node.has(RAW) => Err(not_initialised(op)),
        Some(node) => Ok(Some(Operand::value(node))),
        None => Ok(number(object, op)?.map(|(data, _)| Operand::number(data))),
    }
}

/// Returns the error for an operand whose `__init__` has not run. `__init__` may still give it
/// edges, by which it could become its own ancestor.
#[cold]
pub fn not_initialised(op: &str) -> PyErr {
    PyValueError::new_err(format!("{op}: Value.__init__ has not run for an operand"))
}

/// Reads a plain number: int, float and their subclasses, what registers as `numbers.Real`
/// (numpy's scalars do), and numpy's bool. None for everything else; `OverflowError` for an int
/// that no float can hold.
pub fn number(object: Borrowed<'_, '_, PyAny>, op: &str) -> PyResult<Option<(f64, Kind)>> {
    let py = object.py();
    if object.is_instance_of::<PyFloat>() {
        return Ok(Some((object.extract()?, Kind::Fraction)));
    }
    if object.is_instance_of::<PyInt>() {
        return Ok(Some((int_to_float(object, op)?, Kind::Whole)));
    }
    if !object.is_instance(real(py)?)? {
        if is_numpy_bool(object) {
            return Ok(Some((f64::from(u8::from(object.is_truthy()?)), Kind::Whole)));
        }
        return Ok(None);
    }
    let kind = if object.hasattr("__index__")? { Kind::Whole } else { Kind::Fraction };
    Ok(Some((object.call_method0("__float__")?.extract()?, kind)))
}

fn int_to_float(object: Borrowed<'_, '_, PyAny>, op: &str) -> PyResult<f64> {
    object.extract().map_err(|error: PyErr| {
        if error.is_instance_of::<PyOverflowError>(object.py()) {
            PyOverflowError::new_err(format!("{op}: int operand too large for a float"))
        } else {
            error
        }
    })
}

/// Returns true for numpy's bool: it is no `numbers.Real`, yet a mask is often multiplied with.
fn is_numpy_bool(object: Borrowed<'_, '_, PyAny>) -> bool {
    let name = object.get_type().fully_qualified_name();
    name.is_ok_and(|name| matches!(&*name.to_string_lossy(), "numpy.bool" | "numpy.bool_"))
}

/// Returns `numbers.Real`. The first call is on import: later, a fork could catch another thread in
/// the middle of it.
pub fn real(py: Python<'_>) -> PyResult<&Bound<'_, PyType>> {
    static REAL: PyOnceLock<Py<PyType>> = PyOnceLock::new();
    REAL.import(py, "numbers", "Real")
}

/// Returns the number of an argument that must be one.
pub fn required(object: Borrowed<'_, '_, PyAny>, argument: &str) -> PyResult<f64> {
    match number(object, argument)? {
        Some((data, _)) => Ok(data),
        None => Err(not_a_number(object, argument)),
    }
}

/// Returns the error, as in `data must be a real number, not str: 'abc'`.
#[cold]
pub fn not_a_number(object: Borrowed<'_, '_, PyAny>, argument: &str) -> PyErr {
    PyTypeError::new_err(format!("{argument} must be a real number, not {}", described(object)))
}
