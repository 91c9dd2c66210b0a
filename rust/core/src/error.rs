//! One error enum for the whole core.

use std::fmt;
use std::io::ErrorKind;

/// An error of the core. `Display` names the op and its operands.
#[derive(Clone, Debug, PartialEq)]
pub enum Error {
    /// A division by zero, or zero raised to a negative power.
    ZeroDivision(Call),
    /// A finite operand whose result is too large for a float.
    Overflow(Call),
    /// An operand outside the function's domain.
    Domain(Call),
    /// An op over a list got an empty one.
    Empty {
        /// The op's name.
        op: &'static str,
        /// The argument's name.
        argument: &'static str,
    },
    /// Two lists that must match in length do not.
    Length {
        /// The op's name.
        op: &'static str,
        /// The argument whose length is wrong.
        argument: String,
        /// Its length.
        got: usize,
        /// The length that was needed.
        expected: usize,
    },
    /// A class index outside the logits.
    Target {
        /// The op's name.
        op: &'static str,
        /// The index as given.
        target: i64,
        /// The number of classes.
        classes: usize,
    },
    /// `FASTGRAD_CPU` names no instruction set that the processor has.
    Cpu {
        /// The name as given.
        name: String,
        /// The names there are.
        available: Vec<&'static str>,
    },
    /// A symbol's id outside the vocabulary.
    Id {
        /// The argument's name.
        argument: &'static str,
        /// The id as given.
        id: u32,
        /// Where it stands in the argument, counted from 0 over all its numbers.
        position: usize,
        /// The number of symbols.
        vocabulary: usize,
    },
    /// A byte that is not part of any character.
    NotUtf8 {
        /// The text's name: a path, or a stand-in.
        name: String,
        /// The line's number, from 1.
        line: u64,
        /// The offset of the byte in the text.
        offset: u64,
        /// The byte itself.
        byte: u8,
    },
    /// The system refused memory, or so much was asked for that no system has it.
    Memory,
    /// A text without a single item.
    Blank {
        /// The text's name.
        name: String,
    },
    /// The system failed to read.
    Io {
        /// The source that was read.
        name: String,
        /// The system's own number for the error.
        code: Option<i32>,
        /// The standard library's kind of the error.
        kind: ErrorKind,
        /// The standard library's message.
        reason: String,
    },
    /// An order other than 2 and 3.
    Order(usize),
    /// Counts of different orders, which do not add up.
    Orders(usize, usize),
    /// Counts whose sum does not fit into 64 bits.
    CountOverflow,
    /// Characters that are not in ascending order, each once.
    Characters {
        /// The position of the one that is not above its predecessor.
        position: usize,
        /// That character.
        character: char,
    },
    /// A character that the alphabet lacks.
    Unknown {
        /// That character.
        character: char,
    },
    /// Entries that no text can have.
    Entry {
        /// The row.
        row: usize,
        /// The fault found.
        reason: &'static str,
    },
    /// A number of items that the entries contradict.
    Items {
        /// The number given.
        given: u64,
        /// The number of n-grams that end in the boundary.
        ends: u64,
    },
    /// A dense table of counts that would be too large.
    Dense {
        /// The number of symbols, the boundary included.
        symbols: usize,
        /// The order.
        order: usize,
    },
    /// The computation was cancelled, see [`crate::progress::Progress::cancel`].
    Interrupted,
    /// An argument that is wrong: which one, what it is and what was expected.
    Invalid(String),
    /// Sampling came to a context after which no symbol has any probability.
    DeadEnd {
        /// The symbols of the context.
        context: Vec<u32>,
    },
    /// A training whose loss is no longer finite.
    Diverged {
        /// The step that met the loss.
        step: u64,
        /// The loss, nan or inf.
        loss: f64,
    },
    /// A computation ended without a result. This is a bug in the core, or stands for an exception of
    /// Python that is raised in its place.
    Failed,
}

/// The core's result.
pub type Result<T> = std::result::Result<T, Error>;

/// An op and the operands that it was called with, for messages.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Call {
    /// `name(x)`.
    Unary(&'static str, f64),
    /// `x sign y`.
    Binary(f64, &'static str, f64),
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Call::Unary(name, x) => write!(f, "{name}({x:?})"),
            Call::Binary(x, sign, y) => write!(f, "{x:?} {sign} {y:?}"),
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::ZeroDivision(call @ Call::Binary(_, "**", _)) => {
                write!(f, "{call}: zero cannot be raised to a negative power")
            }
            Error::ZeroDivision(call) => write!(f, "{call}: division by zero"),
            Error::Overflow(call) => write!(f, "{call}: result too large for a float"),
            Error::Domain(call @ Call::Binary(..)) => {
                write!(f, "{call}: a negative number to a fractional power is not real")
            }
            Error::Domain(call) => write!(f, "{call}: outside the function's domain"),
            Error::Empty { op, argument } => {
                write!(f, "{op}: {argument} is empty, expected at least one value")
            }
            Error::Length { op, argument, got, expected } => {
                write!(f, "{op}: {argument} has length {got}, expected {expected}")
            }
            Error::Target { op, target, classes } => {
                write!(f, "{op}: target {target} is out of range, expected 0 to {}", classes - 1)
            }
            Error::Cpu { name, available } => {
                let available = available.join(", ");
                write!(f, "FASTGRAD_CPU is {name:?}; expected one of {available} on this processor")
            }
            Error::Id { argument, id, position, vocabulary } => {
                let last = vocabulary.saturating_sub(1);
                write!(f, "{argument}: id {id} at position {position}; expected 0 to {last}")
            }
            Error::NotUtf8 { name, line, offset, byte } => {
                write!(f, "{name}, line {line}: byte 0x{byte:02x} at offset {offset} is not UTF-8")
            }
            Error::Memory => write!(f, "out of memory"),
            Error::Blank { name } => {
                write!(f, "{name} is empty; expected at least one line that is not blank")
            }
            Error::Io { name, reason, .. } => write!(f, "{name}: {reason}"),
            Error::Order(order) => {
                write!(f, "order is {order}; expected 2 (bigrams) or 3 (trigrams)")
            }
            Error::Orders(left, right) => {
                write!(f, "counts of order {left} and of order {right} do not add up")
            }
            Error::CountOverflow => write!(f, "the sum of the counts is too large for 64 bits"),
            Error::Characters { position, character } => write!(
                f,
                "characters[{position}] is {character:?}; expected characters in ascending order, \
                 each once"
            ),
            Error::Unknown { character } => {
                write!(f, "characters lacks {character:?}, which is counted")
            }
            Error::Entry { row, reason } => write!(f, "entry {row} {reason}"),
            Error::Items { given, ends } => {
                write!(f, "items is {given}; expected {ends}, as many n-grams end an item")
            }
            Error::Dense { symbols, order } => write!(
                f,
                "a dense table of {symbols} symbols and order {order} has {symbols}**{order} \
                 cells, more than 2**27; use entries() instead"
            ),
            Error::Interrupted => write!(f, "interrupted"),
            Error::Invalid(message) => write!(f, "{message}"),
            Error::DeadEnd { context } => {
                write!(f, "no symbol has any probability after the symbols {context:?}")
            }
            Error::Diverged { step, loss } => {
                write!(f, "the loss is {loss:?} at step {step}; a smaller lr may help")
            }
            Error::Failed => write!(f, "a computation failed from within; please report it"),
        }
    }
}

impl std::error::Error for Error {}
