//! State that the GIL guards.
//!
//! Nodes, the slab, the pass lock and the cache of weights belong to one interpreter, and are
//! accessed only with its GIL held. So two kinds of Python are refused here: free-threaded builds,
//! at compile time, and a second interpreter, which may have a GIL of its own, when it imports the
//! module.

use std::cell::UnsafeCell;
use std::sync::atomic::{AtomicI64, Ordering::Relaxed};

use pyo3::exceptions::PyImportError;
use pyo3::ffi;
use pyo3::prelude::*;

#[cfg(Py_GIL_DISABLED)]
compile_error!("fastgrad does not support free-threaded builds of Python yet");

/// Raises `ImportError` in any interpreter but the first that imports the module.
pub fn expect_first_interpreter(_: Python<'_>) -> PyResult<()> {
    static FIRST: AtomicI64 = AtomicI64::new(-1);
    // SAFETY: the GIL is held, so there is a current interpreter.
    let this = unsafe { ffi::PyInterpreterState_GetID(ffi::PyInterpreterState_Get()) };
    match FIRST.compare_exchange(-1, this, Relaxed, Relaxed) {
        Err(first) if first != this => {
            let message = "fastgrad._core can be imported by one interpreter of a process only";
            Err(PyImportError::new_err(message))
        }
        _ => Ok(()),
    }
}

/// A static or a field that only the holder of the GIL reads and writes.
#[derive(Default)]
pub struct GilCell<T>(UnsafeCell<T>);

// SAFETY: every access happens while the GIL is held, which lets one thread run at a time.
unsafe impl<T: Send> Sync for GilCell<T> {}

impl<T> GilCell<T> {
    /// Makes a cell with that content.
    pub const fn new(content: T) -> GilCell<T> {
        GilCell(UnsafeCell::new(content))
    }

    /// Returns the content.
    ///
    /// # Safety
    /// The GIL is held, and while the reference lives no Python code runs and `get` is not called
    /// again.
    #[inline(always)]
    #[allow(clippy::mut_from_ref, reason = "the contract says that it is the only one")]
    pub unsafe fn get(&self) -> &mut T {
        // SAFETY: by contract.
        unsafe { &mut *self.0.get() }
    }

    /// Calls `act` with the content. `act` must not run Python code or use this cell again.
    #[inline(always)]
    pub fn with<R>(&self, _: Python<'_>, act: impl FnOnce(&mut T) -> R) -> R {
        // SAFETY: the GIL is held throughout, so this is the only reference.
        act(unsafe { self.get() })
    }
}
