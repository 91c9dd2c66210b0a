//! Factors of 0 or more, drawn at random: features that are left out, as dropout does.
//!
//! There are no vectors in this code. It is a kernel so that the compiler makes them, of all that
//! the processor has: drawn one by one, numbers would take six times as long.

use super::LANES;
use super::cpu::{Cpu, Kernel};
use super::float::Float;
use super::simd::Simd;
use crate::random::Stream;

/// Numbers that are drawn before they are looked at.
const AHEAD: usize = 32;

/// With which probability a factor is 0, and what it is otherwise.
#[derive(Clone, Copy, Debug)]
pub struct Chance<T> {
    limit: u32,
    scale: T,
}

impl<T: Float> Chance<T> {
    /// 0 with a probability of p, which is at least 0 and below 1, rounded down to a multiple of
    /// 2⁻³²; 1/(1 − p) otherwise.
    #[must_use]
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 ≤ p < 1")]
    pub fn new(p: f64) -> Chance<T> {
        Chance { limit: (p * 4_294_967_296.0) as u32, scale: T::from_f64(1.0 / (1.0 - p)) }
    }

    /// The factors that the lower and the upper half of a number stand for.
    #[inline(always)]
    #[allow(clippy::cast_possible_truncation, reason = "halves are asked for")]
    fn factors(self, number: u64) -> [T; 2] {
        [number as u32, (number >> 32) as u32]
            .map(|half| if half < self.limit { T::default() } else { self.scale })
    }
}

/// Factors 2·i and 2·i + 1 are what number i of the stream stands for.
pub fn draw_row<T: Float>(cpu: Cpu, chance: Chance<T>, stream: Stream, row: &mut [T]) {
    cpu.run(Row(chance, stream, row));
}

struct Row<'a, T>(Chance<T>, Stream, &'a mut [T]);

impl<T: Float> Kernel<T> for Row<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd<T = T>>(self, _: S) {
        let Row(chance, stream, row) = self;
        for (part, start) in row.chunks_mut(2 * AHEAD).zip((0..).step_by(AHEAD)) {
            let mut numbers = [0; AHEAD];
            for (number, i) in numbers.iter_mut().zip(start..) {
                *number = stream.at(i);
            }
            let (pairs, last) = part.as_chunks_mut::<2>();
            for (pair, number) in pairs.iter_mut().zip(&numbers) {
                *pair = chance.factors(*number);
            }
            if let ([last], Some(number)) = (last, numbers.get(pairs.len())) {
                [*last, _] = chance.factors(*number);
            }
        }
    }
}

/// The same for a panel, of which each column has a stream of its own.
pub fn draw_panel<T: Float>(
    cpu: Cpu,
    chance: Chance<T>,
    streams: &[Stream; LANES],
    panel: &mut [T],
) {
    cpu.run(Panel(chance, streams, panel));
}

struct Panel<'a, T>(Chance<T>, &'a [Stream; LANES], &'a mut [T]);

impl<T: Float> Kernel<T> for Panel<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd<T = T>>(self, _: S) {
        let Panel(chance, streams, panel) = self;
        for (rows, i) in panel.as_chunks_mut::<LANES>().0.chunks_mut(2).zip(0..) {
            let mut factors = [[T::default(); LANES]; 2];
            let [first, second] = &mut factors;
            for ((first, second), stream) in first.iter_mut().zip(second).zip(streams) {
                [*first, *second] = chance.factors(stream.at(i));
            }
            for (row, factors) in rows.iter_mut().zip(&factors) {
                *row = *factors;
            }
        }
    }
}

/// x ← x·f.
pub fn multiply<T: Float>(cpu: Cpu, x: &mut [T], factors: &[T]) {
    cpu.run(Multiply(x, factors));
}

struct Multiply<'a, T>(&'a mut [T], &'a [T]);

impl<T: Float> Kernel<T> for Multiply<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd<T = T>>(self, _: S) {
        for (x, factor) in self.0.iter_mut().zip(self.1) {
            *x = *x * *factor;
        }
    }
}

/// a ← a·f and f ← f·(1 − a²), with the a from before, which tanh gave: f is then the slope.
pub fn multiply_tanh<T: Float>(cpu: Cpu, a: &mut [T], factors: &mut [T]) {
    cpu.run(MultiplyTanh(a, factors));
}

struct MultiplyTanh<'a, T>(&'a mut [T], &'a mut [T]);

impl<T: Float> Kernel<T> for MultiplyTanh<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd<T = T>>(self, _: S) {
        let one = T::from_f64(1.0);
        for (a, f) in self.0.iter_mut().zip(self.1) {
            let (value, factor) = (*a, *f);
            *f = factor * (one - value * value);
            *a = value * factor;
        }
    }
}
