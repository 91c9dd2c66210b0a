//! Losses, probabilities and gradients without training.

use super::batch::{self, MicroBatch, ScratchPool, groups};
use super::dropout::Masks;
use super::embedding::SparseGrad;
use super::optimizer::Update;
use super::output;
use super::params::{Dataset, Params, Shape, check_ids};
use super::step::{forward_and_backward, forward_hidden, param_slices, update_params};
use crate::kernels::{Cpu, Dispatch, MICRO_BATCH};
use crate::progress::Progress;
use crate::worker_pool::WorkerPool;
use crate::{Error, Result, alloc};

/// Micro-batches of each thread between two additions to the progress.
const AT_ONCE: usize = 8;

/// Returns the mean of −ln p(target) over all examples, summed in doubles in their order.
///
/// # Errors
/// As of [`Dataset::check`]; [`Error::Cpu`]; [`Error::Interrupted`].
pub fn loss<T: Dispatch>(
    shape: &Shape,
    params: &Params<&[T]>,
    data: &Dataset<'_>,
    threads: usize,
    progress: &Progress,
) -> Result<f64> {
    let mut sum = 0.0;
    for_each_loss(shape, params, data, threads, progress, |losses| {
        sum += losses.iter().sum::<f64>();
    })?;
    #[allow(clippy::cast_precision_loss, reason = "there are fewer than 2^53 examples")]
    Ok(sum / data.len() as f64)
}

/// Returns −ln p(target) of each example.
///
/// # Errors
/// As of [`loss`].
pub fn losses<T: Dispatch>(
    shape: &Shape,
    params: &Params<&[T]>,
    data: &Dataset<'_>,
    threads: usize,
    progress: &Progress,
) -> Result<Vec<f64>> {
    let mut result = alloc::with_capacity(data.len())?;
    for_each_loss(shape, params, data, threads, progress, |losses| {
        result.extend_from_slice(losses);
    })?;
    Ok(result)
}

/// Calls `take` with the losses of each micro-batch, in order.
fn for_each_loss<T: Dispatch>(
    shape: &Shape,
    params: &Params<&[T]>,
    data: &Dataset<'_>,
    threads: usize,
    progress: &Progress,
    mut take: impl FnMut(&[f64]) + Send,
) -> Result<()> {
    const OP: &str = "nplm_loss";
    params.check(shape, OP)?;
    data.check(shape, OP)?;
    let cpu = Cpu::chosen()?;
    let pool = WorkerPool::new(threads, progress);
    let at_once = AT_ONCE * MICRO_BATCH * threads;
    for_each_chunk(shape, data, &pool, (at_once, false), |batches| {
        pool.for_each(&mut groups(shape, threads, batches)?, |group| {
            for batch in &mut **group {
                forward_hidden(cpu, shape, params, None, batch);
            }
            output::losses(cpu, shape, params, progress, group);
        })?;
        for batch in &*batches {
            take(batch.losses());
        }
        Ok(())
    })
}

