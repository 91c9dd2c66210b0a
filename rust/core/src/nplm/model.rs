//! Forward and backward of the embedding and of the hidden layer.
//!
//! Each function takes one slice of the batch, or, where a parameter's gradient is made, all
//! slices and a block of the parameter's rows. `d…` is the gradient of the loss with respect to ….
//! The output layer is in [`super::softmax`].

use super::workspace::Slice;
use super::{Params, Shape};
use crate::linalg::product::Product;
use crate::linalg::table::{self, Layout};
use crate::linalg::{Cpu, Float, LANES, lanes};

/// x = the rows of C of an example's symbols, side by side.
pub fn embed<T: Float>(cpu: Cpu, shape: &Shape, c: &[T], slice: &mut Slice<T>) {
    let used = slice.examples * shape.context;
    let ids = slice.ids.get(..used).unwrap_or_default();
    table::gather(cpu, slice.layout(shape), c, ids, &mut slice.x_rows);
    let empty = slice.x_rows.get_mut(slice.examples * slice.x_row..);
    empty.unwrap_or_default().fill(T::default());
    let inputs = shape.inputs();
    lanes::transpose(cpu, (&slice.x_rows, slice.x_row), (LANES, inputs), (&mut slice.x, LANES));
}

/// C ← C + α·dC: a row of dC is the sum of dx over all places where its symbol stands.
///
/// Returns whether the rows that were changed are in range.
pub fn embed_gradient<T: Float>(
    cpu: Cpu,
    shape: &Shape,
    slices: &[Slice<T>],
    alpha: T,
    c: &mut [T],
) -> bool {
    let mut in_range = true;
    for slice in slices {
        let ids = slice.ids.get(..slice.examples * shape.context).unwrap_or_default();
        in_range &= table::scatter(cpu, slice.layout(shape), alpha, &slice.dx_rows, ids, c);
    }
    in_range
}

/// a = tanh(d + H·x).
pub fn hidden<T: Float>(cpu: Cpu, shape: &Shape, params: &Params<&[T]>, slice: &mut Slice<T>) {
    let inputs = shape.inputs();
    let product = Product {
        rows: shape.hidden,
        columns: LANES,
        terms: inputs,
        left_row: inputs,
        left_step: 1,
        right_row: LANES,
        out_row: LANES,
        alpha: T::from_f64(1.0),
        beta: T::from_f64(0.0),
    };
    product.add_up(cpu, &[(params.H, &slice.x)], &mut slice.a);
    lanes::bias_tanh(cpu, &mut slice.a, params.d);
}

/// From da to d(H·x) = da·(1 − a²), and dx ← β·dx + Hᵀ·d(H·x).
pub fn hidden_backward<T: Float>(
    cpu: Cpu,
    shape: &Shape,
    params: &Params<&[T]>,
    beta: T,
    slice: &mut Slice<T>,
) {
    lanes::tanh_slope(cpu, &mut slice.da, &slice.a);
    let product = Product {
        rows: slice.examples,
        columns: shape.inputs(),
        terms: shape.hidden,
        left_row: 1,
        left_step: LANES,
        right_row: shape.inputs(),
        out_row: slice.x_row,
        alpha: T::from_f64(1.0),
        beta,
    };
    product.add_up(cpu, &[(&slice.da, params.H)], &mut slice.dx_rows);
}

/// H ← β·H + α·dH and d ← β'·d + α·dd, for a block of rows that begins with row `first`:
/// dH = Σ d(H·x)·xᵀ and dd = Σ d(H·x), over all examples.
pub fn hidden_gradient<T: Float>(
    cpu: Cpu,
    shape: &Shape,
    slices: &[Slice<T>],
    first: usize,
    (weights, biases): (Sink<'_, T>, Sink<'_, T>),
) {
    let pairs: Vec<(&[T], &[T])> =
        slices.iter().map(|slice| (rows_from(&slice.da, first), &*slice.x_rows)).collect();
    let x_row = slices.first().map_or(0, |slice| slice.x_row);
    weight_gradient(cpu, &pairs, (biases.out.len(), shape.inputs()), x_row, weights);
    bias_gradient(cpu, &pairs, biases);
}

/// Where a gradient goes: out ← β·out + α·gradient.
#[derive(Debug)]
pub struct Sink<'a, T> {
    /// The rows in question.
    pub out: &'a mut [T],
    /// The factor of the gradient.
    pub alpha: T,
    /// The factor of what was there before.
    pub beta: T,
}

impl<T: Float> Sink<'_, T> {
    /// The same, and the next time what was there before is kept: for a gradient in several parts.
    pub(super) fn next(&mut self) -> Sink<'_, T> {
        let beta = std::mem::replace(&mut self.beta, T::from_f64(1.0));
        Sink { out: self.out, alpha: self.alpha, beta }
    }
}

/// The rows of a panel from one on.
fn rows_from<T>(panel: &[T], first: usize) -> &[T] {
    panel.get(first * LANES..).unwrap_or_default()
}

/// The gradient of some rows of a matrix: the sum, over slices, of panel · rows.
pub(super) fn weight_gradient<T: Float>(
    cpu: Cpu,
    pairs: &[(&[T], &[T])],
    (rows, columns): (usize, usize),
    right_row: usize,
    into: Sink<'_, T>,
) {
    let Sink { out, alpha, beta } = into;
    let product = Product {
        rows,
        columns,
        terms: LANES,
        left_row: LANES,
        left_step: 1,
        right_row,
        out_row: columns,
        alpha,
        beta,
    };
    product.add_up(cpu, pairs, out);
}

/// The gradient of some biases: the sum over all examples.
pub(super) fn bias_gradient<T: Float>(cpu: Cpu, pairs: &[(&[T], &[T])], into: Sink<'_, T>) {
    let panels: Vec<&[T]> = pairs.iter().map(|(panel, _)| *panel).collect();
    let Sink { out, alpha, beta } = into;
    lanes::sum_rows(cpu, &panels, alpha, beta, out);
}

impl<T> Slice<T> {
    /// How rows of C lie in rows of x.
    fn layout(&self, shape: &Shape) -> Layout {
        let Shape { context, features, .. } = *shape;
        Layout { width: features, side_by_side: context, other_row: self.x_row }
    }
}
