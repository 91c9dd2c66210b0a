//! Steps of gradient descent on the neural bigram.

use crate::bigram::lanes::{dot, sum};
use crate::bigram::{Examples, Loss, Row, check_amount, count};
use crate::progress::Progress;
use crate::random::Random;
use crate::random::alias::{self, Builder, Cell};
use crate::{Error, Result, alloc};

/// How many examples are drawn between two checks for a cancel.
const BREATH: u64 = 1 << 16;

/// How a gradient becomes a step. `t` is the number of the step, g the gradient.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Rule {
    /// Gradient descent, with Polyak's momentum if it is not 0, as in the scalar SGD:
    ///
    /// ```text
    /// v ← momentum·v + g        W ← W - lr·v
    /// ```
    Plain {
        /// The learning rate.
        lr: f64,
        /// How much of the velocity stays from step to step.
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

/// What stays the same over the steps of a training.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Training {
    /// How steps are made.
    pub rule: Rule,
    /// The factor of mean(W²).
    pub penalty: f64,
    /// How many examples are drawn for a step; none: each step sees all of them.
    pub batch: Option<u64>,
    /// What decides the draws; step t uses stream t.
    pub seed: u64,
}

/// Makes the steps `first` to `first + losses.len()`, and notes the loss before each of them.
///
/// `w` are the weights and `velocity` is v, zeros at the start; the two and the number of the next
/// step are all there is to know, so it does not matter in how many calls steps are made. After an
/// error both are unfit for use.
///
/// # Errors
/// [`Error::Invalid`] for arguments that do not fit; [`Error::Diverged`] at a loss that is not
/// finite; [`Error::Interrupted`].
pub fn train(
    examples: &Examples,
    training: &Training,
    (w, velocity): (&mut [f64], &mut [f64]),
    first: u64,
    losses: &mut [f64],
    progress: &Progress,
) -> Result<()> {
    training.check()?;
    examples.expect_logits("w", w.len())?;
    examples.expect_logits("velocity", velocity.len())?;
    let mut batches =
        training.batch.map(|batch| Batches::new(examples, batch, training.seed)).transpose()?;
    let mut dw = alloc::zeroed(examples.size)?;
    for (step, loss) in (first..).zip(losses) {
        let counts = match &mut batches {
            Some(batches) => batches.draw(step, progress)?,
            None => &examples.counts,
        };
        let step_of = Step::new(training, counts, w.len(), step);
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
        *loss = Loss::new(sums.0 / step_of.n, training.penalty, mean_square).total;
        if !loss.is_finite() {
            return Err(Error::Diverged { step, loss: *loss });
        }
        progress.add(1)?;
    }
    Ok(())
}

impl Training {
    /// Refuses numbers with which no training can be meant.
    fn check(&self) -> Result<()> {
        check_amount("penalty", self.penalty)?;
        if let Rule::Plain { lr, momentum } = self.rule {
            check_amount("lr", lr)?;
            if !(0.0..1.0).contains(&momentum) {
                return Err(Error::Invalid(format!(
                    "momentum is {momentum:?}; expected a number of at least 0 and below 1"
                )));
            }
        }
        match (self.batch, self.rule) {
            (Some(0), _) => Err(Error::Invalid("batch is 0; expected at least 1".to_owned())),
            (Some(_), Rule::Accelerated) => Err(Error::Invalid(
                "lr is None with a batch; expected a number, as a part of the examples does not \
                 tell how steep the whole is"
                    .to_owned(),
            )),
            _ => Ok(()),
        }
    }
}

/// What the rows of a step have in common.
#[derive(Clone, Copy, Debug)]
struct Step {
    rule: Rule,
    /// N, the number of examples.
    n: f64,
    /// 1/N, the share of one example.
    share: f64,
    /// 2 penalty / size(W), the slope of the penalty at a weight of 1.
    pull: f64,
    /// The number of the step.
    t: f64,
}

impl Step {
    #[allow(clippy::cast_precision_loss, reason = "nobody takes 2^53 steps")]
    fn new(training: &Training, counts: &[f64], weights: usize, step: u64) -> Step {
        let pull = 2.0 * training.penalty / count(weights);
        let n = sum(counts);
        Step { rule: training.rule, n, share: 1.0 / n, pull, t: step as f64 }
    }

    /// Moves a row; returns its part of N·data, and the sum of its squares before the move.
    fn update(&self, row: Row<'_>, w: &mut [f64], v: &mut [f64], dw: &mut [f64]) -> (f64, f64) {
        let data = row.learn(w, dw);
        let squares = dot(w, w);
        for (dw, w) in dw.iter_mut().zip(&*w) {
            *dw = *dw * self.share + self.pull * w;
        }
        match self.rule {
            Rule::Plain { lr, momentum } => {
                for ((w, v), dw) in w.iter_mut().zip(v).zip(dw) {
                    *v = momentum * *v + *dw;
                    *w -= lr * *v;
                }
            }
            Rule::Accelerated => self.accelerate(row.total() * self.share, w, v, dw),
        }
        (data, squares)
    }

    /// Makes an accelerated step of a row that has the given share of all examples.
    fn accelerate(&self, share: f64, w: &mut [f64], v: &mut [f64], dw: &[f64]) {
        let curvature = 0.5 * share + self.pull;
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

/// Batches of examples, drawn as often as they occur.
struct Batches {
    size: u64,
    seed: u64,
    cells: Vec<Cell>,
    /// How often each n-gram is in the batch.
    counts: Vec<f64>,
}

impl Batches {
    fn new(examples: &Examples, size: u64, seed: u64) -> Result<Batches> {
        let mut cells: Vec<Cell> = alloc::zeroed(examples.counts.len())?;
        Builder::default().build(&examples.counts, &mut cells)?;
        let counts = alloc::zeroed(examples.counts.len())?;
        Ok(Batches { size, seed, cells, counts })
    }

    /// The batch of a step, as counts.
    fn draw(&mut self, step: u64, progress: &Progress) -> Result<&[f64]> {
        let mut random = Random::new(self.seed, step);
        let cells = u32::try_from(self.cells.len()).unwrap_or(u32::MAX);
        self.counts.fill(0.0);
        for drawn in 0..self.size {
            if drawn % BREATH == 0 {
                progress.check()?;
            }
            let look_up = |place| self.cells.get(place as usize).copied().unwrap_or_default();
            let gram = alias::outcome(random.next_u64(), cells, look_up);
            if let Some(count) = self.counts.get_mut(gram as usize) {
                *count += 1.0;
            }
        }
        Ok(&self.counts)
    }
}
