//! One step of training: forward and backward by example, then gradients and updates by row.
//!
//! Threads partition the two phases in different ways, and no sum depends on which thread computes
//! it: see [`super`].

use std::sync::atomic::{AtomicBool, Ordering};

use super::batch::{MicroBatch, Scratch, ScratchPool, groups};
use super::dropout::Masks;
use super::embedding::{self, SparseGrad};
use super::optimizer::{ParamSlice, Update};
use super::params::{Params, Shape, TILE};
use super::{hidden, output};
use crate::kernels::{Cpu, Dispatch, MICRO_BATCH};
use crate::worker_pool::WorkerPool;
use crate::{Result, alloc};

// Phase 1: examples -------------------------------------------------------------------------------

/// Computes x, a and z, all activations before the output layer.
pub(super) fn forward_hidden<T: Dispatch>(
    cpu: Cpu,
    shape: &Shape,
    params: &Params<&[T]>,
    masks: Option<&Masks>,
    batch: &mut MicroBatch<T>,
) {
    embedding::gather(cpu, shape, params.C, batch);
    forward_from_x(cpu, shape, params, masks, batch);
}

/// Computes a and z from the rows of C in x.
pub(super) fn forward_from_x<T: Dispatch>(
    cpu: Cpu,
    shape: &Shape,
    params: &Params<&[T]>,
    masks: Option<&Masks>,
    batch: &mut MicroBatch<T>,
) {
    embedding::forward(cpu, shape, masks, batch);
    hidden::forward(cpu, shape, params, masks, batch);
    if let Some(a) = &batch.a {
        hidden::project(cpu, shape, params.P, a, &mut batch.z.values);
    }
}

/// Computes da, dh and dx from dz, and from the part of dx that the output layer has written.
pub(super) fn backward_hidden<T: Dispatch>(
    cpu: Cpu,
    shape: &Shape,
    params: &Params<&[T]>,
    masks: Option<&Masks>,
    batch: &mut MicroBatch<T>,
) {
    if let Some(a) = &mut batch.a {
        hidden::project_backward(cpu, shape, params.P, &batch.z.grad, a);
    }
    hidden::backward(cpu, shape, params, masks, batch);
    embedding::backward(cpu, masks, batch);
}

/// Computes the losses, and the gradients of all activations; `weight` is that of an example in the
/// loss. Returns the weighted sum of the losses, summed in the order of the examples.
///
/// # Errors
/// [`crate::Error::Interrupted`].
pub(super) fn forward_and_backward<T: Dispatch>(
    cpu: Cpu,
    shape: &Shape,
    pool: &WorkerPool<'_>,
    params: &Params<&[T]>,
    (weight, masks): (f64, Option<&Masks>),
    batches: &mut [MicroBatch<T>],
) -> Result<f64> {
    pool.for_each(&mut groups(shape, pool.threads(), batches)?, |group| {
        for batch in &mut **group {
            forward_hidden(cpu, shape, params, masks, batch);
        }
        output::forward_and_backward(cpu, shape, params, (weight, pool.progress()), group);
        for batch in &mut **group {
            backward_hidden(cpu, shape, params, masks, batch);
        }
    })?;
    Ok(weighted_loss(batches, weight))
}

/// Returns the sum of the losses in the order of the examples, times the weight of an example.
pub(super) fn weighted_loss<T: Dispatch>(batches: &[MicroBatch<T>], weight: f64) -> f64 {
    batches.iter().flat_map(MicroBatch::losses).sum::<f64>() * weight
}

// Phase 2: rows of parameters ---------------------------------------------------------------------

/// Pairs the parameters, which are the first set, with their gradient buffers and with the
/// optimizer's states, which are the other sets.
///
/// # Panics
/// If there are no sets.
pub(super) fn param_slices<'a, T: Dispatch>(
    sets: &'a mut [Params<&mut [T]>],
    gradients: Params<&'a mut [T]>,
) -> Params<ParamSlice<'a, T>> {
    let mut sets = sets.iter_mut().map(Params::reborrow);
    let Some(params) = sets.next() else { unreachable!("a step without parameters") };
    // Optimizers with fewer states have empty slices for them.
    let mut state = || sets.next().unwrap_or_default();
    let all = params.zip(gradients).zip(state()).zip(state());
    all.map(|(((p, g), first), second)| ParamSlice { p, g, states: [first, second] })
}

/// Rows of a layer's parameters that one thread owns, with the number of the first row.
enum Rows<'a, T> {
    Embedding(ParamSlice<'a, T>, &'a mut SparseGrad<T>),
    Hidden { first: usize, weights: ParamSlice<'a, T>, biases: ParamSlice<'a, T> },
    Projection { first: usize, weights: ParamSlice<'a, T> },
    Output { first: usize, rows: OutputRows<'a, T> },
}

/// Rows of U (of C in tied models), b, and W if there are direct connections.
struct OutputRows<'a, T> {
    weights: ParamSlice<'a, T>,
    biases: ParamSlice<'a, T>,
    direct: ParamSlice<'a, T>,
}

