//! Refuses what would lose the graph: a `Value` is no number to Python's functions, and has no
//! order.
//!
//! `float(v)`, `math.exp(v)`, `round(v)` and `v > 0` would lose it silently, so each raises a
//! `TypeError` that names `.data`.

use std::os::raw::c_int;

use pyo3::exceptions::PyTypeError;
use pyo3::ffi;

use super::ffi::{Argument, Object, c_functions, methods, not_implemented, raise};
use super::number;

#[cold]
fn refuse(what: &str) -> Object {
    let message = format!("{what} of a Value would lose its graph: use .data");
    raise(PyTypeError::new_err(message))
}

c_functions! {
    /// `float(v)`, and with it all of `math`.
    pub fn nb_float(_value: Argument) -> Object {
        refuse("float()")
    }

    /// `int(v)`.
    pub fn nb_int(_value: Argument) -> Object {
        refuse("int()")
    }

    fn round(_value: Argument, _digits: Argument) -> Object {
        refuse("round()")
    }

    /// `==` and `!=` as any object has them, by identity; no order among Values and numbers.
    pub fn richcompare(x: Argument, y: Argument, op: c_int) -> Object {
        let sign = match op {
            ffi::Py_LT => "<",
            ffi::Py_LE => "<=",
            ffi::Py_GT => ">",
            ffi::Py_GE => ">=",
            _ => return identity(x, y, op),
        };
        if let Ok(None) = number::any(y, sign) {
            // Another type may know how to compare itself with us.
            return not_implemented(y.py());
        }
        let (x, y) = (number::class_name(x), number::class_name(y));
        raise(PyTypeError::new_err(format!(
            "'{sign}' not supported between instances of '{x}' and '{y}': use .data"
        )))
    }
}

fn identity(x: Argument<'_>, y: Argument<'_>, op: c_int) -> Object {
    // SAFETY: both objects are alive, and `object` compares objects of any class.
    unsafe {
        match ffi::PyBaseObject_Type.tp_richcompare {
            Some(compare) => compare(x.as_ptr(), y.as_ptr(), op),
            None => not_implemented(x.py()),
        }
    }
}

/// Returns `__round__`, which Python looks for by name.
pub fn methods() -> [ffi::PyMethodDef; 1] {
    methods![
        c"__round__" round METH_VARARGS
            c"__round__($self, ndigits=None, /)\n--\n\nRaises TypeError: use .data.";
    ]
}
