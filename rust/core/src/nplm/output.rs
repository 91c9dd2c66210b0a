//! The output layer: logits, softmax and cross-entropy.
//!
//! ```text
//! y = b + W·x + U·z     p = softmax(y)     loss = −ln p[target]
//! dy = (p − onehot(target))·weight
//! dz = Uᵀ·dy    dx = Wᵀ·dy    dU = Σ dy·zᵀ    dW = Σ dy·xᵀ    db = Σ dy
//! ```
//!
//! z is a. In tied models z is P·a, and U stands for C. The vocabulary is processed in tiles of
//! [`TILE`] tokens, in two passes:
//!
//! 1. `add_tiles`, for a group of micro-batches. While a tile's rows of U are in the
//!    cache, its logits become e = exp(y − max), max over the tiles so far, and Uᵀ·e is added to dz.
//!    Whenever max grows, dz is rescaled (online softmax). After the last tile, dz is divided by Σ e
//!    and the targets' rows are subtracted.
//! 2. `gradient`, for rows of U that one thread owns. It makes dy of a tile from its e, then dU,
//!    and the optimizer updates the rows while they are in the cache.
//!
//! e is stored in between, V numbers per example: no other buffer is as large. Without it the
//! second pass would have to compute the logits again, a fourth gemm in addition to three. For the
//! last tile Σ e is known before e is used, so that e becomes dy at once; a small vocabulary has
//! only this tile.

use std::iter;
use std::ops::Range;

use super::batch::{Activations, Logits, MicroBatch};
use super::optimizer::GradTarget;
use super::params::{Params, Shape, TILE};
use crate::alloc::{self, collected, demand};
use crate::kernels::elementwise::{self, OnlineSoftmax, PerExample};
use crate::kernels::gemm::Gemm;
use crate::kernels::{Cpu, Dispatch, Float, MICRO_BATCH};
use crate::progress::Progress;

/// The number of micro-batches whose dy is computed at once: as many as the second-level cache
/// holds.
const DY_AT_ONCE: usize = 16;

/// A tile of the vocabulary, or some neighbouring tokens of one.
#[derive(Clone, Copy, Debug)]
struct VocabTile {
    /// The first token.
    first: usize,
    /// The first token's row in the matrices of this rank, which have the rows of its shard only.
    row: usize,
    /// The number of tokens.
    count: usize,
    /// True for the last tile, or a part of it.
    last: bool,
}

impl VocabTile {
    /// Returns a tile, or a part of one.
    fn new(shape: &Shape, first: usize, count: usize) -> VocabTile {
        let last = (shape.vocab_size - 1) / TILE;
        VocabTile { first, row: first - shape.tokens().start, count, last: first / TILE == last }
    }

    /// Returns the tiles of the tokens whose rows this rank has.
    fn all(shape: Shape) -> impl Iterator<Item = VocabTile> {
        let tokens = shape.tokens();
        let firsts = tokens.clone().step_by(TILE);
        firsts.map(move |first| VocabTile::new(&shape, first, TILE.min(tokens.end - first)))
    }

    /// Returns the number of the tile among those of this rank.
    fn number(&self) -> usize {
        self.row / TILE
    }

    /// Returns the tokens' rows of a matrix that has a row for each token of this rank.
    fn rows_of<'a, T>(&self, matrix: &'a [T], width: usize) -> &'a [T] {
        &matrix[self.row * width..(self.row + self.count) * width]
    }

    /// Returns as many rows behind those of [`VocabTile::rows_of`], to be prefetched; none if there
    /// are fewer.
    fn rows_behind<'a, T>(&self, matrix: &'a [T], width: usize) -> &'a [T] {
        let start = (self.row + self.count) * width;
        if start + self.count * width <= matrix.len() {
            &matrix[start..start + self.count * width]
        } else {
            &[]
        }
    }

    /// Returns the position of a token in the tile.
    fn position(&self, token: u32) -> Option<usize> {
        (token as usize).checked_sub(self.first).filter(|position| *position < self.count)
    }
}

