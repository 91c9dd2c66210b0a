//! Rows of C that a mini-batch uses: their gradients, and the update of these rows alone.

use super::Shape;
use super::model;
use super::optimizer::{Block, Update};
use super::workspace::Slice;
use crate::linalg::{Cpu, Float};
use crate::{Result, alloc};

/// The place of a row that is not used.
const NONE: u32 = u32::MAX;

/// Which rows of C a mini-batch uses, and room for their gradients; kept from step to step.
#[derive(Debug)]
pub struct Rows<T> {
    /// For each row its place in `used`, or `NONE`.
    places: Vec<u32>,
    /// The rows, in the order of their first use.
    used: Vec<u32>,
    /// A row of gradients for each of them.
    gradients: Vec<T>,
}

impl<T: Float> Rows<T> {
    /// For models of this shape.
    ///
    /// # Errors
    /// [`crate::Error::Memory`].
    pub fn new(shape: &Shape) -> Result<Rows<T>> {
        let places = alloc::filled(NONE, if shape.tied { 0 } else { shape.vocabulary })?;
        Ok(Rows { places, used: Vec::new(), gradients: Vec::new() })
    }

    /// Changes the rows of C that the mini-batch uses; returns whether they are in range now.
    ///
    /// All other rows, and what the optimiser keeps for them, stay as they are and are not read:
    /// for them, momentum, moments and decay stand still, as in `PyTorch`'s `SparseAdam`.
    pub(super) fn change(
        &mut self,
        cpu: Cpu,
        shape: &Shape,
        slices: &[Slice<T>],
        update: &Update<T>,
        c: &mut Block<'_, T>,
    ) -> bool {
        match *update {
            Update::Gradient => {
                model::embed_gradient(cpu, shape, slices, T::from_f64(1.0), |id| id, c.p)
            }
            Update::Sgd { down, keep } => {
                if keep != T::from_f64(1.0) {
                    self.find(shape, slices);
                    for &id in &self.used {
                        for c in row(c.p, id, shape) {
                            *c = *c * keep;
                        }
                    }
                    self.forget();
                }
                model::embed_gradient(cpu, shape, slices, down, |id| id, c.p)
            }
            Update::Momentum(_) | Update::AdamW(_) => {
                self.find(shape, slices);
                let in_range = self.apply(cpu, shape, slices, update, c);
                self.forget();
                in_range
            }
        }
    }

    /// The update by a rule that needs the whole gradient of a row.
    fn apply(
        &mut self,
        cpu: Cpu,
        shape: &Shape,
        slices: &[Slice<T>],
        update: &Update<T>,
        c: &mut Block<'_, T>,
    ) -> bool {
        let Rows { places, used, gradients } = self;
        gradients.clear();
        alloc::demand(alloc::lengthen(gradients, used.len() * shape.features));
        let place = |id| usize::try_from(id).ok().and_then(|id| places.get(id));
        let place = |id| place(id).copied().unwrap_or(NONE);
        let one = T::from_f64(1.0);
        let mut in_range = model::embed_gradient(cpu, shape, slices, one, place, gradients);
        let Block { p, states: [first, second], .. } = c;
        for (&id, g) in used.iter().zip(gradients.chunks_exact_mut(shape.features.max(1))) {
            let states = [row(first, id, shape), row(second, id, shape)];
            in_range &= Block { p: row(p, id, shape), g, states }.apply(cpu, update);
        }
        in_range
    }

    /// Finds the rows that are used.
    fn find(&mut self, shape: &Shape, slices: &[Slice<T>]) {
        for &id in slices.iter().flat_map(|slice| slice.ids(shape)) {
            let Some(place) = usize::try_from(id).ok().and_then(|id| self.places.get_mut(id))
            else {
                continue;
            };
            if *place == NONE {
                *place = u32::try_from(self.used.len()).unwrap_or(NONE);
                alloc::demand(alloc::push(&mut self.used, id));
            }
        }
    }

    /// Makes room for the rows of another mini-batch.
    fn forget(&mut self) {
        for id in self.used.drain(..) {
            if let Some(place) = usize::try_from(id).ok().and_then(|id| self.places.get_mut(id)) {
                *place = NONE;
            }
        }
    }
}

/// A row of a matrix like C; empty where there is none.
fn row<'a, T>(matrix: &'a mut [T], id: u32, shape: &Shape) -> &'a mut [T] {
    let start = usize::try_from(id).ok().and_then(|id| id.checked_mul(shape.features));
    start.and_then(|at| matrix.get_mut(at..at + shape.features)).unwrap_or_default()
}
