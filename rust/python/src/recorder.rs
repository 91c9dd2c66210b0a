//! Reads the graph under a Value as a tape: each node once, operands first.
#![allow(clippy::indexing_slicing, reason = "the walk's own positions; a wrong one must be loud")]

use fastgrad_core::autograd::fused::Vjp;
use fastgrad_core::autograd::op::{self, Op};
use fastgrad_core::tape::{Builder, Comparison, Guard, Id, Node, Tape};
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::ffi;
use pyo3::prelude::*;
use rustc_hash::FxHashMap;

use crate::args;
use crate::errors::to_python;
use crate::value::fused_op::FusedOp;
use crate::value::node::{self, NodeRef};

/// Where the number of a leaf comes from.
pub enum Origin<'a> {
    /// An input of the example, by its index.
    Input(u32),
    /// A plain number.
    Constant,
    /// The number of another Value, without its gradient.
    Detached(NodeRef<'a>),
    /// The number of one of a list, at the index that the second Value is.
    Selected(Vec<NodeRef<'a>>, NodeRef<'a>),
    /// The largest number of a list.
    Highest(Vec<NodeRef<'a>>),
}

/// A walk through the graph under some Values, operands first.
pub struct Walk<'a> {
    builder: Builder,
    known: FxHashMap<usize, Id>,
    origins: FxHashMap<usize, Origin<'a>>,
    /// The local gradients of users' own ops, by op and position of the operand.
    local_grads: FxHashMap<(usize, usize), NodeRef<'a>>,
    /// The comparisons that must hold for users' own ops to be as recorded.
    guards: Vec<Guard>,
    /// The leaves that may be parameters.
    leaves: Vec<(NodeRef<'a>, Id)>,
    /// For each leaf, how many operands of nodes of the graph are this leaf.
    edges: FxHashMap<usize, isize>,
}

/// A node on the walk's stack: to be entered, or to be recorded after its operands.
enum Visit<'a> {
    Enter(NodeRef<'a>),
    Leave(NodeRef<'a>),
}

impl<'a> Walk<'a> {
    /// Starts a walk for a program of that many inputs an example.
    pub fn new(inputs: usize) -> Walk<'a> {
        Walk {
            builder: Builder::new(0, inputs),
            known: FxHashMap::default(),
            origins: FxHashMap::default(),
            local_grads: FxHashMap::default(),
            guards: Vec::new(),
            leaves: Vec::new(),
            edges: FxHashMap::default(),
        }
    }

    /// Sets where the number of a leaf comes from.
    pub fn set_origin(&mut self, leaf: &'a Bound<'_, PyAny>, origin: Origin<'a>) -> PyResult<()> {
        self.origins.insert(address(as_node(leaf)?), origin);
        Ok(())
    }

    /// Sets the local gradient of a user's own op by its operand at a position.
    pub fn set_local_grad(
        &mut self,
        op: &'a Bound<'_, PyAny>,
        place: usize,
        number: &'a Bound<'_, PyAny>,
    ) -> PyResult<()> {
        self.local_grads.insert((address(as_node(op)?), place), as_node(number)?);
        Ok(())
    }

    /// Records a Value and all that it depends on.
    pub fn record(&mut self, value: NodeRef<'a>) -> PyResult<Id> {
        let mut stack = vec![Visit::Enter(value)];
        while let Some(visit) = stack.pop() {
            match visit {
                Visit::Enter(value) if self.known.contains_key(&address(value)) => {}
                Visit::Enter(value) => {
                    stack.push(Visit::Leave(value));
                    self.enter(value, &mut stack)?;
                }
                Visit::Leave(value) => {
                    let id = self.add(value)?;
                    self.known.insert(address(value), id);
                }
            }
        }
        Ok(self.id(value))
    }

    fn id(&self, value: NodeRef<'_>) -> Id {
        self.known[&address(value)]
    }

    /// Pushes the Values that a node is computed from, the first operand on top.
    fn enter(&mut self, value: NodeRef<'a>, stack: &mut Vec<Visit<'a>>) -> PyResult<()> {
        if value.has(node::HAS_RULE) {
            return Err(not_recordable(value, "has a rule of its own")?);
        }
        if let Some((fused, _)) = value.fused_op() {
            if !fused.is_users_own() {
                return Err(not_recordable(value, "was computed before the recording")?);
            }
            for (i, parent) in operands(value).into_iter().enumerate().rev() {
                stack.extend(self.local_grads.get(&(address(value), i)).copied().map(Visit::Enter));
                self.enter_parent(parent, stack);
            }
        } else if value.op() != Op::Leaf {
            for parent in value.scalar_parents().into_iter().rev().flatten() {
                self.enter_parent(parent, stack);
            }
            return Ok(());
        }
        match self.origins.get(&address(value)) {
            Some(Origin::Detached(source)) => stack.push(Visit::Enter(*source)),
            Some(Origin::Highest(list)) => {
                stack.extend(list.iter().rev().copied().map(Visit::Enter));
            }
            Some(Origin::Selected(list, index)) => {
                stack.push(Visit::Enter(*index));
                stack.extend(list.iter().rev().copied().map(Visit::Enter));
            }
            Some(Origin::Input(_) | Origin::Constant) | None => {}
        }
        Ok(())
    }

    fn enter_parent(&mut self, parent: NodeRef<'a>, stack: &mut Vec<Visit<'a>>) {
        if parent.op() == Op::Leaf {
            *self.edges.entry(address(parent)).or_insert(0) += 1;
        }
        stack.push(Visit::Enter(parent));
    }

    fn add(&mut self, value: NodeRef<'a>) -> PyResult<Id> {
        if let Some((fused, _)) = value.fused_op() {
            return self.add_own(value, fused);
        }
        if value.op() == Op::Leaf {
            return self.add_leaf(value);
        }
        let core = |error| to_python(&error);
        let two = value.op().is_binary();
        let mut data = value.slopes();
        let mut operands = [0; 2];
        for (i, parent) in value.scalar_parents().into_iter().enumerate() {
            if let Some(parent) = parent {
                operands[i] = self.id(parent);
                data[i] = parent.data();
            } else if two {
                operands[i] = self.builder.push(Node::Const(data[i])).map_err(core)?;
            }
        }
        let (node, now) = if two {
            let node = Node::Binary(value.op(), operands[0], operands[1]);
            (node, op::binary(value.op(), data[0], data[1]).map(|result| result.value))
        } else {
            let node = Node::Unary(value.op(), operands[0]);
            (node, op::unary(value.op(), data[0]).map(|result| result.value))
        };
        if now.map(f64::to_bits) != Ok(value.data().to_bits()) && !value.data().is_nan() {
            return Err(PyValueError::new_err(format!(
                "{} was computed before its operands changed; expected a program that computes \
                 all that it needs, or .data for a number that stays",
                args::shorten(value.object().as_borrowed())
            )));
        }
        self.builder.push(node).map_err(core)
    }

    /// Records a user's own op: its number, plus g·(x − x′) for each operand x with local gradient g,
    /// where x′ is x without its gradient. The term is 0, and its derivative by x is g. It is not 0 if
    /// x or g is not finite; a guard then stops the replay.
    fn add_own(&mut self, value: NodeRef<'a>, fused: &FusedOp) -> PyResult<Id> {
        let core = |error| to_python(&error);
        let mut sum = match self.origins.get(&address(value)) {
            Some(Origin::Detached(source)) => Node::Detach(self.id(*source)),
            _ => Node::Const(value.data()),
        };
        let Some(Vjp::Gradients(gradients)) = &fused.rule else {
            return self.builder.push(sum).map_err(core);
        };
        for (i, (parent, &gradient)) in operands(value).into_iter().zip(gradients).enumerate() {
            if gradient * (parent.data() - parent.data()) != 0.0 {
                return Err(not_recordable(value, "has an operand or a gradient not finite")?);
            }
            let gradient = match self.local_grads.get(&(address(value), i)) {
                Some(number) => Node::Detach(self.id(*number)),
                None => Node::Const(gradient),
            };
            let x = self.id(parent);
            let mut push = |node| self.builder.push(node).map_err(core);
            let (so_far, gradient, fixed) = (push(sum)?, push(gradient)?, push(Node::Detach(x))?);
            let zero = push(Node::Binary(Op::Sub, x, fixed))?;
            let term = push(Node::Binary(Op::Mul, gradient, zero))?;
            let y = push(Node::Const(0.0))?;
            self.guards.push(Guard {
                comparison: Comparison::Equal,
                x: term,
                y,
                held: true,
                place: 0,
            });
            sum = Node::Binary(Op::Add, so_far, term);
        }
        self.builder.push(sum).map_err(core)
    }

    fn add_leaf(&mut self, value: NodeRef<'a>) -> PyResult<Id> {
        let core = |error| to_python(&error);
        let node = match self.origins.get(&address(value)) {
            Some(&Origin::Input(i)) => Node::Input(i),
            Some(Origin::Constant) => Node::Const(value.data()),
            Some(Origin::Detached(source)) => Node::Detach(self.id(*source)),
            Some(Origin::Highest(list)) => {
                let ids: Vec<Id> = list.iter().map(|&item| self.id(item)).collect();
                Node::Highest { list: self.builder.list(&ids).map_err(core)? }
            }
            Some(Origin::Selected(list, index)) => {
                let ids: Vec<Id> = list.iter().map(|&item| self.id(item)).collect();
                let index = self.id(*index);
                Node::Select { list: self.builder.list(&ids).map_err(core)?, index }
            }
            None => {
                let id = self.builder.push(Node::Const(value.data())).map_err(core)?;
                self.leaves.push((value, id));
                return Ok(id);
            }
        };
        self.builder.push(node).map_err(core)
    }

    /// Returns the tape and its parameters: the leaves that something outside of the graph refers to.
    /// Other leaves are constants. The tape has the guards of users' own ops only.
    pub fn finish(self) -> PyResult<(Tape, Vec<Py<PyAny>>)> {
        let Walk { builder, guards, leaves, edges, .. } = self;
        let mut tape = builder.tape;
        tape.guards = guards;
        let mut params = Vec::new();
        for (leaf, id) in leaves {
            let held = edges.get(&address(leaf)).copied().unwrap_or(0);
            // SAFETY: `leaf` is a living node, and `Walk` is only used with the GIL held.
            if unsafe { ffi::Py_REFCNT(leaf.as_ptr().cast()) } > held {
                tape.nodes[id as usize] = Node::Param(u32::try_from(params.len())?);
                params.push(leaf.object().unbind());
            }
        }
        tape.params = params.len();
        Ok((tape, params))
    }
}

/// Returns the operands of a user's own op.
fn operands(value: NodeRef<'_>) -> Vec<NodeRef<'_>> {
    let operands = value.operands_over_lists().unwrap_or_default();
    operands.into_iter().filter_map(|(operand, _)| operand).collect()
}

fn address(value: NodeRef<'_>) -> usize {
    value.as_ptr().addr()
}

/// Returns the node of an object that must be a Value.
pub fn as_node<'a>(object: &'a Bound<'_, PyAny>) -> PyResult<NodeRef<'a>> {
    NodeRef::of(object.as_borrowed()).ok_or_else(|| {
        PyTypeError::new_err(format!("{} is no Value", args::shorten(object.as_borrowed())))
    })
}

/// Returns the error for a node that only Python can compute.
#[cold]
fn not_recordable(value: NodeRef<'_>, why: &str) -> PyResult<PyErr> {
    let object = value.object();
    let op: String = object.getattr("_op")?.extract()?;
    Ok(PyTypeError::new_err(format!(
        "{} ({}) {why}; expected ops of fastgrad, or Value(data, children, op, local_grads) with \
         finite numbers made in the jitted function",
        args::quoted(&op),
        args::shorten(object.as_borrowed()),
    )))
}
