//! Many steps of training: draw a mini-batch, forward, backward, update.

use rayon::prelude::*;
use rayon::{ThreadPool, ThreadPoolBuilder};

use super::model::{self, Sink};
use super::optimizer::{Block, Optimizer, Update};
use super::workspace::{self, Slice};
use super::{Data, Params, Shape, softmax};
use crate::linalg::{Cpu, Float};
use crate::random::Random;
use crate::watch::Watch;
use crate::{Error, Result};

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
    /// How many threads share the work. They do not change the result.
    pub threads: usize,
}

/// What training has done, and how to take it back.
#[derive(Debug)]
pub struct Trained<T> {
    /// The loss of each step's mini-batch, before its update.
    pub losses: Vec<f64>,
    before: Vec<Params<Vec<T>>>,
}

impl<T: Copy> Trained<T> {
    /// Puts back what was there before the first step.
    pub fn undo(&self, sets: &mut [Params<&mut [T]>]) {
        restore(sets, &self.before);
    }
}

/// Puts back what was copied.
fn restore<T: Copy>(sets: &mut [Params<&mut [T]>], before: &[Params<Vec<T>>]) {
    for (now, before) in sets.iter_mut().zip(before) {
        now.as_mut().zip(before.as_ref()).map(|(now, before)| now.copy_from_slice(before));
    }
}

/// Trains in place.
///
/// `sets` are the parameters, and behind them [`Optimizer::states`] sets of the optimiser's
/// numbers, which are zeros at first. Example i of step s is drawn from all with equal probability
/// by number i of the generator of stream s.
///
/// A step is taken back, and ends the training, if its loss is nan or infinite, or a parameter after
/// it is that or as large as [`Float::LARGE`]: there are fewer losses than rates then. So what is
/// left has a finite loss.
///
/// # Errors
/// [`Error::Empty`], [`Error::Length`], [`Error::Id`] for wrong input, [`Error::Cpu`],
/// [`Error::Interrupted`]; all of them leave parameters and states as they were.
pub fn train<T: Float>(
    shape: &Shape,
    sets: &mut [Params<&mut [T]>],
    data: &Data<'_>,
    plan: &Plan<'_>,
    watch: &Watch,
) -> Result<Trained<T>> {
    const OP: &str = "nplm_train";
    let cpu = Cpu::chosen()?;
    let (got, expected) = (sets.len(), 1 + plan.optimizer.states());
    if got != expected {
        return Err(Error::Length { op: OP, argument: "sets".to_string(), got, expected });
    }
    for set in &*sets {
        set.read().check(shape, OP)?;
    }
    data.check(shape, OP)?;

    let before: Vec<Params<Vec<T>>> =
        sets.iter().map(|set| set.as_ref().map(|slice| slice.to_vec())).collect();
    let team = Team::new(plan.threads)?;
    let mut trainer = Trainer::new(cpu, *shape, plan, &team);
    let mut result = team.run(|| trainer.steps(sets, data, plan.rates, watch));
    if let Ok((losses, Ended::AfterUpdate)) = &result {
        // The steps before the one that went wrong are done once more, to the same result.
        restore(sets, &before);
        let rates = plan.rates.get(..losses.len()).unwrap_or_default();
        result = team.run(|| trainer.steps(sets, data, rates, watch));
    }
    match result {
        Ok((losses, _)) => Ok(Trained { losses, before }),
        Err(error) => {
            restore(sets, &before);
            Err(error)
        }
    }
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

/// The threads that share the work of a step.
#[derive(Debug)]
pub struct Team(Option<ThreadPool>);

impl Team {
    /// So many threads; just the caller's own if it is one.
    ///
    /// # Errors
    /// [`Error::Memory`] where the system refuses threads.
    pub fn new(threads: usize) -> Result<Team> {
        if threads <= 1 {
            return Ok(Team(None));
        }
        let pool = ThreadPoolBuilder::new().num_threads(threads).build();
        pool.map(|pool| Team(Some(pool))).map_err(|_| Error::Memory)
    }

    /// How many they are.
    #[must_use]
    pub fn threads(&self) -> usize {
        self.0.as_ref().map_or(1, ThreadPool::current_num_threads)
    }

    /// Runs work on one of them.
    pub fn run<R: Send>(&self, work: impl FnOnce() -> R + Send) -> R {
        match &self.0 {
            Some(pool) => pool.install(work),
            None => work(),
        }
    }

    /// Does something to each item, from within [`Team::run`]; items do not know of each other.
    pub fn each<I: Send>(&self, items: &mut [I], work: impl Fn(&mut I) + Send + Sync) {
        match &self.0 {
            Some(_) => items.par_iter_mut().for_each(work),
            None => items.iter_mut().for_each(work),
        }
    }
}

/// What training needs from step to step.
struct Trainer<'a, T> {
    cpu: Cpu,
    shape: Shape,
    plan: &'a Plan<'a>,
    team: &'a Team,
    slices: Vec<Slice<T>>,
    /// Room for gradients, where the update is not part of making them.
    gradients: Params<Vec<T>>,
}

