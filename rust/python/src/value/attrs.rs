//! Attributes of `Value`: data and grad, the graph's edges and names, and the user's own.

use std::borrow::Cow;
use std::collections::HashSet;
use std::ffi::c_void;
use std::os::raw::{c_char, c_int};
use std::ptr;

use fastgrad_core::graph::op::Op;
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyFloat, PyString, PyTuple};
use pyo3::{Borrowed, ffi, intern};

use super::node::Node;
use super::number;
use super::rules;
use super::slots::{self, raise};
use crate::args::shorten;
use crate::errors::guard_slot;
use crate::weights;

type Object = *mut ffi::PyObject;

/// The longest format, in characters, that an error repeats as Python tells it.
const LONGEST_FORMAT_ECHOED: ffi::Py_ssize_t = 100;

unsafe extern "C" fn get_data(object: Object, _: *mut c_void) -> Object {
    // SAFETY: called by Python with a Value.
    unsafe { ffi::PyFloat_FromDouble((*object.cast::<Node>()).data) }
}

unsafe extern "C" fn get_grad(object: Object, _: *mut c_void) -> Object {
    // SAFETY: called by Python with a Value.
    unsafe { ffi::PyFloat_FromDouble((*object.cast::<Node>()).grad) }
}

unsafe extern "C" fn set_data(object: Object, value: Object, _: *mut c_void) -> c_int {
    // SAFETY: called by Python with a Value.
    unsafe { set_number(&raw mut (*object.cast::<Node>()).data, value, "data") }
}

unsafe extern "C" fn set_grad(object: Object, value: Object, _: *mut c_void) -> c_int {
    // SAFETY: called by Python with a Value.
    unsafe { set_number(&raw mut (*object.cast::<Node>()).grad, value, "grad") }
}

#[inline(always)]
unsafe fn set_number(field: *mut f64, value: Object, name: &str) -> c_int {
    // SAFETY: the field belongs to a living node, the value is null or alive.
    guard_slot(|| unsafe {
        if !value.is_null() && ffi::Py_TYPE(value) == &raw mut ffi::PyFloat_Type {
            *field = ffi::PyFloat_AS_DOUBLE(value);
            return 0;
        }
        slots::status(read_number(value, name).map(|number| *field = number))
    })
}

#[cold]
unsafe fn read_number(value: Object, name: &str) -> PyResult<f64> {
    // SAFETY: called from a setter, with the lock held.
    unsafe {
        let py = Python::assume_attached();
        match Borrowed::from_ptr_or_opt(py, value) {
            Some(value) => number::required(value, name),
            None => Err(PyTypeError::new_err(format!("{name} of a Value cannot be deleted"))),
        }
    }
}

/// `_prev`: the parents themselves, in operand order, each once.
unsafe extern "C" fn get_prev(object: Object, _: *mut c_void) -> Object {
    // SAFETY: called by Python with a Value; parents are alive as long as it is.
    guard_slot(|| unsafe {
        let mut seen = HashSet::new();
        let mut parents = parents(object.cast());
        parents.retain(|parent| seen.insert(*parent));
        tuple(&parents)
    })
}

/// `_children`: the parents, in operand order, repeats too.
unsafe extern "C" fn get_children(object: Object, _: *mut c_void) -> Object {
    // SAFETY: as in `get_prev`.
    guard_slot(|| unsafe { tuple(&parents(object.cast())) })
}

unsafe fn tuple(parents: &[*mut Node]) -> Object {
    // SAFETY: the parents are alive, the lock is held.
    unsafe {
        let py = Python::assume_attached();
        values(py, parents).map_or_else(raise, |tuple| tuple.into_any().into_ptr())
    }
}

unsafe fn values<'py>(py: Python<'py>, nodes: &[*mut Node]) -> PyResult<Bound<'py, PyTuple>> {
    // SAFETY: by contract of the caller, the nodes are alive.
    let items = nodes.iter().map(|&node| unsafe { Bound::from_borrowed_ptr(py, node.cast()) });
    PyTuple::new(py, items.collect::<Vec<_>>())
}

