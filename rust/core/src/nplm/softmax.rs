//! The output layer: logits, softmax and cross-entropy, and their way back.
//!
//! y = b + W·x + U·z, of which the loss is −ln softmax(y)[target]; z is a, or P·a in tied models,
//! whose matrix is C, here called U all the same. The vocabulary is gone over in tiles of
//! [`super::logits::TILE`] symbols, twice:
//!
//! 1. [`forward_and_backward`], for a group of slices. While a tile's rows of U are in the cache, its
//!    logits become e = exp(y − m), with the largest logit m so far; Σ e and Σ Uᵀ·e, which is to be
//!    dz, are taken along, and multiplied by exp(m before − m) whenever m grows. (The running
//!    softmax of Milakov & Gimelshein, "Online normalizer calculation for softmax", 2018.)
//! 2. [`output_gradient`], for a block of rows of U. It makes dy = (e/Σe − target)·weight of a tile
//!    from its e, and of that dU = Σ dy·zᵀ, to which the optimiser's update is added while the rows
//!    are in the cache.
//!
//! e is kept in between, V numbers an example: that is the one buffer of this size. Without it the
//! second pass would have to make the logits again, a fourth product beside three. The last tile is
//! different: its sums are known before its e are used, so that they are turned into dy at once.
//! With a small vocabulary the last tile is the only one.

use std::iter;

use super::logits::{Logits, Symbols, cut};
use super::model::{Sink, bias_gradient, weight_gradient};
use super::workspace::{Features, Slice};
use super::{Params, Shape};
use crate::alloc::{self, collected, demand};
use crate::linalg::lanes::{Lanes, Running};
use crate::linalg::product::Product;
use crate::linalg::{Cpu, Float, LANES, lanes};
use crate::progress::Progress;

/// Slices of which dy is made at once: as many as the second-level cache holds.
pub const SLICES: usize = 16;

/// Something that logits are made of, by a matrix with a row a symbol.
struct Source<'a, T> {
    matrix: &'a [T],
    width: usize,
    panel: &'a [T],
    gradient: &'a mut [T],
}

impl<T: Float> Slice<T> {
    /// What the logits are made of, and what is made of them.
    fn output<'a>(
        &'a mut self,
        shape: &Shape,
        params: &Params<&'a [T]>,
    ) -> (&'a mut Logits<T>, impl Iterator<Item = Source<'a, T>> + use<'a, T>) {
        let Slice { z: Features { panel, gradient, .. }, x, dx, logits, .. } = self;
        let (matrix, width) = (params.output(), shape.output_width());
        let hidden = Source { matrix, width, panel, gradient };
        let (matrix, width) = (params.W, shape.inputs());
        let direct = Source { matrix, width, panel: x, gradient: dx };
        (logits, iter::once(hidden).chain(shape.direct.then_some(direct)))
    }
}

/// The loss of each example. Ends early, with anything, once the work is cancelled.
pub fn output<T: Float>(
    cpu: Cpu,
    shape: &Shape,
    params: &Params<&[T]>,
    progress: &Progress,
    slices: &mut [Slice<T>],
) {
    for slice in &mut *slices {
        slice.logits.begin();
    }
    for rows in cut(shape, 0..shape.vocabulary).take_while(|_| progress.check().is_ok()) {
        for slice in &mut *slices {
            exponentials(cpu, shape, params, rows, slice);
        }
    }
    for slice in slices {
        slice.take_losses(1.0);
    }
}

/// The probabilities of all symbols, V an example, one example of the slices after the other: the
/// softmax, in doubles, of logits that are kept. Ends early, with anything, once the progress is
/// stopped.
pub fn distributions<T: Float>(
    cpu: Cpu,
    shape: &Shape,
    params: &Params<&[T]>,
    progress: &Progress,
    slices: &mut [Slice<T>],
    into: &mut [f64],
) {
    let size = shape.vocabulary.max(1);
    for rows in cut(shape, 0..size).take_while(|_| progress.check().is_ok()) {
        for slice in &mut *slices {
            products(cpu, shape, params, rows, slice);
        }
    }
    for (slice, into) in slices.iter().zip(into.chunks_mut(LANES * size)) {
        let panel = slice.logits.panel.as_chunks::<LANES>().0;
        // Rounded as in the losses.
        let logits = || panel.iter().zip(params.b).map(|(y, &b)| y.map(|y| (y + b).to_f64()));
        let mut largest = [f64::NEG_INFINITY; LANES];
        for y in logits() {
            largest.iter_mut().zip(y).for_each(|(largest, y)| *largest = largest.max(y));
        }
        for (i, y) in logits().enumerate() {
            for ((p, y), largest) in into.iter_mut().skip(i).step_by(size).zip(y).zip(largest) {
                *p = libm::exp(y - largest);
            }
        }
        into.chunks_mut(size).for_each(normalize);
    }
}

