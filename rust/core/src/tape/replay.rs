//! Executes a program forwards and backwards over a block of examples.
//!
//! A slot holds a number for each example of the block, its lanes, side by side. Each instruction
//! reads its operands as one slice, gathered where they are not one already, and writes its results
//! as one slice; its backward pass turns the gradients of the results into those of the operands,
//! and adds them where the operands lie. What is read from the uniform section is the same for all
//! lanes, so its gradients are summed over them.

use std::ops::Range;

use super::elementwise::{binary, binary_vjp, unary, unary_vjp};
use super::operands::{Pass, Scratch, room};
use super::program::{Instruction, Operand, Program, Section, Slot};
use crate::autograd::op::Op;
use crate::kernels::gemm::Gemm;
use crate::kernels::{Cpu, Dispatch, elementwise, lanes};
use crate::{Error, Result, alloc};

/// Why a replay stopped without the result of the recorded program.
#[derive(Clone, Debug, PartialEq)]
pub enum Stop {
    /// The op of an example failed, such as a division by zero; the example's place in the block.
    Failed(usize),
    /// An index to select by is not one of its list.
    Index(usize),
    /// A comparison of the example comes out otherwise than recorded; the guard's place.
    Guard(usize, u32),
    /// Anything else.
    Error(Error),
}

impl From<Error> for Stop {
    fn from(error: Error) -> Stop {
        Stop::Error(error)
    }
}

/// The numbers of a section, and memory to work in.
#[derive(Debug)]
struct Memory<T> {
    values: Vec<T>,
    adjoints: Vec<T>,
    slopes: Vec<T>,
}

impl<T: Dispatch> Memory<T> {
    fn new(section: &Section, lanes: usize) -> Result<Memory<T>> {
        let size = |slots: u32| (slots as usize).checked_mul(lanes).ok_or(Error::Memory);
        Ok(Memory {
            values: alloc::zeroed(size(section.slots)?)?,
            adjoints: alloc::zeroed(size(section.slots)?)?,
            slopes: alloc::zeroed(size(section.slopes)?)?,
        })
    }

    /// Returns true if there is memory for blocks of `lanes` examples.
    fn fits(&self, section: &Section, lanes: usize) -> bool {
        self.values.len() >= section.slots as usize * lanes
    }
}

/// Parameters that lie one after the other both in the slots and in the caller's array.
#[derive(Debug)]
struct Run {
    slots: Range<usize>,
    places: Range<usize>,
}

impl Run {
    /// Returns the runs of parameters, given the place of each slot's parameter.
    fn of(places: &[u32]) -> Result<Vec<Run>> {
        let mut runs: Vec<Run> = Vec::new();
        for (slot, &place) in places.iter().enumerate() {
            let place = place as usize;
            match runs.last_mut() {
                Some(run) if run.places.end == place => {
                    (run.slots.end, run.places.end) = (slot + 1, place + 1);
                }
                _ => {
                    runs.try_reserve(1).map_err(|_| Error::Memory)?;
                    runs.push(Run { slots: slot..slot + 1, places: place..place + 1 });
                }
            }
        }
        Ok(runs)
    }
}

/// The uniform section's numbers: parameters, constants, and what follows from them.
#[derive(Debug)]
pub struct Uniform<T> {
    runs: Vec<Run>,
    memory: Memory<T>,
    scratch: Scratch<T>,
}

impl<T: Dispatch> Uniform<T> {
    /// Allocates the numbers and sets the constants; `places` are where the caller has the parameter
    /// of each slot.
    ///
    /// # Errors
    /// [`Error::Memory`].
    ///
    /// # Panics
    /// If there is not a place for each parameter.
    pub fn new(program: &Program, places: &[u32]) -> Result<Uniform<T>> {
        assert_eq!(places.len(), program.order.len(), "places");
        let mut memory = Memory::new(&program.uniform, 1)?;
        let constants = &mut memory.values[program.order.len()..];
        for (slot, &number) in constants.iter_mut().zip(&program.constants) {
            *slot = T::from_f64(number);
        }
        Ok(Uniform { runs: Run::of(places)?, memory, scratch: Scratch::default() })
    }

