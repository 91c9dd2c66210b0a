//! Many steps of training: draw a mini-batch, forward, backward, update.

use super::dropout::Dropout;
use super::optimizer::Optimizer;
use super::rows::Rows;
use super::step::{blocks_of, change, forward_and_backward};
use super::team::Team;
use super::workspace::{self, Rooms, Slice};
use super::{Data, Params, Shape};
use crate::linalg::{Cpu, Float, copy_of};
use crate::progress::Progress;
use crate::random::Random;
use crate::{Error, Result, alloc};

/// What is to be done.
#[derive(Clone, Copy, Debug)]
pub struct Plan<'a> {
    /// Examples in a mini-batch.
    pub batch: usize,
    /// The learning rate of each step.
    pub rates: &'a [f64],
    /// The number of the first step: it decides which examples are drawn.
    pub first_step: u64,
    /// What else decides that.
    pub seed: u64,
    /// The optimiser.
    pub optimizer: Optimizer,
    /// Weight decay of all matrices; biases have none.
    pub decay: f64,
    /// Which share of the features is left out.
    pub dropout: Dropout,
    /// How many threads share the work. They do not change the result.
    pub threads: usize,
}

/// What training has made.
#[derive(Debug)]
pub struct Trained<T> {
    /// The loss of each step's mini-batch, before its update.
    pub losses: Vec<f64>,
    /// The parameters, and behind them the optimiser's numbers.
    pub sets: Vec<Params<Vec<T>>>,
}

/// Copies of all parameters and states.
fn copies<T: Copy>(sets: &[Params<&[T]>], progress: &Progress) -> Result<Vec<Params<Vec<T>>>> {
    let copy = |slice: &[T]| progress.check().and_then(|()| copy_of(slice));
    sets.iter().map(|set| set.as_ref().map(|slice| copy(slice)).transpose()).collect()
}

/// Puts back what was copied.
fn restore<T: Copy>(sets: &mut [Params<&mut [T]>], before: &[Params<&[T]>]) {
    for (now, before) in sets.iter_mut().zip(before) {
        now.as_mut().zip(before.as_ref()).map(|(now, before)| now.copy_from_slice(before));
    }
}

/// Trains copies of parameters, and returns these.
///
/// `before` are the parameters, and behind them [`Optimizer::states`] sets of the optimiser's
/// numbers, which are zeros at first. Example i of step s is drawn from all with equal probability
/// by number i of the generator of stream s.
///
/// Copies, so that neither an error nor a fork of the process meanwhile finds a step half-done.
///
/// A step is taken back, and ends the training, if its loss is nan or infinite, or a parameter after
/// it is that or as large as [`Float::LARGE`]: there are fewer losses than rates then. So what is
/// left has a finite loss.
///
/// # Errors
/// [`Error::Empty`], [`Error::Length`], [`Error::Id`] for wrong input, [`Error::Cpu`],
/// [`Error::Memory`], [`Error::Interrupted`].
pub fn train<T: Float>(
    shape: &Shape,
    before: &[Params<&[T]>],
    data: &Data<'_>,
    plan: &Plan<'_>,
    progress: &Progress,
) -> Result<Trained<T>> {
    const OP: &str = "nplm_train";
    let cpu = Cpu::chosen()?;
    let (got, expected) = (before.len(), 1 + plan.optimizer.states());
    if got != expected {
        return Err(Error::Length { op: OP, argument: "sets".to_string(), got, expected });
    }
    for set in before {
        set.check(shape, OP)?;
    }
    data.check(shape, OP)?;

    let mut sets = copies(before, progress)?;
    let mut slices: Vec<_> =
        sets.iter_mut().map(|set| set.as_mut().map(Vec::as_mut_slice)).collect();
    let done = progress.done();
    let team = Team::new(plan.threads, progress);
    let mut trainer = Trainer::new(cpu, *shape, plan, &team, progress)?;
    let mut steps = |rates: &[f64], sets: &mut [_]| {
        let result = team.run(|| trainer.steps(sets, data, rates, progress));
        result.inspect_err(|_| progress.rewind(done))
    };
    let (mut losses, ended) = steps(plan.rates, &mut slices)?;
    if matches!(ended, Ended::AfterUpdate) {
        // The steps before the one that went wrong are done once more, to the same result.
        restore(&mut slices, before);
        progress.rewind(done);
        let rates = plan.rates.get(..losses.len()).unwrap_or_default();
        losses = steps(rates, &mut slices)?.0;
    }
    Ok(Trained { losses, sets })
}