/// Returns the probability of every token after each context, given B contexts as (B, c) ids:
/// (B, V).
///
/// # Errors
/// [`Error::Length`] or [`Error::Id`] for wrong contexts; [`Error::Cpu`]; [`Error::Interrupted`].
pub fn probabilities<T: Dispatch>(
    shape: &Shape,
    params: &Params<&[T]>,
    contexts: &[u32],
    threads: usize,
    progress: &Progress,
) -> Result<Vec<f64>> {
    const OP: &str = "nplm_probabilities";
    params.check(shape, OP)?;
    let examples = contexts.len() / shape.context_length;
    let (got, expected) = (contexts.len(), examples * shape.context_length);
    if got != expected {
        return Err(Error::Length { op: OP, argument: "contexts".to_string(), got, expected });
    }
    check_ids("contexts", contexts, shape.vocab_size)?;
    let targets = alloc::zeroed(examples)?;
    let data = Dataset { inputs: contexts, targets: &targets };
    let cpu = Cpu::chosen()?;
    let pool = WorkerPool::new(threads, progress);
    let at_once = AT_ONCE * MICRO_BATCH * threads;
    let cells = examples.checked_mul(shape.vocab_size).ok_or(Error::Memory)?;
    let mut result = alloc::zeroed(cells)?;
    let mut rest = result.as_mut_slice();
    for_each_chunk(shape, &data, &pool, (at_once, true), |batches| {
        let groups = groups(shape, threads, batches)?.into_iter();
        let mut items = alloc::collected(groups.map(|group| {
            let examples: usize = group.iter().map(|batch| batch.examples).sum();
            let (into, later) = std::mem::take(&mut rest).split_at_mut(examples * shape.vocab_size);
            rest = later;
            (group, into)
        }))?;
        pool.for_each(&mut items, |(group, into)| {
            for batch in &mut **group {
                forward_hidden(cpu, shape, params, None, batch);
            }
            output::probabilities(cpu, shape, params, progress, group, into);
        })
    })?;
    Ok(result)
}

/// Returns the mean loss of the examples, taken as one mini-batch, and its gradients; with masks,
/// those of dropout.
///
/// # Errors
/// As of [`Dataset::check`]; [`Error::Cpu`]; [`Error::Interrupted`].
pub fn gradients<T: Dispatch>(
    shape: &Shape,
    params: &Params<&[T]>,
    data: &Dataset<'_>,
    masks: Option<&Masks>,
    threads: usize,
    progress: &Progress,
) -> Result<(f64, Params<Vec<T>>)> {
    const OP: &str = "nplm_gradients";
    // Not a multiple of the number of threads: sums are to be the same for any of them.
    const AT_ONCE: usize = 32 * MICRO_BATCH;
    params.check(shape, OP)?;
    data.check(shape, OP)?;
    let cpu = Cpu::chosen()?;
    let pool = WorkerPool::new(threads, progress);
    #[allow(clippy::cast_precision_loss, reason = "there are fewer than 2^53 examples")]
    let weight = 1.0 / data.len() as f64;
    let mut gradients = shape.lengths().map(alloc::zeroed).transpose()?;
    let (mut sparse, scratch) = (SparseGrad::new(shape)?, ScratchPool::new());
    let mut loss = 0.0;
    for_each_chunk(shape, data, &pool, (AT_ONCE, true), |batches| {
        loss += forward_and_backward(cpu, shape, &pool, params, (weight, masks), batches)?;
        let mut into = [gradients.as_mut().map(|gradient| &mut **gradient)];
        let into = (param_slices(&mut into, Params::default()), &mut sparse);
        update_params(cpu, shape, &pool, (batches, &scratch), &Update::Gradient, into)?;
        Ok(())
    })?;
    Ok((loss, gradients))
}

/// Calls `work` with the micro-batches of chunks of examples, up to `at_once` of them, in order, on
/// a thread of the pool; their logits are kept if `kept`.
fn for_each_chunk<T: Dispatch>(
    shape: &Shape,
    data: &Dataset<'_>,
    pool: &WorkerPool<'_>,
    (at_once, kept): (usize, bool),
    mut work: impl FnMut(&mut [MicroBatch<T>]) -> Result<()> + Send,
) -> Result<()> {
    let at_once = data.len().min(at_once).max(1);
    let mut batches = batch::micro_batches::<T>(shape, at_once, kept, pool.progress())?;
    pool.run(|| {
        for start in (0..data.len()).step_by(at_once) {
            let mut numbers = start..data.len();
            for (batch, first) in batches.iter_mut().zip((start as u64..).step_by(MICRO_BATCH)) {
                batch.fill(shape.context_length, data, &mut numbers);
                batch.number = first;
            }
            work(&mut batches)?;
            pool.progress().add(batches.iter().map(|batch| batch.examples as u64).sum())?;
        }
        Ok(())
    })
}
