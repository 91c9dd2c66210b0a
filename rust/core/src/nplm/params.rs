//! The shape of a model, its parameters, and its data.

use std::ops::Range;

use crate::{Error, Result};

/// The number of tokens in a tile of the vocabulary, a multiple of the register tile's height.
///
/// The logits of a tile fill half of the first-level cache. Its rows of U fill a fifth of the
/// second-level cache if they have 512 numbers.
pub const TILE: usize = 192;

/// The number of examples below which all ids are checked, which takes two milliseconds at most. Of
/// longer data sets only the ids of drawn examples are.
const FEW: usize = 1 << 22;

/// The sizes of a model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// V, the number of tokens.
    pub vocab_size: usize,
    /// c, the number of tokens that a prediction is made from.
    pub context_length: usize,
    /// m, the length of an embedding.
    pub embedding_dim: usize,
    /// h, the number of hidden units; 0 leaves only the direct connections.
    pub hidden_dim: usize,
    /// There are direct connections, W.
    pub direct: bool,
    /// Input and output embeddings are tied: the output layer is C·P·a, and there is no U.
    pub tied: bool,
    /// The part of the output layer that this rank has; None if it has the whole layer.
    pub shard: Option<Shard>,
}

/// Neighbouring tokens whose rows of the output layer one rank has: the rows of U, b and W, and in
/// tied models those of C.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shard {
    /// The first token, at the border of a tile.
    pub first: usize,
    /// The number of tokens.
    pub count: usize,
}

impl Shard {
    /// Returns the shard of a rank: whole tiles, whose number differs by at most 1 between ranks.
    ///
    /// The last rank always has the last tile.
    #[must_use]
    pub fn of(vocab_size: usize, rank: usize, ranks: usize) -> Shard {
        let tiles = vocab_size.div_ceil(TILE);
        let border = |rank: usize| (tiles * rank / ranks * TILE).min(vocab_size);
        Shard { first: border(rank), count: border(rank + 1) - border(rank) }
    }
}

impl Shape {
    /// Returns the tokens whose rows of the output layer this rank has.
    #[must_use]
    pub fn tokens(&self) -> Range<usize> {
        self.shard.map_or(0..self.vocab_size, |shard| shard.first..shard.first + shard.count)
    }

    /// Returns c·m, the length of x.
    #[must_use]
    pub fn inputs(&self) -> usize {
        self.context_length * self.embedding_dim
    }

    /// Returns the length of z, which the output layer reads: h of a, or m of P·a.
    #[must_use]
    pub fn output_width(&self) -> usize {
        if self.tied { self.embedding_dim } else { self.hidden_dim }
    }

    /// Returns the length of each parameter.
    #[must_use]
    pub fn lengths(&self) -> Params<usize> {
        let Shape { vocab_size: v, embedding_dim: m, hidden_dim: h, .. } = *self;
        let rows = self.tokens().len();
        let only_if = |there: bool, length| if there { length } else { 0 };
        Params {
            C: if self.tied { rows * m } else { v * m },
            H: h * self.inputs(),
            d: h,
            U: only_if(!self.tied, rows * h),
            b: rows,
            W: only_if(self.direct, rows * self.inputs()),
            P: only_if(self.tied, m * h),
        }
    }
}

/// A `B` for each parameter: its array, its length or its gradient, for example. Matrices are
/// row-major. W is empty without direct connections; U is empty in tied models, P in all others.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[allow(non_snake_case, reason = "the paper's names")]
pub struct Params<B> {
    /// The embeddings, V × m.
    pub C: B,
    /// The hidden layer's weights, h × c·m.
    pub H: B,
    /// The hidden layer's biases, h.
    pub d: B,
    /// The output layer's weights, V × h.
    pub U: B,
    /// The output layer's biases, V.
    pub b: B,
    /// The direct connections, V × c·m.
    pub W: B,
    /// The projection of a to the length of an embedding, in tied models: m × h.
    pub P: B,
}

impl<B> Params<B> {
    /// Maps each value.
    pub fn map<D>(self, mut f: impl FnMut(B) -> D) -> Params<D> {
        Params {
            C: f(self.C),
            H: f(self.H),
            d: f(self.d),
            U: f(self.U),
            b: f(self.b),
            W: f(self.W),
            P: f(self.P),
        }
    }

    /// Pairs each value with that of the same parameter in `other`.
    pub fn zip<D>(self, other: Params<D>) -> Params<(B, D)> {
        Params {
            C: (self.C, other.C),
            H: (self.H, other.H),
            d: (self.d, other.d),
            U: (self.U, other.U),
            b: (self.b, other.b),
            W: (self.W, other.W),
            P: (self.P, other.P),
        }
    }

    /// Returns mutable references to the values.
    pub fn as_mut(&mut self) -> Params<&mut B> {
        Params {
            C: &mut self.C,
            H: &mut self.H,
            d: &mut self.d,
            U: &mut self.U,
            b: &mut self.b,
            W: &mut self.W,
            P: &mut self.P,
        }
    }

    /// Returns references to the values.
    pub fn as_ref(&self) -> Params<&B> {
        let Params { C, H, d, U, b, W, P } = self;
        Params { C, H, d, U, b, W, P }
    }

