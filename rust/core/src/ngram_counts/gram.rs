//! N-grams as numbers: 21 bits for each symbol, the first one highest, so that numbers ascend as
//! texts do.

use std::collections::HashMap;

use rustc_hash::FxBuildHasher;

use crate::{Error, Result};

/// The number of bits of a symbol: 0 for the boundary, otherwise a code point plus 1, or an id.
pub const BITS: u32 = 21;

/// Returns the symbol of a character.
pub fn symbol(character: char) -> u64 {
    u64::from(u32::from(character)) + 1
}

/// Returns the character of a symbol; None for the boundary.
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
    /// Returns the order `n`.
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

    /// Returns the order as a number.
    #[must_use]
    pub fn get(self) -> usize {
        match self {
            Order::Bigrams => 2,
            Order::Trigrams => 3,
        }
    }

    /// Returns the number of n-grams over an alphabet of `symbols`; None if it is too large.
    pub(super) fn cells(self, symbols: usize) -> Option<usize> {
        (0..self.get()).try_fold(1_usize, |cells, _| cells.checked_mul(symbols))
    }

    /// Returns the n-gram of a symbol and its history, which is 0 where an item starts.
    pub(super) fn gram(history: u64, symbol: u64) -> u64 {
        history << BITS | symbol
    }

    /// Returns the history of the symbol after this n-gram.
    pub(super) fn history(self, gram: u64) -> u64 {
        match self {
            Order::Bigrams => gram & ((1 << BITS) - 1),
            Order::Trigrams => gram & ((1 << (2 * BITS)) - 1),
        }
    }

    /// Iterates over the symbols of an n-gram, first to last.
    pub(super) fn symbols(self, gram: u64) -> impl Iterator<Item = u64> {
        let places = (0..self.get()).rev();
        places.map(move |place| place_of(gram, place))
    }
}

/// Returns the n-gram to count for one that was counted with newlines as boundaries. If it reaches
/// across a newline, the symbols before the newline belong to the line before and are dropped.
/// Returns None for the two newlines around a blank line.
pub fn meaning(gram: u64) -> Option<u64> {
    match (place_of(gram, 1), place_of(gram, 0)) {
        (0, 0) => None,
        (0, first) => Some(first),
        _ => Some(gram),
    }
}

/// Returns the symbol at a place of an n-gram; the last one is at 0.
pub fn place_of(gram: u64, place: usize) -> u64 {
    (0..place).fold(gram, |gram, _| gram >> BITS) & ((1 << BITS) - 1)
}

/// Counts by n-gram.
pub type GramMap = HashMap<u64, u64, FxBuildHasher>;
