//! Sampling: items drawn symbol after symbol from the distributions of a language model.
//!
//! Item i of a seed uses the random numbers of stream i, and its symbol at position t the number
//! of step t, whether the distributions come from a [`Table`] or row by row from [`draw_rows`]. So
//! both give the same items, and it does not matter how the work is cut into parts.
//!
//! | file | what it does |
//! | --- | --- |
//! | `shaping.rs` | temperature and top-k, and what a row of probabilities must be |
//! | `table.rs` | all rows of a model as alias tables |
//! | `items.rs` | items from a table |
//! | `ordered.rs` | parts of work made by many threads and taken in order |

mod items;
pub mod ordered;
mod shaping;
mod table;

pub use items::{Items, Plan};
pub use shaping::{Row, Shaping, draw_rows};
pub use table::Table;
