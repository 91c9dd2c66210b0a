//! Attributes of `Value`: data and grad, the graph's edges and names, and the user's own.

use std::borrow::Cow;
use std::collections::HashSet;
use std::ffi::c_void;
use std::os::raw::{c_char, c_int};
use std::ptr;

use fastgrad_core::autograd::op::Op;
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyFloat, PyString, PyTuple};
use pyo3::{Borrowed, ffi, intern};

use super::ffi::{Object, answer, attribute, c_functions, status};
use super::fused_op;
use super::node::{Node, NodeRef};
use super::number;
use crate::args::shorten;
use crate::errors::guard_slot;

/// The longest format, in characters, that an error repeats in Python's words.
const LONGEST_FORMAT_ECHOED: usize = 100;

c_functions! {
    get get_data = |value| Ok(PyFloat::new(value.py(), value.data()));
    get get_grad = |value| Ok(PyFloat::new(value.py(), value.grad()));
    set set_data = |value, new| number_of(new, "data").map(|data| value.set_data(data));
    set set_grad = |value, new| number_of(new, "grad").map(|grad| value.set_grad(grad));
    /// `_prev`: the parents themselves, in operand order, each once.
    get get_prev = |value| {
        let mut seen = HashSet::new();
        let parents = value.parents().into_iter().flatten();
        tuple(value.py(), parents.filter(|parent| seen.insert(parent.as_ptr())))
    };
    /// `_children`: the parents, in operand order, repeats too.
    get get_children = children;
    /// `_local_grads`: d(self)/d(child) for each of `_children`.
    get get_local_grads = |value| PyTuple::new(value.py(), local_gradients(value)?);
    /// `_operands`: the operands in order, plain numbers as floats.
    get get_operands = operands;
    /// `_call_id`: a number that the outputs of one call over lists have in common, else None.
    get get_call_id = |value| {
        Ok(value.fused_op().map(|(fused, _)| ptr::from_ref(fused).addr()).into_pyobject(value.py())?)
    };
    /// `_output`: the index among the outputs of a call over lists, 0 for other nodes.
    get get_output = |value| {
        Ok(value.fused_op().map_or(0, |(_, output)| output).into_pyobject(value.py())?)
    };
    get get_op = |value| Ok(PyString::new(value.py(), &op_name(value)));
    /// `v.item()`: the value, as `PyTorch` calls it.
    pub method item = |value, _| Ok(PyFloat::new(value.py(), value.data()));
    /// `format(v, spec)`: the value formatted; without a spec `str(v)`, as for any object.
    pub method format_with = |value, spec| format_as(value, spec);
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
        None if takes_two(value.op()) => value.parents().into_iter().zip(value.slopes()).collect(),
        None => return children(value),
    };
    let objects = sides.into_iter().map(|(parent, number)| {
        parent.map_or_else(|| PyFloat::new(py, number).into_any(), NodeRef::object)
    });
    PyTuple::new(py, objects.collect::<Vec<_>>())
}

/// Returns true for an op of two operands, of which one may be a plain number.
fn takes_two(op: Op) -> bool {
    use Op::{Add, Div, Max, Min, Mul, Pow, PowFloat, PowInt, Sub};
    matches!(op, Add | Sub | Mul | Div | Pow | PowInt | PowFloat | Max | Min)
}

