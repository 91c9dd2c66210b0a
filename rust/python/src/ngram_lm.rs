//! N-gram models of words over arrays of ids.

#![allow(clippy::needless_pass_by_value, reason = "PyO3 extracts arguments as values")]

use fastgrad_core::ngram_lm::{self, Interpolated, KneserNey, Model};
use numpy::{Element, IntoPyArray, PyArray1, PyArray2, PyReadonlyArray1, PyReadonlyArray2};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

use crate::args;
use crate::errors::guard;
use crate::run::{Cost, run};

/// The nanoseconds to count or score an id, or to count a symbol of the vocabulary, at most.
const AN_ID: u64 = 500;
/// The nanoseconds to compute a probability of a distribution.
const A_PROBABILITY: u64 = 2;

/// Ids in either width.
#[derive(FromPyObject)]
enum Ids<'py> {
    Short(PyReadonlyArray1<'py, u16>),
    Long(PyReadonlyArray1<'py, u32>),
}

/// Evaluates an expression over the ids as a slice, of either width.
macro_rules! with_ids {
    ($ids:expr, $slice:ident => $body:expr) => {
        match $ids {
            Ids::Short(array) => {
                let $slice = slice(array)?;
                $body
            }
            Ids::Long(array) => {
                let $slice = slice(array)?;
                $body
            }
        }
    };
}

/// Returns the numbers of an array, which must be contiguous.
fn slice<'a, T: Element>(array: &'a PyReadonlyArray1<'_, T>) -> PyResult<&'a [T]> {
    array.as_slice().map_err(|_| PyValueError::new_err("ids: the array is not contiguous"))
}

type Scores<'py> = PyResult<Bound<'py, PyArray1<f64>>>;
type Distributions<'py> = PyResult<Bound<'py, PyArray2<f64>>>;

fn score<'py>(
    py: Python<'py>,
    model: &(impl Model + Sync),
    ids: &Ids<'py>,
    start: usize,
) -> Scores<'py> {
    let probabilities = with_ids!(ids, ids => {
        let (before, ids) = split(ids, start)?;
        let cost = Cost::of(ids.len(), AN_ID);
        run(py, cost, None, |progress| ngram_lm::score(model, before, ids, progress))
    })?;
    Ok(probabilities.into_pyarray(py))
}

fn distributions<'py>(
    py: Python<'py>,
    model: &(impl Model + Sync),
    contexts: &PyReadonlyArray2<'py, u32>,
) -> Distributions<'py> {
    let (rows, width) = contexts.as_array().dim();
    let contexts = contexts
        .as_slice()
        .map_err(|_| PyValueError::new_err("contexts: the array is not contiguous"))?;
    let size = model.trie().size();
    let cost = Cost::of(rows.saturating_mul(size), A_PROBABILITY);
    let probabilities = run(py, cost, None, |progress| {
        ngram_lm::distributions(model, contexts, width, rows, progress)
    })?;
    args::output(py, probabilities, [rows, size])
}

/// Returns the cost of counting ids; each symbol of the vocabulary takes time, too.
fn counting<I>(ids: &[I], size: usize) -> Cost {
    Cost::of(ids.len().saturating_add(size), AN_ID)
}

/// Splits ids at `start`: returns the context before the text, and the text.
fn split<I>(ids: &[I], start: usize) -> PyResult<(&[I], &[I])> {
    ids.split_at_checked(start).ok_or_else(|| {
        let message = format!("start is {start}; expected at most {}", ids.len());
        PyValueError::new_err(message)
    })
}

/// An interpolated Kneser-Ney model over ids.
#[pyclass(module = "fastgrad._core", frozen)]
pub struct KneserNeyTable {
    model: KneserNey,
}

#[pymethods]
impl KneserNeyTable {
    /// Count the n-grams of ids below `size` and estimate the model; no n-gram crosses `eos`.
    #[new]
    #[pyo3(signature = (ids, size, order=3, modified=false, eos=None))]
    fn new(
        py: Python<'_>,
        ids: Ids<'_>,
        size: usize,
        order: usize,
        modified: bool,
        eos: Option<u32>,
    ) -> PyResult<KneserNeyTable> {
        guard(|| {
            let model = with_ids!(&ids, ids => run(py, counting(ids, size), None, |progress| {
                KneserNey::new(ids, order, size, eos, modified, progress)
            }))?;
            Ok(KneserNeyTable { model })
        })
    }

