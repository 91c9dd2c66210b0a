//! Many steps of training: draw a mini-batch, forward, backward, update. The loop is
//! `Trainer::steps`.

use super::batch::{self, MicroBatch, ScratchPool};
use super::dropout::Dropout;
use super::embedding::SparseGrad;
use super::optimizer::Optimizer;
use super::params::{Dataset, Params, Shape};
use super::ranks::{Ranks, Reduction, exact, fast};
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

/// Overwrites the copies with the arrays that they were made from.
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
/// The arrays given do not change, so that neither an error nor a fork during the call leaves a step
/// half done.
///
/// A step is undone, and ends the training, if its loss is not finite, or if one of its new
/// parameters is not finite or is as large as [`crate::kernels::Float::LARGE`]: then there are
/// fewer losses than learning rates. So the parameters returned have a finite loss.
///
/// With ranks, each of them makes this call; see [`super::ranks`]. A cancel on one of them ends the
/// training on all, after the same step.
///
/// # Errors
/// [`Error::Empty`], [`Error::Length`], [`Error::Id`] for wrong input, [`Error::Cpu`],
/// [`Error::Memory`], [`Error::Interrupted`]; those of the communicator.
pub fn train<T: Dispatch>(
    shape: &Shape,
    before: &[Params<&[T]>],
    data: &Dataset<'_>,
    config: &Config<'_>,
    ranks: Option<Ranks<'_, T>>,
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
    let steps = (config.first_step..).take(config.lr.len());
    data.check_examples(shape, OP, steps.flat_map(|step| drawn(config, data.len(), step)))?;

    // Ranks agree on a cancel at the end of a step, since each waits for the others within it.
    let never_cancelled = Progress::new();
    let of_pool = if ranks.is_some() { &never_cancelled } else { progress };
    let mut sets = copies(before, of_pool)?;
    let mut slices: Vec<_> =
        sets.iter_mut().map(|set| set.as_mut().map(Vec::as_mut_slice)).collect();
    let done = progress.done();
    let pool = WorkerPool::new(config.threads, of_pool);
    let mut trainer = Trainer::new(cpu, *shape, config, ranks, (&pool, progress))?;
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

/// Returns the numbers of the examples of a step's mini-batch.
fn drawn(config: &Config<'_>, examples: usize, step: u64) -> impl Iterator<Item = usize> {
    let mut rng = Rng::new(config.seed, step);
    #[allow(clippy::cast_possible_truncation, reason = "below the number of examples")]
    (0..config.batch_size).map(move |_| rng.below(examples as u64) as usize)
}

/// The end of a run of steps.
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
    ranks: Option<Ranks<'a, T>>,
    pool: &'a WorkerPool<'a>,
    progress: &'a Progress,
    batches: Vec<MicroBatch<T>>,
    /// Gradients of H, d, b and P; empty for SGD, which adds them to the parameters directly. If
    /// ranks sum gradients, those of all parameters but an untied C, for every optimizer.
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
        ranks: Option<Ranks<'a, T>>,
        (pool, progress): (&'a WorkerPool<'a>, &'a Progress),
    ) -> Result<Trainer<'a, T>> {
        let batches = batch::micro_batches(&shape, config.batch_size, true, pool.progress())?;
        let all = shape.lengths();
        let summed = ranks.is_some_and(|ranks| ranks.reduction == Reduction::Fast);
        let lengths = if summed {
            Params { C: if shape.tied { all.C } else { 0 }, ..all }
        } else {
            Params { C: 0, U: 0, W: 0, ..all }
        };
        let needed = summed || config.optimizer.states() > 0;
        let zeros = |length| alloc::zeroed(if needed { length } else { 0 });
        let gradients = lengths.map(zeros).transpose()?;
        let (sparse, scratch) = (SparseGrad::new(&shape)?, ScratchPool::new());
        Ok(Trainer {
            cpu,
            shape,
            config,
            ranks,
            pool,
            progress,
            batches,
            gradients,
            sparse,
            scratch,
        })
    }

    /// Makes a step for each learning rate; the first set is the parameters.
    fn steps(
        &mut self,
        sets: &mut [Params<&mut [T]>],
        data: &Dataset<'_>,
        lr: &[f64],
    ) -> Result<(Vec<f64>, Ended)> {
        let mut losses = alloc::with_capacity(lr.len())?;
        for (&lr, step) in lr.iter().zip(self.config.first_step..) {
            self.draw(data, step);
            let loss = self.forward_and_backward(&sets[0].read(), step)?;
            if !loss.is_finite() {
                return Ok((losses, Ended::BeforeUpdate));
            }
            let in_range = self.update(sets, lr, step)?;
            if !self.agreed(in_range)? {
                return Ok((losses, Ended::AfterUpdate));
            }
            losses.push(loss);
            let checked = self.progress.add(1);
            if self.ranks.is_none() {
                checked?;
            }
        }
        Ok((losses, Ended::Complete))
    }

    /// Computes the gradients of all activations; returns the loss.
    fn forward_and_backward(&mut self, params: &Params<&[T]>, step: u64) -> Result<f64> {
        let Trainer { cpu, shape, config, pool, batches, .. } = self;
        #[allow(clippy::cast_precision_loss, reason = "a mini-batch is smaller than 2^53")]
        let weight = 1.0 / config.batch_size as f64;
        let masks = config.dropout.at(config.seed, step);
        let how = (weight, Some(&masks));
        match self.ranks {
            None => forward_and_backward(*cpu, shape, pool, params, how, batches),
            Some(Ranks { comm, reduction: Reduction::Exact }) => {
                exact::forward_and_backward(*cpu, shape, pool, params, how, batches, comm)
            }
            Some(Ranks { comm, reduction: Reduction::Fast }) => {
                let own = fast::part_of(batches, comm);
                let mut loss = [forward_and_backward(*cpu, shape, pool, params, how, own)?];
                comm.sum_doubles(&mut loss)?;
                Ok(loss[0])
            }
        }
    }

    /// Computes the gradients of all parameters, and updates them; returns true if those that this
    /// rank updates are in range.
    fn update(&mut self, sets: &mut [Params<&mut [T]>], lr: f64, step: u64) -> Result<bool> {
        let Trainer { cpu, shape, config, pool, batches, gradients, sparse, scratch, .. } = self;
        let update = config.optimizer.at(step, lr, config.weight_decay);
        if let Some(Ranks { comm, reduction: Reduction::Fast }) = self.ranks {
            let gradients = fast::Gradients { dense: gradients, sparse, scratch };
            return fast::update_params(
                *cpu,
                shape,
                pool,
                batches,
                &update,
                (sets, gradients),
                comm,
            );
        }
        let gradients = gradients.as_mut().map(|gradient| &mut **gradient);
        let params = (param_slices(sets, gradients), sparse);
        update_params(*cpu, shape, pool, (batches, scratch), &update, params)
    }

    /// Returns true if the parameters are in range on all ranks.
    ///
    /// # Errors
    /// [`Error::Interrupted`] where the work is cancelled on one of them.
    fn agreed(&self, in_range: bool) -> Result<bool> {
        let Some(Ranks { comm, .. }) = self.ranks else { return Ok(in_range) };
        let cancelled = self.progress.check().is_err();
        let mut counts = [!in_range, cancelled].map(|holds| f64::from(u8::from(holds)));
        comm.sum_doubles(&mut counts)?;
        match counts.map(|count| count > 0.0) {
            [_, true] => Err(Error::Interrupted),
            [out_of_range, false] => Ok(!out_of_range),
        }
    }

    /// Fills the micro-batches with the mini-batch of a step.
    fn draw(&mut self, data: &Dataset<'_>, step: u64) {
        let mut numbers = drawn(self.config, data.len(), step);
        for batch in &mut self.batches {
            batch.fill(self.shape.context_length, data, &mut numbers);
        }
    }
}