/// The parents of a node as a tuple, repeats too.
///
/// # Safety
/// `node` is alive.
pub unsafe fn children(py: Python<'_>, node: *mut Node) -> PyResult<Bound<'_, PyTuple>> {
    // SAFETY: parents are alive as long as the node is.
    unsafe { values(py, &parents(node)) }
}

/// The parents of a node in operand order, repeats too.
unsafe fn parents(node: *mut Node) -> Vec<*mut Node> {
    // SAFETY: by contract of the caller.
    unsafe { all_parents(node).into_iter().filter(|parent| !parent.is_null()).collect() }
}

/// The parents, with null for an operand that was a plain number.
unsafe fn all_parents(node: *mut Node) -> Vec<*mut Node> {
    // SAFETY: by contract of the caller.
    unsafe {
        match (*node).block() {
            Some((block, output)) => (*block).parents_of(output),
            None => (*node).parents().to_vec(),
        }
    }
}

/// `_local_grads`: d(self)/d(child) for each of `_children`.
unsafe extern "C" fn get_local_grads(object: Object, _: *mut c_void) -> Object {
    // SAFETY: called by Python with a Value.
    guard_slot(|| unsafe {
        let py = Python::assume_attached();
        let gradients = local_gradients(object.cast());
        let made = gradients.and_then(|gradients| PyTuple::new(py, gradients));
        made.map_or_else(raise, |tuple| tuple.into_any().into_ptr())
    })
}

unsafe fn local_gradients(node: *mut Node) -> PyResult<Vec<f64>> {
    // SAFETY: by contract of the caller.
    unsafe {
        let gradients = match (*node).block() {
            Some((block, output)) => (*block).local_gradients(output, (*node).d_left)?,
            None => vec![(*node).d_left, (*node).d_right],
        };
        let pairs = all_parents(node).into_iter().zip(gradients);
        Ok(pairs.filter(|(parent, _)| !parent.is_null()).map(|(_, gradient)| gradient).collect())
    }
}

/// `_operands`: the operands in order, plain numbers as floats; of an op over lists its parents.
unsafe extern "C" fn get_operands(object: Object, _: *mut c_void) -> Object {
    // SAFETY: called by Python with a Value.
    guard_slot(|| unsafe {
        let py = Python::assume_attached();
        operands(py, object.cast()).map_or_else(raise, |tuple| tuple.into_any().into_ptr())
    })
}

unsafe fn operands(py: Python<'_>, node: *mut Node) -> PyResult<Bound<'_, PyTuple>> {
    // SAFETY: by contract of the caller; parents are alive as long as the node is.
    unsafe {
        if !takes_two((*node).op()) {
            return children(py, node);
        }
        let [left, right] = (*node).parents();
        let sides = [(left, (*node).d_left), (right, (*node).d_right)];
        PyTuple::new(
            py,
            sides.map(|(parent, number)| {
                Bound::from_borrowed_ptr_or_opt(py, parent.cast())
                    .unwrap_or_else(|| PyFloat::new(py, number).into_any())
            }),
        )
    }
}

/// Is it an op of two operands, of which one or both may be plain numbers?
fn takes_two(op: Op) -> bool {
    use Op::{Add, Div, Max, Min, Mul, Pow, PowFloat, PowInt, Sub};
    matches!(op, Add | Sub | Mul | Div | Pow | PowInt | PowFloat | Max | Min)
}

unsafe extern "C" fn get_op(object: Object, _: *mut c_void) -> Object {
    // SAFETY: called by Python with a Value.
    guard_slot(|| unsafe { text(&op_name(&*object.cast::<Node>())) })
}

unsafe fn text(text: &str) -> Object {
    // SAFETY: the text is UTF-8 of that length; the lock is held.
    unsafe {
        match ffi::Py_ssize_t::try_from(text.len()) {
            Ok(length) => ffi::PyUnicode_FromStringAndSize(text.as_ptr().cast(), length),
            Err(_) => ffi::PyErr_NoMemory(),
        }
    }
}

/// micrograd's names: a power carries its exponent, written as Python would.
pub fn op_name(node: &Node) -> Cow<'_, str> {
    if let Some((block, _)) = node.block() {
        // SAFETY: a fused node keeps its block alive.
        return unsafe { Cow::Borrowed(&(*block).name) };
    }
    match node.op() {
        Op::PowInt => format!("**{:.0}", node.d_right).into(),
        Op::PowFloat => format!("**{}", python_repr(node.d_right)).into(),
        op => op.name().into(),
    }
}

/// The float as `repr` writes it.
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
    // SAFETY: called by Python with a Value.
    guard_slot(|| unsafe {
        let node = object.cast::<Node>();
        let (data, grad) = (python_repr((*node).data), python_repr((*node).grad));
        match label(Python::assume_attached(), node) {
            Ok(label) => text(&format!("Value(data={data}, grad={grad}{label})")),
            Err(error) => raise(error),
        }
    })
}