/// Calls `work` with each tile of this rank and, for each tile, with all micro-batches and their
/// numbers: so all of them use a tile while it is in the cache. Returns early once the work is
/// cancelled.
fn for_each_tile<T>(
    shape: &Shape,
    progress: &Progress,
    batches: &mut [MicroBatch<T>],
    mut work: impl FnMut(VocabTile, usize, &mut MicroBatch<T>),
) {
    for tile in VocabTile::all(*shape) {
        if progress.check().is_err() {
            return;
        }
        for (i, batch) in batches.iter_mut().enumerate() {
            work(tile, i, batch);
        }
    }
}

impl<T: Dispatch> Logits<T> {
    /// Resets the softmax, before the first tile.
    pub(super) fn reset(&mut self) {
        self.softmax = OnlineSoftmax::new();
        self.target_logits = [T::default(); MICRO_BATCH];
    }

    /// Returns the range of a tile's logits in `values`.
    fn range(&self, tile: VocabTile) -> Range<usize> {
        let first = if self.kept { tile.row } else { tile.row % TILE };
        first * MICRO_BATCH..(first + tile.count) * MICRO_BATCH
    }

    fn of(&self, tile: VocabTile) -> &[T] {
        &self.values[self.range(tile)]
    }

    fn of_mut(&mut self, tile: VocabTile) -> &mut [T] {
        let range = self.range(tile);
        &mut self.values[range]
    }

    /// Returns the logits of a tile, and up to as many behind it, to be prefetched.
    fn of_mut_and_behind(&mut self, tile: VocabTile) -> (&mut [T], &[T]) {
        let Range { start, end } = self.range(tile);
        let length = end - start;
        let (y, behind) = self.values[start..].split_at_mut(length);
        (y, &behind[..length.min(behind.len())])
    }

    /// Replaces a tile's logits by exponentials; see [`elementwise::online_softmax`].
    fn exponentials(&mut self, cpu: Cpu, tile: VocabTile, b: &[T]) -> PerExample<T> {
        let range = self.range(tile);
        let factors =
            elementwise::online_softmax(cpu, &mut self.values[range], b, &mut self.softmax);
        self.tile_max[tile.number()] = self.softmax.max;
        factors
    }

    /// Returns the factors that turn a tile's exponentials into p·weight.
    fn factors(&self, cpu: Cpu, tile: VocabTile) -> PerExample<T> {
        let mut factors = self.tile_max[tile.number()];
        for (factor, max) in factors.iter_mut().zip(self.softmax.max) {
            *factor = *factor - max;
        }
        elementwise::exp(cpu, &mut factors);
        for (factor, share) in factors.iter_mut().zip(self.weight_over_sum) {
            *factor = *factor * share;
        }
        factors
    }
}

/// One of the two terms of the logits, U·z or W·x.
struct Term<'a, T> {
    /// U or W: (V, width).
    matrix: &'a [T],
    width: usize,
    /// z or x: (width, `MICRO_BATCH`).
    input: &'a [T],
    /// dz or dx: (width, `MICRO_BATCH`).
    grad: &'a mut [T],
    /// Rows of the matrix for the targets, as other ranks have sent them: (`MICRO_BATCH`, width), or
    /// empty.
    target_rows: &'a mut [T],
}

impl<T: Dispatch> MicroBatch<T> {
    /// Returns the logits, and their terms.
    fn terms<'a>(
        &'a mut self,
        shape: &Shape,
        params: &Params<&'a [T]>,
    ) -> (&'a mut Logits<T>, impl Iterator<Item = Term<'a, T>> + use<'a, T>) {
        let MicroBatch { z: Activations { values, grad, .. }, x, dx, logits, .. } = self;
        let [target_rows, direct_target_rows] = &mut self.target_rows;
        let (matrix, width) = (params.output(), shape.output_width());
        let hidden = Term { matrix, width, input: values, grad, target_rows };
        let (matrix, width, target_rows) = (params.W, shape.inputs(), direct_target_rows);
        let direct = Term { matrix, width, input: x, grad: dx, target_rows };
        (logits, iter::once(hidden).chain(shape.direct.then_some(direct)))
    }
}

// Forward -----------------------------------------------------------------------------------------

