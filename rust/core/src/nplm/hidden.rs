//! The hidden layer, a = tanh(d + H·x), and the projection of tied models, z = P·a.
//!
//! ```text
//! forward             backward                                   gradients, over all examples
//! a = tanh(d + H·x)   dh = da·(1 − a²)   dx = Wᵀ·dy + Hᵀ·dh      dH = Σ dh·xᵀ   dd = Σ dh
//! z = P·a             da = Pᵀ·dz                                 dP = Σ dz·aᵀ
//! ```
//!
//! Forward and backward take one micro-batch; a gradient takes all micro-batches and the rows of the
//! parameter that one thread owns. dh, the gradient of d + H·x, takes the place of da.

use super::batch::{Activations, MicroBatch};
use super::dropout::Masks;
use super::optimizer::GradTarget;
use super::params::{Params, Shape};
use crate::alloc::{collected, demand};
use crate::kernels::gemm::Gemm;
use crate::kernels::{Cpu, Dispatch, MICRO_BATCH, dropout, elementwise};

/// a ← tanh(d + H·x), masked: (h, `MICRO_BATCH`).
pub(super) fn forward<T: Dispatch>(
    cpu: Cpu,
    shape: &Shape,
    params: &Params<&[T]>,
    masks: Option<&Masks>,
    batch: &mut MicroBatch<T>,
) {
    let a = &mut batch.a.as_mut().unwrap_or(&mut batch.z).values;
    let gemm = Gemm::dense(shape.hidden_dim, shape.inputs(), MICRO_BATCH);
    gemm.gemm(cpu, &[(params.H, &batch.x)], a);
    elementwise::bias_tanh(cpu, a, params.d);
    if let Some(masks) = masks.filter(|masks| masks.of_hidden()) {
        masks.drop_hidden(cpu, (a, &mut batch.tanh_grad), batch.number);
    }
}

/// da ← dh = da·(1 − a²), and dx ← dx + Hᵀ·dh in `dx_rows`, which holds Wᵀ·dy if there are direct
/// connections.
pub(super) fn backward<T: Dispatch>(
    cpu: Cpu,
    shape: &Shape,
    params: &Params<&[T]>,
    masks: Option<&Masks>,
    batch: &mut MicroBatch<T>,
) {
    /// Hidden units per gemm: their gradients, and some columns of their rows of H, fit into the
    /// first-level cache.
    const AT_ONCE: usize = 128;
    let a = batch.a.as_mut().unwrap_or(&mut batch.z);
    if masks.is_some_and(Masks::of_hidden) {
        dropout::multiply(cpu, &mut a.grad, &batch.tanh_grad);
    } else {
        elementwise::tanh_backward(cpu, &mut a.grad, &a.values);
    }
    let inputs = shape.inputs();
    let mut gemm = Gemm {
        csa: MICRO_BATCH,
        beta: T::from_f64(if shape.direct { 1.0 } else { 0.0 }),
        rsc: batch.x_stride,
        ..Gemm::transposed(batch.examples, 0, inputs)
    };
    let blocks = a.grad.chunks(AT_ONCE * MICRO_BATCH).zip(params.H.chunks(AT_ONCE * inputs));
    for (dh, h) in blocks {
        gemm.k = dh.len() / MICRO_BATCH;
        gemm.gemm(cpu, &[(dh, h)], &mut batch.dx_rows);
        gemm.beta = T::from_f64(1.0);
    }
}

/// Writes the gradients of H and d, for the rows from `first` on.
pub(super) fn gradient<T: Dispatch>(
    cpu: Cpu,
    shape: &Shape,
    batches: &[MicroBatch<T>],
    first: usize,
    (weights, biases): (GradTarget<'_, T>, GradTarget<'_, T>),
) {
    let pairs = batches.iter().map(|batch| {
        let dh = &batch.hidden().grad[first * MICRO_BATCH..];
        (dh, &*batch.x_rows)
    });
    let pairs: Vec<(&[T], &[T])> = demand(collected(pairs));
    let size = (biases.out.len(), shape.inputs());
    weights.write_weights(cpu, &pairs, size, batches[0].x_stride);
    biases.write_biases(cpu, &pairs);
}

/// z ← P·a: (m, `MICRO_BATCH`).
pub(super) fn project<T: Dispatch>(
    cpu: Cpu,
    shape: &Shape,
    p: &[T],
    a: &Activations<T>,
    z: &mut [T],
) {
    let gemm = Gemm::dense(shape.embedding_dim, shape.hidden_dim, MICRO_BATCH);
    gemm.gemm(cpu, &[(p, &a.values)], z);
}

/// da ← Pᵀ·dz. Also transposes a, for the gradient of P.
pub(super) fn project_backward<T: Dispatch>(
    cpu: Cpu,
    shape: &Shape,
    p: &[T],
    dz: &[T],
    a: &mut Activations<T>,
) {
    let gemm = Gemm::transposed(shape.hidden_dim, shape.embedding_dim, MICRO_BATCH);
    gemm.gemm(cpu, &[(p, dz)], &mut a.grad);
    a.transpose(cpu);
}

/// Writes the gradient of P, for the rows from `first` on.
pub(super) fn project_gradient<T: Dispatch>(
    cpu: Cpu,
    shape: &Shape,
    batches: &[MicroBatch<T>],
    first: usize,
    weights: GradTarget<'_, T>,
) {
    let pairs = batches.iter().map(|batch| {
        let dz = &batch.z.grad[first * MICRO_BATCH..];
        (dz, &*batch.hidden().rows)
    });
    let pairs: Vec<(&[T], &[T])> = demand(collected(pairs));
    let rows = weights.out.len() / shape.hidden_dim.max(1);
    weights.write_weights(cpu, &pairs, (rows, shape.hidden_dim), batches[0].hidden().stride);
}
