//! What the outputs of one op over lists share: its parents, its rule, and their gradients.

use std::borrow::Cow;
use std::ptr;

use fastgrad_core::graph::fused::Rule;
use fastgrad_core::graph::sweep::NoMemory;
use pyo3::ffi;

use super::node::Node;
use crate::weights;

/// One op over lists. Its output nodes share it; the last one to go takes it along.
pub struct Block {
    shares: usize,
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
        name: Cow<'static, str>,
        parents: Vec<*mut Node>,
        rule: Option<Rule>,
        outputs: usize,
    ) -> *mut Block {
        let dout = vec![0.0; outputs];
        let weights = ptr::null_mut();
        Box::into_raw(Box::new(Block {
            shares: 1,
            mark: 0,
            parents,
            rule,
            dout,
            weights,
            key: None,
            name,
        }))
    }

    /// The block of one input's linear map. It takes a share of the weights; `z`, the sums, serve
    /// as the buffer of its adjoints once the outputs are made.
    pub fn linear(
        name: &'static str,
        parents: Vec<*mut Node>,
        rule: Rule,
        z: Vec<f64>,
        weights: *mut Block,
    ) -> *mut Block {
        let (name, rule) = (name.into(), Some(rule));
        // SAFETY: the caller holds a share of the weights.
        unsafe { (*weights).share() };
        Box::into_raw(Box::new(Block {
            shares: 1,
            mark: 0,
            parents,
            rule,
            dout: z,
            weights,
            key: None,
            name,
        }))
    }

    /// One more share.
    pub fn share(&mut self) {
        self.shares += 1;
    }

    /// The parents of one output, in operand order; those of a linear map are x, its own row of
    /// weights and its own bias.
    pub fn parents_of(&self, output: usize) -> Vec<*mut Node> {
        let mut parents = self.parents.clone();
        if let (Some(Rule::Linear { weights, .. }), false) = (&self.rule, self.weights.is_null()) {
            // SAFETY: a block shares the weights that it names.
            let shared = unsafe { &(*self.weights).parents };
            let (row, bias) = weights.places(output);
            parents.extend(shared.get(row).into_iter().flatten());
            parents.extend(bias.and_then(|bias| shared.get(bias)));
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

    /// Adds what the adjoints in `dout` send to the parents' gradients, and makes `dout` 0 again.
    ///
    /// # Safety
    /// The parents are alive and nobody else holds a reference to their fields.
    pub unsafe fn pull_back(&mut self, scratch: &mut Vec<f64>) {
        if let Some(rule) = &self.rule {
            let parents = &self.parents;
            // SAFETY: shared weights are another block, whose adjoints nobody else holds.
            let shared = unsafe { self.weights.as_mut() }.map(|weights| &mut weights.dout[..]);
            let shared = shared.unwrap_or_default();
            rule.pull_back(&self.dout, parents.len(), shared, scratch, |i, gradient| {
                if let Some(&parent) = parents.get(i)
                    && !parent.is_null()
                {
                    // SAFETY: alive by contract.
                    unsafe { (*parent).grad += gradient }
                }
            });
        }
        self.dout.fill(0.0);
    }
}

/// Gives up a share; with the last one every parent goes to `give_up` and the block ends.
///
/// # Safety
/// The caller has a share.
pub unsafe fn drop_share(block: *mut Block, give_up: &mut dyn FnMut(*mut Node)) {
    // SAFETY: the share keeps the block alive; with the last one it is ours alone.
    unsafe {
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
