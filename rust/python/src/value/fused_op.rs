//! The op that the outputs of one call over lists share: its parents, its vjp, and the outputs'
//! adjoints.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::ptr;

use fastgrad_core::autograd::backward::NoMemory;
use fastgrad_core::autograd::fused::Vjp;
use fastgrad_core::autograd::op::Op;
use pyo3::exceptions::PyMemoryError;
use pyo3::ffi;
use pyo3::prelude::*;

use super::node::{self, NewNode, Node, NodeRef};
use crate::gil_cell::GilCell;

/// One op over lists. Each output node owns a share of it; it is freed with the last one.
pub struct FusedOp {
    /// the reference count: one for each output node, one for each holder of it in Rust
    shares: usize,
    /// a parent, or an ancestor further up, has a rule of its own
    on_rule: bool,
    /// a node that stands for the fused op in front of the collector: it owns the only share, and
    /// every further share is a reference to it; null without
    holder: *mut Node,
    /// the mark of the last pass
    pub mark: u64,
    /// owned references; null where the operand was a plain number
    pub parents: Vec<*mut Node>,
    /// the plain numbers in order, then that of the op itself, as the target of a cross-entropy;
    /// not those of linear maps, whose rule has them
    pub numbers: Box<[f64]>,
    /// how gradients reach the parents; none for an op that the user made without derivatives
    pub rule: Option<Vjp>,
    /// adjoints of the outputs, all 0 between passes
    pub dout: Vec<f64>,
    /// the fused op of the weights that several linear maps share; null without
    pub weights: *mut FusedOp,
    /// the key of a fused op of weights in the registry: the address of their list
    pub key: Option<usize>,
    /// what `_op` shows
    pub name: Cow<'static, str>,
}

impl FusedOp {
    /// Makes a fused op with a share for the caller, to be released by [`release_into`]. It takes
    /// over the references in `parents`.
    pub fn new(
        py: Python<'_>,
        name: Cow<'static, str>,
        parents: Vec<*mut Node>,
        rule: Option<Vjp>,
        outputs: usize,
    ) -> PyResult<*mut FusedOp> {
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
        FusedOp::with(py, name, parents, rule, dout, ptr::null_mut())
    }

    /// Makes the fused op of a linear map of one input. It takes a share of the weights; `z`, which
    /// holds the sums, becomes the buffer of its adjoints once the outputs are made.
    ///
    /// # Safety
    /// The caller owns the references in `parents`, and holds a share of the weights.
    pub unsafe fn linear(
        py: Python<'_>,
        name: &'static str,
        parents: Vec<*mut Node>,
        rule: Vjp,
        z: Vec<f64>,
        weights: *mut FusedOp,
    ) -> PyResult<*mut FusedOp> {
        // SAFETY: the caller holds a share of the weights.
        unsafe { (*weights).share() };
        FusedOp::with(py, name.into(), parents, Some(rule), z, weights)
    }

    fn with(
        py: Python<'_>,
        name: Cow<'static, str>,
        parents: Vec<*mut Node>,
        rule: Option<Vjp>,
        dout: Vec<f64>,
        weights: *mut FusedOp,
    ) -> PyResult<*mut FusedOp> {
        // SAFETY: parents and weights are alive.
        let on_rule = unsafe {
            parents.iter().any(|&p| !p.is_null() && (*p).is_on_rule())
                || (!weights.is_null() && (*weights).on_rule)
        };
        let has_several_owners = dout.len() > 1 || matches!(rule, Some(Vjp::Shared(_)));
        let fused = FusedOp {
            shares: 1,
            on_rule,
            holder: ptr::null_mut(),
            mark: 0,
            parents,
            numbers: Box::default(),
            rule,
            dout,
            weights,
            key: None,
            name,
        };
        let fused = Box::into_raw(Box::new(fused));
        if on_rule && has_several_owners {
            // SAFETY: the fused op is new, and the share ours.
            unsafe { hold(py, fused) }?;
        }
        Ok(fused)
    }

    /// Takes one more share.
    pub fn share(&mut self) {
        if self.holder.is_null() {
            self.shares += 1;
        } else {
            // SAFETY: a holder is alive as long as its fused op names it.
            unsafe { ffi::Py_INCREF(self.holder.cast()) }
        }
    }

