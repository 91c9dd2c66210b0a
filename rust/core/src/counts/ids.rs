//! Counting over ids that are given.

use super::Problem;
use super::gram::{GramMap, Order};
use super::table::{Counts, check_characters, check_ids};
use crate::Result;
use crate::watch::Watch;

/// How many ids are counted between two looks at the watch.
const STRETCH: usize = 1 << 16;

/// How many cells a table has at most: 8 MiB.
const MOST_CELLS: usize = 1 << 20;

/// Counts the n-grams of ids, where one or more 0 stand between items and id i + 1 is
/// `characters[i]`. The result has exactly these characters, also those that do not occur.
///
/// # Errors
/// [`Problem::Id`] for an id beyond the characters, [`Problem::Characters`] where they do not
/// ascend, [`Problem::Blank`] without any item, and an early end of the work.
pub fn count_ids(
    ids: &[u32],
    characters: Vec<char>,
    order: Order,
    name: &str,
    watch: &Watch,
) -> Result<Counts> {
    check_characters(&characters)?;
    check_ids(ids, characters.len())?;
    let mut cells = Cells::new(order, characters.len() + 1);
    let mut history = 0;
    for stretch in ids.chunks(STRETCH) {
        for &id in stretch {
            if id != 0 || history != 0 {
                let gram = Order::gram(history, u64::from(id));
                cells.add(gram);
                history = if id == 0 { 0 } else { order.history(gram) };
            }
        }
        watch.advance(stretch.len() as u64)?;
    }
    if history != 0 {
        cells.add(Order::gram(history, 0));
    }
    let entries = cells.entries();
    if entries.is_empty() {
        return Err(Problem::Blank { name: name.to_owned() }.into());
    }
    Counts::new(order, characters, entries)
}

/// Counts by n-gram of ids: a table where it is small, otherwise a hash map.
enum Cells {
    Dense { order: Order, symbols: u64, counts: Vec<u64> },
    Sparse(GramMap),
}

impl Cells {
    fn new(order: Order, symbols: usize) -> Cells {
        let power = u32::try_from(order.get()).ok().and_then(|order| symbols.checked_pow(order));
        match power.filter(|&cells| cells <= MOST_CELLS) {
            Some(cells) => Cells::Dense { order, symbols: symbols as u64, counts: vec![0; cells] },
            None => Cells::Sparse(GramMap::default()),
        }
    }

    fn add(&mut self, gram: u64) {
        match self {
            Cells::Dense { order, symbols, counts } => {
                let place = order.symbols(gram).fold(0, |at, id| at * *symbols + id);
                if let Some(count) = usize::try_from(place).ok().and_then(|at| counts.get_mut(at)) {
                    *count += 1;
                }
            }
            Cells::Sparse(map) => *map.entry(gram).or_default() += 1,
        }
    }

    /// N-grams and their counts above 0, ascending.
    fn entries(self) -> Vec<(u64, u64)> {
        match self {
            Cells::Dense { order, symbols, counts } => {
                let used = (0..).zip(counts).filter(|&(_, count)| count > 0);
                used.map(|(place, count)| (gram_at(order, symbols, place), count)).collect()
            }
            Cells::Sparse(map) => {
                let mut entries: Vec<_> = map.into_iter().collect();
                entries.sort_unstable();
                entries
            }
        }
    }
}

/// The n-gram of a place in the table.
fn gram_at(order: Order, symbols: u64, place: u64) -> u64 {
    let powers = (0u32..).take(order.get()).map(|power| symbols.pow(power));
    let ids: Vec<u64> = powers.map(|power| place / power % symbols).collect();
    ids.iter().rev().fold(0, |gram, &id| Order::gram(gram, id))
}
