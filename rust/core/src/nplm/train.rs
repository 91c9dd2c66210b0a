//! Many steps of training: draw a mini-batch, forward, backward, update. The loop is
//! `Trainer::steps`.

use super::batch::{self, MicroBatch, ScratchPool};
use super::dropout::Dropout;
use super::embedding::SparseGrad;
use super::optimizer::Optimizer;
use super::params::{Dataset, Params, Shape};
use super::step::{forward_and_backward, param_slices, update_params};
use crate::kernels::{Cpu, Dispatch, copy_of};
use crate::progress::Progress;
use crate::rng::Rng;
use crate::worker_pool::WorkerPool;
use crate::{Error, Result, alloc};

/// The settings of a training run.
#[derive(Clone, Copy, Debug)]
pub struct Config<'a> {
    /// Examples in a mini-batch.
    pub batch_size: usize,
    /// The learning rate of each step.
    pub lr: &'a [f64],
    /// The number of the first step: with the seed, it decides which examples are drawn.
    pub first_step: u64,
    /// The seed.
    pub seed: u64,
    /// The optimizer.
    pub optimizer: Optimizer,
    /// The weight decay of all matrices; biases have none.
    pub weight_decay: f64,
    /// The dropout.
    pub dropout: Dropout,
    /// The number of threads. It does not change the result.
    pub threads: usize,
}

/// The result of training.
#[derive(Debug)]
pub struct Trained<T> {
    /// The loss of each step's mini-batch, before its update.
    pub losses: Vec<f64>,
    /// The parameters, then the optimizer's states.
    pub sets: Vec<Params<Vec<T>>>,
}

/// Copies all parameters and states.
fn copies<T: Copy>(sets: &[Params<&[T]>], progress: &Progress) -> Result<Vec<Params<Vec<T>>>> {
    let copy = |slice: &[T]| progress.check().and_then(|()| copy_of(slice));
    sets.iter().map(|set| set.as_ref().map(|slice| copy(slice)).transpose()).collect()
}

/// Restores what was copied.
fn restore<T: Copy>(sets: &mut [Params<&mut [T]>], before: &[Params<&[T]>]) {
    for (now, before) in sets.iter_mut().zip(before) {
        now.as_mut().zip(before.as_ref()).map(|(now, before)| now.copy_from_slice(before));
    }
}

/// Trains copies of the parameters, and returns the copies.
///
/// `before` are the parameters, then [`Optimizer::states`] sets of the optimizer's state, zeros at
/// first. Example i of step s is drawn uniformly, with replacement, by number i of `Rng(seed, s)`.
///
/// The arrays given do not change, so that an error, or a fork of the process meanwhile, leaves no
/// step half done.
///
/// A step is undone, and ends the training, if its loss is not finite, or if one of its new
/// parameters is not finite or is as large as [`crate::kernels::Float::LARGE`]: then there are
/// fewer losses than learning rates. So the parameters returned have a finite loss.
///
/// # Errors
/// [`Error::Empty`], [`Error::Length`], [`Error::Id`] for wrong input, [`Error::Cpu`],
/// [`Error::Memory`], [`Error::Interrupted`].
pub fn train<T: Dispatch>(
    shape: &Shape,
    before: &[Params<&[T]>],
    data: &Dataset<'_>,
    config: &Config<'_>,
    progress: &Progress,
) -> Result<Trained<T>> {
    const OP: &str = "nplm_train";
    let cpu = Cpu::chosen()?;
    let (got, expected) = (before.len(), 1 + config.optimizer.states());
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
    let pool = WorkerPool::new(config.threads, progress);
    let mut trainer = Trainer::new(cpu, *shape, config, &pool)?;
    let mut steps = |lr: &[f64], sets: &mut [_]| {
        let result = pool.run(|| trainer.steps(sets, data, lr));
        result.inspect_err(|_| progress.rewind(done))
    };
    let (mut losses, ended) = steps(config.lr, &mut slices)?;
    if matches!(ended, Ended::AfterUpdate) {
        // Repeats the steps before the one that diverged, with the same result.
        restore(&mut slices, before);
        progress.rewind(done);
        losses = steps(&config.lr[..losses.len()], &mut slices)?.0;
    }
    Ok(Trained { losses, sets })
}

