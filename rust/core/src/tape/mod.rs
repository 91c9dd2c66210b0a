//! A scalar program, recorded once and replayed in vectors.
//!
//! ```text
//! record       the graph of one example, number operands included          graph.rs
//! simplify     constants, common subexpressions, unused nodes              simplify.rs
//! find sums    chains of acc + a·b become sums of products                 sums.rs
//! schedule     nodes of one op at one depth become one instruction; sums
//!              of products with common factors become A·X                  schedule.rs, program.rs
//! replay       forward and backward over blocks of examples                replay.rs, operands.rs,
//!                                                                           elementwise.rs
//! run          all examples of a batch, on all threads                     batch.rs
//! train        gradients and updates, step after step                      train.rs
//! export       the program as a function in C or Rust                      export.rs
//! encode       the program as arrays, for a file                           encode.rs
//! ```
//! The oracle of every pass is the eager engine: a replay gives its values and gradients, up to the
//! order in which sums are added.
#![allow(
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "positions are the tape's own, fewer than 2³²; a wrong one must be loud"
)]

pub mod batch;
mod elementwise;
pub mod encode;
pub mod export;
pub mod graph;
mod operands;
pub mod program;
pub mod replay;
pub mod schedule;
pub mod simplify;
pub mod sums;
pub mod train;

pub use graph::{Builder, Comparison, Guard, Id, Node, Tape};
pub use program::Program;

use crate::Result;

/// The passes to do: all, unless one is switched off to measure what it saves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(clippy::struct_excessive_bools, reason = "each is switched by itself")]
pub struct Passes {
    /// Fold constants.
    pub fold: bool,
    /// Compute equal nodes once.
    pub share: bool,
    /// Find sums of products.
    pub sums: bool,
    /// Combine sums of products into products of matrices.
    pub matrices: bool,
}

impl Default for Passes {
    fn default() -> Passes {
        Passes { fold: true, share: true, sums: true, matrices: true }
    }
}

impl Passes {
    /// Returns the tape after all passes that work on tapes.
    ///
    /// # Errors
    /// [`crate::Error::Memory`].
    pub fn simplify(self, tape: &Tape) -> Result<Tape> {
        let mut simpler = simplify::drop_unused(tape)?;
        if self.fold || self.share {
            simpler = simplify::fold(&simpler, self.fold, self.share)?;
        }
        if self.sums {
            simpler = simplify::drop_unused(&simpler)?;
            simpler = sums::find_sums(&simpler)?;
        }
        simplify::drop_unused(&simpler)
    }

    /// Returns the vector program of a tape that [`Passes::simplify`] has returned.
    ///
    /// # Errors
    /// [`crate::Error::Memory`].
    pub fn schedule(self, simplified: &Tape) -> Result<Program> {
        schedule::schedule(simplified, self.matrices)
    }

    /// Compiles a tape.
    ///
    /// # Errors
    /// [`crate::Error::Memory`]; [`crate::Error::Invalid`] as of [`Tape::validate`].
    pub fn compile(self, tape: &Tape) -> Result<Program> {
        tape.validate()?;
        self.schedule(&self.simplify(tape)?)
    }
}
