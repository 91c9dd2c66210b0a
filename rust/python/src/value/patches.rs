//! Detects that a program has patched `Value`, in which case fast paths are not taken.
//!
//! `Value.__mul__ = f`, `Value.relu = f`, `Value.data = property(f)`: Python keeps a version number
//! in every type, which changes with each assignment to one of its attributes. As long as it is the
//! same as at the last comparison, that comparison's result holds.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyDict, PyType};

use super::node;

/// The attributes of the type as it was made, and its slot for `__new__`.
static ORIGINAL: PyOnceLock<(Py<PyDict>, ffi::newfunc)> = PyOnceLock::new();

/// The last version of the type that a comparison found unchanged, and the last that it found
/// patched; `u64::MAX`, which is no version, before the first.
static UNCHANGED: AtomicU64 = AtomicU64::new(u64::MAX);
static PATCHED: AtomicU64 = AtomicU64::new(u64::MAX);

/// Attributes that no op reads.
const FREE: &str = "\
    label __doc__ __module__ __array_priority__ __repr__ __format__ __hash__ __eq__ __ne__ \
    __lt__ __le__ __gt__ __ge__ __float__ __int__ _prev _children _local_grads __reduce__ \
    __setstate__";

/// Remembers the type as it is now.
pub fn remember(class: &Bound<'_, PyType>, new: ffi::newfunc) -> PyResult<()> {
    let attributes = PyDict::new(class.py());
    // As a method: a cast to a mapping would import `collections.abc`.
    attributes.call_method1("update", (class.getattr("__dict__")?,))?;
    for name in FREE.split_ascii_whitespace() {
        attributes.del_item(name)?;
    }
    let _ = ORIGINAL.set(class.py(), (attributes.unbind(), new));
    Ok(())
}

/// Returns the type's version, which Python changes with each assignment to one of its attributes;
/// 0 while it has none.
#[inline(always)]
fn version() -> u64 {
    // SAFETY: the type is never freed.
    u64::from(unsafe { (*node::value_type()).tp_version_tag })
}

/// Returns true if the type is known to be unchanged. After an assignment to one of its attributes it
/// returns false until [`is_patched`] has compared the attributes.
#[inline(always)]
pub fn is_pristine() -> bool {
    UNCHANGED.load(Relaxed) == version()
}

/// Returns true if a program has replaced an op, a method, the constructor or a field of `Value`.
#[inline]
pub fn is_patched(py: Python<'_>) -> PyResult<bool> {
    if is_pristine() {
        Ok(false)
    } else if PATCHED.load(Relaxed) == version() {
        Ok(true)
    } else {
        compare(py)
    }
}

#[cold]
fn compare(py: Python<'_>) -> PyResult<bool> {
    let class = node::value_class(py);
    // A type that has changed gets its new version when an attribute is looked up.
    class.getattr("_op")?;
    let version = version();
    let Some((attributes, new)) = ORIGINAL.get(py) else { unreachable!("remembered on import") };
    let patched = differs(class, attributes.bind(py))?;
    if !patched {
        // Python leaves a function of its own here when a patched `__new__` is restored.
        // SAFETY: the type is never freed, and the GIL is held.
        unsafe { (*node::value_type()).tp_new = Some(*new) }
    }
    if version != 0 {
        let last = if patched { &PATCHED } else { &UNCHANGED };
        last.store(version, Relaxed);
    }
    Ok(patched)
}

fn differs(class: &Bound<'_, PyType>, original: &Bound<'_, PyDict>) -> PyResult<bool> {
    let now = class.getattr("__dict__")?;
    if now.contains("__getattribute__")? {
        return Ok(true);
    }
    for (name, attribute) in original {
        if !now.contains(&name)? || !now.get_item(&name)?.is(&attribute) {
            return Ok(true);
        }
    }
    Ok(false)
}
