//! Running text as ids, one per token: read once, in chunks, and never held as text.
//!
//! A [`Reader`] takes bytes, splits them into tokens, gives every type (every distinct token) a
//! number in the order of first occurrence, and keeps the numbers of all tokens, four bytes each.
//! The result, a [`Text`], is then encoded: with a vocabulary chosen from its counts
//! ([`Text::choose`]), or with an existing one ([`Text::encode`]).

pub mod interner;
pub mod reader;
pub mod tokens;
pub mod vocabulary;

pub use interner::Names;
pub use reader::{Reader, Text};
pub use tokens::{Eos, Tokenizer};
pub use vocabulary::{Encoded, Ids, Limits};
