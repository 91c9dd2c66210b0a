//! Dropout of Srivastava, Hinton, Krizhevsky, Sutskever and Salakhutdinov, "Dropout: a simple way
//! to prevent neural networks from overfitting", JMLR 15 (2014).
//!
//! In training, an activation is set to 0 with probability p, and otherwise multiplied by
//! 1/(1 − p), which keeps its mean: evaluation needs no change.
//!
//! The mask is a function of seed, step, example and unit alone, whatever the number of threads and
//! wherever training is interrupted:
//!
//! ```text
//! example_seed = CounterRng(seed, step).at(number of the example in the mini-batch)
//! words        = CounterRng(example_seed, 0 for x, 1 for a)
//! unit 2·i is dropped if the lower half of words.at(i) < p·2³², unit 2·i + 1 if the upper half is
//! ```

use std::array;

use super::batch::MicroBatch;
use crate::alloc::demand;
use crate::kernels::dropout::{self, Bernoulli};
use crate::kernels::{Buffer, Cpu, Dispatch, MICRO_BATCH};
use crate::rng::CounterRng;

/// The probabilities of dropping a unit, at least 0 and below 1.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Dropout {
    /// For units of x.
    pub embedding: f64,
    /// For units of a.
    pub hidden: f64,
}

impl Dropout {
    /// Returns the masks of a step.
    #[must_use]
    pub fn at(self, seed: u64, step: u64) -> Masks {
        Masks { dropout: self, example_seeds: CounterRng::new(seed, step) }
    }
}

/// The masks of a step.
#[derive(Clone, Copy, Debug)]
pub struct Masks {
    dropout: Dropout,
    example_seeds: CounterRng,
}

impl Masks {
    /// Returns true if x has a mask.
    pub(super) fn of_embedding(&self) -> bool {
        self.dropout.embedding > 0.0
    }

    /// Returns true if a has a mask.
    pub(super) fn of_hidden(&self) -> bool {
        self.dropout.hidden > 0.0
    }

    /// Draws the mask of x, and multiplies `x_rows` by it.
    pub(super) fn drop_embedding<T: Dispatch>(
        &self,
        cpu: Cpu,
        inputs: usize,
        batch: &mut MicroBatch<T>,
    ) {
        let stride = batch.x_stride;
        let mask = allocated(&mut batch.x_mask, MICRO_BATCH * stride);
        let distribution = Bernoulli::new(self.dropout.embedding);
        for (mask, example) in mask.chunks_exact_mut(stride).zip(batch.number..) {
            let words = CounterRng::new(self.example_seeds.at(example), 0);
            dropout::draw_row(cpu, distribution, words, &mut mask[..inputs]);
        }
        dropout::multiply(cpu, &mut batch.x_rows, mask);
    }

    /// Draws the mask of a and multiplies a by it; mask·(1 − a²) is kept for the backward pass.
    pub(super) fn drop_hidden<T: Dispatch>(
        &self,
        cpu: Cpu,
        (a, tanh_grad): (&mut [T], &mut Buffer<T>),
        number: u64,
    ) {
        let mask = allocated(tanh_grad, a.len());
        let words: [CounterRng; MICRO_BATCH] = array::from_fn(|example| {
            CounterRng::new(self.example_seeds.at(number + example as u64), 1)
        });
        dropout::draw_columns(cpu, Bernoulli::new(self.dropout.hidden), &words, mask);
        dropout::multiply_tanh(cpu, a, mask);
    }
}

/// Returns a buffer of this length, allocated at its first use.
fn allocated<T: Dispatch>(buffer: &mut Buffer<T>, length: usize) -> &mut [T] {
    if buffer.len() != length {
        *buffer = demand(Buffer::zeros(length));
    }
    buffer
}