/// Divides numbers by their sum, which is exact to about a bit (Kahan, 1965).
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

/// The loss of each example; and for the mean loss over 1/`weight` examples, of which the slices
/// have some: dz = Uᵀ·dy, dx = Wᵀ·dy if there are direct connections, and what
/// [`output_gradient`] makes dy of. Ends early, with anything, once the work is cancelled.
pub fn forward_and_backward<T: Float>(
    cpu: Cpu,
    shape: &Shape,
    params: &Params<&[T]>,
    (weight, progress): (f64, &Progress),
    slices: &mut [Slice<T>],
) {
    for slice in &mut *slices {
        slice.logits.begin();
    }
    for rows in cut(shape, 0..shape.vocabulary).take_while(|_| progress.check().is_ok()) {
        let several = slices.len();
        for (i, slice) in slices.iter_mut().enumerate() {
            let factors = exponentials(cpu, shape, params, rows, slice);
            if rows.last {
                finish(cpu, shape, params, rows, factors, weight, slice);
            } else if rows.first > 0 {
                rescale(cpu, shape, params, &factors, slice);
            }
            backward(cpu, shape, params, rows, slice, (i, several));
        }
    }
    for slice in slices {
        slice.z.write_rows(cpu);
        if shape.direct {
            let inputs = shape.inputs();
            let to = (&mut *slice.dx_rows, slice.x_row);
            lanes::transpose(cpu, (&slice.dx, LANES), (inputs, LANES), to);
        }
    }
}

/// y of some symbols, without b.
fn products<T: Float>(
    cpu: Cpu,
    shape: &Shape,
    params: &Params<&[T]>,
    rows: Symbols,
    slice: &mut Slice<T>,
) {
    let (logits, sources) = slice.output(shape, params);
    let (y, next) = logits.rows_and_next(rows);
    for (source, beta) in sources.zip([0.0, 1.0]) {
        let product = Product {
            rows: rows.count,
            columns: LANES,
            terms: source.width,
            left_row: source.width,
            left_step: 1,
            right_row: LANES,
            out_row: LANES,
            alpha: T::from_f64(1.0),
            beta: T::from_f64(beta),
        };
        let matrix = rows.of(source.matrix, source.width);
        product.add_up_ahead(cpu, &[(matrix, source.panel)], y, &[next]);
    }
}

/// Exponentials of some symbols' logits. Gives back what is to become of former ones.
fn exponentials<T: Float>(
    cpu: Cpu,
    shape: &Shape,
    params: &Params<&[T]>,
    rows: Symbols,
    slice: &mut Slice<T>,
) -> Lanes<T> {
    products(cpu, shape, params, rows, slice);
    let targets = slice.targets;
    let logits = &mut slice.logits;
    let b = rows.of(params.b, 1);
    let mut chosen = logits.chosen;
    let y = logits.rows_mut(rows);
    for (example, (chosen, target)) in chosen.iter_mut().zip(targets).enumerate() {
        let Some(place) = rows.place(target) else { continue };
        if let (Some(&y), Some(&b)) = (y.get(place * LANES + example), b.get(place)) {
            *chosen = (y + b).to_f64();
        }
    }
    logits.chosen = chosen;
    logits.exponentials(cpu, rows, b)
}

