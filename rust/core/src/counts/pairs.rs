//! Raw pairs of ASCII bytes: cells[a·256 + b] += 1 for each pair (a, b) of neighbours.
//!
//! Eight bytes are read as one number, in which each pair is a number itself. A cell is read, raised
//! and written; where the same pair comes again soon, the processor waits for the write, so that
//! pairs go to two tables in turn.
//!
//! Measured, and slower: rows of 128 cells, whose numbers take a loop of vector code before; one
//! table or four or eight; cells of 16 bits; triples at a stride of two, whose tables do not fit
//! into the nearest cache.

/// The number of cells of a table, of which a row's second half is never touched.
const CELLS: usize = 128 * 256;

/// The distance of tables is not a power of two: equal cells would share lines of the cache.
const LENGTH: usize = CELLS + 80;

/// Two tables of counts, one after the other; a pair's count is their sum.
pub struct Pairs(Vec<u32>);

type Table = [u32; LENGTH];

impl Pairs {
    /// Empty tables.
    pub fn new() -> Pairs {
        Pairs(vec![0; 2 * LENGTH])
    }

    /// Adds a step to the cell of each pair of neighbours, wrapping around.
    pub fn add(&mut self, text: &[u8], step: u32) {
        let (tables, _) = self.0.as_chunks_mut::<LENGTH>();
        let [first, second] = tables else { return };
        let (eights, _) = text.get(..text.len().saturating_sub(1)).unwrap_or_default().as_chunks();
        let (shifted, _) = text.get(1..).unwrap_or_default().as_chunks();
        for (&eight, &next) in eights.iter().zip(shifted) {
            let bytes = u64::from_be_bytes(eight);
            raise(first, bytes >> 48, step);
            raise(second, bytes >> 40, step);
            raise(first, bytes >> 32, step);
            raise(second, bytes >> 24, step);
            raise(first, bytes >> 16, step);
            raise(second, bytes >> 8, step);
            raise(first, bytes, step);
            raise(second, u64::from_be_bytes(next), step);
        }
        for pair in text.get(8 * eights.len()..).unwrap_or_default().windows(2) {
            if let &[a, b] = pair {
                raise(first, u64::from(a) << 8 | u64::from(b), step);
            }
        }
    }

    /// How many pairs start with a byte.
    pub fn starts(&self, a: u8) -> u64 {
        self.rows(a).flatten().map(|&cell| u64::from(cell)).sum()
    }

    /// Whether a pair was never counted.
    pub fn has_none(&self, a: u8, b: u8) -> bool {
        self.rows(a).all(|row| row.get(usize::from(b)) == Some(&0))
    }

    /// The counts of pairs that start with a byte, from each table.
    fn rows(&self, a: u8) -> impl Iterator<Item = &[u32]> {
        let start = usize::from(a) << 8;
        self.0.chunks_exact(LENGTH).filter_map(move |table| table.get(start..start + 128))
    }

    /// Gives all pairs that occur and their counts, and empties the tables.
    pub fn take(&mut self, mut give: impl FnMut([u8; 2], u64)) {
        for a in 0..128u8 {
            // Memory that was never written is not written here: it need not even exist.
            if self.starts(a) == 0 {
                continue;
            }
            let start = usize::from(a) << 8;
            for b in 0..128u8 {
                let cells = self.0.chunks_exact_mut(LENGTH);
                let cells = cells.filter_map(|table| table.get_mut(start + usize::from(b)));
                let count = cells.map(|cell| u64::from(std::mem::take(cell))).sum();
                if count > 0 {
                    give([a, b], count);
                }
            }
        }
    }
}

#[allow(clippy::inline_always, reason = "the body of the innermost loop")]
#[allow(clippy::indexing_slicing, reason = "the remainder is below CELLS")]
#[allow(clippy::cast_possible_truncation, reason = "the remainder is small")]
#[inline(always)]
fn raise(table: &mut Table, pair: u64, step: u32) {
    let cell = &mut table[pair as usize % CELLS];
    *cell = cell.wrapping_add(step);
}
