//! N-grams as numbers: symbols side by side, 21 bits each, so that their order is that of texts.

use std::collections::HashMap;

use rustc_hash::FxBuildHasher;

use crate::{Error, Result};

/// The number of bits of a symbol: 0 for the boundary, otherwise a code point plus 1, or an id.
pub const BITS: u32 = 21;

/// The symbol of a character.
pub fn symbol(character: char) -> u64 {
    u64::from(u32::from(character)) + 1
}

/// The character of a symbol; none for the boundary.
pub fn character(symbol: u64) -> Option<char> {
    u32::try_from(symbol.checked_sub(1)?).ok().and_then(char::from_u32)
}

/// The number of symbols of an n-gram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// A symbol and the one before it.
    Bigrams,
    /// A symbol and the two before it.
    Trigrams,
}

impl Order {
    /// The order `n`.
    ///
    /// # Errors
    /// [`Error::Order`] unless `n` is 2 or 3.
    pub fn new(n: usize) -> Result<Order> {
        match n {
            2 => Ok(Order::Bigrams),
            3 => Ok(Order::Trigrams),
            _ => Err(Error::Order(n)),
        }
    }

    /// The order as a number.
    #[must_use]
    pub fn get(self) -> usize {
        match self {
            Order::Bigrams => 2,
            Order::Trigrams => 3,
        }
    }

    /// The n-gram that a symbol makes with its history, which is 0 where an item starts.
    pub(super) fn gram(history: u64, symbol: u64) -> u64 {
        history << BITS | symbol
    }

    /// The history of the symbol that comes after this n-gram.
    pub(super) fn history(self, gram: u64) -> u64 {
        match self {
            Order::Bigrams => gram & ((1 << BITS) - 1),
            Order::Trigrams => gram & ((1 << (2 * BITS)) - 1),
        }
    }

    /// The symbols of an n-gram, first to last.
    pub(super) fn symbols(self, gram: u64) -> impl Iterator<Item = u64> {
        let places = (0..self.get()).rev();
        places.map(move |place| place_of(gram, place))
    }
}

/// The n-gram that counts, where lines were counted with the boundaries between them: none for a
/// blank line, and for the first symbol of a line one without the line before.
pub fn meaning(gram: u64) -> Option<u64> {
    match (place_of(gram, 1), place_of(gram, 0)) {
        (0, 0) => None,
        (0, first) => Some(first),
        _ => Some(gram),
    }
}

/// The symbol at a place of an n-gram, the last one being at 0.
pub fn place_of(gram: u64, place: usize) -> u64 {
    (0..place).fold(gram, |gram, _| gram >> BITS) & ((1 << BITS) - 1)
}

/// Counts by n-gram.
pub type GramMap = HashMap<u64, u64, FxBuildHasher>;
