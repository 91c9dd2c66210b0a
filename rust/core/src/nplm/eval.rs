//! Losses, activations, probabilities and gradients without training.

use super::batch::{self, MicroBatch, ScratchPool, groups};
use super::dropout::Masks;
use super::embedding::SparseGrad;
use super::optimizer::Update;
use super::output;
use super::params::{Dataset, Params, Shape, check_ids};
use super::ranks::{Comm, exact};
use super::step::{forward_and_backward, forward_hidden, param_slices, update_params};
use crate::kernels::elementwise::PerExample;
use crate::kernels::{Cpu, Dispatch, MICRO_BATCH};
use crate::progress::Progress;
use crate::worker_pool::WorkerPool;
use crate::{Error, Result, alloc};

/// The number of micro-batches for each thread in a chunk; the progress grows chunk by chunk.
const AT_ONCE: usize = 8;

/// Returns the mean of −ln p(target) over all examples, summed in doubles in their order.
///
/// With ranks, each of them makes this call with its shard, and gets the same bits as a process
/// without ranks. A cancel on one of them ends the work on all.
///
/// # Errors
/// As of [`Dataset::check`]; [`Error::Cpu`]; [`Error::Interrupted`]; those of the communicator.
pub fn loss<T: Dispatch>(
    shape: &Shape,
    params: &Params<&[T]>,
    data: &Dataset<'_>,
    ranks: Option<&dyn Comm<T>>,
    threads: usize,
    progress: &Progress,
) -> Result<f64> {
    let mut sum = 0.0;
    let mut add = |losses: &[f64]| sum += losses.iter().sum::<f64>();
    if let Some(comm) = ranks {
        for_each_loss_on_ranks(shape, params, data, comm, threads, progress, add)?;
        let mut sums = [if comm.rank() == comm.size() - 1 { sum } else { -0.0 }];
        comm.sum_doubles(&mut sums)?;
        [sum] = sums;
    } else {
        for_each_loss(shape, params, data, threads, progress, &mut add)?;
    }
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

/// The name of the functions that compute losses.
const LOSS: &str = "nplm_loss";

/// Calls `take` with the losses of each micro-batch, in order.
fn for_each_loss<T: Dispatch>(
    shape: &Shape,
    params: &Params<&[T]>,
    data: &Dataset<'_>,
    threads: usize,
    progress: &Progress,
    mut take: impl FnMut(&[f64]) + Send,
) -> Result<()> {
    params.check(shape, LOSS)?;
    data.check(shape, LOSS)?;
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

/// Does the same on ranks that have a shard each; `take` is called on the last of them only.
fn for_each_loss_on_ranks<T: Dispatch>(
    shape: &Shape,
    params: &Params<&[T]>,
    data: &Dataset<'_>,
    comm: &dyn Comm<T>,
    threads: usize,
    progress: &Progress,
    mut take: impl FnMut(&[f64]) + Send,
) -> Result<()> {
    /// Micro-batches between two agreements on a cancel. After each agreement the last rank waits
    /// for the first micro-batch; with this many that is a small part of the time.
    const AT_ONCE: usize = 64;
    params.check(shape, LOSS)?;
    data.check(shape, LOSS)?;
    let cpu = Cpu::chosen()?;
    // Ranks agree on a cancel, since each waits for the others.
    let never_cancelled = Progress::new();
    let pool = WorkerPool::new(threads, &never_cancelled);
    for_each_chunk(shape, data, &pool, (AT_ONCE * MICRO_BATCH, false), |batches| {
        exact::losses(cpu, shape, &pool, params, batches, comm)?;
        if comm.rank() == comm.size() - 1 {
            for batch in &*batches {
                take(batch.losses());
            }
        }
        let done = batches.iter().map(|batch| batch.examples as u64).sum();
        let mut cancelled = [if progress.add(done).is_err() { 1.0 } else { 0.0 }];
        comm.sum_doubles(&mut cancelled)?;
        if cancelled[0] > 0.0 { Err(Error::Interrupted) } else { Ok(()) }
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
    let mut result = alloc::zeroed(cells(shape.vocab_size, shape, contexts)?)?;
    let mut rest = result.as_mut_slice();
    for_each_group(
        ("nplm_probabilities", shape, params, contexts),
        (threads, progress),
        |examples| first_rows(&mut rest, examples * shape.vocab_size),
        |group, into| output::probabilities(shape, params, group, into),
    )?;
    Ok(result)
}

/// Splits the next group's rows, `count` numbers, off the front of `rest`.
#[allow(clippy::mut_mut, reason = "`rest` is replaced by what is left")]
fn first_rows<'a, T>(rest: &mut &'a mut [T], count: usize) -> &'a mut [T] {
    let Some(rows) = rest.split_off_mut(..count) else { unreachable!("a row for each example") };
    rows
}

/// The activations of B contexts, row-major: an example is a row.
#[derive(Clone, Debug, PartialEq)]
pub struct Forward<T> {
    /// x, the embeddings side by side: (B, c·m).
    pub embedding: Vec<T>,
    /// a, the hidden layer after tanh: (B, h).
    pub hidden: Vec<T>,
    /// y, the logits: (B, V).
    pub logits: Vec<T>,
}

/// Returns the activations of all layers, given B contexts as (B, c) ids.
///
/// # Errors
/// As of [`probabilities`].
pub fn forward<T: Dispatch>(
    shape: &Shape,
    params: &Params<&[T]>,
    contexts: &[u32],
    threads: usize,
    progress: &Progress,
) -> Result<Forward<T>> {
    let widths = [shape.inputs(), shape.hidden_dim, shape.vocab_size];
    let [mut embedding, mut hidden, mut logits] = [vec![], vec![], vec![]];
    for (made, width) in [&mut embedding, &mut hidden, &mut logits].into_iter().zip(widths) {
        *made = alloc::zeroed(cells(width, shape, contexts)?)?;
    }
    let mut rest = [&mut *embedding, &mut *hidden, &mut *logits];
    for_each_group(
        ("nplm_forward", shape, params, contexts),
        (threads, progress),
        |examples| {
            let [x, a, y] = rest.each_mut();
            let [inputs, units, tokens] = widths.map(|width| examples * width);
            [first_rows(x, inputs), first_rows(a, units), first_rows(y, tokens)]
        },
        |group, [mut x, mut a, mut y]| {
            for batch in &*group {
                let columns = |values| <[T]>::as_chunks::<MICRO_BATCH>(values).0.iter().copied();
                x = write_rows(batch.examples, columns(&batch.x), x);
                a = write_rows(batch.examples, columns(&batch.hidden().values), a);
                y = write_rows(batch.examples, output::with_biases(batch, params.b), y);
            }
        },
    )?;
    Ok(Forward { embedding, hidden, logits })
}

/// Transposes activations, which come unit by unit, to a row per example at the start of `into`;
/// returns the rest of `into`.
fn write_rows<T: Copy>(
    examples: usize,
    units: impl ExactSizeIterator<Item = PerExample<T>>,
    into: &mut [T],
) -> &mut [T] {
    let width = units.len();
    let (rows, rest) = into.split_at_mut(examples * width);
    for (i, unit) in units.enumerate() {
        for (to, value) in rows.iter_mut().skip(i).step_by(width).zip(unit) {
            *to = value;
        }
    }
    rest
}

/// Returns the length of an array that has `width` numbers for each context.
fn cells(width: usize, shape: &Shape, contexts: &[u32]) -> Result<usize> {
    (contexts.len() / shape.context_length).checked_mul(width).ok_or(Error::Memory)
}

/// Computes all activations of contexts (B, c), the logits without b, and calls `work` with each
/// group of micro-batches and the part of the output that it fills. `part` returns the next such
/// part, given the group's number of examples.
fn for_each_group<T: Dispatch, P: Send>(
    (op, shape, params, contexts): (&'static str, &Shape, &Params<&[T]>, &[u32]),
    (threads, progress): (usize, &Progress),
    mut part: impl FnMut(usize) -> P + Send,
    work: impl Fn(&mut [MicroBatch<T>], P) + Sync,
) -> Result<()> {
    params.check(shape, op)?;
    let examples = contexts.len() / shape.context_length;
    let (got, expected) = (contexts.len(), examples * shape.context_length);
    if got != expected {
        return Err(Error::Length { op, argument: "contexts".to_string(), got, expected });
    }
    check_ids("contexts", contexts, shape.vocab_size)?;
    let targets = alloc::zeroed(examples)?;
    let data = Dataset { inputs: contexts, targets: &targets };
    let cpu = Cpu::chosen()?;
    let pool = WorkerPool::new(threads, progress);
    let at_once = AT_ONCE * MICRO_BATCH * threads;
    for_each_chunk(shape, &data, &pool, (at_once, true), |batches| {
        let groups = groups(shape, threads, batches)?.into_iter();
        let mut items = alloc::collected(groups.map(|group| {
            let into = part(group.iter().map(|batch| batch.examples).sum());
            (group, Some(into))
        }))?;
        pool.for_each(&mut items, |(group, into)| {
            for batch in &mut **group {
                forward_hidden(cpu, shape, params, None, batch);
            }
            output::all_logits(cpu, shape, params, progress, group);
            if let Some(into) = into.take() {
                work(group, into);
            }
        })
    })
}

/// Returns the mean loss of the examples, taken as one mini-batch, and its gradients; with masks,
/// those of a step with dropout.
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
    // A constant, so that sums do not depend on the number of threads.
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

/// Splits the examples into chunks of up to `at_once`, and calls `work` with the micro-batches of
/// each chunk, in order, on a thread of the pool. With `kept`, micro-batches hold the logits of all
/// tokens, otherwise those of one tile.
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
