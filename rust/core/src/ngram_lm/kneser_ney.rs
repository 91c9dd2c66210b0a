//! Interpolated Kneser-Ney smoothing.
//!
//! Kneser & Ney, "Improved backing-off for m-gram language modeling" (1995), in the interpolated
//! form of Chen & Goodman, "An empirical study of smoothing techniques for language modeling"
//! (1999), sections 3 and 4.1.6:
//!
//! ```text
//! p(w | h) = max(c(h w) - D(c(h w)), 0) / c(h .) + g(h) p(w | h without its first word)
//! g(h)     = (D1 N1(h .) + D2 N2(h .) + D3 N3+(h .)) / c(h .)
//! p(w)     = max(c(w) - D(c(w)), 0) / c(.) + g / V
//! ```
//!
//! For the longest n-grams c is the count, for all shorter ones the continuation count, the number
//! of different words that occur before them; the beginning of the text is not a word. N-grams that
//! begin with the start of a sentence, before which no word occurs, have their counts, like the
//! longest ones, as in `KenLM` (Heafield et al., "Scalable modified Kneser-Ney language model
//! estimation", 2013); the start itself is not a word. c(h .) sums over the words after h, `N_i(h
//! .)` counts those with count i. After a context that was never seen, p is the same as after the
//! shorter one. With `n_i` n-grams of count i, an order has the discount D = n1 / (n1 + 2 n2) for
//! all counts, or, modified, D1 = 1 - 2 D n2 / n1, D2 = 2 - 3 D n3 / n2 and D3 = 3 - 4 D n4 / n3
//! for the counts 1, 2, and 3 or more. Where a discount cannot be computed, see
//! [`KneserNey::fallbacks`].

use super::trie::{State, Trie};
use super::{Id, Model, VOCABULARY_CHUNK, add_followers, sum};
use crate::Result;
use crate::alloc::{self, Large};
use crate::progress::Progress;

/// The discounts for counts 1, 2, and 3 or more.
pub type Discounts = [f64; 3];

/// The sums over the words after a context.
#[derive(Clone, Copy, Debug, Default)]
struct Context {
    /// c(h .), 0 for a context without words after it.
    total: f64,
    /// g(h), the back-off weight: the probability mass of the shorter context.
    rest: f64,
}

/// An interpolated Kneser-Ney model.
#[derive(Clone, Debug)]
pub struct KneserNey {
    trie: Trie,
    /// The discounts of each order, from 1.
    discounts: Vec<Discounts>,
    /// Orders whose discounts could not be estimated, with the counts that no n-gram has.
    fallbacks: Vec<(usize, Vec<usize>)>,
    /// The contexts of k words, at k - 1.
    contexts: Vec<Large<Context>>,
    /// p(w) for each word.
    unigrams: Large<f64>,
}

impl KneserNey {
    /// Counts the n-grams of a text and estimates the model.
    ///
    /// # Errors
    /// As [`Trie::new`].
    pub fn new<I: Id>(
        ids: &[I],
        order: usize,
        size: usize,
        eos: Option<u32>,
        modified: bool,
        progress: &Progress,
    ) -> Result<KneserNey> {
        let mut trie = Trie::new(ids, order, size, eos, progress)?;
        count_predecessors(&mut trie, progress)?;
        let (mut discounts, mut fallbacks) = (Vec::new(), Vec::new());
        for (order, level) in (1..).zip(&trie.levels) {
            let numbers = counts_of_counts(&level.counts, progress)?;
            discounts.push(estimate(numbers, modified).unwrap_or_else(|missing| {
                fallbacks.push((order, missing));
                if modified { [0.5, 1.0, 1.5] } else { [0.5; 3] }
            }));
        }
        let mut model = KneserNey {
            trie,
            discounts,
            fallbacks,
            contexts: Vec::new(),
            unigrams: Large::default(),
        };
        model.unigrams = model.estimate_unigrams(progress)?.into();
        for length in 1..order {
            let discounts = model.discounts_of(length + 1);
            let sums = |counts: &[u32]| summary(counts, discounts, progress);
            model.contexts.push(model.trie.map_followers(length, progress, sums)?);
        }
        Ok(model)
    }

    /// Returns the discounts of each order, from 1.
    #[must_use]
    pub fn discounts(&self) -> &[Discounts] {
        &self.discounts
    }

    /// Returns the orders whose discounts could not be estimated, so that fixed ones are used; each
    /// with the counts that the estimate needs and no n-gram has. The list of counts is empty if
    /// the reason was an estimate of 0 or less.
    #[must_use]
    pub fn fallbacks(&self) -> &[(usize, Vec<usize>)] {
        &self.fallbacks
    }

    /// Returns the discounts for n-grams of an order.
    fn discounts_of(&self, order: usize) -> Discounts {
        self.discounts[order - 1]
    }

    #[allow(clippy::cast_precision_loss, reason = "no vocabulary comes near 2^53")]
    fn estimate_unigrams(&self, progress: &Progress) -> Result<Vec<f64>> {
        let discounts = self.discounts_of(1);
        let counts = &self.trie.levels[0].counts;
        let context = summary(counts, discounts, progress)?;
        let size = counts.len() as f64;
        if context.total == 0.0 {
            // A text of one word has no predecessors.
            return alloc::collected_under(progress, counts.iter().map(|_| 1.0 / size));
        }
        let own = |&count: &u32| remaining(count, discounts) / context.total;
        alloc::collected_under(
            progress,
            counts.iter().map(|count| own(count) + context.rest / size),
        )
    }

