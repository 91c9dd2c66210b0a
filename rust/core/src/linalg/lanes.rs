//! Functions of panels, and of plain vectors: what stands between one product and the next.

use super::LANES;
use super::cpu::{Cpu, Kernel};
use super::float::Float;
use super::simd::{Simd, Transposed};

/// A number for each example of a panel.
pub type Lanes<T> = [T; LANES];

/// The rows of a panel, each with what belongs to it.
#[inline(always)]
fn rows<T, U>(panel: &mut [T], others: U) -> impl Iterator<Item = (&mut Lanes<T>, U::Item)>
where
    U: IntoIterator,
{
    panel.as_chunks_mut().0.iter_mut().zip(others)
}

/// Replaces each vector of a row by a function of it and its place.
#[inline(always)]
fn change<S: Simd>(s: S, row: &mut Lanes<S::T>, f: impl Fn(S::Reg, usize) -> S::Reg) {
    for at in (0..LANES).step_by(S::WIDTH) {
        // SAFETY: WIDTH divides LANES.
        unsafe {
            let place = row.as_mut_ptr().add(at);
            s.store(place, f(s.load(place), at));
        }
    }
}

/// The vector of a row at a place that [`change`] has given.
#[inline(always)]
fn part<S: Simd>(s: S, row: &Lanes<S::T>, at: usize) -> S::Reg {
    assert!(at + S::WIDTH <= LANES);
    // SAFETY: as asserted.
    unsafe { s.load(row.as_ptr().add(at)) }
}

/// z ← tanh(z + d), with one number of d a row.
pub fn bias_tanh<T: Float>(cpu: Cpu, z: &mut [T], d: &[T]) {
    struct BiasTanh<'a, T>(&'a mut [T], &'a [T]);
    impl<T: Float> Kernel<T> for BiasTanh<'_, T> {
        type Output = ();
        #[inline(always)]
        fn run<S: Simd<T = T>>(self, s: S) {
            for (z, &d) in rows(self.0, self.1) {
                let d = s.splat(d);
                change(s, z, |z, _| s.tanh(s.add(z, d)));
            }
        }
    }
    cpu.run(BiasTanh(z, d));
}

/// The backward of tanh: da ← da·(1 − a²), where a is what tanh gave.
pub fn tanh_slope<T: Float>(cpu: Cpu, da: &mut [T], a: &[T]) {
    struct TanhSlope<'a, T>(&'a mut [T], &'a [T]);
    impl<T: Float> Kernel<T> for TanhSlope<'_, T> {
        type Output = ();
        #[inline(always)]
        fn run<S: Simd<T = T>>(self, s: S) {
            let one = s.splat(T::from_f64(1.0));
            for (da, a) in rows(self.0, self.1.as_chunks().0) {
                change(s, da, |da, at| {
                    let a = part(s, a, at);
                    s.mul(da, s.sub(one, s.mul(a, a)))
                });
            }
        }
    }
    cpu.run(TanhSlope(da, a));
}

/// What softmax keeps of the logits that it has seen of each example.
#[derive(Clone, Copy, Debug)]
pub struct Running<T> {
    /// The largest one.
    pub largest: Lanes<T>,
    /// The sum of the exponentials of their distances from it.
    pub sums: Lanes<T>,
}

impl<T: Float> Running<T> {
    /// Before the first logit.
    #[must_use]
    pub fn new() -> Running<T> {
        let largest = [T::from_f64(f64::NEG_INFINITY); LANES];
        Running { largest, sums: [T::default(); LANES] }
    }
}

impl<T: Float> Default for Running<T> {
    fn default() -> Running<T> {
        Running::new()
    }
}

/// Takes more logits y + b into account, with one number of b a row: y ← exp(y + b − largest).
///
/// Gives back exp(largest before − largest), with which whatever was made of former results is to
/// be multiplied; it is 0 at first.
pub fn exp_of_rest<T: Float>(cpu: Cpu, y: &mut [T], b: &[T], running: &mut Running<T>) -> Lanes<T> {
    struct ExpOfRest<'a, T>(&'a mut [T], &'a [T], &'a mut Running<T>);
    impl<T: Float> Kernel<T> for ExpOfRest<'_, T> {
        type Output = Lanes<T>;
        #[inline(always)]
        fn run<S: Simd<T = T>>(self, s: S) -> Lanes<T> {
            let ExpOfRest(y, b, running) = self;
            let mut largest = running.largest;
            for (y, &b) in rows(y, b) {
                let b = s.splat(b);
                // A nan among the logits may be passed over here; the sum is nan all the same.
                change(s, &mut largest, |largest, at| s.max(s.add(part(s, y, at), b), largest));
            }
            let mut factors = running.largest;
            change(s, &mut factors, |before, at| s.exp(s.sub(before, part(s, &largest, at))));
            let mut sums = [T::default(); LANES];
            for (y, &b) in rows(y, b) {
                let b = s.splat(b);
                change(s, y, |y, at| s.exp(s.sub(s.add(y, b), part(s, &largest, at))));
                change(s, &mut sums, |sum, at| s.add(sum, part(s, y, at)));
            }
            // What is new is added up for itself: the sum of many small numbers stays exact.
            change(s, &mut running.sums, |before, at| {
                s.fma(before, part(s, &factors, at), part(s, &sums, at))
            });
            running.largest = largest;
            factors
        }
    }
    cpu.run(ExpOfRest(y, b, running))
}

