//! Raw pairs of ASCII bytes: cells[a·128 + b] += 1 for each pair (a, b) of neighbours.
//!
//! A cell is read, raised and written. Where the same pair comes again soon, the processor waits
//! for the write; so pairs go to four tables in turn. The numbers of the cells are worked out
//! beforehand for a few hundred pairs, which the compiler does with vectors.
//!
//! Measured, and slower: one, two or eight tables; cells of 16 bits; triples at a stride of two,
//! whose tables do not fit into the nearest cache.

/// The number of pairs.
const CELLS: usize = 128 * 128;

/// The distance of tables is not a power of two: equal cells would share lines of the cache.
const LENGTH: usize = CELLS + 80;

/// How many cell numbers are worked out at a time.
const BATCH: usize = 2048;

/// Four tables of counts, one after the other; a pair's count is their sum.
pub struct Pairs(Vec<u32>);

type Table = [u32; LENGTH];

impl Pairs {
    /// Empty tables.
    pub fn new() -> Pairs {
        Pairs(vec![0; 4 * LENGTH])
    }

    /// Adds a step to the cell of each pair of neighbours, wrapping around.
    pub fn add(&mut self, text: &[u8], step: u32) {
        let (tables, _) = self.0.as_chunks_mut::<LENGTH>();
        let [first, second, third, fourth] = tables else { return };
        let mut numbers = [0; BATCH];
        let firsts = text.get(..text.len().saturating_sub(1)).unwrap_or_default();
        let seconds = text.get(1..).unwrap_or_default();
        for (firsts, seconds) in firsts.chunks(BATCH).zip(seconds.chunks(BATCH)) {
            for ((number, &a), &b) in numbers.iter_mut().zip(firsts).zip(seconds) {
                *number = u16::from(a) << 7 | u16::from(b);
            }
            let numbers = numbers.get(..firsts.len()).unwrap_or_default();
            let (eights, rest) = numbers.as_chunks::<8>();
            for &[a, b, c, d, e, f, g, h] in eights {
                raise(first, a, step);
                raise(second, b, step);
                raise(third, c, step);
                raise(fourth, d, step);
                raise(first, e, step);
                raise(second, f, step);
                raise(third, g, step);
                raise(fourth, h, step);
            }
            for &number in rest {
                raise(first, number, step);
            }
        }
    }

    /// How many pairs start with a byte.
    pub fn starts(&self, a: u8) -> u64 {
        let start = usize::from(a) << 7;
        let rows = self.0.chunks_exact(LENGTH).filter_map(|table| table.get(start..start + 128));
        rows.flatten().map(|&cell| u64::from(cell)).sum()
    }

    /// Whether a pair was never counted.
    pub fn has_none(&self, a: u8, b: u8) -> bool {
        let cell = usize::from(a) << 7 | usize::from(b);
        self.0.chunks_exact(LENGTH).all(|table| table.get(cell) == Some(&0))
    }

    /// Gives all pairs that occur and their counts, and empties the tables.
    pub fn take(&mut self, mut give: impl FnMut([u8; 2], u64)) {
        for a in 0..128u8 {
            let mut row = [0u64; 128];
            for table in self.0.chunks_exact_mut(LENGTH) {
                let start = usize::from(a) << 7;
                let cells = table.get_mut(start..start + 128).unwrap_or_default();
                // Memory that was never written is not written here: it need not even exist.
                if cells.iter().fold(0, |all, cell| all | *cell) > 0 {
                    for (sum, cell) in row.iter_mut().zip(cells) {
                        *sum += u64::from(std::mem::take(cell));
                    }
                }
            }
            for (b, &count) in (0..128u8).zip(&row) {
                if count > 0 {
                    give([a, b], count);
                }
            }
        }
    }
}

#[allow(clippy::inline_always, reason = "the body of the innermost loop")]
#[allow(clippy::indexing_slicing, reason = "the mask keeps the number below CELLS")]
#[inline(always)]
fn raise(table: &mut Table, number: u16, step: u32) {
    let cell = &mut table[usize::from(number) & (CELLS - 1)];
    *cell = cell.wrapping_add(step);
}
