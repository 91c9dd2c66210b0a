//! Counts n-grams of ids.
#![allow(clippy::indexing_slicing, reason = "ids are checked before they are counted")]

use super::gram::{GramMap, Order};
use super::runs::Runs;
use super::table::{Counts, check_characters, check_ids};
use crate::progress::Progress;
use crate::{Error, Result, alloc};

/// The ids counted between two checks for a cancel.
const CHUNK: usize = 1 << 16;

/// The most n-grams in the hash map: a larger one would be slow, and long to sort.
const MOST_MAPPED: usize = 1 << 19;

/// The most cells of a table: 8 MiB.
const MOST_CELLS: usize = 1 << 20;

/// Counts the n-grams of ids, where one or more 0 separate items and id i + 1 is `characters[i]`.
/// The result has exactly these characters, also those that do not occur.
///
/// # Errors
/// [`Error::Id`] for an id beyond the characters, [`Error::Characters`] where they do not
/// ascend, [`Error::Blank`] without any item, and [`Error::Interrupted`].
pub fn count_ids(
    ids: &[u32],
    characters: Vec<char>,
    order: Order,
    name: &str,
    progress: &Progress,
) -> Result<Counts> {
    check_characters(&characters)?;
    check_ids(ids, characters.len(), progress)?;
    let symbols = characters.len() + 1;
    let entries = match order.cells(symbols).filter(|&cells| cells <= MOST_CELLS) {
        Some(cells) => count_dense(ids, order, symbols, alloc::zeroed(cells)?, progress)?,
        None => count_sparse(ids, order, progress)?,
    };
    if entries.is_empty() {
        return Err(Error::Blank { name: name.to_owned() });
    }
    Counts::new(order, characters, entries, progress)
}

/// Counts in a table whose cells are numbered by n-grams in base `symbols`.
fn count_dense(
    ids: &[u32],
    order: Order,
    symbols: usize,
    mut counts: Vec<u64>,
    progress: &Progress,
) -> Result<Vec<(u64, u64)>> {
    // The row of a history: its ids as digits in base `symbols`, of which a bigram has only the
    // last.
    let width = if order == Order::Bigrams { 0 } else { symbols };
    let (mut row, mut last) = (0, 0);
    let mut step = |id: usize| {
        let place = row * symbols + id;
        if place > 0 {
            counts[place] += 1;
            row = if id == 0 { 0 } else { last * width + id };
            last = id;
        }
    };
    for chunk in ids.chunks(CHUNK) {
        for &id in chunk {
            step(id as usize);
        }
        progress.add(chunk.len() as u64)?;
    }
    // The end of the last item; another end after it does nothing.
    step(0);
    let used = (0..).zip(counts).filter(|&(_, count)| count > 0);
    let mut entries = Vec::new();
    for (place, count) in used {
        alloc::push(&mut entries, (gram_at(order, symbols as u64, place), count))?;
    }
    Ok(entries)
}

/// Counts in a hash map, which is emptied into sorted runs whenever it has become large.
fn count_sparse(ids: &[u32], order: Order, progress: &Progress) -> Result<Vec<(u64, u64)>> {
    let (mut map, mut runs) = (GramMap::default(), Runs::default());
    let mut history = 0;
    let mut step = |id: u32, map: &mut GramMap| -> Result<()> {
        if id != 0 || history != 0 {
            let gram = Order::gram(history, u64::from(id));
            alloc::reserve_entry(map)?;
            *map.entry(gram).or_default() += 1;
            history = if id == 0 { 0 } else { order.history(gram) };
        }
        Ok(())
    };
    for chunk in ids.chunks(CHUNK) {
        for &id in chunk {
            step(id, &mut map)?;
        }
        if map.len() > MOST_MAPPED {
            runs.add(&alloc::collected(map.drain())?, progress)?;
        }
        progress.add(chunk.len() as u64)?;
    }
    step(0, &mut map)?;
    runs.add(&alloc::collected(map.drain())?, progress)?;
    runs.finish(progress)
}

/// Returns the n-gram of a place in the table.
fn gram_at(order: Order, symbols: u64, place: u64) -> u64 {
    let powers = (0u32..).take(order.get()).map(|power| symbols.pow(power));
    let ids: Vec<u64> = powers.map(|power| place / power % symbols).collect();
    ids.iter().rev().fold(0, |gram, &id| Order::gram(gram, id))
}
