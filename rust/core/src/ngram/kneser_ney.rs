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
//! For the longest n-grams c is how often they occur, for all shorter ones how many different
//! words occur in front of them: the beginning of the text is none. c(h .) sums over the words
//! after h, `N_i(h .)` counts those with count i. After a context that was never seen the shorter
//! one decides. With `n_i` n-grams of count i, each order has the discount D = n1 / (n1 + 2 n2) for
//! all counts, or, modified, D1 = 1 - 2 D n2 / n1, D2 = 2 - 3 D n3 / n2 and D3 = 3 - 4 D n4 / n3 for
//! the counts 1, 2, and 3 or more. Where these say nothing, see [`discounts`].

use super::trie::{Trie, Walk};
use super::{Id, Model};
use crate::Result;
use crate::watch::Watch;

/// The discounts for counts 1, 2, and 3 or more.
pub type Discounts = [f64; 3];

/// What is needed of the words after a context, beside each one's count.
#[derive(Clone, Copy, Debug, Default)]
struct Context {
    /// c(h .), 0 for a context without words after it.
    total: f64,
    /// g(h), the share that the shorter context decides about.
    rest: f64,
}

/// An interpolated Kneser-Ney model.
#[derive(Clone, Debug)]
pub struct KneserNey {
    trie: Trie,
    /// The discounts of each order, from 1.
    discounts: Vec<Discounts>,
    /// For contexts of k words those at k - 1.
    contexts: Vec<Vec<Context>>,
    /// p(w) for each word.
    unigrams: Vec<f64>,
}

impl KneserNey {
    /// Counts and estimates.
    ///
    /// # Errors
    /// As [`Trie::new`].
    pub fn new<I: Id>(
        ids: &[I],
        order: usize,
        size: usize,
        modified: bool,
        watch: &Watch,
    ) -> Result<KneserNey> {
        let mut trie = Trie::new(ids, order, size, watch)?;
        count_predecessors(&mut trie, watch)?;
        let discounts: Vec<Discounts> =
            trie.levels.iter().map(|level| discounts(&level.counts, modified)).collect();
        let mut model = KneserNey { trie, discounts, contexts: Vec::new(), unigrams: Vec::new() };
        model.unigrams = model.estimate_unigrams();
        for length in 1..order {
            let contexts = model.sum_up(length, watch)?;
            model.contexts.push(contexts);
        }
        Ok(model)
    }

    /// The discounts of each order, from 1.
    #[must_use]
    pub fn discounts(&self) -> &[Discounts] {
        &self.discounts
    }

    /// The discounts for n-grams of an order.
    fn discounts_of(&self, order: usize) -> Discounts {
        self.discounts.get(order - 1).copied().unwrap_or_default()
    }

    #[allow(clippy::cast_precision_loss, reason = "no vocabulary comes near 2^53")]
    fn estimate_unigrams(&self) -> Vec<f64> {
        let discounts = self.discounts_of(1);
        let counts = self.trie.levels.first().map_or(&[][..], |level| &level.counts);
        let context = summary(counts, discounts);
        let size = counts.len() as f64;
        if context.total == 0.0 {
            // A text of one word has no predecessors.
            return vec![1.0 / size; counts.len()];
        }
        let own = |&count: &u32| remaining(count, discounts) / context.total;
        counts.iter().map(|count| own(count) + context.rest / size).collect()
    }

    /// Looks at what follows each context of a length.
    fn sum_up(&self, length: usize, watch: &Watch) -> Result<Vec<Context>> {
        let discounts = self.discounts_of(length + 1);
        let next = self.trie.levels.get(length).map_or(&[][..], |next| &next.counts);
        let level = self.trie.levels.get(length - 1).map_or(&[][..], |level| &level.ids);
        let mut contexts = Vec::with_capacity(level.len());
        for (node, _) in (0u32..).zip(level) {
            let range = self.trie.children(length, node);
            contexts.push(summary(next.get(range).unwrap_or_default(), discounts));
            if node % (1 << 20) == 0 {
                watch.advance(0)?;
            }
        }
        Ok(contexts)
    }

    /// What is known of a context that has words after it.
    fn context(&self, length: usize, node: u32) -> Option<Context> {
        let contexts = self.contexts.get(length - 1)?;
        contexts.get(node as usize).copied().filter(|context| context.total > 0.0)
    }
}

impl Model for KneserNey {
    fn trie(&self) -> &Trie {
        &self.trie
    }

