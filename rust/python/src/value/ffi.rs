//! C functions with a `Value` as receiver, and what they return to Python.

use std::ffi::CStr;
use std::os::raw::{c_int, c_void};
use std::ptr;

use pyo3::prelude::*;
use pyo3::types::PyType;
use pyo3::{Borrowed, ffi};

/// A Python object, as C hands it over.
pub type Object = *mut ffi::PyObject;

/// An argument of a C function.
pub type Argument<'a> = Borrowed<'a, 'a, PyAny>;

/// A parameter of a C function that [`c_functions`] defines.
pub trait Receive {
    /// The type that Python passes.
    type Raw;

    /// Makes the parameter from what Python passes.
    ///
    /// # Safety
    /// Python has passed `raw` for this parameter. Only during the call is an object alive and the
    /// GIL held, so the parameter is not kept beyond it.
    unsafe fn receive(raw: Self::Raw) -> Self;
}

impl Receive for Argument<'_> {
    type Raw = Object;

    #[inline(always)]
    unsafe fn receive(object: Object) -> Self {
        // SAFETY: by contract the object is alive, and so not null; told so, the compiler does not test
        // for null again.
        unsafe {
            std::hint::assert_unchecked(!object.is_null());
            Borrowed::from_ptr(Python::assume_attached(), object)
        }
    }
}

/// A type as the receiver of `__new__`.
pub type Class<'a> = Borrowed<'a, 'a, PyType>;

impl Receive for Class<'_> {
    type Raw = *mut ffi::PyTypeObject;

    #[inline(always)]
    unsafe fn receive(class: *mut ffi::PyTypeObject) -> Self {
        // SAFETY: by contract.
        unsafe { Argument::receive(class.cast()).cast_unchecked() }
    }
}

/// An argument that may be missing: null, as where an attribute is deleted.
impl Receive for Option<Argument<'_>> {
    type Raw = Object;

    #[inline(always)]
    unsafe fn receive(object: Object) -> Self {
        // SAFETY: by contract.
        unsafe { Borrowed::from_ptr_or_opt(Python::assume_attached(), object) }
    }
}

/// The operator of a comparison.
impl Receive for c_int {
    type Raw = c_int;

    #[inline(always)]
    unsafe fn receive(number: c_int) -> Self {
        number
    }
}

/// A pointer that Python was given, and gives back.
impl Receive for *mut c_void {
    type Raw = *mut c_void;

    #[inline(always)]
    unsafe fn receive(pointer: *mut c_void) -> Self {
        pointer
    }
}

/// The collector's function for each object that a node refers to.
impl Receive for ffi::visitproc {
    type Raw = ffi::visitproc;

    #[inline(always)]
    unsafe fn receive(visit: ffi::visitproc) -> Self {
        visit
    }
}

/// Defines C functions that Python calls, from bodies of safe code: here raw pointers become
/// borrowed objects, and panics exceptions.
macro_rules! c_functions {
    ($(
        $(#[$doc:meta])*
        $vis:vis fn $name:ident($($parameter:ident: $kind:ty),*) -> $result:ty $body:block
    )+) => {
        $(
            $(#[$doc])*
            $vis unsafe extern "C" fn $name(
                $($parameter: <$kind as $crate::value::ffi::Receive>::Raw),*
            ) -> $result {
                $crate::errors::guard_slot(|| {
                    use $crate::value::ffi::Receive;
                    $(
                        // SAFETY: Python calls this with arguments of the kinds that the slot has.
                        let $parameter = unsafe { <$kind>::receive($parameter) };
                    )*
                    $body
                })
            }
        )+
    };
}
pub(crate) use c_functions;

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

/// Returns what a method without a result returns: `None`, or null with the exception set.
pub fn none(py: Python<'_>, outcome: PyResult<()>) -> Object {
    answer(outcome.map(|()| py.None().into_bound(py)))
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
pub fn not_implemented(py: Python<'_>) -> Object {
    py.NotImplemented().into_ptr()
}

/// Defines a method of the type; `doc` starts with the signature, as `inspect` reads it.
pub fn method(
    name: &'static CStr,
    function: ffi::PyCFunction,
    flags: c_int,
    doc: &'static CStr,
) -> ffi::PyMethodDef {
    let ml_meth = ffi::PyMethodDefPointer { PyCFunction: function };
    ffi::PyMethodDef { ml_name: name.as_ptr(), ml_meth, ml_flags: flags, ml_doc: doc.as_ptr() }
}

/// Defines methods of the type, one row a method: its name, C function, flags and docstring.
macro_rules! methods {
    ($($name:literal $function:ident $flags:ident $doc:literal;)+) => {
        [$($crate::value::ffi::method($name, $function, ffi::$flags, $doc)),+]
    };
}
pub(crate) use methods;

/// Defines an attribute of the type that C functions read and, unless `set` is missing, write.
pub fn attribute(
    name: &'static CStr,
    get: ffi::getter,
    set: Option<ffi::setter>,
    doc: &'static CStr,
) -> ffi::PyGetSetDef {
    let (name, doc) = (name.as_ptr(), doc.as_ptr());
    ffi::PyGetSetDef { name, get: Some(get), set, doc, closure: ptr::null_mut() }
}
