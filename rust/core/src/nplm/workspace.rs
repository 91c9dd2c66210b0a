//! What a slice of a mini-batch needs on its way through the model, kept from step to step.

use std::sync::{Mutex, PoisonError};

use super::logits::{Logits, TILE};
use super::{Data, Shape};
use crate::linalg::{Buffer, Cpu, Float, LANES, lanes};
use crate::progress::Progress;
use crate::{Result, alloc};

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
    /// What the output layer reads: z = P·a in tied models, otherwise a itself.
    pub z: Features<T>,
    /// a = tanh(d + H·x) in tied models; otherwise it is z.
    pub a: Option<Features<T>>,
    /// The logits y, then their gradient.
    pub logits: Logits<T>,
    /// The part of direct connections in the gradient of x, as a panel: c·m × LANES, or empty.
    pub dx: Buffer<T>,
    /// The gradient of x in rows: LANES × `x_row`.
    pub dx_rows: Buffer<T>,
    /// −ln of each target's probability.
    pub losses: [f64; LANES],
    /// From a row of x to the next.
    pub x_row: usize,
    /// The number of the first example in its mini-batch.
    pub number: u64,
    /// The factors of x with dropout, in rows like x; empty without.
    pub x_factors: Buffer<T>,
    /// The slopes of a with dropout, a panel like a; empty without.
    pub a_slopes: Buffer<T>,
}

/// Features that one layer makes and the next one reads.
#[derive(Debug)]
pub struct Features<T> {
    /// The features as a panel: n × LANES.
    pub panel: Buffer<T>,
    /// The same in rows: LANES × `row` for each block of features. Written on the way back.
    pub rows: Buffer<T>,
    /// The loss's gradient with respect to them, as a panel. For a, then that of H·x.
    pub gradient: Buffer<T>,
    /// From a row of a block to the next.
    pub row: usize,
    /// Features in a block.
    pub block: usize,
}

impl<T: Float> Features<T> {
    /// Room for so many features, all of them in one block.
    fn new(features: usize) -> Result<Features<T>> {
        Features::in_blocks(features, features.max(1), padded(features))
    }

    /// Room for so many features. Small blocks are for rows that are read block by block, for each
    /// tile of the vocabulary: they lie close together then.
    fn in_blocks(features: usize, block: usize, row: usize) -> Result<Features<T>> {
        Ok(Features {
            panel: Buffer::zeros(features * LANES)?,
            rows: Buffer::zeros(features.div_ceil(block) * LANES * row)?,
            gradient: Buffer::zeros(features * LANES)?,
            row,
            block,
        })
    }

    /// Writes the rows from the panel.
    pub(super) fn write_rows(&mut self, cpu: Cpu) {
        let Features { panel, rows, row, block, .. } = self;
        for (from, to) in panel.chunks(*block * LANES).zip(rows.chunks_mut(*row * LANES)) {
            lanes::transpose(cpu, (from, LANES), (from.len() / LANES, LANES), (to, *row));
        }
    }
}

/// The length of a row that begins with a cache line, as the one before it did. An odd number of
/// lines: rows that are a power of two apart would share few places of the cache.
fn padded(length: usize) -> usize {
    const LINE: usize = 16;
    (length.div_ceil(LINE) | 1) * LINE
}

impl<T: Float> Slice<T> {
    /// Room for a slice of a model of this shape, and for all of its logits if they are kept.
    ///
    /// # Errors
    /// [`crate::Error::Memory`].
    pub fn new(shape: &Shape, kept: bool) -> Result<Slice<T>> {
        let inputs = shape.inputs();
        let x_row = padded(inputs);
        let width = shape.output_width();
        let several = shape.vocabulary > TILE;
        Ok(Slice {
            examples: 0,
            ids: alloc::zeroed(LANES * shape.context)?,
            targets: [0; LANES],
            x_rows: Buffer::zeros(LANES * x_row)?,
            x: Buffer::zeros(inputs * LANES)?,
            z: if several {
                Features::in_blocks(width, LANES, LANES)?
            } else {
                Features::new(width)?
            },
            a: shape.tied.then(|| Features::new(shape.hidden)).transpose()?,
            logits: Logits::new(shape.vocabulary, kept)?,
            dx: Buffer::zeros(if shape.direct { inputs * LANES } else { 0 })?,
            dx_rows: Buffer::zeros(LANES * x_row)?,
            losses: [0.0; LANES],
            x_row,
            number: 0,
            x_factors: Buffer::zeros(0)?,
            a_slopes: Buffer::zeros(0)?,
        })
    }

    /// The ids of the contexts that it holds.
    pub(super) fn ids(&self, shape: &Shape) -> &[u32] {
        self.ids.get(..self.examples * shape.context).unwrap_or_default()
    }

    /// The hidden layer's features, a.
    pub(super) fn hidden(&self) -> &Features<T> {
        self.a.as_ref().unwrap_or(&self.z)
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
///
/// # Errors
/// [`crate::Error::Memory`], [`crate::Error::Interrupted`].
pub fn slices<T: Float>(
    shape: &Shape,
    batch: usize,
    kept: bool,
    progress: &Progress,
) -> Result<Vec<Slice<T>>> {
    let count = batch.div_ceil(LANES);
    let mut slices = alloc::with_capacity(count)?;
    for number in (0..).step_by(LANES).take(count) {
        progress.check()?;
        slices.push(Slice { number, ..Slice::new(shape, kept)? });
    }
    Ok(slices)
}

/// Groups of slices that go through the model together, so that a tile of the output layer serves
/// for several of them. They do not change results.
///
/// # Errors
/// [`crate::Error::Memory`].
pub fn groups<'a, T>(
    shape: &Shape,
    threads: usize,
    slices: &'a mut [Slice<T>],
) -> Result<Vec<&'a mut [Slice<T>]>> {
    // As many as have their activations in the second-level cache beside a tile.
    const MOST: usize = 8;
    let rounds = slices.len().div_ceil(MOST * threads).max(1);
    let several = slices.len().div_ceil(rounds * threads);
    alloc::collected(slices.chunks_mut(if shape.vocabulary > TILE { several.max(1) } else { 1 }))
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
