//! Which types keep a number of their own.

use std::collections::HashMap;

use super::reader::{MARK, Text};
use crate::progress::Progress;
use crate::{Error, Result, alloc};

/// How many tokens are numbered between two checks for a cancel.
const STRETCH: usize = 1 << 20;

/// What a vocabulary is to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// How many tokens at the beginning are counted; none stands for all.
    pub train: Option<usize>,
    /// The most symbols that there may be, those for rare types and for the mark included.
    pub max_size: Option<usize>,
    /// How often a type must be among the tokens counted, at least; once at any rate.
    pub min_count: u64,
    /// The symbol for all types that have none of their own.
    pub rare: String,
    /// The symbol for the mark, where marks are put.
    pub mark: Option<String>,
}

/// Numbers of tokens, each in two bytes where that is enough for the vocabulary.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ids {
    /// For up to 65,536 symbols.
    Short(Vec<u16>),
    /// For more.
    Long(Vec<u32>),
}

/// A text numbered with a vocabulary of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Encoded {
    /// A number for each token: its symbol's place in the vocabulary.
    pub ids: Ids,
    /// The symbol for rare types, that for the mark if there is one, and then the types that are
    /// kept: the most frequent first, and of equals the one that occurs first.
    pub symbols: Vec<String>,
}

impl Text {
    /// Chooses a vocabulary by counts in the training part, and numbers the text with it.
    ///
    /// A symbol for rare types or the mark that the text itself holds is changed, see [`Encoded`]:
    /// a number is put before the bracket at its end, or behind it where there is none.
    ///
    /// # Errors
    /// [`Error::Invalid`] for limits that the text does not meet, [`Error::Interrupted`].
    pub fn choose(self, limits: &Limits, progress: &Progress) -> Result<Encoded> {
        let counts = self.counts(limits.train, progress)?;
        let mut symbols = vec![self.free_symbol(&limits.rare, "")];
        if let Some(mark) = &limits.mark {
            let mark = self.free_symbol(mark, symbols.first().map_or("", String::as_str));
            symbols.push(mark);
        }
        let room = match limits.max_size {
            None => usize::MAX,
            Some(size) if size > symbols.len() => size - symbols.len(),
            Some(size) => {
                let least = symbols.len() + 1;
                let message = format!("max_size is {size}; expected at least {least}");
                return Err(Error::Invalid(message));
            }
        };
        let kept = most_frequent(&counts, limits.min_count.max(1), room)?;
        if kept.is_empty() {
            let message = format!(
                "min_count is {}; expected at most the count of the most frequent type of the \
                 training part, {}",
                limits.min_count,
                counts.iter().max().unwrap_or(&0)
            );
            return Err(Error::Invalid(message));
        }
        let first = symbols.len();
        let numbers = numbers(&kept, counts.len(), first)?;
        self.add_names(&kept, &mut symbols)?;
        let ids = renumber(self.ids, &numbers, symbols.len(), progress)?;
        Ok(Encoded { ids, symbols })
    }

    /// Numbers the text with a vocabulary; what it does not hold becomes `rare`.
    ///
    /// # Errors
    /// [`Error::Interrupted`], and [`Error::Memory`] for more symbols than have numbers.
    pub fn encode(
        self,
        symbols: &[String],
        rare: u32,
        mark: Option<u32>,
        progress: &Progress,
    ) -> Result<Ids> {
        let mut places: HashMap<&str, u32> = alloc::map(symbols.len())?;
        for (place, symbol) in (0u32..).zip(symbols) {
            places.insert(symbol.as_str(), place);
        }
        let mut numbers = alloc::filled(rare, self.types.len() + 1)?;
        for (name, &id) in &self.types {
            if let (Some(number), Some(&place)) =
                (numbers.get_mut(id as usize), places.get(name.as_ref()))
            {
                *number = place;
            }
        }
        if let (Some(number), Some(mark)) = (numbers.get_mut(MARK as usize), mark) {
            *number = mark;
        }
        renumber(self.ids, &numbers, symbols.len(), progress)
    }