/// dz ← dz + Uᵀ·e, and dx ← dx + Wᵀ·e if there are direct connections. The first rows are added to
/// nothing. Slice `i` of `several` brings its share of the next tile of U into the cache.
fn backward<T: Float>(
    cpu: Cpu,
    shape: &Shape,
    params: &Params<&[T]>,
    rows: Symbols,
    slice: &mut Slice<T>,
    (i, several): (usize, usize),
) {
    let (logits, sources) = slice.output(shape, params);
    for source in sources {
        let next = rows.next().of(source.matrix, source.width);
        let share = next.len().div_ceil(several).max(1);
        let next = next.chunks(share).nth(i).unwrap_or_default();
        let product = Product {
            rows: source.width,
            columns: LANES,
            terms: rows.count,
            left_row: 1,
            left_step: source.width,
            right_row: LANES,
            out_row: LANES,
            alpha: T::from_f64(1.0),
            beta: T::from_f64(if rows.first > 0 { 1.0 } else { 0.0 }),
        };
        let matrix = rows.of(source.matrix, source.width);
        product.add_up_ahead(cpu, &[(matrix, logits.rows(rows))], source.gradient, &[next]);
    }
}

/// Multiplies dz and dx by a factor for each example.
fn rescale<T: Float>(
    cpu: Cpu,
    shape: &Shape,
    params: &Params<&[T]>,
    factors: &Lanes<T>,
    slice: &mut Slice<T>,
) {
    if factors.iter().any(|factor| *factor != T::from_f64(1.0)) {
        for source in slice.output(shape, params).1 {
            lanes::scale(cpu, source.gradient, factors);
        }
    }
}

/// When all exponentials are made: the losses, dy in the place of the last tile's e, and dz and dx
/// of the tiles before it, with the targets that were among them.
fn finish<T: Float>(
    cpu: Cpu,
    shape: &Shape,
    params: &Params<&[T]>,
    rows: Symbols,
    mut factors: Lanes<T>,
    weight: f64,
    slice: &mut Slice<T>,
) {
    slice.take_losses(weight);
    let (examples, targets) = (slice.examples, slice.targets);
    let targets = targets.get(..examples).unwrap_or_default();
    let logits = &mut slice.logits;
    let shares = logits.shares;
    lanes::scale(cpu, logits.rows_mut(rows), &shares);
    subtract_targets(targets, rows, logits.weight, logits.rows_mut(rows));
    if rows.first == 0 {
        return;
    }
    for (factor, share) in factors.iter_mut().zip(shares) {
        *factor = *factor * share;
    }
    rescale(cpu, shape, params, &factors, slice);
    let (logits, sources) = slice.output(shape, params);
    for Source { matrix, width, gradient, .. } in sources {
        for (example, &target) in targets.iter().enumerate() {
            let target = target as usize;
            if target < rows.first {
                let row = matrix.get(target * width..(target + 1) * width).unwrap_or_default();
                for (d, &u) in gradient.iter_mut().skip(example).step_by(LANES).zip(row) {
                    *d = *d - logits.weight * u;
                }
            }
        }
    }
}

/// dy ← dy − weight where a row is an example's target.
fn subtract_targets<T: Float>(targets: &[u32], rows: Symbols, weight: T, dy: &mut [T]) {
    for (example, &target) in targets.iter().enumerate() {
        if let Some(place) = rows.place(target)
            && let Some(dy) = dy.get_mut(place * LANES + example)
        {
            *dy = *dy - weight;
        }
    }
}

impl<T: Float> Slice<T> {
    /// When all exponentials are made: the losses, and what exponentials of the last tile are to be
    /// multiplied by for their sum to be the weight. Columns without an example get zeros.
    fn take_losses(&mut self, weight: f64) {
        let logits = &mut self.logits;
        logits.weight = T::from_f64(weight);
        logits.shares = [T::default(); LANES];
        let Running { largest, sums } = logits.running;
        let sums = sums.into_iter().zip(largest).zip(logits.chosen);
        let places = logits.shares.iter_mut().zip(&mut self.losses).take(self.examples);
        for ((share, loss), ((sum, largest), chosen)) in places.zip(sums) {
            *loss = sum.to_f64().ln() + largest.to_f64() - chosen;
            *share = T::from_f64(weight / sum.to_f64());
        }
    }
}

