//! The logits of a slice, tile by tile of the vocabulary.

use std::iter;
use std::ops::Range;

use super::Shape;
use crate::linalg::lanes::{self, Lanes, Running};
use crate::linalg::{Buffer, Cpu, Float, LANES};
use crate::{Result, alloc};

/// Symbols in a tile: whole register tiles, whose logits fill half of the first-level cache, and
/// whose rows of U, up to 512 numbers long, fill a fifth of the second-level cache.
pub const TILE: usize = 192;

/// Some symbols next to each other, all of the same tile.
#[derive(Clone, Copy, Debug)]
pub(super) struct Symbols {
    pub first: usize,
    pub count: usize,
    /// Whether they are of the last tile.
    pub last: bool,
}

impl Symbols {
    /// The number of the tile.
    fn tile(&self) -> usize {
        self.first / TILE
    }

    fn range(&self) -> Range<usize> {
        self.first..self.first + self.count
    }

    /// These rows of a matrix with rows of this length.
    pub fn of<'a, T>(&self, matrix: &'a [T], width: usize) -> &'a [T] {
        let Range { start, end } = self.range();
        matrix.get(start * width..end * width).unwrap_or_default()
    }

    /// As many rows behind them.
    pub fn next(&self) -> Symbols {
        Symbols { first: self.first + self.count, ..*self }
    }

    /// Where the example's target is among them.
    pub fn place(&self, target: u32) -> Option<usize> {
        (target as usize).checked_sub(self.first).filter(|place| *place < self.count)
    }
}

/// Cuts symbols at the borders of tiles.
pub(super) fn cut(shape: &Shape, all: Range<usize>) -> impl Iterator<Item = Symbols> + use<> {
    let last = shape.vocabulary.saturating_sub(1) / TILE;
    let mut first = all.start;
    iter::from_fn(move || {
        let count = (TILE - first % TILE).min(all.end.saturating_sub(first));
        let rows = Symbols { first, count, last: first / TILE == last };
        first += count;
        (count > 0).then_some(rows)
    })
}

/// The logits of a slice, and what becomes of them.
#[derive(Debug)]
pub struct Logits<T> {
    /// The logits y, then exponentials, then probabilities or the gradient dy, as a panel of as many
    /// rows as there are symbols, or as a tile has if they are not kept.
    pub panel: Buffer<T>,
    /// Whether they are kept from tile to tile.
    pub kept: bool,
    /// The largest ones and the sums, of the tiles so far.
    pub running: Running<T>,
    /// The largest ones that were known when a tile's exponentials were made.
    pub largest: Vec<Lanes<T>>,
    /// The targets' logits.
    pub chosen: [f64; LANES],
    /// What an example counts.
    pub weight: T,
    /// The weight over the sum; zeros where there is no example.
    pub shares: Lanes<T>,
}

impl<T: Float> Logits<T> {
    /// Room for the logits of so many symbols, or of a tile at a time.
    ///
    /// # Errors
    /// [`crate::Error::Memory`].
    pub fn new(vocabulary: usize, kept: bool) -> Result<Logits<T>> {
        let rows = if kept { vocabulary } else { vocabulary.min(TILE) };
        Ok(Logits {
            panel: Buffer::zeros(rows * LANES)?,
            kept,
            running: Running::new(),
            largest: alloc::filled([T::default(); LANES], vocabulary.div_ceil(TILE))?,
            chosen: [0.0; LANES],
            weight: T::default(),
            shares: [T::default(); LANES],
        })
    }

    /// Before the first tile.
    pub(super) fn begin(&mut self) {
        self.running = Running::new();
        self.chosen = [0.0; LANES];
    }

    /// Where these rows lie.
    fn place(&self, rows: Symbols) -> Range<usize> {
        let first = if self.kept { rows.first } else { rows.first % TILE };
        first * LANES..(first + rows.count) * LANES
    }

    pub(super) fn rows(&self, rows: Symbols) -> &[T] {
        self.panel.get(self.place(rows)).unwrap_or_default()
    }

    pub(super) fn rows_mut(&mut self, rows: Symbols) -> &mut [T] {
        let place = self.place(rows);
        self.panel.get_mut(place).unwrap_or_default()
    }

    /// Symbols, and those behind them, if they are of this panel.
    pub(super) fn rows_and_next(&mut self, rows: Symbols) -> (&mut [T], &[T]) {
        let (start, end) = (self.place(rows).start, self.place(rows).end);
        let (before, next) = self.panel.split_at_mut_checked(end).unwrap_or_default();
        let next = next.get(..end - start).unwrap_or_default();
        (before.get_mut(start..).unwrap_or_default(), next)
    }

    /// e = exp(y + b − m) in the place of y, for a tile; see [`lanes::exp_of_rest`].
    pub(super) fn exponentials(&mut self, cpu: Cpu, rows: Symbols, b: &[T]) -> Lanes<T> {
        let place = self.place(rows);
        let y = self.panel.get_mut(place).unwrap_or_default();
        let factors = lanes::exp_of_rest(cpu, y, b, &mut self.running);
        if let Some(largest) = self.largest.get_mut(rows.tile()) {
            *largest = self.running.largest;
        }
        factors
    }

    /// What the exponentials of a tile are to be multiplied by: they are of distances from the
    /// largest logit that was known then.
    pub(super) fn factors(&self, cpu: Cpu, rows: Symbols) -> Lanes<T> {
        let mut factors = self.largest.get(rows.tile()).copied().unwrap_or(self.running.largest);
        for (factor, largest) in factors.iter_mut().zip(self.running.largest) {
            *factor = *factor - largest;
        }
        lanes::exp(cpu, &mut factors);
        for (factor, share) in factors.iter_mut().zip(self.shares) {
            *factor = *factor * share;
        }
        factors
    }
}
