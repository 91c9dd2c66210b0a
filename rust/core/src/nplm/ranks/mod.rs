//! A mini-batch on several ranks: processes, mostly of different machines, that train one model.
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
//! The state of a micro-batch is that of its online softmax after the tiles so far, and dz and dx. It
//! goes from rank to rank in the order of the tiles, so that every sum has the order that it has on
//! one rank. Groups of micro-batches follow each other: while a rank has one, the rank before it has
//! the next.
//!
//! In tied models the rows of C are those of the output layer, and a rank lacks most of the rows
//! that its contexts need. Each rank copies those that it has into x, and x is summed over the ranks.
//!
//! # Fast
//!
//! Every rank has all parameters, and takes a part of the examples through the model. The gradients
//! of all parameters are summed over the ranks, in the order that the communicator chooses: a sum of
//! n numbers is off by at most n·ε/2 times the sum of their magnitudes then, as any sum of floats is.
//! Rows of the output layer are summed on a thread of its own while the next ones are computed.

pub(super) mod exact;
pub(super) mod fast;

use crate::Result;

/// Messages between ranks. All ranks make the same calls in the same order.
pub trait Comm<T>: Sync {
    /// Returns the number of this rank, from 0.
    fn rank(&self) -> usize;

    /// Returns the number of ranks.
    fn size(&self) -> usize;

    /// Sends numbers to another rank, without waiting until they are received; they stay as they are.
    ///
    /// # Errors
    /// [`crate::Error::Failed`] where the message cannot be sent.
    fn send(&self, numbers: &mut [T], to: usize) -> Result<()>;

    /// Receives as many numbers as were sent; messages of a rank come in their order.
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

/// The way in which ranks share the work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reduction {
    /// With the bits of one rank; each rank has a shard of the output layer.
    Exact,
    /// With sums in the order of the communicator; each rank has all parameters.
    Fast,
}

/// The ranks that train a model.
#[derive(Clone, Copy)]
pub struct Ranks<'a, T> {
    /// Their messages.
    pub comm: &'a dyn Comm<T>,
    /// The way in which they share the work.
    pub reduction: Reduction,
}