    /// Returns each value with its name.
    pub fn named(self) -> [(&'static str, B); 7] {
        let Params { C, H, d, U, b, W, P } = self;
        [("C", C), ("H", H), ("d", d), ("U", U), ("b", b), ("W", W), ("P", P)]
    }
}

impl<B, E> Params<std::result::Result<B, E>> {
    /// Returns all values, or the first error.
    ///
    /// # Errors
    /// That of the first parameter that has one.
    pub fn transpose(self) -> std::result::Result<Params<B>, E> {
        let Params { C, H, d, U, b, W, P } = self;
        Ok(Params { C: C?, H: H?, d: d?, U: U?, b: b?, W: W?, P: P? })
    }
}

impl<T> Params<&mut [T]> {
    /// Borrows the slices.
    pub fn reborrow(&mut self) -> Params<&mut [T]> {
        self.as_mut().map(|slice| &mut **slice)
    }

    /// Borrows the slices for reading.
    #[must_use]
    pub fn read(&self) -> Params<&[T]> {
        self.as_ref().map(|slice| &**slice)
    }
}

impl<'a, T> Params<&'a [T]> {
    /// Returns the output layer's matrix, V × [`Shape::output_width`]: U, or C in tied models.
    #[must_use]
    pub fn output(&self) -> &'a [T] {
        if self.U.is_empty() { self.C } else { self.U }
    }

    /// Checks that each slice has the length that follows from the shape.
    ///
    /// # Errors
    /// [`Error::Length`] names the first parameter of another length.
    pub fn check(&self, shape: &Shape, op: &'static str) -> Result<()> {
        let lengths = self.map(<[T]>::len).zip(shape.lengths()).named();
        match lengths.into_iter().find(|(_, (got, expected))| got != expected) {
            None => Ok(()),
            Some((name, (got, expected))) => {
                Err(Error::Length { op, argument: name.to_string(), got, expected })
            }
        }
    }
}

/// N examples: contexts of c tokens, and the target that follows each.
#[derive(Clone, Copy, Debug)]
pub struct Dataset<'a> {
    /// The ids of the contexts, the oldest token first: (N, c). Or the ids of a text, N + c − 1,
    /// where context i is ids i to i + c.
    pub inputs: &'a [u32],
    /// The ids of the targets: (N).
    pub targets: &'a [u32],
}

impl<'a> Dataset<'a> {
    /// Returns N.
    #[must_use]
    pub fn len(&self) -> usize {
        self.targets.len()
    }

    /// Returns true if N is 0.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.targets.is_empty()
    }

    /// Returns context and target of example i.
    ///
    /// # Panics
    /// If there is no such example.
    pub(super) fn example(&self, i: usize, context_length: usize) -> (&'a [u32], u32) {
        let start = self.start(i, context_length);
        (&self.inputs[start..start + context_length], self.targets[i])
    }

    /// Checks the lengths, and that all ids are in the vocabulary.
    ///
    /// # Errors
    /// [`Error::Empty`], [`Error::Length`] or [`Error::Id`].
    pub fn check(&self, shape: &Shape, op: &'static str) -> Result<()> {
        self.check_lengths(shape, op)?;
        check_ids("inputs", self.inputs, shape.vocab_size)?;
        check_ids("targets", self.targets, shape.vocab_size)
    }

    /// Checks the lengths, and that ids are in the vocabulary: all ids of fewer than [`FEW`]
    /// examples, otherwise those of the examples `numbers` alone, since a longer data set may be a
    /// file that does not fit into memory.
    ///
    /// # Errors
    /// [`Error::Empty`], [`Error::Length`] or [`Error::Id`].
    pub(super) fn check_examples(
        &self,
        shape: &Shape,
        op: &'static str,
        numbers: impl Iterator<Item = usize>,
    ) -> Result<()> {
        if self.targets.len() < FEW {
            return self.check(shape, op);
        }
        self.check_lengths(shape, op)?;
        for number in numbers {
            let (context, target) = self.example(number, shape.context_length);
            let first = self.start(number, shape.context_length);
            check_ids("inputs", context, shape.vocab_size).map_err(|error| later(error, first))?;
            check_ids("targets", &[target], shape.vocab_size)
                .map_err(|error| later(error, number))?;
        }
        Ok(())
    }

    /// Returns where the context of example i begins.
    fn start(&self, i: usize, context_length: usize) -> usize {
        // N·c = N + c − 1 only where N or c is 1. Then both layouts are the same.
        let is_matrix = self.inputs.len() == self.len() * context_length;
        if is_matrix { i * context_length } else { i }
    }

    fn check_lengths(&self, shape: &Shape, op: &'static str) -> Result<()> {
        if self.is_empty() {
            return Err(Error::Empty { op, argument: "targets" });
        }
        let expected = self.len() * shape.context_length;
        let of_text = self.len() + shape.context_length - 1;
        if ![expected, of_text].contains(&self.inputs.len()) {
            let (argument, got) = ("inputs".to_string(), self.inputs.len());
            return Err(Error::Length { op, argument, got, expected });
        }
        Ok(())
    }
}

/// Adds `first` to the position of a wrong id: the checked part of the array begins there.
fn later(error: Error, first: usize) -> Error {
    match error {
        Error::Id { argument, id, position, vocabulary } => {
            Error::Id { argument, id, position: first + position, vocabulary }
        }
        other => other,
    }
}

/// Checks that all ids are in the vocabulary.
///
/// # Errors
/// [`Error::Id`] names the first that is not.
pub fn check_ids(argument: &'static str, ids: &[u32], vocabulary: usize) -> Result<()> {
    // The loop has no early exit, so that the compiler vectorizes it.
    let limit = u32::try_from(vocabulary).unwrap_or(u32::MAX);
    if ids.iter().fold(0, |any, id| any | u32::from(*id >= limit)) == 0 {
        return Ok(());
    }
    let wrong = ids.iter().enumerate().find(|&(_, &id)| id >= limit);
    wrong.map_or(Ok(()), |(position, &id)| Err(Error::Id { argument, id, position, vocabulary }))
}
