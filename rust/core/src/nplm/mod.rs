//! The neural probabilistic language model of Bengio, Ducharme, Vincent and Jauvin,
//! "A neural probabilistic language model", JMLR 3:1137–1155 (2003).
//!
//! ```text
//! x = the rows of C of the c tokens before a token, side by side        (c·m)
//! a = tanh(d + H·x)                                                     (h)
//! y = b + W·x + U·a            in tied models  y = b + W·x + C·P·a      (V)
//! loss = −ln softmax(y)[target]
//! ```
//!
//! | parameter | shape | what it is |
//! | --- | --- | --- |
//! | C | V × m | the embeddings |
//! | H, d | h × c·m, h | the hidden layer |
//! | U, b | V × h, V | the output layer |
//! | W | V × c·m | direct connections, which may be left out |
//! | P | m × h | the projection of tied models, which have no U |
//!
//! | module | what it does |
//! | --- | --- |
//! | `params` | shape, parameters and data of a model |
//! | [`batch`] | a micro-batch: its examples and all activations |
//! | [`embedding`] | the embedding layer: forward, gradient, sparse update |
//! | [`hidden`] | the hidden layer and the projection: forward, backward, gradients |
//! | [`output`] | the output layer with softmax and cross-entropy: forward, backward, gradients |
//! | [`dropout`] | dropout masks of embedding and hidden layer |
//! | [`optimizer`] | how a gradient becomes an update |
//! | `step` | one step: forward and backward, then gradients and updates |
//! | [`train`] | many steps |
//! | [`eval`] | losses, activations, probabilities and gradients without training |
//! | [`ranks`] | the same step on several processes, and the messages between them |
//!
//! `d…` names a gradient: `dx` is the gradient of the loss with respect to x.
//!
//! # Sums that do not depend on threads
//!
//! A mini-batch is split into micro-batches of [`crate::kernels::MICRO_BATCH`] examples. A step has
//! two phases, and threads partition each in its own way:
//!
//! 1. *Examples*: forward and backward of a micro-batch read parameters and write only its own
//!    buffers. Its results depend on no other example.
//! 2. *Rows of parameters*: whoever owns a row sums its gradient over all examples, in their order
//!    in the mini-batch, and updates it.
//!
//! So no sum depends on which thread computes it, nor on the number of threads. What the owner of a
//! row reads are plain buffers of each micro-batch: activations (`x_rows`, `z.rows`, `a.rows`), their
//! gradients (`dx_rows`, `z.grad`, `a.grad`) and the exponentials of logits. The results have the
//! same bits if another process has computed and sent these buffers, as exact [`ranks`] do.
//!
//! # A second hidden layer
//!
//! It would change, in this order:
//!
//! 1. `params`: two fields of [`Params`] and its methods, a length in [`Shape`]; and the names of
//!    parameters in the bindings (`nplm/args.rs`) and in Python (`models/nplm/`);
//! 2. [`batch`]: one more [`batch::Activations`] in a micro-batch;
//! 3. [`hidden`]: `forward`, `backward` and `gradient` read and write `x`, `dx_rows` and a of the
//!    micro-batch by name; they would take the layer's input and output as arguments, as `project`
//!    does. So would the masks of [`dropout`];
//! 4. `step`: `forward_from_x` and `backward_hidden` call both layers, and `partition` makes work
//!    items of the new rows;
//! 5. [`ranks`], `fast.rs` alone: `compute` and `apply` name each parameter.
//!
//! [`output`], which reads only z, and [`optimizer`] stay as they are.

#![allow(
    clippy::indexing_slicing,
    reason = "Params::check and Dataset::check assert all lengths and ids; a wrong index must panic"
)]

pub mod batch;
pub mod dropout;
pub mod embedding;
pub mod eval;
pub mod hidden;
pub mod optimizer;
pub mod output;
mod params;
pub mod ranks;
mod step;
pub mod train;

pub use params::{Dataset, Params, Shape, Shard, TILE};
