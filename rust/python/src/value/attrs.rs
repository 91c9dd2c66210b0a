//! Attributes of `Value`: data and grad, the graph's edges and names, and the user's own.

use std::borrow::Cow;
use std::collections::HashSet;
use std::ffi::c_void;
use std::os::raw::c_int;
use std::ptr;

use fastgrad_core::autograd::op::Op;
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyFloat, PyInt, PyString, PyTuple};
use pyo3::{Borrowed, ffi, intern};

use super::ffi::{Argument, Object, answer, attribute, c_functions, status};
use super::fused_op;
use super::node::NodeRef;
use super::number;
use crate::args::shorten;

/// The longest format, in characters, for which Python's own error message, which repeats the
/// format, is passed on.
const LONGEST_FORMAT_ECHOED: usize = 100;

c_functions! {
    fn get_data(value: NodeRef, _closure: *mut c_void) -> Object {
        PyFloat::new(value.py(), value.data()).into_ptr()
    }

    fn get_grad(value: NodeRef, _closure: *mut c_void) -> Object {
        PyFloat::new(value.py(), value.grad()).into_ptr()
    }

    fn set_data(value: NodeRef, new: Option<Argument>, _closure: *mut c_void) -> c_int {
        status(number_of(new, "data").map(|data| value.set_data(data)))
    }

    fn set_grad(value: NodeRef, new: Option<Argument>, _closure: *mut c_void) -> c_int {
        status(number_of(new, "grad").map(|grad| value.set_grad(grad)))
    }

    fn get_prev(value: NodeRef, _closure: *mut c_void) -> Object {
        let mut seen = HashSet::new();
        let parents = value.parents().into_iter().flatten();
        answer(tuple(value.py(), parents.filter(|parent| seen.insert(parent.as_ptr()))))
    }

    fn get_children(value: NodeRef, _closure: *mut c_void) -> Object {
        answer(children(value))
    }

    fn get_local_grads(value: NodeRef, _closure: *mut c_void) -> Object {
        answer(local_gradients(value).and_then(|given| PyTuple::new(value.py(), given)))
    }

    fn get_operands(value: NodeRef, _closure: *mut c_void) -> Object {
        answer(operands(value))
    }

    fn get_call_id(value: NodeRef, _closure: *mut c_void) -> Object {
        match value.fused_op() {
            Some((fused, _)) => PyInt::new(value.py(), ptr::from_ref(fused).addr()).into_ptr(),
            None => value.py().None().into_ptr(),
        }
    }

    fn get_output(value: NodeRef, _closure: *mut c_void) -> Object {
        PyInt::new(value.py(), value.fused_op().map_or(0, |(_, output)| output)).into_ptr()
    }

    fn get_op(value: NodeRef, _closure: *mut c_void) -> Object {
        answer(op_name(value).map(|name| PyString::new(value.py(), &name)))
    }

    /// `v.item()`: the value, as `PyTorch` calls it.
    pub fn item(value: NodeRef, _none: Option<Argument>) -> Object {
        PyFloat::new(value.py(), value.data()).into_ptr()
    }

    /// `format(v, spec)`: the value formatted; without a spec `str(v)`, as for any object.
    pub fn format_with(value: NodeRef, spec: Argument) -> Object {
        answer(format_as(value, spec))
    }

    /// `repr(v)`.
    pub fn repr(value: NodeRef) -> Object {
        answer(shown(value))
    }

    /// `v._repr_mimebundle_()`, which notebooks call. They choose from the formats that it returns, so
    /// that the arguments are not used.
    pub fn repr_mimebundle(value: NodeRef, _args: Option<Argument>, _kwargs: Option<Argument>)
    -> Object {
        // Imported here, since most programs show no picture.
        let viz = value.py().import("fastgrad.viz.drawing");
        answer(viz.and_then(|viz| viz.call_method1("show", (value.object(),))))
    }

    /// `v.name = value`, and `del v.name` with null.
    pub fn setattro(value: NodeRef, name: Argument, new: Option<Argument>) -> c_int {
        let class = value.class_ptr();
        // SAFETY: the value and the arguments are alive; null deletes the attribute.
        let outcome = unsafe {
            let new = new.map_or(ptr::null_mut(), Borrowed::as_ptr);
            ffi::PyObject_GenericSetAttr(value.as_ptr().cast(), name.as_ptr(), new)
        };
        if value.class_ptr() != class {
            fused_op::unregister_all(value.py());
        }
        show_to_collector(value);
        outcome
    }

    fn get_dict(value: NodeRef, _closure: *mut c_void) -> Object {
        answer(own_dict(value))
    }

    fn set_dict(value: NodeRef, dict: Option<Argument>, _closure: *mut c_void) -> c_int {
        // SAFETY: the value and the dict are alive; null raises an error.
        let outcome = unsafe {
            let dict = dict.map_or(ptr::null_mut(), Borrowed::as_ptr);
            ffi::PyObject_GenericSetDict(value.as_ptr().cast(), dict, ptr::null_mut())
        };
        show_to_collector(value);
        outcome
    }
}

