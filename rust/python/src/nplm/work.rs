//! How work on a model is run: borrowed arrays, threads, and how long it takes.

use std::num::NonZero;
use std::thread;

use fastgrad_core::linalg::LANES;
use fastgrad_core::nplm::{Params, Shape};
use numpy::{Element, IxDyn};
use pyo3::prelude::*;

use super::given::Named;
use crate::args;
use crate::borrow::Reading;
use crate::run::Cost;

/// Multiplications that take about a nanosecond.
const A_NANOSECOND: usize = 15;
/// Multiplications of one step from which on it pays to share them between threads.
const SHARED: usize = 10_000_000;

/// Multiplications for so many examples and products of matrices.
pub fn work(shape: &Shape, examples: usize, products: usize) -> usize {
    let lengths = shape.lengths();
    let each = lengths.H + lengths.W + lengths.P + shape.vocabulary * shape.output_width();
    each.saturating_mul(examples).saturating_mul(products) / 2
}

/// How long so many multiplications take.
pub fn cost(multiplications: usize) -> Cost {
    Cost::of(multiplications / A_NANOSECOND, 1)
}

/// How many threads are asked for, or are worth their while for so much work at once.
pub fn team(given: Option<&Bound<'_, PyAny>>, step: usize, examples: usize) -> PyResult<usize> {
    let useful = examples.div_ceil(LANES).max(1);
    let threads = match given {
        Some(given) => args::threads(given)?,
        None if step < SHARED => 1,
        None => thread::available_parallelism().map_or(1, NonZero::get),
    };
    Ok(threads.min(useful))
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
    set: &'a Params<Option<Reading<'_, T, IxDyn>>>,
) -> PyResult<Params<&'a [T]>> {
    let slices = set.as_ref().map(|array| match array {
        Some(array) => array.as_slice(),
        None => Ok(&[][..]),
    });
    Ok(slices.transpose()?)
}
