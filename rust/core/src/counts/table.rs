//! The result: n-grams that occur, in lexicographic order, with their counts.

use super::gram::{self, Order, place_of};
use super::runs::{Entries, add, merged};
use super::{MAX_CELLS, Problem};
use crate::Result;
use crate::watch::Watch;

/// How often each n-gram of characters occurs in a text.
///
/// Symbol 0 is the boundary, which stands before and after every item; symbol i + 1 is
/// `characters()[i]`. Counts add up: those of two texts are those of the texts together.
#[derive(Clone, Debug, PartialEq)]
pub struct Counts {
    order: Order,
    characters: Vec<char>,
    items: u64,
    total: u64,
    /// N-grams of ids and their counts above 0, ascending.
    entries: Vec<(u64, u64)>,
}

impl Counts {
    /// Counts from n-grams of code points, ascending.
    pub(super) fn from_grams(order: Order, mut entries: Entries, watch: &Watch) -> Result<Counts> {
        // The id of each symbol: first 1 for those that occur, then their numbers.
        let all = || entries.iter().flat_map(|&(gram, _)| order.symbols(gram));
        let mut ids = vec![0; all().max().map_or(0, index) + 1];
        watch.advance(0)?;
        for symbol in all() {
            if let Some(id) = ids.get_mut(index(symbol)) {
                *id = 1;
            }
        }
        let mut characters = Vec::new();
        for (symbol, id) in (0..).zip(&mut ids).filter(|(_, id)| **id > 0) {
            characters.extend(gram::character(symbol));
            *id = characters.len() as u64;
        }
        watch.advance(0)?;
        renumber(order, &mut entries, |symbol| ids.get(index(symbol)).copied().unwrap_or(0));
        watch.advance(0)?;
        Counts::new(order, characters, entries)
    }

    /// Counts from n-grams of ids, ascending.
    pub(super) fn new(
        order: Order,
        characters: Vec<char>,
        entries: Vec<(u64, u64)>,
    ) -> Result<Counts> {
        let total = sum(entries.iter().map(|&(_, count)| count))?;
        let ends = entries.iter().filter(|&&(gram, _)| place_of(gram, 0) == 0);
        let items = sum(ends.map(|&(_, count)| count))?;
        Ok(Counts { order, characters, items, total, entries })
    }

    /// Counts from their parts, as the other methods return them: `ids` has `order` ids a row, the
    /// rows ascending, and `counts` a number above 0 for each row.
    ///
    /// # Errors
    /// [`Problem`]s for characters that are not ascending, for ids that no character has, for rows
    /// that are not ascending or that no text can have, and for a number of items that differs from
    /// that of n-grams which end an item.
    pub fn from_entries(
        order: Order,
        characters: Vec<char>,
        items: u64,
        ids: &[u32],
        counts: &[u64],
    ) -> Result<Counts> {
        check_characters(&characters)?;
        check_ids(ids, characters.len())?;
        let mut entries: Vec<(u64, u64)> = Vec::with_capacity(counts.len());
        let rows = ids.chunks_exact(order.get());
        if rows.len() != counts.len() || !rows.remainder().is_empty() {
            let row = rows.len().min(counts.len());
            return Err(Problem::Entry { row, reason: "has ids but no count, or none" }.into());
        }
        for (row, (ids, &count)) in rows.zip(counts).enumerate() {
            let gram = ids.iter().fold(0, |gram, &id| Order::gram(gram, u64::from(id)));
            let reason = if count == 0 {
                "has count 0; expected at least 1"
            } else if entries.last().is_some_and(|&(last, _)| last >= gram) {
                "is not above the one before it; expected ids in lexicographic order"
            } else if !is_possible(ids) {
                "has a boundary where no text can have one"
            } else {
                entries.push((gram, count));
                continue;
            };
            return Err(Problem::Entry { row, reason }.into());
        }
        let made = Counts::new(order, characters, entries)?;
        if made.items == items {
            Ok(made)
        } else {
            Err(Problem::Items { given: items, ends: made.items }.into())
        }
    }

    /// The order of the n-grams.
    #[must_use]
    pub fn order(&self) -> Order {
        self.order
    }

    /// The alphabet without the boundary, ascending.
    #[must_use]
    pub fn characters(&self) -> &[char] {
        &self.characters
    }

    /// How many items were counted.
    #[must_use]
    pub fn items(&self) -> u64 {
        self.items
    }

