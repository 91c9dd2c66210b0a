//! The output layer: logits, softmax and cross-entropy, and their way back, as one function.
//!
//! The whole vocabulary's logits of a slice are held at once, V × 32 numbers. That is little for
//! characters; for words this is the function to replace by one that goes over the vocabulary in
//! tiles, twice: once for the largest logit and the sum, once for the gradients.

use super::model::{Sink, bias_gradient, rows_from, weight_gradient};
use super::workspace::Slice;
use super::{Params, Shape};
use crate::linalg::lanes::Lanes;
use crate::linalg::product::Product;
use crate::linalg::{Cpu, Float, LANES, lanes};

/// y = b + W·x + U·a, of which the loss is −ln softmax(y)[target].
///
/// Forward: the loss of each example, and softmax(y) times `weight`, which is what y then holds.
pub fn output<T: Float>(
    cpu: Cpu,
    shape: &Shape,
    params: &Params<&[T]>,
    weight: f64,
    slice: &mut Slice<T>,
) {
    logits(cpu, shape, params, slice);
    let mut chosen = [0.0; LANES];
    for (example, (chosen, &target)) in chosen.iter_mut().zip(&slice.targets).enumerate() {
        let target = target as usize;
        if let (Some(&y), Some(&b)) = (slice.y.get(target * LANES + example), params.b.get(target))
        {
            *chosen = (y + b).to_f64();
        }
    }
    let (largest, sums) = lanes::exp_of_rest(cpu, &mut slice.y, params.b);
    let mut factors: Lanes<T> = [T::default(); LANES];
    let examples = factors.iter_mut().zip(&mut slice.losses).take(slice.examples);
    for ((factor, loss), ((largest, sum), chosen)) in
        examples.zip(largest.into_iter().zip(sums).zip(chosen))
    {
        *loss = sum.to_f64().ln() + largest.to_f64() - chosen;
        *factor = T::from_f64(weight / sum.to_f64());
    }
    lanes::scale(cpu, &mut slice.y, &factors);
}

/// The logits without b.
fn logits<T: Float>(cpu: Cpu, shape: &Shape, params: &Params<&[T]>, slice: &mut Slice<T>) {
    let product = Product {
        rows: shape.vocabulary,
        columns: LANES,
        terms: shape.hidden,
        left_row: shape.hidden,
        left_step: 1,
        right_row: LANES,
        out_row: LANES,
        alpha: T::from_f64(1.0),
        beta: T::from_f64(0.0),
    };
    product.add_up(cpu, &[(params.U, &slice.a)], &mut slice.y);
    if shape.direct {
        let terms = shape.inputs();
        let direct = Product { terms, left_row: terms, beta: T::from_f64(1.0), ..product };
        direct.add_up(cpu, &[(params.W, &slice.x)], &mut slice.y);
    }
}

/// Backward, for the mean loss over 1/`weight` examples, of which this slice has some:
/// dy = (softmax(y) − target)·weight, da = Uᵀ·dy, and dx = Wᵀ·dy if there are direct connections.
pub fn output_backward<T: Float>(
    cpu: Cpu,
    shape: &Shape,
    params: &Params<&[T]>,
    weight: f64,
    slice: &mut Slice<T>,
) {
    for (example, &target) in slice.targets.iter().enumerate().take(slice.examples) {
        if let Some(dy) = slice.y.get_mut(target as usize * LANES + example) {
            *dy = *dy - T::from_f64(weight);
        }
    }
    let (hidden, inputs) = (shape.hidden, shape.inputs());
    let product = Product {
        rows: hidden,
        columns: LANES,
        terms: shape.vocabulary,
        left_row: 1,
        left_step: hidden,
        right_row: LANES,
        out_row: LANES,
        alpha: T::from_f64(1.0),
        beta: T::from_f64(0.0),
    };
    product.add_up(cpu, &[(params.U, &slice.y)], &mut slice.da);
    lanes::transpose(cpu, (&slice.a, LANES), (hidden, LANES), (&mut slice.a_rows, slice.a_row));
    if shape.direct {
        let product = Product {
            rows: slice.examples,
            columns: inputs,
            left_step: LANES,
            right_row: inputs,
            out_row: slice.x_row,
            ..product
        };
        product.add_up(cpu, &[(&slice.y, params.W)], &mut slice.dx_rows);
    }
}

/// U ← β·U + α·dU and b ← β'·b + α·db, for a block of rows that begins with row `first`:
/// dU = Σ dy·aᵀ and db = Σ dy, over all examples.
pub fn output_gradient<T: Float>(
    cpu: Cpu,
    shape: &Shape,
    slices: &[Slice<T>],
    first: usize,
    (weights, biases): (Sink<'_, T>, Sink<'_, T>),
) {
    let pairs: Vec<(&[T], &[T])> =
        slices.iter().map(|slice| (rows_from(&slice.y, first), &*slice.a_rows)).collect();
    let a_row = slices.first().map_or(0, |slice| slice.a_row);
    weight_gradient(cpu, &pairs, (biases.out.len(), shape.hidden), a_row, weights);
    bias_gradient(cpu, &pairs, biases);
}

/// W ← β·W + α·dW for a block of rows that begins with row `first`: dW = Σ dy·xᵀ.
pub fn direct_gradient<T: Float>(
    cpu: Cpu,
    shape: &Shape,
    slices: &[Slice<T>],
    first: usize,
    weights: Sink<'_, T>,
) {
    let pairs: Vec<(&[T], &[T])> =
        slices.iter().map(|slice| (rows_from(&slice.y, first), &*slice.x_rows)).collect();
    let x_row = slices.first().map_or(0, |slice| slice.x_row);
    let rows = weights.out.len() / shape.inputs().max(1);
    weight_gradient(cpu, &pairs, (rows, shape.inputs()), x_row, weights);
}
