//! Chooses the types that keep an id of their own, and encodes a text.
#![allow(clippy::indexing_slicing, reason = "ids are those of a text, and numbers its own")]

use super::interner::Names;
use super::reader::{EOS, Text};
use crate::progress::Progress;
use crate::sort::sort;
use crate::{Error, Result, alloc};

/// Tokens between two checks for a cancel.
const CHUNK: usize = 1 << 20;

/// The limits of a vocabulary.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The number of tokens, from the first on, that are counted; None: all of them.
    pub train: Option<usize>,
    /// The largest size of the vocabulary, unk and eos included.
    pub max_size: Option<usize>,
    /// The least count of a type that keeps an id of its own; at least 1.
    pub min_count: u64,
    /// The token for all types that have none of their own.
    pub unk: String,
    /// The token that ends sentences, if the text has any.
    pub eos: Option<String>,
}

/// The ids of tokens, in two bytes each where that is enough for the vocabulary.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ids {
    /// For up to 65,536 symbols.
    Short(Vec<u16>),
    /// For more.
    Long(Vec<u32>),
}

/// A text encoded with a vocabulary of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Encoded {
    /// An id for each token: its index in `symbols`.
    pub ids: Ids,
    /// The unk token, the eos token if there is one, and then the types that are kept: the most
    /// frequent first, and of those with equal counts the one that occurs first.
    pub symbols: Names,
}

impl Text {
    /// Chooses a vocabulary by counts in the training part, and encodes the text with it.
    ///
    /// If the unk or the eos token is a type of the text, it gets a number at its end, before a `>`:
    /// `<unk2>`.
    ///
    /// # Errors
    /// [`Error::Invalid`] for limits that the text does not meet, [`Error::Interrupted`].
    pub fn choose(self, limits: &Limits, progress: &Progress) -> Result<Encoded> {
        let counts = self.counts(limits.train, progress)?;
        let (numbers, symbols) = self.numbers_by_count(&counts, limits, progress)?;
        let ids = renumber(self.ids, &numbers, symbols.len(), progress)?;
        Ok(Encoded { ids, symbols })
    }

