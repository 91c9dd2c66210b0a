//! Encodes a tape as plain arrays of numbers, for a file, and decodes it.

use super::graph::{Comparison, Guard, Id, Node, Tape};
use crate::autograd::op::Op;
use crate::{Error, Result, alloc};

/// A tape as arrays.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Encoded {
    /// Kind, op and two operands of each node.
    pub nodes: Vec<[u32; 4]>,
    /// The constants, in order.
    pub constants: Vec<f64>,
    /// The start of each list, and the end of the last one.
    pub list_starts: Vec<u32>,
    /// The nodes of all lists.
    pub list_items: Vec<u32>,
    /// The start of each list of pairs, and the end of the last one.
    pub pair_starts: Vec<u32>,
    /// The nodes of all pairs, two by two.
    pub pair_items: Vec<[u32; 2]>,
    /// Comparison, x, y, outcome and place of each guard.
    pub guards: Vec<[u32; 5]>,
    /// The output, the number of parameters and that of inputs.
    pub shape: [u32; 3],
}

const COMPARISONS: [Comparison; 4] =
    [Comparison::Less, Comparison::LessEqual, Comparison::Equal, Comparison::Same];

/// Encodes a tape.
///
/// # Errors
/// [`Error::Memory`].
pub fn encode(tape: &Tape) -> Result<Encoded> {
    let mut to = Encoded { nodes: alloc::with_capacity(tape.nodes.len())?, ..Encoded::default() };
    for &node in &tape.nodes {
        to.nodes.push(match node {
            Node::Const(number) => {
                to.constants.push(number);
                [0, 0, to.constants.len() as u32 - 1, 0]
            }
            Node::Param(i) => [1, 0, i, 0],
            Node::Input(i) => [2, 0, i, 0],
            Node::Detach(x) => [3, 0, x, 0],
            Node::Unary(op, x) => [4, op as u32, x, 0],
            Node::Binary(op, x, y) => [5, op as u32, x, y],
            Node::Select { list, index } => [6, 0, list, index],
            Node::Highest { list } => [7, 0, list, 0],
            Node::Dot { pairs } => [8, 0, pairs, 0],
        });
    }
    to.list_starts.push(0);
    for list in &tape.lists {
        to.list_items.extend_from_slice(list);
        to.list_starts.push(to.list_items.len() as u32);
    }
    to.pair_starts.push(0);
    for pairs in &tape.pairs {
        to.pair_items.extend(pairs.iter().map(|&(x, y)| [x, y]));
        to.pair_starts.push(to.pair_items.len() as u32);
    }
    for guard in &tape.guards {
        let comparison = COMPARISONS.iter().position(|&c| c == guard.comparison);
        let code = comparison.ok_or(Error::Failed)? as u32;
        to.guards.push([code, guard.x, guard.y, u32::from(guard.held), guard.place]);
    }
    to.shape = [tape.output, tape.params as u32, tape.inputs as u32];
    Ok(to)
}

/// Decodes and validates a tape from arrays of unknown origin.
///
/// # Errors
/// [`Error::Invalid`] for what [`encode`] does not write, [`Error::Memory`].
pub fn decode(from: &Encoded) -> Result<Tape> {
    let wrong = |what: &str| Error::Invalid(format!("the recorded program has {what}"));
    let [output, params, inputs] = from.shape;
    let mut tape = Tape {
        nodes: alloc::with_capacity(from.nodes.len())?,
        lists: cut(&from.list_starts, &from.list_items).ok_or_else(|| wrong("broken lists"))?,
        output,
        params: params as usize,
        inputs: inputs as usize,
        ..Tape::default()
    };
    let pairs =
        cut(&from.pair_starts, &from.pair_items).ok_or_else(|| wrong("broken lists of pairs"))?;
    tape.pairs = pairs.iter().map(|pairs| pairs.iter().map(|&[x, y]| (x, y)).collect()).collect();
    for &[kind, op, a, b] in &from.nodes {
        let op = || Op::from_code(op).ok_or_else(|| wrong("an unknown op"));
        tape.nodes.push(match kind {
            0 => {
                let number = from.constants.get(a as usize).copied();
                Node::Const(number.ok_or_else(|| wrong("a constant that is missing"))?)
            }
            1 => Node::Param(a),
            2 => Node::Input(a),
            3 => Node::Detach(a),
            4 => Node::Unary(op()?, a),
            5 => Node::Binary(op()?, a, b),
            6 => Node::Select { list: a, index: b },
            7 => Node::Highest { list: a },
            8 => Node::Dot { pairs: a },
            _ => return Err(wrong("an unknown kind of node")),
        });
    }
    for &[comparison, x, y, held, place] in &from.guards {
        let comparison =
            *COMPARISONS.get(comparison as usize).ok_or_else(|| wrong("an unknown comparison"))?;
        tape.guards.push(Guard { comparison, x, y, held: held != 0, place });
    }
    tape.validate()?;
    Ok(tape)
}

/// Splits items at their starts; returns None where these are not in order.
fn cut<T: Copy>(starts: &[Id], items: &[T]) -> Option<Vec<Vec<T>>> {
    if starts.first() != Some(&0) || starts.last().map(|&end| end as usize) != Some(items.len()) {
        return None;
    }
    let part =
        |bounds: &[u32]| items.get(bounds[0] as usize..bounds[1] as usize).map(<[T]>::to_vec);
    starts.windows(2).map(part).collect()
}
