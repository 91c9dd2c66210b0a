//! The type `NgramCounts`.

use fastgrad_core::counts::{Counts, Order};
use fastgrad_core::progress::Progress;
use fastgrad_core::{Error, Result};
use numpy::{IntoPyArray, Ix1, Ix2, PyArray1, PyArray2};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

use crate::args;
use crate::errors::{guard, to_python};
use crate::run::{Cost, run};

/// How many nanoseconds an n-gram takes.
const A_GRAM: u64 = 16;

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
    fn characters(&self) -> PyResult<String> {
        guard(|| {
            let mut text = String::new();
            // A character has four bytes at most.
            let bytes = self.0.characters().len().saturating_mul(4);
            text.try_reserve(bytes).map_err(|_| to_python(&Error::Memory))?;
            text.extend(self.0.characters());
            Ok(text)
        })
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
        guard(|| {
            let symbols = self.0.characters().len() + 1;
            let dense = self.work(py, 0, |progress| self.0.dense(progress))?;
            Ok(match self.0.order() {
                Order::Bigrams => args::output(py, dense, [symbols; 2])?.into_any(),
                Order::Trigrams => args::output(py, dense, [symbols; 3])?.into_any(),
            })
        })
    }

    /// The n-grams that occur: ids of shape (K, order) in lexicographic order, and counts.
    fn entries<'py>(&self, py: Python<'py>) -> PyResult<Entries<'py>> {
        guard(|| {
            let (ids, counts) = self.work(py, 0, |progress| self.0.entries(progress))?;
            let shape = [counts.len(), self.order()];
            Ok((args::output(py, ids, shape)?, counts.into_pyarray(py)))
        })
    }

    /// The k most frequent n-grams, as `entries`; of the same count in lexicographic order.
    fn top<'py>(&self, py: Python<'py>, k: &Bound<'py, PyAny>) -> PyResult<Entries<'py>> {
        guard(|| {
            let to_size = |k| usize::try_from(k).ok();
            let k = args::whole("k", k, "an int of at least 0", to_size)?;
            let (ids, counts) = self.work(py, 0, |progress| self.0.top(k, progress))?;
            let shape = [counts.len(), self.order()];
            Ok((args::output(py, ids, shape)?, counts.into_pyarray(py)))
        })
    }

    /// The same counts over a larger alphabet.
    fn with_characters(
        &self,
        py: Python<'_>,
        characters: &Bound<'_, PyAny>,
    ) -> PyResult<NgramCounts> {
        guard(|| {
            let characters = args::characters("characters", characters)?;
            self.work(py, 0, |progress| self.0.with_characters(characters, progress))
                .map(NgramCounts)
        })
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
        guard(|| {
            let order = read_order(order)?;
            let characters = args::characters("characters", characters)?;
            let items = args::whole("items", items, "an int of at least 0", Some)?;
            let ids = args::array::<u32, Ix2>("ids", ids)?;
            let counts = args::array::<u64, Ix1>("counts", counts)?;
            let (rows, width) = (ids.axis(0), ids.axis(1));
            if width != order.get() || rows != counts.axis(0) {
                let (counts, order) = (counts.axis(0), order.get());
                let message = format!(
                    "ids has shape ({rows}, {width}); expected ({counts}, {order}): a row for each \
                     count, and in it as many ids as order says"
                );
                return Err(PyValueError::new_err(message));
            }
            let (ids, counts) = (ids.read()?, counts.read()?);
            let (ids, counts) = (ids.as_array(), counts.as_array());
            run(py, Cost::of(rows, A_GRAM), None, |progress| {
                let (ids, counts) =
                    (args::in_order(&ids, progress)?, args::in_order(&counts, progress)?);
                Counts::from_entries(order, characters, items, &ids, &counts, progress)
            })
            .map(NgramCounts)
        })
    }

    fn __add__(&self, py: Python<'_>, other: &NgramCounts) -> PyResult<NgramCounts> {
        let work = |progress: &Progress| self.0.plus(&other.0, progress);
        guard(|| self.work(py, other.0.len(), work).map(NgramCounts))
    }

    fn __eq__(&self, py: Python<'_>, other: &NgramCounts) -> PyResult<bool> {
        guard(|| self.work(py, 0, |progress| self.0.equals(&other.0, progress)))
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
        Ok((make, (self.order(), self.characters()?, self.items(), ids, counts)))
    }
}

impl NgramCounts {
    /// Runs work that goes through all n-grams, and so many more.
    fn work<T: Send>(
        &self,
        py: Python<'_>,
        more: usize,
        work: impl FnOnce(&Progress) -> Result<T> + Send,
    ) -> PyResult<T> {
        run(py, Cost::of(self.0.len().saturating_add(more), A_GRAM), None, work)
    }
}

/// The order that an argument names.
pub fn read_order(order: &Bound<'_, PyAny>) -> PyResult<Order> {
    let expected = "2 (bigrams) or 3 (trigrams)";
    let check = |order| usize::try_from(order).ok().and_then(|order| Order::new(order).ok());
    args::whole("order", order, expected, check)
}
