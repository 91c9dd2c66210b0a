//! A micro-batch: examples side by side, and the activations of all layers.
//!
//! All buffers are allocated once and kept from step to step.

use std::sync::{Mutex, PoisonError};

use super::params::{Dataset, Shape, TILE};
use crate::kernels::elementwise::{self, OnlineSoftmax, PerExample};
use crate::kernels::{Buffer, Cpu, Dispatch, Float, MICRO_BATCH};
use crate::progress::Progress;
use crate::{Result, alloc};

/// Up to [`MICRO_BATCH`] examples and their activations.
///
/// Activations are (units, `MICRO_BATCH`): an example is a column. The gradient of a matrix is
/// Σ dy·xᵀ, a gemm whose B is xᵀ. So activations are also stored transposed, in `…rows`, where an
/// example is a row.
#[derive(Debug)]
pub struct MicroBatch<T> {
    /// The number of examples. x and dy are 0 in the other columns, which so add nothing to
    /// gradients.
    pub examples: usize,
    /// The ids of the contexts: (examples, c).
    pub ids: Vec<u32>,
    /// The ids to be predicted.
    pub targets: [u32; MICRO_BATCH],
    /// x transposed: (`MICRO_BATCH`, `x_stride`), of which c·m columns are used.
    pub x_rows: Buffer<T>,
    /// x: (c·m, `MICRO_BATCH`).
    pub x: Buffer<T>,
    /// The input of the output layer: z = P·a in tied models, otherwise z = a.
    pub z: Activations<T>,
    /// a = tanh(d + H·x) in tied models; None in others, where z is a.
    pub a: Option<Activations<T>>,
    /// The logits y, then numbers made from them in place.
    pub logits: Logits<T>,
    /// The part of dx that comes through W: (c·m, `MICRO_BATCH`), or empty.
    pub dx: Buffer<T>,
    /// dx transposed: (`MICRO_BATCH`, `x_stride`).
    pub dx_rows: Buffer<T>,
    /// Copies of the targets' rows of U and of W, which the last rank subtracts from dz and dx:
    /// (`MICRO_BATCH`, h) and (`MICRO_BATCH`, c·m); empty unless ranks have shards. A row is
    /// undefined if neither this rank nor one before it has the target in its shard.
    pub target_rows: [Vec<T>; 2],
    /// −ln p(target) of each example.
    pub losses: [f64; MICRO_BATCH],
    /// Row stride of `x_rows` and `dx_rows`.
    pub x_stride: usize,
    /// The position of the first example in the mini-batch.
    pub number: u64,
    /// The dropout mask of x, of the shape of `x_rows`; empty without dropout.
    pub x_mask: Buffer<T>,
    /// The derivative of the masked tanh, of the shape of a; empty without dropout.
    pub tanh_grad: Buffer<T>,
}

/// The output of one layer, which the next one reads, and its gradient.
#[derive(Debug)]
pub struct Activations<T> {
    /// The values: (units, `MICRO_BATCH`).
    pub values: Buffer<T>,
    /// The values transposed, `block` units at a time: (`MICRO_BATCH`, `stride`) for each block.
    /// Written by the backward pass.
    pub rows: Buffer<T>,
    /// The gradient with respect to the values: (units, `MICRO_BATCH`). For a it becomes dh, the
    /// gradient with respect to d + H·x.
    pub grad: Buffer<T>,
    /// Row stride of a block of `rows`.
    pub stride: usize,
    /// Units in a block.
    pub block: usize,
}

impl<T: Dispatch> Activations<T> {
    /// Allocates activations of `units` units, transposed in one block.
    fn new(units: usize) -> Result<Activations<T>> {
        Activations::in_blocks(units, units.max(1), padded(units))
    }

    /// Allocates activations of `units` units, transposed in blocks. A block is contiguous, and is
    /// read once for each tile of the vocabulary: a small one stays in the cache.
    fn in_blocks(units: usize, block: usize, stride: usize) -> Result<Activations<T>> {
        Ok(Activations {
            values: Buffer::zeros(units * MICRO_BATCH)?,
            rows: Buffer::zeros(units.div_ceil(block) * MICRO_BATCH * stride)?,
            grad: Buffer::zeros(units * MICRO_BATCH)?,
            stride,
            block,
        })
    }

