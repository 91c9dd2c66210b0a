//! C functions with a `Value` as receiver, and what they return to Python.

use std::os::raw::{c_char, c_int};
use std::ptr;

use pyo3::prelude::*;
use pyo3::{Borrowed, ffi};

use super::node::NodeRef;

/// A Python object, as C hands it over.
pub type Object = *mut ffi::PyObject;

/// Borrows an object that Python passes to a C function.
///
/// # Safety
/// It lives for `'a`, and the GIL is held as long.
#[inline(always)]
pub unsafe fn borrowed<'a>(object: Object) -> Borrowed<'a, 'a, PyAny> {
    // SAFETY: by contract; a living object has an address, which the compiler would test again.
    unsafe {
        std::hint::assert_unchecked(!object.is_null());
        Borrowed::from_ptr(Python::assume_attached(), object)
    }
}

/// Sets the exception; null is what a slot returns then.
#[cold]
pub fn raise(error: PyErr) -> Object {
    let mut error = Some(error);
    let mut restore = |py: Python<'_>| error.take().map(|error| error.restore(py));
    // PyO3 does not know that a raw slot is attached, and what is dropped unattached waits until
    // the next attached call: errors in a loop would pile up, with all that they refer to.
    if Python::try_attach(&mut restore).is_none() {
        // SAFETY: slots run with the GIL held, also while the program shuts down.
        restore(unsafe { Python::assume_attached() });
    }
    ptr::null_mut()
}

/// Returns what a slot returns: a new reference, or null with the exception set.
pub fn answer<T>(outcome: PyResult<Bound<'_, T>>) -> Object {
    outcome.map_or_else(raise, Bound::into_ptr)
}

/// Returns a slot's status: 0, or -1 with the exception set.
pub fn status(outcome: PyResult<()>) -> c_int {
    outcome.map_or_else(
        |error| {
            raise(error);
            -1
        },
        |()| 0,
    )
}

/// Returns a new reference to `NotImplemented`.
pub fn not_implemented() -> Object {
    // SAFETY: the singleton is always alive, and slots run with the GIL held.
    unsafe { ffi::Py_NewRef(ffi::Py_NotImplemented()) }
}

/// Defines C functions from bodies that are given the receiver as a `NodeRef`: `get` and `set` for
/// attributes (a deleted one sets `None`), `method` for methods without or with one argument.
macro_rules! c_functions {
    (@get $(#[$doc:meta])* $vis:vis $name:ident $body:expr) => {
        $(#[$doc])*
        $vis unsafe extern "C" fn $name(object: Object, _: *mut std::ffi::c_void) -> Object {
            guard_slot(|| {
                // SAFETY: Python calls a getter with a living Value and the GIL held.
                let value = unsafe { NodeRef::received(object) };
                answer($crate::value::ffi::call(value, $body))
            })
        }
    };
    (@set $(#[$doc:meta])* $vis:vis $name:ident $body:expr) => {
        $(#[$doc])*
        $vis unsafe extern "C" fn $name(
            object: Object,
            new: Object,
            _: *mut std::ffi::c_void,
        ) -> std::ffi::c_int {
            guard_slot(|| {
                // SAFETY: as for a getter; the new value is alive, or null when it is deleted.
                let (value, new) = unsafe {
                    let value = NodeRef::received(object);
                    (value, pyo3::Borrowed::from_ptr_or_opt(value.py(), new))
                };
                status($crate::value::ffi::call_with(value, new, $body))
            })
        }
    };
    (@method $(#[$doc:meta])* $vis:vis $name:ident $body:expr) => {
        $(#[$doc])*
        $vis unsafe extern "C" fn $name(object: Object, argument: Object) -> Object {
            guard_slot(|| {
                // SAFETY: as for a getter; the argument is alive, or null where there is none.
                let (value, argument) = unsafe {
                    let value = NodeRef::received(object);
                    (value, pyo3::Borrowed::from_ptr_or_opt(value.py(), argument))
                };
                answer($crate::value::ffi::call_with(value, argument, $body))
            })
        }
    };
    ($($(#[$doc:meta])* $vis:vis $kind:ident $name:ident = $body:expr;)+) => {
        $($crate::value::ffi::c_functions!(@$kind $(#[$doc])* $vis $name $body);)+
    };
}
pub(crate) use c_functions;

/// Calls the body of a function that [`c_functions`] defines; its bounds give the body its types.
#[inline(always)]
pub fn call<'a, R>(value: NodeRef<'a>, body: impl FnOnce(NodeRef<'a>) -> R) -> R {
    body(value)
}

/// Calls the body of a function with an argument that may be missing.
#[inline(always)]
pub fn call_with<'a, R>(
    value: NodeRef<'a>,
    argument: Option<Borrowed<'a, 'a, PyAny>>,
    body: impl FnOnce(NodeRef<'a>, Option<Borrowed<'a, 'a, PyAny>>) -> R,
) -> R {
    body(value, argument)
}

/// Defines a method of the type; `doc` starts with the signature, as `inspect` reads it.
pub fn method(
    name: *const c_char,
    function: ffi::PyCFunction,
    flags: c_int,
    doc: *const c_char,
) -> ffi::PyMethodDef {
    ffi::PyMethodDef {
        ml_name: name,
        ml_meth: ffi::PyMethodDefPointer { PyCFunction: function },
        ml_flags: flags,
        ml_doc: doc,
    }
}

/// Defines an attribute of the type that C functions read and, unless `set` is missing, write.
pub fn attribute(
    name: *const c_char,
    get: ffi::getter,
    set: Option<ffi::setter>,
    doc: *const c_char,
) -> ffi::PyGetSetDef {
    ffi::PyGetSetDef { name, get: Some(get), set, doc, closure: ptr::null_mut() }
}
