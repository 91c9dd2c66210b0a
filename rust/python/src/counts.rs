//! The type `NgramCounts`.

use fastgrad_core::Result;
use fastgrad_core::counts::{Counts, Order};
use fastgrad_core::watch::Watch;
use numpy::{IntoPyArray, Ix1, Ix2, PyArray1, PyArray2, PyArrayMethods};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

use crate::watch::{briefly, run};
use crate::{arguments, arrays};

/// How many n-grams, or cells, take a few milliseconds at most.
const FEW: usize = 1 << 17;

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
        let dense = self.work(py, 0, |watch| self.0.dense(watch))?;
        let flat = dense.into_pyarray(py);
        Ok(match self.0.order() {
            Order::Bigrams => flat.reshape([symbols; 2])?.into_any(),
            Order::Trigrams => flat.reshape([symbols; 3])?.into_any(),
        })
    }

    /// The n-grams that occur: ids of shape (K, order) in lexicographic order, and counts.
    fn entries<'py>(&self, py: Python<'py>) -> PyResult<Entries<'py>> {
        let (ids, counts) = self.work(py, 0, |watch| self.0.entries(watch))?;
        let shape = [counts.len(), self.order()];
        Ok((ids.into_pyarray(py).reshape(shape)?, counts.into_pyarray(py)))
    }

    /// The k most frequent n-grams, as `entries`; of the same count in lexicographic order.
    fn top<'py>(&self, py: Python<'py>, k: &Bound<'py, PyAny>) -> PyResult<Entries<'py>> {
        let k = arguments::whole("k", k, "an int of at least 0", Some)?;
        let (ids, counts) = self.work(py, 0, |watch| self.0.top(k, watch))?;
        let shape = [counts.len(), self.order()];
        Ok((ids.into_pyarray(py).reshape(shape)?, counts.into_pyarray(py)))
    }

    /// The same counts over a larger alphabet.
    fn with_characters(
        &self,
        py: Python<'_>,
        characters: &Bound<'_, PyAny>,
    ) -> PyResult<NgramCounts> {
        let characters = arguments::text("characters", characters)?.chars().collect();
        self.work(py, 0, |watch| self.0.with_characters(characters, watch)).map(NgramCounts)
    }

    /// Counts from what `entries` returns, checked.
    #[staticmethod]
    fn from_entries(
        py: Python<'_>,
        order: &Bound<'_, PyAny>,
        characters: &Bound<'_, PyAny>,
        items: &Bound<'_, PyAny>,
        ids: &Bound<'_, PyAny>,
        counts: &Bound<'_, PyAny>,
    ) -> PyResult<NgramCounts> {
        let order = read_order(order)?;
        let characters = arguments::text("characters", characters)?.chars().collect();
        let items = arguments::whole("items", items, "an int of at least 0", Some)? as u64;
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
        let (ids, counts) = (ids.as_array(), counts.as_array());
        let work = |watch: &Watch| {
            let (ids, counts) = (ids.as_standard_layout(), counts.as_standard_layout());
            let ids = ids.as_slice().unwrap_or_default();
            let counts = counts.as_slice().unwrap_or_default();
            Counts::from_entries(order, characters, items, ids, counts, watch)
        };
        if rows < FEW { briefly(py, work) } else { run(py, None, work) }.map(NgramCounts)
    }

    fn __add__(&self, py: Python<'_>, other: &NgramCounts) -> PyResult<NgramCounts> {
        let work = |watch: &Watch| self.0.plus(&other.0, watch);
        self.work(py, other.0.len(), work).map(NgramCounts)
    }

    fn __eq__(&self, py: Python<'_>, other: &NgramCounts) -> PyResult<bool> {
        self.work(py, 0, |watch| self.0.equals(&other.0, watch))
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

impl NgramCounts {
    /// Runs work that goes through all n-grams, and so many more.
    fn work<T: Send>(
        &self,
        py: Python<'_>,
        more: usize,
        work: impl FnOnce(&Watch) -> Result<T> + Send,
    ) -> PyResult<T> {
        if self.0.len() + more < FEW { briefly(py, work) } else { run(py, None, work) }
    }
}

/// The order that an argument names.
pub fn read_order(order: &Bound<'_, PyAny>) -> PyResult<Order> {
    let expected = "2 (bigrams) or 3 (trigrams)";
    arguments::whole("order", order, expected, |order| Order::new(order).ok())
}
