//! One step: forward and backward over the slices, then gradients and updates of the parameters.

use std::sync::atomic::{AtomicBool, Ordering};

use super::dropout::Masks;
use super::logits::TILE;
use super::model::{self, Sink};
use super::optimizer::{Block, Update};
use super::rows::Rows;
use super::team::Team;
use super::workspace::{Room, Rooms, Slice, groups};
use super::{Params, Shape, softmax};
use crate::linalg::{Cpu, Float, LANES};
use crate::{Result, alloc};

/// Losses and all activations' gradients of the examples in the slices, each of which counts as
/// much as `weight` says; the sum of the losses times the weight.
///
/// # Errors
/// [`crate::Error::Interrupted`].
pub(super) fn forward_and_backward<T: Float>(
    cpu: Cpu,
    shape: &Shape,
    team: &Team<'_>,
    params: &Params<&[T]>,
    (weight, masks): (f64, Option<&Masks>),
    slices: &mut [Slice<T>],
) -> Result<f64> {
    team.each(&mut groups(shape, team.threads(), slices)?, |group| {
        for slice in &mut **group {
            model::before_output(cpu, shape, params, masks, slice);
        }
        softmax::forward_and_backward(cpu, shape, params, (weight, team.progress()), group);
        for slice in &mut **group {
            model::behind_output(cpu, shape, params, masks, slice);
        }
    })?;
    let sum: f64 = slices.iter().flat_map(|slice| slice.losses.iter().take(slice.examples)).sum();
    Ok(sum * weight)
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
    Embedding(Block<'a, T>, &'a mut Rows<T>),
    Hidden(usize, Block<'a, T>, Block<'a, T>),
    Projection(usize, Block<'a, T>),
    Output(usize, Output<'a, T>),
}

/// Rows of the output layer's matrix, of b, and of W if there are direct connections.
struct Output<'a, T> {
    weights: Block<'a, T>,
    biases: Block<'a, T>,
    direct: Block<'a, T>,
}

/// Makes all gradients and changes the parameters; returns whether they are in range now.
///
/// # Errors
/// [`crate::Error::Interrupted`]; some parameters were changed then, others not.
pub(super) fn change<T: Float>(
    cpu: Cpu,
    shape: &Shape,
    team: &Team<'_>,
    (slices, rooms): (&[Slice<T>], &Rooms<T>),
    update: &Update<T>,
    (blocks, rows): (Params<Block<'_, T>>, &mut Rows<T>),
) -> Result<bool> {
    let in_range = AtomicBool::new(true);
    let share = share(shape, slices.len() * LANES, team.threads());
    let mut parts = cut(shape, share, blocks, rows)?;
    team.each(&mut parts, |part| {
        if !part.change(cpu, shape, (slices, rooms), update) {
            in_range.store(false, Ordering::Relaxed);
        }
    })?;
    Ok(in_range.into_inner())
}

/// How many numbers of the matrices make a part.
fn share(shape: &Shape, examples: usize, threads: usize) -> usize {
    /// Parts for each thread: so many that one thread need not wait long for another one.
    const PARTS: usize = 8;
    /// Multiplications that take some milliseconds. A cancel is checked for after each part.
    const MOST: usize = 1 << 28;
    let Params { H, W, P, .. } = shape.lengths();
    let all = H + P + shape.vocabulary * shape.output_width() + W;
    let parts = if threads == 1 { 1 } else { PARTS * threads };
    (all / parts).min(MOST / examples.max(1))
}

/// Cuts matrices into blocks of rows with about as many numbers as a share, biases with them.
fn cut<'a, T: Float>(
    shape: &Shape,
    share: usize,
    blocks: Params<Block<'a, T>>,
    rows: &'a mut Rows<T>,
) -> Result<Vec<Part<'a, T>>> {
    /// As high as a register tile.
    const ROWS: usize = 12;
    let step_of = |columns: usize| (share / columns.max(1)).div_ceil(ROWS).max(1) * ROWS;
    let Params { C, mut H, mut d, mut U, mut b, mut W, mut P } = blocks;
    let mut parts = Vec::new();
    let step = step_of(shape.inputs());
    for first in (0..shape.hidden).step_by(step) {
        let part = Part::Hidden(first, H.take(step * shape.inputs()), d.take(step));
        alloc::push(&mut parts, part)?;
    }
    let step = step_of(shape.hidden);
    for first in (0..if shape.tied { shape.features } else { 0 }).step_by(step) {
        alloc::push(&mut parts, Part::Projection(first, P.take(step * shape.hidden)))?;
    }
    let embedding = if shape.tied {
        U = C;
        None
    } else {
        Some(Part::Embedding(C, rows))
    };
    let direct = W.p.len() / shape.vocabulary.max(1);
    let step = step_of(shape.output_width() + direct);
    let step = if shape.vocabulary > TILE { step.next_multiple_of(TILE) } else { step };
    for first in (0..shape.vocabulary).step_by(step) {
        let weights = U.take(step * shape.output_width());
        let (biases, direct) = (b.take(step), W.take(step * direct));
        let part = Part::Output(first, Output { weights, biases, direct });
        alloc::push(&mut parts, part)?;
    }
    if let Some(part) = embedding {
        alloc::push(&mut parts, part)?;
    }
    Ok(parts)
}