/// Returns the op's name as in micrograd: that of a power with its exponent, written as Python
/// does.
pub fn op_name(value: NodeRef<'_>) -> Cow<'_, str> {
    if let Some((fused, _)) = value.fused_op() {
        return Cow::Borrowed(&fused.name);
    }
    match (value.op(), value.slopes()) {
        (Op::PowInt, [_, exponent]) => format!("**{exponent:.0}").into(),
        (Op::PowFloat, [_, exponent]) => format!("**{}", python_repr(exponent)).into(),
        (op, _) => op.name().into(),
    }
}

/// Returns a float as `repr` writes it.
pub fn python_repr(x: f64) -> String {
    // SAFETY: the returned string is ours to free, with Python's allocator.
    unsafe {
        let flags = ffi::Py_DTSF_ADD_DOT_0;
        let text: *mut c_char =
            ffi::PyOS_double_to_string(x, b'r'.cast_signed(), 0, flags, ptr::null_mut());
        if text.is_null() {
            ffi::PyErr_Clear();
            return format!("{x:?}");
        }
        let owned = std::ffi::CStr::from_ptr(text).to_string_lossy().into_owned();
        ffi::PyMem_Free(text.cast());
        owned
    }
}

/// `repr(v)`: `Value(data=-4.0, grad=0.0)`.
pub unsafe extern "C" fn repr(object: Object) -> Object {
    guard_slot(|| {
        // SAFETY: Python calls this with a Value, the GIL held.
        let value = unsafe { NodeRef::received(object) };
        let (data, grad) = (python_repr(value.data()), python_repr(value.grad()));
        answer(label(value).map(|label| {
            PyString::new(value.py(), &format!("Value(data={data}, grad={grad}{label})"))
        }))
    })
}

/// `, label='a'`, or nothing where the node has no label of its own.
fn label(value: NodeRef<'_>) -> PyResult<String> {
    let Some(dict) = value.dict()? else { return Ok(String::new()) };
    match dict.get_item(intern!(value.py(), "label"))? {
        // No other object: its repr might ask for that of this node.
        Some(label) if label.is_exact_instance_of::<PyString>() && label.is_truthy()? => {
            Ok(format!(", label={}", label.repr()?.to_string_lossy()))
        }
        _ => Ok(String::new()),
    }
}

/// `v._repr_mimebundle_()`, which notebooks call; they pick from what it returns themselves.
pub unsafe extern "C" fn repr_mimebundle(object: Object, _: Object, _: Object) -> Object {
    guard_slot(|| {
        // SAFETY: Python calls this with a Value, the GIL held.
        let value = unsafe { NodeRef::received(object) };
        // Imported here, since most programs show no picture.
        let viz = value.py().import("fastgrad.viz.drawing");
        answer(viz.and_then(|viz| viz.call_method1("show", (value.object(),))))
    })
}

fn format_as<'a>(
    value: NodeRef<'a>,
    spec: Option<Borrowed<'a, 'a, PyAny>>,
) -> PyResult<Bound<'a, PyAny>> {
    let spec = spec.and_then(|spec| spec.cast::<PyString>().ok().map(Borrowed::to_owned));
    let Some(spec) = spec else {
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
unsafe fn show_to_collector(object: Object) {
    // SAFETY: a slot of the slab carries the collector's head, as Python's own memory does.
    unsafe {
        let has_dict = !(*object.cast::<Node>()).dict.is_null();
        if has_dict && ffi::PyObject_GC_IsTracked(object) == 0 {
            ffi::PyObject_GC_Track(object.cast());
        }
    }
}

/// `v.name = value`, and `del v.name` with null.
pub unsafe extern "C" fn setattro(object: Object, name: Object, value: Object) -> c_int {
    // SAFETY: called by Python with a Value.
    unsafe {
        let class = ffi::Py_TYPE(object);
        let outcome = ffi::PyObject_GenericSetAttr(object, name, value);
        if ffi::Py_TYPE(object) != class {
            fused_op::unregister_all(Python::assume_attached());
        }
        show_to_collector(object);
        outcome
    }
}

unsafe extern "C" fn get_dict(object: Object, context: *mut c_void) -> Object {
    // SAFETY: called by Python with a Value.
    unsafe {
        let dict = ffi::PyObject_GenericGetDict(object, context);
        show_to_collector(object);
        dict
    }
}

unsafe extern "C" fn set_dict(object: Object, dict: Object, context: *mut c_void) -> c_int {
    // SAFETY: called by Python with a Value.
    unsafe {
        let outcome = ffi::PyObject_GenericSetDict(object, dict, context);
        show_to_collector(object);
        outcome
    }
}

/// Returns the node's dict, which is made when it is first needed.
pub fn dict(value: NodeRef<'_>) -> PyResult<Bound<'_, PyDict>> {
    // SAFETY: the node is alive; the dict is a new reference, or null with an exception set.
    let dict = unsafe {
        let dict = get_dict(value.as_ptr().cast(), ptr::null_mut());
        Bound::from_owned_ptr_or_err(value.py(), dict)?
    };
    Ok(dict.cast_into::<PyDict>()?)
}

/// Returns the descriptors of the type.
pub fn getset() -> Vec<ffi::PyGetSetDef> {
    vec![
        attribute(c"data".as_ptr(), get_data, Some(set_data), c"The value, a float.".as_ptr()),
        attribute(
            c"grad".as_ptr(),
            get_grad,
            Some(set_grad),
            c"d(root)/d(self), summed over the calls of backward().".as_ptr(),
        ),
        attribute(
            c"_prev".as_ptr(),
            get_prev,
            None,
            c"The operands, in order, each once; plain numbers are left out.".as_ptr(),
        ),
        attribute(
            c"_children".as_ptr(),
            get_children,
            None,
            c"The operands that are Values, in order, repeats too.".as_ptr(),
        ),
        attribute(
            c"_local_grads".as_ptr(),
            get_local_grads,
            None,
            c"d(self)/d(child) for each of _children; empty for an op without derivatives."
                .as_ptr(),
        ),
        attribute(
            c"_operands".as_ptr(),
            get_operands,
            None,
            c"The operands in order, plain numbers as floats: of a linear map w, x and b; of others over \
              lists x, then the op's own number, as a target."
                .as_ptr(),
        ),
        attribute(
            c"_call_id".as_ptr(),
            get_call_id,
            None,
            c"A number that the outputs of one call over lists have in common; None for other nodes."
                .as_ptr(),
        ),
        attribute(
            c"_output".as_ptr(),
            get_output,
            None,
            c"The index among the outputs of one call over lists; 0 for other nodes.".as_ptr(),
        ),
        attribute(
            c"_op".as_ptr(),
            get_op,
            None,
            c"The op that made this node; '' for a leaf.".as_ptr(),
        ),
        attribute(c"__dict__".as_ptr(), get_dict, Some(set_dict), ptr::null()),
    ]
}
