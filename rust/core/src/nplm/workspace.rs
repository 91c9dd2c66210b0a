//! What a slice of a mini-batch needs on its way through the model, kept from step to step.

use std::sync::{Mutex, PoisonError};

use super::logits::{Logits, TILE};
use super::{Data, Shape};
use crate::linalg::{Buffer, Float, LANES};

/// Up to [`LANES`] examples, and what every layer makes of them.
///
/// Activations are panels: a row a feature, a column an example. Where the gradient of a matrix
/// needs an activation as its right factor, it is there in rows as well: a row an example.
#[derive(Debug)]
pub struct Slice<T> {
    /// How many of the columns hold examples; the others are zero wherever it matters.
    pub examples: usize,
    /// The ids of the contexts, c an example.
    pub ids: Vec<u32>,
    /// The ids to be predicted.
    pub targets: [u32; LANES],
    /// x in rows: LANES × `x_row`, of which c·m are used.
    pub x_rows: Buffer<T>,
    /// x as a panel: c·m × LANES.
    pub x: Buffer<T>,
    /// a = tanh(d + H·x) as a panel: h × LANES.
    pub a: Buffer<T>,
    /// a in rows: LANES × `a_row`, for each block of `a_block` features.
    pub a_rows: Buffer<T>,
    /// The logits y, then their gradient.
    pub logits: Logits<T>,
    /// The gradient of a, then of H·x, as a panel: h × LANES.
    pub da: Buffer<T>,
    /// The part of direct connections in the gradient of x, as a panel: c·m × LANES, or empty.
    pub dx: Buffer<T>,
    /// The gradient of x in rows: LANES × `x_row`.
    pub dx_rows: Buffer<T>,
    /// −ln of each target's probability.
    pub losses: [f64; LANES],
    /// From a row of x to the next.
    pub x_row: usize,
    /// Features in a block of `a_rows`: all of them, or so few that blocks are read from end to end
    /// for each tile of the vocabulary.
    pub a_block: usize,
    /// From a row of a block to the next.
    pub a_row: usize,
}

/// The length of a row that begins with a cache line, as the one before it did. An odd number of
/// lines: rows that are a power of two apart would share few places of the cache.
fn padded(length: usize) -> usize {
    const LINE: usize = 16;
    (length.div_ceil(LINE) | 1) * LINE
}

impl<T: Float> Slice<T> {
    /// Room for a slice of a model of this shape, and for all of its logits if they are kept.
    #[must_use]
    pub fn new(shape: &Shape, kept: bool) -> Slice<T> {
        let (inputs, hidden) = (shape.inputs(), shape.hidden);
        let x_row = padded(inputs);
        let several = shape.vocabulary > TILE;
        let (a_block, a_row) = if several { (LANES, LANES) } else { (hidden, padded(hidden)) };
        Slice {
            examples: 0,
            ids: vec![0; LANES * shape.context],
            targets: [0; LANES],
            x_rows: Buffer::zeros(LANES * x_row),
            x: Buffer::zeros(inputs * LANES),
            a: Buffer::zeros(hidden * LANES),
            a_rows: Buffer::zeros(hidden.div_ceil(a_block.max(1)) * LANES * a_row),
            logits: Logits::new(shape.vocabulary, kept),
            da: Buffer::zeros(hidden * LANES),
            dx: Buffer::zeros(if shape.direct { inputs * LANES } else { 0 }),
            dx_rows: Buffer::zeros(LANES * x_row),
            losses: [0.0; LANES],
            x_row,
            a_block,
            a_row,
        }
    }

    /// Takes up the examples with these numbers, as many as there is room for.
    pub fn fill(&mut self, context: usize, data: &Data<'_>, numbers: impl Iterator<Item = usize>) {
        self.examples = 0;
        let places = self.ids.chunks_exact_mut(context.max(1)).zip(&mut self.targets);
        for ((ids, target), number) in places.zip(numbers) {
            let (example, next) = data.example(number, context);
            for (to, from) in ids.iter_mut().zip(example) {
                *to = *from;
            }
            *target = next;
            self.examples += 1;
        }
    }
}

/// Slices for a mini-batch, with room for all of their logits if they are kept.
#[must_use]
pub fn slices<T: Float>(shape: &Shape, batch: usize, kept: bool) -> Vec<Slice<T>> {
    (0..batch.div_ceil(LANES)).map(|_| Slice::new(shape, kept)).collect()
}

/// Groups of slices that go through the model together, so that a tile of the output layer serves
/// for several of them. They do not change results.
pub fn groups<'a, T>(
    shape: &Shape,
    threads: usize,
    slices: &'a mut [Slice<T>],
) -> Vec<&'a mut [Slice<T>]> {
    // As many as have their activations in the second-level cache beside a tile.
    const MOST: usize = 8;
    let rounds = slices.len().div_ceil(MOST * threads).max(1);
    let several = slices.len().div_ceil(rounds * threads);
    slices.chunks_mut(if shape.vocabulary > TILE { several.max(1) } else { 1 }).collect()
}

/// Room that a thread needs for a while, lent to one after the other.
#[derive(Debug)]
pub struct Rooms<T>(Mutex<Vec<Room<T>>>);

/// Room for what is made of a tile of the output layer.
#[derive(Debug, Default)]
pub struct Room<T> {
    /// For the gradient of logits.
    pub dy: Vec<T>,
    /// For the gradients of U and W, where the update is not part of making them.
    pub gradients: [Vec<T>; 2],
}

impl<T> Rooms<T> {
    /// None so far.
    #[must_use]
    pub fn new() -> Rooms<T> {
        Rooms(Mutex::new(Vec::new()))
    }

    /// Does something in a room that nobody is in, the one that was left last if there is any.
    pub fn lend<R>(&self, work: impl FnOnce(&mut Room<T>) -> R) -> R {
        let rooms = || self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let room = rooms().pop();
        let mut room = room.unwrap_or_else(|| Room { dy: Vec::new(), gradients: [vec![], vec![]] });
        let result = work(&mut room);
        rooms().push(room);
        result
    }
}

impl<T> Default for Rooms<T> {
    fn default() -> Rooms<T> {
        Rooms::new()
    }
}
