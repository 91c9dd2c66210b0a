//! Runs a program over all examples of a batch.
//!
//! Examples are partitioned into blocks, and blocks into at most [`CHUNKS`] chunks, by their number
//! alone. A chunk sums its gradients block by block, and chunks are added up in order: the result
//! is the same for any number of threads.

use std::ops::Range;

use super::program::Program;
use super::replay::{Block, Stop, Uniform};
use crate::kernels::{Cpu, Dispatch};
use crate::progress::Progress;
use crate::worker_pool::WorkerPool;
use crate::{Error, Result};

/// The most chunks that a batch is partitioned into, and so the most threads that are used.
pub const CHUNKS: usize = 8;

/// The most numbers of a block, gradients not counted, that stay in the second-level cache.
const BLOCK: usize = 1 << 15;

/// The memory in which a program is executed.
#[derive(Debug)]
pub struct Replayer<T> {
    cpu: Cpu,
    lanes: usize,
    uniform: Uniform<T>,
    chunks: Vec<Block<T>>,
}

/// A replayer in double or in single precision.
#[derive(Debug)]
pub enum AnyReplayer {
    /// In `f64`.
    Double(Replayer<f64>),
    /// In `f32`.
    Single(Replayer<f32>),
}

impl AnyReplayer {
    /// Does what [`Replayer::new`] does, in single precision where `single` is set.
    ///
    /// # Errors
    /// [`Error::Memory`], [`Error::Cpu`].
    ///
    /// # Panics
    /// If there is not a place for each parameter.
    pub fn new(program: &Program, places: &[u32], single: bool) -> Result<AnyReplayer> {
        Ok(if single {
            AnyReplayer::Single(Replayer::new(program, places)?)
        } else {
            AnyReplayer::Double(Replayer::new(program, places)?)
        })
    }

    /// Does what [`Replayer::reserve`] does.
    ///
    /// # Errors
    /// [`Error::Memory`].
    pub fn reserve(&mut self, program: &Program, examples: usize) -> Result<()> {
        match self {
            AnyReplayer::Double(replayer) => replayer.reserve(program, examples),
            AnyReplayer::Single(replayer) => replayer.reserve(program, examples),
        }
    }

    /// Does what [`Replayer::run`] does.
    ///
    /// # Errors
    /// The first row that stops, and why.
    ///
    /// # Panics
    /// If the number of inputs is not the program's, or there are fewer parameters than places.
    pub fn run(
        &mut self,
        program: &Program,
        pool: &WorkerPool<'_>,
        params: &[f64],
        rows: &[f64],
        to: (&mut [f64], Option<(f64, &mut [f64])>),
    ) -> std::result::Result<(), StopAt> {
        match self {
            AnyReplayer::Double(replayer) => replayer.run(program, pool, params, rows, to),
            AnyReplayer::Single(replayer) => replayer.run(program, pool, params, rows, to),
        }
    }
}

/// A row of a batch and why it could not be replayed.
pub type StopAt = (usize, Stop);

/// A chunk's part of a batch.
struct Part<'a, T> {
    block: &'a mut Block<T>,
    rows: Range<usize>,
    outputs: &'a mut [f64],
    result: std::result::Result<(), StopAt>,
}

impl<T: Dispatch> Replayer<T> {
    /// Allocates the memory for a program's uniform section; that for blocks is allocated by the first
    /// batch. `places` has the place of each slot's parameter among those given to
    /// [`Replayer::run`].
    ///
    /// # Errors
    /// [`Error::Memory`], [`Error::Cpu`].
    ///
    /// # Panics
    /// If there is not a place for each parameter.
    pub fn new(program: &Program, places: &[u32]) -> Result<Replayer<T>> {
        let slots = program.varying.slots.max(1) as usize;
        Ok(Replayer {
            cpu: Cpu::chosen()?,
            lanes: (BLOCK / slots / 8 * 8).clamp(8, 256),
            uniform: Uniform::new(program, places)?,
            chunks: Vec::new(),
        })
    }

