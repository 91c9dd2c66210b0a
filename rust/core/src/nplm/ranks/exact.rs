//! Forward and backward pass on ranks that have a shard of the output layer each, with the same bits
//! as on one rank: see [`super`].

use std::slice;

use super::super::batch::{MicroBatch, groups};
use super::super::dropout::Masks;
use super::super::params::{Params, Shape};
use super::super::step::{backward_hidden, forward_from_x, weighted_loss};
use super::super::{embedding, output};
use super::Comm;
use crate::kernels::{Cpu, Dispatch, MICRO_BATCH};
use crate::worker_pool::WorkerPool;
use crate::{Result, alloc};

/// Computes and returns the same as `step::forward_and_backward`, on ranks that have a shard each.
///
/// # Errors
/// [`crate::Error::Interrupted`]; those of the communicator.
pub(in super::super) fn forward_and_backward<T: Dispatch>(
    cpu: Cpu,
    shape: &Shape,
    pool: &WorkerPool<'_>,
    params: &Params<&[T]>,
    (weight, masks): (f64, Option<&Masks>),
    batches: &mut [MicroBatch<T>],
    comm: &dyn Comm<T>,
) -> Result<f64> {
    let (rank, last) = (comm.rank(), comm.size() - 1);
    forward_hidden(cpu, shape, pool, params, masks, batches, comm)?;
    hand_on(shape, pool, batches, comm, state, |group| {
        output::add_tiles(cpu, shape, params, (weight, pool.progress()), group);
        if rank < last {
            for batch in group {
                batch.copy_target_rows(shape, params);
            }
        }
    })?;
    if rank == last {
        comm.broadcast(&mut pack(batches, state)?, last)?;
    } else {
        unpack(batches, state, |message| comm.broadcast(message, last))?;
    }
    pool.for_each(batches, |batch| {
        batch.finish_softmax(weight);
        batch.transpose_for_gradients(cpu, shape);
        backward_hidden(cpu, shape, params, masks, batch);
    })?;
    Ok(weighted_loss(batches, weight))
}

/// Computes the loss of each example on ranks that have a shard each; the last one has them.
///
/// # Errors
/// As of [`forward_and_backward`].
pub(in super::super) fn losses<T: Dispatch>(
    cpu: Cpu,
    shape: &Shape,
    pool: &WorkerPool<'_>,
    params: &Params<&[T]>,
    batches: &mut [MicroBatch<T>],
    comm: &dyn Comm<T>,
) -> Result<()> {
    forward_hidden(cpu, shape, pool, params, None, batches, comm)?;
    hand_on(shape, pool, batches, comm, softmax, |group| {
        output::add_exponentials(cpu, shape, params, pool.progress(), group);
    })?;
    if comm.rank() == comm.size() - 1 {
        for batch in batches {
            batch.finish_softmax(1.0);
        }
    }
    Ok(())
}

/// Computes x, a and z, which every rank does with the same bits.
fn forward_hidden<T: Dispatch>(
    cpu: Cpu,
    shape: &Shape,
    pool: &WorkerPool<'_>,
    params: &Params<&[T]>,
    masks: Option<&Masks>,
    batches: &mut [MicroBatch<T>],
    comm: &dyn Comm<T>,
) -> Result<()> {
    if shape.tied {
        gather_from_shards(shape, params.C, batches, comm)?;
    }
    pool.for_each(batches, |batch| {
        if !shape.tied {
            embedding::gather(cpu, shape, params.C, batch);
        }
        forward_from_x(cpu, shape, params, masks, batch);
    })
}

