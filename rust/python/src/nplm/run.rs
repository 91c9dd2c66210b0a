//! How work on a model is run: borrowed arrays, threads, and the watch over it.

use std::num::NonZero;
use std::thread;

use fastgrad_core::Result;
use fastgrad_core::linalg::LANES;
use fastgrad_core::nplm::{Params, Shape};
use fastgrad_core::watch::Watch;
use numpy::{Element, PyReadonlyArrayDyn};
use pyo3::prelude::*;

use super::given::{self, Named};
use crate::watch;

/// Multiplications that take about a thousandth of a second: more than that is watched.
const BRIEF: u64 = 30_000_000;
/// Multiplications of one step from which on it pays to share them between threads.
const SHARED: u64 = 10_000_000;

/// Multiplications for so many examples and products of matrices.
pub fn work(shape: &Shape, examples: usize, products: u64) -> u64 {
    let lengths = shape.lengths();
    let each = lengths.H + lengths.W + lengths.P + shape.vocabulary * shape.output_width();
    (each as u64).saturating_mul(examples as u64).saturating_mul(products) / 2
}

/// How many threads are asked for, or are worth their while for so much work at once.
pub fn team(given: Option<&Bound<'_, PyAny>>, step: u64, examples: usize) -> PyResult<usize> {
    let useful = examples.div_ceil(LANES).max(1);
    let threads = match given {
        Some(given) => given::index("threads", given)?,
        None if step < SHARED => 1,
        None => thread::available_parallelism().map_or(1, NonZero::get),
    };
    Ok(threads.min(useful))
}

/// Runs work without the interpreter's lock, watched if it is long.
pub fn run<T: Send>(
    py: Python<'_>,
    multiplications: u64,
    progress: Option<&Bound<'_, PyAny>>,
    work: impl FnOnce(&Watch) -> Result<T> + Send,
) -> PyResult<T> {
    if multiplications < BRIEF && progress.is_none() {
        watch::briefly(py, work)
    } else {
        watch::run(py, progress, work)
    }
}

/// Borrows all arrays, in one of the ways of [`Named`].
pub fn borrow<'py, T: Element, B>(
    set: &Params<Option<Named<'py, T>>>,
    way: impl Fn(&Named<'py, T>) -> PyResult<B>,
) -> PyResult<Params<Option<B>>> {
    set.as_ref().map(|array| array.as_ref().map(&way).transpose()).transpose()
}

/// The numbers of borrowed arrays; none where there is no array.
pub fn for_reading<'a, T: Element>(
    set: &'a Params<Option<PyReadonlyArrayDyn<'_, T>>>,
) -> PyResult<Params<&'a [T]>> {
    let slices = set.as_ref().map(|array| match array {
        Some(array) => array.as_slice(),
        None => Ok(&[][..]),
    });
    Ok(slices.transpose()?)
}
