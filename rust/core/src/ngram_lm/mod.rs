//! N-gram models over the ids of running text: one sequence, in which every id has those before it
//! as context, or sentences, whose contexts begin after the id that ends the sentence before.
//!
//! | module | what it holds |
//! | --- | --- |
//! | [`trie`] | every n-gram of a text with its count, and the state of a model after some ids |
//! | [`kneser_ney`] | interpolated Kneser-Ney, with one discount an order or three |
//! | [`interpolated`] | a mixture of relative frequencies, weighted by bins of the context's frequency |
#![allow(
    clippy::indexing_slicing,
    reason = "nodes and levels are the trie's own, and ids are checked; a wrong one must be loud"
)]

pub mod interpolated;
pub mod kneser_ney;
pub mod trie;

pub use interpolated::Interpolated;
pub use kneser_ney::KneserNey;
pub use trie::{State, Trie};

use crate::progress::Progress;
use crate::{Error, Result, alloc};

/// Tokens scored between two checks for a cancel.
const CHUNK: usize = 1 << 14;
/// Ids of the vocabulary between two checks for a cancel.
const VOCABULARY_CHUNK: usize = 1 << 16;
/// The orders that are built.
pub const ORDERS: std::ops::RangeInclusive<usize> = 2..=5;

/// An id in any width.
pub trait Id: Copy + Into<u32> + Sync {}
impl<T: Copy + Into<u32> + Sync> Id for T {}

/// A distribution of the next id, given those before it.
pub trait Model {
    /// Returns the n-grams that the model was estimated from.
    fn trie(&self) -> &Trie;

    /// Returns the probability of an id, which is below the trie's size, after the state, and
    /// advances the state by it.
    fn step(&self, state: &mut State, id: u32) -> f64;

    /// Writes the probabilities of all ids after the state.
    ///
    /// # Errors
    /// [`Error::Interrupted`].
    fn distribution(&self, state: &State, into: &mut [f64], progress: &Progress) -> Result<()>;
}

/// Returns the probability of each id, given those of `before` and of `ids` before it.
///
/// # Errors
/// [`Error::Invalid`] for an id outside the model's vocabulary, [`Error::Interrupted`].
pub fn score<I: Id>(
    model: &impl Model,
    before: &[I],
    ids: &[I],
    progress: &Progress,
) -> Result<Vec<f64>> {
    let size = model.trie().size();
    check("before", before, size, progress)?;
    check("ids", ids, size, progress)?;
    let mut state = state_after(model, before);
    let mut probabilities = alloc::with_capacity(ids.len())?;
    for part in ids.chunks(CHUNK) {
        probabilities.extend(part.iter().map(|&id| model.step(&mut state, id.into())));
        progress.add(part.len() as u64)?;
    }
    Ok(probabilities)
}

/// Returns the distributions after contexts of `width` ids each, one after the other.
///
/// # Errors
/// [`Error::Invalid`] for an id outside the model's vocabulary, [`Error::Interrupted`].
pub fn distributions(
    model: &impl Model,
    contexts: &[u32],
    width: usize,
    rows: usize,
    progress: &Progress,
) -> Result<Vec<f64>> {
    let size = model.trie().size();
    check("contexts", contexts, size, progress)?;
    let cells = rows.checked_mul(size).ok_or(Error::Memory)?;
    let mut into = alloc::zeroed(cells)?;
    for (row, part) in into.chunks_mut(size).enumerate() {
        let context = &contexts[row * width..(row + 1) * width];
        model.distribution(&state_after(model, context), part, progress)?;
        progress.add(1)?;
    }
    Ok(into)
}

/// Returns the state after ids.
fn state_after<I: Id>(model: &impl Model, ids: &[I]) -> State {
    let mut state = model.trie().start();
    // Earlier ids are in no context.
    for &id in &ids[ids.len().saturating_sub(*ORDERS.end())..] {
        state.advance(model.trie(), id.into(), |_, _, _| {});
    }
    state
}

/// Checks that ids are below the size of a vocabulary.
fn check<I: Id>(name: &str, ids: &[I], size: usize, progress: &Progress) -> Result<()> {
    for (part, start) in ids.chunks(VOCABULARY_CHUNK).zip((0..).step_by(VOCABULARY_CHUNK)) {
        progress.check()?;
        if let Some(place) = part.iter().position(|&id| id.into() as usize >= size) {
            let (id, place) = (part[place].into(), start + place);
            let message = format!(
                "{name}: id {id} at place {place}; expected less than {size}, the size of the \
                 vocabulary"
            );
            return Err(Error::Invalid(message));
        }
    }
    Ok(())
}

/// Returns Σ number(count) over all counts.
fn sum(counts: &[u32], progress: &Progress, number: impl Fn(u32) -> f64) -> Result<f64> {
    let mut sum = 0.0;
    for part in counts.chunks(VOCABULARY_CHUNK) {
        progress.check()?;
        for &count in part {
            sum += number(count);
        }
    }
    Ok(sum)
}

/// Adds `share(count)` to the probability of each id that follows a context.
fn add_followers(
    into: &mut [f64],
    (ids, counts): (&[u32], &[u32]),
    progress: &Progress,
    share: impl Fn(u32) -> f64,
) -> Result<()> {
    for (ids, counts) in ids.chunks(VOCABULARY_CHUNK).zip(counts.chunks(VOCABULARY_CHUNK)) {
        progress.check()?;
        for (&id, &count) in ids.iter().zip(counts) {
            into[id as usize] += share(count);
        }
    }
    Ok(())
}
