//! Raw triples of ASCII bytes: cells[(c·128 + b)·128 + a] += 1 for each three bytes in a row.
//!
//! As for pairs, but with one table: two do not fit into the cache together.
#![allow(clippy::indexing_slicing, reason = "a table has a cell for each triple of bytes")]

use crate::alloc::{demand, zeroed};

/// The number of triples.
const CELLS: usize = 128 * 128 * 128;

/// The cell numbers computed at a time.
const BATCH: usize = 1024;

/// A table of counts.
pub struct Triples(Vec<u32>);

impl Triples {
    /// Makes an empty table; only its pages that are touched take memory.
    pub fn new() -> Triples {
        Triples(demand(zeroed(CELLS)))
    }

    /// Adds `STEP` to the cell of each triple, wrapping around.
    pub fn add<const STEP: u32>(&mut self, text: &[u8]) {
        let Some(table) = self.0.first_chunk_mut::<CELLS>() else {
            unreachable!("so long it is made")
        };
        let mut numbers = [0; BATCH];
        let count = text.len().saturating_sub(2);
        let firsts = text[..count].chunks(BATCH);
        let seconds = text.get(1..).unwrap_or(&[]).chunks(BATCH);
        let thirds = text.get(2..).unwrap_or(&[]).chunks(BATCH);
        for ((firsts, seconds), thirds) in firsts.zip(seconds).zip(thirds) {
            let bytes = firsts.iter().zip(seconds).zip(thirds);
            for (number, ((&a, &b), &c)) in numbers.iter_mut().zip(bytes) {
                *number = u32::from(c) << 14 | u32::from(b) << 7 | u32::from(a);
            }
            for &number in numbers.iter().take(firsts.len()) {
                raise::<STEP>(table, number);
            }
        }
    }

    /// Returns the number of triples that end with a byte.
    pub fn ends(&self, c: u8) -> u64 {
        let start = usize::from(c) << 14;
        self.0[start..start + (1 << 14)].iter().map(|&cell| u64::from(cell)).sum()
    }

    /// Returns true where no triple ends with this pair.
    pub fn has_none(&self, b: u8, c: u8) -> bool {
        let start = usize::from(c) << 14 | usize::from(b) << 7;
        self.0[start..start + 128].iter().fold(0, |all, cell| all | cell) == 0
    }

    /// Calls `give` with each triple that occurs and its count, and empties the table.
    pub fn take(&mut self, mut give: impl FnMut([u8; 3], u64)) {
        let pairs = (0..128u8).flat_map(|c| (0..128u8).map(move |b| (b, c)));
        for ((b, c), row) in pairs.zip(self.0.chunks_exact_mut(128)) {
            if row.iter().fold(0, |all, cell| all | *cell) == 0 {
                continue;
            }
            for (a, cell) in (0..128u8).zip(row) {
                if *cell > 0 {
                    give([a, b, c], u64::from(*cell));
                    *cell = 0;
                }
            }
        }
    }
}

#[allow(clippy::inline_always, reason = "the body of the innermost loop")]
#[inline(always)]
fn raise<const STEP: u32>(table: &mut [u32; CELLS], number: u32) {
    let cell = &mut table[number as usize & (CELLS - 1)];
    *cell = cell.wrapping_add(STEP);
}
