//! The bundled data files, compiled in.

use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::errors::guard;

/// The names of `data/names.txt`, one a line; `data/README.md` says where they come from.
static NAMES: &[u8] = include_bytes!("../../../data/names.txt");
/// The plays of `data/shakespeare.txt`; see `data/README.md`, too.
static PLAYS: &[u8] = include_bytes!("../../../data/shakespeare.txt");

/// Return the bundled names as UTF-8, one per line; `fastgrad.datasets` makes a list of them.
#[pyfunction]
pub fn names(py: Python<'_>) -> PyResult<Bound<'_, PyBytes>> {
    bytes(py, NAMES)
}

/// Return the bundled plays by Shakespeare as UTF-8; paragraphs are separated by blank lines.
#[pyfunction]
pub fn plays(py: Python<'_>) -> PyResult<Bound<'_, PyBytes>> {
    bytes(py, PLAYS)
}

/// Copies the data to Python; `MemoryError` where there is no memory.
fn bytes<'py>(py: Python<'py>, data: &[u8]) -> PyResult<Bound<'py, PyBytes>> {
    guard(|| {
        PyBytes::new_with(py, data.len(), |copy| {
            copy.copy_from_slice(data);
            Ok(())
        })
    })
}
