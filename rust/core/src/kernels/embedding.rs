//! Rows of an embedding matrix by id: gather, and scatter-add of their gradients.

use super::optim::RangeCheck;
use super::simd::kernels;

/// The id of a row that [`scatter_add`] skips, because the matrix it is given does not hold it.
pub const SKIP: u32 = u32::MAX;

/// The shape of x: each row holds the embeddings of one example's context, side by side.
#[derive(Clone, Copy, Debug)]
pub struct Layout {
    /// m, the length of an embedding.
    pub dim: usize,
    /// c, the number of embeddings side by side.
    pub context: usize,
    /// Row stride of x.
    pub x_stride: usize,
}

impl Layout {
    /// Asserts that x has a row for each context.
    fn check(&self, ids: usize, x: usize) {
        let Layout { dim, context, x_stride } = *self;
        assert!(dim > 0 && context > 0 && x_stride >= context * dim, "{self:?}");
        assert!(ids.is_multiple_of(context), "{ids} ids are no contexts of {context}");
        assert!(ids / context * x_stride <= x, "x too short");
    }
}

kernels! {
    /// Copies rows of `table` to x: row i of x gets the rows with the ids of context i, side by side.
    ///
    /// # Panics
    /// If x is too short, or an id is no row of the table.
    pub fn gather(layout: Layout, table: &[T], ids: &[u32], x: &mut [T]) {
        layout.check(ids.len(), x.len());
    } loop(s) {
        let Layout { dim, context, x_stride } = layout;
        let contexts = ids.chunks_exact(context);
        for (ids, x) in contexts.zip(x.chunks_exact_mut(x_stride)) {
            for (&id, x) in ids.iter().zip(x.chunks_exact_mut(dim)) {
                let row = &table[id as usize * dim..][..dim];
                for (to, from) in x.chunks_mut(S::WIDTH).zip(row.chunks(S::WIDTH)) {
                    let n = to.len();
                    // SAFETY: n numbers, 1 to WIDTH, are borrowed in both, which are of one length.
                    unsafe { s.store_first(to.as_mut_ptr(), n, s.load_first(from.as_ptr(), n)) };
                }
            }
        }
    }

    /// Adds α times the rows of dx to the rows of `table` with the same ids, in the order of the ids:
    /// the backward pass of [`gather`]. Rows with the id [`SKIP`] are skipped. Returns true if all
    /// rows that were changed are finite and below [`LARGE`](super::Float::LARGE).
    ///
    /// # Panics
    /// If dx is too short, or another id is no row of the table.
    #[must_use]
    pub fn scatter_add(
        layout: Layout, alpha: T, dx: &[T], ids: &[u32], table: &mut [T]
    ) -> bool {
        layout.check(ids.len(), dx.len());
    } loop(s) {
        let Layout { dim, context, x_stride } = layout;
        let (alpha, mut range) = (s.splat(alpha), RangeCheck::new(s));
        let contexts = ids.chunks_exact(context);
        for (ids, dx) in contexts.zip(dx.chunks_exact(x_stride)) {
            for (&id, dx) in ids.iter().zip(dx.chunks_exact(dim)) {
                if id == SKIP {
                    continue;
                }
                let row = &mut table[id as usize * dim..][..dim];
                for (to, from) in row.chunks_mut(S::WIDTH).zip(dx.chunks(S::WIDTH)) {
                    let n = to.len();
                    // SAFETY: n numbers, 1 to WIDTH, are borrowed in both, which are of one length.
                    unsafe {
                        let sum = s.load_first(to.as_ptr(), n);
                        let sum = s.fma(alpha, s.load_first(from.as_ptr(), n), sum);
                        s.store_first(to.as_mut_ptr(), n, sum);
                        range.add(s, sum);
                    }
                }
            }
        }
        range.holds(s)
    }
}