impl<'a, T: Float> Trainer<'a, T> {
    fn new(cpu: Cpu, shape: Shape, plan: &'a Plan<'a>, team: &'a Team) -> Trainer<'a, T> {
        let slices = workspace::slices(&shape, plan.batch);
        let room = plan.optimizer.states() > 0;
        let gradients =
            shape.lengths().map(|length| vec![T::default(); if room { length } else { 0 }]);
        Trainer { cpu, shape, plan, team, slices, gradients }
    }

    /// Does the steps that have a rate.
    fn steps(
        &mut self,
        sets: &mut [Params<&mut [T]>],
        data: &Data<'_>,
        rates: &[f64],
        watch: &Watch,
    ) -> Result<(Vec<f64>, Ended)> {
        let (cpu, shape, team) = (self.cpu, self.shape, self.team);
        let mut losses = Vec::with_capacity(rates.len());
        for (&rate, step) in rates.iter().zip(self.plan.first_step..) {
            self.draw(data, step);
            let params = sets.first().map(Params::read).unwrap_or_default();
            let loss = forward_and_backward(cpu, &shape, team, &params, &mut self.slices);
            if !loss.is_finite() {
                return Ok((losses, Ended::BeforeUpdate));
            }
            let update = self.plan.optimizer.at(step, rate, self.plan.decay);
            let gradients = self.gradients.as_mut().map(|gradient| &mut **gradient);
            let blocks = blocks_of(sets, gradients);
            if !change(cpu, &shape, team, &self.slices, &update, blocks) {
                return Ok((losses, Ended::AfterUpdate));
            }
            losses.push(loss);
            watch.advance(1)?;
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

/// Losses and all activations' gradients of the examples in the slices; the mean loss.
pub(super) fn forward_and_backward<T: Float>(
    cpu: Cpu,
    shape: &Shape,
    team: &Team,
    params: &Params<&[T]>,
    slices: &mut [Slice<T>],
) -> f64 {
    let examples: usize = slices.iter().map(|slice| slice.examples).sum();
    #[allow(clippy::cast_precision_loss, reason = "a mini-batch is smaller than 2^53")]
    let weight = 1.0 / examples as f64;
    team.each(slices, |slice| {
        model::embed(cpu, shape, params.C, slice);
        model::hidden(cpu, shape, params, slice);
        softmax::output(cpu, shape, params, weight, slice);
        softmax::output_backward(cpu, shape, params, weight, slice);
        let dx_so_far = T::from_f64(if shape.direct { 1.0 } else { 0.0 });
        model::hidden_backward(cpu, shape, params, dx_so_far, slice);
    });
    let sum: f64 = slices.iter().flat_map(|slice| slice.losses.iter().take(slice.examples)).sum();
    sum * weight
}

/// Parameters with what belongs to each: room for gradients, the optimiser's numbers.
pub(super) fn blocks_of<'a, T: Float>(
    sets: &'a mut [Params<&mut [T]>],
    gradients: Params<&'a mut [T]>,
) -> Params<Block<'a, T>> {
    let mut sets = sets.iter_mut().map(Params::reborrow);
    let mut next = || sets.next().unwrap_or_default();
    let all = next().zip(gradients).zip(next()).zip(next());
    all.map(|(((p, g), first), second)| Block { p, g, states: [first, second] })
}

/// A part of the parameters that one thread changes, and the number of its first row.
enum Part<'a, T> {
    Embedding(Block<'a, T>),
    Hidden(usize, Block<'a, T>, Block<'a, T>),
    Output(usize, Block<'a, T>, Block<'a, T>),
    Direct(usize, Block<'a, T>),
}

/// Makes all gradients and changes the parameters; returns whether they are in range now.
pub(super) fn change<T: Float>(
    cpu: Cpu,
    shape: &Shape,
    team: &Team,
    slices: &[Slice<T>],
    update: &Update<T>,
    blocks: Params<Block<'_, T>>,
) -> bool {
    let in_range = std::sync::atomic::AtomicBool::new(true);
    let mut parts = cut(shape, team.threads(), blocks);
    team.each(&mut parts, |part| {
        if !part.change(cpu, shape, slices, update) {
            in_range.store(false, std::sync::atomic::Ordering::Relaxed);
        }
    });
    in_range.into_inner()
}

/// Cuts matrices into blocks of rows, a few for each thread, biases with them.
fn cut<'a, T: Float>(
    shape: &Shape,
    threads: usize,
    blocks: Params<Block<'a, T>>,
) -> Vec<Part<'a, T>> {
    let shares = if threads == 1 { 1 } else { 4 * threads };
    let Params { C, mut H, mut d, mut U, mut b, mut W } = blocks;
    let mut parts = vec![Part::Embedding(C)];
    let step = shape.hidden.div_ceil(shares).max(1);
    for first in (0..shape.hidden).step_by(step) {
        parts.push(Part::Hidden(first, H.take(step * shape.inputs()), d.take(step)));
    }
    let step = shape.vocabulary.div_ceil(shares).max(1);
    for first in (0..shape.vocabulary).step_by(step) {
        parts.push(Part::Output(first, U.take(step * shape.hidden), b.take(step)));
        if shape.direct {
            parts.push(Part::Direct(first, W.take(step * shape.inputs())));
        }
    }
    parts
}

impl<T: Float> Part<'_, T> {
    fn change(&mut self, cpu: Cpu, shape: &Shape, slices: &[Slice<T>], update: &Update<T>) -> bool {
        let plain = update.without_decay();
        match self {
            Part::Embedding(c) => change_embedding(cpu, shape, slices, update, c),
            Part::Hidden(first, weights, biases) => {
                let into = (weights.gradient(update), biases.gradient(&plain));
                model::hidden_gradient(cpu, shape, slices, *first, into);
                weights.apply(cpu, update) & biases.apply(cpu, &plain)
            }
            Part::Output(first, weights, biases) => {
                let into = (weights.gradient(update), biases.gradient(&plain));
                softmax::output_gradient(cpu, shape, slices, *first, into);
                weights.apply(cpu, update) & biases.apply(cpu, &plain)
            }
            Part::Direct(first, weights) => {
                softmax::direct_gradient(cpu, shape, slices, *first, weights.gradient(update));
                weights.apply(cpu, update)
            }
        }
    }
}

/// Under plain SGD without decay, only the rows that the mini-batch uses are read or written.
/// All else changes every row at every step: momentum, moments and decay know no pause.
fn change_embedding<T: Float>(
    cpu: Cpu,
    shape: &Shape,
    slices: &[Slice<T>],
    update: &Update<T>,
    c: &mut Block<'_, T>,
) -> bool {
    let Sink { out, alpha, beta } = c.gradient(update);
    if beta == T::default() {
        out.fill(beta);
    } else if beta != T::from_f64(1.0) {
        for c in out.iter_mut() {
            *c = *c * beta;
        }
    }
    let in_range = model::embed_gradient(cpu, shape, slices, alpha, out);
    match update {
        Update::Sgd { .. } | Update::Gradient => in_range,
        _ => c.apply(cpu, update),
    }
}
