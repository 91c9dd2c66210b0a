//! Sums of matrix products: out ← β·out + α·Σ A·B.
//!
//! One kernel serves for A·B and Aᵀ·B: numbers of A are read one by one, with any strides, and
//! spread over a vector; rows of B and of the result are read and written as vectors. A tile of the
//! result, a few rows high and two vectors wide, stays in registers while a column of A and a row
//! of B after the other are added. A·Bᵀ is asked for as (B·Aᵀ)ᵀ, with panels in the right places.
//!
//! Every number of the result is added up in the order of the terms, wherever it lies in a tile:
//! so the result does not depend on how rows and columns are shared among calls.
//!
//! Tried without gain: packing A. It is small here, and read from the caches in order as it is.

use super::cpu::{Cpu, Kernel};
use super::float::Float;
use super::simd::Simd;

/// The shapes of a product. Strides are in numbers.
#[derive(Clone, Copy, Debug)]
pub struct Product<T> {
    /// Rows of A and of the result.
    pub rows: usize,
    /// Columns of B and of the result.
    pub columns: usize,
    /// Columns of each A, rows of each B.
    pub terms: usize,
    /// From a row of A to the next.
    pub left_row: usize,
    /// From a column of A to the next.
    pub left_step: usize,
    /// From a row of B to the next.
    pub right_row: usize,
    /// From a row of the result to the next.
    pub out_row: usize,
    /// What the sum of products is multiplied by.
    pub alpha: T,
    /// What the former content of the result is multiplied by; with 0 it is not read.
    pub beta: T,
}

impl<T: Float> Product<T> {
    /// Computes it for pairs (A, B), the products of which are added up in this order.
    ///
    /// # Panics
    /// If a slice is too short for its shape.
    pub fn add_up(self, cpu: Cpu, pairs: &[(&[T], &[T])], out: &mut [T]) {
        if self.rows == 0 || self.columns == 0 {
            return;
        }
        assert!(self.out_row >= self.columns, "rows of the result must not overlap");
        assert!(extent(self.rows, self.out_row, self.columns, 1) <= out.len(), "result too short");
        if self.terms > 0 {
            let left = extent(self.rows, self.left_row, self.terms, self.left_step);
            let right = extent(self.terms, self.right_row, self.columns, 1);
            for (a, b) in pairs {
                assert!(left <= a.len() && right <= b.len(), "operand too short");
            }
        }
        cpu.run(Tiles { shape: self, pairs, out: out.as_mut_ptr() });
    }
}

/// How many numbers a matrix with these strides spans, at least one row and column given.
fn extent(rows: usize, row: usize, columns: usize, column: usize) -> usize {
    let last = (rows - 1).checked_mul(row).zip((columns - 1).checked_mul(column));
    last.and_then(|(a, b)| a.checked_add(b)?.checked_add(1)).unwrap_or(usize::MAX)
}

struct Tiles<'a, T> {
    shape: Product<T>,
    pairs: &'a [(&'a [T], &'a [T])],
    /// Borrowed by the call that this is a part of.
    out: *mut T,
}

impl<T: Float> Kernel<T> for Tiles<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd<T = T>>(self, s: S) {
        let Product { rows, columns, .. } = self.shape;
        // Rows are shared evenly: the last tile is not left with one or two of them.
        let tiles = rows.div_ceil(S::ROWS);
        let (height, higher) = (rows / tiles, rows % tiles);
        let mut column = 0;
        while column < columns {
            let width = (columns - column).min(2 * S::WIDTH);
            let mut row = 0;
            for i in 0..tiles {
                let height = height + usize::from(i < higher);
                let place = Place { row, column, width };
                // SAFETY: add_up has checked all lengths, and the place lies within the result.
                unsafe { self.tile(s, place, height) };
                row += height;
            }
            column += width;
        }
    }
}

/// Where a tile lies, and how many columns it has.
#[derive(Clone, Copy)]
struct Place {
    row: usize,
    column: usize,
    width: usize,
}

