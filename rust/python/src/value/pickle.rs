//! Pickling and copying: a leaf carries its numbers and attributes; a computed node is refused,
//! for a copy of its edges would be another graph.

use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple};
use pyo3::{Borrowed, ffi, intern};

use super::attrs;
use super::backward;
use super::node::{HAS_RULE, Node};
use super::ops::{self, raise};
use crate::errors::guard_slot;
use fastgrad_core::autograd::op::Op;

type Object = *mut ffi::PyObject;

unsafe extern "C" fn reduce(object: Object, _: Object) -> Object {
    // SAFETY: a method's receiver.
    guard_slot(|| unsafe { state_of(object).map_or_else(raise, Bound::into_ptr) })
}

/// `(copyreg.__newobj__, (class,), (data, grad, attributes))`.
unsafe fn state_of<'py>(object: Object) -> PyResult<Bound<'py, PyTuple>> {
    // SAFETY: a method's receiver.
    unsafe {
        let py = Python::assume_attached();
        let node = object.cast::<Node>();
        if (*node).op() != Op::Leaf || (*node).has(HAS_RULE) {
            let message = "only a leaf Value can be copied or pickled, not a computed one";
            return Err(PyTypeError::new_err(message));
        }
        let value = Borrowed::from_ptr(py, object);
        let attributes = Bound::from_borrowed_ptr_or_opt(py, (*node).dict);
        let make = py.import("copyreg")?.getattr(intern!(py, "__newobj__"))?;
        let class = PyTuple::new(py, [value.get_type()])?;
        let state = ((*node).data, (*node).grad, attributes).into_pyobject(py)?;
        PyTuple::new(py, [make, class.into_any(), state.into_any()])
    }
}

unsafe extern "C" fn setstate(object: Object, state: Object) -> Object {
    // SAFETY: a method's receiver and argument.
    guard_slot(|| unsafe { restore(object, state).map_or_else(raise, |()| backward::none()) })
}

unsafe fn restore(object: Object, state: Object) -> PyResult<()> {
    // SAFETY: a method's receiver and argument.
    unsafe {
        let py = Python::assume_attached();
        let state = Borrowed::from_ptr(py, state);
        let (data, grad, attributes): (f64, f64, Option<Bound<'_, PyDict>>) = state
            .extract()
            .map_err(|_| PyValueError::new_err("state must be (data, grad, attributes or None)"))?;
        if let Some(attributes) = attributes {
            attrs::dict(py, object)?.update(attributes.as_mapping())?;
        }
        let node = object.cast::<Node>();
        (*node).data = data;
        (*node).grad = grad;
        (*node).set_flag(super::node::RAW, false);
        Ok(())
    }
}

/// The methods that `copy` and `pickle` call.
pub fn methods() -> [ffi::PyMethodDef; 2] {
    [
        ops::method(
            c"__reduce__".as_ptr(),
            reduce,
            ffi::METH_NOARGS,
            c"__reduce__($self)\n--\n\nFor copy and pickle; leaves only.".as_ptr(),
        ),
        ops::method(
            c"__setstate__".as_ptr(),
            setstate,
            ffi::METH_O,
            c"__setstate__($self, state, /)\n--\n\nFor copy and pickle.".as_ptr(),
        ),
    ]
}
