//! Estimates how long a call takes, and how many threads it is worth.

use std::num::NonZero;
use std::thread;

use fastgrad_core::kernels::MICRO_BATCH;
use fastgrad_core::nplm::Shape;
use pyo3::prelude::*;

use crate::args;
use crate::run::Cost;

/// Multiplications per nanosecond, about.
const PER_NANOSECOND: usize = 15;
/// The number of multiplications of a step from which on threads are worth their overhead.
const WORTH_THREADS: usize = 10_000_000;

/// The number of gemms per matrix in a forward pass.
pub const FORWARD: usize = 1;
/// The number of gemms per matrix in forward pass, backward pass and gradients.
pub const TRAINING: usize = 3;

/// Returns the number of multiplications for so many examples, `passes` being [`FORWARD`] or
/// [`TRAINING`].
pub fn multiplications(shape: &Shape, examples: usize, passes: usize) -> usize {
    let lengths = shape.lengths();
    let each = lengths.H + lengths.W + lengths.P + shape.tokens().len() * shape.output_width();
    each.saturating_mul(examples).saturating_mul(passes)
}

/// Returns how long so many multiplications take.
pub fn cost(multiplications: usize) -> Cost {
    Cost::of(multiplications / PER_NANOSECOND, 1)
}

/// Returns the number of threads: the argument, or as many as the work is worth; at most that of
/// micro-batches.
pub fn threads(
    argument: Option<&Bound<'_, PyAny>>,
    multiplications: usize,
    examples: usize,
) -> PyResult<usize> {
    let most = examples.div_ceil(MICRO_BATCH).max(1);
    let threads = match argument {
        Some(argument) => args::threads(argument)?,
        None if multiplications < WORTH_THREADS => 1,
        None => thread::available_parallelism().map_or(1, NonZero::get),
    };
    Ok(threads.min(most))
}