#[inline(always)]
fn number_of(new: Option<Borrowed<'_, '_, PyAny>>, name: &str) -> PyResult<f64> {
    match new {
        Some(new) => match new.cast_exact::<PyFloat>() {
            Ok(float) => Ok(float.value()),
            Err(_) => number::required(new, name),
        },
        None => Err(PyTypeError::new_err(format!("{name} of a Value cannot be deleted"))),
    }
}

fn tuple<'a>(
    py: Python<'a>,
    nodes: impl Iterator<Item = NodeRef<'a>>,
) -> PyResult<Bound<'a, PyTuple>> {
    PyTuple::new(py, nodes.map(NodeRef::object).collect::<Vec<_>>())
}

/// Returns the parents of a node as a tuple, repeats too.
pub fn children(value: NodeRef<'_>) -> PyResult<Bound<'_, PyTuple>> {
    tuple(value.py(), value.parents().into_iter().flatten())
}

fn local_gradients(value: NodeRef<'_>) -> PyResult<Vec<f64>> {
    let slopes = value.slopes();
    let gradients = match value.fused_op() {
        Some((fused, output)) => fused.local_gradients(output, slopes[0])?,
        None => slopes.to_vec(),
    };
    let pairs = value.parents().into_iter().zip(gradients);
    Ok(pairs.filter_map(|(parent, gradient)| parent.map(|_| gradient)).collect())
}

fn operands(value: NodeRef<'_>) -> PyResult<Bound<'_, PyTuple>> {
    let py = value.py();
    let sides = match value.operands_over_lists() {
        Some(sides) => sides,
        None if value.op().is_binary() => value.parents().into_iter().zip(value.slopes()).collect(),
        None => return children(value),
    };
    let objects = sides.into_iter().map(|(parent, number)| {
        parent.map_or_else(|| PyFloat::new(py, number).into_any(), NodeRef::object)
    });
    PyTuple::new(py, objects.collect::<Vec<_>>())
}

/// Returns the op's name as in micrograd: that of a power with its exponent, written as Python
/// does.
pub fn op_name(value: NodeRef<'_>) -> PyResult<Cow<'_, str>> {
    if let Some((fused, _)) = value.fused_op() {
        return Ok(Cow::Borrowed(&fused.name));
    }
    Ok(match (value.op(), value.slopes()) {
        (Op::PowInt, [_, exponent]) => format!("**{exponent:.0}").into(),
        (Op::PowFloat, [_, exponent]) => {
            format!("**{}", PyFloat::new(value.py(), exponent).repr()?).into()
        }
        (op, _) => op.name().into(),
    })
}

fn shown(value: NodeRef<'_>) -> PyResult<Bound<'_, PyString>> {
    let py = value.py();
    let repr = |number| PyFloat::new(py, number).repr();
    let (data, grad, label) = (repr(value.data())?, repr(value.grad())?, label(value)?);
    Ok(PyString::new(py, &format!("Value(data={data}, grad={grad}{label})")))
}

/// Returns `, label='a'`, or nothing where the node has no label of its own.
fn label(value: NodeRef<'_>) -> PyResult<String> {
    let Some(dict) = value.dict()? else { return Ok(String::new()) };
    match dict.get_item(intern!(value.py(), "label"))? {
        // Only a str: the repr of another object might call this node's repr.
        Some(label) if label.is_exact_instance_of::<PyString>() && label.is_truthy()? => {
            Ok(format!(", label={}", label.repr()?.to_string_lossy()))
        }
        _ => Ok(String::new()),
    }
}

fn format_as<'a>(value: NodeRef<'a>, spec: Argument<'a>) -> PyResult<Bound<'a, PyAny>> {
    let Ok(spec) = spec.cast::<PyString>() else {
        return Err(PyTypeError::new_err("the format of a Value must be a str"));
    };
    if spec.len()? == 0 {
        return Ok(value.object().str()?.into_any());
    }
    let data = PyFloat::new(value.py(), value.data());
    let formatted = data.call_method1(intern!(value.py(), "__format__"), (&spec,));
    match formatted {
        // Python's message repeats the whole format, which may have any length.
        Err(error)
            if spec.len()? > LONGEST_FORMAT_ECHOED
                && error.is_instance_of::<PyValueError>(value.py()) =>
        {
            let spec = shorten(spec.as_any().as_borrowed());
            let expected = format!("spec is {spec}; expected the format of a float");
            Err(PyValueError::new_err(expected))
        }
        _ => formatted,
    }
}

/// Makes the collector track a node that has attributes, which alone can close a cycle.
#[inline(always)]
fn show_to_collector(value: NodeRef<'_>) {
    if value.has_dict() {
        value.set_tracked(true);
    }
}

/// Returns the node's dict, which is made when it is first needed.
pub fn dict(value: NodeRef<'_>) -> PyResult<Bound<'_, PyDict>> {
    Ok(own_dict(value)?.cast_into::<PyDict>()?)
}

fn own_dict(value: NodeRef<'_>) -> PyResult<Bound<'_, PyAny>> {
    // SAFETY: the node is alive; the dict is a new reference, or null with an exception set.
    let dict = unsafe {
        let dict = ffi::PyObject_GenericGetDict(value.as_ptr().cast(), ptr::null_mut());
        Bound::from_owned_ptr_or_err(value.py(), dict)
    };
    show_to_collector(value);
    dict
}

/// One row an attribute: its name, the C functions that read it and, if it may be set, write it, and
/// its docstring.
macro_rules! attributes {
    ($($name:literal $get:ident $(, $set:ident)? $doc:literal;)+) => {
        /// Returns the descriptors of the type.
        pub fn getset() -> Vec<ffi::PyGetSetDef> {
            vec![$(attribute($name, $get, [$(Some($set as ffi::setter),)? None][0], $doc)),+]
        }
    };
}

attributes! {
    c"data" get_data, set_data c"The value, a float.";
    c"grad" get_grad, set_grad c"d(root)/d(self), summed over the calls of backward().";
    c"_prev" get_prev c"The operands, in order, each once; plain numbers are left out.";
    c"_children" get_children c"The operands that are Values, in order, repeats too.";
    c"_local_grads" get_local_grads
        c"d(self)/d(child) for each of _children; empty for an op without derivatives.";
    c"_operands" get_operands
        c"The operands in order, plain numbers as floats: of a linear map w, x and b; of others over \
          lists x, then the op's own number, as a target.";
    c"_call_id" get_call_id
        c"A number that the outputs of one call over lists have in common; None for other nodes.";
    c"_output" get_output
        c"The index among the outputs of one call over lists; 0 for other nodes.";
    c"_op" get_op c"The op that made this node; '' for a leaf.";
    c"__dict__" get_dict, set_dict c"The attributes that a program has set.";
}