/// Computes the loss of each example. Returns early, with an undefined result, once the work is
/// cancelled.
pub(super) fn losses<T: Dispatch>(
    cpu: Cpu,
    shape: &Shape,
    params: &Params<&[T]>,
    progress: &Progress,
    batches: &mut [MicroBatch<T>],
) {
    for batch in &mut *batches {
        batch.logits.reset();
    }
    add_exponentials(cpu, shape, params, progress, batches);
    for batch in batches {
        batch.finish_softmax(1.0);
    }
}

/// Adds the tiles of this rank to the softmax. Returns early once the work is cancelled.
pub(super) fn add_exponentials<T: Dispatch>(
    cpu: Cpu,
    shape: &Shape,
    params: &Params<&[T]>,
    progress: &Progress,
    batches: &mut [MicroBatch<T>],
) {
    for_each_tile(shape, progress, batches, |tile, _, batch| {
        exponentials(cpu, shape, params, tile, batch);
    });
}

/// Computes the logits of all tokens, without b: (V, `MICRO_BATCH`) in each micro-batch. Returns
/// early, with an undefined result, once the work is cancelled.
pub(super) fn all_logits<T: Dispatch>(
    cpu: Cpu,
    shape: &Shape,
    params: &Params<&[T]>,
    progress: &Progress,
    batches: &mut [MicroBatch<T>],
) {
    for_each_tile(shape, progress, batches, |tile, _, batch| {
        logits(cpu, shape, params, tile, batch);
    });
}

/// Iterates over the logits of [`all_logits`], plus b, token by token.
pub(super) fn with_biases<T: Dispatch>(
    batch: &MicroBatch<T>,
    b: &[T],
) -> impl ExactSizeIterator<Item = PerExample<T>> {
    // The sum is rounded to T, as in the losses.
    let rows = batch.logits.values.as_chunks::<MICRO_BATCH>().0;
    rows.iter().zip(b).map(|(y, &b)| y.map(|y| y + b))
}

/// Computes the probabilities of all tokens, (examples, V): softmax, in doubles, of the logits of
/// [`all_logits`].
pub(super) fn probabilities<T: Dispatch>(
    shape: &Shape,
    params: &Params<&[T]>,
    batches: &[MicroBatch<T>],
    into: &mut [f64],
) {
    let size = shape.vocab_size;
    for (batch, into) in batches.iter().zip(into.chunks_mut(MICRO_BATCH * size)) {
        let logits = || with_biases(batch, params.b).map(|y| y.map(T::to_f64));
        let mut max = [f64::NEG_INFINITY; MICRO_BATCH];
        for y in logits() {
            max.iter_mut().zip(y).for_each(|(max, y)| *max = max.max(y));
        }
        for (i, y) in logits().enumerate() {
            for ((p, y), max) in into.iter_mut().skip(i).step_by(size).zip(y).zip(max) {
                *p = libm::exp(y - max);
            }
        }
        into.chunks_mut(size).for_each(normalize);
    }
}

/// Divides numbers by their sum, computed with the compensation of Kahan (1965).
fn normalize(row: &mut [f64]) {
    let (mut sum, mut lost) = (0.0, 0.0);
    for &p in &*row {
        let p = p - lost;
        let more: f64 = sum + p;
        lost = (more - sum) - p;
        sum = more;
    }
    for p in row {
        *p /= sum;
    }
}

/// y ← W·x + U·z of a tile, without b: (tile, `MICRO_BATCH`).
fn logits<T: Dispatch>(
    cpu: Cpu,
    shape: &Shape,
    params: &Params<&[T]>,
    tile: VocabTile,
    batch: &mut MicroBatch<T>,
) {
    let (logits, terms) = batch.terms(shape, params);
    let (y, behind) = logits.of_mut_and_behind(tile);
    for (term, beta) in terms.zip([0.0, 1.0]) {
        let beta = T::from_f64(beta);
        let gemm = Gemm { beta, ..Gemm::dense(tile.count, term.width, MICRO_BATCH) };
        let matrix = tile.rows_of(term.matrix, term.width);
        gemm.gemm_prefetching(cpu, &[(matrix, term.input)], y, &[behind]);
    }
}

