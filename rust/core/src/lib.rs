//! The numerical core of fastgrad, which knows nothing of Python.
//!
//! | module | what it does |
//! | --- | --- |
//! | [`alloc`] | fallible allocation of whatever grows with its input |
//! | [`reserve`] | the allocator, with a reserve for small requests that the system refuses |
//! | [`ngram_counts`] | n-gram counts of characters, from text of any size |
//! | [`error`] | the one error enum |
//! | [`autograd::op`] | every scalar op: value and local derivatives, once |
//! | [`autograd::fused`] | ops over lists: many parents, one or many outputs |
//! | [`autograd::backward`] | topological order and the reverse sweep, over any owner of nodes |
//! | [`autograd::optim`] | the update rules of SGD and Adam |
//! | [`layout`] | where the nodes of a drawn graph stand |
//! | [`kernels`] | SIMD kernels: gemm and vector functions for each instruction set |
//! | [`neural_bigram`] | the neural bigram: loss, gradient and training |
//! | [`nplm`] | the neural probabilistic language model, trained in place |
//! | [`words`] | running text as ids, one per word |
//! | [`ngram_lm`] | n-gram models of words: Kneser-Ney, and an interpolated trigram |
//! | [`rng`] | seeded random numbers, and alias tables |
//! | [`worker_pool`] | threads that stay awake between many short parallel loops |
//! | [`sampling`] | items drawn symbol by symbol from a language model's distributions |
//! | [`parallel`] | an ordered parallel map |
//! | [`sort`] | a sort that can be cancelled |
//! | [`tape`] | a scalar program, recorded once and replayed in vectors |
//! | [`text`] | whitespace, newlines and the UTF-8 BOM |
//! | [`progress`] | how far a computation is, and whether to cancel it |

// Allowed in `kernels`, for zeroed memory in `alloc`, and in the allocator of `reserve`.
#![deny(unsafe_code)]

pub mod alloc;
pub mod autograd;
pub mod error;
pub mod kernels;
pub mod layout;
pub mod neural_bigram;
pub mod ngram_counts;
pub mod ngram_lm;
pub mod nplm;
pub mod parallel;
pub mod progress;
pub mod reserve;
pub mod rng;
pub mod sampling;
pub mod sort;
pub mod tape;
pub mod text;
pub mod words;
pub mod worker_pool;

pub use error::{Error, Result};
