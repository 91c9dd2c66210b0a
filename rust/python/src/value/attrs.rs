//! Attributes of `Value`: data and grad, the graph's edges and names, and the user's own.

use std::borrow::Cow;
use std::collections::HashSet;
use std::ffi::c_void;
use std::os::raw::{c_char, c_int};
use std::ptr;

use fastgrad_core::graph::op::Op;
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple};
use pyo3::{Borrowed, ffi};

use super::node::Node;
use super::number;
use super::rules;
use super::slots::raise;

type Object = *mut ffi::PyObject;

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
    unsafe {
        if !value.is_null() && ffi::Py_TYPE(value) == &raw mut ffi::PyFloat_Type {
            *field = ffi::PyFloat_AS_DOUBLE(value);
            return 0;
        }
        match read_number(value, name) {
            Ok(number) => {
                *field = number;
                0
            }
            Err(error) => {
                raise(error);
                -1
            }
        }
    }
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
    unsafe {
        let py = Python::assume_attached();
        let parents = parents(object.cast());
        let items = parents.iter().map(|&parent| Bound::from_borrowed_ptr(py, parent.cast()));
        match PyTuple::new(py, items.collect::<Vec<_>>()) {
            Ok(tuple) => tuple.into_ptr(),
            Err(error) => raise(error),
        }
    }
}

unsafe fn parents(node: *mut Node) -> Vec<*mut Node> {
    // SAFETY: by contract of the caller.
    let all = unsafe {
        match (*node).block() {
            Some((block, output)) => (*block).parents_of(output),
            None => (*node).parents().to_vec(),
        }
    };
    let mut seen = HashSet::new();
    all.into_iter().filter(|parent| !parent.is_null() && seen.insert(*parent)).collect()
}

unsafe extern "C" fn get_op(object: Object, _: *mut c_void) -> Object {
    // SAFETY: called by Python with a Value.
    unsafe {
        let name = op_name(&*object.cast::<Node>());
        match ffi::Py_ssize_t::try_from(name.len()) {
            Ok(length) => ffi::PyUnicode_FromStringAndSize(name.as_ptr().cast(), length),
            Err(_) => ffi::PyErr_NoMemory(),
        }
    }
}

/// micrograd's names: a power carries its exponent, written as Python would.
fn op_name(node: &Node) -> Cow<'_, str> {
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
    unsafe {
        let node = object.cast::<Node>();
        let (data, grad) = (python_repr((*node).data), python_repr((*node).grad));
        let text = format!("Value(data={data}, grad={grad})");
        match ffi::Py_ssize_t::try_from(text.len()) {
            Ok(length) => ffi::PyUnicode_FromStringAndSize(text.as_ptr().cast(), length),
            Err(_) => ffi::PyErr_NoMemory(),
        }
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
        let outcome = ffi::PyObject_GenericSetAttr(object, name, value);
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
