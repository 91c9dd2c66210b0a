//! The recorded program: scalar nodes in topological order.

use rustc_hash::FxHashMap;

use crate::autograd::op::Op;
use crate::{Error, Result, alloc};

/// A node's position in the tape.
pub type Id = u32;

/// A recorded scalar. Operands come before their node.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Node {
    /// A number that is the same in every replay.
    Const(f64),
    /// A parameter: read before a replay, its gradient written after it.
    Param(u32),
    /// A number of the example. It has no gradient.
    Input(u32),
    /// The operand's number without its gradient.
    Detach(Id),
    /// f(x)
    Unary(Op, Id),
    /// f(x, y); of a power with a plain exponent, y is a constant.
    Binary(Op, Id, Id),
    /// The node at position `index` of a list of nodes.
    Select {
        /// The list's number in [`Tape::lists`].
        list: u32,
        /// The node whose number is the position.
        index: Id,
    },
    /// The largest number of a list of nodes, without its gradient.
    Highest {
        /// The list's number in [`Tape::lists`].
        list: u32,
    },
    /// Σ x·y over a list of pairs: made by the pass [`super::sums`].
    Dot {
        /// The list's number in [`Tape::pairs`].
        pairs: u32,
    },
}

/// A comparison of two numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Comparison {
    /// x < y
    Less,
    /// x ≤ y
    LessEqual,
    /// x = y
    Equal,
    /// x and y are the same number, to the bit.
    Same,
}

/// A comparison whose outcome decided a branch of the recorded program.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Guard {
    /// The comparison.
    pub comparison: Comparison,
    /// x
    pub x: Id,
    /// y
    pub y: Id,
    /// The outcome.
    pub held: bool,
    /// A number by which the caller knows the place in the user's code that compared.
    pub place: u32,
}

impl Guard {
    /// Returns true if the comparison of these numbers comes out as it did.
    #[inline]
    #[must_use]
    pub fn holds(&self, x: f64, y: f64) -> bool {
        let now = match self.comparison {
            Comparison::Less => x < y,
            Comparison::LessEqual => x <= y,
            #[allow(clippy::float_cmp, reason = "the program asked for equality")]
            Comparison::Equal => x == y,
            Comparison::Same => x.to_bits() == y.to_bits(),
        };
        now == self.held
    }
}

/// A scalar program for one example.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Tape {
    /// All nodes, operands first.
    pub nodes: Vec<Node>,
    /// The lists of [`Node::Select`] and [`Node::Highest`].
    pub lists: Vec<Vec<Id>>,
    /// The factors of [`Node::Dot`].
    pub pairs: Vec<Vec<(Id, Id)>>,
    /// The node that the program returns.
    pub output: Id,
    /// The comparisons that must come out as they were recorded.
    pub guards: Vec<Guard>,
    /// The number of parameters.
    pub params: usize,
    /// The number of inputs of an example.
    pub inputs: usize,
}

impl Tape {
    /// Calls a function for each operand of a node, in order.
    pub fn each_operand(&self, node: Node, mut visit: impl FnMut(Id)) {
        match node {
            Node::Const(_) | Node::Param(_) | Node::Input(_) => {}
            Node::Detach(x) | Node::Unary(_, x) => visit(x),
            Node::Binary(_, x, y) => {
                visit(x);
                visit(y);
            }
            Node::Select { list, index } => {
                self.lists[list as usize].iter().copied().for_each(&mut visit);
                visit(index);
            }
            Node::Highest { list } => self.lists[list as usize].iter().copied().for_each(visit),
            Node::Dot { pairs } => {
                for &(x, y) in &self.pairs[pairs as usize] {
                    visit(x);
                    visit(y);
                }
            }
        }
    }

