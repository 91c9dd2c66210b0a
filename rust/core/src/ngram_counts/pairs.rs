//! Raw pairs of ASCII bytes: cells[b·256 + a] += 1 for each pair (a, b) of neighbours.
//!
//! Two neighbours in memory, read as one number of 16 bits, are the number of their cell. A cell is
//! read, incremented and written. If the same pair comes again soon, the processor waits for the
//! write: so pairs alternate between two tables. The second table lies in the upper half of each
//! row, for which `a` would have to be 128 or more, which ASCII is not.
//!
//! Measured, and slower: cell numbers from eight bytes in a register, or computed by a vectorized
//! loop before; one table, four or eight; cells of 16 bits; rows that do not lie a power of two
//! apart; triples at a stride of two, whose tables do not fit into the nearest cache.
#![allow(clippy::indexing_slicing, reason = "a table has a cell for each pair of bytes")]

use crate::alloc::{demand, zeroed};

/// Any number of 16 bits has a cell in either table; the upper half of them is never touched.
const CELLS: usize = (1 << 16) + SECOND;

/// The distance from a cell of the first table to that of the second one.
const SECOND: usize = 128;

/// Two tables of counts; a pair's count is their sum.
pub struct Pairs(Vec<u32>);

impl Pairs {
    /// Makes empty tables.
    pub fn new() -> Pairs {
        Pairs(demand(zeroed(CELLS)))
    }

    /// Adds `STEP` to the cell of each pair of neighbours, wrapping around.
    pub fn add<const STEP: u32>(&mut self, text: &[u8]) {
        let Some(cells) = self.0.first_chunk_mut::<CELLS>() else {
            unreachable!("so long it is made")
        };
        let (evens, _) = text.as_chunks::<8>();
        let (odds, _) = text.get(1..).unwrap_or(&[]).as_chunks::<8>();
        for (even, odd) in evens.iter().zip(odds) {
            let (even, _) = even.as_chunks();
            let (odd, _) = odd.as_chunks();
            for (&even, &odd) in even.iter().zip(odd) {
                raise::<STEP>(cells, even, 0);
                raise::<STEP>(cells, odd, SECOND);
            }
        }
        let counted = 8 * evens.len().min(odds.len());
        for pair in text[counted..].windows(2) {
            raise::<STEP>(cells, [pair[0], pair[1]], 0);
        }
    }

    /// Returns the number of pairs that end with a byte.
    pub fn ends(&self, b: u8) -> u64 {
        self.row(b).iter().map(|&cell| u64::from(cell)).sum()
    }

    /// Returns true where a pair was never counted.
    pub fn has_none(&self, a: u8, b: u8) -> bool {
        let cells = self.row(b).iter().skip(usize::from(a)).step_by(SECOND);
        cells.fold(0, |all, cell| all | cell) == 0
    }

    /// Returns the counts of pairs that end with a byte, of both tables.
    fn row(&self, b: u8) -> &[u32] {
        let start = usize::from(b) << 8;
        &self.0[start..start + 2 * SECOND]
    }

    /// Calls `give` with each pair that occurs and its count, and empties the tables.
    pub fn take(&mut self, mut give: impl FnMut([u8; 2], u64)) {
        for (b, row) in (0..128u8).zip(self.0.chunks_exact_mut(2 * SECOND)) {
            // A row that was never written is not written here, so that its pages take no memory.
            if row.iter().all(|&cell| cell == 0) {
                continue;
            }
            let (first, second) = row.split_at(SECOND);
            for ((a, &first), &second) in (0..128u8).zip(first).zip(second) {
                if first > 0 || second > 0 {
                    give([a, b], u64::from(first) + u64::from(second));
                }
            }
            row.fill(0);
        }
    }
}

#[allow(clippy::inline_always, reason = "the body of the innermost loop")]
#[inline(always)]
fn raise<const STEP: u32>(cells: &mut [u32; CELLS], pair: [u8; 2], table: usize) {
    let cell = &mut cells[usize::from(u16::from_le_bytes(pair)) + table];
    *cell = cell.wrapping_add(STEP);
}