    /// Sets the parameters and computes what follows from them.
    ///
    /// # Errors
    /// [`Stop`].
    ///
    /// # Panics
    /// If there are fewer than places.
    pub fn forward(
        &mut self,
        program: &Program,
        cpu: Cpu,
        params: &[f64],
    ) -> std::result::Result<(), Stop> {
        let Uniform { runs, memory, scratch } = self;
        for Run { slots, places } in runs {
            let slots = &mut memory.values[slots.clone()];
            for (slot, &number) in slots.iter_mut().zip(&params[places.clone()]) {
                *slot = T::from_f64(number);
            }
        }
        Pass { cpu, lanes: 1, outer: &[] }.forward(&program.uniform, memory, scratch)
    }

    /// Adds the gradients of the parameters to `grads`. The varying section has left in the adjoints
    /// what it adds to the gradient of each slot of this section.
    ///
    /// # Errors
    /// [`Error::Memory`].
    ///
    /// # Panics
    /// If there are fewer `grads` than places.
    pub fn backward(
        &mut self,
        program: &Program,
        cpu: Cpu,
        adjoints: &[T],
        grads: &mut [f64],
    ) -> Result<()> {
        let Uniform { runs, memory, scratch } = self;
        memory.adjoints.copy_from_slice(adjoints);
        let pass = Pass { cpu, lanes: 1, outer: &[] };
        pass.backward(&program.uniform, memory, &mut [], scratch)?;
        for Run { slots, places } in runs {
            let found = &memory.adjoints[slots.clone()];
            for (grad, &found) in grads[places.clone()].iter_mut().zip(found) {
                *grad += found.to_f64();
            }
        }
        Ok(())
    }

    /// Returns the number of slots.
    #[must_use]
    pub fn slots(&self) -> usize {
        self.memory.values.len()
    }
}

/// The varying section's numbers for a block of examples.
#[derive(Debug)]
pub struct Block<T> {
    memory: Memory<T>,
    scratch: Scratch<T>,
    /// The gradients of the uniform section's slots, summed over blocks.
    pub adjoints: Vec<T>,
}

impl<T: Dispatch> Block<T> {
    /// Allocates the numbers for blocks of `lanes` examples.
    ///
    /// # Errors
    /// [`Error::Memory`].
    pub fn new(program: &Program, lanes: usize) -> Result<Block<T>> {
        Ok(Block {
            memory: Memory::new(&program.varying, lanes)?,
            scratch: Scratch::default(),
            adjoints: alloc::zeroed(program.uniform.slots as usize)?,
        })
    }

    /// Allocates more memory where `lanes` examples need it.
    ///
    /// # Errors
    /// [`Error::Memory`].
    pub fn reserve(&mut self, program: &Program, lanes: usize) -> Result<()> {
        if !self.memory.fits(&program.varying, lanes) {
            self.memory = Memory::new(&program.varying, lanes)?;
        }
        Ok(())
    }

    /// Computes the outputs of examples, a row of inputs each.
    ///
    /// # Errors
    /// [`Stop`].
    ///
    /// # Panics
    /// If the rows do not fit the outputs.
    pub fn forward(
        &mut self,
        program: &Program,
        cpu: Cpu,
        uniform: &Uniform<T>,
        rows: &[f64],
        outputs: &mut [f64],
    ) -> std::result::Result<(), Stop> {
        let lanes = outputs.len();
        assert_eq!(rows.len(), lanes * program.inputs);
        for (lane, row) in rows.chunks_exact(program.inputs.max(1)).enumerate() {
            for (i, &number) in row.iter().enumerate() {
                self.memory.values[i * lanes + lane] = T::from_f64(number);
            }
        }
        let outer = &uniform.memory.values;
        let Block { memory, scratch, .. } = self;
        Pass { cpu, lanes, outer }.forward(&program.varying, memory, scratch)?;
        self.check_guards(program, uniform, lanes)?;
        for (lane, output) in outputs.iter_mut().enumerate() {
            *output = self.number(program.output, uniform, lanes, lane);
        }
        Ok(())
    }

