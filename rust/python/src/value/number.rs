//! What may stand beside a `Value`: int, float, and whatever registers as a real number.

use pyo3::exceptions::{PyOverflowError, PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyFloat, PyInt, PyType};
use pyo3::{Borrowed, ffi};

use super::node::{self, Node, RAW};
pub use crate::args::{class_name, shorten};

/// A plain number, or a node.
#[derive(Clone, Copy)]
pub struct Operand {
    /// the number, or the node's value
    pub data: f64,
    /// the node, or null
    pub node: *mut Node,
}

/// Whole numbers print without a point in `_op`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// an int, or a numpy integer
    Whole,
    /// any other number
    Fraction,
}

/// Reads an operand without running any Python code: a `Value` whose `__init__` has run, a float,
/// or an int that a float can hold. None for the rest.
///
/// # Safety
/// `object` is alive.
#[inline(always)]
pub unsafe fn quick(object: *mut ffi::PyObject) -> Option<Operand> {
    // SAFETY: by contract; an operand's node is alive.
    unsafe { peek(object).filter(|read| read.node.is_null() || !(*read.node).has(RAW)) }
}

/// As [`quick`], a `Value` whose `__init__` has not run included.
///
/// # Safety
/// `object` is alive.
#[inline(always)]
pub unsafe fn peek(object: *mut ffi::PyObject) -> Option<Operand> {
    // SAFETY: the type is checked before the cast.
    unsafe {
        let class = ffi::Py_TYPE(object);
        if class == node::value_type() {
            let node = object.cast::<Node>();
            Some(Operand { data: (*node).data, node })
        } else if class == &raw mut ffi::PyFloat_Type {
            Some(Operand { data: ffi::PyFloat_AS_DOUBLE(object), node: std::ptr::null_mut() })
        } else if class == &raw mut ffi::PyLong_Type {
            let data = quick_int(object)?;
            Some(Operand { data, node: std::ptr::null_mut() })
        } else {
            None
        }
    }
}

/// An int as a float; None when it is too large for one.
///
/// # Safety
/// `object` is an int.
pub unsafe fn quick_int(object: *mut ffi::PyObject) -> Option<f64> {
    // SAFETY: an int by contract.
    unsafe {
        let data = ffi::PyLong_AsDouble(object);
        if data == -1.0 && !ffi::PyErr_Occurred().is_null() {
            ffi::PyErr_Clear();
            return None;
        }
        Some(data)
    }
}

/// Reads any operand; None for what is not a number, errors as [`number`], and for a `Value` whose
/// `__init__` has not run.
pub fn any(object: Borrowed<'_, '_, PyAny>, op: &str) -> PyResult<Option<Operand>> {
    // SAFETY: a borrowed object is alive.
    unsafe {
        if let Some(operand) = quick(object.as_ptr()) {
            return Ok(Some(operand));
        }
        if node::is_value(object.as_ptr()) {
            let node = object.as_ptr().cast::<Node>();
            if (*node).has(RAW) {
                return Err(not_initialised(op));
            }
            return Ok(Some(Operand { data: (*node).data, node }));
        }
    }
    let read = number(object, op)?;
    Ok(read.map(|(data, _)| Operand { data, node: std::ptr::null_mut() }))
}

/// An operand without edges so far, which its `__init__` may still give it: were it an operand
/// before, it could become its own.
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
    if is_numpy_bool(object) {
        return Ok(Some((f64::from(u8::from(object.is_truthy()?)), Kind::Whole)));
    }
    if !object.is_instance(real(py)?)? {
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

/// numpy's bool is no `numbers.Real`, yet a mask is often multiplied with.
fn is_numpy_bool(object: Borrowed<'_, '_, PyAny>) -> bool {
    // SAFETY: a type's name is a C string that lives as long as the type.
    let name = unsafe { std::ffi::CStr::from_ptr((*ffi::Py_TYPE(object.as_ptr())).tp_name) };
    matches!(name.to_bytes(), b"numpy.bool" | b"numpy.bool_")
}

/// `numbers.Real`. Looked up on import: no fork is to catch a thread in the middle of it.
pub fn real(py: Python<'_>) -> PyResult<&Bound<'_, PyType>> {
    static REAL: PyOnceLock<Py<PyType>> = PyOnceLock::new();
    REAL.import(py, "numbers", "Real")
}

/// The number of an argument that must be one.
pub fn required(object: Borrowed<'_, '_, PyAny>, argument: &str) -> PyResult<f64> {
    match number(object, argument)? {
        Some((data, _)) => Ok(data),
        None => Err(not_a_number(object, argument)),
    }
}

/// `TypeError: data must be a real number, not str: 'abc'`.
#[cold]
pub fn not_a_number(object: Borrowed<'_, '_, PyAny>, argument: &str) -> PyErr {
    let shown = shorten(object);
    let class = class_name(object);
    PyTypeError::new_err(format!("{argument} must be a real number, not {class}: {shown}"))
}