    /// How often each type is among the first tokens.
    fn counts(&self, train: Option<usize>, progress: &Progress) -> Result<Vec<u64>> {
        let size = train.unwrap_or(self.ids.len());
        let part = self.ids.get(..size).filter(|part| !part.is_empty()).ok_or_else(|| {
            let tokens = self.ids.len();
            let message =
                format!("train is {size}; expected 1 to {tokens}, the tokens that the text has");
            Error::Invalid(message)
        })?;
        let mut counts = alloc::zeroed(self.types.len() + 1)?;
        for stretch in part.chunks(STRETCH) {
            for &id in stretch {
                if let Some(count) = counts.get_mut(id as usize) {
                    *count += 1;
                }
            }
            progress.check()?;
        }
        // The mark has a number at any rate.
        if let Some(count) = counts.get_mut(MARK as usize) {
            *count = 0;
        }
        Ok(counts)
    }

    /// A symbol like the one wanted that is no type of the text, nor the one that is taken.
    fn free_symbol(&self, wanted: &str, taken: &str) -> String {
        let (stem, bracket) = match wanted.strip_suffix('>') {
            Some(stem) => (stem, ">"),
            None => (wanted, ""),
        };
        let free = |symbol: &String| !self.types.contains_key(symbol.as_str()) && symbol != taken;
        let others = (2u64..).map(|number| format!("{stem}{number}{bracket}"));
        std::iter::once(wanted.to_owned()).chain(others).find(free).unwrap_or_default()
    }

    /// Appends the names of the types kept, in their order.
    fn add_names(&self, kept: &[usize], symbols: &mut Vec<String>) -> Result<()> {
        let mut names = alloc::filled("", self.types.len() + 1)?;
        for (name, &id) in &self.types {
            if let Some(place) = names.get_mut(id as usize) {
                *place = name;
            }
        }
        alloc::reserve(symbols, kept.len())?;
        for name in kept.iter().filter_map(|&id| names.get(id)) {
            symbols.push(alloc::string(name)?);
        }
        Ok(())
    }
}

/// The types that occur often enough, by count and then by first occurrence, no more than there is
/// room for.
fn most_frequent(counts: &[u64], min_count: u64, room: usize) -> Result<Vec<usize>> {
    let often = counts.iter().enumerate().filter(|&(_, &count)| count >= min_count);
    let mut kept = alloc::with_capacity(often.clone().count())?;
    kept.extend(often.map(|(id, &count)| (u64::MAX - count, id)));
    kept.sort_unstable();
    alloc::collected(kept.into_iter().take(room).map(|(_, id)| id))
}

/// For each number of a type its place in the vocabulary, whose kept types begin at `first`.
fn numbers(kept: &[usize], types: usize, first: usize) -> Result<Vec<u32>> {
    let mut numbers = alloc::zeroed(types)?;
    if let Some(mark) = numbers.get_mut(MARK as usize) {
        // Without marks the text does not hold it, and no number is wrong.
        *mark = 1;
    }
    for (place, &id) in (first..).zip(kept) {
        if let Some(number) = numbers.get_mut(id) {
            *number = u32::try_from(place).map_err(|_| Error::Memory)?;
        }
    }
    Ok(numbers)
}

/// Puts the new number of each token in the place of the old one.
fn renumber(mut ids: Vec<u32>, numbers: &[u32], size: usize, progress: &Progress) -> Result<Ids> {
    let new = |old: u32| numbers.get(old as usize).copied().unwrap_or_default();
    if size > 1 << 16 {
        for part in ids.chunks_mut(STRETCH) {
            for id in part.iter_mut() {
                *id = new(*id);
            }
            progress.add(part.len() as u64)?;
        }
        return Ok(Ids::Long(ids));
    }
    let mut short = alloc::with_capacity(ids.len())?;
    for part in ids.chunks(STRETCH) {
        #[allow(clippy::cast_possible_truncation, reason = "numbers are below size, up to 2^16")]
        short.extend(part.iter().map(|&id| new(id) as u16));
        progress.add(part.len() as u64)?;
    }
    Ok(Ids::Short(short))
}