    /// Adds `seed` times the gradient of each example's output to the gradients of the uniform
    /// section's slots, after [`Block::forward`] of as many examples.
    ///
    /// # Errors
    /// [`Error::Memory`].
    pub fn backward(
        &mut self,
        program: &Program,
        cpu: Cpu,
        uniform: &Uniform<T>,
        lanes: usize,
        seed: f64,
    ) -> Result<()> {
        let Block { memory, scratch, adjoints } = self;
        memory.adjoints[..program.varying.slots as usize * lanes].fill(T::default());
        let at = program.output.index();
        if program.output.is_outer() {
            for _ in 0..lanes {
                adjoints[at] = adjoints[at] + T::from_f64(seed);
            }
        } else {
            memory.adjoints[at * lanes..(at + 1) * lanes].fill(T::from_f64(seed));
        }
        let outer = &uniform.memory.values;
        Pass { cpu, lanes, outer }.backward(&program.varying, memory, adjoints, scratch)
    }

    /// Makes the comparisons of the recorded program; fails at the first other outcome.
    fn check_guards(
        &self,
        program: &Program,
        uniform: &Uniform<T>,
        lanes: usize,
    ) -> std::result::Result<(), Stop> {
        for lane in 0..lanes {
            let number = |slot| self.number(slot, uniform, lanes, lane);
            for (guard, x, y) in &program.guards {
                if !guard.holds(number(*x), number(*y)) {
                    return Err(Stop::Guard(lane, guard.place));
                }
            }
        }
        Ok(())
    }

    fn number(&self, slot: Slot, uniform: &Uniform<T>, lanes: usize, lane: usize) -> f64 {
        let number = if slot.is_outer() {
            uniform.memory.values[slot.index()]
        } else {
            self.memory.values[slot.index() * lanes + lane]
        };
        number.to_f64()
    }
}

