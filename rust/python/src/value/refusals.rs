//! Refuses what would lose the graph: a `Value` is no number to Python's functions, and has no
//! order.
//!
//! `float(v)`, `math.exp(v)`, `round(v)` and `v > 0` would lose it silently, so each raises a
//! `TypeError` that names `.data`.

use std::os::raw::c_int;

use pyo3::exceptions::PyTypeError;
use pyo3::{Borrowed, Python, ffi};

use super::ffi::{Object, method, not_implemented, raise};
use super::number;
use crate::errors::guard_slot;

#[cold]
fn refuse(what: &str) -> Object {
    let message = format!("{what} of a Value would lose its graph: use .data");
    raise(PyTypeError::new_err(message))
}

/// `float(v)`, and with it all of `math`.
pub unsafe extern "C" fn nb_float(_: Object) -> Object {
    guard_slot(|| refuse("float()"))
}

/// `int(v)`.
pub unsafe extern "C" fn nb_int(_: Object) -> Object {
    guard_slot(|| refuse("int()"))
}

unsafe extern "C" fn round(_: Object, _: Object) -> Object {
    guard_slot(|| refuse("round()"))
}

/// `==` and `!=` as any object has them, by identity; no order among Values and numbers.
pub unsafe extern "C" fn richcompare(x: Object, y: Object, op: c_int) -> Object {
    // SAFETY: called by Python with living objects, the GIL held.
    guard_slot(|| unsafe {
        let sign = match op {
            ffi::Py_LT => "<",
            ffi::Py_LE => "<=",
            ffi::Py_GT => ">",
            ffi::Py_GE => ">=",
            _ => return identity(x, y, op),
        };
        let py = Python::assume_attached();
        let other = Borrowed::from_ptr(py, y);
        if let Ok(None) = number::any(other, sign) {
            // Another type may know how to compare itself with us.
            return not_implemented();
        }
        let (x, y) = (number::class_name(Borrowed::from_ptr(py, x)), number::class_name(other));
        raise(PyTypeError::new_err(format!(
            "'{sign}' not supported between instances of '{x}' and '{y}': use .data"
        )))
    })
}

unsafe fn identity(x: Object, y: Object, op: c_int) -> Object {
    // SAFETY: `object` has the slot; both are alive.
    unsafe {
        match ffi::PyBaseObject_Type.tp_richcompare {
            Some(compare) => compare(x, y, op),
            None => not_implemented(),
        }
    }
}

/// `hash(v)`, by identity: Python gives a type with a comparison of its own no hash.
pub unsafe extern "C" fn hash(x: Object) -> ffi::Py_hash_t {
    // SAFETY: x is alive.
    unsafe {
        if let Some(hash) = ffi::PyBaseObject_Type.tp_hash {
            return hash(x);
        }
        raise(PyTypeError::new_err("object has no hash"));
        -1
    }
}

/// `__round__`, which Python looks for by name.
pub fn methods() -> [ffi::PyMethodDef; 1] {
    let doc = c"__round__($self, ndigits=None, /)\n--\n\nRaises TypeError: use .data.";
    [method(c"__round__".as_ptr(), round, ffi::METH_VARARGS, doc.as_ptr())]
}
