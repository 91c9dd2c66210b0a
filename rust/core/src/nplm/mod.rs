//! The neural probabilistic language model of Bengio, Ducharme, Vincent and Jauvin,
//! "A neural probabilistic language model", JMLR 3:1137–1155 (2003).
//!
//! Of the c symbols before it, a symbol's logits are y = b + W·x + U·tanh(d + H·x), where x is
//! the rows of C of the c symbols, side by side. Names and shapes are the paper's:
//!
//! | parameter | shape | what it is |
//! | --- | --- | --- |
//! | C | V × m | a row of features for each symbol |
//! | H, d | h × c·m, h | the hidden layer |
//! | U, b | V × h, V | the output layer |
//! | W | V × c·m | direct connections, which may be left out |
//! | P | m × h | in tied models, which have no U: the output layer is y = b + W·x + C·P·a |
//!
//! | module | what it does |
//! | --- | --- |
//! | [`model`] | forward and backward of each layer, side by side |
//! | [`softmax`] | the output layer, with softmax and cross-entropy, in tiles of the vocabulary |
//! | [`logits`] | those tiles, and what is kept of logits from one to the next |
//! | [`workspace`] | what a slice of a mini-batch needs on its way, kept from step to step |
//! | [`dropout`] | features left out at random while training |
//! | [`rows`] | rows of C that a mini-batch uses, and their update |
//! | [`optimizer`] | how a block of parameters is changed, given its gradient |
//! | [`team`] | threads that share work |
//! | `step` | one step: forward, backward, updates |
//! | [`train`] | many steps of training |
//! | [`evaluate`] | losses, probabilities and gradients without training |
//!
//! A mini-batch is cut into slices of [`crate::linalg::LANES`] examples. Slices do not know each
//! other until gradients are added up, always in the same order: threads share out slices, and
//! then rows of parameters, so results are the same for any number of threads.

pub mod dropout;
pub mod evaluate;
pub mod logits;
pub mod model;
pub mod optimizer;
mod params;
pub mod rows;
pub mod softmax;
mod step;
pub mod team;
pub mod train;
pub mod workspace;

pub use params::{Data, Params, Shape};
