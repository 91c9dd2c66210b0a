//! One step: forward and backward over the slices, then gradients and updates of the parameters.

use std::sync::atomic::{AtomicBool, Ordering};

use super::logits::TILE;
use super::model::{self, Sink};
use super::optimizer::{Block, Update};
use super::team::Team;
use super::workspace::{Room, Rooms, Slice, groups};
use super::{Params, Shape, softmax};
use crate::linalg::{Cpu, Float};

/// Losses and all activations' gradients of the examples in the slices, each of which counts as
/// much as `weight` says; the sum of the losses times the weight.
pub(super) fn forward_and_backward<T: Float>(
    cpu: Cpu,
    shape: &Shape,
    team: &Team,
    params: &Params<&[T]>,
    weight: f64,
    slices: &mut [Slice<T>],
) -> f64 {
    team.each(&mut groups(shape, team.threads(), slices), |group| {
        for slice in &mut **group {
            model::embed(cpu, shape, params.C, slice);
            model::hidden(cpu, shape, params, slice);
        }
        softmax::forward_and_backward(cpu, shape, params, weight, group);
        let dx_so_far = T::from_f64(if shape.direct { 1.0 } else { 0.0 });
        for slice in &mut **group {
            model::hidden_backward(cpu, shape, params, dx_so_far, slice);
        }
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
    Output(usize, Output<'a, T>),
}

/// Rows of U, of b, and of W if there are direct connections.
struct Output<'a, T> {
    weights: Block<'a, T>,
    biases: Block<'a, T>,
    direct: Block<'a, T>,
}

/// Makes all gradients and changes the parameters; returns whether they are in range now.
pub(super) fn change<T: Float>(
    cpu: Cpu,
    shape: &Shape,
    team: &Team,
    slices: &[Slice<T>],
    rooms: &Rooms<T>,
    update: &Update<T>,
    blocks: Params<Block<'_, T>>,
) -> bool {
    let in_range = AtomicBool::new(true);
    let mut parts = cut(shape, team.threads(), blocks);
    team.each(&mut parts, |part| {
        if !part.change(cpu, shape, slices, rooms, update) {
            in_range.store(false, Ordering::Relaxed);
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
    // Not less than a register tile is high.
    const LEAST: usize = 12;
    let shares = if threads == 1 { 1 } else { 4 * threads };
    let Params { C, mut H, mut d, mut U, mut b, mut W } = blocks;
    let mut parts = vec![Part::Embedding(C)];
    let step = shape.hidden.div_ceil(shares).max(LEAST);
    for first in (0..shape.hidden).step_by(step) {
        parts.push(Part::Hidden(first, H.take(step * shape.inputs()), d.take(step)));
    }
    let step = shape.vocabulary.div_ceil(shares).max(LEAST);
    let step = if step > TILE { step.next_multiple_of(TILE) } else { step };
    for first in (0..shape.vocabulary).step_by(step) {
        let weights = U.take(step * shape.output_width());
        let direct = W.take(step * shape.inputs());
        parts.push(Part::Output(first, Output { weights, biases: b.take(step), direct }));
    }
    parts
}

impl<T: Float> Part<'_, T> {
    fn change(
        &mut self,
        cpu: Cpu,
        shape: &Shape,
        slices: &[Slice<T>],
        rooms: &Rooms<T>,
        update: &Update<T>,
    ) -> bool {
        match self {
            Part::Embedding(c) => change_embedding(cpu, shape, slices, update, c),
            Part::Hidden(first, weights, biases) => {
                let plain = update.without_decay();
                let into = (weights.gradient(update), biases.gradient(&plain));
                model::hidden_gradient(cpu, shape, slices, *first, into);
                weights.apply(cpu, update) & biases.apply(cpu, &plain)
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
    fn change<'b>(
        &'b mut self,
        cpu: Cpu,
        shape: &Shape,
        slices: &[Slice<T>],
        first: usize,
        room: &'b mut Room<T>,
        update: &Update<T>,
    ) -> bool
    where
        'a: 'b,
    {
        let plain = update.without_decay();
        let Room { dy, gradients: [of_weights, of_direct] } = room;
        let mut weights = self.weights.with_room(update, of_weights);
        let mut direct = self.direct.with_room(update, of_direct);
        let biases = &mut self.biases;
        let into = (weights.gradient(update), biases.gradient(&plain), direct.gradient(update));
        softmax::output_gradient(cpu, shape, slices, first, dy, into);
        weights.apply(cpu, update) & biases.apply(cpu, &plain) & direct.apply(cpu, update)
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
