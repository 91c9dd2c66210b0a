//! The type `NgramCounts`.

use fastgrad_core::counts::{Counts, Order};
use numpy::{IntoPyArray, Ix1, Ix2, PyArray1, PyArray2, PyArrayMethods};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

use crate::arrays;
use crate::error::to_python;

/// How often each n-gram of characters occurs in a text.
#[pyclass(module = "fastgrad._core", frozen)]
pub struct NgramCounts(pub Counts);

/// Ids, a row for each n-gram, and the counts of the rows.
type Entries<'py> = (Bound<'py, PyArray2<u32>>, Bound<'py, PyArray1<u64>>);

/// The arguments of `NgramCounts.from_entries`.
type Parts<'py> = (usize, String, u64, Bound<'py, PyArray2<u32>>, Bound<'py, PyArray1<u64>>);

#[pymethods]
impl NgramCounts {
    /// The order of the n-grams: 2 for bigrams, 3 for trigrams.
    #[getter]
    fn order(&self) -> usize {
        self.0.order().get()
    }

    /// The alphabet in ascending order, without the boundary; id i + 1 is characters[i].
    #[getter]
    fn characters(&self) -> String {
        self.0.characters().iter().collect()
    }

    /// How many items were counted.
    #[getter]
    fn items(&self) -> u64 {
        self.0.items()
    }

    /// How many n-grams were counted.
    #[getter]
    fn total(&self) -> u64 {
        self.0.total()
    }

    /// All counts: an array of uint64 whose shape is (V,) * order.
    fn dense<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let symbols = self.0.characters().len() + 1;
        let dense = py.detach(|| self.0.dense()).map_err(|error| to_python(&error))?;
        let flat = dense.into_pyarray(py);
        Ok(match self.0.order() {
            Order::Bigrams => flat.reshape([symbols; 2])?.into_any(),
            Order::Trigrams => flat.reshape([symbols; 3])?.into_any(),
        })
    }

    /// The n-grams that occur: ids of shape (K, order) in lexicographic order, and counts.
    fn entries<'py>(&self, py: Python<'py>) -> PyResult<Entries<'py>> {
        let (ids, counts) = py.detach(|| {
            let mut ids = Vec::new();
            let mut counts = Vec::new();
            for (gram, count) in self.0.entries() {
                ids.extend(gram);
                counts.push(count);
            }
            (ids, counts)
        });
        let shape = [counts.len(), self.order()];
        Ok((ids.into_pyarray(py).reshape(shape)?, counts.into_pyarray(py)))
    }

    /// The same counts over a larger alphabet.
    fn with_characters(&self, py: Python<'_>, characters: &str) -> PyResult<NgramCounts> {
        wrap(py.detach(|| self.0.with_characters(characters.chars().collect())))
    }

    /// Counts from what `entries` returns, checked.
    #[staticmethod]
    fn from_entries(
        py: Python<'_>,
        order: i64,
        characters: &str,
        items: u64,
        ids: &Bound<'_, PyAny>,
        counts: &Bound<'_, PyAny>,
    ) -> PyResult<NgramCounts> {
        let order = read_order(order)?;
        let ids = arrays::read::<u32, Ix2>("ids", ids)?;
        let counts = arrays::read::<u64, Ix1>("counts", counts)?;
        let (rows, width) = ids.as_array().dim();
        if width != order.get() || rows != counts.as_array().len() {
            let message = format!(
                "ids has shape ({rows}, {width}); expected ({}, {}): a row for each count, and in \
                 it as many ids as order says",
                counts.as_array().len(),
                order.get()
            );
            return Err(PyValueError::new_err(message));
        }
        let ids: Vec<u32> = ids.as_array().iter().copied().collect();
        let counts: Vec<u64> = counts.as_array().iter().copied().collect();
        let characters = characters.chars().collect();
        wrap(py.detach(|| Counts::from_entries(order, characters, items, &ids, &counts)))
    }

    fn __add__(&self, py: Python<'_>, other: &NgramCounts) -> PyResult<NgramCounts> {
        wrap(py.detach(|| self.0.plus(&other.0)))
    }

    fn __eq__(&self, other: &NgramCounts) -> bool {
        self.0 == other.0
    }

    fn __repr__(&self) -> String {
        format!(
            "NgramCounts(order={}, characters={}, items={}, total={})",
            self.order(),
            self.0.characters().len(),
            self.items(),
            self.total()
        )
    }

    fn __reduce__<'py>(&self, py: Python<'py>) -> PyResult<(Bound<'py, PyAny>, Parts<'py>)> {
        let (ids, counts) = self.entries(py)?;
        let make = py.get_type::<NgramCounts>().getattr("from_entries")?;
        Ok((make, (self.order(), self.characters(), self.items(), ids, counts)))
    }
}

/// The order that an argument names.
pub fn read_order(order: i64) -> PyResult<Order> {
    // What is not even a size is none of the orders, whatever its sign.
    let known = usize::try_from(order).ok().and_then(|order| Order::new(order).ok());
    known.ok_or_else(|| {
        PyValueError::new_err(format!("order is {order}; expected 2 (bigrams) or 3 (trigrams)"))
    })
}

/// The core's counts as an object.
pub fn wrap(counts: fastgrad_core::Result<Counts>) -> PyResult<NgramCounts> {
    counts.map(NgramCounts).map_err(|error| to_python(&error))
}
