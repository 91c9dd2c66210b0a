//! Pickling and copying: a leaf carries its numbers and attributes; a computed node is refused,
//! for a copy of its edges would be another graph.

use fastgrad_core::autograd::op::Op;
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple};
use pyo3::{ffi, intern};

use super::attrs;
use super::ffi::{Argument, Object, answer, c_functions, methods, none};
use super::node::{HAS_RULE, NodeRef, RAW};

c_functions! {
    fn reduce(value: NodeRef, _none: Option<Argument>) -> Object {
        answer(state_of(value))
    }

    fn setstate(value: NodeRef, state: Argument) -> Object {
        none(value.py(), restore(value, state))
    }
}

/// Returns `(copyreg.__newobj__, (class,), (data, grad, attributes))`.
fn state_of(value: NodeRef<'_>) -> PyResult<Bound<'_, PyTuple>> {
    let py = value.py();
    if value.op() != Op::Leaf || value.has(HAS_RULE) {
        let message = "only a leaf Value can be copied or pickled, not a computed one";
        return Err(PyTypeError::new_err(message));
    }
    let make = py.import("copyreg")?.getattr(intern!(py, "__newobj__"))?;
    let class = PyTuple::new(py, [value.object().get_type()])?;
    let state = (value.data(), value.grad(), value.dict()?).into_pyobject(py)?;
    PyTuple::new(py, [make, class.into_any(), state.into_any()])
}

fn restore(value: NodeRef<'_>, state: Argument<'_>) -> PyResult<()> {
    let Ok((data, grad, attributes)) = state.extract::<(f64, f64, Option<Bound<'_, PyDict>>)>()
    else {
        return Err(PyValueError::new_err("state must be (data, grad, attributes or None)"));
    };
    if let Some(attributes) = attributes {
        attrs::dict(value)?.update(attributes.as_mapping())?;
    }
    value.set_data(data);
    value.set_grad(grad);
    value.set_flag(RAW, false);
    Ok(())
}

/// Returns the methods that `copy` and `pickle` call.
pub fn methods() -> [ffi::PyMethodDef; 2] {
    methods![
        c"__reduce__" reduce METH_NOARGS
            c"__reduce__($self)\n--\n\nFor copy and pickle; leaves only.";
        c"__setstate__" setstate METH_O
            c"__setstate__($self, state, /)\n--\n\nFor copy and pickle.";
    ]
}
