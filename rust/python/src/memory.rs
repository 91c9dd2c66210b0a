//! Allocation that raises `MemoryError` where the system refuses memory.

use fastgrad_core::{Error, alloc};
use pyo3::prelude::*;

use crate::errors::to_python;

/// Makes an empty vector of capacity `n`.
pub fn with_capacity<T>(n: usize) -> PyResult<Vec<T>> {
    alloc::with_capacity(n).map_err(|error| to_python(&error))
}

/// Makes a vector of `n` equal items.
pub fn filled<T: Clone>(item: T, n: usize) -> PyResult<Vec<T>> {
    alloc::filled(item, n).map_err(|error| to_python(&error))
}

/// Reserves capacity for `n` more items, in amortised constant time per item.
#[inline]
pub fn reserve<T>(items: &mut Vec<T>, n: usize) -> PyResult<()> {
    items.try_reserve(n).map_err(|_| to_python(&Error::Memory))
}