/// Computes the logits y of a tile, stores those of targets in `target_logits`, and replaces all by
/// e = exp(y + b − max). Returns the factors that rescale dz and dx of earlier tiles.
fn exponentials<T: Dispatch>(
    cpu: Cpu,
    shape: &Shape,
    params: &Params<&[T]>,
    tile: VocabTile,
    batch: &mut MicroBatch<T>,
) -> PerExample<T> {
    logits(cpu, shape, params, tile, batch);
    let b = tile.rows_of(params.b, 1);
    let logits = &mut batch.logits;
    for (example, &target) in batch.targets.iter().enumerate() {
        if let Some(position) = tile.position(target) {
            let y = logits.of(tile)[position * MICRO_BATCH + example];
            logits.target_logits[example] = y + b[position];
        }
    }
    logits.exponentials(cpu, tile, b)
}

impl<T: Float> MicroBatch<T> {
    /// Computes the losses, once all exponentials are summed, and the factors that turn the last
    /// tile's exponentials into p·weight; these are 0 in columns without an example.
    pub(super) fn finish_softmax(&mut self, weight: f64) {
        let logits = &mut self.logits;
        logits.weight = T::from_f64(weight);
        logits.weight_over_sum = [T::default(); MICRO_BATCH];
        let OnlineSoftmax { max, sum } = logits.softmax;
        for example in 0..self.examples {
            let (max, sum) = (max[example].to_f64(), sum[example].to_f64());
            self.losses[example] = sum.ln() + max - logits.target_logits[example].to_f64();
            logits.weight_over_sum[example] = T::from_f64(weight / sum);
        }
    }
}

// Forward and backward ----------------------------------------------------------------------------

/// Computes the loss of each example, dz = Uᵀ·dy, dx = Wᵀ·dy if there are direct connections, and
/// the exponentials that [`gradient`] turns into dy; `weight` is that of an example in the loss.
/// Returns early, with an undefined result, once the work is cancelled.
pub(super) fn forward_and_backward<T: Dispatch>(
    cpu: Cpu,
    shape: &Shape,
    params: &Params<&[T]>,
    how: (f64, &Progress),
    batches: &mut [MicroBatch<T>],
) {
    for batch in &mut *batches {
        batch.logits.reset();
    }
    add_tiles(cpu, shape, params, how, batches);
    for batch in batches {
        batch.transpose_for_gradients(cpu, shape);
    }
}

/// Adds the tiles of this rank to the softmax and to dz and dx; the last tile completes them.
/// Returns early once the work is cancelled.
pub(super) fn add_tiles<T: Dispatch>(
    cpu: Cpu,
    shape: &Shape,
    params: &Params<&[T]>,
    (weight, progress): (f64, &Progress),
    batches: &mut [MicroBatch<T>],
) {
    let several = batches.len();
    for_each_tile(shape, progress, batches, |tile, i, batch| {
        let factors = exponentials(cpu, shape, params, tile, batch);
        if tile.last {
            finish(cpu, shape, params, tile, factors, weight, batch);
        } else if tile.first > 0 {
            rescale(cpu, shape, params, &factors, batch);
        }
        backward(cpu, shape, params, tile, batch, (i, several));
    });
}

impl<T: Dispatch> MicroBatch<T> {
    /// Transposes z, for the gradient of U, and dx, to which the hidden layer adds its part.
    pub(super) fn transpose_for_gradients(&mut self, cpu: Cpu, shape: &Shape) {
        self.z.transpose(cpu);
        if shape.direct {
            let inputs = shape.inputs();
            let to = (&mut *self.dx_rows, self.x_stride);
            elementwise::transpose(cpu, (&self.dx, MICRO_BATCH), (inputs, MICRO_BATCH), to);
        }
    }

    /// Copies the targets' rows of U and W that this rank has to `target_rows`, for the rank that
    /// has the last tile.
    pub(super) fn copy_target_rows(&mut self, shape: &Shape, params: &Params<&[T]>) {
        let (examples, targets, here) = (self.examples, self.targets, shape.tokens());
        for term in self.terms(shape, params).1 {
            let rows = term.target_rows.chunks_exact_mut(term.width.max(1));
            for (row, target) in rows.zip(&targets[..examples]) {
                if here.contains(&(*target as usize)) {
                    let start = (*target as usize - here.start) * term.width;
                    row.copy_from_slice(&term.matrix[start..start + term.width]);
                }
            }
        }
    }
}

