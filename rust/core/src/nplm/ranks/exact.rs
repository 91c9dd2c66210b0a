//! Forward and backward pass on ranks that have a shard of the output layer each, with the same bits
//! as on one rank: see [`super`].

use super::super::batch::{MicroBatch, groups};
use super::super::dropout::Masks;
use super::super::params::{Params, Shape};
use super::super::step::{backward_hidden, forward_from_x, weighted_loss};
use super::super::{embedding, output};
use super::Comm;
use crate::kernels::{Cpu, Dispatch, MICRO_BATCH};
use crate::worker_pool::WorkerPool;
use crate::{Result, alloc};

/// Returns the same as `step::forward_and_backward`, on ranks that have a shard each.
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
    if shape.tied {
        gather_from_shards(shape, params.C, batches, comm)?;
    }
    pool.for_each(batches, |batch| {
        if !shape.tied {
            embedding::gather(cpu, shape, params.C, batch);
        }
        forward_from_x(cpu, shape, params, masks, batch);
    })?;
    let at_once = at_once(batches.len(), pool.threads());
    for in_flight in batches.chunks_mut(at_once) {
        if rank > 0 {
            unpack(in_flight, |message| comm.receive(message, rank - 1))?;
        }
        pool.for_each(&mut groups(shape, pool.threads(), in_flight)?, |group| {
            if rank == 0 {
                group.iter_mut().for_each(|batch| batch.logits.reset());
            }
            output::add_tiles(cpu, shape, params, (weight, pool.progress()), group);
        })?;
        if rank < last {
            for batch in &mut *in_flight {
                batch.copy_target_rows(shape, params);
            }
            comm.send(&mut pack(in_flight)?, rank + 1)?;
        }
    }
    if rank == last {
        comm.broadcast(&mut pack(batches)?, last)?;
    } else {
        unpack(batches, |message| comm.broadcast(message, last))?;
    }
    pool.for_each(batches, |batch| {
        batch.finish_softmax(weight);
        batch.transpose_for_gradients(cpu, shape);
        backward_hidden(cpu, shape, params, masks, batch);
    })?;
    Ok(weighted_loss(batches, weight))
}

/// Returns the number of micro-batches whose states are sent together: one for each thread, so that
/// the next rank can begin soon. If there are many micro-batches it is more, so that several use a
/// tile while it is in the cache.
fn at_once(batches: usize, threads: usize) -> usize {
    /// The least number of messages for which waiting for the first is short beside all the work.
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

/// Returns the buffers that are a micro-batch's state, which is sent from rank to rank.
fn state<T: Dispatch>(batch: &mut MicroBatch<T>) -> impl Iterator<Item = &mut [T]> {
    let MicroBatch { logits, z, dx, target_rows: [rows, direct_rows], .. } = batch;
    let softmax = &mut logits.softmax;
    [
        &mut softmax.max[..],
        &mut softmax.sum,
        &mut logits.target_logits,
        &mut z.grad,
        dx,
        rows,
        direct_rows,
    ]
    .into_iter()
}

/// Returns the states of micro-batches as one message.
fn pack<T: Dispatch>(batches: &mut [MicroBatch<T>]) -> Result<Vec<T>> {
    let mut message =
        alloc::with_capacity(batches.iter_mut().flat_map(state).map(|s| s.len()).sum())?;
    for part in batches.iter_mut().flat_map(state) {
        message.extend_from_slice(part);
    }
    Ok(message)
}

/// Receives the states of micro-batches.
fn unpack<T: Dispatch>(
    batches: &mut [MicroBatch<T>],
    receive: impl FnOnce(&mut [T]) -> Result<()>,
) -> Result<()> {
    let mut message = alloc::zeroed(batches.iter_mut().flat_map(state).map(|s| s.len()).sum())?;
    receive(&mut message)?;
    let mut rest = &message[..];
    for part in batches.iter_mut().flat_map(state) {
        let (values, others) = rest.split_at(part.len());
        part.copy_from_slice(values);
        rest = others;
    }
    Ok(())
}
