//! State that the GIL guards.
//!
//! Nodes, the slab, the pass lock and the cache of weights belong to one interpreter, and are
//! accessed only with its GIL held. So two kinds of Python are refused here: free-threaded builds,
//! at compile time, and a second interpreter, which may have a GIL of its own, when it imports the
//! module.

use std::sync::atomic::{AtomicI64, Ordering::Relaxed};

use pyo3::exceptions::PyImportError;
use pyo3::ffi;
use pyo3::prelude::*;

#[cfg(Py_GIL_DISABLED)]
compile_error!("fastgrad does not support free-threaded builds of Python yet");

/// Raises `ImportError` in any interpreter but the first that imports the module.
pub fn expect_first_interpreter(_: Python<'_>) -> PyResult<()> {
    static FIRST: AtomicI64 = AtomicI64::new(-1);
    // SAFETY: the argument proves that the GIL is held, so that there is a current interpreter.
    let this = unsafe { ffi::PyInterpreterState_GetID(ffi::PyInterpreterState_Get()) };
    match FIRST.compare_exchange(-1, this, Relaxed, Relaxed) {
        Err(first) if first != this => {
            let message = "fastgrad._core can be imported by one interpreter of a process only";
            Err(PyImportError::new_err(message))
        }
        _ => Ok(()),
    }
}

/// A static or a field that only the holder of the GIL reads and writes: a `Cell`, or what has cells.
#[derive(Default)]
pub struct GilCell<T>(T);

// SAFETY: `get` takes proof that the GIL is held, which lets one thread run at a time. A reference
// to a cell is not `Send`, so that no closure that runs with the GIL released can use it.
unsafe impl<T: Send> Sync for GilCell<T> {}

impl<T> GilCell<T> {
    /// Makes a cell with that content.
    pub const fn new(content: T) -> GilCell<T> {
        GilCell(content)
    }

    /// Returns the content.
    #[inline(always)]
    pub fn get<'py>(&'py self, _: Python<'py>) -> &'py T {
        &self.0
    }
}
