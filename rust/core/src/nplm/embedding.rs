//! The embedding layer: x = the rows of C of an example's context, side by side.
//!
//! A mini-batch reads few rows of C, so the gradient is sparse and only these rows are updated.

use super::batch::MicroBatch;
use super::dropout::Masks;
use super::optimizer::{ParamSlice, Update};
use super::params::Shape;
use crate::Result;
use crate::alloc::{self, demand};
use crate::kernels::embedding::{self, Layout, SKIP};
use crate::kernels::{Cpu, Dispatch, MICRO_BATCH, dropout, elementwise};

/// x ← rows of C: `x_rows` (`MICRO_BATCH`, c·m).
pub(super) fn gather<T: Dispatch>(cpu: Cpu, shape: &Shape, c: &[T], batch: &mut MicroBatch<T>) {
    let ids = &batch.ids[..batch.examples * shape.context_length];
    embedding::gather(cpu, layout(shape, batch), c, ids, &mut batch.x_rows);
}

/// Multiplies `x_rows` by the dropout mask, and transposes it to x (c·m, `MICRO_BATCH`).
pub(super) fn forward<T: Dispatch>(
    cpu: Cpu,
    shape: &Shape,
    masks: Option<&Masks>,
    batch: &mut MicroBatch<T>,
) {
    let (layout, inputs) = (layout(shape, batch), shape.inputs());
    batch.x_rows[batch.examples * layout.x_stride..].fill(T::default());
    if let Some(masks) = masks.filter(|masks| masks.of_embedding()) {
        masks.drop_embedding(cpu, inputs, batch);
    }
    let to = (&mut *batch.x, MICRO_BATCH);
    elementwise::transpose(cpu, (&batch.x_rows, layout.x_stride), (MICRO_BATCH, inputs), to);
}

/// Multiplies dx by the dropout mask: it becomes the gradient of the rows of C.
pub(super) fn backward<T: Dispatch>(cpu: Cpu, masks: Option<&Masks>, batch: &mut MicroBatch<T>) {
    if masks.is_some_and(Masks::of_embedding) {
        dropout::multiply(cpu, &mut batch.dx_rows, &batch.x_mask);
    }
}

/// Adds α·dC to `c`, where `place` maps an id to its row of `c`, or to [`SKIP`]. A row of dC is the
/// sum of dx over all occurrences of its token, in the order of the examples.
///
/// Returns true if the rows that were changed are in range.
#[must_use]
pub(super) fn add_gradient<T: Dispatch>(
    cpu: Cpu,
    shape: &Shape,
    batches: &[MicroBatch<T>],
    alpha: T,
    place: impl Fn(u32) -> u32,
    c: &mut [T],
) -> bool {
    let mut in_range = true;
    let most = batches.iter().map(|batch| batch.ids(shape).len()).max().unwrap_or(0);
    let mut places = demand(alloc::with_capacity(most));
    for batch in batches {
        places.clear();
        places.extend(batch.ids(shape).iter().map(|&id| place(id)));
        let layout = layout(shape, batch);
        in_range &= embedding::scatter_add(cpu, layout, alpha, &batch.dx_rows, &places, c);
    }
    in_range
}

/// Adds α·dC to the rows of C from `first` on, which one thread owns; the ids of other rows are
/// skipped.
#[must_use]
pub(super) fn add_gradient_of_rows<T: Dispatch>(
    cpu: Cpu,
    shape: &Shape,
    batches: &[MicroBatch<T>],
    alpha: T,
    first: usize,
    rows: &mut [T],
) -> bool {
    let owned = first..first + rows.len() / shape.embedding_dim;
    #[allow(clippy::cast_possible_truncation, reason = "no greater than the id")]
    let place = |id: u32| {
        let row = id as usize;
        if owned.contains(&row) { (row - first) as u32 } else { SKIP }
    };
    add_gradient(cpu, shape, batches, alpha, place, rows)
}

fn layout<T>(shape: &Shape, batch: &MicroBatch<T>) -> Layout {
    let Shape { context_length, embedding_dim, .. } = *shape;
    Layout { dim: embedding_dim, context: context_length, x_stride: batch.x_stride }
}

