//! The layout of a node, and how nodes are made.
//!
//! ```text
//! [collector's head 16] [refcount, type 16] [data 8] [dict 8] [weakrefs 8]
//! [tag 8] [grad 8] [left, right 16] [d_left, d_right 16]                 = 104 bytes
//! ```
//! The fields that a backward pass touches lie together at the end: `tag` to `d_right`.
//!
//! A node owns a reference to each parent and holds d(node)/d(parent) as it was at the time of
//! the op. The head is part of every slot, but few nodes are tracked by the collector
//! (`collector.rs`).

use std::ptr::{self, NonNull};
use std::sync::atomic::{AtomicPtr, Ordering::Relaxed};

use fastgrad_core::autograd::op::Op;
use pyo3::prelude::*;
use pyo3::types::PyDict;
use pyo3::{Borrowed, ffi};

use super::slab;

/// A scalar in a graph; the memory behind every `Value`.
#[repr(C)]
pub struct Node {
    base: ffi::PyObject,
    /// the value
    pub data: f64,
    pub(super) dict: *mut ffi::PyObject,
    pub(super) weakrefs: *mut ffi::PyObject,
    /// mark of the last pass (48 bits), flags (8), op (8)
    pub(super) tag: u64,
    /// d(root)/d(node), summed over calls
    pub grad: f64,
    /// first parent, or null; of a fused node the fused op
    pub(super) left: *mut Node,
    /// second parent, or null; of a fused node the output's index
    pub(super) right: *mut Node,
    /// d(node)/d(left), or without it the operand, a plain number; of a fused node the slope of its
    /// activation
    pub d_left: f64,
    /// d(node)/d(right), or without it the operand, a plain number
    pub d_right: f64,
}

/// The memory came from the slab.
pub(super) const FROM_SLAB: u64 = 1 << 8;
/// `_backward` was assigned: the callable is in the dict.
pub const HAS_RULE: u64 = 1 << 9;
/// `__init__` has not run: no operand yet.
pub const RAW: u64 = 1 << 10;
/// An ancestor has a rule of its own, and had it when this node was made.
const ON_RULE: u64 = 1 << 11;
const MARK_SHIFT: u32 = 16;
const FLAGS_AND_OP: u64 = (1 << MARK_SHIFT) - 1;

const _: () = assert!(size_of::<Node>() == slab::NODE);

/// The offset of the fields that a backward pass touches.
pub const HOT_OFFSET: usize = std::mem::offset_of!(Node, tag);
/// The offset of the gradient.
pub const GRAD_OFFSET: usize = std::mem::offset_of!(Node, grad);
/// The offset of the dict, which the type needs.
pub const DICT_OFFSET: usize = std::mem::offset_of!(Node, dict);
/// The offset of the list of weak references, which the type needs.
pub const WEAKREFS_OFFSET: usize = std::mem::offset_of!(Node, weakrefs);

static TYPE: AtomicPtr<ffi::PyTypeObject> = AtomicPtr::new(ptr::null_mut());

/// Returns the type `Value`, once the module is set up.
#[inline(always)]
pub fn value_type() -> *mut ffi::PyTypeObject {
    TYPE.load(Relaxed)
}

/// Sets what [`value_type`] returns; called once.
pub fn set_value_type(value: *mut ffi::PyTypeObject) {
    TYPE.store(value, Relaxed);
}

/// Returns true for a `Value` or an instance of a subclass.
///
/// # Safety
/// `object` is alive.
#[inline(always)]
pub unsafe fn is_value(object: *mut ffi::PyObject) -> bool {
    // SAFETY: alive by contract.
    unsafe {
        ffi::Py_TYPE(object) == value_type()
            || ffi::PyType_IsSubtype(ffi::Py_TYPE(object), value_type()) != 0
    }
}

/// What an op makes a node of.
#[derive(Clone, Copy)]
pub struct Outcome<'a> {
    /// the op
    pub op: Op,
    /// the value
    pub value: f64,
    /// the operands; none for a number, and where there is no second one
    pub parents: [Option<NodeRef<'a>>; 2],
    /// d(node)/d(operand); the operand itself where it is a number
    pub slopes: [f64; 2],
}

/// A new reference to a new node of exact type `Value`, or null with an exception set, as a slot
/// returns it. It has no `Drop`: its holder must turn it into an object.
#[must_use]
#[derive(Clone, Copy)]
pub struct NewNode<'py> {
    node: *mut Node,
    py: Python<'py>,
}

