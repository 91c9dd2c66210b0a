//! Updates on ranks that have all parameters and sum their gradients: see [`super`].

use std::panic::resume_unwind;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::thread::{self, Builder};

use super::super::batch::{MicroBatch, ScratchPool};
use super::super::embedding::{self, SparseGrad};
use super::super::optimizer::{GradTarget, ParamSlice, Update};
use super::super::params::{Params, Shape, TILE};
use super::super::step::param_slices;
use super::super::{hidden, output};
use super::Comm;
use crate::kernels::{Cpu, Dispatch, Float};
use crate::worker_pool::WorkerPool;
use crate::{Error, Result, alloc};

/// The number of tiles of the output layer whose gradients are summed in one message: some
/// megabytes, beside which the latency of a message is small.
const TILES: usize = 16;

/// Returns the micro-batches of a mini-batch whose forward and backward pass this rank computes.
pub(in super::super) fn part_of<'a, T>(
    batches: &'a mut [MicroBatch<T>],
    comm: &dyn Comm<T>,
) -> &'a mut [MicroBatch<T>] {
    let border = |rank: usize| batches.len() * rank / comm.size();
    let part = border(comm.rank())..border(comm.rank() + 1);
    &mut batches[part]
}

/// The buffers of a step's gradients.
pub(in super::super) struct Gradients<'a, T> {
    /// Those of all parameters; of C only in tied models.
    pub dense: &'a mut Params<Vec<T>>,
    /// That of C in other models.
    pub sparse: &'a mut SparseGrad<T>,
    /// Scratch buffers for a tile of the output layer.
    pub scratch: &'a ScratchPool<T>,
}

/// Computes the gradients of this rank's part of a mini-batch, sums them over the ranks and updates
/// all parameters; returns true if these are in range. `batches` are the whole mini-batch, of which
/// only this rank's part has activations.
///
/// # Errors
/// [`Error::Interrupted`], [`Error::Memory`]; those of the communicator.
pub(in super::super) fn update_params<T: Dispatch>(
    cpu: Cpu,
    shape: &Shape,
    pool: &WorkerPool<'_>,
    batches: &mut [MicroBatch<T>],
    update: &Update<T>,
    (sets, gradients): (&mut [Params<&mut [T]>], Gradients<'_, T>),
    comm: &dyn Comm<T>,
) -> Result<bool> {
    let Gradients { dense, sparse, scratch } = gradients;
    if !shape.tied {
        sparse.find_rows(shape, batches);
    }
    let own = &*part_of(batches, comm);
    thread::scope(|scope| {
        let (sender, receiver) = mpsc::channel::<&mut [T]>();
        let sum_all = || receiver.into_iter().try_for_each(|numbers| comm.sum(numbers));
        let summing = Builder::new().spawn_scoped(scope, sum_all).map_err(|_| Error::Memory)?;
        // Sending fails after an error of the communicator, which is returned at the end.
        let ready = |gradient| drop(sender.send(gradient));
        compute(cpu, shape, pool, (own, scratch), dense.as_mut().map(Vec::as_mut_slice), ready)?;
        if !shape.tied {
            ready(sparse.compute(cpu, shape, own));
        }
        drop(sender);
        summing.join().unwrap_or_else(|payload| resume_unwind(payload))
    })?;
    let gradients = dense.as_mut().map(Vec::as_mut_slice);
    let mut params = param_slices(sets, gradients);
    let of_embedding = shape.tied || sparse.apply(cpu, shape, update, &mut params.C);
    Ok(apply(cpu, shape, pool, update, params)? & of_embedding)
}

/// Computes the gradients of all parameters, of C only in tied models, and calls `ready` with each
/// array or part of one when it is complete.
fn compute<'a, T: Dispatch>(
    cpu: Cpu,
    shape: &Shape,
    pool: &WorkerPool<'_>,
    (own, scratch): (&[MicroBatch<T>], &ScratchPool<T>),
    into: Params<&'a mut [T]>,
    ready: impl Fn(&'a mut [T]),
) -> Result<()> {
    let Params { C, H, d, U, b, W, P } = into;
    let matrix = if shape.tied { C } else { U };
    if own.is_empty() {
        for gradient in [matrix, b, W, H, d, P] {
            gradient.fill(T::default());
            ready(gradient);
        }
        return Ok(());
    }
    let widths = [shape.output_width(), 1, if shape.direct { shape.inputs() } else { 0 }];
    for (start, mut block) in parts(shape.vocab_size, TILES * TILE, widths, [matrix, b, W])? {
        let rows = block[1].len();
        let mut tiles = parts(rows, TILE, widths, block.each_mut().map(|rows| &mut **rows))?;
        pool.for_each(&mut tiles, |(first, [weights, biases, direct])| {
            let first = start + *first;
            scratch.with(|scratch| {
                let into = (target(weights), target(biases), target(direct));
                output::gradient(cpu, shape, own, first, &mut scratch.dy, into);
            });
            if shape.tied {
                // The range is checked when the parameters are updated.
                let one = T::from_f64(1.0);
                let _ = embedding::add_gradient_of_rows(cpu, shape, own, one, first, weights);
            }
        })?;
        block.into_iter().for_each(&ready);
    }
    let (units, at_once) = (shape.hidden_dim, shape.hidden_dim.div_ceil(pool.threads()));
    let mut rows = parts(units, at_once, [shape.inputs(), 1], [&mut *H, &mut *d])?;
    pool.for_each(&mut rows, |(first, [weights, biases])| {
        hidden::gradient(cpu, shape, own, *first, (target(weights), target(biases)));
    })?;
    if shape.tied {
        hidden::project_gradient(cpu, shape, own, 0, target(P));
    }
    [H, d, P].into_iter().for_each(ready);
    Ok(())
}

/// Returns a target that the gradient is written to.
fn target<T: Float>(out: &mut [T]) -> GradTarget<'_, T> {
    GradTarget { out, alpha: T::from_f64(1.0), beta: T::default() }
}

