//! A trigram model that mixes relative frequencies: deleted interpolation.
//!
//! Jelinek & Mercer, "Interpolated estimation of Markov source parameters from sparse data" (1980).
//! It is a baseline of Bengio, Ducharme, Vincent & Jauvin, "A neural probabilistic language model"
//! (2003), section 4.1. With u, v the two words before w:
//!
//! ```text
//! p(w | u v) = a0 / V + a1 p1(w) + a2 p2(w | v) + a3 p3(w | u v)
//! ```
//!
//! p1, p2, p3 are relative frequencies in the training text. Where v was never seen before a word,
//! p2 is p1; where u v was not, p3 is p2. The weights are not negative, sum to one, and depend on
//! the bin l(x) = ceil(-ln((1 + x) / T)) of x, the number of times that u v was seen before a word;
//! T is the length of the training text. They are fitted by expectation maximisation on other text.

use super::trie::{State, Trie};
use super::{Id, Model, VOCABULARY_CHUNK, add_followers, check, state_after, sum};
use crate::alloc::{self, Large};
use crate::progress::Progress;
use crate::{Error, Result};

/// The order of the model.
const ORDER: usize = 3;
/// Tokens between two checks for a cancel.
const CHUNK: usize = 1 << 14;

/// The weights of 1/V, p1, p2 and p3.
pub type Weights = [f64; ORDER + 1];

/// The estimates that are mixed for one word, and the bin of its context.
type Estimates = (Weights, usize);

/// An interpolated trigram model.
#[derive(Clone, Debug)]
pub struct Interpolated {
    trie: Trie,
    /// The relative frequency of each id.
    unigrams: Large<f64>,
    /// For contexts of k words, at k - 1, the number of times that each was seen before a word.
    totals: [Large<f64>; ORDER - 1],
    length: f64,
    /// The weights of each bin.
    weights: Vec<Weights>,
}

impl Interpolated {
    /// Counts the n-grams of a text; all weights are equal.
    ///
    /// # Errors
    /// As [`Trie::new`].
    #[allow(clippy::cast_precision_loss, reason = "no text comes near 2^53 words")]
    pub fn new<I: Id>(
        ids: &[I],
        size: usize,
        eos: Option<u32>,
        progress: &Progress,
    ) -> Result<Interpolated> {
        let trie = Trie::new(ids, ORDER, size, eos, progress)?;
        let length = ids.len() as f64;
        let shares = trie.levels[0].counts.iter().map(|&count| f64::from(count) / length);
        let unigrams = Large::from(alloc::collected_under(progress, shares)?);
        let total = |counts: &[u32]| sum(counts, progress, f64::from);
        let totals =
            [trie.map_followers(1, progress, total)?, trie.map_followers(2, progress, total)?];
        let weights = vec![[1.0 / 4.0; ORDER + 1]; bin(0.0, length) + 1];
        Ok(Interpolated { trie, unigrams, totals, length, weights })
    }

    /// Returns the weights of 1/V, p1, p2 and p3 in each bin, that of the most frequent contexts first.
    #[must_use]
    pub fn weights(&self) -> &[Weights] {
        &self.weights
    }

    /// Fits the weights to a text by expectation maximisation, from equal weights.
    ///
    /// Returns the loss before each iteration, in nats per word; it never grows. The iterations end
    /// once one has gained less than `tolerance`, or after `most`. A bin with no word of the text
    /// keeps equal weights. After an error the model is unchanged.
    ///
    /// # Errors
    /// [`Error::Invalid`] for no ids, or one outside the vocabulary; [`Error::Interrupted`].
    pub fn fit<I: Id>(
        &mut self,
        before: &[I],
        ids: &[I],
        tolerance: f64,
        most: usize,
        progress: &Progress,
    ) -> Result<Vec<f64>> {
        let parts = self.estimates_of(before, ids, progress)?;
        let mut weights = vec![[1.0 / 4.0; ORDER + 1]; self.weights.len()];
        let mut losses: Vec<f64> = Vec::new();
        for _ in 0..most {
            let (loss, better) = em_step(&parts, &weights, progress)?;
            weights = better;
            let gain = losses.last().map(|last| last - loss);
            alloc::push(&mut losses, loss)?;
            if gain.is_some_and(|gain| gain < tolerance) {
                break;
            }
        }
        self.weights = weights;
        Ok(losses)
    }

    /// Returns the estimates for each id of a text.
    fn estimates_of<I: Id>(
        &self,
        before: &[I],
        ids: &[I],
        progress: &Progress,
    ) -> Result<Large<Estimates>> {
        if ids.is_empty() {
            return Err(Error::Invalid("ids: empty, expected at least one".to_owned()));
        }
        check("before", before, self.trie.size(), progress)?;
        check("ids", ids, self.trie.size(), progress)?;
        let mut state = state_after(self, before);
        let mut parts = Large::from(alloc::with_capacity(ids.len())?);
        for chunk in ids.chunks(CHUNK) {
            parts.extend(chunk.iter().map(|&id| self.parts(&mut state, id.into())));
            progress.add(chunk.len() as u64)?;
        }
        Ok(parts)
    }

