//! The sampler: draws items from alias tables, symbol after symbol.
#![allow(clippy::indexing_slicing, reason = "ends are those of the codes, and prompts checked")]

use std::ops::Range;

use crate::progress::Progress;
use crate::rng::CounterRng;
use crate::sampling::alias_tables::AliasTables;
use crate::{Error, Result, alloc};

/// The boundary, which begins contexts and ends items.
const END: u32 = 0;
/// Symbols drawn between two checks for a cancel, and allocated at a time.
const CHUNK: usize = 1 << 12;
/// The most symbols of a part of the work, if items are no longer than that.
const PART: usize = 1 << 20;
/// The most items of a part of the work.
const PART_ITEMS: usize = 1 << 13;

/// Draws items from alias tables.
#[derive(Debug)]
pub struct Sampler<'a, C> {
    table: &'a AliasTables,
    seed: u64,
    prompt: Vec<u32>,
    max_length: usize,
    /// The code of each symbol but the boundary.
    codes: &'a [C],
    /// The number of the context after the prompt.
    context: u32,
}

/// Items one after the other, and the end of each.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Items<C> {
    /// The code of each symbol.
    pub codes: Vec<C>,
    /// For each item the number of codes up to its end.
    pub ends: Vec<usize>,
}

impl<C> Items<C> {
    /// Iterates over the items.
    pub fn iter(&self) -> impl Iterator<Item = &[C]> {
        let mut start = 0;
        self.ends.iter().map(move |&end| {
            let item = &self.codes[start..end];
            start = end;
            item
        })
    }
}

impl<'a, C: Copy + Default> Sampler<'a, C> {
    /// Makes a sampler of items that begin with `prompt` and end when the boundary is drawn or they
    /// have `max_length` symbols, the prompt's included; symbol i is written as `codes[i - 1]`.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a prompt of symbols that are not there or too long, [`Error::Memory`].
    pub fn new(
        table: &'a AliasTables,
        seed: u64,
        prompt: &[u32],
        max_length: usize,
        codes: &'a [C],
    ) -> Result<Sampler<'a, C>> {
        let size = table.size;
        if codes.len() + 1 != size as usize {
            return Err(Error::Invalid(format!(
                "characters has {} of them; expected {}, one for each symbol but the boundary",
                codes.len(),
                size - 1
            )));
        }
        for (position, &symbol) in prompt.iter().enumerate() {
            if symbol == END || symbol >= size {
                return Err(Error::Invalid(format!(
                    "prompt[{position}] is {symbol}; expected a symbol from 1 to {}",
                    size - 1
                )));
            }
        }
        if prompt.len() > max_length {
            return Err(Error::Invalid(format!(
                "max_length is {max_length}; expected at least the length of the prompt, {}",
                prompt.len()
            )));
        }
        let context = prompt.iter().fold(END, |context, &symbol| table.follow(context, symbol));
        Ok(Sampler { table, seed, prompt: alloc::copied(prompt)?, max_length, codes, context })
    }

    /// Returns the largest number of symbols in an item.
    #[must_use]
    pub fn max_length(&self) -> usize {
        self.max_length
    }

    /// Returns the number of items in a part of the work, which takes about a millisecond.
    #[must_use]
    pub fn items_per_part(&self) -> u64 {
        (PART / self.max_length.saturating_add(1)).clamp(1, PART_ITEMS) as u64
    }

    /// Draws the items of a range of streams.
    ///
    /// # Errors
    /// [`Error::DeadEnd`] where the table gives no symbol any probability, [`Error::Memory`],
    /// [`Error::Interrupted`].
    pub fn draw(&self, streams: Range<u64>, progress: &Progress) -> Result<Items<C>> {
        let mut items = Items { codes: Vec::new(), ends: Vec::new() };
        for stream in streams {
            self.item(CounterRng::new(self.seed, stream), &mut items.codes, progress)?;
            alloc::push(&mut items.ends, items.codes.len())?;
        }
        Ok(items)
    }

    /// Draws one item and appends it.
    fn item(&self, stream: CounterRng, codes: &mut Vec<C>, progress: &Progress) -> Result<()> {
        alloc::reserve(codes, self.prompt.len())?;
        codes.extend(self.prompt.iter().map(|&symbol| self.codes[symbol as usize - 1]));
        let (mut context, mut length) = (self.context, self.prompt.len());
        while length < self.max_length {
            progress.check()?;
            let until = self.max_length.min(length.saturating_add(CHUNK));
            alloc::reserve(codes, until - length)?;
            while length < until {
                let symbol = self.table.draw(context, stream.at(length as u64));
                // Only symbols other than the boundary have a code.
                let Some(&code) = self.codes.get(symbol.wrapping_sub(1) as usize) else {
                    return if symbol == END { Ok(()) } else { Err(self.dead_end(context)) };
                };
                codes.push(code);
                context = self.table.follow(context, symbol);
                length += 1;
            }
        }
        Ok(())
    }

    /// Returns the error for a context that no symbol can follow.
    #[cold]
    #[inline(never)]
    fn dead_end(&self, context: u32) -> Error {
        Error::DeadEnd { context: self.table.symbols(context) }
    }
}
