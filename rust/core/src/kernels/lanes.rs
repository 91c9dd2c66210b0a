//! Functions applied number by number to whole slices.
//!
//! The closures are compiled into the kernel's loop, with its instruction set: they must be small
//! enough to be inlined.

use super::dispatch::{Cpu, Dispatch};
use super::simd::kernels;

kernels! {
    /// out = f(x)
    ///
    /// # Panics
    /// If the slices differ in length.
    pub fn map[F: Fn(T) -> T](x: &[T], out: &mut [T], f: F) {
        assert_eq!(x.len(), out.len());
    } loop(_) {
        for (out, &x) in out.iter_mut().zip(x) {
            *out = f(x);
        }
    }

    /// out = f(x, y)
    ///
    /// # Panics
    /// If the slices differ in length.
    pub fn zip[F: Fn(T, T) -> T](x: &[T], y: &[T], out: &mut [T], f: F) {
        assert!(x.len() == out.len() && y.len() == out.len());
    } loop(_) {
        for ((out, &x), &y) in out.iter_mut().zip(x).zip(y) {
            *out = f(x, y);
        }
    }

    /// out = f(x, y, z)
    ///
    /// # Panics
    /// If the slices differ in length.
    pub fn zip3[F: Fn(T, T, T) -> T](operands: [&[T]; 3], out: &mut [T], f: F) {
        assert!(operands.iter().all(|operand| operand.len() == out.len()));
    } loop(_) {
        let [x, y, z] = operands;
        for (out, ((&x, &y), &z)) in out.iter_mut().zip(x.iter().zip(y).zip(z)) {
            *out = f(x, y, z);
        }
    }

    /// `out = from[indices]`
    ///
    /// # Panics
    /// If an index is out of range, or the slices differ in length.
    pub fn gather(from: &[T], indices: &[u32], out: &mut [T]) {
        assert_eq!(indices.len(), out.len());
    } loop(_) {
        for (out, &index) in out.iter_mut().zip(indices) {
            *out = from[index as usize];
        }
    }

    /// sums += x
    ///
    /// # Panics
    /// If the slices differ in length.
    pub fn add_to(x: &[T], sums: &mut [T]) {
        assert_eq!(x.len(), sums.len());
    } loop(_) {
        for (sum, &x) in sums.iter_mut().zip(x) {
            *sum = *sum + x;
        }
    }

    /// Row i of `out` = row `at(i)` of `from`; rows have `lanes` numbers.
    ///
    /// # Panics
    /// If a row is out of range.
    pub fn copy_rows[F: Fn(usize) -> usize](lanes: usize, from: &[T], at: F, out: &mut [T]) {
    } loop(s) {
        for (i, out) in out.chunks_exact_mut(lanes).enumerate() {
            let first = at(i) * lanes;
            let from = &from[first..first + lanes];
            for (out, from) in out.chunks_mut(S::WIDTH).zip(from.chunks(S::WIDTH)) {
                let n = out.len();
                // SAFETY: both have n numbers, 1 to WIDTH.
                unsafe { s.store_first(out.as_mut_ptr(), n, s.load_first(from.as_ptr(), n)) };
            }
        }
    }

    /// Row `at(i)` of `sums` += row i of `x`; rows have `lanes` numbers.
    ///
    /// # Panics
    /// If a row is out of range.
    pub fn add_rows[F: Fn(usize) -> usize](lanes: usize, x: &[T], at: F, sums: &mut [T]) {
    } loop(s) {
        for (i, x) in x.chunks_exact(lanes).enumerate() {
            let first = at(i) * lanes;
            let sums = &mut sums[first..first + lanes];
            for (sums, x) in sums.chunks_mut(S::WIDTH).zip(x.chunks(S::WIDTH)) {
                let n = x.len();
                // SAFETY: both have n numbers, 1 to WIDTH.
                unsafe {
                    let sum = s.add(s.load_first(sums.as_ptr(), n), s.load_first(x.as_ptr(), n));
                    s.store_first(sums.as_mut_ptr(), n, sum);
                }
            }
        }
    }

    /// Computes sums Σ x·y, or Σ x without y, lane by lane. x and y hold the first terms of all sums,
    /// then the second terms, and so on. The longest sums come first: the first `counts[k]` have a
    /// term k.
    ///
    /// # Panics
    /// If the slices do not fit.
    pub fn sum_terms(
        counts: &[u32], lanes: usize, x: &[T], y: Option<&[T]>, out: &mut [T]
    ) {
        let terms: usize = counts.iter().map(|&count| count as usize).sum();
        assert!(x.len() == terms * lanes && y.is_none_or(|y| y.len() == x.len()));
        assert_eq!(out.len(), counts.first().map_or(0, |&count| count as usize) * lanes);
    } loop(s) {
        out.fill(T::default());
        let mut at = 0;
        for &count in counts {
            for sums in out[..count as usize * lanes].chunks_mut(S::WIDTH) {
                let n = sums.len();
                let x = &x[at..at + n];
                // SAFETY: n numbers, 1 to WIDTH, are borrowed from each slice.
                unsafe {
                    let mut term = s.load_first(x.as_ptr(), n);
                    if let Some(y) = y {
                        term = s.mul(term, s.load_first(y[at..at + n].as_ptr(), n));
                    }
                    let sum = s.add(s.load_first(sums.as_ptr(), n), term);
                    s.store_first(sums.as_mut_ptr(), n, sum);
                }
                at += n;
            }
        }
    }

    /// Computes the gradient of a factor of each term of [`sum_terms`], lane by lane: `times`·g·x,
    /// where g is the gradient of the term's sum and x the term's other factor, 1 if there is none.
    ///
    /// # Panics
    /// If the slices do not fit.
    pub fn scale_terms(
        counts: &[u32], lanes: usize, x: Option<&[T]>, g: &[T], times: T, out: &mut [T]
    ) {
        let terms: usize = counts.iter().map(|&count| count as usize).sum();
        assert!(out.len() == terms * lanes && x.is_none_or(|x| x.len() == out.len()));
    } loop(s) {
        let times = s.splat(times);
        let mut at = 0;
        for &count in counts {
            for g in g[..count as usize * lanes].chunks(S::WIDTH) {
                let n = g.len();
                let out = &mut out[at..at + n];
                // SAFETY: n numbers, 1 to WIDTH, are borrowed from each slice.
                unsafe {
                    let mut term = s.mul(times, s.load_first(g.as_ptr(), n));
                    if let Some(x) = x {
                        term = s.mul(s.load_first(x[at..at + n].as_ptr(), n), term);
                    }
                    s.store_first(out.as_mut_ptr(), n, term);
                }
                at += n;
            }
        }
    }

    /// Adds the sum of row i of x to `sums[i]`; rows have `lanes` numbers, which are added in an
    /// order that depends on `lanes` alone.
    ///
    /// # Panics
    /// If the slices do not fit.
    pub fn add_sums(x: &[T], lanes: usize, sums: &mut [T]) {
        assert_eq!(x.len(), sums.len() * lanes);
    } loop(_) {
        // Eight partial sums, whatever the vectors' width, so that all instruction sets agree.
        for (sum, x) in sums.iter_mut().zip(x.chunks_exact(lanes)) {
            let mut partial = [T::default(); 8];
            let (eights, rest) = x.as_chunks::<8>();
            for eight in eights {
                for (partial, &x) in partial.iter_mut().zip(eight) {
                    *partial = *partial + x;
                }
            }
            for (partial, &x) in partial.iter_mut().zip(rest) {
                *partial = *partial + x;
            }
            let [a, b, c, d, e, f, g, h] = partial;
            *sum = *sum + (((a + e) + (b + f)) + ((c + g) + (d + h)));
        }
    }
}

/// Returns Σ x, added in an order that depends on the length alone.
pub fn sum<T: Dispatch>(cpu: Cpu, x: &[T]) -> T {
    let mut total = [T::default()];
    add_sums(cpu, x, x.len().max(1), &mut total[..x.len().min(1)]);
    total[0]
}