    fn step(&self, walk: &mut Walk, id: u32) -> f64 {
        let mut probability = self.unigrams.get(id as usize).copied().unwrap_or_default();
        walk.step(&self.trie, id, |length, node, next| {
            if let Some(context) = self.context(length, node) {
                let count = next.map_or(0, |next| self.trie.count_of(length + 1, next));
                let own = remaining(count, self.discounts_of(length + 1)) / context.total;
                probability = own + context.rest * probability;
            }
        });
        probability
    }

    fn distribution(&self, walk: &Walk, into: &mut [f64]) {
        into.copy_from_slice(&self.unigrams);
        for (length, node) in (1..self.trie.order()).zip(walk.nodes) {
            let Some(node) = node else { break };
            let Some(context) = self.context(length, node) else { break };
            let discounts = self.discounts_of(length + 1);
            for probability in into.iter_mut() {
                *probability *= context.rest;
            }
            for (id, count) in self.trie.followers(length, node) {
                if let Some(probability) = into.get_mut(id as usize) {
                    *probability += remaining(count, discounts) / context.total;
                }
            }
        }
    }
}

/// Replaces the counts of all levels but the last by how many different ids occur in front.
fn count_predecessors(trie: &mut Trie, watch: &Watch) -> Result<()> {
    let order = trie.order();
    // Of each node of the level, the node of the level before that leaves out the first id.
    let mut tails: Vec<u32> = Vec::new();
    for length in 1..order {
        let mut counts = vec![0; trie.levels.get(length - 1).map_or(0, |level| level.ids.len())];
        let next = trie.levels.get(length).map_or(&[][..], |next| &next.ids);
        let mut next_tails = Vec::with_capacity(next.len());
        for node in (0u32..).take(counts.len()) {
            for &id in next.get(trie.children(length, node)).unwrap_or_default() {
                let tail = match length {
                    1 => Some(id),
                    _ => tails.get(node as usize).and_then(|&t| trie.child(length - 1, t, id)),
                };
                // A text that holds an n-gram holds its tail.
                let tail = tail.unwrap_or_default();
                next_tails.push(tail);
                if let Some(count) = counts.get_mut(tail as usize) {
                    *count += 1;
                }
            }
            if node % (1 << 16) == 0 {
                watch.advance(0)?;
            }
        }
        if let Some(level) = trie.levels.get_mut(length - 1) {
            level.counts = counts;
        }
        tails = next_tails;
    }
    Ok(())
}

/// The discounts that counts of n-grams lead to.
///
/// One discount is 1/2 where no n-gram has the count 1. Three discounts are 1/2, 1 and 3/2 where
/// none has one of the counts 1 to 4 that is needed, or where a discount would not be positive.
#[must_use]
pub fn discounts(counts: &[u32], modified: bool) -> Discounts {
    let mut n = [0.0; 5];
    for &count in counts {
        if let Some(number) = n.get_mut(count as usize) {
            *number += 1.0;
        }
    }
    let [_, n1, n2, n3, n4] = n;
    if !modified {
        let single = if n1 > 0.0 { n1 / (n1 + 2.0 * n2) } else { 0.5 };
        return [single; 3];
    }
    let single = n1 / (n1 + 2.0 * n2);
    let three =
        [1.0 - 2.0 * single * n2 / n1, 2.0 - 3.0 * single * n3 / n2, 3.0 - 4.0 * single * n4 / n3];
    // No comparison holds for a quotient of zeros.
    if three.iter().all(|&discount| discount > 0.0 && discount.is_finite()) {
        three
    } else {
        [0.5, 1.0, 1.5]
    }
}

/// What a count is discounted by.
fn discount(count: u32, [one, two, more]: Discounts) -> f64 {
    match count {
        0 => 0.0,
        1 => one,
        2 => two,
        _ => more,
    }
}

/// What a count keeps.
fn remaining(count: u32, discounts: Discounts) -> f64 {
    f64::from(count) - discount(count, discounts)
}

/// What the counts of the words after a context come to.
fn summary(counts: &[u32], discounts: Discounts) -> Context {
    let total: f64 = counts.iter().map(|&count| f64::from(count)).sum();
    if total == 0.0 {
        return Context::default();
    }
    let discounted: f64 = counts.iter().map(|&count| discount(count, discounts)).sum();
    Context { total, rest: discounted / total }
}