/// The rows of C that a mini-batch reads, and their gradients. Its buffers are kept from step to
/// step.
#[derive(Debug)]
pub struct SparseGrad<T> {
    /// For each row of C its index in `used`, or [`SKIP`].
    places: Vec<u32>,
    /// The rows, in the order of their first use.
    used: Vec<u32>,
    /// The gradient of each of them: (used, m).
    gradients: Vec<T>,
}

impl<T: Dispatch> SparseGrad<T> {
    /// Allocates it for models of a shape.
    ///
    /// # Errors
    /// [`crate::Error::Memory`].
    pub fn new(shape: &Shape) -> Result<SparseGrad<T>> {
        let places = alloc::filled(SKIP, if shape.tied { 0 } else { shape.vocab_size })?;
        Ok(SparseGrad { places, used: Vec::new(), gradients: Vec::new() })
    }

    /// Updates the rows of C that the mini-batch reads; returns true if they are in range.
    ///
    /// All other rows, and their optimizer state, are neither read nor changed: for them momentum,
    /// moments and decay stand still, as in `PyTorch`'s `SparseAdam`.
    pub(super) fn update(
        &mut self,
        cpu: Cpu,
        shape: &Shape,
        batches: &[MicroBatch<T>],
        update: &Update<T>,
        c: &mut ParamSlice<'_, T>,
    ) -> bool {
        let one = T::from_f64(1.0);
        match *update {
            Update::Gradient => add_gradient(cpu, shape, batches, one, |id| id, c.p),
            Update::Sgd { down, keep } => {
                if keep != one {
                    self.find_rows(shape, batches);
                    for &id in &self.used {
                        for c in row(c.p, id, shape) {
                            *c = *c * keep;
                        }
                    }
                    self.clear();
                }
                add_gradient(cpu, shape, batches, down, |id| id, c.p)
            }
            Update::Momentum(_) | Update::AdamW(_) => {
                self.find_rows(shape, batches);
                self.compute(cpu, shape, batches);
                self.apply(cpu, shape, update, c)
            }
        }
    }

    /// Returns the gradients of the rows found: the sums over these micro-batches.
    pub(super) fn compute(
        &mut self,
        cpu: Cpu,
        shape: &Shape,
        batches: &[MicroBatch<T>],
    ) -> &mut [T] {
        let SparseGrad { places, used, gradients } = self;
        gradients.clear();
        demand(alloc::lengthen(gradients, used.len() * shape.embedding_dim));
        let place = |id| places[id as usize];
        // `apply` checks the range of the updated rows.
        let _ = add_gradient(cpu, shape, batches, T::from_f64(1.0), place, gradients);
        gradients
    }

    /// Updates the rows found by their gradients, and clears them; returns true if they are in range.
    pub(super) fn apply(
        &mut self,
        cpu: Cpu,
        shape: &Shape,
        update: &Update<T>,
        c: &mut ParamSlice<'_, T>,
    ) -> bool {
        let SparseGrad { used, gradients, .. } = self;
        let mut in_range = true;
        let ParamSlice { p, states, .. } = c;
        for (&id, g) in used.iter().zip(gradients.chunks_exact_mut(shape.embedding_dim)) {
            let states = states.each_mut().map(|state| {
                // An optimizer without this state has an empty slice for it.
                if state.is_empty() { &mut [] } else { row(state, id, shape) }
            });
            in_range &= ParamSlice { p: row(p, id, shape), g, states }.apply_gradient(cpu, update);
        }
        self.clear();
        in_range
    }

    /// Finds the rows that the mini-batch reads.
    pub(super) fn find_rows(&mut self, shape: &Shape, batches: &[MicroBatch<T>]) {
        for &id in batches.iter().flat_map(|batch| batch.ids(shape)) {
            let place = &mut self.places[id as usize];
            if *place == SKIP {
                #[allow(clippy::cast_possible_truncation, reason = "fewer than there are ids")]
                let next = self.used.len() as u32;
                *place = next;
                demand(alloc::push(&mut self.used, id));
            }
        }
    }

    /// Clears the rows found, for the next mini-batch.
    fn clear(&mut self) {
        for id in self.used.drain(..) {
            self.places[id as usize] = SKIP;
        }
    }
}

/// Returns a row of a matrix of the shape of C.
fn row<'a, T>(matrix: &'a mut [T], id: u32, shape: &Shape) -> &'a mut [T] {
    &mut matrix[id as usize * shape.embedding_dim..][..shape.embedding_dim]
}