    /// Allocates the memory for batches of up to so many examples.
    ///
    /// # Errors
    /// [`Error::Memory`].
    pub fn reserve(&mut self, program: &Program, examples: usize) -> Result<()> {
        let lanes = self.lanes.min(examples);
        for i in 0..examples.div_ceil(self.examples_of_chunk(examples)) {
            match self.chunks.get_mut(i) {
                Some(block) => block.reserve(program, lanes)?,
                None => self.chunks.push(Block::new(program, lanes)?),
            }
        }
        Ok(())
    }

    /// Returns the number of examples of each chunk but the last, of a batch of so many.
    fn examples_of_chunk(&self, examples: usize) -> usize {
        examples.div_ceil(self.lanes).div_ceil(CHUNKS).max(1) * self.lanes
    }

    /// Computes the output of each row of inputs and, with `grads`, adds to them `seed` times
    /// the gradient of the sum of all outputs.
    ///
    /// # Errors
    /// The first row that stops, and why.
    ///
    /// # Panics
    /// If the number of inputs is not the program's, or there are fewer parameters than places.
    pub fn run(
        &mut self,
        program: &Program,
        pool: &WorkerPool<'_>,
        params: &[f64],
        rows: &[f64],
        (outputs, grads): (&mut [f64], Option<(f64, &mut [f64])>),
    ) -> std::result::Result<(), StopAt> {
        let none = |error: Error| (0, Stop::Error(error));
        assert_eq!(rows.len(), outputs.len() * program.inputs, "inputs");
        self.uniform.forward(program, self.cpu, params).map_err(|stop| (0, stop))?;
        self.reserve(program, outputs.len()).map_err(none)?;
        let (cpu, lanes) = (self.cpu, self.lanes);
        let of_chunk = self.examples_of_chunk(outputs.len());
        let count = outputs.len().div_ceil(of_chunk);
        let Replayer { uniform, chunks, .. } = self;
        let seed = grads.as_ref().map(|(seed, _)| *seed);
        let mut parts: Vec<Part<'_, T>> = chunks
            .iter_mut()
            .zip(outputs.chunks_mut(of_chunk))
            .enumerate()
            .map(|(i, (block, outputs))| {
                let first = i * of_chunk;
                Part { block, rows: first..first + outputs.len(), outputs, result: Ok(()) }
            })
            .collect();
        let work = |part: &mut Part<'_, T>| {
            part.result = part.run(program, cpu, uniform, lanes, rows, seed, pool.progress());
        };
        if parts.len() > 1 {
            pool.for_each(&mut parts, work).map_err(none)?;
        } else {
            parts.iter_mut().for_each(work);
        }
        for part in &parts {
            part.result.clone()?;
        }
        drop(parts);
        let Some((_, grads)) = grads else { return Ok(()) };
        let Some((first, others)) = self.chunks[..count].split_first_mut() else { return Ok(()) };
        for chunk in others {
            crate::kernels::lanes::add_to(cpu, &chunk.adjoints, &mut first.adjoints);
        }
        uniform.backward(program, cpu, &first.adjoints, grads).map_err(none)
    }
}

impl<T: Dispatch> Part<'_, T> {
    #[allow(clippy::too_many_arguments, reason = "the state of one batch")]
    fn run(
        &mut self,
        program: &Program,
        cpu: Cpu,
        uniform: &Uniform<T>,
        lanes: usize,
        rows: &[f64],
        seed: Option<f64>,
        progress: &Progress,
    ) -> std::result::Result<(), StopAt> {
        self.block.adjoints.fill(T::default());
        for (i, outputs) in self.outputs.chunks_mut(lanes).enumerate() {
            let first = self.rows.start + i * lanes;
            progress.check().map_err(|error| (first, Stop::Error(error)))?;
            let rows = &rows[first * program.inputs..(first + outputs.len()) * program.inputs];
            let stopped = |stop: Stop| match stop {
                Stop::Failed(lane) | Stop::Index(lane) | Stop::Guard(lane, _) => {
                    (first + lane, stop)
                }
                Stop::Error(_) => (first, stop),
            };
            self.block.forward(program, cpu, uniform, rows, outputs).map_err(stopped)?;
            if let Some(seed) = seed {
                let lanes = outputs.len();
                let done = self.block.backward(program, cpu, uniform, lanes, seed);
                done.map_err(|error| (first, Stop::Error(error)))?;
            }
        }
        Ok(())
    }
}