    /// Return the order: the length of the longest n-grams.
    #[getter]
    fn order(&self) -> usize {
        self.model.trie().order()
    }

    /// The size of the vocabulary.
    #[getter]
    fn size(&self) -> usize {
        self.model.trie().size()
    }

    /// Return the number of distinct n-grams of each order, from 1.
    #[getter]
    fn entries(&self) -> Vec<usize> {
        self.model.trie().entries()
    }

    /// Return the discounts of each order, from 1, for the counts 1, 2, and 3 or more.
    #[getter]
    fn discounts(&self) -> Vec<(f64, f64, f64)> {
        self.model.discounts().iter().map(|&discounts| discounts.into()).collect()
    }

    /// Return the orders whose discounts are fixed because they could not be estimated, each with the
    /// counts that the estimate needs and no n-gram has.
    #[getter]
    fn fallbacks(&self) -> Vec<(usize, Vec<usize>)> {
        self.model.fallbacks().to_vec()
    }

    /// Return the probability of each id from `start` on, given those before it.
    #[pyo3(signature = (ids, start=0))]
    fn score<'py>(&self, py: Python<'py>, ids: Ids<'py>, start: usize) -> Scores<'py> {
        guard(|| score(py, &self.model, &ids, start))
    }

    /// Return the distributions after contexts, one per row.
    #[pyo3(signature = (contexts, /))]
    fn distributions<'py>(
        &self,
        py: Python<'py>,
        contexts: PyReadonlyArray2<'py, u32>,
    ) -> Distributions<'py> {
        guard(|| distributions(py, &self.model, &contexts))
    }
}

/// An interpolated trigram model over ids.
#[pyclass(module = "fastgrad._core")]
pub struct InterpolatedTable {
    model: Interpolated,
}

#[pymethods]
impl InterpolatedTable {
    /// Count the n-grams of ids below `size`; all weights are equal. No n-gram crosses `eos`.
    #[new]
    #[pyo3(signature = (ids, size, eos=None))]
    fn new(
        py: Python<'_>,
        ids: Ids<'_>,
        size: usize,
        eos: Option<u32>,
    ) -> PyResult<InterpolatedTable> {
        guard(|| {
            let model = with_ids!(&ids, ids => run(py, counting(ids, size), None, |progress| {
                Interpolated::new(ids, size, eos, progress)
            }))?;
            Ok(InterpolatedTable { model })
        })
    }

    /// The size of the vocabulary.
    #[getter]
    fn size(&self) -> usize {
        self.model.trie().size()
    }

    /// Return the weights of each bin, the bin of the most frequent contexts first.
    #[getter]
    fn weights<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyArray2<f64>>> {
        guard(|| {
            let weights = self.model.weights();
            args::output(py, weights.concat(), [weights.len(), 4])
        })
    }

    /// Fit the weights to the ids from `start` on and return the loss before each iteration.
    #[pyo3(signature = (ids, start=0, *, tolerance, iterations))]
    fn fit<'py>(
        &mut self,
        py: Python<'py>,
        ids: Ids<'py>,
        start: usize,
        tolerance: f64,
        iterations: usize,
    ) -> PyResult<Vec<f64>> {
        guard(|| {
            with_ids!(&ids, ids => {
                let (before, ids) = split(ids, start)?;
                let model = &mut self.model;
                run(py, Cost::of(ids.len(), AN_ID).times(iterations as u64), None, |progress| {
                    model.fit(before, ids, tolerance, iterations, progress)
                })
            })
        })
    }

    /// Return the probability of each id from `start` on, given those before it.
    #[pyo3(signature = (ids, start=0))]
    fn score<'py>(&self, py: Python<'py>, ids: Ids<'py>, start: usize) -> Scores<'py> {
        guard(|| score(py, &self.model, &ids, start))
    }

    /// Return the distributions after contexts, one per row.
    #[pyo3(signature = (contexts, /))]
    fn distributions<'py>(
        &self,
        py: Python<'py>,
        contexts: PyReadonlyArray2<'py, u32>,
    ) -> Distributions<'py> {
        guard(|| distributions(py, &self.model, &contexts))
    }
}