/// dz ← dz + Uᵀ·e of a tile, and dx ← dx + Wᵀ·e; the first tile overwrites them. Micro-batch `i` of
/// `several` prefetches its part of the next tile of U.
fn backward<T: Dispatch>(
    cpu: Cpu,
    shape: &Shape,
    params: &Params<&[T]>,
    tile: VocabTile,
    batch: &mut MicroBatch<T>,
    (i, several): (usize, usize),
) {
    let (logits, terms) = batch.terms(shape, params);
    for term in terms {
        let next = part(tile.rows_behind(term.matrix, term.width), i, several);
        let beta = T::from_f64(if tile.first > 0 { 1.0 } else { 0.0 });
        let gemm = Gemm { beta, ..Gemm::transposed(term.width, tile.count, MICRO_BATCH) };
        let matrix = tile.rows_of(term.matrix, term.width);
        gemm.gemm_prefetching(cpu, &[(matrix, logits.of(tile))], term.grad, &[next]);
    }
}

/// Returns part `i` of `n` of a slice that is to be prefetched; the last ones may be empty.
fn part<T>(slice: &[T], i: usize, n: usize) -> &[T] {
    let length = slice.len().div_ceil(n);
    let start = (i * length).min(slice.len());
    &slice[start..(start + length).min(slice.len())]
}

/// Multiplies dz and dx by a factor for each example.
fn rescale<T: Dispatch>(
    cpu: Cpu,
    shape: &Shape,
    params: &Params<&[T]>,
    factors: &PerExample<T>,
    batch: &mut MicroBatch<T>,
) {
    if factors.iter().any(|factor| *factor != T::from_f64(1.0)) {
        for term in batch.terms(shape, params).1 {
            elementwise::scale(cpu, term.grad, factors);
        }
    }
}

/// Computes the losses and the last tile's dy. Then rescales dz and dx, which are sums over the
/// earlier tiles, and subtracts from them the rows of targets in these tiles.
fn finish<T: Dispatch>(
    cpu: Cpu,
    shape: &Shape,
    params: &Params<&[T]>,
    tile: VocabTile,
    mut factors: PerExample<T>,
    weight: f64,
    batch: &mut MicroBatch<T>,
) {
    batch.finish_softmax(weight);
    let (examples, targets) = (batch.examples, batch.targets);
    let targets = &targets[..examples];
    let logits = &mut batch.logits;
    let weight_over_sum = logits.weight_over_sum;
    elementwise::scale(cpu, logits.of_mut(tile), &weight_over_sum);
    subtract_targets(targets, tile, logits.weight, logits.of_mut(tile));
    if tile.first == 0 {
        return;
    }
    for (factor, share) in factors.iter_mut().zip(weight_over_sum) {
        *factor = *factor * share;
    }
    rescale(cpu, shape, params, &factors, batch);
    let (logits, terms) = batch.terms(shape, params);
    let here = shape.tokens();
    for Term { matrix, width, grad, target_rows, .. } in terms {
        for (example, &target) in targets.iter().enumerate() {
            let target = target as usize;
            if target < tile.first {
                let row = match target.checked_sub(here.start) {
                    Some(row) => &matrix[row * width..][..width],
                    None => &target_rows[example * width..][..width],
                };
                for (d, &u) in grad.iter_mut().skip(example).step_by(MICRO_BATCH).zip(row) {
                    *d = *d - logits.weight * u;
                }
            }
        }
    }
}

/// dy ← dy − weight·onehot(target), for the targets that are in a tile.
fn subtract_targets<T: Float>(targets: &[u32], tile: VocabTile, weight: T, dy: &mut [T]) {
    for (example, &target) in targets.iter().enumerate() {
        if let Some(position) = tile.position(target) {
            let dy = &mut dy[position * MICRO_BATCH + example];
            *dy = *dy - weight;
        }
    }
}

// Gradients ---------------------------------------------------------------------------------------

