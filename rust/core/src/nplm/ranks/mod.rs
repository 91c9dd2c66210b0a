//! A mini-batch on several ranks: processes, usually on different machines, that train one model.
//!
//! # Exact
//!
//! Each rank has a [`Shard`](super::Shard) of the output layer, which is nearly all of the work over
//! a large vocabulary: some tiles of tokens, whose rows of U, b and W it reads and updates. All other
//! layers are small, and every rank computes them, with the same bits. A step:
//!
//! ```text
//!             rank 0               rank 1               rank 2, the last
//! forward     x, a, z              x, a, z              x, a, z
//! tiles       its own  ── state ─> its own  ── state ─> its own, which complete dz and dx
//! dz, dx      <────────────────────<──────────────────  broadcast
//! backward    dh, dx               dh, dx               dh, dx
//! update      C H d, own U b W     C H d, own U b W     C H d, own U b W
//! ```
//!
//! The state of a micro-batch is its online softmax over the tiles so far, dz and dx. Ranks send it on
//! in the order of the tiles, so that every sum is added in the same order as on one rank. Groups of
//! micro-batches are pipelined: while a rank computes one, the rank before it computes the next.
//!
//! In tied models C is the matrix of the output layer, so a rank lacks most of the rows of C that the
//! contexts need. Each rank copies the rows that it has into x, and x is summed over the ranks.
//!
//! # Fast
//!
//! Every rank has all parameters, and takes a part of the examples through the model. The gradients
//! of all parameters are summed over the ranks, in an order that the communicator chooses. As with any
//! sum of n floats, the error is at most n·ε/2 times the sum of their magnitudes. One thread sums the
//! gradients of some rows of the output layer while the others compute those of the next rows.

pub(super) mod exact;
pub(super) mod fast;

use crate::Result;

/// Sends messages between ranks. All ranks make the same calls in the same order.
pub trait Comm<T>: Sync {
    /// Returns the number of this rank, from 0.
    fn rank(&self) -> usize;

    /// Returns the number of ranks.
    fn size(&self) -> usize;

    /// Sends numbers to another rank without waiting until they are received, and does not change
    /// them.
    ///
    /// # Errors
    /// [`crate::Error::Failed`] where the message cannot be sent.
    fn send(&self, numbers: &mut [T], to: usize) -> Result<()>;

    /// Receives the next message of a rank, which has the length of `numbers`.
    ///
    /// # Errors
    /// [`crate::Error::Failed`] where no message can come.
    fn receive(&self, numbers: &mut [T], from: usize) -> Result<()>;

    /// Copies the numbers of one rank to all.
    ///
    /// # Errors
    /// As of [`Comm::receive`].
    fn broadcast(&self, numbers: &mut [T], from: usize) -> Result<()>;

    /// Replaces numbers by their sum over all ranks, which is the same on each.
    ///
    /// # Errors
    /// As of [`Comm::receive`].
    fn sum(&self, numbers: &mut [T]) -> Result<()>;

    /// Replaces doubles by their sum over all ranks, which is the same on each.
    ///
    /// # Errors
    /// As of [`Comm::receive`].
    fn sum_doubles(&self, numbers: &mut [f64]) -> Result<()>;
}

/// How the work of a step is shared out between ranks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reduction {
    /// Each rank has a shard of the output layer. The results have the same bits as on one rank.
    Exact,
    /// Each rank has all parameters. Gradients are summed in the communicator's order.
    Fast,
}

/// The ranks that train a model.
#[derive(Clone, Copy)]
pub struct Ranks<'a, T> {
    /// Sends messages between them.
    pub comm: &'a dyn Comm<T>,
    /// How the work is shared out between them.
    pub reduction: Reduction,
}