/// Multiplies each example of a panel by its factor.
pub fn scale<T: Float>(cpu: Cpu, panel: &mut [T], factors: &Lanes<T>) {
    struct Scale<'a, T>(&'a mut [T], &'a Lanes<T>);
    impl<T: Float> Kernel<T> for Scale<'_, T> {
        type Output = ();
        #[inline(always)]
        fn run<S: Simd<T = T>>(self, s: S) {
            for (row, ()) in rows(self.0, std::iter::repeat(())) {
                change(s, row, |x, at| s.mul(x, part(s, self.1, at)));
            }
        }
    }
    cpu.run(Scale(panel, factors));
}

/// to ← a panel, each example multiplied by its factor.
pub fn scaled<T: Float>(cpu: Cpu, panel: &[T], factors: &Lanes<T>, to: &mut [T]) {
    struct Scaled<'a, T>(&'a [T], &'a Lanes<T>, &'a mut [T]);
    impl<T: Float> Kernel<T> for Scaled<'_, T> {
        type Output = ();
        #[inline(always)]
        fn run<S: Simd<T = T>>(self, s: S) {
            let Scaled(panel, factors, to) = self;
            for (to, from) in rows(to, panel.as_chunks().0) {
                change(s, to, |_, at| s.mul(part(s, from, at), part(s, factors, at)));
            }
        }
    }
    cpu.run(Scaled(panel, factors, to));
}

/// out ← β·out + α·Σ of the rows, over all examples of all panels, in their order.
///
/// # Panics
/// If a panel has fewer rows than `out` has numbers.
pub fn sum_rows<T: Float>(cpu: Cpu, panels: &[&[T]], alpha: T, beta: T, out: &mut [T]) {
    struct SumRows<'a, T>(&'a [&'a [T]], T, T, &'a mut [T]);
    impl<T: Float> Kernel<T> for SumRows<'_, T> {
        type Output = ();
        #[inline(always)]
        fn run<S: Simd<T = T>>(self, s: S) {
            let SumRows(panels, alpha, beta, out) = self;
            for (i, out) in out.iter_mut().enumerate() {
                let mut sum = s.splat(T::default());
                for panel in panels {
                    assert!(panel.len() >= (i + 1) * LANES, "panel too short");
                    for at in (0..LANES).step_by(S::WIDTH) {
                        // SAFETY: as asserted, and WIDTH divides LANES.
                        sum = s.add(sum, unsafe { s.load(panel.as_ptr().add(i * LANES + at)) });
                    }
                }
                let sum = alpha * s.sum(sum);
                // With β of 0 the former content is not looked at, were it nan.
                *out = if beta == T::default() { sum } else { beta * *out + sum };
            }
        }
    }
    cpu.run(SumRows(panels, alpha, beta, out));
}

/// Writes the transpose of a matrix of `rows` times `columns`, block by block.
///
/// # Panics
/// If a slice is too short.
pub fn transpose<T: Float>(
    cpu: Cpu,
    (from, from_row): (&[T], usize),
    (rows, columns): (usize, usize),
    (to, to_row): (&mut [T], usize),
) {
    if rows == 0 || columns == 0 {
        return;
    }
    let fits = |length: usize, rows: usize, row: usize, columns: usize| {
        (rows - 1)
            .checked_mul(row)
            .and_then(|n| n.checked_add(columns))
            .is_some_and(|n| n <= length)
    };
    assert!(fits(from.len(), rows, from_row, columns), "matrix too short");
    assert!(fits(to.len(), columns, to_row, rows), "transpose too short");
    cpu.run(Transpose { from, from_row, rows, columns, to, to_row });
}

struct Transpose<'a, T> {
    from: &'a [T],
    from_row: usize,
    rows: usize,
    columns: usize,
    to: &'a mut [T],
    to_row: usize,
}

impl<T: Float> Kernel<T> for Transpose<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd<T = T>>(self, s: S) {
        let Transpose { from, from_row, rows, columns, to, to_row } = self;
        for row in (0..rows).step_by(S::WIDTH) {
            for column in (0..columns).step_by(S::WIDTH) {
                // SAFETY: the lengths are checked above, and the block lies within the matrix.
                unsafe {
                    s.transpose(Transposed {
                        from: from.as_ptr().add(row * from_row + column),
                        from_row,
                        rows: S::WIDTH.min(rows - row),
                        columns: S::WIDTH.min(columns - column),
                        to: to.as_mut_ptr().add(column * to_row + row),
                        to_row,
                    });
                }
            }
        }
    }
}

/// Applies a function of vectors to a slice.
macro_rules! of_slices {
    ($($(#[$doc:meta])* $name:ident, $kernel:ident;)*) => {$(
        $(#[$doc])*
        pub fn $name<T: Float>(cpu: Cpu, x: &mut [T]) {
            struct $kernel<'a, T>(&'a mut [T]);
            impl<T: Float> Kernel<T> for $kernel<'_, T> {
                type Output = ();
                #[inline(always)]
                fn run<S: Simd<T = T>>(self, s: S) {
                    for part in self.0.chunks_mut(S::WIDTH) {
                        let (at, n) = (part.as_mut_ptr(), part.len());
                        // SAFETY: n numbers, 1 to WIDTH, are borrowed here.
                        unsafe { s.store_first(at, n, s.$name(s.load_first(at, n))) };
                    }
                }
            }
            cpu.run($kernel(x));
        }
    )*};
}

of_slices! {
    /// x ← eˣ. The error of `f32` is below 1.5 units in the last place.
    exp, Exp;
    /// x ← tanh x. The error of `f32` is below 5 units in the last place, 6.5 on the portable path.
    tanh, Tanh;
}
