//! Forward and backward of the embedding, of the hidden layer, and of what stands behind it in
//! tied models.
//!
//! Each function takes one slice of the batch, or, where a parameter's gradient is made, all
//! slices and a block of the parameter's rows. `d…` is the gradient of the loss with respect to ….
//! The output layer is in [`super::softmax`].

use super::dropout::Masks;
use super::workspace::{Features, Slice};
use super::{Params, Shape};
use crate::alloc::{self, collected, demand};
use crate::linalg::product::Product;
use crate::linalg::table::{self, Layout};
use crate::linalg::{Cpu, Float, LANES, chance, lanes};

/// All that comes before the output layer; features are left out where there are masks.
pub fn before_output<T: Float>(
    cpu: Cpu,
    shape: &Shape,
    params: &Params<&[T]>,
    masks: Option<&Masks>,
    slice: &mut Slice<T>,
) {
    embed(cpu, shape, params.C, masks, slice);
    hidden(cpu, shape, params, masks, slice);
    if let Some(a) = &slice.a {
        project(cpu, shape, params.P, a, &mut slice.z.panel);
    }
}

/// The way back from dz, and from what the output layer has made of dx, to dx.
pub fn behind_output<T: Float>(
    cpu: Cpu,
    shape: &Shape,
    params: &Params<&[T]>,
    masks: Option<&Masks>,
    slice: &mut Slice<T>,
) {
    if let Some(a) = &mut slice.a {
        project_backward(cpu, shape, params.P, &slice.z.gradient, a);
    }
    hidden_backward(cpu, shape, params, masks, slice);
    if masks.is_some_and(Masks::of_embedding) {
        chance::multiply(cpu, &mut slice.dx_rows, &slice.x_factors);
    }
}

/// x = the rows of C of an example's symbols, side by side.
fn embed<T: Float>(cpu: Cpu, shape: &Shape, c: &[T], masks: Option<&Masks>, slice: &mut Slice<T>) {
    let ids = slice.ids.get(..slice.examples * shape.context).unwrap_or_default();
    table::gather(cpu, slice.layout(shape), c, ids, &mut slice.x_rows);
    let empty = slice.x_rows.get_mut(slice.examples * slice.x_row..);
    empty.unwrap_or_default().fill(T::default());
    let inputs = shape.inputs();
    if let Some(masks) = masks.filter(|masks| masks.of_embedding()) {
        masks.drop_embedding(cpu, inputs, slice);
    }
    lanes::transpose(cpu, (&slice.x_rows, slice.x_row), (LANES, inputs), (&mut slice.x, LANES));
}

/// C ← C + α·dC: a row of dC is the sum of dx over all places where its symbol stands. `place` says
/// which row of `c` belongs to a symbol; where there is no such row, nothing is added.
///
/// Returns whether the rows that were changed are in range.
pub fn embed_gradient<T: Float>(
    cpu: Cpu,
    shape: &Shape,
    slices: &[Slice<T>],
    alpha: T,
    place: impl Fn(u32) -> u32,
    c: &mut [T],
) -> bool {
    let mut in_range = true;
    let most = slices.iter().map(|slice| slice.ids(shape).len()).max().unwrap_or(0);
    let mut places = demand(alloc::with_capacity(most));
    for slice in slices {
        places.clear();
        places.extend(slice.ids(shape).iter().map(|&id| place(id)));
        in_range &= table::scatter(cpu, slice.layout(shape), alpha, &slice.dx_rows, &places, c);
    }
    in_range
}

/// a = tanh(d + H·x).
fn hidden<T: Float>(
    cpu: Cpu,
    shape: &Shape,
    params: &Params<&[T]>,
    masks: Option<&Masks>,
    slice: &mut Slice<T>,
) {
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
    let a = &mut slice.a.as_mut().unwrap_or(&mut slice.z).panel;
    product.add_up(cpu, &[(params.H, &slice.x)], a);
    lanes::bias_tanh(cpu, a, params.d);
    if let Some(masks) = masks.filter(|masks| masks.of_hidden()) {
        masks.drop_hidden(cpu, (a, &mut slice.a_slopes), slice.number);
    }
}

