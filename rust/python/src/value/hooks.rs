//! `node._backward`: reading a node's rule as a callable, replacing it, calling it.

use std::ffi::c_void;
use std::os::raw::c_int;

use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::PyDict;
use pyo3::{ffi, intern};

use super::attrs;
use super::backward;
use super::node::{HAS_RULE, Node};
use super::number;
use super::ops::{self, raise};
use crate::errors::guard_slot;

/// Calls the callable that replaced the node's rule; what it raises comes out unchanged.
///
/// # Safety
/// `node` is alive and has `HAS_RULE`.
#[cold]
pub unsafe fn call(py: Python<'_>, node: *mut Node) -> PyResult<()> {
    // SAFETY: by contract.
    unsafe {
        if let Some(rule) = stored(py, node)? {
            return rule.call0().map(drop);
        }
        // The dict was emptied behind our back: the node's own rule is back.
        backward::send_alone(node)
    }
}

unsafe fn stored(py: Python<'_>, node: *mut Node) -> PyResult<Option<Bound<'_, PyAny>>> {
    // SAFETY: the dict belongs to the living node.
    unsafe {
        match Bound::from_borrowed_ptr_or_opt(py, (*node).dict) {
            Some(dict) => dict.cast::<PyDict>()?.get_item(intern!(py, "_backward")),
            None => Ok(None),
        }
    }
}

/// The getter: the callable that was assigned, or one that sends the node's gradient on.
pub unsafe extern "C" fn get(object: *mut ffi::PyObject, _: *mut c_void) -> *mut ffi::PyObject {
    // SAFETY: called by Python with a Value.
    guard_slot(|| unsafe {
        let py = Python::assume_attached();
        let node = object.cast::<Node>();
        let rule = if (*node).has(HAS_RULE) { stored(py, node) } else { Ok(None) };
        match rule.and_then(|rule| rule.map_or_else(|| own_rule(py, object), Ok)) {
            Ok(rule) => rule.into_ptr(),
            Err(error) => raise(error),
        }
    })
}

/// The setter, and with null the deleter.
pub unsafe extern "C" fn set(
    object: *mut ffi::PyObject,
    rule: *mut ffi::PyObject,
    _: *mut c_void,
) -> c_int {
    // SAFETY: called by Python with a Value.
    guard_slot(|| unsafe { ops::status(replace(Python::assume_attached(), object, rule)) })
}

/// A callable assigned to a node's `_backward` lives in its dict, where Python would keep it.
unsafe fn replace(
    py: Python<'_>,
    object: *mut ffi::PyObject,
    rule: *mut ffi::PyObject,
) -> PyResult<()> {
    // SAFETY: the object is a living Value; rule is null or alive.
    unsafe {
        let node = object.cast::<Node>();
        let dict = attrs::dict(py, object)?;
        let name = intern!(py, "_backward");
        match Bound::from_borrowed_ptr_or_opt(py, rule) {
            Some(rule) if rule.is_callable() => {
                dict.set_item(name, rule)?;
                (*node).set_flag(HAS_RULE, true);
            }
            Some(other) => {
                let shown = number::shorten(other.as_borrowed());
                return Err(PyTypeError::new_err(format!(
                    "_backward must be callable, got {shown}"
                )));
            }
            None => {
                (*node).set_flag(HAS_RULE, false);
                if dict.contains(name)? {
                    dict.del_item(name)?;
                }
            }
        }
        Ok(())
    }
}

/// The node's own rule, as a bound method.
unsafe fn own_rule(py: Python<'_>, object: *mut ffi::PyObject) -> PyResult<Bound<'_, PyAny>> {
    // SAFETY: the object is alive.
    unsafe { Bound::from_borrowed_ptr(py, object) }.getattr(intern!(py, "_propagate"))
}
