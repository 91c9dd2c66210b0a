//! The files that the package carries, compiled in: whoever has the package has its data.

use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::errors::guard;

/// The names of `data/names.txt`, one a line; `data/README.md` says where they come from.
static NAMES: &[u8] = include_bytes!("../../../data/names.txt");
/// The plays of `data/shakespeare.txt`, of which `data/README.md` tells as well.
static PLAYS: &[u8] = include_bytes!("../../../data/shakespeare.txt");

/// The bundled names as UTF-8, one a line; `fastgrad.datasets` makes a list of them.
#[pyfunction]
pub fn names(py: Python<'_>) -> PyResult<Bound<'_, PyBytes>> {
    bytes(py, NAMES)
}

/// Plays by Shakespeare as UTF-8, a line each; paragraphs are separated by blank lines.
#[pyfunction]
pub fn plays(py: Python<'_>) -> PyResult<Bound<'_, PyBytes>> {
    bytes(py, PLAYS)
}

/// A copy, `MemoryError` where there is no room for one.
fn bytes<'py>(py: Python<'py>, data: &[u8]) -> PyResult<Bound<'py, PyBytes>> {
    guard(|| {
        PyBytes::new_with(py, data.len(), |copy| {
            copy.copy_from_slice(data);
            Ok(())
        })
    })
}