    /// Returns the number of bytes that the tape takes.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let lists: usize = self.lists.iter().map(|list| size_of_val(list.as_slice())).sum();
        let pairs: usize = self.pairs.iter().map(|pairs| size_of_val(pairs.as_slice())).sum();
        size_of_val(self.nodes.as_slice()) + lists + pairs + size_of_val(self.guards.as_slice())
    }

    /// Returns the number of uses of each node, the output's and the guards' included.
    ///
    /// # Errors
    /// [`Error::Memory`].
    pub fn uses(&self) -> Result<Vec<u32>> {
        let mut uses = alloc::filled(0_u32, self.nodes.len())?;
        for &node in &self.nodes {
            self.each_operand(node, |id| uses[id as usize] += 1);
        }
        uses[self.output as usize] += 1;
        for guard in &self.guards {
            uses[guard.x as usize] += 1;
            uses[guard.y as usize] += 1;
        }
        Ok(uses)
    }

    /// Checks a tape of unknown origin: that every operand comes before its node, that all parameters,
    /// inputs and lists exist, that ops have as many operands as they take, and that exponents of
    /// `PowInt` and `PowFloat` are constants.
    ///
    /// # Errors
    /// [`Error::Invalid`].
    pub fn validate(&self) -> Result<()> {
        let wrong = |id: usize, what: &str| Error::Invalid(format!("node {id} of the tape {what}"));
        for (id, &node) in self.nodes.iter().enumerate() {
            let exists = match node {
                Node::Param(i) => (i as usize) < self.params,
                Node::Input(i) => (i as usize) < self.inputs,
                Node::Select { list, .. } | Node::Highest { list } => {
                    self.lists.get(list as usize).is_some_and(|list| !list.is_empty())
                }
                Node::Dot { pairs } => {
                    self.pairs.get(pairs as usize).is_some_and(|pairs| !pairs.is_empty())
                }
                Node::Unary(op, _) => op.is_unary(),
                Node::Binary(op, ..) => op.is_binary(),
                Node::Const(_) | Node::Detach(_) => true,
            };
            if !exists {
                return Err(wrong(id, "names what does not exist"));
            }
            let mut in_order = true;
            self.each_operand(node, |operand| in_order &= (operand as usize) < id);
            if !in_order {
                return Err(wrong(id, "has an operand that comes after it"));
            }
            if let Node::Binary(Op::PowInt | Op::PowFloat, _, y) = node
                && !matches!(self.nodes[y as usize], Node::Const(_))
            {
                return Err(wrong(id, "has an exponent that is not constant"));
            }
        }
        let ends = self.guards.iter().flat_map(|guard| [guard.x, guard.y]).chain([self.output]);
        for id in ends {
            if id as usize >= self.nodes.len() {
                return Err(wrong(id as usize, "does not exist"));
            }
        }
        Ok(())
    }
}

/// Builds a tape node by node.
#[derive(Debug, Default)]
pub struct Builder {
    /// The tape so far.
    pub tape: Tape,
    /// The position of each node, in a builder made by [`Builder::sharing`].
    known: Option<FxHashMap<Key, Id>>,
    lists: FxHashMap<Vec<Id>, u32>,
}

/// A node as a hash key: constants by their bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Key(u8, u8, u64);

impl Builder {
    /// Starts a tape.
    #[must_use]
    pub fn new(params: usize, inputs: usize) -> Builder {
        let tape = Tape { params, inputs, ..Tape::default() };
        Builder { tape, ..Builder::default() }
    }

    /// Starts a tape in which equal nodes are one (common subexpressions).
    #[must_use]
    pub fn sharing(params: usize, inputs: usize) -> Builder {
        Builder { known: Some(FxHashMap::default()), ..Builder::new(params, inputs) }
    }

    /// Appends a node and returns its position; a sharing builder returns that of an equal node, if
    /// there is one.
    ///
    /// # Errors
    /// [`Error::Memory`], also where there are 2³² nodes.
    pub fn push(&mut self, node: Node) -> Result<Id> {
        let id = Id::try_from(self.tape.nodes.len()).map_err(|_| Error::Memory)?;
        if let Some(known) = &mut self.known
            && let Some(key) = key(node)
        {
            known.try_reserve(1).map_err(|_| Error::Memory)?;
            let found = *known.entry(key).or_insert(id);
            if found != id {
                return Ok(found);
            }
        }
        self.tape.nodes.try_reserve(1).map_err(|_| Error::Memory)?;
        self.tape.nodes.push(node);
        Ok(id)
    }