    /// Writes `rows` from `values`.
    pub(super) fn transpose(&mut self, cpu: Cpu) {
        let Activations { values, rows, stride, block, .. } = self;
        let blocks = rows.chunks_mut(*stride * MICRO_BATCH);
        for (from, to) in values.chunks(*block * MICRO_BATCH).zip(blocks) {
            let size = (from.len() / MICRO_BATCH, MICRO_BATCH);
            elementwise::transpose(cpu, (from, MICRO_BATCH), size, (to, *stride));
        }
    }
}

/// Returns a row stride of whole cache lines, an odd number of them: rows a power of two apart would
/// compete for few sets of the cache.
fn padded(length: usize) -> usize {
    const LINE: usize = 16;
    (length.div_ceil(LINE) | 1) * LINE
}

/// The logits of a micro-batch, and the state of its softmax.
#[derive(Debug)]
pub struct Logits<T> {
    /// The logits y, then their exponentials, then, in the last tile, dy: (V, `MICRO_BATCH`), or
    /// the rows of one tile if they are not kept.
    pub values: Buffer<T>,
    /// True if `values` holds all tiles; false if each tile overwrites the one before it.
    pub kept: bool,
    /// The online softmax over the tiles so far.
    pub softmax: OnlineSoftmax<T>,
    /// For each tile, the maximum that its exponentials were made with.
    pub tile_max: Vec<PerExample<T>>,
    /// The targets' logits.
    pub target_logits: PerExample<T>,
    /// The weight of an example in the loss.
    pub weight: T,
    /// weight/Σ exp(y − max); 0 in columns without an example.
    pub weight_over_sum: PerExample<T>,
}

impl<T: Float> Logits<T> {
    /// Allocates the logits of `tokens` tokens, or of one tile if they are not kept.
    ///
    /// # Errors
    /// [`crate::Error::Memory`].
    fn new(tokens: usize, kept: bool) -> Result<Logits<T>> {
        let rows = if kept { tokens } else { tokens.min(TILE) };
        Ok(Logits {
            values: Buffer::zeros(rows * MICRO_BATCH)?,
            kept,
            softmax: OnlineSoftmax::new(),
            tile_max: alloc::filled([T::default(); MICRO_BATCH], tokens.div_ceil(TILE))?,
            target_logits: [T::default(); MICRO_BATCH],
            weight: T::default(),
            weight_over_sum: [T::default(); MICRO_BATCH],
        })
    }
}

impl<T: Dispatch> MicroBatch<T> {
    /// Allocates a micro-batch for models of a shape, with all of its logits if they are kept.
    ///
    /// # Errors
    /// [`crate::Error::Memory`].
    pub fn new(shape: &Shape, kept: bool) -> Result<MicroBatch<T>> {
        let inputs = shape.inputs();
        let x_stride = padded(inputs);
        let width = shape.output_width();
        let tiled = shape.vocab_size > TILE;
        let copies = if shape.shard.is_some() { MICRO_BATCH } else { 0 };
        let target_rows = |width| alloc::zeroed(copies * width);
        Ok(MicroBatch {
            examples: 0,
            ids: alloc::zeroed(MICRO_BATCH * shape.context_length)?,
            targets: [0; MICRO_BATCH],
            x_rows: Buffer::zeros(MICRO_BATCH * x_stride)?,
            x: Buffer::zeros(inputs * MICRO_BATCH)?,
            z: if tiled {
                Activations::in_blocks(width, MICRO_BATCH, MICRO_BATCH)?
            } else {
                Activations::new(width)?
            },
            a: shape.tied.then(|| Activations::new(shape.hidden_dim)).transpose()?,
            logits: Logits::new(shape.tokens().len(), kept)?,
            dx: Buffer::zeros(if shape.direct { inputs * MICRO_BATCH } else { 0 })?,
            dx_rows: Buffer::zeros(MICRO_BATCH * x_stride)?,
            target_rows: [target_rows(width)?, target_rows(if shape.direct { inputs } else { 0 })?],
            losses: [0.0; MICRO_BATCH],
            x_stride,
            number: 0,
            x_mask: Buffer::zeros(0)?,
            tanh_grad: Buffer::zeros(0)?,
        })
    }

