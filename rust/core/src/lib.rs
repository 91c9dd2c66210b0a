//! The numerical core of fastgrad, free of Python.
//!
//! | module | what it does |
//! | --- | --- |
//! | [`error`] | the one error enum |
//! | [`graph::op`] | every scalar op: value and local derivatives, once |
//! | [`graph::fused`] | ops over lists: many parents, one or many outputs |
//! | [`graph::sweep`] | topological order and the reverse sweep, over any owner of nodes |
//! | [`graph::optim`] | the update rules of SGD and Adam |
//! | [`words`] | running text as numbers, one a word |
//! | [`ngram`] | n-gram models of words: Kneser-Ney, and a trigram of mixed estimates |
//! | [`watch`] | how long work is watched, and ended early |

#![forbid(unsafe_code)]

pub mod error;
pub mod graph;
pub mod ngram;
pub mod watch;
pub mod words;

pub use error::{Error, Result};
