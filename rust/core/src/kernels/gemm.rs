//! Sums of matrix products: C ← β·C + α·Σ A·B, where all A have one shape, and all B.
//!
//! ```text
//! for each register tile of C, S::ROWS × 2 vectors at most:
//!     sums ← 0                                            a tile of registers
//!     for each pair (A, B), for p in 0..k:
//!         sums[i] += A[i, p] · B[p, columns of the tile]  broadcast times vector
//!     C ← β·C + α·sums
//! ```
//!
//! A may have any strides, so that A·B and Aᵀ·B are one kernel. The column strides of B and C are
//! 1: for A·Bᵀ the caller transposes B first, with [`super::elementwise::transpose`].
//!
//! Every element of C is summed in the order of pairs and p, whatever tile it is in, so that the
//! result does not depend on how rows and columns are partitioned among calls and threads.
//!
//! Tried without gain: packing A. It is small here, and read from the caches in order as it is.

use std::hint::black_box;
use std::sync::atomic::{Ordering, compiler_fence};

use super::dispatch::{Cpu, Dispatch};
use super::simd::{Float, Kernel, Simd};

/// The sizes, strides (in numbers) and factors of a gemm, named as in the crate `matrixmultiply`.
#[derive(Clone, Copy, Debug)]
pub struct Gemm<T> {
    /// Rows of A and C.
    pub m: usize,
    /// Columns of A, rows of B.
    pub k: usize,
    /// Columns of B and C.
    pub n: usize,
    /// The factor of Σ A·B.
    pub alpha: T,
    /// Row stride of A.
    pub rsa: usize,
    /// Column stride of A.
    pub csa: usize,
    /// Row stride of B.
    pub rsb: usize,
    /// The factor of the former C; where it is 0, C is not read.
    pub beta: T,
    /// Row stride of C.
    pub rsc: usize,
}

impl<T: Dispatch> Gemm<T> {
    /// Returns the gemm C = A·B of contiguous matrices.
    #[must_use]
    pub fn dense(m: usize, k: usize, n: usize) -> Gemm<T> {
        let (alpha, beta) = (T::from_f64(1.0), T::default());
        Gemm { m, k, n, alpha, rsa: k, csa: 1, rsb: n, beta, rsc: n }
    }

    /// Returns the gemm C = Aᵀ·B of contiguous matrices, of which A is (k, m).
    #[must_use]
    pub fn transposed(m: usize, k: usize, n: usize) -> Gemm<T> {
        Gemm { rsa: 1, csa: m, ..Gemm::dense(m, k, n) }
    }

    /// Computes C from pairs (A, B), whose products are summed in this order.
    ///
    /// # Panics
    /// If a slice is too short for its shape.
    pub fn gemm(self, cpu: Cpu, pairs: &[(&[T], &[T])], c: &mut [T]) {
        self.gemm_prefetching(cpu, pairs, c, &[]);
    }

    /// Computes C, and prefetches slices that the caller needs next.
    ///
    /// # Panics
    /// If a slice is too short for its shape.
    pub fn gemm_prefetching(self, cpu: Cpu, pairs: &[(&[T], &[T])], c: &mut [T], next: &[&[T]]) {
        let Gemm { m, k, n, rsa, csa, rsb, rsc, .. } = self;
        if m == 0 || n == 0 {
            return;
        }
        assert!(rsc >= n, "rows of C must not overlap");
        assert!(span(m, rsc, n, 1) <= c.len(), "C too short");
        if k > 0 {
            let (a_len, b_len) = (span(m, rsa, k, csa), span(k, rsb, n, 1));
            for (a, b) in pairs {
                assert!(a_len <= a.len() && b_len <= b.len(), "operand too short");
            }
        }
        cpu.run(Tiles { gemm: self, pairs, c: c.as_mut_ptr(), next });
    }
}

/// Returns the length that a matrix of at least one row and column spans.
fn span(rows: usize, rs: usize, cols: usize, cs: usize) -> usize {
    let last = (rows - 1).checked_mul(rs).zip((cols - 1).checked_mul(cs));
    last.and_then(|(a, b)| a.checked_add(b)?.checked_add(1)).unwrap_or(usize::MAX)
}

