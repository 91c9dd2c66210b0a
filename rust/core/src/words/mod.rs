//! Running text as numbers, one a word: read once, in pieces, and never held as text.
//!
//! A [`Reader`] is fed bytes. It cuts them into tokens, gives every type (every distinct token) a
//! number in the order of first occurrence, and keeps the numbers of all tokens, four bytes each.
//! What becomes of it, a [`Text`], is then numbered again: with a vocabulary chosen from its
//! counts, see [`Text::choose`], or with one that is there already, see [`Text::encode`].

pub mod interner;
pub mod reader;
pub mod tokens;
pub mod vocabulary;

pub use interner::Names;
pub use reader::{Reader, Text};
pub use tokens::{Eos, Tokenizer};
pub use vocabulary::{Encoded, Ids, Limits};