/// The parts of a micro-batch that go from rank to rank.
type Parts<T, const N: usize> = for<'a> fn(&'a mut MicroBatch<T>) -> [&'a mut [T]; N];

/// Receives the parts of micro-batches from the rank before, calls `add_shard` with each group, and
/// sends the parts on to the next rank.
fn hand_on<T: Dispatch, const N: usize>(
    shape: &Shape,
    pool: &WorkerPool<'_>,
    batches: &mut [MicroBatch<T>],
    comm: &dyn Comm<T>,
    parts: Parts<T, N>,
    add_shard: impl Fn(&mut [MicroBatch<T>]) + Sync,
) -> Result<()> {
    let (rank, last) = (comm.rank(), comm.size() - 1);
    let at_once = at_once(batches.len(), pool.threads());
    for in_flight in batches.chunks_mut(at_once) {
        // A message for each micro-batch: ranks with other numbers of threads have other groups.
        if rank > 0 {
            for batch in &mut *in_flight {
                unpack(slice::from_mut(batch), parts, |message| comm.receive(message, rank - 1))?;
            }
        }
        pool.for_each(&mut groups(shape, pool.threads(), in_flight)?, |group| {
            if rank == 0 {
                group.iter_mut().for_each(|batch| batch.logits.reset());
            }
            add_shard(group);
        })?;
        if rank < last {
            for batch in in_flight {
                comm.send(&mut pack(slice::from_mut(batch), parts)?, rank + 1)?;
            }
        }
    }
    Ok(())
}

/// Returns the number of micro-batches that a rank computes together: one for each thread, so that
/// the next rank can begin soon. If there are many micro-batches it is more, so that several use a
/// tile while it is in the cache.
fn at_once(batches: usize, threads: usize) -> usize {
    /// The least number of rounds for which waiting for the first is short beside all the work.
    const GROUPS: usize = 16;
    (batches / GROUPS).next_multiple_of(threads).max(threads)
}

/// Computes x, the rows of C of each context, where each rank has the rows of its shard.
fn gather_from_shards<T: Dispatch>(
    shape: &Shape,
    c: &[T],
    batches: &mut [MicroBatch<T>],
    comm: &dyn Comm<T>,
) -> Result<()> {
    let (m, inputs, here) = (shape.embedding_dim, shape.inputs(), shape.tokens());
    // Adding −0 changes no number; adding 0 would turn −0 into 0.
    let nothing = T::from_f64(-0.0);
    let mut rows = alloc::filled(nothing, batches.len() * MICRO_BATCH * inputs)?;
    for (batch, rows) in batches.iter().zip(rows.chunks_exact_mut(MICRO_BATCH * inputs)) {
        for (row, &id) in rows.chunks_exact_mut(m).zip(batch.ids(shape)) {
            if here.contains(&(id as usize)) {
                row.copy_from_slice(&c[(id as usize - here.start) * m..][..m]);
            }
        }
    }
    comm.sum(&mut rows)?;
    for (batch, rows) in batches.iter_mut().zip(rows.chunks_exact(MICRO_BATCH * inputs)) {
        let stride = batch.x_stride;
        for (x, row) in batch.x_rows.chunks_exact_mut(stride).zip(rows.chunks_exact(inputs)) {
            x[..inputs].copy_from_slice(row);
        }
    }
    Ok(())
}

/// Returns the buffers that are a micro-batch's state in training.
fn state<T: Dispatch>(batch: &mut MicroBatch<T>) -> [&mut [T]; 7] {
    let MicroBatch { logits, z, dx, target_rows: [rows, direct_rows], .. } = batch;
    let softmax = &mut logits.softmax;
    [
        &mut softmax.max,
        &mut softmax.sum,
        &mut logits.target_logits,
        &mut z.grad,
        dx,
        rows,
        direct_rows,
    ]
}

/// Returns the buffers of a micro-batch's state that its losses need.
fn softmax<T: Dispatch>(batch: &mut MicroBatch<T>) -> [&mut [T]; 3] {
    let logits = &mut batch.logits;
    [&mut logits.softmax.max, &mut logits.softmax.sum, &mut logits.target_logits]
}

/// Returns parts of micro-batches as one message.
fn pack<T: Dispatch, const N: usize>(
    batches: &mut [MicroBatch<T>],
    parts: Parts<T, N>,
) -> Result<Vec<T>> {
    let mut message =
        alloc::with_capacity(batches.iter_mut().flat_map(parts).map(|s| s.len()).sum())?;
    for part in batches.iter_mut().flat_map(parts) {
        message.extend_from_slice(part);
    }
    Ok(message)
}

/// Receives parts of micro-batches.
fn unpack<T: Dispatch, const N: usize>(
    batches: &mut [MicroBatch<T>],
    parts: Parts<T, N>,
    receive: impl FnOnce(&mut [T]) -> Result<()>,
) -> Result<()> {
    let mut message = alloc::zeroed(batches.iter_mut().flat_map(parts).map(|s| s.len()).sum())?;
    receive(&mut message)?;
    let mut rest = &message[..];
    for part in batches.iter_mut().flat_map(parts) {
        let (values, others) = rest.split_at(part.len());
        part.copy_from_slice(values);
        rest = others;
    }
    Ok(())
}
