//! Cleans up after `os.fork()` in the child.
//!
//! The child has only the thread that forked. What other threads had begun never ends there: their
//! passes over graphs are undone, and their borrows of arrays end. Nothing else outlives a call,
//! and one-time setup happens on import, when no other thread can be in the middle of it.

use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::borrow;
use crate::value::pass_lock;

/// Cleans up in the child, on its only thread.
#[pyfunction]
fn after_fork(py: Python<'_>) {
    borrow::after_fork(py);
    pass_lock::after_fork(py);
}

/// Registers [`after_fork`] with Python, where `os.fork` exists.
pub fn watch(module: &Bound<'_, PyModule>) -> PyResult<()> {
    let py = module.py();
    if let Some(register) = py.import("os")?.getattr_opt("register_at_fork")? {
        let hooks = PyDict::new(py);
        hooks.set_item("after_in_child", wrap_pyfunction!(after_fork, module)?)?;
        register.call((), Some(&hooks))?;
    }
    Ok(())
}
