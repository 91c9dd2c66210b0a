//! Operands: where their numbers lie, gathered where they are not one slice already, and their
//! gradients, added where the operands lie.

use std::ops::Range;

use super::program::{Operand, Part};
use crate::kernels::gemm::Gemm;
use crate::kernels::{Cpu, Dispatch, lanes};
use crate::{Error, Result};

/// Memory for gathered operands and their gradients.
#[derive(Debug, Default)]
pub struct Scratch<T> {
    pub x: Vec<T>,
    pub y: Vec<T>,
    pub d: Vec<T>,
}

/// Returns `n` numbers of memory to write to.
pub fn room<T: Dispatch>(memory: &mut Vec<T>, n: usize) -> Result<&mut [T]> {
    if memory.len() < n {
        memory.try_reserve(n - memory.len()).map_err(|_| Error::Memory)?;
        memory.resize(n, T::default());
    }
    Ok(&mut memory[..n])
}

/// Returns where an operand's numbers lie, if they are one slice, and whether that is in the uniform
/// section, seen from the varying one.
fn slice_of(operand: &Operand, lanes: usize) -> Option<(bool, Range<usize>)> {
    let [Part::Range { slot, len }] = operand.parts[..] else { return None };
    let (first, len) = (slot.index(), len as usize);
    // Numbers of the uniform section are the same in all lanes.
    (lanes == 1 || !slot.is_outer())
        .then(|| (slot.is_outer(), first * lanes..(first + len) * lanes))
}

/// The context of an execution of a section.
#[derive(Clone, Copy)]
pub struct Pass<'a, T> {
    pub cpu: Cpu,
    pub lanes: usize,
    /// The numbers of the uniform section.
    pub outer: &'a [T],
}

impl<T: Dispatch> Pass<'_, T> {
    /// Returns the numbers of an operand, one slot's lanes after the other's.
    pub fn fetch<'m>(
        &'m self,
        operand: &Operand,
        own: &'m [T],
        lanes: usize,
        memory: &'m mut Vec<T>,
    ) -> Result<&'m [T]> {
        if let Some((outer, range)) = slice_of(operand, lanes) {
            return Ok(if outer { &self.outer[range] } else { &own[range] });
        }
        let gathered = room(memory, operand.len() * lanes)?;
        let mut rest = &mut *gathered;
        for part in &operand.parts {
            let (to, others) = rest.split_at_mut(part.len() * lanes);
            rest = others;
            // Numbers of the uniform section are the same in all lanes.
            let (from, width) = if part.is_outer() { (self.outer, 1) } else { (own, lanes) };
            match part {
                Part::Range { slot, len } if width == lanes => {
                    let first = slot.index() * lanes;
                    to.copy_from_slice(&from[first..first + *len as usize * lanes]);
                }
                Part::Range { slot, .. } => {
                    for (to, &number) in to.chunks_exact_mut(lanes).zip(&from[slot.index()..]) {
                        to.fill(number);
                    }
                }
                Part::Repeat { slot, .. } if width == 1 => to.fill(from[slot.index()]),
                Part::Repeat { slot, .. } => {
                    lanes::copy_rows(self.cpu, lanes, from, |_| slot.index(), to);
                }
                Part::Gather { indices, .. } if lanes == 1 => {
                    lanes::gather(self.cpu, from, indices, to);
                }
                Part::Gather { outer: true, indices } => {
                    for (to, &index) in to.chunks_exact_mut(lanes).zip(indices) {
                        to.fill(from[index as usize]);
                    }
                }
                Part::Gather { indices, .. } => {
                    lanes::copy_rows(self.cpu, lanes, from, |i| indices[i] as usize, to);
                }
            }
        }
        Ok(gathered)
    }

    /// Adds gradients to those of an operand's slots.
    pub fn add(&self, operand: &Operand, d: &[T], own: &mut [T], outer: &mut [T], lanes: usize) {
        let cpu = self.cpu;
        let mut rest = d;
        for part in &operand.parts {
            let (d, others) = rest.split_at(part.len() * lanes);
            rest = others;
            // The gradients of all lanes belong to one number of the uniform section.
            let (to, width) = if part.is_outer() { (&mut *outer, 1) } else { (&mut *own, lanes) };
            match part {
                Part::Range { slot, len } if width == lanes => {
                    let first = slot.index() * lanes;
                    lanes::add_to(cpu, d, &mut to[first..first + *len as usize * lanes]);
                }
                Part::Range { slot, len } => {
                    let first = slot.index();
                    lanes::add_sums(cpu, d, lanes, &mut to[first..first + *len as usize]);
                }
                Part::Repeat { slot, .. } if width == 1 => {
                    let to = &mut to[slot.index()];
                    *to = *to + lanes::sum(cpu, d);
                }
                Part::Repeat { slot, .. } => {
                    lanes::add_rows(cpu, lanes, d, |_| slot.index(), to);
                }
                Part::Gather { indices, .. } if lanes == 1 => {
                    for (&index, &d) in indices.iter().zip(d) {
                        to[index as usize] = to[index as usize] + d;
                    }
                }
                Part::Gather { outer: true, indices } => {
                    for (&index, d) in indices.iter().zip(d.chunks_exact(lanes)) {
                        to[index as usize] = to[index as usize] + lanes::sum(cpu, d);
                    }
                }
                Part::Gather { indices, .. } => {
                    lanes::add_rows(cpu, lanes, d, |i| indices[i] as usize, to);
                }
            }
        }
    }

    /// Adds a product of matrices to the gradients of an operand's slots, in place where they are one
    /// slice.
    pub fn add_product(
        &self,
        product: Gemm<T>,
        factors: (&[T], &[T]),
        (operand, lanes): (&Operand, usize),
        (own, outer, memory): (&mut [T], &mut [T], &mut Vec<T>),
    ) -> Result<()> {
        if let Some((is_outer, range)) = slice_of(operand, lanes) {
            let to = if is_outer { &mut outer[range] } else { &mut own[range] };
            Gemm { beta: T::from_f64(1.0), ..product }.gemm(self.cpu, &[factors], to);
        } else {
            let d = room(memory, operand.len() * lanes)?;
            product.gemm(self.cpu, &[factors], d);
            self.add(operand, d, own, outer, lanes);
        }
        Ok(())
    }
}
