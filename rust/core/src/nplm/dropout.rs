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
use crate::linalg::{Buffer, Float, LANES};
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
    pub(super) fn drop_embedding<T: Float>(&self, inputs: usize, slice: &mut Slice<T>) {
        let row = slice.x_row;
        let factors = filled(&mut slice.x_factors, LANES * row);
        let choice = Choice::new(self.dropout.embedding);
        for (factors, example) in factors.chunks_mut(row.max(1)).zip(slice.number..) {
            let stream = Stream::new(self.seeds.at(example), 0);
            let factors = factors.get_mut(..inputs).unwrap_or_default();
            for (pair, i) in factors.chunks_mut(2).zip(0..) {
                for (factor, half) in pair.iter_mut().zip(halves(stream.at(i))) {
                    *factor = choice.factor(half);
                }
            }
        }
        multiply(&mut slice.x_rows, &slice.x_factors);
    }

    /// Draws the factors of a and multiplies a by them; multiplied by the slopes of tanh, 1 − a²,
    /// they are kept for the way back.
    pub(super) fn drop_hidden<T: Float>(
        &self,
        (a, slopes): (&mut [T], &mut Buffer<T>),
        number: u64,
    ) {
        let slopes = filled(slopes, a.len());
        let choice = Choice::new(self.dropout.hidden);
        let mut example = number..;
        let streams: [Stream; LANES] =
            std::array::from_fn(|_| Stream::new(self.seeds.at(example.next().unwrap_or(0)), 1));
        for (pair, i) in slopes.chunks_mut(2 * LANES).zip(0..) {
            let (first, second) = pair.split_at_mut(LANES.min(pair.len()));
            for (lane, stream) in streams.iter().enumerate() {
                let [low, high] = halves(stream.at(i));
                if let Some(factor) = first.get_mut(lane) {
                    *factor = choice.factor(low);
                }
                if let Some(factor) = second.get_mut(lane) {
                    *factor = choice.factor(high);
                }
            }
        }
        for (a, slope) in a.iter_mut().zip(slopes) {
            let (value, factor) = (*a, *slope);
            *slope = factor * (T::from_f64(1.0) - value * value);
            *a = value * factor;
        }
    }
}

/// What to make of a number of 32 bits.
struct Choice<T> {
    limit: u32,
    scale: T,
}

impl<T: Float> Choice<T> {
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 ≤ p < 1")]
    fn new(p: f64) -> Choice<T> {
        // Below 2³², since p is below 1 and 53 bits hold the product.
        Choice { limit: (p * 4_294_967_296.0) as u32, scale: T::from_f64(1.0 / (1.0 - p)) }
    }

    #[inline]
    fn factor(&self, number: u32) -> T {
        if number < self.limit { T::default() } else { self.scale }
    }
}

/// The lower and the upper half.
#[allow(clippy::cast_possible_truncation, reason = "halves are asked for")]
#[inline]
fn halves(number: u64) -> [u32; 2] {
    [number as u32, (number >> 32) as u32]
}

/// A buffer of this length, made at its first use.
fn filled<T: Float>(buffer: &mut Buffer<T>, length: usize) -> &mut [T] {
    if buffer.len() != length {
        *buffer = Buffer::zeros(length);
    }
    buffer
}

/// x ← x·f, number by number.
pub(super) fn multiply<T: Float>(x: &mut [T], factors: &[T]) {
    for (x, factor) in x.iter_mut().zip(factors) {
        *x = *x * *factor;
    }
}