    /// Returns the estimates for an id, and the bin of its context.
    #[allow(clippy::cast_precision_loss, reason = "no vocabulary comes near 2^53")]
    fn parts(&self, state: &mut State, id: u32) -> Estimates {
        let p0 = 1.0 / self.trie.size() as f64;
        let p1 = self.unigrams[id as usize];
        let mut estimates = [p0, p1, p1, p1];
        let mut frequency = 0.0;
        state.advance(&self.trie, id, |length, node, next| {
            let total = self.total(length, node);
            if total > 0.0 {
                let count = next.map_or(0, |next| self.trie.count_of(length + 1, next));
                let estimate = f64::from(count) / total;
                estimates.iter_mut().skip(length + 1).for_each(|longer| *longer = estimate);
                if length == ORDER - 1 {
                    frequency = total;
                }
            }
        });
        (estimates, bin(frequency, self.length))
    }

    /// Returns how often a context was seen in front of a word.
    fn total(&self, length: usize, node: u32) -> f64 {
        self.totals[length - 1][node as usize]
    }
}

impl Model for Interpolated {
    fn trie(&self) -> &Trie {
        &self.trie
    }

    fn step(&self, state: &mut State, id: u32) -> f64 {
        let (estimates, bin) = self.parts(state, id);
        mix(estimates, self.weights[bin])
    }

    #[allow(clippy::cast_precision_loss, reason = "no vocabulary comes near 2^53")]
    fn distribution(&self, state: &State, into: &mut [f64], progress: &Progress) -> Result<()> {
        let seen = |length: usize| {
            let node = state.nodes[length - 1]?;
            Some((node, self.total(length, node))).filter(|(_, total)| *total > 0.0)
        };
        let contexts = [seen(1), seen(2)];
        let [_, frequency] = contexts.map(|context| context.map_or(0.0, |(_, total)| total));
        let [a0, a1, a2, a3] = self.weights[bin(frequency, self.length)];
        // Without an estimate of this length, its weight goes to the next shorter one.
        let (a1, a2, a3) = match contexts {
            [None, _] => (a1 + a2 + a3, 0.0, 0.0),
            [_, None] => (a1, a2 + a3, 0.0),
            _ => (a1, a2, a3),
        };
        let uniform = a0 / self.trie.size() as f64;
        for (part, unigrams) in
            into.chunks_mut(VOCABULARY_CHUNK).zip(self.unigrams.chunks(VOCABULARY_CHUNK))
        {
            progress.check()?;
            for (probability, p1) in part.iter_mut().zip(unigrams) {
                *probability = uniform + a1 * p1;
            }
        }
        for ((length, context), weight) in (1..).zip(contexts).zip([a2, a3]) {
            let Some((node, total)) = context else { break };
            add_followers(into, self.trie.followers(length, node), progress, |count| {
                weight * (f64::from(count) / total)
            })?;
        }
        Ok(())
    }
}

/// Returns the bin of contexts that were seen `frequency` times, in a text of this length.
#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "from 0 to the logarithm of a length"
)]
fn bin(frequency: f64, length: f64) -> usize {
    (-libm::log((1.0 + frequency) / length)).ceil().max(0.0) as usize
}

/// Mixes estimates.
fn mix(estimates: Weights, weights: Weights) -> f64 {
    estimates.iter().zip(weights).map(|(estimate, weight)| estimate * weight).sum()
}

/// Runs one iteration of expectation maximisation: returns the loss with the weights, and better
/// weights.
#[allow(clippy::cast_precision_loss, reason = "no text comes near 2^53 words")]
fn em_step(
    parts: &[Estimates],
    weights: &[Weights],
    progress: &Progress,
) -> Result<(f64, Vec<Weights>)> {
    let mut loss = 0.0;
    // The expected number of words that each estimate produced (the E step).
    let mut shares = vec![[0.0; ORDER + 1]; weights.len()];
    for chunk in parts.chunks(CHUNK) {
        for &(estimates, bin) in chunk {
            let (old, shares) = (weights[bin], &mut shares[bin]);
            let mixture = mix(estimates, old);
            loss -= libm::log(mixture);
            for ((share, estimate), weight) in shares.iter_mut().zip(estimates).zip(old) {
                *share += estimate * weight / mixture;
            }
        }
        progress.check()?;
    }
    let better = shares.iter().zip(weights).map(|(shares, old)| {
        let words: f64 = shares.iter().sum();
        if words > 0.0 { shares.map(|share| share / words) } else { *old }
    });
    Ok((loss / parts.len() as f64, better.collect()))
}