/// How a run of steps ended.
enum Ended {
    /// After all of them.
    Complete,
    /// At a loss that was not finite, before the step's update.
    BeforeUpdate,
    /// At a parameter that was out of range, after the step's update.
    AfterUpdate,
}

/// The buffers of a training run, kept from step to step.
struct Trainer<'a, T> {
    cpu: Cpu,
    shape: Shape,
    config: &'a Config<'a>,
    pool: &'a WorkerPool<'a>,
    batches: Vec<MicroBatch<T>>,
    /// Gradients of H, d, b and P, where the optimizer needs them apart from the parameters.
    gradients: Params<Vec<T>>,
    /// Gradient of C, unless it is tied.
    sparse: SparseGrad<T>,
    /// Gradients of a tile of the output layer.
    scratch: ScratchPool<T>,
}

impl<'a, T: Dispatch> Trainer<'a, T> {
    fn new(
        cpu: Cpu,
        shape: Shape,
        config: &'a Config<'a>,
        pool: &'a WorkerPool<'a>,
    ) -> Result<Trainer<'a, T>> {
        let batches = batch::micro_batches(&shape, config.batch_size, true, pool.progress())?;
        let lengths = Params { C: 0, U: 0, W: 0, ..shape.lengths() };
        let needed = config.optimizer.states() > 0;
        let zeros = |length| alloc::zeroed(if needed { length } else { 0 });
        let gradients = lengths.map(zeros).transpose()?;
        let (sparse, scratch) = (SparseGrad::new(&shape)?, ScratchPool::new());
        Ok(Trainer { cpu, shape, config, pool, batches, gradients, sparse, scratch })
    }

    /// Makes a step for each learning rate; the first set is the parameters.
    fn steps(
        &mut self,
        sets: &mut [Params<&mut [T]>],
        data: &Dataset<'_>,
        lr: &[f64],
    ) -> Result<(Vec<f64>, Ended)> {
        let (cpu, shape, pool) = (self.cpu, self.shape, self.pool);
        #[allow(clippy::cast_precision_loss, reason = "a mini-batch is smaller than 2^53")]
        let weight = 1.0 / self.config.batch_size as f64;
        let mut losses = alloc::with_capacity(lr.len())?;
        for (&lr, step) in lr.iter().zip(self.config.first_step..) {
            self.draw(data, step);
            let params = sets[0].read();
            let batches = &mut self.batches;
            let masks = self.config.dropout.at(self.config.seed, step);
            let how = (weight, Some(&masks));
            let loss = forward_and_backward(cpu, &shape, pool, &params, how, batches)?;
            if !loss.is_finite() {
                return Ok((losses, Ended::BeforeUpdate));
            }
            let update = self.config.optimizer.at(step, lr, self.config.weight_decay);
            let gradients = self.gradients.as_mut().map(|gradient| &mut **gradient);
            let params = (param_slices(sets, gradients), &mut self.sparse);
            let buffers = (&*self.batches, &self.scratch);
            if !update_params(cpu, &shape, pool, buffers, &update, params)? {
                return Ok((losses, Ended::AfterUpdate));
            }
            losses.push(loss);
            pool.progress().add(1)?;
        }
        Ok((losses, Ended::Complete))
    }

    /// Fills the micro-batches with the mini-batch of a step.
    fn draw(&mut self, data: &Dataset<'_>, step: u64) {
        let mut rng = Rng::new(self.config.seed, step);
        let examples = data.len() as u64;
        #[allow(clippy::cast_possible_truncation, reason = "below the number of examples")]
        let mut numbers = (0..self.config.batch_size).map(|_| rng.below(examples) as usize);
        for batch in &mut self.batches {
            batch.fill(self.shape.context_length, data, &mut numbers);
        }
    }
}