impl<T: Float> Part<'_, T> {
    fn change(
        &mut self,
        cpu: Cpu,
        shape: &Shape,
        (slices, rooms): (&[Slice<T>], &Rooms<T>),
        update: &Update<T>,
    ) -> bool {
        match self {
            Part::Embedding(c, rows) => rows.change(cpu, shape, slices, update, c),
            Part::Hidden(first, weights, biases) => {
                let plain = update.without_decay();
                let into = (weights.gradient(update), biases.gradient(&plain));
                model::hidden_gradient(cpu, shape, slices, *first, into);
                weights.apply(cpu, update) & biases.apply(cpu, &plain)
            }
            Part::Projection(first, weights) => {
                model::project_gradient(cpu, shape, slices, *first, weights.gradient(update));
                weights.apply(cpu, update)
            }
            Part::Output(first, output) => rooms.lend(|room| {
                let mut in_range = true;
                while !output.biases.p.is_empty() {
                    let count = (TILE - *first % TILE).min(output.biases.p.len());
                    let mut tile = output.take(shape, count);
                    in_range &= tile.change(cpu, shape, slices, *first, room, update);
                    *first += count;
                }
                in_range
            }),
        }
    }
}

impl<'a, T: Float> Output<'a, T> {
    /// Cuts off the first `n` rows.
    fn take(&mut self, shape: &Shape, n: usize) -> Output<'a, T> {
        Output {
            weights: self.weights.take(n * shape.output_width()),
            biases: self.biases.take(n),
            direct: self.direct.take(n * shape.inputs()),
        }
    }

    /// Makes the gradients of a tile, or a part of one, and changes it while it is in the cache.
    fn change(
        &mut self,
        cpu: Cpu,
        shape: &Shape,
        slices: &[Slice<T>],
        first: usize,
        room: &mut Room<T>,
        update: &Update<T>,
    ) -> bool {
        let plain = update.without_decay();
        let Room { dy, gradients: [of_weights, of_direct] } = room;
        let mut weights = self.weights.with_room(update, of_weights);
        let mut direct = self.direct.with_room(update, of_direct);
        let biases = &mut self.biases;
        let into = (weights.gradient(update), biases.gradient(&plain), direct.gradient(update));
        softmax::output_gradient(cpu, shape, slices, first, dy, into);
        if shape.tied {
            add_embedding(cpu, shape, slices, first, weights.gradient(update));
        }
        weights.apply(cpu, update) & biases.apply(cpu, &plain) & direct.apply(cpu, update)
    }
}

/// To the gradient of rows of C as the output layer's matrix, adds that as the embedding's.
fn add_embedding<T: Float>(
    cpu: Cpu,
    shape: &Shape,
    slices: &[Slice<T>],
    first: usize,
    Sink { out, alpha, .. }: Sink<'_, T>,
) {
    // Ids before the block wrap around to beyond it.
    let first = u32::try_from(first).unwrap_or(u32::MAX);
    let place = |id: u32| id.wrapping_sub(first);
    // Whether rows are in range is asked after the update.
    let _ = model::embed_gradient(cpu, shape, slices, alpha, place, out);
}
