//! Raw triples of ASCII bytes: cells[(a·128 + b)·128 + c] += 1 for each three bytes in a row.
//!
//! As for pairs, but with one table: two of them crowd each other out of the cache.

/// The number of triples.
const CELLS: usize = 128 * 128 * 128;

/// How many cell numbers are worked out at a time.
const BATCH: usize = 1024;

/// Up to so many bytes it pays to remember which of them there are, to read less of the table.
const FEW: usize = 1 << 20;

/// A table of counts.
pub struct Triples {
    cells: Vec<u32>,
    /// How many bytes were looked at for `seen`.
    bytes: usize,
    /// The bytes that occur.
    seen: [bool; 256],
}

impl Triples {
    /// An empty table; the system provides the pages of it that are touched.
    pub fn new() -> Triples {
        Triples { cells: vec![0; CELLS], bytes: 0, seen: [false; 256] }
    }

    /// Adds a step to the cell of each triple, wrapping around.
    pub fn add(&mut self, text: &[u8], step: u32) {
        self.look(text);
        let Some(table) = self.cells.first_chunk_mut::<CELLS>() else { return };
        let mut numbers = [0; BATCH];
        let count = text.len().saturating_sub(2);
        let firsts = text.get(..count).unwrap_or_default().chunks(BATCH);
        let seconds = text.get(1..).unwrap_or_default().chunks(BATCH);
        let thirds = text.get(2..).unwrap_or_default().chunks(BATCH);
        for ((firsts, seconds), thirds) in firsts.zip(seconds).zip(thirds) {
            let bytes = firsts.iter().zip(seconds).zip(thirds);
            for (number, ((&a, &b), &c)) in numbers.iter_mut().zip(bytes) {
                *number = u32::from(a) << 14 | u32::from(b) << 7 | u32::from(c);
            }
            for &number in numbers.iter().take(firsts.len()) {
                raise(table, number, step);
            }
        }
    }

    /// Remembers which bytes there are, or gives up and takes all of them to be there.
    fn look(&mut self, text: &[u8]) {
        if self.bytes > FEW {
            return;
        }
        self.bytes += text.len();
        if self.bytes > FEW {
            self.seen.fill(true);
        } else {
            for &byte in text {
                if let Some(seen) = self.seen.get_mut(usize::from(byte)) {
                    *seen = true;
                }
            }
        }
    }

    /// Whether no triple begins with this pair.
    pub fn has_none(&self, a: u8, b: u8) -> bool {
        let start = usize::from(a) << 14 | usize::from(b) << 7;
        let row = self.cells.get(start..start + 128);
        row.is_some_and(|row| row.iter().fold(0, |all, cell| all | cell) == 0)
    }

    /// Gives all triples that occur and their counts, and empties the table.
    pub fn take(&mut self, mut give: impl FnMut([u8; 3], u64)) {
        let seen: Vec<u8> =
            (0..128).filter(|&b| self.seen.get(usize::from(b)) == Some(&true)).collect();
        let pairs = seen.iter().flat_map(|&a| seen.iter().map(move |&b| (a, b)));
        for (a, b) in pairs {
            let start = usize::from(a) << 14 | usize::from(b) << 7;
            let row = self.cells.get_mut(start..start + 128).unwrap_or_default();
            if row.iter().fold(0, |all, cell| all | *cell) == 0 {
                continue;
            }
            for (c, cell) in (0..128u8).zip(row) {
                if *cell > 0 {
                    give([a, b, c], u64::from(*cell));
                    *cell = 0;
                }
            }
        }
    }
}

#[allow(clippy::inline_always, reason = "the body of the innermost loop")]
#[allow(clippy::indexing_slicing, reason = "the mask keeps the number below CELLS")]
#[inline(always)]
fn raise(table: &mut [u32; CELLS], number: u32, step: u32) {
    let cell = &mut table[number as usize & (CELLS - 1)];
    *cell = cell.wrapping_add(step);
}