    /// How many n-grams were counted.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.total
    }

    /// The n-grams that occur, ascending, and how often each does: (ids, count).
    #[must_use]
    pub fn entries(&self) -> impl ExactSizeIterator<Item = (impl Iterator<Item = u32>, u64)> {
        self.entries.iter().map(|&(gram, count)| {
            // An id is below 2**21.
            (self.order.symbols(gram).map(|id| u32::try_from(id).unwrap_or(u32::MAX)), count)
        })
    }

    /// All counts, the last id running fastest: Vⁿ numbers for V symbols and order n.
    ///
    /// # Errors
    /// [`Problem::Dense`] where that would be more than 2²⁷ numbers.
    pub fn dense(&self) -> Result<Vec<u64>> {
        let (symbols, order) = (self.characters.len() + 1, self.order.get());
        let power = u32::try_from(order).ok().and_then(|order| symbols.checked_pow(order));
        let cells = power.filter(|&cells| cells <= MAX_CELLS);
        let mut dense = vec![0; cells.ok_or(Problem::Dense { symbols, order })?];
        for &(gram, count) in &self.entries {
            let place = self.order.symbols(gram).fold(0, |at, id| at * symbols + index(id));
            if let Some(cell) = dense.get_mut(place) {
                *cell = count;
            }
        }
        Ok(dense)
    }

    /// The same counts over a larger alphabet.
    ///
    /// # Errors
    /// [`Problem::Unknown`] for a character of this alphabet that the other one lacks, and
    /// [`Problem::Characters`] where it is not ascending.
    pub fn with_characters(&self, characters: Vec<char>) -> Result<Counts> {
        check_characters(&characters)?;
        let mut numbers = vec![0];
        for &character in &self.characters {
            let place = characters.binary_search(&character);
            numbers.push(place.map_err(|_| Problem::Unknown { character })? as u64 + 1);
        }
        let mut entries = self.entries.clone();
        renumber(self.order, &mut entries, |id| numbers.get(index(id)).copied().unwrap_or(0));
        Ok(Counts { characters, entries, ..*self })
    }

    /// The counts of both texts together, over both alphabets.
    ///
    /// # Errors
    /// [`Problem::Orders`] for different orders, [`Problem::Overflow`] for sums beyond 64 bits.
    pub fn plus(&self, other: &Counts) -> Result<Counts> {
        if self.order != other.order {
            return Err(Problem::Orders(self.order.get(), other.order.get()).into());
        }
        let mut characters = [&self.characters[..], &other.characters[..]].concat();
        characters.sort_unstable();
        characters.dedup();
        let left = self.with_characters(characters.clone())?;
        let right = other.with_characters(characters.clone())?;
        let entries = merged(left.entries, right.entries, &Watch::new())?;
        Counts::new(self.order, characters, entries)
    }
}

/// Gives the symbols other numbers, which keep their order.
fn renumber(order: Order, entries: &mut [(u64, u64)], number: impl Fn(u64) -> u64) {
    for (gram, _) in entries {
        *gram = order.symbols(*gram).fold(0, |new, symbol| Order::gram(new, number(symbol)));
    }
}

/// An n-gram has boundaries before its first character, or one at its end.
fn is_possible(ids: &[u32]) -> bool {
    let begun = ids.iter().skip_while(|&&id| id == 0);
    let characters = begun.clone().take_while(|&&id| id != 0).count();
    characters > 0 && begun.count() - characters <= 1
}

fn sum(mut counts: impl Iterator<Item = u64>) -> Result<u64> {
    counts.try_fold(0, add)
}

fn index(id: u64) -> usize {
    usize::try_from(id).unwrap_or(usize::MAX)
}

/// Checks that characters ascend.
pub(super) fn check_characters(characters: &[char]) -> Result<()> {
    let place = characters.windows(2).position(|pair| matches!(pair, [a, b] if a >= b));
    match place.and_then(|place| Some((place + 1, *characters.get(place + 1)?))) {
        Some((position, character)) => Err(Problem::Characters { position, character }.into()),
        None => Ok(()),
    }
}

/// Checks that each id is that of a character, or 0.
pub(super) fn check_ids(ids: &[u32], characters: usize) -> Result<()> {
    let beyond = ids.iter().enumerate().find(|&(_, &id)| id as usize > characters);
    match beyond {
        Some((position, &value)) => Err(Problem::Id { position, value, characters }.into()),
        None => Ok(()),
    }
}