struct Tiles<'a, T> {
    gemm: Gemm<T>,
    pairs: &'a [(&'a [T], &'a [T])],
    /// Borrowed by [`Gemm::gemm_prefetching`] for as long as this lives.
    c: *mut T,
    next: &'a [&'a [T]],
}

impl<T: Float> Kernel<T> for Tiles<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd<T = T>>(self, s: S) {
        let Gemm { m, n, .. } = self.gemm;
        // Rows are partitioned evenly, so that no tile is left with only one or two of them.
        let tiles = m.div_ceil(S::ROWS);
        let (height, higher) = (m / tiles, m % tiles);
        let (all, mut done) = (tiles * n.div_ceil(2 * S::WIDTH), 0);
        let mut col = 0;
        while col < n {
            let width = (n - col).min(2 * S::WIDTH);
            let mut row = 0;
            for i in 0..tiles {
                let height = height + usize::from(i < higher);
                let at = TileAt { row, col, width };
                self.prefetch_next(s, done, all);
                done += 1;
                // SAFETY: gemm_prefetching has checked all lengths, and the tile lies within C.
                unsafe { self.tile(s, at, height) };
                row += height;
            }
            col += width;
        }
    }
}

/// The position of a tile in C, and its number of columns.
#[derive(Clone, Copy)]
struct TileAt {
    row: usize,
    col: usize,
    width: usize,
}

impl<T: Float> Tiles<'_, T> {
    /// Prefetches part `i` of `n` of the slices that are needed next, one load per cache line.
    #[inline(always)]
    fn prefetch_next<S: Simd<T = T>>(&self, s: S, i: usize, n: usize) {
        let line = 64 / size_of::<T>();
        for next in self.next {
            let lines = next.len() / line;
            for at in i * lines / n..(i + 1) * lines / n {
                s.prefetch(next.as_ptr().wrapping_add(at * line));
            }
        }
    }

    /// Runs the micro-kernel of a tile's height.
    ///
    /// # Safety
    /// As for [`Tile`].
    #[inline(always)]
    unsafe fn tile<S: Simd<T = T>>(&self, s: S, at: TileAt, height: usize) {
        // SAFETY: the caller's promise.
        unsafe {
            match height {
                1 => self.of_height::<S, 1>(s, at),
                2 => self.of_height::<S, 2>(s, at),
                3 => self.of_height::<S, 3>(s, at),
                4 => self.of_height::<S, 4>(s, at),
                5 if S::ROWS >= 5 => self.of_height::<S, 5>(s, at),
                6 if S::ROWS >= 6 => self.of_height::<S, 6>(s, at),
                7 if S::ROWS >= 7 => self.of_height::<S, 7>(s, at),
                8 if S::ROWS >= 8 => self.of_height::<S, 8>(s, at),
                9 if S::ROWS >= 9 => self.of_height::<S, 9>(s, at),
                10 if S::ROWS >= 10 => self.of_height::<S, 10>(s, at),
                11 if S::ROWS >= 11 => self.of_height::<S, 11>(s, at),
                12 if S::ROWS >= 12 => self.of_height::<S, 12>(s, at),
                _ => unreachable!("a tile of {height} rows"),
            }
        }
    }

    /// Runs the micro-kernel of a tile's width: one vector or two, the last one full or partial.
    ///
    /// # Safety
    /// As for [`Tile`].
    #[inline(always)]
    unsafe fn of_height<S: Simd<T = T>, const R: usize>(&self, s: S, at: TileAt) {
        if at.width == 2 * S::WIDTH {
            s.call_outlined(Tile::<T, R, 2, true> { tiles: self, at });
        } else if at.width > S::WIDTH {
            s.call_outlined(Tile::<T, R, 2, false> { tiles: self, at });
        } else {
            s.call_outlined(Tile::<T, R, 1, false> { tiles: self, at });
        }
    }
}

/// The micro-kernel: a tile of R rows and V vectors, the last of which is full or partial.
///
/// It is made only where the tile lies within C and all slices have the lengths of the gemm.
struct Tile<'a, T, const R: usize, const V: usize, const FULL: bool> {
    tiles: &'a Tiles<'a, T>,
    at: TileAt,
}

