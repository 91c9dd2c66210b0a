//! Steps of gradient descent on the neural bigram.

use super::loss::{Examples, Loss, Row, check_amount, count};
use super::vector::{dot, sum};
use crate::progress::Progress;
use crate::rng::Rng;
use crate::rng::alias::{self, Builder, Cell};
use crate::{Error, Result, alloc};

/// Examples drawn between two checks for a cancel.
const DRAWS_PER_CHECK: u64 = 1 << 16;

/// The rule that makes the update of step t from a gradient g.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Optimizer {
    /// Gradient descent with Polyak's momentum:
    ///
    /// ```text
    /// v ← momentum·v + g        W ← W - lr·v
    /// ```
    Sgd {
        /// The learning rate.
        lr: f64,
        /// The momentum, from 0 to below 1.
        momentum: f64,
    },
    /// Nesterov's accelerated gradient (1983), row by row. No row's loss curves more than
    /// `L = n_i / 2N + 2 penalty / size(W)`, so 1/L is a safe rate. A row that has begun to go
    /// uphill is restarted, as by O'Donoghue & Candès (2015).
    ///
    /// ```text
    /// v ← 0 if g·v > 0
    /// v ← (t - 1)/(t + 2)·v - g/L        w ← w + t/(t + 3)·v - g/L
    /// ```
    Accelerated,
}

/// The settings of a training run.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Config {
    /// The optimizer.
    pub optimizer: Optimizer,
    /// The factor of mean(W²).
    pub penalty: f64,
    /// The number of examples drawn for a step; None: each step uses all of them.
    pub batch: Option<u64>,
    /// The seed: the batch of step t is drawn by `Rng(seed, t)`.
    pub seed: u64,
}

/// Makes steps `first` to `first + losses.len()`, and writes the loss before each of them.
///
/// `w` are the weights and `velocity` is v, zeros at the start. Together with the step's number they
/// are the whole state, so steps may be cut into calls anywhere. After an error both are undefined.
///
/// # Errors
/// [`Error::Invalid`] for arguments that do not fit; [`Error::Diverged`] at a loss that is not
/// finite; [`Error::Interrupted`].
pub fn train(
    examples: &Examples,
    config: &Config,
    (w, velocity): (&mut [f64], &mut [f64]),
    first: u64,
    losses: &mut [f64],
    progress: &Progress,
) -> Result<()> {
    config.check()?;
    examples.expect_logits("w", w.len())?;
    examples.expect_logits("velocity", velocity.len())?;
    let mut batches =
        config.batch.map(|batch| Batches::new(examples, batch, config.seed)).transpose()?;
    let mut dw = alloc::zeroed(examples.size)?;
    for (step, loss) in (first..).zip(losses) {
        let counts = match &mut batches {
            Some(batches) => batches.draw(step, progress)?,
            None => &examples.counts,
        };
        let step_of = Step::new(config, counts, w.len(), step);
        let mut sums = (0.0, 0.0);
        let width = examples.size;
        let parts = w.chunks_exact_mut(width).zip(velocity.chunks_exact_mut(width));
        for (row, (w, v)) in examples.rows(counts).zip(parts) {
            progress.check()?;
            let (data, squares) = step_of.update(row, w, v, &mut dw);
            sums.0 += data;
            sums.1 += squares;
        }
        let mean_square = sums.1 / count(w.len());
        *loss = Loss::new(sums.0 / step_of.n, config.penalty, mean_square).total;
        if !loss.is_finite() {
            return Err(Error::Diverged { step, loss: *loss });
        }
        progress.add(1)?;
    }
    Ok(())
}

impl Config {
    /// Returns an error for settings out of range.
    fn check(&self) -> Result<()> {
        check_amount("penalty", self.penalty)?;
        if let Optimizer::Sgd { lr, momentum } = self.optimizer {
            check_amount("lr", lr)?;
            if !(0.0..1.0).contains(&momentum) {
                return Err(Error::Invalid(format!(
                    "momentum is {momentum:?}; expected a number of at least 0 and below 1"
                )));
            }
        }
        match (self.batch, self.optimizer) {
            (Some(0), _) => Err(Error::Invalid("batch is 0; expected at least 1".to_owned())),
            (Some(_), Optimizer::Accelerated) => Err(Error::Invalid(
                "lr is None with a batch; expected a number, as a part of the examples does not \
                 tell how steep the whole is"
                    .to_owned(),
            )),
            _ => Ok(()),
        }
    }
}