    /// Returns true if a parent, or an ancestor further up, has a rule of its own.
    pub fn is_on_rule(&self) -> bool {
        self.on_rule
    }

    /// Clears the holder if it is this node, which is being deallocated.
    pub fn forget_holder(&mut self, node: *mut Node) {
        if self.holder == node {
            self.holder = ptr::null_mut();
        }
    }

    /// Calls `visit` with what one owner of a share shows to the collector: each reference exactly
    /// once, or not at all if that is impossible.
    pub fn traverse(&self, owner: *mut Node, visit: &mut dyn FnMut(*mut Node)) {
        if !self.holder.is_null() && self.holder != owner {
            visit(self.holder);
        } else if self.shares == 1 {
            self.parents.iter().filter(|p| !p.is_null()).for_each(|&p| visit(p));
            // SAFETY: a fused op shares the weights that it names.
            if let Some(weights) = unsafe { self.weights.as_ref() }
                && !weights.holder.is_null()
            {
                visit(weights.holder);
            }
        }
    }

    /// Returns the parents of one output, in operand order; those of a linear map are x, its own
    /// row of weights and its own bias.
    #[allow(
        clippy::indexing_slicing,
        reason = "an output of the weights has its places among them"
    )]
    pub fn parents_of(&self, output: usize) -> Vec<*mut Node> {
        let mut parents = self.parents.clone();
        if let (Some(Vjp::Linear { weights, .. }), false) = (&self.rule, self.weights.is_null()) {
            // SAFETY: a fused op shares the weights that it names.
            let shared = unsafe { &(*self.weights).parents };
            let (row, bias) = weights.places(output);
            parents.extend(&shared[row]);
            parents.extend(bias.map(|bias| shared[bias]));
        }
        parents
    }

    /// Returns the operands of one output in order, each a node or, where that is null, a number
    /// (beside a node it means nothing).
    /// Those of a linear map are its row of weights, x, and its bias.
    #[allow(
        clippy::indexing_slicing,
        reason = "an output of the weights has its places among them"
    )]
    pub fn operands_of(&self, output: usize) -> Vec<(*mut Node, f64)> {
        if let (Some(Vjp::Linear { x, weights }), false) = (&self.rule, self.weights.is_null()) {
            // SAFETY: a fused op shares the weights that it names.
            let shared = unsafe { &(*self.weights).parents };
            let (row, bias) = weights.places(output);
            let weight = |i: usize| (shared[i], weights.values()[i]);
            let inputs = self.parents.iter().copied().zip(x.iter().copied());
            return row.map(weight).chain(inputs).chain(bias.map(weight)).collect();
        }
        let mut numbers = self.numbers.iter().copied();
        let number_of = |&node: &*mut Node| {
            if !node.is_null() {
                return (node, 0.0);
            }
            let Some(number) = numbers.next() else { unreachable!("a number for each null") };
            (node, number)
        };
        let mut operands: Vec<_> = self.parents.iter().map(number_of).collect();
        operands.extend(numbers.map(|number| (ptr::null_mut(), number)));
        operands
    }

    /// Makes the buffer large enough for [`FusedOp::vjp`].
    ///
    /// # Errors
    /// [`NoMemory`]
    pub fn reserve(&self, scratch: &mut Vec<f64>) -> Result<(), NoMemory> {
        scratch.clear();
        match &self.rule {
            Some(Vjp::Linear { x, .. }) => scratch.try_reserve(x.len()).map_err(|_| NoMemory),
            _ => Ok(()),
        }
    }

    /// Returns d(output)/d(parent) for each of [`FusedOp::parents_of`]: what an adjoint of `slope`
    /// sends. Empty for an op without derivatives.
    #[allow(clippy::indexing_slicing, reason = "the core gives to parents that there are")]
    pub fn local_gradients(&self, output: usize, slope: f64) -> PyResult<Vec<f64>> {
        let Some(rule) = &self.rule else { return Ok(Vec::new()) };
        let weights = match rule {
            Vjp::Linear { weights, .. } if !self.weights.is_null() => Some(weights),
            _ => None,
        };
        let mut dout = zeros(self.dout.len())?;
        let mut gradients = zeros(self.parents.len())?;
        let mut shared = zeros(weights.map_or(0, |weights| weights.values().len()))?;
        dout[output] = slope;
        let mut scratch = Vec::new();
        self.reserve(&mut scratch).map_err(|NoMemory| PyMemoryError::new_err(()))?;
        rule.vjp(&dout, self.parents.len(), &mut shared, &mut scratch, |i, gradient| {
            gradients[i] += gradient;
        });
        if let Some(weights) = weights {
            let (row, bias) = weights.places(output);
            gradients.extend(&shared[row]);
            gradients.extend(bias.map(|bias| shared[bias]));
        }
        Ok(gradients)
    }

    /// Sends the adjoints in `dout` to the parents' gradients, and sets `dout` to 0.
    ///
    /// # Errors
    /// [`NoMemory`]; nothing is sent then.
    ///
    /// # Safety
    /// The parents are alive and nobody else holds a reference to their fields.
    #[allow(clippy::indexing_slicing, reason = "the core gives to parents that there are")]
    pub unsafe fn vjp(&mut self, scratch: &mut Vec<f64>) -> Result<(), NoMemory> {
        self.reserve(scratch)?;
        if let Some(rule) = &self.rule {
            let parents = &self.parents;
            // SAFETY: shared weights are another fused op, whose adjoints nobody else holds.
            let shared = unsafe { self.weights.as_mut() }.map(|weights| &mut weights.dout[..]);
            let shared = shared.unwrap_or_default();
            rule.vjp(&self.dout, parents.len(), shared, scratch, |i, gradient| {
                let parent = parents[i];
                if !parent.is_null() {
                    // SAFETY: alive by contract.
                    unsafe { (*parent).grad += gradient }
                }
            });
        }
        self.dout.fill(0.0);
        Ok(())
    }
}