/// From da to d(H·x) = da·(1 − a²), and dx = Hᵀ·d(H·x), to which W has added its part before.
fn hidden_backward<T: Float>(
    cpu: Cpu,
    shape: &Shape,
    params: &Params<&[T]>,
    masks: Option<&Masks>,
    slice: &mut Slice<T>,
) {
    /// Hidden units whose gradients, and some columns of whose rows of H, fit into the nearest
    /// cache.
    const AT_ONCE: usize = 128;
    let a = slice.a.as_mut().unwrap_or(&mut slice.z);
    if masks.is_some_and(Masks::of_hidden) {
        chance::multiply(cpu, &mut a.gradient, &slice.a_slopes);
    } else {
        lanes::tanh_slope(cpu, &mut a.gradient, &a.panel);
    }
    let inputs = shape.inputs();
    let mut product = Product {
        rows: slice.examples,
        columns: inputs,
        terms: 0,
        left_row: 1,
        left_step: LANES,
        right_row: inputs,
        out_row: slice.x_row,
        alpha: T::from_f64(1.0),
        beta: T::from_f64(if shape.direct { 1.0 } else { 0.0 }),
    };
    for (da, h) in
        a.gradient.chunks(AT_ONCE * LANES).zip(params.H.chunks((AT_ONCE * inputs).max(1)))
    {
        product.terms = da.len() / LANES;
        product.add_up(cpu, &[(da, h)], &mut slice.dx_rows);
        product.beta = T::from_f64(1.0);
    }
}

/// z = P·a.
fn project<T: Float>(cpu: Cpu, shape: &Shape, p: &[T], a: &Features<T>, z: &mut [T]) {
    let product = Product {
        rows: shape.features,
        columns: LANES,
        terms: shape.hidden,
        left_row: shape.hidden,
        left_step: 1,
        right_row: LANES,
        out_row: LANES,
        alpha: T::from_f64(1.0),
        beta: T::from_f64(0.0),
    };
    product.add_up(cpu, &[(p, &a.panel)], z);
}

/// da = Pᵀ·dz, and a in rows, which the gradient of P needs.
fn project_backward<T: Float>(cpu: Cpu, shape: &Shape, p: &[T], dz: &[T], a: &mut Features<T>) {
    let product = Product {
        rows: shape.hidden,
        columns: LANES,
        terms: shape.features,
        left_row: 1,
        left_step: shape.hidden,
        right_row: LANES,
        out_row: LANES,
        alpha: T::from_f64(1.0),
        beta: T::from_f64(0.0),
    };
    product.add_up(cpu, &[(p, dz)], &mut a.gradient);
    a.write_rows(cpu);
}

/// P ← β·P + α·dP for a block of rows that begins with row `first`: dP = Σ dz·aᵀ.
pub fn project_gradient<T: Float>(
    cpu: Cpu,
    shape: &Shape,
    slices: &[Slice<T>],
    first: usize,
    weights: Sink<'_, T>,
) {
    let pairs: Vec<(&[T], &[T])> = demand(collected(
        slices.iter().map(|slice| (rows_from(&slice.z.gradient, first), &*slice.hidden().rows)),
    ));
    let row = slices.first().map_or(0, |slice| slice.hidden().row);
    let rows = weights.out.len() / shape.hidden.max(1);
    weight_gradient(cpu, &pairs, (rows, shape.hidden), row, weights);
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
    let pairs: Vec<(&[T], &[T])> = demand(collected(
        slices.iter().map(|slice| (rows_from(&slice.hidden().gradient, first), &*slice.x_rows)),
    ));
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
    let panels: Vec<&[T]> = demand(collected(pairs.iter().map(|(panel, _)| *panel)));
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