    /// Returns the sums of a context, or None where no word follows it.
    fn context(&self, length: usize, node: u32) -> Option<Context> {
        Some(self.contexts[length - 1][node as usize]).filter(|context| context.total > 0.0)
    }
}

impl Model for KneserNey {
    fn trie(&self) -> &Trie {
        &self.trie
    }

    fn step(&self, state: &mut State, id: u32) -> f64 {
        let mut probability = self.unigrams[id as usize];
        state.advance(&self.trie, id, |length, node, next| {
            if let Some(context) = self.context(length, node) {
                let count = next.map_or(0, |next| self.trie.count_of(length + 1, next));
                let own = remaining(count, self.discounts_of(length + 1)) / context.total;
                probability = own + context.rest * probability;
            }
        });
        probability
    }

    fn distribution(&self, state: &State, into: &mut [f64], progress: &Progress) -> Result<()> {
        for (part, unigrams) in
            into.chunks_mut(VOCABULARY_CHUNK).zip(self.unigrams.chunks(VOCABULARY_CHUNK))
        {
            progress.check()?;
            part.copy_from_slice(unigrams);
        }
        for (length, node) in (1..self.trie.order()).zip(state.nodes) {
            let Some(node) = node else { break };
            let Some(context) = self.context(length, node) else { break };
            let discounts = self.discounts_of(length + 1);
            for part in into.chunks_mut(VOCABULARY_CHUNK) {
                progress.check()?;
                for probability in part {
                    *probability *= context.rest;
                }
            }
            add_followers(into, self.trie.followers(length, node), progress, |count| {
                remaining(count, discounts) / context.total
            })?;
        }
        Ok(())
    }
}

/// Replaces the counts of all levels but the last by continuation counts, except for n-grams that
/// begin with the start of a sentence.
fn count_predecessors(trie: &mut Trie, progress: &Progress) -> Result<()> {
    let order = trie.order();
    // The suffix link of each node of a level: the node of its n-gram without the first id, in the
    // level before.
    let mut tails = Large::<u32>::default();
    for length in 1..order {
        let nodes = trie.levels[length - 1].ids.len();
        let mut counts = Large::from(alloc::zeroed::<u32>(nodes)?);
        let mut next_tails = Large::from(alloc::with_capacity(trie.levels[length].ids.len())?);
        for node in (0u32..).take(nodes) {
            for &id in trie.followers(length, node).0 {
                progress.check()?;
                let tail = match length {
                    1 => Some(id),
                    _ => trie.child(length - 1, tails[node as usize], id),
                };
                let Some(tail) = tail else {
                    unreachable!("a text that holds an n-gram holds it without its first id")
                };
                next_tails.push(tail);
                counts[tail as usize] += 1;
            }
            progress.check()?;
        }
        let kept = if length > 1 { trie.sentence_starts(length) } else { 0..0 };
        let level = &mut trie.levels[length - 1];
        counts[kept.clone()].copy_from_slice(&level.counts[kept]);
        level.counts = counts;
        tails = next_tails;
    }
    Ok(())
}

/// Counts the n-grams that have the counts 1 to 4.
fn counts_of_counts(counts: &[u32], progress: &Progress) -> Result<[f64; 4]> {
    let mut numbers = [0.0; 4];
    for part in counts.chunks(VOCABULARY_CHUNK) {
        progress.check()?;
        for &count in part {
            let place = (count as usize).checked_sub(1);
            if let Some(number) = place.and_then(|place| numbers.get_mut(place)) {
                *number += 1.0;
            }
        }
    }
    Ok(numbers)
}

/// Returns the discounts, given how many n-grams have the counts 1 to 4. A single discount needs
/// n-grams of count 1, three need those of counts 1 to 3: the error lists the counts that are missing.
fn estimate(numbers: [f64; 4], modified: bool) -> std::result::Result<Discounts, Vec<usize>> {
    let needed = numbers.iter().take(if modified { 3 } else { 1 });
    let missing: Vec<usize> =
        (1..).zip(needed).filter(|(_, number)| **number == 0.0).map(|(count, _)| count).collect();
    if !missing.is_empty() {
        return Err(missing);
    }
    let [n1, n2, n3, n4] = numbers;
    let single = n1 / (n1 + 2.0 * n2);
    if !modified {
        return Ok([single; 3]);
    }
    let three =
        [1.0 - 2.0 * single * n2 / n1, 2.0 - 3.0 * single * n3 / n2, 3.0 - 4.0 * single * n4 / n3];
    if three.iter().all(|&discount| discount > 0.0) { Ok(three) } else { Err(Vec::new()) }
}

/// Returns the discount of a count.
fn discount(count: u32, [one, two, more]: Discounts) -> f64 {
    match count {
        0 => 0.0,
        1 => one,
        2 => two,
        _ => more,
    }
}

/// Returns a count less its discount.
fn remaining(count: u32, discounts: Discounts) -> f64 {
    f64::from(count) - discount(count, discounts)
}

/// Sums up the counts of the words after a context.
fn summary(counts: &[u32], discounts: Discounts, progress: &Progress) -> Result<Context> {
    let total = sum(counts, progress, f64::from)?;
    if total == 0.0 {
        return Ok(Context::default());
    }
    let discounted = sum(counts, progress, |count| discount(count, discounts))?;
    Ok(Context { total, rest: discounted / total })
}