/// How a run of steps ended.
enum Ended {
    /// After all of them.
    Whole,
    /// A loss was not finite; the step's update was not made.
    BeforeUpdate,
    /// A parameter was not in range after the update.
    AfterUpdate,
}

/// What training needs from step to step.
struct Trainer<'a, T> {
    cpu: Cpu,
    shape: Shape,
    plan: &'a Plan<'a>,
    team: &'a Team<'a>,
    slices: Vec<Slice<T>>,
    /// Room for gradients, where the update is not part of making them and nothing else is made.
    gradients: Params<Vec<T>>,
    /// For those of C, unless it is tied.
    rows: Rows<T>,
    /// For those of the output layer's matrices.
    rooms: Rooms<T>,
}

impl<'a, T: Float> Trainer<'a, T> {
    fn new(
        cpu: Cpu,
        shape: Shape,
        plan: &'a Plan<'a>,
        team: &'a Team<'a>,
        progress: &Progress,
    ) -> Result<Trainer<'a, T>> {
        let slices = workspace::slices(&shape, plan.batch, true, progress)?;
        let lengths = Params { C: 0, U: 0, W: 0, ..shape.lengths() };
        let room = plan.optimizer.states() > 0;
        let zeros = |length| alloc::zeroed(if room { length } else { 0 });
        let gradients = lengths.map(zeros).transpose()?;
        let (rows, rooms) = (Rows::new(&shape)?, Rooms::new());
        Ok(Trainer { cpu, shape, plan, team, slices, gradients, rows, rooms })
    }

    /// Does the steps that have a rate.
    fn steps(
        &mut self,
        sets: &mut [Params<&mut [T]>],
        data: &Data<'_>,
        rates: &[f64],
        progress: &Progress,
    ) -> Result<(Vec<f64>, Ended)> {
        let (cpu, shape, team) = (self.cpu, self.shape, self.team);
        #[allow(clippy::cast_precision_loss, reason = "a mini-batch is smaller than 2^53")]
        let weight = 1.0 / self.plan.batch as f64;
        let mut losses = alloc::with_capacity(rates.len())?;
        for (&rate, step) in rates.iter().zip(self.plan.first_step..) {
            self.draw(data, step);
            let params = sets.first().map(Params::read).unwrap_or_default();
            let slices = &mut self.slices;
            let masks = self.plan.dropout.at(self.plan.seed, step);
            let how = (weight, Some(&masks));
            let loss = forward_and_backward(cpu, &shape, team, &params, how, slices)?;
            if !loss.is_finite() {
                return Ok((losses, Ended::BeforeUpdate));
            }
            let update = self.plan.optimizer.at(step, rate, self.plan.decay);
            let gradients = self.gradients.as_mut().map(|gradient| &mut **gradient);
            let blocks = (blocks_of(sets, gradients), &mut self.rows);
            if !change(cpu, &shape, team, (&self.slices, &self.rooms), &update, blocks)? {
                return Ok((losses, Ended::AfterUpdate));
            }
            losses.push(loss);
            progress.add(1)?;
        }
        Ok((losses, Ended::Whole))
    }

    /// Fills the slices with the mini-batch of a step.
    fn draw(&mut self, data: &Data<'_>, step: u64) {
        let mut random = Random::new(self.plan.seed, step);
        let examples = data.len() as u64;
        #[allow(clippy::cast_possible_truncation, reason = "below the number of examples")]
        let mut numbers = (0..self.plan.batch).map(|_| random.below(examples) as usize);
        for slice in &mut self.slices {
            slice.fill(self.shape.context, data, &mut numbers);
        }
    }
}
