//! The op that the outputs of one call over lists share: its parents, its vjp, and the outputs'
//! adjoints.

use std::borrow::Cow;
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::mem::ManuallyDrop;
use std::ops::Deref;
use std::ptr::{self, NonNull};

use fastgrad_core::autograd::backward::NoMemory;
use fastgrad_core::autograd::fused::Vjp;
use fastgrad_core::autograd::op::Op;
use pyo3::Borrowed;
use pyo3::exceptions::PyMemoryError;
use pyo3::prelude::*;
use pyo3::types::PyTuple;

use super::node::{NewNode, Node, NodeRef, OwnedNode};
use crate::gil_cell::GilCell;
use crate::memory::filled;

/// One op over lists. Each output node owns a share of it; it is freed with the last one.
pub struct FusedOp {
    /// the number of shares: one for each output node, and for each [`Share`] in Rust
    shares: Cell<usize>,
    /// true if a parent, or an ancestor further up, has a rule of its own
    on_rule: bool,
    /// the node that the cyclic collector sees in place of the fused op, if there is one: `shares`
    /// counts its share alone, and every other [`Share`] is a reference to this node
    holder: Cell<Option<NonNull<Node>>>,
    /// the mark of the last pass
    pub mark: Cell<u64>,
    /// the operands; None in the place of a plain number
    pub parents: Vec<Option<OwnedNode>>,
    /// the plain numbers in order, then the op's own number, such as the target of a cross-entropy;
    /// empty for linear maps, whose rule has the numbers
    pub numbers: Box<[f64]>,
    /// how gradients reach the parents; None for an op that the user made without derivatives
    pub rule: Option<Vjp>,
    /// adjoints of the outputs, all 0 between passes
    dout: RefCell<Vec<f64>>,
    /// the fused op of the weights that several linear maps share
    pub weights: Option<Share>,
    /// the key of a fused op of weights in the registry: the address of their list
    key: Cell<Option<usize>>,
    /// what `_op` shows
    pub name: Cow<'static, str>,
}

/// Releases the references that a freed node or op had to its parents.
pub(super) trait GiveUp {
    /// Releases a reference, now or later.
    fn give_up(&mut self, parent: OwnedNode);
}

/// Drops references at once.
struct AtOnce;

impl GiveUp for AtOnce {
    fn give_up(&mut self, parent: OwnedNode) {
        drop(parent);
    }
}

/// A share of a fused op, which it keeps alive.
pub struct Share(NonNull<FusedOp>);

impl Share {
    /// Takes over a share.
    ///
    /// # Safety
    /// The share is the caller's, who does not use it again.
    #[inline(always)]
    pub(super) unsafe fn from_raw(fused: NonNull<FusedOp>) -> Share {
        Share(fused)
    }

    /// Returns the share, which becomes the caller's.
    #[inline(always)]
    pub(super) fn into_raw(self) -> NonNull<FusedOp> {
        ManuallyDrop::new(self).0
    }

    /// Releases the share; the last one frees the fused op and gives up every parent.
    pub(super) fn release_into(self, parents: &mut dyn GiveUp) {
        // With a holder there is one share only.
        let shares = self.shares.get();
        if shares > 1 {
            self.shares.set(shares - 1);
            std::mem::forget(self);
        } else {
            self.release_last(parents);
        }
    }

    fn release_last(self, parents: &mut dyn GiveUp) {
        let fused = self.into_raw();
        // SAFETY: with a holder, this share is a reference to it. Without one, this is the last share, so
        // that nothing else can reach the fused op, which came from a box.
        unsafe {
            let op = fused.as_ref();
            if let Some(holder) = op.holder.get() {
                return parents.give_up(OwnedNode::from_raw(holder));
            }
            if let Some(list) = op.key.get() {
                unregister(Python::assume_attached(), list, fused);
            }
            let mut op = Box::from_raw(fused.as_ptr());
            if let Some(weights) = op.weights.take() {
                weights.release_into(parents);
            }
            for parent in std::mem::take(&mut op.parents).into_iter().flatten() {
                parents.give_up(parent);
            }
        }
    }
}

