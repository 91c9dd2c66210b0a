//! The training data, the loss and its gradient.

use super::vector::{dot, exp_below_0, reduce, sum};
use crate::progress::Progress;
use crate::{Error, Result, alloc};

/// The training data: n-grams and their counts, in rows by context.
#[derive(Debug)]
pub struct Examples {
    /// V, the size of the vocabulary.
    pub(super) size: usize,
    /// The number of contexts, V^(n-1).
    contexts: usize,
    /// The offset of each context's n-grams, and their total at the end.
    starts: Vec<usize>,
    /// The last tokens of the n-grams, and their counts, context by context.
    targets: Vec<u32>,
    pub(super) counts: Vec<f64>,
}

/// The loss at some weights.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Loss {
    /// With the penalty.
    pub total: f64,
    /// Without it.
    pub data: f64,
}

impl Examples {
    /// Sorts n-grams, (N, `order`) ids and N counts, by context.
    ///
    /// # Errors
    /// [`Error::Invalid`] for ids outside the vocabulary, and if all counts are 0;
    /// [`Error::Memory`].
    ///
    /// # Panics
    /// If `ids` does not have `order` ids for each count.
    pub fn new(size: usize, order: usize, ids: &[u32], counts: &[u64]) -> Result<Examples> {
        assert!(order > 0 && ids.len() == counts.len() * order, "ids and counts do not fit");
        let power = u32::try_from(order - 1).map_err(|_| Error::Memory)?;
        let contexts = size.checked_pow(power).ok_or(Error::Memory)?;
        let mut grams = alloc::with_capacity(counts.len())?;
        for (position, (gram, &count)) in ids.chunks_exact(order).zip(counts).enumerate() {
            let mut number = 0;
            for (place, &symbol) in gram.iter().enumerate() {
                if symbol as usize >= size {
                    return Err(Error::Invalid(format!(
                        "ids[{position}, {place}] is {symbol}; expected less than {size}, the \
                         size of the vocabulary"
                    )));
                }
                number = number * size + symbol as usize;
            }
            grams.push((number, count));
        }
        if counts.iter().all(|&count| count == 0) {
            return Err(Error::Invalid("counts has no count above 0; expected some".to_owned()));
        }
        grams.sort_by_key(|&(number, _)| number);
        Examples::sorted(size, contexts, &grams)
    }

    /// Makes the rows of sorted n-grams, each a number in base V.
    #[allow(clippy::cast_possible_truncation, reason = "ids came as u32")]
    #[allow(clippy::cast_precision_loss, reason = "losses are rounded anyway")]
    fn sorted(size: usize, contexts: usize, grams: &[(usize, u64)]) -> Result<Examples> {
        let mut starts = alloc::with_capacity(contexts.checked_add(1).ok_or(Error::Memory)?)?;
        for (position, &(number, _)) in grams.iter().enumerate() {
            starts.resize(starts.len().max(number / size + 1), position);
        }
        starts.resize(contexts + 1, grams.len());
        let targets = grams.iter().map(|&(number, _)| (number % size) as u32);
        let counts = grams.iter().map(|&(_, count)| count as f64);
        let (targets, counts) = (alloc::collected(targets)?, alloc::collected(counts)?);
        Ok(Examples { size, contexts, starts, targets, counts })
    }

    /// Returns the number of weights.
    #[must_use]
    pub fn logits(&self) -> usize {
        self.contexts * self.size
    }

    /// Returns N, the sum of the counts.
    fn total(&self) -> f64 {
        sum(&self.counts)
    }

    /// Iterates over the rows, with these counts of the n-grams.
    pub(super) fn rows<'a>(&'a self, counts: &'a [f64]) -> impl Iterator<Item = Row<'a>> {
        self.starts.windows(2).map(|bounds| {
            let (start, end) = (bounds[0], bounds[1]);
            Row { targets: &self.targets[start..end], counts: &counts[start..end] }
        })
    }

