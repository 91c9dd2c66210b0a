//! The neural bigram: one-hot context → W → softmax, trained by gradient descent.
//!
//! ```text
//! W: (V^(n-1), V), n the order: 2 for bigrams; row i has the logits of what follows context i
//! c_ij: how often j follows i;  n_i = Σ_j c_ij;  N = Σ_i n_i
//!
//! data  = 1/N Σ_i (n_i ln Σ_j exp w_ij - Σ_j c_ij w_ij)         the mean of -ln softmax(w_i)_j
//! loss  = data + penalty · mean(W²)
//! dW_ij = (n_i softmax(w_i)_j - c_ij) / N + 2 penalty w_ij / size(W)
//! ```
//!
//! Equal examples have equal losses, so a step over all examples takes one softmax a row, however
//! long the text. A row's gradient depends on that row alone: each is a problem of its own.

mod lanes;
mod train;

use crate::bigram::lanes::{dot, exp_below_0, reduce, sum};
use crate::progress::Progress;
use crate::{Error, Result, alloc};

pub use train::{Rule, Training, train};

/// What there is to learn: how often each n-gram occurs.
#[derive(Debug)]
pub struct Examples {
    /// V, the size of the vocabulary.
    size: usize,
    /// How many contexts there are, V^(n-1).
    contexts: usize,
    /// For each context where its n-grams begin; one more number at the end.
    starts: Vec<usize>,
    /// The last symbols of the n-grams, context by context, and how often each n-gram occurs.
    targets: Vec<u32>,
    counts: Vec<f64>,
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
    /// N-grams of `order` symbols, one after the other in `ids`, and how often each occurs.
    ///
    /// # Errors
    /// [`Error::Invalid`] for symbols outside the vocabulary, and if nothing was counted.
    pub fn new(size: usize, order: usize, ids: &[u32], counts: &[u64]) -> Result<Examples> {
        let power = u32::try_from(order.saturating_sub(1)).unwrap_or(u32::MAX);
        let contexts = size.checked_pow(power).unwrap_or(usize::MAX);
        let mut grams = alloc::with_capacity(counts.len())?;
        for (position, (gram, &count)) in ids.chunks_exact(order.max(1)).zip(counts).enumerate() {
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

    /// Puts sorted n-grams, each a number in base V, in their rows.
    #[allow(clippy::cast_possible_truncation, reason = "symbols came as u32")]
    #[allow(clippy::cast_precision_loss, reason = "the losses are rounded anyway")]
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

    /// How many logits the weights have.
    #[must_use]
    pub fn logits(&self) -> usize {
        self.contexts * self.size
    }

    /// The number of n-grams, each as often as it occurs.
    fn total(&self) -> f64 {
        sum(&self.counts)
    }

    /// The contexts' rows, given one count for each n-gram.
    fn rows<'a>(&'a self, counts: &'a [f64]) -> impl Iterator<Item = Row<'a>> {
        self.starts.windows(2).map(|bounds| {
            let range = match bounds {
                [start, end] => *start..*end,
                _ => 0..0,
            };
            Row {
                targets: self.targets.get(range.clone()).unwrap_or_default(),
                counts: counts.get(range).unwrap_or_default(),
            }
        })
    }

    fn expect_logits(&self, name: &str, got: usize) -> Result<()> {
        if got == self.logits() {
            return Ok(());
        }
        let Examples { contexts, size, .. } = self;
        Err(Error::Invalid(format!("{name} has {got} entries; expected {contexts} rows of {size}")))
    }
}

/// What follows a context, and how often.
#[derive(Clone, Copy, Debug)]
struct Row<'a> {
    targets: &'a [u32],
    counts: &'a [f64],
}

impl Row<'_> {
    /// `n_i`, how often the context occurs.
    fn total(&self) -> f64 {
        sum(self.counts)
    }

    /// The row's part of N·data, and of N times its gradient, which is put into `dw`.
    ///
    /// ```text
    /// n ln Σ_j exp w_j - Σ_j c_j w_j        n softmax(w)_j - c_j
    /// ```
    fn learn(&self, w: &[f64], dw: &mut [f64]) -> f64 {
        let n = self.total();
        if n == 0.0 {
            dw.fill(0.0);
            return 0.0;
        }
        let most = reduce(w, f64::NEG_INFINITY, f64::max);
        for (dw, w) in dw.iter_mut().zip(w) {
            *dw = exp_below_0(w - most);
        }
        let powers = sum(dw);
        let scale = n / powers;
        for dw in dw.iter_mut() {
            *dw *= scale;
        }
        // Relative to the largest logit in both terms, so that large logits cancel exactly.
        let mut part = n * libm::log(powers);
        for (&target, &count) in self.targets.iter().zip(self.counts) {
            if let (Some(dw), Some(w)) = (dw.get_mut(target as usize), w.get(target as usize)) {
                *dw -= count;
                part -= count * (w - most);
            }
        }
        part
    }
}

/// The loss at the weights `w`; its gradient is put into `dw`.
///
/// # Errors
/// [`Error::Invalid`] for weights that are not as many as there are logits;
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
    let pull = 2.0 * penalty / count(w.len());
    let (mut data, mut squares) = (0.0, 0.0);
    let width = examples.size;
    let rows = examples.rows(&examples.counts);
    for ((row, w), dw) in rows.zip(w.chunks_exact(width)).zip(dw.chunks_exact_mut(width)) {
        progress.check()?;
        data += row.learn(w, dw);
        for (dw, w) in dw.iter_mut().zip(w) {
            *dw = *dw / n + pull * w;
        }
        squares += dot(w, w);
    }
    Ok(Loss::new(data / n, penalty, squares / count(w.len())))
}

/// Refuses what is no finite number of at least 0.
fn check_amount(name: &str, value: f64) -> Result<()> {
    if (0.0..f64::INFINITY).contains(&value) {
        return Ok(());
    }
    let message = format!("{name} is {value:?}; expected a finite number of at least 0");
    Err(Error::Invalid(message))
}

impl Loss {
    fn new(data: f64, penalty: f64, mean_square: f64) -> Loss {
        // Squares may overflow, and 0 times infinity would be nan.
        let pull = if penalty == 0.0 { 0.0 } else { penalty * mean_square };
        Loss { total: data + pull, data }
    }
}

/// A number of things as a float.
#[allow(clippy::cast_precision_loss, reason = "there are fewer than 2^53 of anything in memory")]
fn count(things: usize) -> f64 {
    things as f64
}
