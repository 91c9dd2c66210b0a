//! What can go wrong while counting.

use std::fmt;
use std::io::ErrorKind;

/// A mistake in the text, the ids or the entries given; `Display` names the place and the value.
#[derive(Clone, Debug, PartialEq)]
pub enum Problem {
    /// An order for which there is no counting.
    Order(usize),
    /// A text that is not UTF-8.
    Utf8 {
        /// Whose text it is.
        name: String,
        /// The line, the first one being 1.
        line: u64,
        /// The offset of the first bad byte, the first byte of all being 0.
        offset: u64,
        /// That byte.
        byte: u8,
    },
    /// A text without a single item.
    Blank {
        /// Whose text it is.
        name: String,
    },
    /// The system failed to read.
    Io {
        /// What was read.
        name: String,
        /// The system's own number for the mistake.
        code: Option<i32>,
        /// The standard library's class of it.
        kind: ErrorKind,
        /// The standard library's words for it.
        reason: String,
    },
    /// Counts whose sum does not fit into 64 bits.
    Overflow,
    /// An id that no character has.
    Id {
        /// Where it stands.
        position: usize,
        /// The id.
        value: u32,
        /// How many characters there are; ids go up to that number.
        characters: usize,
    },
    /// Characters that are not in ascending order, each once.
    Characters {
        /// The position of the one that is not above its predecessor.
        position: usize,
        /// That character.
        character: char,
    },
    /// A character that the alphabet lacks.
    Unknown {
        /// That character.
        character: char,
    },
    /// Counts of different orders, which do not add up.
    Orders(usize, usize),
    /// Entries that no text can have.
    Entry {
        /// The row.
        row: usize,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// A number of items that the entries contradict.
    Items {
        /// The number given.
        given: u64,
        /// How many n-grams end in the boundary.
        ends: u64,
    },
    /// A table that would be too large.
    Dense {
        /// How many symbols there are, the boundary included.
        symbols: usize,
        /// The order.
        order: usize,
    },
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Problem::Order(order) => {
                write!(f, "order is {order}; expected 2 (bigrams) or 3 (trigrams)")
            }
            Problem::Utf8 { name, line, offset, byte } => {
                write!(f, "{name}, line {line}: byte 0x{byte:02x} at offset {offset} is not UTF-8")
            }
            Problem::Blank { name } => {
                write!(f, "{name} is empty; expected at least one line that is not blank")
            }
            Problem::Io { name, reason, .. } => write!(f, "{name}: {reason}"),
            Problem::Overflow => {
                write!(f, "the sum of the counts is too large for 64 bits")
            }
            Problem::Id { position, value, characters } => write!(
                f,
                "ids[{position}] is {value}; expected at most {characters}, \
                 the number of characters"
            ),
            Problem::Characters { position, character } => write!(
                f,
                "characters[{position}] is {character:?}; expected characters in ascending order, \
                 each once"
            ),
            Problem::Unknown { character } => {
                write!(f, "characters lacks {character:?}, which is counted")
            }
            Problem::Orders(left, right) => {
                write!(f, "counts of order {left} and of order {right} do not add up")
            }
            Problem::Entry { row, reason } => write!(f, "entry {row} {reason}"),
            Problem::Items { given, ends } => {
                write!(f, "items is {given}; expected {ends}, as many n-grams end an item")
            }
            Problem::Dense { symbols, order } => write!(
                f,
                "a dense table of {symbols} symbols and order {order} has {symbols}**{order} \
                 cells, more than 2**27; use entries() instead"
            ),
        }
    }
}