/// The same rows of several matrices, and the number of the first row.
type Part<'a, T, const N: usize> = (usize, [&'a mut [T]; N]);

/// Partitions matrices of these widths into parts of `at_once` rows.
fn parts<T, const N: usize>(
    rows: usize,
    at_once: usize,
    widths: [usize; N],
    mut matrices: [&mut [T]; N],
) -> Result<Vec<Part<'_, T, N>>> {
    let at_once = at_once.max(1);
    alloc::collected((0..rows).step_by(at_once).map(|first| {
        let count = at_once.min(rows - first);
        let mut widths = widths.iter();
        let part = matrices.each_mut().map(|rest| {
            let length = widths.next().map_or(0, |width| count * width);
            rest.split_off_mut(..length).unwrap_or_default()
        });
        (first, part)
    }))
}

/// Updates all parameters, C only in tied models, by their gradients; returns true if they are in
/// range.
fn apply<T: Dispatch>(
    cpu: Cpu,
    shape: &Shape,
    pool: &WorkerPool<'_>,
    update: &Update<T>,
    params: Params<ParamSlice<'_, T>>,
) -> Result<bool> {
    const AT_ONCE: usize = 1 << 16;
    let plain = &update.without_decay();
    let Params { C, H, d, U, b, W, P } = params;
    let matrix = if shape.tied { C } else { U };
    let all = [(matrix, update), (b, plain), (W, update), (H, update), (d, plain), (P, update)];
    let mut items = Vec::new();
    for (mut rest, update) in all {
        while !rest.p.is_empty() {
            alloc::push(&mut items, (rest.take(AT_ONCE), update))?;
        }
    }
    let in_range = AtomicBool::new(true);
    pool.for_each(&mut items, |(slice, update)| {
        if !slice.apply_gradient(cpu, update) {
            in_range.store(false, Ordering::Relaxed);
        }
    })?;
    Ok(in_range.into_inner())
}
