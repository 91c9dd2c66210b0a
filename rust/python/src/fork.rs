//! Cleans up after `os.fork()` in the child.
//!
//! The child has only the thread that forked. What others had begun will never end there: passes
//! over graphs are undone, and arrays are in use no more. Nothing else outlives a call, and what
//! is set up once is set up on import, where no other thread can be in the middle of it.

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