impl<T: Float, const R: usize, const V: usize, const FULL: bool> Kernel<T>
    for Tile<'_, T, R, V, FULL>
{
    type Output = ();

    #[inline(always)]
    fn run<S: Simd<T = T>>(self, s: S) {
        let mut sums = [[s.splat(T::default()); V]; R];
        self.prefetch_c(s);
        for (a, b) in self.tiles.pairs {
            self.accumulate(s, a.as_ptr(), b.as_ptr(), &mut sums);
        }
        self.store(s, sums);
    }
}

impl<T: Float, const R: usize, const V: usize, const FULL: bool> Tile<'_, T, R, V, FULL> {
    /// Prefetches the C tile when β ≠ 0 and the products take long enough for it to arrive.
    #[inline(always)]
    fn prefetch_c<S: Simd<T = T>>(&self, s: S) {
        const MANY: usize = 128;
        let Gemm { k, beta, rsc, .. } = self.tiles.gemm;
        if beta != T::default() && k * self.tiles.pairs.len() >= MANY {
            for r in 0..R {
                let at = (self.at.row + r) * rsc + self.at.col;
                for v in 0..V {
                    s.prefetch(self.tiles.c.wrapping_add(at + v * S::WIDTH));
                }
            }
        }
    }

    /// Adds the product of a pair to the sums.
    #[inline(always)]
    fn accumulate<S: Simd<T = T>>(
        &self,
        s: S,
        a: *const T,
        b: *const T,
        sums: &mut [[S::Reg; V]; R],
    ) {
        let Gemm { k, rsa, csa, rsb, .. } = self.tiles.gemm;
        // A pointer for every three rows, so that the addresses of a step do not depend on each
        // other; without the black box the compiler would chain them again. After the last step the
        // pointers are beyond A, and are not dereferenced.
        let mut a_rows = [a; 4];
        for (group, pointer) in a_rows.iter_mut().enumerate() {
            *pointer = black_box(a.wrapping_add((self.at.row + 3 * group) * rsa));
        }
        let mut b_row = b.wrapping_add(self.at.col);
        for _ in 0..k {
            let mut row = [s.splat(T::default()); V];
            for (v, y) in row.iter_mut().enumerate() {
                *y = self.load(s, b_row, v);
            }
            for (r, sums) in sums.iter_mut().enumerate() {
                // SAFETY: within A, as gemm_prefetching has checked.
                let x = s.splat(unsafe { *a_rows[r / 3].wrapping_add(r % 3 * rsa) });
                for (sum, y) in sums.iter_mut().zip(row) {
                    *sum = s.fma(x, y, *sum);
                }
                // Keeps the compiler from loading all rows of A first, which would take the
                // registers of the sums.
                compiler_fence(Ordering::SeqCst);
            }
            for pointer in &mut a_rows {
                *pointer = pointer.wrapping_add(csa);
            }
            b_row = b_row.wrapping_add(rsb);
        }
    }

    /// Stores α·sums + β·C.
    #[inline(always)]
    fn store<S: Simd<T = T>>(&self, s: S, sums: [[S::Reg; V]; R]) {
        let Gemm { alpha, beta, rsc, .. } = self.tiles.gemm;
        let (alpha, keeps, beta) = (s.splat(alpha), beta != T::default(), s.splat(beta));
        for (r, sums) in sums.into_iter().enumerate() {
            let at = (self.at.row + r) * rsc + self.at.col;
            let to = self.tiles.c.wrapping_add(at);
            for (v, sum) in sums.into_iter().enumerate() {
                let x = s.mul(alpha, sum);
                let x = if keeps { s.fma(beta, self.load(s, to, v), x) } else { x };
                // SAFETY: within C, which the call has borrowed for writing.
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

    /// Loads vector v of a row of B or C, up to the tile's last column.
    #[inline(always)]
    fn load<S: Simd<T = T>>(&self, s: S, row: *const T, v: usize) -> S::Reg {
        // SAFETY: the tile's columns lie within the rows of B and C.
        unsafe {
            let from = row.add(v * S::WIDTH);
            match self.partial::<S>(v) {
                None => s.load(from),
                Some(n) => s.load_first(from, n),
            }
        }
    }

    /// Returns the number of lanes of vector v that lie within the tile, or None if all do.
    #[inline(always)]
    fn partial<S: Simd<T = T>>(&self, v: usize) -> Option<usize> {
        (!FULL && v + 1 == V).then(|| self.at.width - v * S::WIDTH)
    }
}