    /// Returns the ids of the contexts: (examples, c).
    pub(super) fn ids(&self, shape: &Shape) -> &[u32] {
        &self.ids[..self.examples * shape.context_length]
    }

    /// Returns the targets of the examples.
    pub(super) fn targets(&self) -> &[u32] {
        &self.targets[..self.examples]
    }

    /// Returns the losses of the examples.
    pub(super) fn losses(&self) -> &[f64] {
        &self.losses[..self.examples]
    }

    /// Returns the hidden layer's activations, a.
    pub(super) fn hidden(&self) -> &Activations<T> {
        self.a.as_ref().unwrap_or(&self.z)
    }

    /// Fills the micro-batch with the examples of these numbers, as many as fit.
    ///
    /// # Panics
    /// If a number is not below the number of examples.
    pub fn fill(
        &mut self,
        context_length: usize,
        data: &Dataset<'_>,
        numbers: impl Iterator<Item = usize>,
    ) {
        self.examples = 0;
        let places = self.ids.chunks_exact_mut(context_length).zip(&mut self.targets);
        for ((ids, target), number) in places.zip(numbers) {
            let (context, next) = data.example(number, context_length);
            ids.copy_from_slice(context);
            *target = next;
            self.examples += 1;
        }
    }
}

/// Allocates the micro-batches of a mini-batch, with the logits of all tokens if they are `kept`,
/// otherwise of one tile.
///
/// # Errors
/// [`crate::Error::Memory`], [`crate::Error::Interrupted`].
pub fn micro_batches<T: Dispatch>(
    shape: &Shape,
    batch_size: usize,
    kept: bool,
    progress: &Progress,
) -> Result<Vec<MicroBatch<T>>> {
    let count = batch_size.div_ceil(MICRO_BATCH);
    let mut batches = alloc::with_capacity(count)?;
    for number in (0..).step_by(MICRO_BATCH).take(count) {
        progress.check()?;
        batches.push(MicroBatch { number, ..MicroBatch::new(shape, kept)? });
    }
    Ok(batches)
}

/// Groups micro-batches that one thread takes through the model together, so that all of them use a
/// tile of the output layer while it is in the cache. Results do not depend on the groups.
///
/// # Errors
/// [`crate::Error::Memory`].
pub fn groups<'a, T>(
    shape: &Shape,
    threads: usize,
    batches: &'a mut [MicroBatch<T>],
) -> Result<Vec<&'a mut [MicroBatch<T>]>> {
    // The activations of this many micro-batches and a tile fit into the second-level cache.
    const MOST: usize = 8;
    let rounds = batches.len().div_ceil(MOST * threads).max(1);
    let several = batches.len().div_ceil(rounds * threads);
    alloc::collected(batches.chunks_mut(if shape.vocab_size > TILE { several.max(1) } else { 1 }))
}

/// Scratch buffers, each used by one thread at a time.
#[derive(Debug)]
pub struct ScratchPool<T>(Mutex<Vec<Scratch<T>>>);

/// Scratch buffers for a tile of the output layer.
#[derive(Debug, Default)]
pub struct Scratch<T> {
    /// For dy.
    pub dy: Vec<T>,
    /// For dU and dW of optimizers that read them; SGD's gemm adds them to the parameters.
    pub gradients: [Vec<T>; 2],
}

impl<T> ScratchPool<T> {
    /// Makes an empty pool.
    #[must_use]
    pub fn new() -> ScratchPool<T> {
        ScratchPool(Mutex::new(Vec::new()))
    }

    /// Calls a function with the free scratch buffers that were used last, or with new ones.
    pub fn with<R>(&self, work: impl FnOnce(&mut Scratch<T>) -> R) -> R {
        let free = || self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let scratch = free().pop();
        let mut scratch =
            scratch.unwrap_or_else(|| Scratch { dy: Vec::new(), gradients: [vec![], vec![]] });
        let result = work(&mut scratch);
        free().push(scratch);
        result
    }
}

impl<T> Default for ScratchPool<T> {
    fn default() -> ScratchPool<T> {
        ScratchPool::new()
    }
}
