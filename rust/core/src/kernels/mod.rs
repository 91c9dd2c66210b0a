//! SIMD kernels: gemm and vector functions, compiled for each instruction set.
//!
//! | module | what it does |
//! | --- | --- |
//! | [`simd`] | the traits: number types, vectors, kernels over them |
//! | `portable`, `avx2`, `avx512`, `avx512_double` | the backends: vectors of each instruction set |
//! | `x86` | the code that the backends of x86 have in common |
//! | `vmath` | exp and tanh of `f32` vectors, with their error bounds |
//! | [`dispatch`] | picks the instruction set once per process, and runs kernels with it |
//! | [`gemm`] | sums of matrix products, in register tiles |
//! | [`lanes`] | functions applied number by number, and sums of segments |
//! | [`elementwise`] | tanh, online softmax, scaling, sums and transposition of activations |
//! | [`embedding`] | gather and scatter-add of rows by id |
//! | [`dropout`] | random masks |
//! | [`optim`] | the update rules of momentum and `AdamW` |
//! | [`Buffer`] | memory aligned to cache lines |
//!
//! Kernels are written once, over the trait [`simd::Simd`], and compiled for each backend. Unsafe
//! code is allowed here: public functions assert lengths and ranges before they run a loop.
//!
//! **Layout.** A micro-batch holds [`MICRO_BATCH`] examples side by side: activations of n units
//! are a row-major (n, `MICRO_BATCH`) matrix, an example is a column. Vectors run across examples
//! and loops run down the units, in a fixed order, so an example's result depends neither on its
//! column nor on the thread. Between instruction sets results may differ in their last bits.

#![allow(unsafe_code)]
#![allow(
    clippy::inline_always,
    reason = "only inlined code is compiled for the kernel's instruction set"
)]
#![allow(clippy::indexing_slicing, reason = "entries assert lengths; a wrong index must panic")]

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
#[cfg(target_arch = "x86_64")]
mod avx512_double;
mod buffer;
pub mod dispatch;
pub mod dropout;
pub mod elementwise;
pub mod embedding;
pub mod gemm;
pub mod lanes;
pub mod optim;
mod portable;
pub mod simd;
mod vmath;
#[cfg(target_arch = "x86_64")]
mod x86;

pub use buffer::{Buffer, advise_huge_pages, copy_of};
pub use dispatch::{Cpu, Dispatch};
pub use simd::{Float, MICRO_BATCH};