    pub(super) fn expect_logits(&self, name: &str, got: usize) -> Result<()> {
        if got == self.logits() {
            return Ok(());
        }
        let Examples { contexts, size, .. } = self;
        Err(Error::Invalid(format!("{name} has {got} entries; expected {contexts} rows of {size}")))
    }
}

/// The targets after a context, and their counts.
#[derive(Clone, Copy, Debug)]
pub(super) struct Row<'a> {
    targets: &'a [u32],
    counts: &'a [f64],
}

impl Row<'_> {
    /// Returns `n_i`, the count of the context.
    pub(super) fn total(&self) -> f64 {
        sum(self.counts)
    }

    /// Returns the row's term of N·data, and writes N times its gradient to `dw`.
    ///
    /// ```text
    /// n ln Σ_j exp w_j - Σ_j c_j w_j        n softmax(w)_j - c_j
    /// ```
    pub(super) fn loss_and_gradient(&self, w: &[f64], dw: &mut [f64]) -> f64 {
        let n = self.total();
        if n == 0.0 {
            dw.fill(0.0);
            return 0.0;
        }
        let max = reduce(w, f64::NEG_INFINITY, f64::max);
        for (dw, w) in dw.iter_mut().zip(w) {
            *dw = exp_below_0(w - max);
        }
        let powers = sum(dw);
        let scale = n / powers;
        for dw in dw.iter_mut() {
            *dw *= scale;
        }
        // Relative to the largest logit in both terms, so that large logits cancel exactly.
        let mut part = n * libm::log(powers);
        for (&target, &count) in self.targets.iter().zip(self.counts) {
            let target = target as usize;
            dw[target] -= count;
            part -= count * (w[target] - max);
        }
        part
    }
}

/// Returns the loss at the weights `w`, and writes its gradient to `dw`.
///
/// # Errors
/// [`Error::Invalid`] for a wrong number of weights, or a penalty that is no finite number ≥ 0;
/// [`Error::Interrupted`].
pub fn loss_and_gradient(
    examples: &Examples,
    penalty: f64,
    w: &[f64],
    dw: &mut [f64],
    progress: &Progress,
) -> Result<Loss> {
    check_amount("penalty", penalty)?;
    examples.expect_logits("w", w.len())?;
    examples.expect_logits("dw", dw.len())?;
    let n = examples.total();
    let l2_slope = 2.0 * penalty / count(w.len());
    let (mut data, mut squares) = (0.0, 0.0);
    let width = examples.size;
    let rows = examples.rows(&examples.counts);
    for ((row, w), dw) in rows.zip(w.chunks_exact(width)).zip(dw.chunks_exact_mut(width)) {
        progress.check()?;
        data += row.loss_and_gradient(w, dw);
        for (dw, w) in dw.iter_mut().zip(w) {
            *dw = *dw / n + l2_slope * w;
        }
        squares += dot(w, w);
    }
    Ok(Loss::new(data / n, penalty, squares / count(w.len())))
}

/// Returns an error unless a number is finite and at least 0.
pub(super) fn check_amount(name: &str, value: f64) -> Result<()> {
    if (0.0..f64::INFINITY).contains(&value) {
        return Ok(());
    }
    let message = format!("{name} is {value:?}; expected a finite number of at least 0");
    Err(Error::Invalid(message))
}

impl Loss {
    pub(super) fn new(data: f64, penalty: f64, mean_square: f64) -> Loss {
        // Squares may overflow, and 0 times infinity would be nan.
        let l2 = if penalty == 0.0 { 0.0 } else { penalty * mean_square };
        Loss { total: data + l2, data }
    }
}

/// Converts a count to a float.
#[allow(clippy::cast_precision_loss, reason = "there are fewer than 2^53 of anything in memory")]
pub(super) fn count(things: usize) -> f64 {
    things as f64
}
