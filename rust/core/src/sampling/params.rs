//! Temperature and top-k on a row of probabilities, and draws from single rows.
#![allow(clippy::indexing_slicing, reason = "places are those of a row")]

use std::cmp::Reverse;

use crate::alloc::{self, Large};
use crate::progress::Progress;
use crate::rng::CounterRng;
use crate::rng::alias::{self, Builder, Cell};
use crate::sort::sort;
use crate::{Error, Result};

/// The most by which the sum of a row may differ from 1: enough for probabilities computed in f32.
const TOLERANCE: f64 = 1e-4;
/// Weights between two checks for a cancel.
const CHUNK: usize = 1 << 16;
/// The longest row that is drawn from by an alias table, as in [`crate::sampling::AliasTables`].
/// Models of larger vocabularies have no such tables, and building one for a single draw would take
/// longer than computing the row did (measured with 16,384 symbols: 0.20 ms, a search 0.04 ms).
const SMALL: usize = 1024;

/// Longer rows are sorted for top-k, which can be cancelled, rather than partitioned.
const LONG: usize = 1 << 20;

/// The parameters of sampling: temperature and top-k.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SamplingParams {
    temperature: f64,
    top_k: Option<usize>,
}

/// A row of probabilities after the parameters were applied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Row {
    /// A distribution.
    Distribution,
    /// One symbol, for sure.
    Certain(u32),
    /// Zeros only: nothing can be drawn.
    Empty,
}

impl SamplingParams {
    /// Makes parameters from a temperature of at least 0, and the number of symbols that may be
    /// drawn, at least 1.
    ///
    /// # Errors
    /// [`Error::Invalid`] for others.
    pub fn new(temperature: f64, top_k: Option<usize>) -> Result<SamplingParams> {
        if temperature.is_nan() || temperature < 0.0 {
            let message =
                format!("temperature is {temperature:?}; expected a number of at least 0");
            return Err(Error::Invalid(message));
        }
        if top_k == Some(0) {
            return Err(Error::Invalid("top_k is 0; expected at least 1, or None".to_owned()));
        }
        Ok(SamplingParams { temperature, top_k })
    }

    /// Turns a row p into the weights w to draw with, of any scale.
    ///
    /// Top-k keeps the k largest probabilities. Then, with the temperature T,
    ///
    /// ```text
    /// w_i = (p_i / max p)^(1/T) = exp((ln p_i - ln max p) / T)      w_i = 0 where p_i = 0
    /// ```
    ///
    /// T = 0 is greedy: it draws the symbol of the largest probability. Of equal probabilities,
    /// top-k and T = 0 prefer the first. T = 1 leaves p as it is.
    ///
    /// # Errors
    /// [`Error::Invalid`] if the row holds what is no probability or does not sum to about 1;
    /// `number` is the row's, for the message. [`Error::Memory`], [`Error::Interrupted`].
    pub fn apply(
        &self,
        row: &[f64],
        number: usize,
        weights: &mut Vec<f64>,
        progress: &Progress,
    ) -> Result<Row> {
        if sum(row, number, progress)? == 0.0 {
            return Ok(Row::Empty);
        }
        if self.temperature == 0.0 || self.top_k == Some(1) {
            return Ok(Row::Certain(first_largest(row, progress)?.0));
        }
        weights.clear();
        alloc::reserve(weights, row.len())?;
        for part in row.chunks(CHUNK) {
            progress.check()?;
            weights.extend_from_slice(part);
        }
        if let Some(k) = self.top_k {
            keep_largest(weights, k, progress)?;
        }
        if self.temperature != 1.0 {
            let log_most = libm::log(first_largest(row, progress)?.1);
            for part in weights.chunks_mut(CHUNK) {
                progress.check()?;
                for weight in part.iter_mut().filter(|weight| **weight > 0.0) {
                    *weight = libm::exp((libm::log(*weight) - log_most) / self.temperature);
                }
            }
        }
        Ok(Row::Distribution)
    }
}