/// `, label='a'`, or nothing where the node has no label of its own.
unsafe fn label(py: Python<'_>, node: *mut Node) -> PyResult<String> {
    // SAFETY: the dict belongs to the living node.
    let Some(dict) = (unsafe { Bound::from_borrowed_ptr_or_opt(py, (*node).dict) }) else {
        return Ok(String::new());
    };
    match dict.cast::<PyDict>()?.get_item(intern!(py, "label"))? {
        // No other object: its repr might ask for that of this node.
        Some(label) if label.is_exact_instance_of::<PyString>() && label.is_truthy()? => {
            Ok(format!(", label={}", label.repr()?.to_string_lossy()))
        }
        _ => Ok(String::new()),
    }
}

/// `v.item()`: the value, as `PyTorch` calls it.
pub unsafe extern "C" fn item(object: Object, _: Object) -> Object {
    // SAFETY: a method's receiver.
    unsafe { ffi::PyFloat_FromDouble((*object.cast::<Node>()).data) }
}

/// `format(v, spec)`: the value formatted; without a spec `str(v)`, as for any object.
pub unsafe extern "C" fn format_with(object: Object, spec: Object) -> Object {
    // SAFETY: a method's receiver and argument.
    unsafe {
        if ffi::PyUnicode_Check(spec) == 0 {
            return raise(PyTypeError::new_err("the format of a Value must be a str"));
        }
        if ffi::PyUnicode_GetLength(spec) == 0 {
            return ffi::PyObject_Str(object);
        }
        let data = item(object, ptr::null_mut());
        if data.is_null() {
            return data;
        }
        let formatted = ffi::PyObject_Format(data, spec);
        ffi::Py_DECREF(data);
        // Python's message repeats the whole format, which may have any length.
        if formatted.is_null()
            && ffi::PyUnicode_GetLength(spec) > LONGEST_FORMAT_ECHOED
            && ffi::PyErr_ExceptionMatches(ffi::PyExc_ValueError) != 0
        {
            ffi::PyErr_Clear();
            let spec = shorten(Borrowed::from_ptr(Python::assume_attached(), spec));
            return raise(PyValueError::new_err(format!(
                "spec is {spec}; expected the format of a float"
            )));
        }
        formatted
    }
}

/// The collector must see a node that has attributes, for only these can close a cycle.
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
            weights::forget_all();
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

/// The value's own dict, made when it is first asked for.
///
/// # Safety
/// `object` is a living Value.
pub unsafe fn dict(py: Python<'_>, object: Object) -> PyResult<Bound<'_, PyDict>> {
    // SAFETY: by contract.
    unsafe {
        let dict = Bound::from_owned_ptr_or_err(py, get_dict(object, ptr::null_mut()))?;
        Ok(dict.cast_into::<PyDict>()?)
    }
}

/// The descriptors of the type.
pub fn getset() -> Vec<ffi::PyGetSetDef> {
    let entry = |name: *const c_char, get, set, doc: *const c_char| ffi::PyGetSetDef {
        name,
        get: Some(get),
        set,
        doc,
        closure: ptr::null_mut(),
    };
    vec![
        entry(c"data".as_ptr(), get_data, Some(set_data), c"The value, a float.".as_ptr()),
        entry(
            c"grad".as_ptr(),
            get_grad,
            Some(set_grad),
            c"d(root)/d(self), summed over the calls of backward().".as_ptr(),
        ),
        entry(
            c"_prev".as_ptr(),
            get_prev,
            None,
            c"The operands, in order, each once; plain numbers are left out.".as_ptr(),
        ),
        entry(
            c"_children".as_ptr(),
            get_children,
            None,
            c"The operands that are Values, in order, repeats too.".as_ptr(),
        ),
        entry(
            c"_local_grads".as_ptr(),
            get_local_grads,
            None,
            c"d(self)/d(child) for each of _children; empty for an op without derivatives."
                .as_ptr(),
        ),
        entry(
            c"_operands".as_ptr(),
            get_operands,
            None,
            c"The operands in order, plain numbers as floats; of an op over lists its _children."
                .as_ptr(),
        ),
        entry(
            c"_op".as_ptr(),
            get_op,
            None,
            c"The op that made this node; '' for a leaf.".as_ptr(),
        ),
        entry(
            c"_backward".as_ptr(),
            rules::get,
            Some(rules::set),
            c"The rule that sends self.grad to the operands; assign a callable to replace it."
                .as_ptr(),
        ),
        entry(c"__dict__".as_ptr(), get_dict, Some(set_dict), ptr::null()),
    ]
}
