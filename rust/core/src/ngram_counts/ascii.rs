//! Counts ASCII text about as fast as memory is read.
//!
//! Raw n-grams of bytes are counted first, newlines like any other byte, in tables of 128ⁿ cells:
//! the loop has no branch that depends on a byte. The meaning of the raw n-grams is worked out
//! afterwards, once per cell:
//!
//! ```text
//! (x, \n)    the end of an item after x; a blank line where x is \n
//! (\n, x)    its beginning with x
//! (x, \r)    the end as well, if each \r stands before a \n; (\r, \n) is then dropped
//! (x, \n, z) the beginning with z, whatever x is
//! ```
//!
//! That holds as long as no other whitespace stands at either end of a line, which the tables show
//! as well. A text that has some is subtracted from the tables again.

use super::gram::{self, Order};
use super::pairs::Pairs;
use super::triples::Triples;
use crate::alloc;

/// ASCII whitespace that is stripped from items; `\n` and `\r` are treated separately.
const SPACES: [u8; 8] = [b'\t', 0x0b, 0x0c, 0x1c, 0x1d, 0x1e, 0x1f, b' '];

/// The most bytes in the tables: with more, the 32 bits of a cell might overflow.
const MOST: usize = 1 << 31;

/// Tables of raw counts.
pub struct Ascii {
    tables: Tables,
    /// The number of bytes in the tables.
    bytes: usize,
}

enum Tables {
    Pairs(Pairs),
    Triples(Triples),
}

/// ASCII text, and what is around it.
#[derive(Clone, Copy)]
pub struct Segment<'a> {
    /// The two bytes before it; newlines where a line begins.
    pub before: [u8; 2],
    /// The text: ASCII, of [`Segment::LEAST`] bytes at least.
    pub text: &'a [u8],
    /// True if the last line ends with the text, newline or not.
    pub ended: bool,
}

impl Segment<'_> {
    /// The least length of a text.
    pub const LEAST: usize = 4;

    /// Returns true where the last line ends without a newline.
    fn ends_bare(&self) -> bool {
        self.ended && self.text.last() != Some(&b'\n')
    }
}

impl Ascii {
    /// Makes empty tables.
    pub fn new(order: Order) -> Ascii {
        let tables = match order {
            Order::Bigrams => Tables::Pairs(Pairs::new()),
            Order::Trigrams => Tables::Triples(Triples::new()),
        };
        Ascii { tables, bytes: 0 }
    }

    /// Returns true where [`Ascii::take`] must empty the tables before a text of that length.
    pub fn is_full(&self, length: usize) -> bool {
        self.bytes + length > MOST
    }

    /// Counts a text and returns the number of its newlines; counts nothing and returns None where
    /// whitespace has to be stripped first.
    pub fn count(&mut self, segment: Segment<'_>) -> Option<u64> {
        let before = self.ends();
        self.add::<1>(segment);
        // The tables show what follows each `\r`, except one at the end of the text or before it.
        let ends_open = !segment.ended && segment.text.last() == Some(&b'\r');
        let shown = !ends_open && !segment.before.contains(&b'\r');
        if shown && self.is_clean() {
            self.bytes += segment.text.len();
            Some(self.ends() - before - u64::from(segment.ends_bare()))
        } else {
            self.add::<{ u32::MAX }>(segment);
            None
        }
    }

    /// Returns the number of n-grams that end with a newline, which is the number of newlines, as
    /// each byte ends one n-gram.
    fn ends(&self) -> u64 {
        match &self.tables {
            Tables::Pairs(pairs) => pairs.ends(b'\n'),
            Tables::Triples(triples) => triples.ends(b'\n'),
        }
    }

    /// Adds `STEP` to the cell of each raw n-gram of a text, wrapping around: `u32::MAX` subtracts
    /// 1.
    fn add<const STEP: u32>(&mut self, segment: Segment<'_>) {
        let Segment { before: [b0, b1], text, .. } = segment;
        let (Some(&[t0, t1]), Some(&[y, z])) = (text.first_chunk(), text.last_chunk()) else {
            return;
        };
        // The n-grams across the borders, then those within.
        let ends_bare = segment.ends_bare();
        match &mut self.tables {
            Tables::Pairs(pairs) => {
                pairs.add::<STEP>(&[b1, t0]);
                pairs.add::<STEP>(text);
                if ends_bare {
                    pairs.add::<STEP>(&[z, b'\n']);
                }
            }
            Tables::Triples(triples) => {
                triples.add::<STEP>(&[b0, b1, t0, t1]);
                triples.add::<STEP>(text);
                if ends_bare {
                    triples.add::<STEP>(&[y, z, b'\n']);
                }
            }
        }
    }

    /// Returns true where no whitespace stands at the ends of lines, but for a `\r` before each `\n`.
    fn is_clean(&self) -> bool {
        let none = |a, b| match &self.tables {
            Tables::Pairs(pairs) => pairs.has_none(a, b),
            Tables::Triples(triples) => triples.has_none(a, b),
        };
        let edges = |space| none(space, b'\n') && none(b'\n', space) && none(space, b'\r');
        SPACES.into_iter().all(edges) && (0..128).all(|b| b == b'\n' || none(b'\r', b))
    }

    /// Empties the tables, and returns their counts by n-grams of symbols.
    pub fn take(&mut self) -> Vec<(u64, u64)> {
        let mut grams = Vec::new();
        self.bytes = 0;
        match &mut self.tables {
            Tables::Pairs(pairs) => pairs.take(|[a, b], count| {
                if let Some(gram) = meaning([b'\n', a, b]) {
                    alloc::demand(alloc::push(&mut grams, (gram, count)));
                }
            }),
            Tables::Triples(triples) => triples.take(|raw, count| {
                if let Some(gram) = meaning(raw) {
                    alloc::demand(alloc::push(&mut grams, (gram, count)));
                }
            }),
        }
        grams
    }
}

/// Returns the n-gram of three raw bytes: of order 3, or of order 2 if the first one is `\n`.
fn meaning([a, b, c]: [u8; 3]) -> Option<u64> {
    if b == b'\r' {
        return None;
    }
    let is_end = |byte| byte == b'\n' || byte == b'\r';
    let symbols = [a, b, c].map(|byte| if is_end(byte) { 0 } else { u64::from(byte) + 1 });
    gram::meaning(symbols.into_iter().fold(0, Order::gram))
}
