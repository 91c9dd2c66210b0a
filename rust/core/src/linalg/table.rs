//! Rows of a table, looked up and added to by number.

use super::cpu::{Cpu, Kernel};
use super::float::Float;
use super::simd::Simd;
use super::update::Range;

/// A matrix in rows, of which several lie side by side in a row of another one.
#[derive(Clone, Copy, Debug)]
pub struct Layout {
    /// Numbers in a row of the table.
    pub width: usize,
    /// How many of its rows lie side by side.
    pub side_by_side: usize,
    /// From a row of the other matrix to the next.
    pub other_row: usize,
}

/// Copies the rows with these ids, `side_by_side` of them into each row of `to`. Where there is no
/// such row, in either of them, nothing is copied.
pub fn gather<T: Float>(cpu: Cpu, layout: Layout, table: &[T], ids: &[u32], to: &mut [T]) {
    cpu.run(Gather { layout, table, ids, to });
}

struct Gather<'a, T> {
    layout: Layout,
    table: &'a [T],
    ids: &'a [u32],
    to: &'a mut [T],
}

impl<T: Float> Kernel<T> for Gather<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd<T = T>>(self, s: S) {
        let Layout { width, side_by_side, other_row } = self.layout;
        let groups = self.ids.chunks_exact(side_by_side.max(1));
        for (ids, to) in groups.zip(self.to.chunks_mut(other_row.max(1))) {
            for (&id, to) in ids.iter().zip(to.chunks_exact_mut(width.max(1))) {
                let Some(from) = row(id, width).and_then(|row| self.table.get(row)) else {
                    continue;
                };
                for (to, from) in to.chunks_mut(S::WIDTH).zip(from.chunks(S::WIDTH)) {
                    let n = to.len().min(from.len());
                    // SAFETY: n numbers, 1 to WIDTH, are borrowed in both.
                    unsafe { s.store_first(to.as_mut_ptr(), n, s.load_first(from.as_ptr(), n)) };
                }
            }
        }
    }
}

/// Adds α times what lies side by side in the rows of `from` to the table's rows with these ids,
/// one after the other. Returns whether the rows that were changed are finite, and below
/// [`Float::LARGE`].
#[must_use]
pub fn scatter<T: Float>(
    cpu: Cpu,
    layout: Layout,
    alpha: T,
    from: &[T],
    ids: &[u32],
    table: &mut [T],
) -> bool {
    cpu.run(Scatter { layout, alpha, from, ids, table })
}

struct Scatter<'a, T> {
    layout: Layout,
    alpha: T,
    from: &'a [T],
    ids: &'a [u32],
    table: &'a mut [T],
}

impl<T: Float> Kernel<T> for Scatter<'_, T> {
    type Output = bool;

    #[inline(always)]
    fn run<S: Simd<T = T>>(self, s: S) -> bool {
        let Layout { width, side_by_side, other_row } = self.layout;
        let (alpha, mut range) = (s.splat(self.alpha), Range::new(s));
        let groups = self.ids.chunks_exact(side_by_side.max(1));
        for (ids, from) in groups.zip(self.from.chunks(other_row.max(1))) {
            for (&id, from) in ids.iter().zip(from.chunks_exact(width.max(1))) {
                let Some(to) = row(id, width).and_then(|row| self.table.get_mut(row)) else {
                    continue;
                };
                for (to, from) in to.chunks_mut(S::WIDTH).zip(from.chunks(S::WIDTH)) {
                    let n = to.len().min(from.len());
                    // SAFETY: n numbers, 1 to WIDTH, are borrowed in both.
                    unsafe {
                        let sum = s.load_first(to.as_ptr(), n);
                        let sum = s.fma(alpha, s.load_first(from.as_ptr(), n), sum);
                        s.store_first(to.as_mut_ptr(), n, sum);
                        range.look(s, sum);
                    }
                }
            }
        }
        range.holds(s)
    }
}

/// Where a row lies.
fn row(id: u32, width: usize) -> Option<std::ops::Range<usize>> {
    let start = usize::try_from(id).ok()?.checked_mul(width)?;
    Some(start..start.checked_add(width)?)
}