/// Computes all gradients and updates the parameters; returns true if they are in range.
///
/// # Errors
/// [`crate::Error::Interrupted`]; some parameters are updated then, others are not.
pub(super) fn update_params<T: Dispatch>(
    cpu: Cpu,
    shape: &Shape,
    pool: &WorkerPool<'_>,
    (batches, scratch): (&[MicroBatch<T>], &ScratchPool<T>),
    update: &Update<T>,
    (params, sparse): (Params<ParamSlice<'_, T>>, &mut SparseGrad<T>),
) -> Result<bool> {
    let in_range = AtomicBool::new(true);
    let size = numbers_per_item(shape, batches.len() * MICRO_BATCH, pool.threads());
    let mut items = partition(shape, size, params, sparse)?;
    pool.for_each(&mut items, |rows| {
        if !rows.update(cpu, shape, (batches, scratch), update) {
            in_range.store(false, Ordering::Relaxed);
        }
    })?;
    Ok(in_range.into_inner())
}

/// Returns the number of matrix elements in a work item.
fn numbers_per_item(shape: &Shape, examples: usize, threads: usize) -> usize {
    /// Work items per thread. With fewer, the other threads wait longer for the last item.
    const ITEMS: usize = 8;
    /// The most multiplications of an item: some milliseconds, since a cancel is only checked for
    /// between items.
    const MOST: usize = 1 << 28;
    let Params { H, W, P, .. } = shape.lengths();
    let all = H + P + shape.tokens().len() * shape.output_width() + W;
    let items = if threads == 1 { 1 } else { ITEMS * threads };
    (all / items).min(MOST / examples.max(1))
}

/// Partitions the parameters into work items: rows with about `numbers` matrix elements, and their
/// biases.
fn partition<'a, T: Dispatch>(
    shape: &Shape,
    numbers: usize,
    params: Params<ParamSlice<'a, T>>,
    sparse: &'a mut SparseGrad<T>,
) -> Result<Vec<Rows<'a, T>>> {
    /// The largest height of a register tile.
    const ROWS: usize = 12;
    let rows_of = |cols: usize| (numbers / cols.max(1)).div_ceil(ROWS).max(1) * ROWS;
    let Params { C, mut H, mut d, U, b, W, mut P } = params;
    let inputs = shape.inputs();
    let mut items = Vec::new();
    let step = rows_of(inputs);
    for first in (0..shape.hidden_dim).step_by(step) {
        let (weights, biases) = (H.take(step * inputs), d.take(step));
        alloc::push(&mut items, Rows::Hidden { first, weights, biases })?;
    }
    let step = rows_of(shape.hidden_dim);
    for first in (0..if shape.tied { shape.embedding_dim } else { 0 }).step_by(step) {
        let weights = P.take(step * shape.hidden_dim);
        alloc::push(&mut items, Rows::Projection { first, weights })?;
    }
    let (weights, embedding) =
        if shape.tied { (C, None) } else { (U, Some(Rows::Embedding(C, sparse))) };
    let step = rows_of(shape.output_width() + if shape.direct { inputs } else { 0 });
    let step = if shape.vocab_size > TILE { step.next_multiple_of(TILE) } else { step };
    let mut output = OutputRows { weights, biases: b, direct: W };
    for first in shape.tokens().step_by(step) {
        alloc::push(&mut items, Rows::Output { first, rows: output.take(shape, step) })?;
    }
    if let Some(embedding) = embedding {
        alloc::push(&mut items, embedding)?;
    }
    Ok(items)
}

impl<T: Dispatch> Rows<'_, T> {
    /// Computes the gradient of the rows and updates them; returns true if they are in range.
    fn update(
        &mut self,
        cpu: Cpu,
        shape: &Shape,
        (batches, scratch): (&[MicroBatch<T>], &ScratchPool<T>),
        update: &Update<T>,
    ) -> bool {
        match self {
            Rows::Embedding(c, sparse) => sparse.update(cpu, shape, batches, update, c),
            Rows::Hidden { first, weights, biases } => {
                let plain = update.without_decay();
                let into = (weights.grad_target(update), biases.grad_target(&plain));
                hidden::gradient(cpu, shape, batches, *first, into);
                weights.apply(cpu, update) & biases.apply(cpu, &plain)
            }
            Rows::Projection { first, weights } => {
                let into = weights.grad_target(update);
                hidden::project_gradient(cpu, shape, batches, *first, into);
                weights.apply(cpu, update)
            }
            Rows::Output { first, rows } => scratch.with(|scratch| {
                let mut in_range = true;
                while !rows.biases.p.is_empty() {
                    let count = (TILE - *first % TILE).min(rows.biases.p.len());
                    let mut tile = rows.take(shape, count);
                    in_range &= tile.update(cpu, shape, batches, *first, scratch, update);
                    *first += count;
                }
                in_range
            }),
        }
    }
}

impl<'a, T: Dispatch> OutputRows<'a, T> {
    /// Splits off the first `n` rows.
    fn take(&mut self, shape: &Shape, n: usize) -> OutputRows<'a, T> {
        OutputRows {
            weights: self.weights.take(n * shape.output_width()),
            biases: self.biases.take(n),
            direct: self.direct.take(n * shape.inputs()),
        }
    }

    /// Computes the gradients of rows of one tile, and updates the rows while they are in the
    /// cache.
    fn update(
        &mut self,
        cpu: Cpu,
        shape: &Shape,
        batches: &[MicroBatch<T>],
        first: usize,
        scratch: &mut Scratch<T>,
        update: &Update<T>,
    ) -> bool {
        let plain = update.without_decay();
        let Scratch { dy, gradients: [of_weights, of_direct] } = scratch;
        let mut weights = self.weights.with_buffer(update, of_weights);
        let mut direct = self.direct.with_buffer(update, of_direct);
        let biases = &mut self.biases;
        let into =
            (weights.grad_target(update), biases.grad_target(&plain), direct.grad_target(update));
        output::gradient(cpu, shape, batches, first, dy, into);
        if shape.tied {
            // These are rows of C: the embedding's part of the gradient is added to the output's.
            let target = weights.grad_target(update);
            let (alpha, rows) = (target.alpha, target.out);
            // `apply` checks the range of all rows.
            let _ = embedding::add_gradient_of_rows(cpu, shape, batches, alpha, first, rows);
        }
        weights.apply(cpu, update) & biases.apply(cpu, &plain) & direct.apply(cpu, update)
    }
}