/// The constants of a step.
#[derive(Clone, Copy, Debug)]
struct Step {
    optimizer: Optimizer,
    /// N, the number of examples.
    n: f64,
    /// 1/N, the weight of an example.
    weight: f64,
    /// 2 penalty / size(W), the factor of w in the gradient.
    l2_slope: f64,
    /// The number of the step.
    t: f64,
}

impl Step {
    #[allow(clippy::cast_precision_loss, reason = "nobody takes 2^53 steps")]
    fn new(config: &Config, counts: &[f64], weights: usize, step: u64) -> Step {
        let l2_slope = 2.0 * config.penalty / count(weights);
        let n = sum(counts);
        Step { optimizer: config.optimizer, n, weight: 1.0 / n, l2_slope, t: step as f64 }
    }

    /// Updates a row; returns its term of N·data, and the sum of its squares before the update.
    fn update(&self, row: Row<'_>, w: &mut [f64], v: &mut [f64], dw: &mut [f64]) -> (f64, f64) {
        let data = row.loss_and_gradient(w, dw);
        let squares = dot(w, w);
        for (dw, w) in dw.iter_mut().zip(&*w) {
            *dw = *dw * self.weight + self.l2_slope * w;
        }
        match self.optimizer {
            Optimizer::Sgd { lr, momentum } => {
                for ((w, v), dw) in w.iter_mut().zip(v).zip(dw) {
                    *v = momentum * *v + *dw;
                    *w -= lr * *v;
                }
            }
            Optimizer::Accelerated => self.accelerate(row.total() * self.weight, w, v, dw),
        }
        (data, squares)
    }

    /// Makes an accelerated step of a row with this share of all examples.
    fn accelerate(&self, share: f64, w: &mut [f64], v: &mut [f64], dw: &[f64]) {
        let curvature = 0.5 * share + self.l2_slope;
        if curvature == 0.0 {
            return;
        }
        let rate = 1.0 / curvature;
        let uphill = dot(v, dw) > 0.0;
        let before = if uphill { 0.0 } else { (self.t - 1.0).max(0.0) / (self.t + 2.0) };
        let after = self.t / (self.t + 3.0);
        for ((w, v), dw) in w.iter_mut().zip(v).zip(dw) {
            let move_down = rate * dw;
            *v = before * *v - move_down;
            *w += after * *v - move_down;
        }
    }
}

/// Draws batches of examples, each n-gram with the probability of its count.
struct Batches {
    size: u64,
    seed: u64,
    /// The alias table of the n-grams, and its length.
    cells: Vec<Cell>,
    length: u32,
    /// The counts of the n-grams in the batch.
    counts: Vec<f64>,
}

impl Batches {
    fn new(examples: &Examples, size: u64, seed: u64) -> Result<Batches> {
        let length = u32::try_from(examples.counts.len()).map_err(|_| {
            Error::Invalid("counts has 2**32 n-grams or more; expected fewer with a batch".into())
        })?;
        let mut cells: Vec<Cell> = alloc::zeroed(examples.counts.len())?;
        Builder::default().build(&examples.counts, &mut cells)?;
        let counts = alloc::zeroed(examples.counts.len())?;
        Ok(Batches { size, seed, cells, length, counts })
    }

    /// Returns the batch of a step, as counts.
    fn draw(&mut self, step: u64, progress: &Progress) -> Result<&[f64]> {
        let mut rng = Rng::new(self.seed, step);
        self.counts.fill(0.0);
        for drawn in 0..self.size {
            if drawn % DRAWS_PER_CHECK == 0 {
                progress.check()?;
            }
            let cell_at = |cell| self.cells[cell as usize];
            let gram = alias::outcome(rng.next_u64(), self.length, cell_at);
            self.counts[gram as usize] += 1.0;
        }
        Ok(&self.counts)
    }
}
