//! Products of small matrices and vector functions, for the processor at hand.
//!
//! | module | what it does |
//! | --- | --- |
//! | [`cpu`] | which instructions are used, chosen once a process |
//! | [`product`] | sums of matrix products, in register tiles |
//! | [`lanes`] | functions of whole panels: tanh, softmax, sums over lanes, transposition |
//! | [`table`] | rows looked up, and added to, by number |
//! | [`chance`] | features left out at random |
//! | [`update`] | the update rules of momentum and `AdamW` |
//! | `simd` | what the kernels need of a processor, written for each in `avx512`, `avx2`, `portable` |
//! | `functions` | exp and tanh of `f32`, with their error bounds |
//!
//! Kernels are written once, over the trait `Simd`, and compiled for each set of instructions.
//! This is the only room of the core that may hold unsafe code.
//!
//! **A panel** holds numbers of [`LANES`] examples side by side: a matrix in rows of [`LANES`]. An
//! activation of `n` features is a panel of `n` rows; an example is a column. So every loop over
//! features runs down a column, in an order that depends on nothing, and vectors run across
//! examples: what is computed for an example is the same wherever it lies in a panel and whoever
//! computes it. Between sets of instructions results may differ in their last bits.

#![allow(unsafe_code)]
#![allow(
    clippy::inline_always,
    reason = "only inlined code is compiled for the kernel's processor"
)]

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
mod buffer;
pub mod chance;
pub mod cpu;
mod float;
mod functions;
pub mod lanes;
mod portable;
pub mod product;
mod simd;
pub mod table;
pub mod update;

pub use buffer::{Buffer, copy_of};
pub use cpu::Cpu;
pub use float::Float;

/// How many examples lie side by side in a panel.
pub const LANES: usize = 32;
