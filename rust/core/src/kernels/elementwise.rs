//! Elementwise kernels over activations and slices, for the computations between gemms.

use super::simd::{Block, Float, MICRO_BATCH, Simd, kernels};

/// A number for each example of a micro-batch.
pub type PerExample<T> = [T; MICRO_BATCH];

/// Iterates over the rows of activations, each with an item of `others`.
#[inline(always)]
fn rows_with<T, U>(x: &mut [T], others: U) -> impl Iterator<Item = (&mut PerExample<T>, U::Item)>
where
    U: IntoIterator,
{
    x.as_chunks_mut().0.iter_mut().zip(others)
}

/// Maps each vector of a row, given with its column.
#[inline(always)]
fn map_row<S: Simd>(s: S, row: &mut PerExample<S::T>, f: impl Fn(S::Reg, usize) -> S::Reg) {
    for at in (0..MICRO_BATCH).step_by(S::WIDTH) {
        // SAFETY: at + WIDTH ≤ MICRO_BATCH, since WIDTH divides MICRO_BATCH.
        unsafe {
            let place = row.as_mut_ptr().add(at);
            s.store(place, f(s.load(place), at));
        }
    }
}

/// Loads the vector of a row at a column that [`map_row`] gives.
#[inline(always)]
fn load_at<S: Simd>(s: S, row: &PerExample<S::T>, at: usize) -> S::Reg {
    assert!(at + S::WIDTH <= MICRO_BATCH);
    // SAFETY: as asserted.
    unsafe { s.load(row.as_ptr().add(at)) }
}

/// The state of the online softmax of each example, over the logits y so far (Milakov & Gimelshein,
/// "Online normalizer calculation for softmax", 2018).
#[derive(Clone, Copy, Debug)]
pub struct OnlineSoftmax<T> {
    /// max y.
    pub max: PerExample<T>,
    /// Σ exp(y − max y).
    pub sum: PerExample<T>,
}

impl<T: Float> OnlineSoftmax<T> {
    /// Starts before the first logit.
    #[must_use]
    pub fn new() -> OnlineSoftmax<T> {
        let max = [T::from_f64(f64::NEG_INFINITY); MICRO_BATCH];
        OnlineSoftmax { max, sum: [T::default(); MICRO_BATCH] }
    }
}

impl<T: Float> Default for OnlineSoftmax<T> {
    fn default() -> OnlineSoftmax<T> {
        OnlineSoftmax::new()
    }
}

