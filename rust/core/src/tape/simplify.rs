//! Folds constants, merges common subexpressions and drops unused nodes.
//!
//! ```text
//! for each node, with its operands already simplified:
//!     all operands are constants  → the constant result
//!     x + 0, x − 0, x·1, x/1, +x  → x
//!     detached constants, inputs  → themselves: they have no gradient
//!     equal to an earlier node    → the earlier node
//! then, from the output and the guards backwards: nodes that nothing uses are dropped
//! ```
//! Where x is −0, x + 0 becomes −0, and the eager program has 0: only the sign of a zero may differ.

use super::graph::{Builder, Id, Node, Tape};
use crate::autograd::op::{self, Op};
use crate::{Result, alloc};

/// Folds constants if `fold` is set, and merges common subexpressions if `share` is.
///
/// # Errors
/// [`crate::Error::Memory`].
pub fn fold(tape: &Tape, fold: bool, share: bool) -> Result<Tape> {
    let new = if share { Builder::sharing } else { Builder::new };
    rebuild(tape, new(tape.params, tape.inputs), |_| true, fold)
}

/// Leaves out the nodes that neither the output nor a guard depends on.
///
/// # Errors
/// [`crate::Error::Memory`].
pub fn drop_unused(tape: &Tape) -> Result<Tape> {
    let mut used = alloc::filled(false, tape.nodes.len())?;
    used[tape.output as usize] = true;
    for guard in &tape.guards {
        used[guard.x as usize] = true;
        used[guard.y as usize] = true;
    }
    for (id, &node) in tape.nodes.iter().enumerate().rev() {
        if used[id] {
            tape.each_operand(node, |operand| used[operand as usize] = true);
        }
    }
    rebuild(tape, Builder::new(tape.params, tape.inputs), |id| used[id], false)
}

fn rebuild(
    tape: &Tape,
    mut new: Builder,
    keep: impl Fn(usize) -> bool,
    folded: bool,
) -> Result<Tape> {
    let mut map: Vec<Id> = alloc::with_capacity(tape.nodes.len())?;
    for (id, &node) in tape.nodes.iter().enumerate() {
        if !keep(id) {
            map.push(Id::MAX);
            continue;
        }
        let to = |id: Id| map[id as usize];
        let node = new.moved(tape, node, to)?;
        let replaced = if folded { simpler(&new.tape, node) } else { Simpler::Node(node) };
        map.push(match replaced {
            Simpler::Node(node) => new.push(node)?,
            Simpler::Existing(id) => id,
        });
    }
    new.finish(tape, |id| map[id as usize])
}

/// A node, or the one that takes its place.
enum Simpler {
    Node(Node),
    Existing(Id),
}

#[allow(clippy::float_cmp, reason = "only the exact neutral element changes nothing")]
fn simpler(tape: &Tape, node: Node) -> Simpler {
    let number = |id: Id| match tape.nodes[id as usize] {
        Node::Const(number) => Some(number),
        _ => None,
    };
    match node {
        Node::Detach(x) => match tape.nodes[x as usize] {
            Node::Const(_) | Node::Input(_) | Node::Detach(_) => Simpler::Existing(x),
            _ => Simpler::Node(node),
        },
        Node::Unary(Op::Pos, x) => Simpler::Existing(x),
        // An op that fails stays, so that the replay reports it.
        Node::Unary(op, x) => match number(x).map(|x| op::unary(op, x)) {
            Some(Ok(result)) => Simpler::Node(Node::Const(result.value)),
            _ => Simpler::Node(node),
        },
        Node::Binary(op, x, y) => match (op, number(x), number(y)) {
            (_, Some(a), Some(b)) => match op::binary(op, a, b) {
                Ok(result) => Simpler::Node(Node::Const(result.value)),
                Err(_) => Simpler::Node(node),
            },
            (Op::Add | Op::Sub, _, Some(0.0)) | (Op::Mul | Op::Div, _, Some(1.0)) => {
                Simpler::Existing(x)
            }
            (Op::Add, Some(0.0), _) | (Op::Mul, Some(1.0), _) => Simpler::Existing(y),
            // x·y and y·x, x + y and y + x are one node.
            (Op::Add | Op::Mul, ..) if y < x => Simpler::Node(Node::Binary(op, y, x)),
            _ => Simpler::Node(node),
        },
        _ => Simpler::Node(node),
    }
}
