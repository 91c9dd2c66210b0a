//! Finds sums of products in chains of additions.
//!
//! `((b + w₀·x₀) + w₁·x₁) + …` has one addition and one multiplication a term. An addition or
//! subtraction whose only use is in another one is part of the other's sum, and a product whose only
//! use is in a sum is a term of it:
//!
//! ```text
//! Σ terms, each x·y or x·1 or x·(−1)
//!     weighted   parameter · anything, and parameters alone: a row of a linear map
//!     others     products of computed numbers, computed numbers alone
//! both kinds     → Dot(others, Dot(weighted)·1), so that the rows of a linear map stay whole
//! ```
//! The terms keep their order, but are added in vectors, so that results may differ from the eager
//! program's in their last bits.

use super::graph::{Builder, Id, Node, Tape};
use crate::autograd::op::Op;
use crate::{Result, alloc};

/// Replaces chains of additions by [`Node::Dot`].
///
/// # Errors
/// [`crate::Error::Memory`].
pub fn find_sums(tape: &Tape) -> Result<Tape> {
    let uses = tape.uses()?;
    let mut inner = alloc::filled(false, tape.nodes.len())?;
    for &node in &tape.nodes {
        if let Node::Binary(Op::Add | Op::Sub, x, y) = node {
            for operand in [x, y] {
                let is_sum =
                    matches!(tape.nodes[operand as usize], Node::Binary(Op::Add | Op::Sub, ..));
                inner[operand as usize] |= is_sum && uses[operand as usize] == 1;
            }
        }
    }
    let mut new = Builder::new(tape.params, tape.inputs);
    let mut map: Vec<Id> = alloc::with_capacity(tape.nodes.len())?;
    let (one, minus_one) = (new.push(Node::Const(1.0))?, new.push(Node::Const(-1.0))?);
    let mut terms = Vec::new();
    for (id, &node) in tape.nodes.iter().enumerate() {
        let to = |id: Id| map[id as usize];
        let made = match node {
            // It is part of another sum, which is computed as a whole.
            Node::Binary(Op::Add | Op::Sub, ..) if inner[id] => Id::MAX,
            Node::Binary(op @ (Op::Add | Op::Sub), x, y) => {
                collect_terms(tape, &inner, &uses, node, &mut terms)?;
                if terms.len() < 3 && !terms.iter().any(|term| matches!(term, Term::Product(..))) {
                    new.push(Node::Binary(op, to(x), to(y)))?
                } else {
                    let split = Split::of(&terms, &new.tape, to, (one, minus_one))?;
                    split.build(&mut new, one)?
                }
            }
            node => {
                let node = new.moved(tape, node, to)?;
                new.push(node)?
            }
        };
        map.push(made);
    }
    new.finish(tape, |id| map[id as usize])
}

/// A term of a sum, as positions in the old tape.
#[derive(Clone, Copy)]
enum Term {
    Plus(Id),
    Minus(Id),
    Product(Id, Id),
}

/// Lists the terms of a sum from left to right, through all sums that are part of it.
fn collect_terms(
    tape: &Tape,
    inner: &[bool],
    uses: &[u32],
    root: Node,
    terms: &mut Vec<Term>,
) -> Result<()> {
    terms.clear();
    let mut stack = Vec::new();
    let open = |stack: &mut Vec<(Id, bool)>, node: Node, plus: bool| {
        if let Node::Binary(op, x, y) = node {
            stack.push((y, plus == (op == Op::Add)));
            stack.push((x, plus));
        }
    };
    open(&mut stack, root, true);
    while let Some((id, plus)) = stack.pop() {
        let node = tape.nodes[id as usize];
        terms.try_reserve(1).map_err(|_| crate::Error::Memory)?;
        match node {
            Node::Binary(Op::Add | Op::Sub, ..) if inner[id as usize] => {
                open(&mut stack, node, plus);
            }
            Node::Binary(Op::Mul, x, y) if plus && uses[id as usize] == 1 => {
                terms.push(Term::Product(x, y));
            }
            _ => terms.push(if plus { Term::Plus(id) } else { Term::Minus(id) }),
        }
    }
    Ok(())
}

/// The terms of a sum, as positions in the new tape.
struct Split {
    weighted: Vec<(Id, Id)>,
    others: Vec<(Id, Id)>,
}

impl Split {
    fn of(
        terms: &[Term],
        tape: &Tape,
        to: impl Fn(Id) -> Id,
        (one, minus_one): (Id, Id),
    ) -> Result<Split> {
        let is_param = |id: Id| matches!(tape.nodes[id as usize], Node::Param(_));
        let mut split = Split {
            weighted: alloc::with_capacity(terms.len())?,
            others: alloc::with_capacity(terms.len() + 1)?,
        };
        for &term in terms {
            let (x, y) = match term {
                Term::Plus(x) => (to(x), one),
                Term::Minus(x) => (to(x), minus_one),
                Term::Product(x, y) if is_param(to(y)) => (to(y), to(x)),
                Term::Product(x, y) => (to(x), to(y)),
            };
            if is_param(x) { &mut split.weighted } else { &mut split.others }.push((x, y));
        }
        Ok(split)
    }

    fn build(self, new: &mut Builder, one: Id) -> Result<Id> {
        let Split { weighted, mut others } = self;
        if others.is_empty() {
            return new.dot(weighted);
        }
        if weighted.len() < 2 {
            others.splice(0..0, weighted);
            return new.dot(others);
        }
        let row = new.dot(weighted)?;
        if let [(x, y)] = others[..]
            && y == one
        {
            return new.push(Node::Binary(Op::Add, row, x));
        }
        others.insert(0, (row, one));
        new.dot(others)
    }
}