/// U ← β·U + α·dU, b ← β'·b + α'·db and W ← β·W + α·dW, for a block of rows of the same tile that
/// begins with row `first`: dU = Σ dy·zᵀ, db = Σ dy and dW = Σ dy·xᵀ, over all examples.
///
/// `room` is for dy: up to [`SLICES`] · [`super::logits::TILE`] · [`LANES`] numbers.
pub fn output_gradient<T: Float>(
    cpu: Cpu,
    shape: &Shape,
    slices: &[Slice<T>],
    first: usize,
    room: &mut Vec<T>,
    (mut weights, mut biases, mut direct): (Sink<'_, T>, Sink<'_, T>, Sink<'_, T>),
) {
    let Some(rows) = cut(shape, first..first + biases.out.len()).next() else { return };
    let x_row = slices.first().map_or(0, |slice| slice.x_row);
    let mut chunks = slices.chunks(SLICES).peekable();
    while let Some(chunk) = chunks.next() {
        let dy = gradients_of_logits(cpu, rows, chunk, room);
        // What comes next: these rows of the next chunk, or the next rows of the first one.
        let (next, next_rows) = chunks.peek().map_or_else(
            || (slices.chunks(SLICES).next().unwrap_or_default(), rows.next()),
            |next| (*next, rows),
        );
        let next = demand(collected(next.iter().map(|slice| slice.logits.rows(next_rows))));
        block_gradients(cpu, shape, chunk, &dy, weights.next(), &next);
        let pairs = dy.into_iter().zip(chunk.iter().map(|slice| &*slice.x_rows));
        let pairs: Vec<(&[T], &[T])> = demand(collected(pairs));
        bias_gradient(cpu, &pairs, biases.next());
        if shape.direct {
            let size = (rows.count, shape.inputs());
            weight_gradient(cpu, &pairs, size, x_row, direct.next());
        }
    }
}

/// dU = Σ dy·zᵀ, block by block of features, as they lie in `z.rows`. Each block brings its share
/// of the next rows into the cache.
fn block_gradients<T: Float>(
    cpu: Cpu,
    shape: &Shape,
    slices: &[Slice<T>],
    dy: &[&[T]],
    into: Sink<'_, T>,
    next: &[&[T]],
) {
    let Sink { out, alpha, beta } = into;
    let Some((row, wide)) = slices.first().map(|slice| (slice.z.row, slice.z.block)) else {
        return;
    };
    let width = shape.output_width();
    let blocks = width.div_ceil(wide);
    for block in 0..blocks {
        let first = block * wide;
        let product = Product {
            rows: out.len() / width,
            columns: wide.min(width - first),
            terms: LANES,
            left_row: LANES,
            left_step: 1,
            right_row: row,
            out_row: width,
            alpha,
            beta,
        };
        let start = block * LANES * row;
        let features = slices.iter().map(|slice| slice.z.rows.get(start..).unwrap_or_default());
        let pairs: Vec<(&[T], &[T])> = demand(collected(dy.iter().copied().zip(features)));
        let share = |next: &&'_ [T]| next.len().div_ceil(blocks).max(1);
        let next = next.iter().map(|n| n.chunks(share(n)).nth(block).unwrap_or_default());
        let next: Vec<&[T]> = demand(collected(next));
        product.add_up_ahead(cpu, &pairs, out.get_mut(first..).unwrap_or_default(), &next);
    }
}

/// dy of some rows: a panel for each slice.
fn gradients_of_logits<'a, T: Float>(
    cpu: Cpu,
    rows: Symbols,
    slices: &'a [Slice<T>],
    room: &'a mut Vec<T>,
) -> Vec<&'a [T]> {
    if rows.last {
        return demand(collected(slices.iter().map(|slice| slice.logits.rows(rows))));
    }
    let length = rows.count * LANES;
    demand(alloc::lengthen(room, slices.len() * length));
    for (slice, dy) in slices.iter().zip(room.chunks_exact_mut(length)) {
        let factors = slice.logits.factors(cpu, rows);
        lanes::scaled(cpu, slice.logits.rows(rows), &factors, dy);
        let targets = slice.targets.get(..slice.examples).unwrap_or_default();
        subtract_targets(targets, rows, slice.logits.weight, dy);
    }
    demand(collected(room.chunks_exact(length).take(slices.len())))
}
