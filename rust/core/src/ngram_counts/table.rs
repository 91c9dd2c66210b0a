//! The result: n-grams that occur, in lexicographic order, with their counts.
#![allow(clippy::indexing_slicing, reason = "ids are those of the table's own characters")]

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::MAX_CELLS;
use super::gram::{self, Order, place_of};
use super::runs::{CHUNK, Entries, add, merged};
use crate::progress::Progress;
use crate::sort::sort;
use crate::{Error, Result, alloc};

/// N-grams pushed to the heap of [`Counts::top`] between two checks for a cancel.
const HEAP_CHUNK: usize = 1 << 13;

/// The count of each n-gram of characters in a text.
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
    /// Makes counts from n-grams of code points, ascending.
    pub(super) fn from_grams(
        order: Order,
        entries: &[(u64, u64)],
        progress: &Progress,
    ) -> Result<Counts> {
        // The id of each symbol: first 1 for those that occur, then their numbers.
        let mut ids = Vec::new();
        each(entries, progress, |&(gram, _)| {
            for symbol in order.symbols(gram).map(index) {
                if symbol >= ids.len() {
                    alloc::lengthen(&mut ids, (symbol + 1).next_power_of_two())?;
                }
                ids[symbol] = 1;
            }
            Ok(())
        })?;
        let mut characters = Vec::new();
        for (symbol, id) in (0..).zip(&mut ids).filter(|(_, id)| **id > 0) {
            if let Some(character) = gram::character(symbol) {
                alloc::push(&mut characters, character)?;
            }
            *id = characters.len() as u64;
        }
        let number = |symbol| ids[index(symbol)];
        let entries = renumbered(order, entries, number, progress)?;
        Counts::new(order, characters, entries, progress)
    }

    /// Makes counts from n-grams of ids, ascending.
    pub(super) fn new(
        order: Order,
        characters: Vec<char>,
        entries: Vec<(u64, u64)>,
        progress: &Progress,
    ) -> Result<Counts> {
        let (mut total, mut items) = (0, 0);
        each(&entries, progress, |&(gram, count)| {
            total = add(total, count)?;
            if place_of(gram, 0) == 0 {
                items = add(items, count)?;
            }
            Ok(())
        })?;
        Ok(Counts { order, characters, items, total, entries })
    }

    /// Makes counts from their parts, as the other methods return them: `ids` has `order` ids a
    /// row, the rows ascending, and `counts` a number above 0 for each row.
    ///
    /// # Errors
    /// [`Error`]s for characters that are not ascending, for ids that no character has, for rows
    /// that are not ascending or that no text can have, and for a number of items that differs from
    /// that of n-grams which end an item; and [`Error::Interrupted`].
    pub fn from_entries(
        order: Order,
        characters: Vec<char>,
        items: u64,
        ids: &[u32],
        counts: &[u64],
        progress: &Progress,
    ) -> Result<Counts> {
        check_characters(&characters)?;
        check_ids(ids, characters.len(), progress)?;
        let mut entries: Vec<(u64, u64)> = alloc::with_capacity(counts.len())?;
        let rows = ids.chunks_exact(order.get());
        if rows.len() != counts.len() || !rows.remainder().is_empty() {
            let row = rows.len().min(counts.len());
            return Err(Error::Entry { row, reason: "has ids but no count, or none" });
        }
        for (row, (ids, &count)) in rows.zip(counts).enumerate() {
            if row % CHUNK == 0 {
                progress.check()?;
            }
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
            return Err(Error::Entry { row, reason });
        }
        let made = Counts::new(order, characters, entries, progress)?;
        if made.items == items {
            Ok(made)
        } else {
            Err(Error::Items { given: items, ends: made.items })
        }
    }

    /// Returns the order of the n-grams.
    #[must_use]
    pub fn order(&self) -> Order {
        self.order
    }

    /// Returns the alphabet without the boundary, ascending.
    #[must_use]
    pub fn characters(&self) -> &[char] {
        &self.characters
    }

    /// Returns the number of items.
    #[must_use]
    pub fn items(&self) -> u64 {
        self.items
    }

    /// Returns the number of n-grams counted.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.total
    }

    /// Returns the number of distinct n-grams.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Returns true where nothing was counted.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Returns the n-grams that occur, ascending, and their counts: `order` ids per row, and a
    /// count for each row.
    ///
    /// # Errors
    /// [`Error::Interrupted`].
    pub fn entries(&self, progress: &Progress) -> Result<(Vec<u32>, Vec<u64>)> {
        self.unzip(&self.entries, progress)
    }

    /// Returns the `most` most frequent n-grams, as [`Counts::entries`] does; those of equal counts
    /// ascend.
    ///
    /// # Errors
    /// [`Error::Interrupted`].
    pub fn top(&self, most: usize, progress: &Progress) -> Result<(Vec<u32>, Vec<u64>)> {
        // A heap of the most frequent ones so far, the least frequent of them on top.
        let room = most.min(self.entries.len()) + 1;
        let mut best = BinaryHeap::from(alloc::with_capacity(room)?);
        for chunk in self.entries.chunks(HEAP_CHUNK) {
            progress.check()?;
            for &(gram, count) in chunk {
                best.push((Reverse(count), gram));
                if best.len() > most {
                    best.pop();
                }
            }
        }
        let mut best = best.into_vec();
        sort(&mut best, progress)?;
        let best = best.into_iter().map(|(Reverse(count), gram)| (gram, count));
        self.unzip(&alloc::collected_under(progress, best)?, progress)
    }

    /// Splits entries into the ids of their n-grams, and the counts.
    fn unzip(&self, entries: &[(u64, u64)], progress: &Progress) -> Result<(Vec<u32>, Vec<u64>)> {
        let mut ids = alloc::with_capacity(entries.len().saturating_mul(self.order.get()))?;
        let mut counts = alloc::with_capacity(entries.len())?;
        each(entries, progress, |&(gram, count)| {
            #[allow(clippy::cast_possible_truncation, reason = "a symbol has 21 bits")]
            ids.extend(self.order.symbols(gram).map(|id| id as u32));
            counts.push(count);
            Ok(())
        })?;
        Ok((ids, counts))
    }

    /// Returns all counts in row-major order: Vⁿ numbers for V symbols and order n.
    ///
    /// # Errors
    /// [`Error::Dense`] where that would be more than 2²⁷ numbers, and [`Error::Interrupted`].
    pub fn dense(&self, progress: &Progress) -> Result<Vec<u64>> {
        let (symbols, order) = (self.characters.len() + 1, self.order.get());
        let cells = self.order.cells(symbols).filter(|&cells| cells <= MAX_CELLS);
        let mut dense = alloc::zeroed(cells.ok_or(Error::Dense { symbols, order })?)?;
        each(&self.entries, progress, |&(gram, count)| {
            let place = self.order.symbols(gram).fold(0, |at, id| at * symbols + index(id));
            dense[place] = count;
            Ok(())
        })?;
        Ok(dense)
    }

    /// Returns the counts over a larger alphabet.
    ///
    /// # Errors
    /// [`Error::Unknown`] for a character of this alphabet that the other one lacks,
    /// [`Error::Characters`] where it is not ascending, and [`Error::Interrupted`].
    pub fn with_characters(&self, characters: Vec<char>, progress: &Progress) -> Result<Counts> {
        check_characters(&characters)?;
        let entries = self.entries_over(&characters, progress)?;
        Ok(Counts { characters, entries, ..*self })
    }

    /// Returns the entries with the ids of a larger alphabet.
    fn entries_over(&self, characters: &[char], progress: &Progress) -> Result<Entries> {
        let mut numbers = alloc::with_capacity(self.characters.len() + 1)?;
        numbers.push(0);
        for (ours, &character) in self.characters.iter().enumerate() {
            if ours % CHUNK == 0 {
                progress.check()?;
            }
            let place = characters.binary_search(&character);
            numbers.push(place.map_err(|_| Error::Unknown { character })? as u64 + 1);
        }
        let number = |id| numbers[index(id)];
        renumbered(self.order, &self.entries, number, progress)
    }

    /// Returns the counts of both texts together, over both alphabets.
    ///
    /// # Errors
    /// [`Error::Orders`] for different orders, [`Error::CountOverflow`] for sums beyond 64 bits, and
    /// [`Error::Interrupted`].
    pub fn plus(&self, other: &Counts, progress: &Progress) -> Result<Counts> {
        if self.order != other.order {
            return Err(Error::Orders(self.order.get(), other.order.get()));
        }
        let length = self.characters.len() + other.characters.len();
        let mut characters = alloc::with_capacity(length)?;
        characters.extend(self.characters.iter().chain(&other.characters));
        characters.sort_unstable();
        characters.dedup();
        let left = self.entries_over(&characters, progress)?;
        let right = other.entries_over(&characters, progress)?;
        let entries = merged(&left, &right, progress)?;
        Counts::new(self.order, characters, entries, progress)
    }

    /// Compares order, characters and all counts.
    ///
    /// # Errors
    /// [`Error::Interrupted`].
    pub fn equals(&self, other: &Counts, progress: &Progress) -> Result<bool> {
        let outline = |counts: &Counts| (counts.order, counts.items, counts.total, counts.len());
        if outline(self) != outline(other) || self.characters != other.characters {
            return Ok(false);
        }
        for (ours, theirs) in self.entries.chunks(CHUNK).zip(other.entries.chunks(CHUNK)) {
            progress.check()?;
            if ours != theirs {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

/// Calls a function for each entry, with checks for a cancel.
fn each<T>(
    entries: &[T],
    progress: &Progress,
    mut act: impl FnMut(&T) -> Result<()>,
) -> Result<()> {
    for chunk in entries.chunks(CHUNK) {
        progress.check()?;
        chunk.iter().try_for_each(&mut act)?;
    }
    Ok(())
}

/// Renumbers the symbols of entries; the new numbers must ascend as the old ones do.
fn renumbered(
    order: Order,
    entries: &[(u64, u64)],
    number: impl Fn(u64) -> u64,
    progress: &Progress,
) -> Result<Entries> {
    let mut new = alloc::with_capacity(entries.len())?;
    each(entries, progress, |&(gram, count)| {
        let symbols = order.symbols(gram);
        new.push((symbols.fold(0, |new, symbol| Order::gram(new, number(symbol))), count));
        Ok(())
    })?;
    Ok(new)
}

/// Returns true for an n-gram that a text can have: boundaries only before its first character, and
/// at most one at its end.
fn is_possible(ids: &[u32]) -> bool {
    let begun = ids.iter().skip_while(|&&id| id == 0);
    let characters = begun.clone().take_while(|&&id| id != 0).count();
    characters > 0 && begun.count() - characters <= 1
}

#[allow(clippy::cast_possible_truncation, reason = "a symbol has 21 bits")]
fn index(symbol: u64) -> usize {
    symbol as usize
}

/// Checks that characters ascend.
pub(super) fn check_characters(characters: &[char]) -> Result<()> {
    match characters.windows(2).position(|pair| pair[0] >= pair[1]) {
        Some(place) => {
            let (position, character) = (place + 1, characters[place + 1]);
            Err(Error::Characters { position, character })
        }
        None => Ok(()),
    }
}

/// Checks that each id is that of a character, or 0.
pub(super) fn check_ids(ids: &[u32], characters: usize, progress: &Progress) -> Result<()> {
    for (number, chunk) in ids.chunks(CHUNK).enumerate() {
        progress.check()?;
        let beyond = chunk.iter().enumerate().find(|&(_, &id)| id as usize > characters);
        if let Some((place, &id)) = beyond {
            let position = number * CHUNK + place;
            return Err(Error::Id { argument: "ids", id, position, vocabulary: characters + 1 });
        }
    }
    Ok(())
}
