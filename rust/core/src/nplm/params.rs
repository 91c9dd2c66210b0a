//! The shapes of a model, its parameters, and the examples it sees.

use crate::{Error, Result};

/// The sizes of a model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// V: how many symbols there are.
    pub vocabulary: usize,
    /// c: how many symbols a prediction is made from.
    pub context: usize,
    /// m: features of a symbol.
    pub features: usize,
    /// h: hidden units; 0 leaves only the direct connections.
    pub hidden: usize,
    /// Whether there are direct connections, W.
    pub direct: bool,
    /// Whether C is the output layer's matrix too, which then reads P·a: there is no U.
    pub tied: bool,
}

impl Shape {
    /// c·m: how many numbers x has.
    #[must_use]
    pub fn inputs(&self) -> usize {
        self.context * self.features
    }

    /// How many features the output layer reads: h of a, or m of P·a.
    #[must_use]
    pub fn output_width(&self) -> usize {
        if self.tied { self.features } else { self.hidden }
    }

    /// How many numbers each parameter has.
    #[must_use]
    pub fn lengths(&self) -> Params<usize> {
        let Shape { vocabulary, features, hidden, .. } = *self;
        let only_if = |there: bool, length| if there { length } else { 0 };
        Params {
            C: vocabulary * features,
            H: hidden * self.inputs(),
            d: hidden,
            U: only_if(!self.tied, vocabulary * hidden),
            b: vocabulary,
            W: only_if(self.direct, vocabulary * self.inputs()),
            P: only_if(self.tied, features * hidden),
        }
    }
}

/// Something for each of the model's parameters; they are matrices in rows, one after the other.
/// Where there are no direct connections, W is empty; so is P, or U where the model is tied.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[allow(non_snake_case, reason = "the paper's names")]
pub struct Params<B> {
    /// The symbols' features, V × m.
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
    /// From a to features such as those of C, in tied models: m × h.
    pub P: B,
}

impl<B> Params<B> {
    /// Something made of each.
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

    /// Pairs, parameter by parameter.
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

    /// References to each.
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

    /// References to each.
    pub fn as_ref(&self) -> Params<&B> {
        let Params { C, H, d, U, b, W, P } = self;
        Params { C, H, d, U, b, W, P }
    }

    /// Each with its name.
    pub fn named(self) -> [(&'static str, B); 7] {
        let Params { C, H, d, U, b, W, P } = self;
        [("C", C), ("H", H), ("d", d), ("U", U), ("b", b), ("W", W), ("P", P)]
    }
}

impl<B, E> Params<std::result::Result<B, E>> {
    /// All of them, or the first error.
    ///
    /// # Errors
    /// That of the first parameter that has one.
    pub fn transpose(self) -> std::result::Result<Params<B>, E> {
        let Params { C, H, d, U, b, W, P } = self;
        Ok(Params { C: C?, H: H?, d: d?, U: U?, b: b?, W: W?, P: P? })
    }
}

impl<T> Params<&mut [T]> {
    /// The same slices, borrowed for a while.
    pub fn reborrow(&mut self) -> Params<&mut [T]> {
        self.as_mut().map(|slice| &mut **slice)
    }

    /// The same slices for reading.
    #[must_use]
    pub fn read(&self) -> Params<&[T]> {
        self.as_ref().map(|slice| &**slice)
    }
}

impl<'a, T> Params<&'a [T]> {
    /// The output layer's matrix, V × [`Shape::output_width`]: U, or C where there is no U.
    #[must_use]
    pub fn output(&self) -> &'a [T] {
        if self.U.is_empty() { self.C } else { self.U }
    }

    /// Checks that all have the lengths of the shape.
    ///
    /// # Errors
    /// [`Error::Length`] names the first that has not.
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

/// Examples: contexts and the symbols that follow them.
#[derive(Clone, Copy, Debug)]
pub struct Data<'a> {
    /// The ids of the contexts' symbols, the oldest first: N × c. Or, where contexts are those of a
    /// text, each one symbol further on than the one before it, the ids of the text: N + c − 1.
    pub inputs: &'a [u32],
    /// The ids of the symbols that follow: N.
    pub targets: &'a [u32],
}

impl<'a> Data<'a> {
    /// How many examples there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.targets.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.targets.is_empty()
    }

    /// A context and its target; zeros for an example that does not exist.
    pub(super) fn example(&self, i: usize, context: usize) -> (&'a [u32], u32) {
        // Where both are right, N or c is 1, and both are the same.
        let step = if self.inputs.len() == self.len() * context { context } else { 1 };
        let ids = self.inputs.get(i * step..i * step + context).unwrap_or_default();
        (ids, self.targets.get(i).copied().unwrap_or_default())
    }

    /// Checks the lengths, and that all ids are in the vocabulary.
    ///
    /// # Errors
    /// [`Error::Empty`], [`Error::Length`] or [`Error::Id`].
    pub fn check(&self, shape: &Shape, op: &'static str) -> Result<()> {
        if self.is_empty() {
            return Err(Error::Empty { op, argument: "targets" });
        }
        let expected = self.len() * shape.context;
        let of_text = self.len() + shape.context - 1;
        if ![expected, of_text].contains(&self.inputs.len()) {
            let (argument, got) = ("inputs".to_string(), self.inputs.len());
            return Err(Error::Length { op, argument, got, expected });
        }
        check_ids("inputs", self.inputs, shape.vocabulary)?;
        check_ids("targets", self.targets, shape.vocabulary)
    }
}

/// Checks that all ids are in the vocabulary.
///
/// # Errors
/// [`Error::Id`] names the first that is not.
pub fn check_ids(argument: &'static str, ids: &[u32], vocabulary: usize) -> Result<()> {
    let is_in = |id: u32| usize::try_from(id).is_ok_and(|id| id < vocabulary);
    // Without a way out in the middle, the loop is made of vectors.
    let limit = u32::try_from(vocabulary).unwrap_or(u32::MAX);
    if ids.iter().fold(0, |any, id| any | u32::from(*id >= limit)) == 0 {
        return Ok(());
    }
    match ids.iter().enumerate().find(|(_, id)| !is_in(**id)) {
        None => Ok(()),
        Some((position, &id)) => Err(Error::Id { argument, id, position, vocabulary }),
    }
}
