//! Functions applied number by number to whole slices.
//!
//! The closures are compiled into the kernel's loop, with its instruction set: they must be small
//! enough to be inlined.

use super::dispatch::{Cpu, Dispatch};
use super::simd::{Float, Kernel, Simd};

/// out = f(x)
///
/// # Panics
/// If the slices differ in length.
pub fn map<T: Dispatch>(cpu: Cpu, x: &[T], out: &mut [T], f: impl Fn(T) -> T) {
    assert_eq!(x.len(), out.len());
    cpu.run(Map { x, out, f });
}

struct Map<'a, T, F> {
    x: &'a [T],
    out: &'a mut [T],
    f: F,
}

impl<T: Float, F: Fn(T) -> T> Kernel<T> for Map<'_, T, F> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd<T = T>>(self, _: S) {
        for (out, &x) in self.out.iter_mut().zip(self.x) {
            *out = (self.f)(x);
        }
    }
}

/// out = f(x, y)
///
/// # Panics
/// If the slices differ in length.
pub fn zip<T: Dispatch>(cpu: Cpu, x: &[T], y: &[T], out: &mut [T], f: impl Fn(T, T) -> T) {
    assert!(x.len() == out.len() && y.len() == out.len());
    cpu.run(Zip { x, y, out, f });
}

struct Zip<'a, T, F> {
    x: &'a [T],
    y: &'a [T],
    out: &'a mut [T],
    f: F,
}

impl<T: Float, F: Fn(T, T) -> T> Kernel<T> for Zip<'_, T, F> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd<T = T>>(self, _: S) {
        for ((out, &x), &y) in self.out.iter_mut().zip(self.x).zip(self.y) {
            *out = (self.f)(x, y);
        }
    }
}

/// out = f(x, y, z)
///
/// # Panics
/// If the slices differ in length.
pub fn zip3<T: Dispatch>(cpu: Cpu, [x, y, z]: [&[T]; 3], out: &mut [T], f: impl Fn(T, T, T) -> T) {
    assert!(x.len() == out.len() && y.len() == out.len() && z.len() == out.len());
    cpu.run(Zip3 { x, y, z, out, f });
}

struct Zip3<'a, T, F> {
    x: &'a [T],
    y: &'a [T],
    z: &'a [T],
    out: &'a mut [T],
    f: F,
}

impl<T: Float, F: Fn(T, T, T) -> T> Kernel<T> for Zip3<'_, T, F> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd<T = T>>(self, _: S) {
        let operands = self.x.iter().zip(self.y).zip(self.z);
        for (out, ((&x, &y), &z)) in self.out.iter_mut().zip(operands) {
            *out = (self.f)(x, y, z);
        }
    }
}

/// `out = from[indices]`
///
/// # Panics
/// If an index is out of range, or the slices differ in length.
pub fn gather<T: Dispatch>(cpu: Cpu, from: &[T], indices: &[u32], out: &mut [T]) {
    assert_eq!(indices.len(), out.len());
    cpu.run(Gather { from, indices, out });
}

struct Gather<'a, T> {
    from: &'a [T],
    indices: &'a [u32],
    out: &'a mut [T],
}

impl<T: Float> Kernel<T> for Gather<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd<T = T>>(self, _: S) {
        for (out, &index) in self.out.iter_mut().zip(self.indices) {
            *out = self.from[index as usize];
        }
    }
}

/// sums += x
///
/// # Panics
/// If the slices differ in length.
pub fn add_to<T: Dispatch>(cpu: Cpu, x: &[T], sums: &mut [T]) {
    assert_eq!(x.len(), sums.len());
    cpu.run(AddTo { x, sums });
}

struct AddTo<'a, T> {
    x: &'a [T],
    sums: &'a mut [T],
}

