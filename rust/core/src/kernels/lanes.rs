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

    /// Adds to each number the sum of its `lanes` terms, in an order that depends on `lanes` alone.
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

/// Sums x·y within segments, or x without y: of each segment's rows of `lanes` numbers the sum, lane
/// by lane.
///
/// # Panics
/// If a slice is too short.
pub fn segment_sums<T: Dispatch>(
    cpu: Cpu,
    starts: &[u32],
    lanes: usize,
    (x, y): (&[T], Option<&[T]>),
    out: &mut [T],
) {
    let rows = starts[starts.len() - 1] as usize;
    assert_eq!(x.len(), rows * lanes);
    assert!(y.is_none_or(|y| y.len() == x.len()));
    assert_eq!(out.len(), (starts.len() - 1) * lanes);
    match y {
        Some(y) => sum_segments(cpu, starts, lanes, out, |i: usize| x[i] * y[i]),
        None => sum_segments(cpu, starts, lanes, out, |i: usize| x[i]),
    }
}

/// Multiplies each term of a segment by the segment's number, lane by lane: what
/// [`segment_sums`] sends back to one factor of its terms. Without `x` it is the number itself.
///
/// # Panics
/// If a slice is too short.
pub fn segment_products<T: Dispatch>(
    cpu: Cpu,
    starts: &[u32],
    lanes: usize,
    (x, numbers): (Option<&[T]>, &[T]),
    out: &mut [T],
) {
    let rows = starts[starts.len() - 1] as usize;
    assert_eq!(out.len(), rows * lanes);
    assert_eq!(numbers.len(), (starts.len() - 1) * lanes);
    assert!(x.is_none_or(|x| x.len() == out.len()));
    match x {
        Some(x) => map_segments(cpu, starts, lanes, numbers, out, |i: usize, g| x[i] * g),
        None => map_segments(cpu, starts, lanes, numbers, out, |_: usize, g| g),
    }
}

kernels! {
    fn sum_segments[F: Fn(usize) -> T](starts: &[u32], lanes: usize, out: &mut [T], term: F) {
    } loop(_) {
        let bounds = starts.windows(2);
        if lanes == 1 {
            for (out, bounds) in out.iter_mut().zip(bounds) {
                let segment = bounds[0] as usize..bounds[1] as usize;
                *out = segment.fold(T::default(), |sum, i| sum + term(i));
            }
            return;
        }
        for (out, bounds) in out.chunks_exact_mut(lanes).zip(bounds) {
            out.fill(T::default());
            for row in bounds[0] as usize..bounds[1] as usize {
                for (lane, out) in out.iter_mut().enumerate() {
                    *out = *out + term(row * lanes + lane);
                }
            }
        }
    }

    fn map_segments[F: Fn(usize, T) -> T](
        starts: &[u32], lanes: usize, numbers: &[T], out: &mut [T], term: F
    ) {
    } loop(_) {
        for (bounds, numbers) in starts.windows(2).zip(numbers.chunks_exact(lanes)) {
            for row in bounds[0] as usize..bounds[1] as usize {
                let out = &mut out[row * lanes..(row + 1) * lanes];
                for (lane, (out, &number)) in out.iter_mut().zip(numbers).enumerate() {
                    *out = term(row * lanes + lane, number);
                }
            }
        }
    }
}
