//! What the outputs of one op over lists share: its parents, its rule, and their gradients.

use std::borrow::Cow;
use std::ptr;

use fastgrad_core::graph::fused::Rule;
use fastgrad_core::graph::op::Op;
use fastgrad_core::graph::sweep::NoMemory;
use pyo3::exceptions::PyMemoryError;
use pyo3::ffi;
use pyo3::prelude::*;

use super::node::{self, Node};
use crate::weights;

/// One op over lists. Its output nodes share it; the last one to go takes it along.
pub struct Block {
    shares: usize,
    /// a parent has a rule of its own, or stands on one
    on_rule: bool,
    /// what the collector knows of the block: a node to which every share is a reference, which
    /// has the only share itself; null without
    holder: *mut Node,
    /// the mark of the last pass
    pub mark: u64,
    /// owned references; null where the operand was a plain number
    pub parents: Vec<*mut Node>,
    /// how gradients reach the parents; none for an op that the user made without derivatives
    pub rule: Option<Rule>,
    /// adjoints of the outputs, all 0 between passes
    pub dout: Vec<f64>,
    /// the block of the weights that several linear maps share; null without
    pub weights: *mut Block,
    /// where a block of weights is looked for
    pub key: Option<usize>,
    /// what `_op` shows
    pub name: Cow<'static, str>,
}

impl Block {
    /// A block with a share for the caller, to be given up by [`drop_share`]. It takes over the
    /// references in `parents`.
    pub fn new(
        py: Python<'_>,
        name: Cow<'static, str>,
        parents: Vec<*mut Node>,
        rule: Option<Rule>,
        outputs: usize,
    ) -> PyResult<*mut Block> {
        let mut dout = Vec::new();
        if dout.try_reserve_exact(outputs).is_err() {
            // SAFETY: the references are ours.
            parents
                .iter()
                .filter(|p| !p.is_null())
                .for_each(|p| unsafe { ffi::Py_DECREF(p.cast()) });
            return Err(PyMemoryError::new_err("no memory for the gradients of an op's outputs"));
        }
        dout.resize(outputs, 0.0);
        Block::with(py, name, parents, rule, dout, ptr::null_mut())
    }

    /// The block of one input's linear map. It takes a share of the weights; `z`, the sums, serve
    /// as the buffer of its adjoints once the outputs are made.
    pub fn linear(
        py: Python<'_>,
        name: &'static str,
        parents: Vec<*mut Node>,
        rule: Rule,
        z: Vec<f64>,
        weights: *mut Block,
    ) -> PyResult<*mut Block> {
        // SAFETY: the caller holds a share of the weights.
        unsafe { (*weights).share() };
        Block::with(py, name.into(), parents, Some(rule), z, weights)
    }

    fn with(
        py: Python<'_>,
        name: Cow<'static, str>,
        parents: Vec<*mut Node>,
        rule: Option<Rule>,
        dout: Vec<f64>,
        weights: *mut Block,
    ) -> PyResult<*mut Block> {
        // SAFETY: parents and weights are alive.
        let on_rule = unsafe {
            parents.iter().any(|&p| !p.is_null() && (*p).is_on_rule())
                || (!weights.is_null() && (*weights).on_rule)
        };
        let has_several_owners = dout.len() > 1 || matches!(rule, Some(Rule::Shared(_)));
        let block = Block {
            shares: 1,
            on_rule,
            holder: ptr::null_mut(),
            mark: 0,
            parents,
            rule,
            dout,
            weights,
            key: None,
            name,
        };
        let block = Box::into_raw(Box::new(block));
        if on_rule && has_several_owners {
            // SAFETY: the block is new, and the share ours.
            unsafe { hold(py, block) }?;
        }
        Ok(block)
    }

    /// One more share.
    pub fn share(&mut self) {
        if self.holder.is_null() {
            self.shares += 1;
        } else {
            // SAFETY: a holder is alive as long as its block names it.
            unsafe { ffi::Py_INCREF(self.holder.cast()) }
        }
    }

    /// Does a parent have a rule of its own, or stand on one?
    pub fn is_on_rule(&self) -> bool {
        self.on_rule
    }

    /// Called when a node of the block ends.
    pub fn forget_holder(&mut self, node: *mut Node) {
        if self.holder == node {
            self.holder = ptr::null_mut();
        }
    }

    /// Calls `visit` with what one owner of a share is to tell the collector of: each reference is
    /// told of once, or not at all if that cannot be.
    pub fn traverse(&self, owner: *mut Node, visit: &mut dyn FnMut(*mut Node)) {
        if !self.holder.is_null() && self.holder != owner {
            visit(self.holder);
        } else if self.shares == 1 {
            self.parents.iter().filter(|p| !p.is_null()).for_each(|&p| visit(p));
            // SAFETY: a block shares the weights that it names.
            if let Some(weights) = unsafe { self.weights.as_ref() }
                && !weights.holder.is_null()
            {
                visit(weights.holder);
            }
        }
    }