    /// Chooses a vocabulary by the counts, in the training part, of all ids that
    /// [`super::Reader::take`] returns; returns the new number of each of these ids, and the symbols.
    ///
    /// # Errors
    /// As [`Text::choose`], and [`Error::Invalid`] for another number of counts than of ids.
    pub fn numbers_by_count(
        &self,
        counts: &[u64],
        limits: &Limits,
        progress: &Progress,
    ) -> Result<(Vec<u32>, Names)> {
        let (got, expected) = (counts.len(), self.types.names().len() + 1);
        if got != expected {
            let message = format!("counts has {got} numbers; expected {expected}");
            return Err(Error::Invalid(message));
        }
        let mut symbols = Names::default();
        symbols.push(&self.free_symbol(&limits.unk, ""))?;
        if let Some(eos) = &limits.eos {
            symbols.push(&self.free_symbol(eos, symbols.get(0)))?;
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
        let kept = most_frequent(counts, limits.min_count.max(1), room, progress)?;
        if kept.is_empty() {
            let message = format!(
                "min_count is {}; expected at most the count of the most frequent type of the \
                 training part, {}",
                limits.min_count,
                counts.iter().skip(1).max().unwrap_or(&0)
            );
            return Err(Error::Invalid(message));
        }
        let mut numbers = alloc::zeroed(counts.len())?;
        // A text without sentences does not hold eos, so that this is never read.
        numbers[EOS as usize] = 1;
        for id in kept {
            progress.check()?;
            numbers[id] = u32::try_from(symbols.len()).map_err(|_| Error::Memory)?;
            symbols.push(self.types.names().get(id - 1))?;
        }
        Ok((numbers, symbols))
    }

    /// Encodes the text with a vocabulary; types that it lacks become `unk`.
    ///
    /// # Errors
    /// [`Error::Interrupted`], [`Error::Memory`].
    pub fn encode(
        self,
        symbols: &Names,
        unk: u32,
        eos: Option<u32>,
        progress: &Progress,
    ) -> Result<Ids> {
        let numbers = self.numbers(symbols, unk, eos, progress)?;
        renumber(self.ids, &numbers, symbols.len(), progress)
    }

    /// Returns the number that a vocabulary has for each id that [`super::Reader::take`] returns.
    ///
    /// # Errors
    /// As [`Text::encode`].
    pub fn numbers(
        &self,
        symbols: &Names,
        unk: u32,
        eos: Option<u32>,
        progress: &Progress,
    ) -> Result<Vec<u32>> {
        let mut numbers = alloc::filled(unk, self.types.names().len() + 1)?;
        for (number, symbol) in (0u32..).zip(symbols.iter()) {
            progress.check()?;
            if let Some(kind) = self.types.get(symbol) {
                numbers[kind as usize + 1] = number;
            }
        }
        numbers[EOS as usize] = eos.unwrap_or(unk);
        Ok(numbers)
    }

    /// Counts each type among the first tokens.
    fn counts(&self, train: Option<usize>, progress: &Progress) -> Result<Vec<u64>> {
        let size = train.unwrap_or(self.ids.len());
        let part = self.ids.get(..size).filter(|part| !part.is_empty()).ok_or_else(|| {
            let tokens = self.ids.len();
            let message =
                format!("train is {size}; expected 1 to {tokens}, the tokens that the text has");
            Error::Invalid(message)
        })?;
        let mut counts: Vec<u64> = alloc::zeroed(self.types.names().len() + 1)?;
        for chunk in part.chunks(CHUNK) {
            progress.check()?;
            for &id in chunk {
                counts[id as usize] += 1;
            }
        }
        Ok(counts)
    }

    /// Returns `wanted` or, if it is a type of the text or equal to `taken`, a variant with a
    /// number.
    fn free_symbol(&self, wanted: &str, taken: &str) -> String {
        let (stem, bracket) = match wanted.strip_suffix('>') {
            Some(stem) => (stem, ">"),
            None => (wanted, ""),
        };
        let (mut symbol, mut number) = (wanted.to_owned(), 2);
        while self.types.get(&symbol).is_some() || symbol == taken {
            symbol = format!("{stem}{number}{bracket}");
            number += 1;
        }
        symbol
    }
}

/// Returns the ids of up to `room` types that occur at least `min_count` times, sorted by count and
/// then by first occurrence.
fn most_frequent(
    counts: &[u64],
    min_count: u64,
    room: usize,
    progress: &Progress,
) -> Result<Vec<usize>> {
    // The eos token is always kept, and not as a type.
    let types = counts.iter().enumerate().skip(1);
    let often = types.filter(|&(_, &count)| count >= min_count);
    let mut kept = alloc::with_capacity(often.clone().count())?;
    kept.extend(often.map(|(id, &count)| (u64::MAX - count, id)));
    sort(&mut kept, progress)?;
    alloc::collected(kept.into_iter().take(room).map(|(_, id)| id))
}

/// Replaces the id of each token by its new number.
fn renumber(mut ids: Vec<u32>, numbers: &[u32], size: usize, progress: &Progress) -> Result<Ids> {
    if size > 1 << 16 {
        for part in ids.chunks_mut(CHUNK) {
            progress.add(part.len() as u64)?;
            for id in part {
                *id = numbers[*id as usize];
            }
        }
        return Ok(Ids::Long(ids));
    }
    let mut short = alloc::with_capacity(ids.len())?;
    for part in ids.chunks(CHUNK) {
        progress.add(part.len() as u64)?;
        #[allow(clippy::cast_possible_truncation, reason = "numbers are below size, up to 2^16")]
        short.extend(part.iter().map(|&id| numbers[id as usize] as u16));
    }
    Ok(Ids::Short(short))
}
