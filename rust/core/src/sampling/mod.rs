//! Sampling: items drawn symbol after symbol from the distributions of a language model.
//!
//! Item i of a seed uses the random numbers of stream i, and its symbol at position t the number of
//! step t, whether all rows are in [`AliasTables`] or they are given one by one to [`draw_rows`].
//! So both give the same items, and the items do not depend on how the work is partitioned.
//!
//! | file | what it holds |
//! | --- | --- |
//! | `params.rs` | temperature and top-k, the checks of a row, draws from single rows |
//! | `alias_tables.rs` | all rows of a model as alias tables |
//! | `sampler.rs` | the sampler of items from a table |

mod alias_tables;
mod params;
mod sampler;

pub use alias_tables::AliasTables;
pub use params::{Row, SamplingParams, draw_rows};
pub use sampler::{Items, Sampler};
