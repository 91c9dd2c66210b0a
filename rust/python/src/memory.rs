//! Memory that the system may refuse.

use fastgrad_core::{Error, alloc};
use pyo3::prelude::*;

use crate::errors::to_python;

/// An empty vector with room for `n` items.
pub fn with_capacity<T>(n: usize) -> PyResult<Vec<T>> {
    alloc::with_capacity(n).map_err(|error| to_python(&error))
}

/// A vector of `n` equal items.
pub fn filled<T: Clone>(item: T, n: usize) -> PyResult<Vec<T>> {
    alloc::filled(item, n).map_err(|error| to_python(&error))
}

/// Makes room for `n` more items; a vector that is full grows by half or more.
#[inline]
pub fn reserve<T>(items: &mut Vec<T>, n: usize) -> PyResult<()> {
    items.try_reserve(n).map_err(|_| to_python(&Error::Memory))
}
