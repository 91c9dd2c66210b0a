//! Dropout masks: random factors that are 0 or 1/(1 − p), and products with them.
//!
//! The loops use no vector types. They are kernels so that the compiler vectorizes them for each
//! instruction set, which draws numbers six times as fast.

use super::simd::{Float, MICRO_BATCH, kernels};
use crate::rng::CounterRng;

/// Random numbers drawn at a time.
const AHEAD: usize = 32;

/// The distribution of a factor: 0 with probability p, otherwise 1/(1 − p).
#[derive(Clone, Copy, Debug)]
pub struct Bernoulli<T> {
    threshold: u32,
    scale: T,
}

impl<T: Float> Bernoulli<T> {
    /// Makes the distribution of p, 0 ≤ p < 1, which is rounded down to a multiple of 2⁻³².
    #[must_use]
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 ≤ p < 1")]
    pub fn new(p: f64) -> Bernoulli<T> {
        Bernoulli { threshold: (p * 4_294_967_296.0) as u32, scale: T::from_f64(1.0 / (1.0 - p)) }
    }

    /// Maps the lower and the upper half of a random number to a factor each.
    #[inline(always)]
    #[allow(clippy::cast_possible_truncation, reason = "the halves are meant")]
    fn factors(self, number: u64) -> [T; 2] {
        [number as u32, (number >> 32) as u32]
            .map(|half| if half < self.threshold { T::default() } else { self.scale })
    }
}

kernels! {
    /// Draws a row of factors: 2·i and 2·i + 1 from number i of the RNG.
    pub fn draw_row(mask: Bernoulli<T>, rng: CounterRng, row: &mut [T]) {} loop(_) {
        for (part, start) in row.chunks_mut(2 * AHEAD).zip((0..).step_by(AHEAD)) {
            let mut numbers = [0; AHEAD];
            for (number, i) in numbers.iter_mut().zip(start..) {
                *number = rng.at(i);
            }
            let (pairs, last) = part.as_chunks_mut::<2>();
            for (pair, number) in pairs.iter_mut().zip(&numbers) {
                *pair = mask.factors(*number);
            }
            if let ([last], Some(number)) = (last, numbers.get(pairs.len())) {
                [*last, _] = mask.factors(*number);
            }
        }
    }

    /// Draws factors for activations: column j from RNG j, rows 2·i and 2·i + 1 from its number i.
    pub fn draw_columns(
        mask: Bernoulli<T>, rngs: &[CounterRng; MICRO_BATCH], factors: &mut [T]
    ) {} loop(_) {
        for (rows, i) in factors.as_chunks_mut::<MICRO_BATCH>().0.chunks_mut(2).zip(0..) {
            let mut pair = [[T::default(); MICRO_BATCH]; 2];
            let [first, second] = &mut pair;
            for ((first, second), rng) in first.iter_mut().zip(second).zip(rngs) {
                [*first, *second] = mask.factors(rng.at(i));
            }
            for (row, pair) in rows.iter_mut().zip(&pair) {
                *row = *pair;
            }
        }
    }

    /// x ← x·f.
    ///
    /// # Panics
    /// If the lengths differ.
    pub fn multiply(x: &mut [T], factors: &[T]) {
        assert_eq!(x.len(), factors.len(), "lengths differ");
    } loop(_) {
        for (x, factor) in x.iter_mut().zip(factors) {
            *x = *x * *factor;
        }
    }

    /// a ← a·f, and f ← f·(1 − a²) with a before that. For a = tanh(z) the new f is the derivative
    /// of the new a with respect to z.
    ///
    /// # Panics
    /// If the lengths differ.
    pub fn multiply_tanh(a: &mut [T], factors: &mut [T]) {
        assert_eq!(a.len(), factors.len(), "lengths differ");
    } loop(_) {
        let one = T::from_f64(1.0);
        for (a, f) in a.iter_mut().zip(factors) {
            let (value, factor) = (*a, *f);
            *f = factor * (one - value * value);
            *a = value * factor;
        }
    }
}