impl<T: Dispatch> Pass<'_, T> {
    fn forward(
        &self,
        section: &Section,
        memory: &mut Memory<T>,
        scratch: &mut Scratch<T>,
    ) -> std::result::Result<(), Stop> {
        let (cpu, lanes) = (self.cpu, self.lanes);
        let Memory { values, slopes, .. } = memory;
        for instruction in &section.instructions {
            let at = instruction.out() as usize * lanes;
            let (own, out) = values.split_at_mut(at);
            let out = &mut out[..instruction.results() * lanes];
            match instruction {
                Instruction::Copy { x, .. } => {
                    out.copy_from_slice(self.fetch(x, own, lanes, &mut scratch.x)?);
                }
                Instruction::Unary { op, x, slope, .. } => {
                    let x = self.fetch(x, own, lanes, &mut scratch.x)?;
                    let slope = &mut slopes[*slope as usize * lanes..];
                    unary(cpu, *op, x, out, slope).map_err(|i| Stop::Failed(i % lanes))?;
                }
                Instruction::Binary { op, x, y, slope, .. } => {
                    let x = self.fetch(x, own, lanes, &mut scratch.x)?;
                    let y = self.fetch(y, own, lanes, &mut scratch.y)?;
                    let slope = &mut slopes[*slope as usize * lanes..];
                    binary(cpu, *op, (x, y), out, slope).map_err(|i| Stop::Failed(i % lanes))?;
                }
                Instruction::Dots { counts, x, y, .. } => {
                    let is_square = y.as_ref() == Some(x);
                    let x = self.fetch(x, own, lanes, &mut scratch.x)?;
                    let y = match y {
                        Some(_) if is_square => Some(x),
                        Some(y) => Some(self.fetch(y, own, lanes, &mut scratch.y)?),
                        None => None,
                    };
                    match (out, y) {
                        ([sum], Some(y)) => {
                            let products = room(&mut scratch.d, x.len())?;
                            lanes::zip(cpu, x, y, products, |x, y| x * y);
                            *sum = lanes::sum(cpu, products);
                        }
                        (out, y) => lanes::sum_terms(cpu, counts, lanes, x, y, out),
                    }
                }
                Instruction::Highest { counts, x, .. } => {
                    let mut x = self.fetch(x, own, lanes, &mut scratch.x)?;
                    out.fill(T::from_f64(f64::NEG_INFINITY));
                    for &count in counts {
                        let (items, others) = x.split_at(count as usize * lanes);
                        x = others;
                        for (out, &x) in out.iter_mut().zip(items) {
                            *out = if x > *out { x } else { *out };
                        }
                    }
                }
                Instruction::MatMul { a, x, bias, rows, inner, cols, .. } => {
                    let (m, k) = (*rows as usize, *inner as usize);
                    let n = *cols as usize * lanes;
                    let mut product = product(m, k, n);
                    if let Some(bias) = bias {
                        let bias = self.fetch(bias, own, 1, &mut scratch.d)?;
                        for (out, &bias) in out.chunks_exact_mut(n).zip(bias) {
                            out.fill(bias);
                        }
                        product.beta = T::from_f64(1.0);
                    }
                    let a = self.fetch(a, own, 1, &mut scratch.x)?;
                    let x = self.fetch(x, own, lanes, &mut scratch.y)?;
                    product.gemm(cpu, &[(a, x)], out);
                }
                Instruction::Select { from, choices, index, .. } => {
                    let index = self.fetch(index, own, lanes, &mut scratch.x)?;
                    let rows = out.chunks_exact_mut(lanes).zip(index.chunks_exact(lanes));
                    for ((out, index), from) in rows.zip(from.chunks_exact(*choices as usize)) {
                        for (lane, (out, &index)) in out.iter_mut().zip(index).enumerate() {
                            let slot = from[chosen(index, *choices).ok_or(Stop::Index(lane))?];
                            *out = if slot.is_outer() {
                                self.outer[slot.index()]
                            } else {
                                own[slot.index() * lanes + lane]
                            };
                        }
                    }
                }
            }
        }
        Ok(())
    }

    fn backward(
        &self,
        section: &Section,
        memory: &mut Memory<T>,
        outer: &mut [T],
        scratch: &mut Scratch<T>,
    ) -> Result<()> {
        let (cpu, lanes) = (self.cpu, self.lanes);
        let Memory { values, adjoints, slopes } = memory;
        for instruction in section.instructions.iter().rev() {
            let at = instruction.out() as usize * lanes;
            let n = instruction.results() * lanes;
            let (own, out) = (&values[..at], &values[at..at + n]);
            let (d_own, d_out) = adjoints.split_at_mut(at);
            let g = &d_out[..n];
            match instruction {
                Instruction::Unary { op, x, slope, .. } if x.active => {
                    let d = room(&mut scratch.d, n)?;
                    let slope = &slopes[*slope as usize * lanes..];
                    let values = self.fetch(x, own, lanes, &mut scratch.x)?;
                    unary_vjp(cpu, *op, (values, out, slope, g), d);
                    self.add(x, d, d_own, outer, lanes);
                }
                Instruction::Binary { op, x, y, slope, .. } => {
                    let slope = &slopes[*slope as usize * lanes..];
                    for (which, operand) in [(0, x), (1, y)] {
                        if !operand.active {
                            continue;
                        }
                        if which == 0 && matches!(op, Op::Add | Op::Sub) || *op == Op::Add {
                            self.add(operand, g, d_own, outer, lanes);
                            continue;
                        }
                        let d = room(&mut scratch.d, n)?;
                        let x = self.fetch(x, own, lanes, &mut scratch.x)?;
                        let y = self.fetch(y, own, lanes, &mut scratch.y)?;
                        binary_vjp(cpu, *op, which, [x, y, out, slope, g], d);
                        self.add(operand, d, d_own, outer, lanes);
                    }
                }
                Instruction::Dots { counts, x, y, .. } => {
                    let mut terms = |operand: &Operand, factor: Option<&Operand>, times: f64| {
                        if !operand.active {
                            return Ok(());
                        }
                        let d = room(&mut scratch.d, operand.len() * lanes)?;
                        let factor = match factor {
                            Some(factor) => Some(self.fetch(factor, own, lanes, &mut scratch.x)?),
                            None => None,
                        };
                        let times = T::from_f64(times);
                        match (g, factor) {
                            (&[g], Some(factor)) => lanes::map(cpu, factor, d, |x| x * (times * g)),
                            _ => lanes::scale_terms(cpu, counts, lanes, factor, g, times, d),
                        }
                        self.add(operand, d, d_own, outer, lanes);
                        Ok::<(), Error>(())
                    };
                    match y {
                        None => terms(x, None, 1.0)?,
                        Some(y) if y == x => terms(x, Some(x), 2.0)?,
                        Some(y) => {
                            terms(x, Some(y), 1.0)?;
                            terms(y, Some(x), 1.0)?;
                        }
                    }
                }
                Instruction::MatMul { a, x, bias, rows, inner, cols, .. } => {
                    let (m, k) = (*rows as usize, *inner as usize);
                    let columns = *cols as usize * lanes;
                    for bias in bias.iter().filter(|bias| bias.active) {
                        self.add(bias, g, d_own, outer, columns);
                    }
                    if x.active {
                        let weights = self.fetch(a, own, 1, &mut scratch.x)?;
                        let product = Gemm { rsa: 1, csa: k, ..product(k, m, columns) };
                        let to = (&mut *d_own, &mut *outer, &mut scratch.d);
                        self.add_product(product, (weights, g), (x, lanes), to)?;
                    }
                    if a.active {
                        let x = self.fetch(x, own, lanes, &mut scratch.x)?;
                        let transposed = room(&mut scratch.y, columns * k)?;
                        elementwise::transpose(cpu, (x, columns), (k, columns), (transposed, k));
                        let to = (&mut *d_own, &mut *outer, &mut scratch.d);
                        self.add_product(product(m, columns, k), (g, transposed), (a, 1), to)?;
                    }
                }
                Instruction::Select { from, choices, index, active: true, .. } => {
                    let index = self.fetch(index, own, lanes, &mut scratch.x)?;
                    self.add_to_chosen(from, *choices, index, g, (d_own, outer))?;
                }
                // They have no gradient, or no parameter depends on it.
                Instruction::Copy { .. }
                | Instruction::Highest { .. }
                | Instruction::Unary { .. }
                | Instruction::Select { .. } => {}
            }
        }
        Ok(())
    }

    /// Adds gradients to those of the slots that indices choose.
    fn add_to_chosen(
        &self,
        from: &[Slot],
        choices: u32,
        index: &[T],
        g: &[T],
        (own, outer): (&mut [T], &mut [T]),
    ) -> Result<()> {
        let lanes = self.lanes;
        let rows = g.chunks_exact(lanes).zip(index.chunks_exact(lanes));
        for ((g, index), from) in rows.zip(from.chunks_exact(choices as usize)) {
            for (lane, (&g, &index)) in g.iter().zip(index).enumerate() {
                let slot = from[chosen(index, choices).ok_or(Error::Failed)?];
                let to = if slot.is_outer() {
                    &mut outer[slot.index()]
                } else {
                    &mut own[slot.index() * lanes + lane]
                };
                *to = *to + g;
            }
        }
        Ok(())
    }
}

/// Returns the product of a dense (m, k) and a dense (k, n) matrix.
fn product<T: Dispatch>(m: usize, k: usize, n: usize) -> Gemm<T> {
    let (alpha, beta) = (T::from_f64(1.0), T::default());
    Gemm { m, k, n, alpha, rsa: k, csa: 1, rsb: n, beta, rsc: n }
}

/// Returns an index if it is a whole number below `choices`.
fn chosen<T: Dispatch>(index: T, choices: u32) -> Option<usize> {
    let choice = index.to_f64() as u32;
    (f64::from(choice) == index.to_f64() && choice < choices).then_some(choice as usize)
}
