//! Detects classes that override ops, for which fast paths are not taken.
//!
//! Python keeps a version number in every type, which changes with each assignment to an attribute
//! of the type or of one of its bases: as long as it is that of the last comparison, the result of
//! the comparison holds.

use std::ptr;
use std::sync::atomic::{AtomicPtr, AtomicU32, Ordering::Relaxed};

use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyString, PyTuple, PyType};

use crate::errors::guard;
use crate::value::node;

/// The attributes whose work ops over lists and optimizers do: arithmetic, functions, fields. A
/// subclass's `__init__` is not among them, as no op makes an instance of a subclass.
const OPS: &str = "\
    __add__ __radd__ __sub__ __rsub__ __mul__ __rmul__ __truediv__ __rtruediv__ __pow__ \
    __rpow__ __neg__ __pos__ __abs__ exp log sqrt sin cos tanh sigmoid relu abs max min data \
    grad __setattr__ __getattribute__";

/// The last subclass of `Value` that was found to override none of [`OPS`], and its version.
static ORDINARY: (AtomicPtr<ffi::PyTypeObject>, AtomicU32) =
    (AtomicPtr::new(ptr::null_mut()), AtomicU32::new(0));

/// Returns true if the object's class, `Value` or a subclass, has an op or a field of its own.
#[inline(always)]
pub fn class_has_own_ops(object: &Bound<'_, PyAny>) -> PyResult<bool> {
    if object.get_type_ptr() == node::value_type() {
        return Ok(false);
    }
    subclass_has_own_ops(&object.get_type())
}

fn subclass_has_own_ops(class: &Bound<'_, PyType>) -> PyResult<bool> {
    let known = version(class);
    let is_last = ORDINARY.0.load(Relaxed) == class.as_type_ptr();
    if known != 0 && is_last && ORDINARY.1.load(Relaxed) == known {
        return Ok(false);
    }
    let value = node::value_class(class.py());
    for name in OPS.split_ascii_whitespace() {
        if !class.getattr(name)?.is(&value.getattr(name)?) {
            return Ok(true);
        }
    }
    ORDINARY.0.store(class.as_type_ptr(), Relaxed);
    // Looking attributes up has given the class a version, if it had none.
    ORDINARY.1.store(version(class), Relaxed);
    Ok(false)
}

/// Returns a type's version; 0 while it has none.
#[inline(always)]
fn version(class: &Bound<'_, PyType>) -> u32 {
    // SAFETY: the type is alive, and the GIL held.
    unsafe { (*class.as_type_ptr()).tp_version_tag }
}

/// Returns true if the class of an object that is neither a `Value` nor a number may implement
/// `Value * object`.
pub fn answers_multiplication(object: &Bound<'_, PyAny>) -> bool {
    // SAFETY: the class of a living object is alive; its table of number slots may be null.
    let slots = unsafe { (*object.get_type_ptr()).tp_as_number.as_ref() };
    slots.is_some_and(|slots| slots.nb_multiply.is_some())
}

/// A class, and some of its attributes as they were when this was made.
#[pyclass(frozen, module = "fastgrad._core")]
pub struct Originals {
    class: Py<PyType>,
    attributes: Vec<(Py<PyString>, Py<PyAny>)>,
    /// the class's version at the last comparison that found nothing changed
    version: AtomicU32,
}

#[pymethods]
impl Originals {
    #[new]
    #[pyo3(signature = (class_, names))]
    fn new(class_: &Bound<'_, PyType>, names: &Bound<'_, PyTuple>) -> PyResult<Originals> {
        guard(|| {
            let mut attributes = Vec::new();
            for name in names {
                let name = name.cast_into::<PyString>()?;
                attributes.push((name.clone().unbind(), class_.getattr(&name)?.unbind()));
            }
            let version = AtomicU32::new(0);
            Ok(Originals { class: class_.clone().unbind(), attributes, version })
        })
    }

    /// Return True as long as none of the attributes has been replaced.
    pub fn intact(&self, py: Python<'_>) -> PyResult<bool> {
        let version = version(self.class.bind(py));
        if version != 0 && version == self.version.load(Relaxed) {
            return Ok(true);
        }
        guard(|| self.compare(py))
    }
}

impl Originals {
    /// Returns the class.
    #[inline(always)]
    pub fn class(&self) -> *mut ffi::PyTypeObject {
        self.class.as_ptr().cast()
    }

    #[cold]
    fn compare(&self, py: Python<'_>) -> PyResult<bool> {
        let class = self.class.bind(py);
        for (name, original) in &self.attributes {
            if !class.getattr_opt(name)?.is_some_and(|now| now.is(original)) {
                return Ok(false);
            }
        }
        // Looking attributes up has given the class a version, if it had none.
        self.version.store(version(class), Relaxed);
        Ok(true)
    }
}