impl<'py> NewNode<'py> {
    /// Makes a node without parents; null with `MemoryError` set when the system has no memory.
    #[inline(always)]
    pub fn leaf(py: Python<'py>, data: f64) -> NewNode<'py> {
        NewNode::of(py, Op::Leaf, data)
    }

    #[inline(always)]
    fn of(py: Python<'py>, op: Op, data: f64) -> NewNode<'py> {
        // SAFETY: the GIL is held; the memory is ours.
        unsafe {
            let node = slab::allocate().cast::<Node>();
            if node.is_null() {
                ffi::PyErr_NoMemory();
            } else {
                set_new(node, op, data);
            }
            NewNode { node, py }
        }
    }

    /// Makes the node of an op; null with `MemoryError` set when the system has no memory.
    #[inline(always)]
    pub fn of_op(py: Python<'py>, outcome: Outcome<'_>) -> NewNode<'py> {
        let made = NewNode::of(py, outcome.op, outcome.value);
        if !made.node.is_null() {
            // SAFETY: the node is new and nobody else's.
            unsafe { set_parents(made.node, outcome.parents, outcome.slopes) };
        }
        made
    }

    /// Makes the node of an op as [`NewNode::of_op`] does, unless that takes a call: None, with
    /// nothing done, where the slab has no slot at hand, or a parent is [`RAW`] or on a rule.
    #[inline(always)]
    pub fn of_op_at_once(py: Python<'py>, outcome: Outcome<'_>) -> Option<NewNode<'py>> {
        if tags(outcome.parents) & (HAS_RULE | ON_RULE | RAW) != 0 {
            return None;
        }
        // SAFETY: as in `of` and `of_op`.
        unsafe {
            let node = slab::allocate_at_hand().cast::<Node>();
            if node.is_null() {
                return None;
            }
            set_new(node, outcome.op, outcome.value);
            set_edges(node, outcome.parents, outcome.slopes);
            Some(NewNode { node, py })
        }
    }

    /// Returns the node, unless it is null.
    #[inline(always)]
    pub fn get(self) -> Option<NodeRef<'py>> {
        NonNull::new(self.node).map(|node| NodeRef { node, py: self.py })
    }

    /// Returns the reference, which becomes the caller's.
    #[inline(always)]
    pub fn into_ptr(self) -> *mut ffi::PyObject {
        self.node.cast()
    }

    /// Returns the object, or the exception that was set.
    #[inline(always)]
    pub fn into_bound(self) -> PyResult<Bound<'py, PyAny>> {
        // SAFETY: a new reference, or null with an exception set.
        unsafe { Bound::from_owned_ptr_or_err(self.py, self.node.cast()) }
    }
}

/// Makes a leaf of the memory of a node: all fields but the derivatives, which a leaf has none of.
///
/// # Safety
/// The GIL is held; the memory is from the slab, and nobody else's.
#[inline(always)]
unsafe fn set_new(node: *mut Node, op: Op, data: f64) {
    let value_type = value_type();
    // SAFETY: by contract; the type lives as long as the module.
    unsafe {
        (*node).base.ob_type = value_type;
        set_refcount(node, 1);
        ffi::Py_INCREF(value_type.cast());
        (*node).tag = FROM_SLAB | op as u64;
        (*node).data = data;
        (*node).grad = 0.0;
        (*node).left = ptr::null_mut();
        (*node).right = ptr::null_mut();
        (*node).dict = ptr::null_mut();
        (*node).weakrefs = ptr::null_mut();
    }
}