impl<T: Float> Tiles<'_, T> {
    /// Picks the code for the height of a tile.
    ///
    /// # Safety
    /// As for [`accumulate`].
    #[inline(always)]
    unsafe fn tile<S: Simd<T = T>>(&self, s: S, place: Place, height: usize) {
        // SAFETY: the caller's promise.
        unsafe {
            match height {
                1 => self.of_height::<S, 1>(s, place),
                2 => self.of_height::<S, 2>(s, place),
                3 => self.of_height::<S, 3>(s, place),
                4 => self.of_height::<S, 4>(s, place),
                5 if S::ROWS >= 5 => self.of_height::<S, 5>(s, place),
                6 if S::ROWS >= 6 => self.of_height::<S, 6>(s, place),
                7 if S::ROWS >= 7 => self.of_height::<S, 7>(s, place),
                8 if S::ROWS >= 8 => self.of_height::<S, 8>(s, place),
                9 if S::ROWS >= 9 => self.of_height::<S, 9>(s, place),
                10 if S::ROWS >= 10 => self.of_height::<S, 10>(s, place),
                11 if S::ROWS >= 11 => self.of_height::<S, 11>(s, place),
                12 if S::ROWS >= 12 => self.of_height::<S, 12>(s, place),
                _ => {}
            }
        }
    }

    /// Picks the code for the width of a tile: one vector or two, the last one whole or not.
    ///
    /// # Safety
    /// As for [`accumulate`].
    #[inline(always)]
    unsafe fn of_height<S: Simd<T = T>, const R: usize>(&self, s: S, place: Place) {
        // SAFETY: the caller's promise.
        unsafe {
            if place.width == 2 * S::WIDTH {
                self.accumulate::<S, R, 2, true>(s, place);
            } else if place.width > S::WIDTH {
                self.accumulate::<S, R, 2, false>(s, place);
            } else {
                self.accumulate::<S, R, 1, false>(s, place);
            }
        }
    }

    /// A tile of R rows and V vectors, the last of which is whole or not.
    ///
    /// # Safety
    /// Rows and columns lie within the result, and all slices have the lengths of the shape.
    #[inline(always)]
    unsafe fn accumulate<S: Simd<T = T>, const R: usize, const V: usize, const WHOLE: bool>(
        &self,
        s: S,
        place: Place,
    ) {
        let shape = &self.shape;
        let last = place.width - (V - 1) * S::WIDTH;
        let load = |from: *const T, v: usize| {
            // SAFETY: the columns of the tile lie within the rows of B and of the result.
            unsafe {
                let from = from.add(v * S::WIDTH);
                if WHOLE || v + 1 < V { s.load(from) } else { s.load_first(from, last) }
            }
        };
        let mut sums = [[s.splat(T::default()); V]; R];
        for (a, b) in self.pairs {
            // Pointers go one step too far at the end, where they are not read through.
            let mut a = a.as_ptr().wrapping_add(place.row * shape.left_row);
            let mut b = b.as_ptr().wrapping_add(place.column);
            for _ in 0..shape.terms {
                let mut right = [s.splat(T::default()); V];
                for (v, x) in right.iter_mut().enumerate() {
                    *x = load(b, v);
                }
                for (r, sums) in sums.iter_mut().enumerate() {
                    // SAFETY: within A, as add_up has checked.
                    let left = s.splat(unsafe { *a.wrapping_add(r * shape.left_row) });
                    for (sum, x) in sums.iter_mut().zip(right) {
                        *sum = s.fma(left, x, *sum);
                    }
                }
                a = a.wrapping_add(shape.left_step);
                b = b.wrapping_add(shape.right_row);
            }
        }
        let (alpha, beta) = (s.splat(shape.alpha), s.splat(shape.beta));
        let keeps = shape.beta != T::default();
        for (r, sums) in sums.into_iter().enumerate() {
            let at = (place.row + r) * shape.out_row + place.column;
            let to = self.out.wrapping_add(at);
            for (v, sum) in sums.into_iter().enumerate() {
                let x = s.mul(alpha, sum);
                let x = if keeps { s.fma(beta, load(to, v), x) } else { x };
                // SAFETY: within the result, which the call has borrowed for writing.
                unsafe {
                    let to = to.add(v * S::WIDTH);
                    if WHOLE || v + 1 < V { s.store(to, x) } else { s.store_first(to, last, x) }
                }
            }
        }
    }
}