    /// Returns a node of another tape as a node of this one, where operand x has become `to(x)`.
    ///
    /// # Errors
    /// [`Error::Memory`].
    pub fn moved(&mut self, from: &Tape, node: Node, to: impl Fn(Id) -> Id) -> Result<Node> {
        let list = |list: u32| alloc::collected(from.lists[list as usize].iter().map(|&x| to(x)));
        Ok(match node {
            Node::Const(_) | Node::Param(_) | Node::Input(_) => node,
            Node::Detach(x) => Node::Detach(to(x)),
            Node::Unary(op, x) => Node::Unary(op, to(x)),
            Node::Binary(op, x, y) => Node::Binary(op, to(x), to(y)),
            Node::Select { list: number, index } => {
                Node::Select { list: self.list(&list(number)?)?, index: to(index) }
            }
            Node::Highest { list: number } => Node::Highest { list: self.list(&list(number)?)? },
            Node::Dot { pairs } => {
                let pairs = &from.pairs[pairs as usize];
                let moved = alloc::collected(pairs.iter().map(|&(x, y)| (to(x), to(y))))?;
                Node::Dot { pairs: self.pairs(moved)? }
            }
        })
    }

    /// Ends the tape with the output and the guards of another one.
    ///
    /// # Errors
    /// [`Error::Memory`].
    pub fn finish(mut self, from: &Tape, to: impl Fn(Id) -> Id) -> Result<Tape> {
        let moved = |guard: &Guard| Guard { x: to(guard.x), y: to(guard.y), ..*guard };
        self.tape.guards = alloc::collected(from.guards.iter().map(moved))?;
        self.tape.output = to(from.output);
        Ok(self.tape)
    }

    /// Returns the number of a list of nodes to select from; equal lists have one number.
    ///
    /// # Errors
    /// [`Error::Memory`].
    pub fn list(&mut self, list: &[Id]) -> Result<u32> {
        if let Some(&number) = self.lists.get(list) {
            return Ok(number);
        }
        let number = u32::try_from(self.tape.lists.len()).map_err(|_| Error::Memory)?;
        self.tape.lists.push(alloc::collected(list.iter().copied())?);
        self.lists.insert(list.to_vec(), number);
        Ok(number)
    }

    /// Appends a sum of products.
    ///
    /// # Errors
    /// [`Error::Memory`].
    pub fn dot(&mut self, pairs: Vec<(Id, Id)>) -> Result<Id> {
        let pairs = self.pairs(pairs)?;
        self.push(Node::Dot { pairs })
    }

    /// Returns the number of a new list of pairs.
    fn pairs(&mut self, pairs: Vec<(Id, Id)>) -> Result<u32> {
        let number = u32::try_from(self.tape.pairs.len()).map_err(|_| Error::Memory)?;
        self.tape.pairs.push(pairs);
        Ok(number)
    }
}

fn key(node: Node) -> Option<Key> {
    let pair = |x: Id, y: Id| u64::from(x) << 32 | u64::from(y);
    Some(match node {
        Node::Const(number) => Key(0, 0, number.to_bits()),
        Node::Param(i) => Key(1, 0, u64::from(i)),
        Node::Input(i) => Key(2, 0, u64::from(i)),
        Node::Detach(x) => Key(3, 0, u64::from(x)),
        Node::Unary(op, x) => Key(4, op as u8, u64::from(x)),
        Node::Binary(op, x, y) => Key(5, op as u8, pair(x, y)),
        Node::Select { list, index } => Key(6, 0, pair(list, index)),
        Node::Highest { list } => Key(7, 0, u64::from(list)),
        Node::Dot { .. } => return None,
    })
}