impl<T: Float> Kernel<T> for AddTo<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd<T = T>>(self, _: S) {
        for (sum, &x) in self.sums.iter_mut().zip(self.x) {
            *sum = *sum + x;
        }
    }
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
    let rows = starts.last().map_or(0, |&end| end as usize);
    assert_eq!(x.len(), rows * lanes);
    assert!(y.is_none_or(|y| y.len() == x.len()));
    assert_eq!(out.len(), (starts.len() - 1) * lanes);
    match y {
        Some(y) => cpu.run(SegmentSums { starts, lanes, out, term: |i: usize| x[i] * y[i] }),
        None => cpu.run(SegmentSums { starts, lanes, out, term: |i: usize| x[i] }),
    }
}

struct SegmentSums<'a, T, F> {
    starts: &'a [u32],
    lanes: usize,
    out: &'a mut [T],
    term: F,
}

impl<T: Float, F: Fn(usize) -> T> Kernel<T> for SegmentSums<'_, T, F> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd<T = T>>(self, _: S) {
        let bounds = self.starts.windows(2);
        if self.lanes == 1 {
            for (out, bounds) in self.out.iter_mut().zip(bounds) {
                let segment = bounds[0] as usize..bounds[1] as usize;
                *out = segment.fold(T::default(), |sum, i| sum + (self.term)(i));
            }
            return;
        }
        for (out, bounds) in self.out.chunks_exact_mut(self.lanes).zip(bounds) {
            out.fill(T::default());
            for row in bounds[0] as usize..bounds[1] as usize {
                for (lane, out) in out.iter_mut().enumerate() {
                    *out = *out + (self.term)(row * self.lanes + lane);
                }
            }
        }
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
    let rows = starts.last().map_or(0, |&end| end as usize);
    assert_eq!(out.len(), rows * lanes);
    assert_eq!(numbers.len(), (starts.len() - 1) * lanes);
    assert!(x.is_none_or(|x| x.len() == out.len()));
    match x {
        Some(x) => {
            cpu.run(SegmentProducts { starts, lanes, numbers, out, term: |i: usize, g| x[i] * g });
        }
        None => cpu.run(SegmentProducts { starts, lanes, numbers, out, term: |_: usize, g| g }),
    }
}

struct SegmentProducts<'a, T, F> {
    starts: &'a [u32],
    lanes: usize,
    numbers: &'a [T],
    out: &'a mut [T],
    term: F,
}

impl<T: Float, F: Fn(usize, T) -> T> Kernel<T> for SegmentProducts<'_, T, F> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd<T = T>>(self, _: S) {
        for (bounds, numbers) in self.starts.windows(2).zip(self.numbers.chunks_exact(self.lanes)) {
            for row in bounds[0] as usize..bounds[1] as usize {
                let out = &mut self.out[row * self.lanes..(row + 1) * self.lanes];
                for (lane, (out, &number)) in out.iter_mut().zip(numbers).enumerate() {
                    *out = (self.term)(row * self.lanes + lane, number);
                }
            }
        }
    }
}

/// Returns Σ x, added in an order that depends on the length alone.
pub fn sum<T: Dispatch>(cpu: Cpu, x: &[T]) -> T {
    let mut total = [T::default()];
    add_sums(cpu, x, x.len().max(1), &mut total[..x.len().min(1)]);
    total[0]
}

/// Adds to each number the sum of its `lanes` terms, in an order that depends on `lanes` alone.
///
/// # Panics
/// If the slices do not fit.
pub fn add_sums<T: Dispatch>(cpu: Cpu, x: &[T], lanes: usize, sums: &mut [T]) {
    assert_eq!(x.len(), sums.len() * lanes);
    cpu.run(AddSums { x, lanes, sums });
}

struct AddSums<'a, T> {
    x: &'a [T],
    lanes: usize,
    sums: &'a mut [T],
}

impl<T: Float> Kernel<T> for AddSums<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd<T = T>>(self, _: S) {
        // Eight partial sums, whatever the vectors' width, so that all instruction sets agree.
        for (sum, x) in self.sums.iter_mut().zip(self.x.chunks_exact(self.lanes)) {
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