impl Deref for Share {
    type Target = FusedOp;

    #[inline(always)]
    fn deref(&self) -> &FusedOp {
        // SAFETY: the fused op is alive, as this owns a share of it.
        unsafe { self.0.as_ref() }
    }
}

impl Clone for Share {
    #[inline(always)]
    fn clone(&self) -> Share {
        match self.holder() {
            // A new reference to the holder is the new share.
            Some(holder) => drop(holder.new_ref().into_raw()),
            None => self.shares.set(self.shares.get() + 1),
        }
        Share(self.0)
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        Share(self.0).release_into(&mut AtOnce);
    }
}

impl FusedOp {
    /// Makes a fused op.
    pub fn make(
        py: Python<'_>,
        name: Cow<'static, str>,
        parents: Vec<Option<OwnedNode>>,
        rule: Option<Vjp>,
        outputs: usize,
        numbers: Box<[f64]>,
    ) -> PyResult<Share> {
        FusedOp::with(py, name, parents, rule, filled(0.0, outputs)?, None, numbers)
    }

    /// Makes the fused op of a linear map of one input, with its own share of the weights; `z`, which
    /// holds the sums, becomes the buffer of its adjoints once the outputs are made.
    pub fn make_linear(
        py: Python<'_>,
        name: &'static str,
        parents: Vec<Option<OwnedNode>>,
        rule: Vjp,
        z: Vec<f64>,
        weights: Share,
    ) -> PyResult<Share> {
        let numbers = Box::default();
        FusedOp::with(py, name.into(), parents, Some(rule), z, Some(weights), numbers)
    }

    fn with(
        py: Python<'_>,
        name: Cow<'static, str>,
        parents: Vec<Option<OwnedNode>>,
        rule: Option<Vjp>,
        dout: Vec<f64>,
        weights: Option<Share>,
        numbers: Box<[f64]>,
    ) -> PyResult<Share> {
        let on_rule = parents.iter().flatten().any(|parent| parent.is_on_rule())
            || weights.as_ref().is_some_and(|weights| weights.on_rule);
        let has_several_owners = dout.len() > 1 || matches!(rule, Some(Vjp::Shared(_)));
        let fused = Box::new(FusedOp {
            shares: Cell::new(1),
            on_rule,
            holder: Cell::new(None),
            mark: Cell::new(0),
            parents,
            numbers,
            rule,
            dout: RefCell::new(dout),
            weights,
            key: Cell::new(None),
            name,
        });
        let share = Share(NonNull::from(Box::leak(fused)));
        if on_rule && has_several_owners { hold(py, share) } else { Ok(share) }
    }

    /// Returns true for an op that `Value(data, children, op)` has made: only those have a name
    /// that is not known beforehand.
    pub fn is_users_own(&self) -> bool {
        matches!(self.name, Cow::Owned(_))
    }

    /// Returns true if a parent, or an ancestor further up, has a rule of its own.
    #[inline(always)]
    pub fn is_on_rule(&self) -> bool {
        self.on_rule
    }

    #[inline(always)]
    fn holder(&self) -> Option<&Node> {
        // SAFETY: `forget_holder` clears the field when the holder is deallocated.
        self.holder.get().map(|holder| unsafe { holder.as_ref() })
    }

    /// Clears the holder if it is this node, which is being deallocated.
    #[inline(always)]
    pub(super) fn forget_holder(&self, node: NonNull<Node>) {
        if self.holder.get() == Some(node) {
            self.holder.set(None);
        }
    }

    /// Calls `visit` with the nodes that the collector reaches through `owner`, a node with a
    /// share. All owners together visit each reference once; without a holder several owners could
    /// not, and visit none.
    pub fn traverse(&self, owner: &Node, visit: &mut dyn FnMut(&Node)) {
        if let Some(holder) = self.holder()
            && !ptr::eq(holder, owner)
        {
            visit(holder);
        } else if self.shares.get() == 1 {
            self.parents.iter().flatten().for_each(|parent| visit(parent));
            if let Some(holder) = self.weights.as_ref().and_then(|weights| weights.holder()) {
                visit(holder);
            }
        }
    }

