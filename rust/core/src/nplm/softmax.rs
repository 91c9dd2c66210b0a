//! The output layer: logits, softmax and cross-entropy, and their way back, as one function.
//!
//! It reads z, which is a, or P·a in tied models; their matrix is C, here called U all the same.
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

/// y = b + W·x + U·z, of which the loss is −ln softmax(y)[target].
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
        terms: shape.output_width(),
        left_row: shape.output_width(),
        left_step: 1,
        right_row: LANES,
        out_row: LANES,
        alpha: T::from_f64(1.0),
        beta: T::from_f64(0.0),
    };
    product.add_up(cpu, &[(params.output(), &slice.z.panel)], &mut slice.y);
    if shape.direct {
        let terms = shape.inputs();
        let direct = Product { terms, left_row: terms, beta: T::from_f64(1.0), ..product };
        direct.add_up(cpu, &[(params.W, &slice.x)], &mut slice.y);
    }
}

/// Backward, for the mean loss over 1/`weight` examples, of which this slice has some:
/// dy = (softmax(y) − target)·weight, dz = Uᵀ·dy, and dx = Wᵀ·dy if there are direct connections.
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
    let (width, inputs) = (shape.output_width(), shape.inputs());
    let product = Product {
        rows: width,
        columns: LANES,
        terms: shape.vocabulary,
        left_row: 1,
        left_step: width,
        right_row: LANES,
        out_row: LANES,
        alpha: T::from_f64(1.0),
        beta: T::from_f64(0.0),
    };
    product.add_up(cpu, &[(params.output(), &slice.y)], &mut slice.z.gradient);
    slice.z.write_rows(cpu);
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
/// dU = Σ dy·zᵀ and db = Σ dy, over all examples.
pub fn output_gradient<T: Float>(
    cpu: Cpu,
    shape: &Shape,
    slices: &[Slice<T>],
    first: usize,
    (weights, biases): (Sink<'_, T>, Sink<'_, T>),
) {
    let pairs: Vec<(&[T], &[T])> =
        slices.iter().map(|slice| (rows_from(&slice.y, first), &*slice.z.rows)).collect();
    let z_row = slices.first().map_or(0, |slice| slice.z.row);
    weight_gradient(cpu, &pairs, (biases.out.len(), shape.output_width()), z_row, weights);
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