impl Node {
    /// Returns the fused op of a fused node, and the node's index among its outputs.
    #[inline(always)]
    pub fn fused(&self) -> Option<(*mut FusedOp, usize)> {
        (self.op() == Op::Fused).then(|| (self.left.cast(), self.right.addr()))
    }
}

impl<'a> NodeRef<'a> {
    /// Returns the fused op that the node is an output of, and its index among the outputs.
    pub fn fused_op(&self) -> Option<(&'a FusedOp, usize)> {
        // SAFETY: a node has a share of its op, so the op lives as long; no pass writes to it while
        // it is read, as Python code runs in neither.
        self.get().fused().map(|(fused, output)| (unsafe { &*fused }, output))
    }

    /// Returns the operands of an op over lists in order: see [`FusedOp::operands_of`]; None for
    /// another node.
    pub fn operands_over_lists(self) -> Option<Vec<(Option<NodeRef<'a>>, f64)>> {
        let (fused, output) = self.fused_op()?;
        let operands = fused.operands_of(output).into_iter();
        // SAFETY: edges never change, so that parents live as long as the node does.
        Some(operands.map(|(node, x)| (unsafe { NodeRef::at(self.py(), node) }, x)).collect())
    }

    /// Returns the parents in operand order, repeats too; None for an operand that was a plain
    /// number.
    pub fn parents(self) -> Vec<Option<NodeRef<'a>>> {
        let parents = match self.fused_op() {
            Some((fused, output)) => fused.parents_of(output),
            None => self.get().parents().to_vec(),
        };
        // SAFETY: edges never change, so that parents live as long as the node does.
        parents.into_iter().map(|node| unsafe { NodeRef::at(self.py(), node) }).collect()
    }
}

/// Makes a new node the output `index` of a fused op; takes over a share of the fused op.
///
/// # Safety
/// `node` is new; `fused` is alive, and the share the caller's.
pub unsafe fn set_fused_op(node: *mut Node, fused: *mut FusedOp, index: usize, slope: f64) {
    // SAFETY: alive by contract.
    unsafe {
        (*node).tag = ((*node).tag & !0xFF) | Op::Fused as u64;
        (*node).left = fused.cast();
        (*node).right = ptr::without_provenance_mut(index);
        (*node).d_left = slope;
        if (*fused).is_on_rule() {
            node::put_on_rule(node);
        }
    }
}