    /// Returns true if these are the parents.
    pub fn has_parents(&self, objects: &Bound<'_, PyTuple>) -> bool {
        let parents = self.parents.iter().flatten().map(|parent| parent.as_ptr().cast());
        objects.iter_borrowed().map(Borrowed::as_ptr).eq(parents)
    }

    /// Returns the parents of one output, in operand order; those of a linear map are x, its own
    /// row of weights and its own bias.
    #[allow(
        clippy::indexing_slicing,
        reason = "an output of the weights has its places among them"
    )]
    pub fn parents_of(&self, output: usize) -> Vec<Option<&Node>> {
        let mut parents: Vec<_> = self.parents.iter().map(Option::as_deref).collect();
        if let (Some(Vjp::Linear { weights, .. }), Some(shared)) = (&self.rule, &self.weights) {
            let (row, bias) = weights.places(output);
            let places = shared.parents[row].iter().chain(bias.map(|bias| &shared.parents[bias]));
            parents.extend(places.map(Option::as_deref));
        }
        parents
    }

    /// Returns the operands of one output in order: a node and a number without meaning, or None
    /// and a plain number. Those of a linear map are its row of weights, x, and its bias.
    #[allow(
        clippy::indexing_slicing,
        reason = "an output of the weights has its places among them"
    )]
    fn operands_of(&self, output: usize) -> Vec<(Option<&Node>, f64)> {
        if let (Some(Vjp::Linear { x, weights }), Some(shared)) = (&self.rule, &self.weights) {
            let (row, bias) = weights.places(output);
            let weight = |i: usize| (shared.parents[i].as_deref(), weights.values()[i]);
            let inputs = self.parents.iter().map(Option::as_deref).zip(x.iter().copied());
            return row.map(weight).chain(inputs).chain(bias.map(weight)).collect();
        }
        let mut numbers = self.numbers.iter().copied();
        let mut operands = Vec::new();
        for parent in &self.parents {
            operands.push(match parent {
                Some(node) => (Some(&**node), 0.0),
                None => (None, numbers.next().unwrap_or_else(|| unreachable!("one for each"))),
            });
        }
        operands.extend(numbers.map(|number| (None, number)));
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

    /// Returns the gradients that an output with the adjoint `slope` sends, one for each of
    /// [`FusedOp::parents_of`]. Empty for an op without derivatives.
    #[allow(clippy::indexing_slicing, reason = "the core gives to parents that there are")]
    pub fn local_gradients(&self, output: usize, slope: f64) -> PyResult<Vec<f64>> {
        let Some(rule) = &self.rule else { return Ok(Vec::new()) };
        let weights = match rule {
            Vjp::Linear { weights, .. } if self.weights.is_some() => Some(weights),
            _ => None,
        };
        let mut dout = filled(0.0, self.outputs())?;
        let mut gradients = filled(0.0, self.parents.len())?;
        let mut shared = filled(0.0, weights.map_or(0, |weights| weights.values().len()))?;
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
    #[allow(clippy::indexing_slicing, reason = "the core gives to parents that there are")]
    pub fn vjp(&self, scratch: &mut Vec<f64>) -> Result<(), NoMemory> {
        self.reserve(scratch)?;
        let dout = &mut *self.dout.borrow_mut();
        if let Some(rule) = &self.rule {
            let parents = &self.parents;
            let mut send = |shared: &mut [f64]| {
                rule.vjp(dout, parents.len(), shared, scratch, |i, gradient| {
                    if let Some(parent) = &parents[i] {
                        parent.add_grad(gradient);
                    }
                });
            };
            match &self.weights {
                Some(weights) => send(&mut weights.dout.borrow_mut()),
                None => send(&mut []),
            }
        }
        dout.fill(0.0);
        Ok(())
    }

    /// Returns the number of outputs.
    pub fn outputs(&self) -> usize {
        self.dout.borrow().len()
    }

    /// Adds to the adjoint of an output.
    #[inline(always)]
    #[allow(clippy::indexing_slicing, reason = "an output's index is below their count")]
    pub fn add_adjoint(&self, output: usize, adjoint: f64) {
        self.dout.borrow_mut()[output] += adjoint;
    }

    /// Returns true if an adjoint is not 0.
    pub fn has_adjoints(&self) -> bool {
        self.dout.borrow().iter().any(|adjoint| *adjoint != 0.0)
    }

    /// Sets all adjoints to the same number.
    #[inline(always)]
    pub fn fill_adjoints(&self, adjoint: f64) {
        self.dout.borrow_mut().fill(adjoint);
    }

    /// Replaces the adjoints of all outputs, and returns those before.
    pub fn replace_adjoints(&self, adjoints: Vec<f64>) -> Vec<f64> {
        self.dout.replace(adjoints)
    }
}

/// The references of a node.
pub enum Edges<'a> {
    /// the operands; None for a number, and where there is no second one
    Parents([Option<&'a Node>; 2]),
    /// the fused op that the node is an output of, and its index among the outputs
    Output(&'a FusedOp, usize),
}

/// The references that a node has given up, as raw pointers, which leak unless released. An enum of
/// owners, which would drop them, makes the deallocation of a node a dozen instructions longer.
pub(super) struct OwnedEdges {
    left: *mut Node,
    right: *mut Node,
    is_fused: bool,
}

impl OwnedEdges {
    /// Releases the share of a fused op, or gives up each parent.
    #[inline(always)]
    pub(super) fn release_into(self, parents: &mut impl GiveUp) {
        // SAFETY: `give_edges` has made this the owner of the share of a fused op, or of a reference to
        // each parent.
        unsafe {
            if self.is_fused {
                let share = Share::from_raw(NonNull::new_unchecked(self.left.cast()));
                return share.release_into(parents);
            }
            if let Some(left) = NonNull::new(self.left) {
                parents.give_up(OwnedNode::from_raw(left));
            }
            if let Some(right) = NonNull::new(self.right) {
                parents.give_up(OwnedNode::from_raw(right));
            }
        }
    }
}

impl Node {
    /// Returns what the node refers to. It stays alive as long as the node does, as edges are set
    /// once (see [`Node::take_parents`]).
    #[inline(always)]
    pub fn edges(&self) -> Edges<'_> {
        let (left, right) = (self.left.get(), self.right.get());
        // SAFETY: the node owns a reference to each parent, and a fused node a share of its op.
        unsafe {
            if self.op() == Op::Fused {
                Edges::Output(&*left.cast(), right.addr())
            } else {
                Edges::Parents([left.as_ref(), right.as_ref()])
            }
        }
    }

    /// Gives up the edges of a node that is not used again.
    ///
    /// # Safety
    /// The node's edges are not read any more.
    #[inline(always)]
    pub(super) unsafe fn give_edges(&self) -> OwnedEdges {
        let is_fused = self.op() == Op::Fused;
        OwnedEdges { left: self.left.get(), right: self.right.get(), is_fused }
    }

    /// Makes a new node the output `index` of a fused op, `slope` being that of an activation.
    #[inline(always)]
    pub fn set_fused_op(&self, fused: Share, index: usize, slope: f64) {
        self.set_op(Op::Fused);
        let on_rule = fused.is_on_rule();
        self.left.set(fused.into_raw().as_ptr().cast());
        self.right.set(ptr::without_provenance_mut(index));
        self.d_left.set(slope);
        if on_rule {
            self.put_on_rule();
        }
    }

    /// Replaces a node's fused op by the edges of another node, which has the same parents.
    ///
    /// # Safety
    /// The node is fused and `from` is not; no reference to the fused op is in use.
    pub(super) unsafe fn take_parents(&self, from: NodeRef<'_>) {
        // SAFETY: by contract; the edges are replaced.
        let before = unsafe { self.give_edges() };
        self.set_op(from.op());
        if let Edges::Parents(parents) = from.edges() {
            let known = parents.map(|parent| parent.map(|node| NodeRef::new(from.py(), node)));
            self.set_parents(known, from.slopes());
        }
        before.release_into(&mut AtOnce);
    }
}

impl<'a> NodeRef<'a> {
    /// Returns the fused op that the node is an output of, and its index among the outputs.
    pub fn fused_op(self) -> Option<(&'a FusedOp, usize)> {
        match self.node().edges() {
            Edges::Output(fused, index) => Some((fused, index)),
            Edges::Parents(_) => None,
        }
    }

    /// Returns the operands of an op over lists in order, each a node or else a number; None for
    /// another node. Those of a linear map are its row of weights, x, and its bias.
    pub fn operands_over_lists(self) -> Option<Vec<(Option<NodeRef<'a>>, f64)>> {
        let (fused, output) = self.fused_op()?;
        let known = |node| NodeRef::new(self.py(), node);
        let operands = fused.operands_of(output).into_iter();
        Some(operands.map(|(node, number)| (node.map(known), number)).collect())
    }

    /// Returns the parents of the result of one op, as [`NodeRef::parents`] does, without a list of
    /// them; none of a fused op.
    pub fn scalar_parents(self) -> [Option<NodeRef<'a>>; 2] {
        match self.node().edges() {
            Edges::Output(..) => [None, None],
            Edges::Parents(parents) => {
                parents.map(|node| node.map(|node| NodeRef::new(self.py(), node)))
            }
        }
    }

    /// Returns the parents in operand order, repeats too; None for an operand that was a plain
    /// number.
    pub fn parents(self) -> Vec<Option<NodeRef<'a>>> {
        let known = |node| NodeRef::new(self.py(), node);
        match self.node().edges() {
            Edges::Output(fused, index) => {
                fused.parents_of(index).into_iter().map(|node| node.map(known)).collect()
            }
            Edges::Parents(_) => self.scalar_parents().into(),
        }
    }
}

/// Makes the holder of a fused op with a rule among its ancestors; it takes over the only share.
///
/// The collector must visit each reference once. The outputs of a fused op share its references to
/// the parents: so each output shows its reference to the holder, and the holder shows the parents.
fn hold(py: Python<'_>, share: Share) -> PyResult<Share> {
    let holder = NewNode::leaf(py, 0.0).into_node()?;
    let fused = share.0;
    holder.set_fused_op(share, 0, 1.0);
    // The reference to the holder becomes the share.
    let share = Share(fused);
    share.holder.set(Some(holder.into_raw()));
    Ok(share)
}

/// The fused ops of weights in use, by the address of the list that the weights came from. The
/// registry owns none of them: one that is freed removes its entry.
static IN_USE: GilCell<Registry> = GilCell::new(Registry(RefCell::new(BTreeMap::new())));

struct Registry(RefCell<BTreeMap<usize, ManuallyDrop<Share>>>);

// SAFETY: any thread that holds the GIL may use fused ops.
unsafe impl Send for Registry {}

/// Returns a share of the fused op of weights that came from the list at this address.
pub fn in_use(py: Python<'_>, list: usize) -> Option<Share> {
    IN_USE.get(py).0.borrow().get(&list).map(|fused| Share::clone(fused))
}

/// Registers a fused op of weights under its list's address, in place of an older one.
pub fn register(py: Python<'_>, list: usize, fused: &Share) {
    fused.key.set(Some(list));
    IN_USE.get(py).0.borrow_mut().insert(list, ManuallyDrop::new(Share(fused.0)));
}

/// Removes the entry of a fused op that is being freed.
fn unregister(py: Python<'_>, list: usize, fused: NonNull<FusedOp>) {
    let mut in_use = IN_USE.get(py).0.borrow_mut();
    // A newer fused op may have taken the place.
    if in_use.get(&list).is_some_and(|known| known.0 == fused) {
        in_use.remove(&list);
    }
}

/// Removes all entries after a node has changed its class: registered fused ops must hold nodes of
/// exact type `Value` only, as a subclass may have ops of its own.
#[cold]
pub fn unregister_all(py: Python<'_>) {
    IN_USE.get(py).0.borrow_mut().clear();
}
