//! The numerical core of fastgrad, free of Python.
//!
//! | module | what it does |
//! | --- | --- |
//! | [`alloc`] | memory that the system may refuse |
//! | [`ngram_counts`] | n-gram counts of characters, from text of any size |
//! | [`error`] | the one error enum |
//! | [`bigram`] | the neural bigram: loss, gradient and training |
//! | [`autograd::op`] | every scalar op: value and local derivatives, once |
//! | [`autograd::fused`] | ops over lists: many parents, one or many outputs |
//! | [`autograd::backward`] | topological order and the reverse sweep, over any owner of nodes |
//! | [`autograd::optim`] | the update rules of SGD and Adam |
//! | [`linalg`] | products of small matrices and vector functions, for the processor at hand |
//! | [`nplm`] | the neural probabilistic language model, trained in place |
//! | [`words`] | running text as numbers, one a word |
//! | [`ngram_lm`] | n-gram models of words: Kneser-Ney, and a trigram of mixed estimates |
//! | [`random`] | seeded random numbers, and draws from any distribution |
//! | [`sampling`] | items drawn symbol by symbol from a language model's distributions |
//! | [`parallel`] | an ordered parallel map |
//! | [`sort`] | a sort that can be cancelled |
//! | [`text`] | whitespace, newlines and the UTF-8 BOM |
//! | [`progress`] | how far a computation is, and whether to cancel it |

// Allowed in `linalg`, and for zeroed memory in `alloc`.
#![deny(unsafe_code)]

pub mod alloc;
pub mod autograd;
pub mod bigram;
pub mod error;
pub mod linalg;
pub mod ngram_counts;
pub mod ngram_lm;
pub mod nplm;
pub mod parallel;
pub mod progress;
pub mod random;
pub mod sampling;
pub mod sort;
pub mod text;
pub mod words;

pub use error::{Error, Result};
