//! The neural bigram: one-hot context → W → softmax, trained by gradient descent.
//!
//! ```text
//! W: (V^(n-1), V), n the order: 2 for bigrams; row i has the logits of what follows context i
//! c_ij: how often j follows i;  n_i = Σ_j c_ij;  N = Σ_i n_i
//!
//! data  = 1/N Σ_i (n_i ln Σ_j exp w_ij - Σ_j c_ij w_ij)         the mean of -ln softmax(w_i)_j
//! loss  = data + penalty · mean(W²)
//! dW_ij = (n_i softmax(w_i)_j - c_ij) / N + 2 penalty w_ij / size(W)
//! ```
//!
//! Equal examples have equal losses, so a step over all examples takes one softmax per row, however
//! long the text. A row's gradient depends on that row alone, so the rows are independent problems.

#![allow(
    clippy::indexing_slicing,
    reason = "Examples::new checks all ids, and entries the lengths; a wrong index must panic"
)]

mod loss;
mod train;
mod vector;

pub use loss::{Examples, Loss, loss_and_gradient};
pub use train::{Config, Optimizer, train};