/// Sets a new node's parents, none of which is [`RAW`], and derivatives; takes a reference to each
/// parent.
///
/// # Safety
/// `node` is alive and has no parents.
#[inline(always)]
pub(super) unsafe fn set_parents(
    node: *mut Node,
    parents: [Option<NodeRef<'_>>; 2],
    slopes: [f64; 2],
) {
    // SAFETY: by contract.
    unsafe {
        set_edges(node, parents, slopes);
        if tags(parents) & (HAS_RULE | ON_RULE) != 0 {
            put_on_rule(node);
        }
    }
}

/// Sets parents and derivatives as [`set_parents`] does, of parents without a rule.
#[inline(always)]
unsafe fn set_edges(node: *mut Node, parents: [Option<NodeRef<'_>>; 2], slopes: [f64; 2]) {
    // `map` over the array is not inlined.
    let shared = |parent: Option<NodeRef<'_>>| {
        parent.map_or(ptr::null_mut(), |parent| {
            // SAFETY: alive, as the reference is.
            unsafe { ffi::Py_INCREF(parent.as_ptr().cast()) };
            parent.as_ptr()
        })
    };
    // SAFETY: by contract of `set_parents`.
    unsafe {
        (*node).left = shared(parents[0]);
        (*node).right = shared(parents[1]);
        [(*node).d_left, (*node).d_right] = slopes;
    }
}

/// Returns the flags that any of the parents has.
#[inline(always)]
fn tags(parents: [Option<NodeRef<'_>>; 2]) -> u64 {
    let tag = |parent: Option<NodeRef<'_>>| parent.map_or(0, |parent| parent.get().tag);
    tag(parents[0]) | tag(parents[1])
}

/// Makes the collector track a complete node that has a rule among its ancestors.
#[cold]
pub(super) unsafe fn put_on_rule(node: *mut Node) {
    // SAFETY: by contract; an instance of a subclass is tracked already.
    unsafe {
        (*node).tag |= ON_RULE;
        if !is_tracked(node) {
            ffi::PyObject_GC_Track(node.cast());
        }
    }
}

impl Node {
    /// Returns the kind of node.
    #[inline(always)]
    pub fn op(&self) -> Op {
        let [low, ..] = self.tag.to_le_bytes();
        // SAFETY: the low byte is only ever written from an `Op`.
        unsafe { std::mem::transmute::<u8, Op>(low) }
    }

    /// Returns true if the flag is set.
    #[inline(always)]
    pub fn has(&self, flag: u64) -> bool {
        self.tag & flag != 0
    }

    /// Sets or clears a flag.
    pub fn set_flag(&mut self, flag: u64, on: bool) {
        if on { self.tag |= flag } else { self.tag &= !flag }
    }

    /// Returns true if the node or one of its ancestors has a rule of its own.
    pub fn is_on_rule(&self) -> bool {
        self.has(HAS_RULE | ON_RULE)
    }

    /// Returns the mark of the last pass.
    #[inline(always)]
    pub fn mark(&self) -> u64 {
        self.tag >> MARK_SHIFT
    }

    /// Sets the mark.
    #[inline(always)]
    pub fn set_mark(&mut self, mark: u64) {
        self.tag = (self.tag & FLAGS_AND_OP) | (mark << MARK_SHIFT);
    }

    /// Returns true for a node that sends no gradients: without parents and without a rule of the
    /// user's.
    #[inline(always)]
    pub fn is_leaf(&self) -> bool {
        self.tag & (HAS_RULE | 0xFF) == Op::Leaf as u64
    }

    /// Returns true for a node that sends gradients by its own derivatives: not fused, and without
    /// a rule of the user's.
    #[inline(always)]
    pub fn is_plain(&self) -> bool {
        self.op() != Op::Fused && !self.has(HAS_RULE)
    }

    /// Returns the parents of a node that is not fused; null where there is none.
    #[inline(always)]
    pub fn parents(&self) -> [*mut Node; 2] {
        [self.left, self.right]
    }
}

/// A node that is alive for `'a`, with the GIL held.
///
/// Its fields are read and written one at a time: several `NodeRef`s may refer to one node.
#[derive(Clone, Copy)]
pub struct NodeRef<'a> {
    node: NonNull<Node>,
    py: Python<'a>,
}

impl<'a> NodeRef<'a> {
    /// Makes the reference of a C function's receiver.
    ///
    /// # Safety
    /// `object` is a `Value` that lives for `'a`, and the GIL is held as long.
    #[inline(always)]
    pub unsafe fn received(object: *mut ffi::PyObject) -> NodeRef<'a> {
        // SAFETY: by contract; a living object has an address.
        unsafe {
            NodeRef { node: NonNull::new_unchecked(object.cast()), py: Python::assume_attached() }
        }
    }

    /// Returns the node of an object that is a `Value` or an instance of a subclass.
    #[inline(always)]
    pub fn of(object: Borrowed<'a, '_, PyAny>) -> Option<NodeRef<'a>> {
        // SAFETY: a borrowed object is alive, and the GIL held.
        unsafe { is_value(object.as_ptr()).then(|| NodeRef::received(object.as_ptr())) }
    }

    /// Returns the node of an object of exact type `Value`.
    #[inline(always)]
    pub fn exact(object: Borrowed<'a, '_, PyAny>) -> Option<NodeRef<'a>> {
        let is_exact = object.get_type_ptr() == value_type();
        // SAFETY: as in `of`.
        is_exact.then(|| unsafe { NodeRef::received(object.as_ptr()) })
    }

    /// Returns the node at an address, None at null.
    ///
    /// # Safety
    /// A node that is there lives for `'a`.
    #[inline(always)]
    pub unsafe fn at(py: Python<'a>, node: *mut Node) -> Option<NodeRef<'a>> {
        NonNull::new(node).map(|node| NodeRef { node, py })
    }

    /// Returns true for a node of exact type `Value`.
    #[inline(always)]
    pub fn is_exact(self) -> bool {
        self.get().base.ob_type == value_type()
    }

    /// Returns the GIL's token.
    #[inline(always)]
    pub fn py(self) -> Python<'a> {
        self.py
    }

    /// Returns the node's address.
    #[inline(always)]
    pub fn as_ptr(self) -> *mut Node {
        self.node.as_ptr()
    }

    /// Returns the node; nothing may write to it meanwhile.
    #[inline(always)]
    pub(super) fn get(&self) -> &Node {
        // SAFETY: alive for 'a.
        unsafe { self.node.as_ref() }
    }

    /// Calls `write` to change the node's fields.
    #[inline(always)]
    fn write(mut self, write: impl FnOnce(&mut Node)) {
        // SAFETY: alive for 'a; no other reference to the fields is held, as the GIL is, and those
        // given out by `get` end within the methods below.
        write(unsafe { self.node.as_mut() });
    }

    /// Returns the value.
    #[inline(always)]
    pub fn data(self) -> f64 {
        self.get().data
    }

    /// Sets the value.
    #[inline(always)]
    pub fn set_data(self, data: f64) {
        self.write(|node| node.data = data);
    }

    /// Returns the gradient.
    #[inline(always)]
    pub fn grad(self) -> f64 {
        self.get().grad
    }

    /// Sets the gradient.
    #[inline(always)]
    pub fn set_grad(self, grad: f64) {
        self.write(|node| node.grad = grad);
    }

    /// Returns the kind of node.
    #[inline(always)]
    pub fn op(self) -> Op {
        self.get().op()
    }

    /// Returns the mark of the last pass.
    pub fn mark(self) -> u64 {
        self.get().mark()
    }

    /// Returns true if the flag is set.
    #[inline(always)]
    pub fn has(self, flag: u64) -> bool {
        self.get().has(flag)
    }

    /// Sets or clears a flag.
    #[inline(always)]
    pub fn set_flag(self, flag: u64, on: bool) {
        self.write(|node| node.set_flag(flag, on));
    }

    /// Returns the derivatives for two parents, with the number operand in place of a missing one.
    pub fn slopes(self) -> [f64; 2] {
        [self.get().d_left, self.get().d_right]
    }

    /// Returns the object; a new reference.
    pub fn object(self) -> Bound<'a, PyAny> {
        // SAFETY: alive for 'a.
        unsafe { Bound::from_borrowed_ptr(self.py, self.as_ptr().cast()) }
    }

    /// Returns the dict of attributes, if there is one.
    pub fn dict(self) -> PyResult<Option<Bound<'a, PyDict>>> {
        // SAFETY: the node owns its dict, of which this is a new reference.
        let dict = unsafe { Bound::from_borrowed_ptr_or_opt(self.py, self.get().dict) };
        Ok(dict.map(Bound::cast_into).transpose()?)
    }
}

/// Initialises an instance of a subclass, which Python's own allocator has allocated.
///
/// # Safety
/// `node` is such memory, zeroed but for refcount and type.
pub unsafe fn set_leaf(node: *mut Node) {
    // SAFETY: by contract.
    unsafe { (*node).tag = Op::Leaf as u64 | RAW }
}

#[inline(always)]
pub(super) unsafe fn set_refcount(node: *mut Node, count: ffi::Py_ssize_t) {
    // SAFETY: by contract of the callers; a node is never immortal.
    unsafe {
        #[cfg(Py_3_12)]
        {
            (*node).base.ob_refcnt.ob_refcnt = count;
        }
        #[cfg(not(Py_3_12))]
        {
            (*node).base.ob_refcnt = count;
        }
    }
}

/// Returns true if the collector tracks the node: its head, right before the node, is in a list
/// then. Instances of subclasses are tracked even without attributes.
#[inline(always)]
pub unsafe fn is_tracked(node: *mut Node) -> bool {
    // SAFETY: every node has a head, be it from the slab or from Python's own allocator.
    unsafe { (*node.cast::<[usize; 2]>().sub(1))[0] != 0 }
}