    /// The parents of one output, in operand order; those of a linear map are x, its own row of
    /// weights and its own bias.
    #[allow(
        clippy::indexing_slicing,
        reason = "an output of the weights has its places among them"
    )]
    pub fn parents_of(&self, output: usize) -> Vec<*mut Node> {
        let mut parents = self.parents.clone();
        if let (Some(Rule::Linear { weights, .. }), false) = (&self.rule, self.weights.is_null()) {
            // SAFETY: a block shares the weights that it names.
            let shared = unsafe { &(*self.weights).parents };
            let (row, bias) = weights.places(output);
            parents.extend(&shared[row]);
            parents.extend(bias.map(|bias| shared[bias]));
        }
        parents
    }

    /// Makes the buffer large enough for [`Block::pull_back`].
    ///
    /// # Errors
    /// [`NoMemory`]
    pub fn reserve(&self, scratch: &mut Vec<f64>) -> Result<(), NoMemory> {
        scratch.clear();
        match &self.rule {
            Some(Rule::Linear { x, .. }) => scratch.try_reserve(x.len()).map_err(|_| NoMemory),
            _ => Ok(()),
        }
    }

    /// d(output)/d(parent) for each of [`Block::parents_of`]: what an adjoint of `slope` sends.
    /// Nothing for an op without derivatives.
    #[allow(clippy::indexing_slicing, reason = "the core gives to parents that there are")]
    pub fn local_gradients(&self, output: usize, slope: f64) -> PyResult<Vec<f64>> {
        let Some(rule) = &self.rule else { return Ok(Vec::new()) };
        let weights = match rule {
            Rule::Linear { weights, .. } if !self.weights.is_null() => Some(weights),
            _ => None,
        };
        let mut dout = zeros(self.dout.len())?;
        let mut gradients = zeros(self.parents.len())?;
        let mut shared = zeros(weights.map_or(0, |weights| weights.values().len()))?;
        dout[output] = slope;
        let mut scratch = Vec::new();
        self.reserve(&mut scratch).map_err(|NoMemory| PyMemoryError::new_err(()))?;
        rule.pull_back(&dout, self.parents.len(), &mut shared, &mut scratch, |i, gradient| {
            gradients[i] += gradient;
        });
        if let Some(weights) = weights {
            let (row, bias) = weights.places(output);
            gradients.extend(&shared[row]);
            gradients.extend(bias.map(|bias| shared[bias]));
        }
        Ok(gradients)
    }

    /// Adds what the adjoints in `dout` send to the parents' gradients, and makes `dout` 0 again.
    ///
    /// # Safety
    /// The parents are alive and nobody else holds a reference to their fields.
    #[allow(clippy::indexing_slicing, reason = "the core gives to parents that there are")]
    pub unsafe fn pull_back(&mut self, scratch: &mut Vec<f64>) {
        if let Some(rule) = &self.rule {
            let parents = &self.parents;
            // SAFETY: shared weights are another block, whose adjoints nobody else holds.
            let shared = unsafe { self.weights.as_mut() }.map(|weights| &mut weights.dout[..]);
            let shared = shared.unwrap_or_default();
            rule.pull_back(&self.dout, parents.len(), shared, scratch, |i, gradient| {
                let parent = parents[i];
                if !parent.is_null() {
                    // SAFETY: alive by contract.
                    unsafe { (*parent).grad += gradient }
                }
            });
        }
        self.dout.fill(0.0);
    }
}

/// Gives a block that stands on a rule a holder, which takes over the only share.
///
/// The collector must be told of each reference once. The outputs of a block share its references
/// to the parents, so they tell of a reference to the holder each, and it tells of the parents.
unsafe fn hold(py: Python<'_>, block: *mut Block) -> PyResult<()> {
    // SAFETY: the block and its share are the caller's; the lock is held.
    unsafe {
        let holder = node::new(Op::Leaf, 0.0);
        if holder.is_null() {
            drop_own_share(block);
            return Err(PyErr::fetch(py));
        }
        node::set_block(holder, block, 0, 1.0);
        (*block).holder = holder;
    }
    Ok(())
}

fn zeros(n: usize) -> PyResult<Vec<f64>> {
    let mut zeros = Vec::new();
    zeros.try_reserve_exact(n).map_err(|_| PyMemoryError::new_err(()))?;
    zeros.resize(n, 0.0);
    Ok(zeros)
}

/// Gives up a share; with the last one every parent goes to `give_up` and the block ends.
///
/// # Safety
/// The caller has a share.
pub unsafe fn drop_share(block: *mut Block, give_up: &mut dyn FnMut(*mut Node)) {
    // SAFETY: the share keeps the block alive; with the last one it is ours alone.
    unsafe {
        if !(*block).holder.is_null() {
            return give_up((*block).holder);
        }
        (*block).shares -= 1;
        if (*block).shares == 0 {
            weights::forget(block);
            let block = Box::from_raw(block);
            if !block.weights.is_null() {
                drop_share(block.weights, give_up);
            }
            block.parents.iter().filter(|parent| !parent.is_null()).for_each(|&p| give_up(p));
        }
    }
}

/// As [`drop_share`], the parents going as any Python object does.
///
/// # Safety
/// The caller has a share.
pub unsafe fn drop_own_share(block: *mut Block) {
    // SAFETY: the block owned the references.
    unsafe { drop_share(block, &mut |parent| ffi::Py_DECREF(parent.cast())) }
}
