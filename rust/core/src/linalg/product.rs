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

use std::hint::black_box;
use std::sync::atomic::{Ordering, compiler_fence};

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
        self.add_up_ahead(cpu, pairs, out, &[]);
    }

    /// The same, and meanwhile brings into the cache what is needed next.
    ///
    /// # Panics
    /// If a slice is too short for its shape.
    pub fn add_up_ahead(self, cpu: Cpu, pairs: &[(&[T], &[T])], out: &mut [T], ahead: &[&[T]]) {
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
        cpu.run(Tiles { shape: self, pairs, out: out.as_mut_ptr(), ahead });
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
    ahead: &'a [&'a [T]],
}

impl<T: Float> Kernel<T> for Tiles<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd<T = T>>(self, s: S) {
        let Product { rows, columns, .. } = self.shape;
        // Rows are shared evenly: the last tile is not left with one or two of them.
        let tiles = rows.div_ceil(S::ROWS);
        let (height, higher) = (rows / tiles, rows % tiles);
        let (all, mut done) = (tiles * columns.div_ceil(2 * S::WIDTH), 0);
        let mut column = 0;
        while column < columns {
            let width = (columns - column).min(2 * S::WIDTH);
            let mut row = 0;
            for i in 0..tiles {
                let height = height + usize::from(i < higher);
                let place = Place { row, column, width };
                self.look_ahead(s, done, all);
                done += 1;
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
    /// Brings share `i` of `n` of what is needed next into the cache, line by line.
    #[inline(always)]
    fn look_ahead<S: Simd<T = T>>(&self, s: S, i: usize, n: usize) {
        let line = 64 / size_of::<T>();
        for next in self.ahead {
            let lines = next.len() / line;
            for at in i * lines / n..(i + 1) * lines / n {
                s.prefetch(next.as_ptr().wrapping_add(at * line));
            }
        }
    }

    /// Picks the code for the height of a tile.
    ///
    /// # Safety
    /// As for [`Tile`].
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
    /// As for [`Tile`].
    #[inline(always)]
    unsafe fn of_height<S: Simd<T = T>, const R: usize>(&self, s: S, place: Place) {
        if place.width == 2 * S::WIDTH {
            s.apart(Tile::<T, R, 2, true> { tiles: self, place });
        } else if place.width > S::WIDTH {
            s.apart(Tile::<T, R, 2, false> { tiles: self, place });
        } else {
            s.apart(Tile::<T, R, 1, false> { tiles: self, place });
        }
    }
}

/// A tile of R rows and V vectors, the last of which is whole or not.
///
/// Whoever makes one promises that it lies within the result, and that all slices have the lengths
/// of the shape.
struct Tile<'a, T, const R: usize, const V: usize, const WHOLE: bool> {
    tiles: &'a Tiles<'a, T>,
    place: Place,
}

impl<T: Float, const R: usize, const V: usize, const WHOLE: bool> Kernel<T>
    for Tile<'_, T, R, V, WHOLE>
{
    type Output = ();

    #[inline(always)]
    fn run<S: Simd<T = T>>(self, s: S) {
        let mut sums = [[s.splat(T::default()); V]; R];
        self.expect(s);
        for (a, b) in self.tiles.pairs {
            self.add(s, a.as_ptr(), b.as_ptr(), &mut sums);
        }
        self.write(s, sums);
    }
}

impl<T: Float, const R: usize, const V: usize, const WHOLE: bool> Tile<'_, T, R, V, WHOLE> {
    /// Brings into the cache what will be added to the sums, if that is far away.
    #[inline(always)]
    fn expect<S: Simd<T = T>>(&self, s: S) {
        const MANY: usize = 128;
        let Product { terms, beta, out_row, .. } = self.tiles.shape;
        if beta != T::default() && terms * self.tiles.pairs.len() >= MANY {
            for r in 0..R {
                let at = (self.place.row + r) * out_row + self.place.column;
                for v in 0..V {
                    s.prefetch(self.tiles.out.wrapping_add(at + v * S::WIDTH));
                }
            }
        }
    }

    /// Adds the product of a pair.
    #[inline(always)]
    #[allow(clippy::indexing_slicing, reason = "there are four groups of three rows at most")]
    fn add<S: Simd<T = T>>(&self, s: S, a: *const T, b: *const T, sums: &mut [[S::Reg; V]; R]) {
        let Product { terms, left_row, left_step, right_row, .. } = self.tiles.shape;
        // Pointers go one step too far at the end, where they are not read through. Each stands for
        // three rows: so the addresses of a step do not depend on each other. Without the black
        // box the compiler would make a chain of them again.
        let mut left = [a; 4];
        for (group, pointer) in left.iter_mut().enumerate() {
            *pointer = black_box(a.wrapping_add((self.place.row + 3 * group) * left_row));
        }
        let mut right = b.wrapping_add(self.place.column);
        for _ in 0..terms {
            let mut row = [s.splat(T::default()); V];
            for (v, y) in row.iter_mut().enumerate() {
                *y = self.load(s, right, v);
            }
            for (r, sums) in sums.iter_mut().enumerate() {
                // SAFETY: within A, as add_up has checked.
                let x = s.splat(unsafe { *left[r / 3].wrapping_add(r % 3 * left_row) });
                for (sum, y) in sums.iter_mut().zip(row) {
                    *sum = s.fma(x, y, *sum);
                }
                // A number is read when it is needed: the compiler would read all of them first,
                // and have no registers left for the sums.
                compiler_fence(Ordering::SeqCst);
            }
            for pointer in &mut left {
                *pointer = pointer.wrapping_add(left_step);
            }
            right = right.wrapping_add(right_row);
        }
    }

    /// Writes α·sums + β·(what was there before).
    #[inline(always)]
    fn write<S: Simd<T = T>>(&self, s: S, sums: [[S::Reg; V]; R]) {
        let Product { alpha, beta, out_row, .. } = self.tiles.shape;
        let (alpha, keeps, beta) = (s.splat(alpha), beta != T::default(), s.splat(beta));
        for (r, sums) in sums.into_iter().enumerate() {
            let at = (self.place.row + r) * out_row + self.place.column;
            let to = self.tiles.out.wrapping_add(at);
            for (v, sum) in sums.into_iter().enumerate() {
                let x = s.mul(alpha, sum);
                let x = if keeps { s.fma(beta, self.load(s, to, v), x) } else { x };
                // SAFETY: within the result, which the call has borrowed for writing.
                unsafe {
                    let to = to.add(v * S::WIDTH);
                    match self.partial::<S>(v) {
                        None => s.store(to, x),
                        Some(n) => s.store_first(to, n, x),
                    }
                }
            }
        }
    }

    /// Vector v of a row that begins at an address, as far as it belongs to the tile.
    #[inline(always)]
    fn load<S: Simd<T = T>>(&self, s: S, row: *const T, v: usize) -> S::Reg {
        // SAFETY: the columns of the tile lie within the rows of B and of the result.
        unsafe {
            let from = row.add(v * S::WIDTH);
            match self.partial::<S>(v) {
                None => s.load(from),
                Some(n) => s.load_first(from, n),
            }
        }
    }

    /// How many numbers of vector v belong to the tile, if not all.
    #[inline(always)]
    fn partial<S: Simd<T = T>>(&self, v: usize) -> Option<usize> {
        (!WHOLE && v + 1 == V).then(|| self.place.width - v * S::WIDTH)
    }
}
