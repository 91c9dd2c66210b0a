//! What a slice of a mini-batch needs on its way through the model, kept from step to step.

use super::{Data, Shape};
use crate::linalg::{Buffer, Cpu, Float, LANES, lanes};

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
    /// The logits y, then their gradient, as a panel: V × LANES.
    pub y: Buffer<T>,
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
    /// The same in rows: LANES × `row`, of which n are used. Written on the way back.
    pub rows: Buffer<T>,
    /// The loss's gradient with respect to them, as a panel. For a, then that of H·x.
    pub gradient: Buffer<T>,
    /// From a row of `rows` to the next.
    pub row: usize,
}

impl<T: Float> Features<T> {
    /// Room for so many features.
    fn new(features: usize) -> Features<T> {
        let row = padded(features);
        Features {
            panel: Buffer::zeros(features * LANES),
            rows: Buffer::zeros(LANES * row),
            gradient: Buffer::zeros(features * LANES),
            row,
        }
    }

    /// Writes the rows from the panel.
    pub(super) fn write_rows(&mut self, cpu: Cpu) {
        let features = self.panel.len() / LANES;
        let Features { panel, rows, row, .. } = self;
        lanes::transpose(cpu, (panel, LANES), (features, LANES), (rows, *row));
    }
}

/// The length of a row that begins with a cache line, as the one before it did. An odd number of
/// lines: rows that are a power of two apart would share few places of the cache.
fn padded(length: usize) -> usize {
    const LINE: usize = 16;
    (length.div_ceil(LINE) | 1) * LINE
}

impl<T: Float> Slice<T> {
    /// Room for a slice of a model of this shape.
    #[must_use]
    pub fn new(shape: &Shape) -> Slice<T> {
        let inputs = shape.inputs();
        let x_row = padded(inputs);
        Slice {
            examples: 0,
            ids: vec![0; LANES * shape.context],
            targets: [0; LANES],
            x_rows: Buffer::zeros(LANES * x_row),
            x: Buffer::zeros(inputs * LANES),
            z: Features::new(shape.output_width()),
            a: shape.tied.then(|| Features::new(shape.hidden)),
            y: Buffer::zeros(shape.vocabulary * LANES),
            dx_rows: Buffer::zeros(LANES * x_row),
            losses: [0.0; LANES],
            x_row,
            number: 0,
            x_factors: Buffer::zeros(0),
            a_slopes: Buffer::zeros(0),
        }
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

/// Slices for a mini-batch.
#[must_use]
pub fn slices<T: Float>(shape: &Shape, batch: usize) -> Vec<Slice<T>> {
    let numbers = (0..).step_by(LANES);
    let slices = numbers.take(batch.div_ceil(LANES));
    slices.map(|number| Slice { number, ..Slice::new(shape) }).collect()
}
