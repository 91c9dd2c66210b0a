//! Counting ASCII text at memory's pace.
//!
//! Raw n-grams of bytes are counted first, newlines like any other byte, in tables of 128ⁿ cells:
//! no byte is looked at, none decides anything. What they mean is worked out from the tables, once:
//!
//! ```text
//! (x, \n)    the end of an item after x; a blank line where x is \n
//! (\n, x)    its beginning with x
//! (x, \r)    the end as well, if each \r stands before a \n; (\r, \n) is then dropped
//! (x, \n, z) the beginning with z, whatever x is
//! ```
//!
//! That holds as long as no other whitespace stands at either end of a line, which the tables show
//! as well. A text where it does is taken out of the tables again.

use super::gram::{self, Order};
use super::pairs::Pairs;
use super::triples::Triples;

/// ASCII whitespace that is stripped from items; `\n` and `\r` are treated apart.
const SPACES: [u8; 8] = [b'\t', 0x0b, 0x0c, 0x1c, 0x1d, 0x1e, 0x1f, b' '];

/// After so many bytes the 32 bits of a cell might not do.
const MOST: usize = 1 << 31;

/// Tables of raw counts.
pub struct Ascii {
    tables: Tables,
    /// How many bytes are in the tables.
    bytes: usize,
}

enum Tables {
    Pairs(Pairs),
    Triples(Triples),
}

/// A text and what is around it.
#[derive(Clone, Copy)]
pub struct Part<'a> {
    /// The two bytes before it; newlines where a line begins.
    pub before: [u8; 2],
    /// The text: ASCII, of [`Part::LEAST`] bytes at least.
    pub text: &'a [u8],
    /// Whether its last line ends with it.
    pub ended: bool,
}

impl Part<'_> {
    /// How long a text must be.
    pub const LEAST: usize = 4;

    /// Whether the last line has no newline and yet ends.
    fn ends_bare(&self) -> bool {
        self.ended && self.text.last() != Some(&b'\n')
    }

    /// How many newlines are among a few bytes before the text, and among as many at its end; the
    /// end of a last line without a newline is as good as more text.
    fn newlines_at_borders(&self, bytes: usize) -> (u64, u64) {
        let newlines = |bytes: &mut dyn Iterator<Item = &u8>| {
            bytes.map(|&byte| u64::from(byte == b'\n')).sum()
        };
        let last = if self.ends_bare() { 0 } else { bytes };
        let before = newlines(&mut self.before.iter().rev().take(bytes));
        (before, newlines(&mut self.text.iter().rev().take(last)))
    }
}

impl Ascii {
    /// Empty tables.
    pub fn new(order: Order) -> Ascii {
        let tables = match order {
            Order::Bigrams => Tables::Pairs(Pairs::new()),
            Order::Trigrams => Tables::Triples(Triples::new()),
        };
        Ascii { tables, bytes: 0 }
    }

    /// Whether the tables must be emptied by [`Ascii::take`] before a text of that length.
    pub fn is_full(&self, length: usize) -> bool {
        self.bytes + length > MOST
    }

    /// Counts a text and tells how many newlines it has; nothing is done, and none told, where
    /// whitespace is to be stripped first.
    pub fn count(&mut self, part: Part<'_>) -> Option<u64> {
        let before = self.starts();
        self.add(part, 1);
        if self.is_clean() && ends_well(part) {
            self.bytes += part.text.len();
            // N-grams start in what is before the text, and none starts in the last bytes.
            let (borrowed, missing) = part.newlines_at_borders(match self.tables {
                Tables::Pairs(_) => 1,
                Tables::Triples(_) => 2,
            });
            Some(self.starts() - before - borrowed + missing)
        } else {
            self.add(part, u32::MAX);
            None
        }
    }

    /// How many n-grams start with a newline.
    fn starts(&self) -> u64 {
        match &self.tables {
            Tables::Pairs(pairs) => pairs.starts(b'\n'),
            Tables::Triples(triples) => triples.starts(b'\n'),
        }
    }

    /// Adds a step to the cells of a text's raw n-grams; `u32::MAX` is a step back.
    fn add(&mut self, part: Part<'_>, step: u32) {
        let Part { before: [b0, b1], text, .. } = part;
        let (Some(&[t0, t1]), Some(&[y, z])) = (text.first_chunk(), text.last_chunk()) else {
            return;
        };
        // The n-grams across the borders, then those within.
        let ends_bare = part.ends_bare();
        match &mut self.tables {
            Tables::Pairs(pairs) => {
                pairs.add(&[b1, t0], step);
                pairs.add(text, step);
                if ends_bare {
                    pairs.add(&[z, b'\n'], step);
                }
            }
            Tables::Triples(triples) => {
                triples.add(&[b0, b1, t0, t1], step);
                triples.add(text, step);
                if ends_bare {
                    triples.add(&[y, z, b'\n'], step);
                }
            }
        }
    }

    /// Whether no whitespace stands at the ends of lines, but for a `\r` before each `\n`.
    fn is_clean(&self) -> bool {
        let none = |a, b| match &self.tables {
            Tables::Pairs(pairs) => pairs.has_none(a, b),
            Tables::Triples(triples) => triples.has_none(a, b),
        };
        let edges = |space| none(space, b'\n') && none(b'\n', space) && none(space, b'\r');
        SPACES.into_iter().all(edges) && (0..128).all(|b| b == b'\n' || none(b'\r', b))
    }

    /// Empties the tables: what was counted, as n-grams of symbols.
    pub fn take(&mut self) -> Vec<(u64, u64)> {
        let mut grams = Vec::new();
        self.bytes = 0;
        match &mut self.tables {
            Tables::Pairs(pairs) => pairs.take(|[a, b], count| {
                if let Some(gram) = meaning([b'\n', a, b]) {
                    grams.push((gram, count));
                }
            }),
            Tables::Triples(triples) => triples.take(|raw, count| {
                if let Some(gram) = meaning(raw) {
                    grams.push((gram, count));
                }
            }),
        }
        grams
    }
}

/// The n-gram that three bytes stand for, of order 3; or of order 2, if the first one is `\n`.
fn meaning([a, b, c]: [u8; 3]) -> Option<u64> {
    if b == b'\r' {
        return None;
    }
    let is_end = |byte| byte == b'\n' || byte == b'\r';
    let symbols = [a, b, c].map(|byte| if is_end(byte) { 0 } else { u64::from(byte) + 1 });
    gram::meaning(symbols.into_iter().fold(0, Order::gram))
}

/// Whether the text's last two bytes show no whitespace to strip, nor a `\r` elsewhere than before
/// a `\n`. Tables of trigrams do not show it.
fn ends_well(part: Part<'_>) -> bool {
    let [.., y, z] = *part.text else { return true };
    let is_space = |byte| SPACES.contains(&byte);
    match z {
        b'\n' => !is_space(y),
        b'\r' => part.ended && !is_space(y) && y != b'\r',
        _ => y != b'\r' && !(part.ended && is_space(z)) && !(y == b'\n' && is_space(z)),
    }
}
