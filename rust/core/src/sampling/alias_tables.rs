//! All distributions of a model with a short context, ready for drawing.
#![allow(clippy::indexing_slicing, reason = "contexts are the table's own")]

use std::iter::repeat_n;

use crate::alloc::{self, Large};
use crate::progress::Progress;
use crate::rng::alias::{self, Builder, Cell};
use crate::sampling::params::{Row, SamplingParams};
use crate::{Error, Result};

/// The result of a draw where nothing can follow. No vocabulary is as large.
pub(super) const NOTHING: u32 = u32::MAX;
/// Cells between two checks for a cancel.
const CHUNK: usize = 1 << 16;

/// An alias table of the next symbol for each context, one after the other.
#[derive(Debug)]
pub struct AliasTables {
    cells: Large<Cell>,
    /// V, the size of the vocabulary.
    pub(super) size: u32,
    /// The number of symbols of a context.
    pub(super) context: u32,
    /// V^(context - 1): a context's number modulo this is that of its last symbols.
    pub(super) tails: u32,
}

impl AliasTables {
    /// Makes the tables of `probabilities`: a row of `size` for each of the size^context contexts.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a wrong shape or a row that is no distribution; of a row of zeros
    /// nothing can be drawn, which is no error here. [`Error::Memory`], [`Error::Interrupted`].
    pub fn new(
        probabilities: &[f64],
        (size, context): (u32, u32),
        params: SamplingParams,
        progress: &Progress,
    ) -> Result<AliasTables> {
        let rows = size.checked_pow(context).filter(|_| size > 0 && context > 0);
        let wanted = rows.and_then(|rows| (rows as usize).checked_mul(size as usize));
        if wanted != Some(probabilities.len()) {
            return Err(Error::Invalid(format!(
                "probabilities has {} entries; expected size**(context + 1) of them, with a size \
                 of {size} and a context of {context}",
                probabilities.len()
            )));
        }
        let nothing = repeat_n(alias::certain(NOTHING), probabilities.len());
        let mut cells = Large::from(alloc::collected_under(progress, nothing)?);
        let (mut builder, mut weights, width) = (Builder::default(), Vec::new(), size as usize);
        let pairs = probabilities.chunks_exact(width).zip(cells.chunks_exact_mut(width));
        for (number, (row, cells)) in pairs.enumerate() {
            if number % (CHUNK / width + 1) == 0 {
                progress.check()?;
            }
            match params.apply(row, number, &mut weights, progress)? {
                Row::Distribution => builder.build(&weights, cells)?,
                Row::Certain(symbol) => cells.fill(alias::certain(symbol)),
                Row::Empty => (),
            }
        }
        Ok(AliasTables { cells, size, context, tails: size.pow(context - 1) })
    }

    /// Returns the size of the vocabulary, and the length of a context.
    #[must_use]
    pub fn shape(&self) -> (u32, u32) {
        (self.size, self.context)
    }

    /// Returns the symbol that a random number draws after a context; [`NOTHING`] where none can
    /// follow.
    #[inline]
    pub(super) fn draw(&self, context: u32, number: u64) -> u32 {
        let start = context as usize * self.size as usize;
        alias::outcome(number, self.size, |place| self.cells[start + place as usize])
    }

    /// Returns the number of the context after `context` and a symbol.
    #[inline]
    pub(super) fn follow(&self, context: u32, symbol: u32) -> u32 {
        // A division is slow, and a context of one symbol needs none.
        let tail = if self.tails == 1 { 0 } else { context % self.tails };
        tail * self.size + symbol
    }

    /// Returns the symbols of a context.
    pub(super) fn symbols(&self, mut context: u32) -> Vec<u32> {
        let mut symbols = vec![0; self.context as usize];
        for symbol in symbols.iter_mut().rev() {
            *symbol = context % self.size;
            context /= self.size;
        }
        symbols
    }
}
