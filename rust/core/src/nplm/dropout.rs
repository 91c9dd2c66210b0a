//! Dropout: while a model is trained, features are left out at random, and the others made larger.
//!
//! Srivastava, Hinton, Krizhevsky, Sutskever and Salakhutdinov, "Dropout: a simple way to prevent
//! neural networks from overfitting", JMLR 15 (2014). A feature is 0 with probability p, and
//! otherwise 1/(1 − p) times what it was, so that its mean stays and evaluation needs no change.
//!
//! Which features are left out follows from the seed, the step, the example's number in the
//! mini-batch and the feature's number: it is the same however work is shared and calls are cut.
//! Number e of stream (seed, step) is the example's own seed; of that, stream 0 is for the
//! embedding and stream 1 for the hidden layer. Each number of these serves two features, its lower
//! half the first: one is left out if its half is below p·2³².

use super::workspace::Slice;
use crate::alloc::demand;
use crate::linalg::chance::{self, Chance};
use crate::linalg::{Buffer, Cpu, Float, LANES};
use crate::random::Stream;

/// The probabilities with which features are left out, from 0 on and below 1.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Dropout {
    /// Of x.
    pub embedding: f64,
    /// Of a.
    pub hidden: f64,
}

impl Dropout {
    /// What is left out at a step.
    #[must_use]
    pub fn at(self, seed: u64, step: u64) -> Masks {
        Masks { dropout: self, seeds: Stream::new(seed, step) }
    }
}

/// What is left out at a step.
#[derive(Clone, Copy, Debug)]
pub struct Masks {
    dropout: Dropout,
    seeds: Stream,
}

impl Masks {
    /// Whether features of x are left out.
    pub(super) fn of_embedding(&self) -> bool {
        self.dropout.embedding > 0.0
    }

    /// Whether features of a are left out.
    pub(super) fn of_hidden(&self) -> bool {
        self.dropout.hidden > 0.0
    }

    /// Draws the factors of x, and multiplies x in rows by them.
    pub(super) fn drop_embedding<T: Float>(&self, cpu: Cpu, inputs: usize, slice: &mut Slice<T>) {
        let row = slice.x_row;
        let factors = made(&mut slice.x_factors, LANES * row);
        let chance = Chance::new(self.dropout.embedding);
        for (factors, example) in factors.chunks_mut(row.max(1)).zip(slice.number..) {
            let stream = Stream::new(self.seeds.at(example), 0);
            chance::draw_row(cpu, chance, stream, factors.get_mut(..inputs).unwrap_or_default());
        }
        chance::multiply(cpu, &mut slice.x_rows, factors);
    }

    /// Draws the factors of a and multiplies a by them; multiplied by the slopes of tanh, 1 − a²,
    /// they are kept for the way back.
    pub(super) fn drop_hidden<T: Float>(
        &self,
        cpu: Cpu,
        (a, slopes): (&mut [T], &mut Buffer<T>),
        number: u64,
    ) {
        let slopes = made(slopes, a.len());
        let mut examples = number..;
        let streams = std::array::from_fn(|_| {
            Stream::new(self.seeds.at(examples.next().unwrap_or_default()), 1)
        });
        chance::draw_panel(cpu, Chance::new(self.dropout.hidden), &streams, slopes);
        chance::multiply_tanh(cpu, a, slopes);
    }
}

/// A buffer of this length, made at its first use.
fn made<T: Float>(buffer: &mut Buffer<T>, length: usize) -> &mut [T] {
    if buffer.len() != length {
        *buffer = demand(Buffer::zeros(length));
    }
    buffer
}