/// Returns the sum of a row, which must be about 1, or 0.
fn sum(row: &[f64], number: usize, progress: &Progress) -> Result<f64> {
    let mut sum = 0.0;
    for (part, start) in row.chunks(CHUNK).zip((0..).step_by(CHUNK)) {
        progress.check()?;
        for (place, &p) in part.iter().enumerate() {
            if !(0.0..f64::INFINITY).contains(&p) {
                let symbol: usize = start + place;
                return Err(Error::Invalid(format!(
                    "probabilities[{number}, {symbol}] is {p:?}; expected a number from 0 to 1"
                )));
            }
            sum += p;
        }
    }
    if sum != 0.0 && (sum - 1.0).abs() > TOLERANCE {
        return Err(Error::Invalid(format!(
            "probabilities[{number}] sums to {sum:?}; expected a sum of 1"
        )));
    }
    Ok(sum)
}

/// Returns the largest entry with its place, the first of equals.
fn first_largest(row: &[f64], progress: &Progress) -> Result<(u32, f64)> {
    let mut best = (0, f64::NEG_INFINITY);
    let mut places = 0..;
    for part in row.chunks(CHUNK) {
        progress.check()?;
        for (&p, place) in part.iter().zip(&mut places) {
            if p > best.1 {
                best = (place, p);
            }
        }
    }
    Ok(best)
}

/// Sets all but the k largest entries, which are at least 0, to 0; of equal ones the first stay.
fn keep_largest(weights: &mut [f64], k: usize, progress: &Progress) -> Result<()> {
    if k >= weights.len() {
        return Ok(());
    }
    // Numbers of at least 0 have the order of their bits, once −0 has become 0.
    let key = |(place, weight): (usize, &f64)| (Reverse((weight + 0.0).to_bits()), place);
    let mut keys =
        Large::from(alloc::collected_under(progress, weights.iter().enumerate().map(key))?);
    if keys.len() > LONG {
        sort(&mut keys, progress)?;
    } else {
        keys.select_nth_unstable(k - 1);
    }
    for part in keys[k..].chunks(CHUNK) {
        progress.check()?;
        for &(_, place) in part {
            weights[place] = 0.0;
        }
    }
    Ok(())
}

/// Draws one symbol from each row of `probabilities` (rows × `size`), with random number `step` of
/// the row's stream of `seed`.
///
/// # Errors
/// [`Error::Invalid`] for a row that is no distribution, zeros only included;
/// [`Error::Interrupted`].
pub fn draw_rows(
    probabilities: &[f64],
    size: u32,
    (seed, streams, step): (u64, &[u64], u64),
    params: SamplingParams,
    progress: &Progress,
) -> Result<Vec<u32>> {
    let mut builder = Builder::default();
    let (mut weights, mut cells) = (Large::default(), alloc::zeroed::<Cell>(size as usize)?);
    let mut drawn = alloc::with_capacity(streams.len())?;
    let rows = probabilities.chunks_exact((size as usize).max(1));
    for (number, (row, &stream)) in rows.zip(streams).enumerate() {
        if number % (CHUNK / row.len() + 1) == 0 {
            progress.check()?;
        }
        drawn.push(match params.apply(row, number, &mut weights, progress)? {
            Row::Certain(symbol) => symbol,
            Row::Distribution if weights.len() > SMALL => {
                search(&weights, CounterRng::new(seed, stream).at(step), progress)?
            }
            Row::Distribution => {
                builder.build(&weights, &mut cells)?;
                let number = CounterRng::new(seed, stream).at(step);
                alias::outcome(number, size, |place| cells[place as usize])
            }
            Row::Empty => {
                return Err(Error::Invalid(format!(
                    "probabilities[{number}] is 0 for every symbol; expected a sum of 1"
                )));
            }
        });
    }
    Ok(drawn)
}