kernels! {
    /// z ← tanh(z + d), one bias per row.
    ///
    /// # Panics
    /// If the lengths do not fit.
    pub fn bias_tanh(z: &mut [T], d: &[T]) {
        assert_eq!(z.len(), d.len() * MICRO_BATCH, "lengths do not fit");
    } loop(s) {
        for (z, &d) in rows_with(z, d) {
            let d = s.splat(d);
            map_row(s, z, |z, _| s.tanh(s.add(z, d)));
        }
    }

    /// da ← dz = da·(1 − a²), the backward pass of a = tanh(z).
    ///
    /// # Panics
    /// If the lengths differ.
    pub fn tanh_backward(da: &mut [T], a: &[T]) {
        assert_eq!(da.len(), a.len(), "lengths differ");
    } loop(s) {
        let one = s.splat(T::from_f64(1.0));
        for (da, a) in rows_with(da, a.as_chunks().0) {
            map_row(s, da, |da, at| {
                let a = load_at(s, a, at);
                s.mul(da, s.sub(one, s.mul(a, a)))
            });
        }
    }

    /// Adds the logits y + b, one bias per row, to the state, and replaces y by exponentials: y ← exp(y
    /// + b − max).
    ///
    /// Returns exp(former max − max), the factor that rescales sums over earlier exponentials; it is 0
    /// for the first logits.
    ///
    /// # Panics
    /// If the lengths do not fit.
    pub fn online_softmax(
        y: &mut [T], b: &[T], state: &mut OnlineSoftmax<T>
    ) -> PerExample<T> {
        assert_eq!(y.len(), b.len() * MICRO_BATCH, "lengths do not fit");
    } loop(s) {
        let mut max = state.max;
        for (y, &b) in rows_with(y, b) {
            let b = s.splat(b);
            // The maximum may miss a nan among the logits; the sum is nan all the same.
            map_row(s, &mut max, |max, at| s.max(s.add(load_at(s, y, at), b), max));
        }
        let mut factors = state.max;
        map_row(s, &mut factors, |old, at| s.exp(s.sub(old, load_at(s, &max, at))));
        let mut sums = [T::default(); MICRO_BATCH];
        for (y, &b) in rows_with(y, b) {
            let b = s.splat(b);
            map_row(s, y, |y, at| s.exp(s.sub(s.add(y, b), load_at(s, &max, at))));
            map_row(s, &mut sums, |sum, at| s.add(sum, load_at(s, y, at)));
        }
        // The tile is summed first, then added: that loses fewer digits of many small numbers.
        map_row(s, &mut state.sum, |old, at| {
            s.fma(old, load_at(s, &factors, at), load_at(s, &sums, at))
        });
        state.max = max;
        factors
    }

    /// Multiplies each example of activations by its factor.
    pub fn scale(x: &mut [T], factors: &PerExample<T>) {} loop(s) {
        for row in x.as_chunks_mut().0 {
            map_row(s, row, |x, at| s.mul(x, load_at(s, factors, at)));
        }
    }

    /// to ← x, each example multiplied by its factor.
    ///
    /// # Panics
    /// If the lengths differ.
    pub fn scale_into(x: &[T], factors: &PerExample<T>, to: &mut [T]) {
        assert_eq!(x.len(), to.len(), "lengths differ");
    } loop(s) {
        for (to, from) in rows_with(to, x.as_chunks().0) {
            map_row(s, to, |_, at| s.mul(load_at(s, from, at), load_at(s, factors, at)));
        }
    }

    /// out ← β·out + α·Σ over all examples of all activations, in their order: the gradient of
    /// biases.
    ///
    /// # Panics
    /// If activations have fewer rows than `out` has numbers.
    pub fn sum_rows(activations: &[&[T]], alpha: T, beta: T, out: &mut [T]) {
        let rows = out.len() * MICRO_BATCH;
        assert!(activations.iter().all(|x| x.len() >= rows), "activations too short");
    } loop(s) {
        for (i, out) in out.iter_mut().enumerate() {
            let mut sum = s.splat(T::default());
            for x in activations {
                for at in (0..MICRO_BATCH).step_by(S::WIDTH) {
                    // SAFETY: x has row i, as asserted, and WIDTH divides MICRO_BATCH.
                    sum = s.add(sum, unsafe { s.load(x.as_ptr().add(i * MICRO_BATCH + at)) });
                }
            }
            let sum = alpha * s.sum(sum);
            // With β = 0 the former content is not read: it may be nan.
            *out = if beta == T::default() { sum } else { beta * *out + sum };
        }
    }

    /// Writes the transpose of a matrix of `size` (rows, columns), block by block. Each matrix comes
    /// with its row stride.
    ///
    /// # Panics
    /// If a slice is too short.
    pub fn transpose(from: (&[T], usize), size: (usize, usize), to: (&mut [T], usize)) {
        let (rows, cols) = size;
        if rows == 0 || cols == 0 {
            return;
        }
        let fits = |length: usize, rows: usize, stride: usize, cols: usize| {
            let last = (rows - 1).checked_mul(stride);
            last.and_then(|n| n.checked_add(cols)).is_some_and(|n| n <= length)
        };
        assert!(fits(from.0.len(), rows, from.1, cols), "matrix too short");
        assert!(fits(to.0.len(), cols, to.1, rows), "transpose too short");
    } loop(s) {
        let ((from, from_stride), (rows, cols), (to, to_stride)) = (from, size, to);
        for row in (0..rows).step_by(S::WIDTH) {
            for col in (0..cols).step_by(S::WIDTH) {
                // SAFETY: the lengths are checked, and the block lies within the matrix.
                unsafe {
                    s.transpose(Block {
                        from: from.as_ptr().add(row * from_stride + col),
                        from_stride,
                        rows: S::WIDTH.min(rows - row),
                        cols: S::WIDTH.min(cols - col),
                        to: to.as_mut_ptr().add(col * to_stride + row),
                        to_stride,
                    });
                }
            }
        }
    }

    /// x ← eˣ. The error of `f32` is below 1.5 units in the last place.
    pub fn exp(x: &mut [T]) {} loop(s) {
        map_slice(s, x, |x| s.exp(x));
    }

    /// x ← tanh x. The error of `f32` is below 5 units in the last place, 6.5 on the portable path.
    pub fn tanh(x: &mut [T]) {} loop(s) {
        map_slice(s, x, |x| s.tanh(x));
    }
}

/// Maps each vector of a slice; the last may be partial.
#[inline(always)]
fn map_slice<S: Simd>(s: S, x: &mut [S::T], f: impl Fn(S::Reg) -> S::Reg) {
    for part in x.chunks_mut(S::WIDTH) {
        let (at, n) = (part.as_mut_ptr(), part.len());
        // SAFETY: n numbers, 1 to WIDTH, are borrowed here.
        unsafe { s.store_first(at, n, f(s.load_first(at, n))) };
    }
}
