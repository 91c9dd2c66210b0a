//! The file that the package carries, compiled in: whoever has the package has its data.

use pyo3::prelude::*;
use pyo3::types::PyBytes;

/// The names of `data/names.txt`, one a line; `data/README.md` says where they come from.
static NAMES: &[u8] = include_bytes!("../../../data/names.txt");

/// The bundled names as UTF-8, one a line; `fastgrad.datasets` makes a list of them.
#[pyfunction]
pub fn names(py: Python<'_>) -> Bound<'_, PyBytes> {
    PyBytes::new(py, NAMES)
}