/// Writes the gradients of U, b and W, for rows of one tile from `first` on.
///
/// `scratch` is a buffer for dy.
pub(super) fn gradient<T: Dispatch>(
    cpu: Cpu,
    shape: &Shape,
    batches: &[MicroBatch<T>],
    first: usize,
    scratch: &mut Vec<T>,
    (mut weights, mut biases, mut direct): (
        GradTarget<'_, T>,
        GradTarget<'_, T>,
        GradTarget<'_, T>,
    ),
) {
    let count = biases.out.len();
    let tile = VocabTile::new(shape, first, count);
    assert!(count > 0 && first % TILE + count <= TILE, "rows of more than one tile");
    let mut chunks = batches.chunks(DY_AT_ONCE).peekable();
    while let Some(chunk) = chunks.next() {
        let dy = logit_gradients(cpu, tile, chunk, scratch);
        // Prefetches what the next round reads: the next chunk's logits of the same tokens or,
        // after the last chunk, the first chunk's logits of the next tokens.
        let next: Vec<&[T]> = demand(match chunks.peek() {
            Some(next) => collected(next.iter().map(|batch| batch.logits.of(tile))),
            None => collected(
                batches[..batches.len().min(DY_AT_ONCE)]
                    .iter()
                    .map(|batch| tile.rows_behind(&batch.logits.values, MICRO_BATCH)),
            ),
        });
        write_weights(cpu, shape, chunk, &dy, weights.next_part(), &next);
        let pairs = dy.into_iter().zip(chunk.iter().map(|batch| &*batch.x_rows));
        let pairs: Vec<(&[T], &[T])> = demand(collected(pairs));
        biases.next_part().write_biases(cpu, &pairs);
        if shape.direct {
            let size = (count, shape.inputs());
            direct.next_part().write_weights(cpu, &pairs, size, chunk[0].x_stride);
        }
    }
}

/// Writes dU = Σ dy·zᵀ, block by block of `z.rows`; each block prefetches a part of `next`, the
/// logits that are needed next.
fn write_weights<T: Dispatch>(
    cpu: Cpu,
    shape: &Shape,
    batches: &[MicroBatch<T>],
    dy: &[&[T]],
    into: GradTarget<'_, T>,
    next: &[&[T]],
) {
    let GradTarget { out, alpha, beta } = into;
    let Activations { stride, block: units, .. } = batches[0].z;
    let width = shape.output_width();
    let blocks = width.div_ceil(units);
    for block in 0..blocks {
        let first = block * units;
        let gemm = Gemm {
            alpha,
            rsb: stride,
            beta,
            rsc: width,
            ..Gemm::dense(out.len() / width, MICRO_BATCH, units.min(width - first))
        };
        let z = batches.iter().map(|batch| &batch.z.rows[block * MICRO_BATCH * stride..]);
        let pairs: Vec<(&[T], &[T])> = demand(collected(dy.iter().copied().zip(z)));
        let next = next.iter().map(|next| part(next, block, blocks));
        let next: Vec<&[T]> = demand(collected(next));
        gemm.gemm_prefetching(cpu, &pairs, &mut out[first..], &next);
    }
}

/// Returns dy of a tile for each micro-batch: (tile, `MICRO_BATCH`).
fn logit_gradients<'a, T: Dispatch>(
    cpu: Cpu,
    tile: VocabTile,
    batches: &'a [MicroBatch<T>],
    scratch: &'a mut Vec<T>,
) -> Vec<&'a [T]> {
    if tile.last {
        // `finish` has turned them into dy.
        return demand(collected(batches.iter().map(|batch| batch.logits.of(tile))));
    }
    let length = tile.count * MICRO_BATCH;
    demand(alloc::lengthen(scratch, batches.len() * length));
    for (batch, dy) in batches.iter().zip(scratch.chunks_exact_mut(length)) {
        let factors = batch.logits.factors(cpu, tile);
        elementwise::scale_into(cpu, batch.logits.of(tile), &factors, dy);
        subtract_targets(batch.targets(), tile, batch.logits.weight, dy);
    }
    demand(collected(scratch.chunks_exact(length).take(batches.len())))
}