/// Returns the first symbol at which the running sum of weights exceeds u times the sum of all,
/// where u in [0, 1) is made of the upper 53 bits of a random number.
#[allow(clippy::cast_precision_loss, reason = "a number of 53 bits is exact")]
#[allow(clippy::cast_possible_truncation, reason = "a vocabulary has fewer than 2^32 symbols")]
fn search(weights: &[f64], number: u64, progress: &Progress) -> Result<u32> {
    let mut all = 0.0;
    for part in weights.chunks(CHUNK) {
        progress.check()?;
        for weight in part {
            all += weight;
        }
    }
    let share = (number >> 11) as f64 * (f64::EPSILON / 2.0) * all;
    let (mut so_far, mut last) = (0.0, None);
    for (symbol, &weight) in weights.iter().enumerate() {
        if symbol % CHUNK == 0 {
            progress.check()?;
        }
        so_far += weight;
        if weight > 0.0 {
            last = Some(symbol as u32);
            if so_far > share {
                break;
            }
        }
    }
    // Where rounding makes the share as large as the whole sum, the last symbol is drawn.
    last.ok_or(Error::Failed)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests may fail loudly")]
#[allow(clippy::cast_precision_loss, reason = "a few bits do not matter")]
mod tests {
    use super::*;

    fn shaped(temperature: f64, top_k: Option<usize>, row: &[f64]) -> (Row, Vec<f64>) {
        let mut weights = Vec::new();
        let params = SamplingParams::new(temperature, top_k).unwrap();
        let found = params.apply(row, 0, &mut weights, &Progress::new()).unwrap();
        (found, weights)
    }

    #[test]
    fn top_k_keeps_the_first_of_equals() {
        let row = [0.1, 0.3, 0.2, 0.2, 0.2];
        assert_eq!(shaped(1.0, Some(3), &row).1, [0.0, 0.3, 0.2, 0.2, 0.0]);
        assert_eq!(shaped(1.0, Some(9), &row).1, row);
        assert_eq!(shaped(1.0, Some(1), &row).0, Row::Certain(1));
        assert_eq!(shaped(0.0, None, &[0.2, 0.4, 0.4]).0, Row::Certain(1));
        assert_eq!(shaped(0.0, None, &[0.0; 3]).0, Row::Empty);
    }

    #[test]
    fn temperature_is_a_power() {
        let row = [0.5, 0.25, 0.25, 0.0];
        let close = |got: &[f64], wanted: [f64; 4]| {
            got.iter().zip(wanted).all(|(g, w)| (g - w).abs() < 1e-15)
        };
        assert!(close(&shaped(0.5, None, &row).1, [1.0, 0.25, 0.25, 0.0]));
        assert!(close(&shaped(f64::INFINITY, None, &row).1, [1.0, 1.0, 1.0, 0.0]));
        assert!(close(&shaped(1e-320, None, &row).1, [1.0, 0.0, 0.0, 0.0]));
    }

    #[test]
    fn a_search_finds_the_ends() {
        let weights = [0.0, 0.5, 0.0, 1.5, 0.0];
        for (number, symbol) in [(0, 1), ((1 << 62) - 2048, 1), (1 << 62, 3), (u64::MAX, 3)] {
            assert_eq!(search(&weights, number, &Progress::new()), Ok(symbol), "{number}");
        }
        let tiny = [0.1; 3].map(|x: f64| x * 1e-300);
        assert_eq!(search(&tiny, u64::MAX, &Progress::new()), Ok(2));
    }

    #[test]
    fn a_cancel_ends_the_work() {
        let progress = Progress::new();
        progress.cancel();
        assert_eq!(first_largest(&[1.0], &progress), Err(Error::Interrupted));
        assert_eq!(search(&[1.0], 0, &progress), Err(Error::Interrupted));
        let greedy = SamplingParams::new(0.0, None).unwrap();
        let drawn = draw_rows(&[1.0], 1, (0, &[0], 0), greedy, &progress);
        assert_eq!(drawn, Err(Error::Interrupted));
    }

    #[test]
    fn wrong_settings_and_rows_are_refused() {
        assert!(SamplingParams::new(-0.5, None).is_err());
        assert!(SamplingParams::new(f64::NAN, None).is_err());
        assert!(SamplingParams::new(1.0, Some(0)).is_err());
        let params = SamplingParams::new(1.0, None).unwrap();
        for row in [[-0.1, 1.1], [f64::NAN, 1.0], [f64::INFINITY, 0.0], [0.5, 0.4]] {
            assert!(params.apply(&row, 0, &mut Vec::new(), &Progress::new()).is_err(), "{row:?}");
        }
    }
}