/// Replaces a node's fused op by the edges of another node, which has the same parents.
///
/// # Safety
/// Both are alive; `node` is fused, `from` is not.
pub unsafe fn take_edges(py: Python<'_>, node: *mut Node, from: *mut Node) {
    // SAFETY: alive by contract; the share is the node's own.
    unsafe {
        let fused = (*node).left.cast::<FusedOp>();
        (*node).tag = ((*node).tag & !0xFF) | (*from).op() as u64;
        let parents = (*from).parents().map(|parent| NodeRef::at(py, parent));
        let slopes = [(*from).d_left, (*from).d_right];
        node::set_parents(node, parents, slopes);
        release(fused);
    }
}

/// Makes the holder of a fused op with a rule among its ancestors; it takes over the only share.
///
/// The collector must visit each reference once. The outputs of a fused op share its references to
/// the parents: so each output shows its reference to the holder, and the holder shows the parents.
unsafe fn hold(py: Python<'_>, fused: *mut FusedOp) -> PyResult<()> {
    let holder = NewNode::leaf(py, 0.0);
    // SAFETY: the fused op and its share are the caller's, the holder is new.
    unsafe {
        let Some(node) = holder.get() else {
            release(fused);
            return Err(PyErr::fetch(py));
        };
        set_fused_op(node.as_ptr(), fused, 0, 1.0);
        (*fused).holder = node.as_ptr();
    }
    Ok(())
}

/// The fused ops of weights in use, by the address of the list that the weights came from. The
/// registry owns none of them: one that is freed removes its entry.
static IN_USE: GilCell<Registry> = GilCell::new(Registry(BTreeMap::new()));

struct Registry(BTreeMap<usize, *mut FusedOp>);

// SAFETY: fused ops belong to no thread.
unsafe impl Send for Registry {}

/// Returns the fused op of weights that came from the list at this address. It is alive until
/// Python code runs.
pub fn in_use(py: Python<'_>, list: usize) -> Option<*mut FusedOp> {
    IN_USE.with(py, |in_use| in_use.0.get(&list).copied())
}

/// Registers a fused op of weights under its `key`, in place of an older one.
pub fn register(py: Python<'_>, list: usize, fused: *mut FusedOp) {
    IN_USE.with(py, |in_use| in_use.0.insert(list, fused));
}

/// Removes the entry of a fused op that is being freed.
fn unregister(py: Python<'_>, list: usize, fused: *mut FusedOp) {
    IN_USE.with(py, |in_use| {
        // A newer fused op may have taken the place.
        if in_use.0.get(&list) == Some(&fused) {
            in_use.0.remove(&list);
        }
    });
}

/// Removes all entries, as a node has changed its class, which may have ops of its own: all
/// registered fused ops hold nodes of exact type `Value`.
#[cold]
pub fn unregister_all(py: Python<'_>) {
    IN_USE.with(py, |in_use| in_use.0.clear());
}

fn zeros(n: usize) -> PyResult<Vec<f64>> {
    let mut zeros = Vec::new();
    zeros.try_reserve_exact(n).map_err(|_| PyMemoryError::new_err(()))?;
    zeros.resize(n, 0.0);
    Ok(zeros)
}

/// Releases a share; the last one frees the fused op and passes every parent to `give_up`.
///
/// # Safety
/// The caller has a share.
pub unsafe fn release_into(fused: *mut FusedOp, give_up: &mut dyn FnMut(*mut Node)) {
    // SAFETY: the share keeps the fused op alive; with the last one it is ours alone.
    unsafe {
        if !(*fused).holder.is_null() {
            return give_up((*fused).holder);
        }
        (*fused).shares -= 1;
        if (*fused).shares == 0 {
            if let Some(list) = (*fused).key {
                unregister(Python::assume_attached(), list, fused);
            }
            let fused = Box::from_raw(fused);
            if !fused.weights.is_null() {
                release_into(fused.weights, give_up);
            }
            fused.parents.iter().filter(|parent| !parent.is_null()).for_each(|&p| give_up(p));
        }
    }
}

/// Releases a share as [`release_into`] does, and drops the references to parents as those to any
/// object.
///
/// # Safety
/// The caller has a share.
pub unsafe fn release(fused: *mut FusedOp) {
    // SAFETY: the fused op owned the references.
    unsafe { release_into(fused, &mut |parent| ffi::Py_DECREF(parent.cast())) }
}
