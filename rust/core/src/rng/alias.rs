//! Alias tables: draws from n outcomes of any probabilities with one random number and one look-up.
//!
//! Walker (1977), built as by Vose, "A linear algorithm for generating random numbers with a given
//! distribution" (1991). Each of n cells has probability 1/n; it belongs to its own outcome up to
//! a threshold, and to one other outcome, its alias, above.
//!
//! Probabilities are rounded to whole units first, 2^32 of which fill a cell, so that the table is
//! built with exact arithmetic: an outcome of probability 0 is never drawn, and a table is the
//! same on every machine. An outcome's probability is off by less than 2^-32/n, that of the
//! likeliest one by less than 2^-32.

use crate::{Result, alloc};

/// Units in a cell.
const FULL: u64 = 1 << 32;

/// A cell: the threshold in its upper half, the alias in its lower one.
pub type Cell = u64;

/// Makes a cell that always gives the same outcome.
#[inline]
#[must_use]
pub fn certain(outcome: u32) -> Cell {
    Cell::from(outcome)
}

/// Returns the outcome of a random number, given a table of `size` cells that `cell_at` looks up.
#[inline]
#[allow(clippy::cast_possible_truncation, reason = "halves of a product, and of a cell")]
pub fn outcome(number: u64, size: u32, cell_at: impl FnOnce(u32) -> Cell) -> u32 {
    let spread = u128::from(number) * u128::from(size);
    let (place, height) = ((spread >> 64) as u32, (spread as u64) >> 32);
    let cell = cell_at(place);
    if height < cell >> 32 { place } else { cell as u32 }
}

/// The scratch buffers for building tables.
#[derive(Debug, Default)]
pub struct Builder {
    units: Vec<u64>,
    small: Vec<u32>,
    large: Vec<u32>,
}

impl Builder {
    /// Fills `cells` with the table of as many `weights`. These must be finite and at least 0, and
    /// their sum finite and greater than 0; the table of other weights is meaningless.
    ///
    /// # Errors
    /// [`crate::Error::Memory`].
    #[allow(clippy::cast_possible_truncation, reason = "a table has fewer than 2^32 cells")]
    #[allow(clippy::indexing_slicing, reason = "the stacks hold places below the length of all")]
    pub fn build(&mut self, weights: &[f64], cells: &mut [Cell]) -> Result<()> {
        let likeliest = self.round(weights)?;
        cells.fill(certain(likeliest));
        for stack in [&mut self.small, &mut self.large] {
            stack.clear();
            alloc::reserve(stack, weights.len())?;
        }
        for (place, &units) in self.units.iter().enumerate() {
            if units < FULL { &mut self.small } else { &mut self.large }.push(place as u32);
        }
        while let (Some(&low), Some(&high)) = (self.small.last(), self.large.last()) {
            let units = self.units[low as usize];
            cells[low as usize] = units << 32 | Cell::from(high);
            let rest = &mut self.units[high as usize];
            *rest -= FULL - units;
            self.small.pop();
            if *rest < FULL {
                self.large.pop();
                self.small.push(high);
            }
        }
        for &place in &self.large {
            cells[place as usize] = certain(place);
        }
        Ok(())
    }

    /// Rounds weights down to units, `FULL` a cell on average; what is missing goes to the
    /// likeliest outcome, the first if there are several, which is returned.
    #[allow(clippy::cast_precision_loss, reason = "the sum of the units is set right below")]
    #[allow(clippy::cast_possible_truncation, reason = "a table has fewer than 2^32 cells")]
    #[allow(clippy::cast_sign_loss, reason = "weights are at least 0")]
    fn round(&mut self, weights: &[f64]) -> Result<u32> {
        let sum: f64 = weights.iter().sum();
        let all = FULL * weights.len() as u64;
        self.units.clear();
        alloc::reserve(&mut self.units, weights.len())?;
        self.units.extend(weights.iter().map(|weight| (weight / sum * all as f64) as u64));
        let given: u64 = self.units.iter().sum();
        // `max_by_key` returns the last of several, so the order is reversed.
        let units = self.units.iter_mut().enumerate().rev();
        let Some((likeliest, units)) = units.max_by_key(|(_, units)| **units) else {
            return Ok(0); // of an empty table
        };
        *units = all.wrapping_sub(given).wrapping_add(*units);
        Ok(likeliest as u32)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests may fail loudly")]
#[allow(clippy::cast_precision_loss, reason = "a few bits do not matter")]
mod tests {
    use super::*;

    /// Counts the heights, 2^32·n in all, that belong to each outcome.
    fn shares(cells: &[Cell]) -> Vec<u64> {
        let mut shares = vec![0; cells.len()];
        for (place, cell) in cells.iter().enumerate() {
            shares[place] += cell >> 32;
            shares[(cell & (FULL - 1)) as usize] += FULL - (cell >> 32);
        }
        shares
    }

    #[test]
    fn shares_are_the_weights() {
        let mut builder = Builder::default();
        for weights in [
            vec![1.0],
            vec![0.5, 0.5],
            vec![1.0, 2.0, 5.0],
            vec![0.0, 1e-300, 0.0, 1e-300],
            vec![3.0, 0.0, 1e-30],
            (0..1000).map(|i| f64::from(i * i % 97)).collect(),
            vec![1.0 / 3.0; 3],
        ] {
            let mut cells = vec![7; weights.len()];
            builder.build(&weights, &mut cells).unwrap();
            let sum: f64 = weights.iter().sum();
            let largest = weights.iter().copied().fold(0.0, f64::max);
            for (share, weight) in shares(&cells).into_iter().zip(&weights) {
                let wanted = weight / sum * weights.len() as f64 * FULL as f64;
                let bound = if *weight == largest { weights.len() as f64 } else { 1.0 };
                assert!((share as f64 - wanted).abs() <= bound, "{weights:?}: {share} {wanted}");
                assert!(*weight > 0.0 || share == 0, "{weights:?}");
            }
        }
    }

    #[test]
    fn the_ends_of_the_range_are_outcomes() {
        let mut cells = vec![0; 3];
        Builder::default().build(&[1.0, 1.0, 2.0], &mut cells).unwrap();
        for number in [0, 1, u64::MAX / 3, u64::MAX / 3 + 1, u64::MAX] {
            assert!(outcome(number, 3, |place| cells[place as usize]) < 3);
        }
    }
}
