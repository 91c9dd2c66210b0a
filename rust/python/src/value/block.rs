//! What the outputs of one op over lists share: its parents, its rule, and their gradients.

use std::borrow::Cow;

use fastgrad_core::graph::fused::Rule;
use pyo3::ffi;

use super::node::Node;

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
        Box::into_raw(Box::new(Block { shares: 1, mark: 0, parents, rule, dout, name }))
    }

    pub(super) fn share(&mut self) {
        self.shares += 1;
    }

    /// The parents of one output, in operand order; those of a linear map are x, its own row of
    /// weights and its own bias.
    pub fn parents_of(&self, output: usize) -> Vec<*mut Node> {
        let all = self.parents.iter();
        let Some(Rule::Linear(map)) = &self.rule else { return all.copied().collect() };
        let n = map.x.len();
        let weights = n + if map.bias { self.dout.len() } else { 0 };
        let x = all.clone().take(n);
        let row = all.clone().skip(weights + output * n).take(n);
        let bias = all.skip(n + output).take(usize::from(map.bias));
        x.chain(row).chain(bias).copied().collect()
    }

    /// Adds what the adjoints in `dout` send to the parents' gradients, and makes `dout` 0 again.
    ///
    /// # Safety
    /// The parents are alive and nobody else holds a reference to their fields.
    pub unsafe fn pull_back(&mut self, scratch: &mut Vec<f64>) {
        if let Some(rule) = &self.rule {
            let parents = &self.parents;
            rule.pull_back(&self.dout, parents.len(), scratch, |i, gradient| {
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
pub unsafe fn drop_share(block: *mut Block, mut give_up: impl FnMut(*mut Node)) {
    // SAFETY: the share keeps the block alive; with the last one it is ours alone.
    unsafe {
        (*block).shares -= 1;
        if (*block).shares == 0 {
            let block = Box::from_raw(block);
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
    unsafe { drop_share(block, |parent| ffi::Py_DECREF(parent.cast())) }
}
