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

use std::cell::{Cell, UnsafeCell};
use std::mem::ManuallyDrop;
use std::ops::Deref;
use std::ptr::{self, NonNull};
use std::sync::atomic::{AtomicPtr, Ordering::Relaxed};

use fastgrad_core::autograd::op::Op;
use pyo3::exceptions::PyMemoryError;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyDict, PyType};
use pyo3::{Borrowed, ffi};

use super::ffi::{Object, Receive};
use super::slab::{self, Slot};

/// A scalar in a graph; the memory behind every `Value`.
///
/// A `&Node` is used only while the node is alive and by the thread that holds the GIL, as its
/// cells cannot be shared between threads. The one exception is `Handle` in `backward.rs`.
#[repr(C)]
pub struct Node {
    base: UnsafeCell<ffi::PyObject>,
    data: Cell<f64>,
    dict: Cell<Object>,
    pub(super) weakrefs: Cell<Object>,
    /// mark of the last pass (48 bits), flags (8), op (8)
    tag: Cell<u64>,
    /// d(root)/d(node), summed over calls
    grad: Cell<f64>,
    /// first parent, or null; of a fused node the fused op
    pub(super) left: Cell<*mut Node>,
    /// second parent, or null; of a fused node the output's index
    pub(super) right: Cell<*mut Node>,
    /// d(node)/d(left), or the left operand itself if that is a plain number; of a fused node the
    /// slope of its activation
    pub(super) d_left: Cell<f64>,
    /// d(node)/d(right), or the right operand itself if that is a plain number
    d_right: Cell<f64>,
}

/// The memory came from the slab.
pub(super) const FROM_SLAB: u64 = 1 << 8;
/// `_backward` was assigned: the callable is in the dict.
pub const HAS_RULE: u64 = 1 << 9;
/// `__init__` has not run, so that the node may not be an operand yet.
pub const RAW: u64 = 1 << 10;
/// An ancestor had a rule of its own when this node was made.
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
static CLASS: PyOnceLock<Py<PyType>> = PyOnceLock::new();

/// Returns the type `Value`, once the module is set up.
#[inline(always)]
pub fn value_type() -> *mut ffi::PyTypeObject {
    TYPE.load(Relaxed)
}

/// Sets what [`value_type`] and [`value_class`] return. The type is never released, since nodes may
/// outlive the module.
///
/// # Safety
/// It is the type `Value`, with instances laid out as nodes.
pub unsafe fn set_value_type(class: &Bound<'_, PyType>) {
    TYPE.store(class.as_type_ptr(), Relaxed);
    let _ = CLASS.set(class.py(), class.clone().unbind());
}

/// Returns the type `Value` as an object.
pub fn value_class(py: Python<'_>) -> &Bound<'_, PyType> {
    let Some(class) = CLASS.get(py) else { unreachable!("set on import") };
    class.bind(py)
}

/// The result of an op, from which a node is made.
#[derive(Clone, Copy)]
pub struct Outcome<'a> {
    /// the op
    pub op: Op,
    /// the value
    pub value: f64,
    /// the operands; None for a number, and where there is no second one
    pub parents: [Option<NodeRef<'a>>; 2],
    /// d(node)/d(operand); the operand itself where it is a number
    pub slopes: [f64; 2],
}

/// A new node of exact type `Value`, or None with an exception set, as slots return it.
#[must_use]
pub struct NewNode<'py> {
    node: Option<OwnedNode>,
    py: Python<'py>,
}

impl<'py> NewNode<'py> {
    /// Makes a node without parents; None with `MemoryError` set when the system has no memory.
    #[inline(always)]
    pub fn leaf(py: Python<'py>, data: f64) -> NewNode<'py> {
        NewNode::of(py, Op::Leaf, data)
    }

    #[inline(always)]
    fn of(py: Python<'py>, op: Op, data: f64) -> NewNode<'py> {
        let node = slab::allocate(py).map(|slot| OwnedNode::new(slot, op, data));
        if node.is_none() {
            PyMemoryError::new_err(()).restore(py);
        }
        NewNode { node, py }
    }

    /// Makes the node of an op; None with `MemoryError` set when the system has no memory.
    #[inline(always)]
    pub fn of_op(py: Python<'py>, outcome: Outcome<'_>) -> NewNode<'py> {
        let made = NewNode::of(py, outcome.op, outcome.value);
        if let Some(node) = &made.node {
            node.set_parents(outcome.parents, outcome.slopes);
        }
        made
    }

    /// Makes the node of an op as [`NewNode::of_op`] does, if that takes no call. Otherwise returns None
    /// and does nothing: if the slab has no slot at hand, or a parent is [`RAW`] or on a rule.
    #[inline(always)]
    pub fn of_op_at_once(py: Python<'py>, outcome: Outcome<'_>) -> Option<NewNode<'py>> {
        if tags(outcome.parents) & (HAS_RULE | ON_RULE | RAW) != 0 {
            return None;
        }
        let node = OwnedNode::new(slab::allocate_at_hand(py)?, outcome.op, outcome.value);
        node.set_edges(outcome.parents, outcome.slopes);
        Some(NewNode { node: Some(node), py })
    }

    /// Returns true if no node was made.
    #[inline(always)]
    pub fn is_null(&self) -> bool {
        self.node.is_none()
    }

    /// Returns the node, if there is one.
    #[inline(always)]
    pub fn get(&self) -> Option<NodeRef<'_>> {
        self.node.as_ref().map(|node| NodeRef { node, py: self.py })
    }

    /// Returns the reference, which becomes the caller's; null without a node.
    #[inline(always)]
    pub fn into_ptr(self) -> Object {
        self.node.map_or(ptr::null_mut(), |node| node.into_raw().as_ptr().cast())
    }

    /// Returns the reference, or the exception that was set.
    #[inline(always)]
    pub fn into_node(self) -> PyResult<OwnedNode> {
        self.node.ok_or_else(|| PyErr::fetch(self.py))
    }

    /// Returns the object, or the exception that was set.
    #[inline(always)]
    pub fn into_bound(self) -> PyResult<Bound<'py, PyAny>> {
        let py = self.py;
        self.into_node().map(|node| node.into_bound(py))
    }
}

/// An owned reference to a node.
///
/// No other thread can get it, so that it is dropped where the GIL is held.
pub struct OwnedNode(NonNull<Node>);

impl OwnedNode {
    /// Makes a node of exact type `Value` without parents.
    #[inline(always)]
    fn new(slot: Slot, op: Op, data: f64) -> OwnedNode {
        let (memory, value_type) = (slot.into_raw().cast::<Node>(), value_type());
        // SAFETY: nobody else has the slot, which is as large as a node, and the type is never freed.
        // Of the node's cells, the derivatives are not set: any bytes are numbers, and a leaf's are not
        // read as derivatives.
        let node = unsafe {
            (*memory.as_ref().base.get()).ob_type = value_type;
            set_refcount(memory, 1);
            ffi::Py_INCREF(value_type.cast());
            OwnedNode(memory)
        };
        node.tag.set(FROM_SLAB | op as u64);
        node.data.set(data);
        node.grad.set(0.0);
        node.left.set(ptr::null_mut());
        node.right.set(ptr::null_mut());
        node.dict.set(ptr::null_mut());
        node.weakrefs.set(ptr::null_mut());
        node
    }

    /// Takes over a reference.
    ///
    /// # Safety
    /// The reference is the caller's, who does not use it again.
    #[inline(always)]
    pub(super) unsafe fn from_raw(node: NonNull<Node>) -> OwnedNode {
        OwnedNode(node)
    }

    /// Returns the reference, which becomes the caller's.
    #[inline(always)]
    pub(super) fn into_raw(self) -> NonNull<Node> {
        ManuallyDrop::new(self).0
    }

    /// Returns true if this is not the only reference.
    #[inline(always)]
    pub(super) fn has_other_owners(&self) -> bool {
        // SAFETY: the node is alive, as this owns a reference to it.
        unsafe { ffi::Py_REFCNT(self.0.as_ptr().cast()) > 1 }
    }

    /// Returns the object.
    #[inline(always)]
    pub fn into_bound(self, py: Python<'_>) -> Bound<'_, PyAny> {
        // SAFETY: the object takes over the reference that this owns.
        unsafe { Bound::from_owned_ptr(py, self.into_raw().as_ptr().cast()) }
    }
}

impl Deref for OwnedNode {
    type Target = Node;

    #[inline(always)]
    fn deref(&self) -> &Node {
        // SAFETY: the node is alive, as this owns a reference to it.
        unsafe { self.0.as_ref() }
    }
}

impl Drop for OwnedNode {
    #[inline(always)]
    fn drop(&mut self) {
        // SAFETY: this owns the reference, and is dropped where the GIL is held.
        unsafe { ffi::Py_DECREF(self.0.as_ptr().cast()) }
    }
}

impl Node {
    /// Returns the node's address.
    #[inline(always)]
    pub fn as_ptr(&self) -> *mut Node {
        ptr::from_ref(self).cast_mut()
    }

    /// Returns a new reference to the node.
    #[inline(always)]
    pub fn new_ref(&self) -> OwnedNode {
        // SAFETY: whoever has a `&Node` keeps it alive and holds the GIL.
        unsafe { ffi::Py_INCREF(self.as_ptr().cast()) };
        OwnedNode(NonNull::from(self))
    }

    /// Returns the node's class: `Value` or a subclass.
    #[inline(always)]
    pub fn class_ptr(&self) -> *mut ffi::PyTypeObject {
        // SAFETY: whoever has a `&Node` keeps it alive and holds the GIL.
        unsafe { ffi::Py_TYPE(self.as_ptr().cast()) }
    }

    /// Returns true for a node of exact type `Value`.
    #[inline(always)]
    pub fn is_exact(&self) -> bool {
        self.class_ptr() == value_type()
    }

    /// Returns the value.
    #[inline(always)]
    pub fn data(&self) -> f64 {
        self.data.get()
    }

    /// Sets the value.
    #[inline(always)]
    pub fn set_data(&self, data: f64) {
        self.data.set(data);
    }

    /// Returns the gradient.
    #[inline(always)]
    pub fn grad(&self) -> f64 {
        self.grad.get()
    }

    /// Sets the gradient.
    #[inline(always)]
    pub fn set_grad(&self, grad: f64) {
        self.grad.set(grad);
    }

    /// Adds to the gradient.
    #[inline(always)]
    pub fn add_grad(&self, gradient: f64) {
        self.grad.set(self.grad.get() + gradient);
    }

    /// Returns the kind of node.
    #[inline(always)]
    pub fn op(&self) -> Op {
        let [low, ..] = self.tag.get().to_le_bytes();
        // SAFETY: the low byte is only ever written from an `Op`.
        unsafe { std::mem::transmute::<u8, Op>(low) }
    }

    /// Sets the kind of node.
    #[inline(always)]
    pub(super) fn set_op(&self, op: Op) {
        self.tag.set((self.tag.get() & !0xFF) | op as u64);
    }

    /// Returns true if the flag is set.
    #[inline(always)]
    pub fn has(&self, flag: u64) -> bool {
        self.tag.get() & flag != 0
    }

    /// Sets or clears a flag.
    #[inline(always)]
    pub fn set_flag(&self, flag: u64, on: bool) {
        let tag = self.tag.get();
        self.tag.set(if on { tag | flag } else { tag & !flag });
    }

    /// Returns true if the node or one of its ancestors has a rule of its own.
    pub fn is_on_rule(&self) -> bool {
        self.has(HAS_RULE | ON_RULE)
    }

    /// Returns the mark of the last pass.
    #[inline(always)]
    pub fn mark(&self) -> u64 {
        self.tag.get() >> MARK_SHIFT
    }

    /// Sets the mark.
    #[inline(always)]
    pub fn set_mark(&self, mark: u64) {
        self.tag.set((self.tag.get() & FLAGS_AND_OP) | (mark << MARK_SHIFT));
    }

    /// Returns true for a node that sends no gradients: without parents and without a rule of the
    /// user's.
    #[inline(always)]
    pub fn is_leaf(&self) -> bool {
        self.tag.get() & (HAS_RULE | 0xFF) == Op::Leaf as u64
    }

    /// Returns d(node)/d(operand) for both operands, or the operand itself where it is a plain
    /// number; of a fused node the slope of its activation, and a number without meaning.
    #[inline(always)]
    pub fn slopes(&self) -> [f64; 2] {
        [self.d_left.get(), self.d_right.get()]
    }

    /// Returns the addresses of both parents, to prefetch them; any addresses for a fused node.
    #[inline(always)]
    pub fn addresses(&self) -> [*const u8; 2] {
        [self.left.get().cast_const().cast(), self.right.get().cast_const().cast()]
    }

    /// Sets a new node's parents, none of which is [`RAW`], and derivatives; takes a reference to
    /// each parent.
    #[inline(always)]
    pub(super) fn set_parents(&self, parents: [Option<NodeRef<'_>>; 2], slopes: [f64; 2]) {
        self.set_edges(parents, slopes);
        if tags(parents) & (HAS_RULE | ON_RULE) != 0 {
            self.put_on_rule();
        }
    }

    /// Sets parents and derivatives as [`Node::set_parents`] does, of parents without a rule.
    #[inline(always)]
    fn set_edges(&self, parents: [Option<NodeRef<'_>>; 2], slopes: [f64; 2]) {
        // `map` over the array is not inlined.
        let owned = |parent: Option<NodeRef<'_>>| {
            parent.map_or(ptr::null_mut(), |parent| parent.new_ref().into_raw().as_ptr())
        };
        self.left.set(owned(parents[0]));
        self.right.set(owned(parents[1]));
        self.d_left.set(slopes[0]);
        self.d_right.set(slopes[1]);
    }

    /// Makes the collector track a complete node that has a rule among its ancestors.
    #[cold]
    pub(super) fn put_on_rule(&self) {
        self.set_flag(ON_RULE, true);
        self.set_tracked(true);
    }

    /// Initialises an instance of a subclass, which Python's allocator has zeroed.
    pub(super) fn set_leaf(&self) {
        self.tag.set(Op::Leaf as u64 | RAW);
    }

    /// Returns true if the collector tracks the node: its head, right before the node, is in a list
    /// then. Instances of subclasses are tracked even without attributes.
    #[inline(always)]
    pub fn is_tracked(&self) -> bool {
        // SAFETY: every node has a head, be it from the slab or from Python's own allocator.
        unsafe { (*self.as_ptr().cast::<[usize; 2]>().sub(1))[0] != 0 }
    }

    /// Makes the collector track a complete node, or forget it.
    #[inline(always)]
    pub fn set_tracked(&self, tracked: bool) {
        if self.is_tracked() != tracked {
            let node = self.as_ptr().cast();
            // SAFETY: the node has a collector's head, and is not in the wanted state yet.
            unsafe {
                if tracked { ffi::PyObject_GC_Track(node) } else { ffi::PyObject_GC_UnTrack(node) }
            }
        }
    }

    /// Returns the dict of attributes, or null.
    #[inline(always)]
    pub fn dict_ptr(&self) -> Object {
        self.dict.get()
    }

    /// Returns true if the node has attributes.
    #[inline(always)]
    pub fn has_dict(&self) -> bool {
        !self.dict_ptr().is_null()
    }

    /// Takes the dict of attributes away, if there is one.
    #[inline(always)]
    pub fn take_dict<'py>(&self, py: Python<'py>) -> Option<Bound<'py, PyAny>> {
        let dict = self.dict.replace(ptr::null_mut());
        // SAFETY: the node owned the reference to its dict, and has given it up.
        unsafe { Bound::from_owned_ptr_or_opt(py, dict) }
    }
}

/// Returns the flags that any of the parents has.
#[inline(always)]
fn tags(parents: [Option<NodeRef<'_>>; 2]) -> u64 {
    let tag = |parent: Option<NodeRef<'_>>| parent.map_or(0, |parent| parent.tag.get());
    tag(parents[0]) | tag(parents[1])
}

/// A node that is alive for `'a`, with the GIL held.
#[derive(Clone, Copy)]
pub struct NodeRef<'a> {
    node: &'a Node,
    py: Python<'a>,
}

impl Deref for NodeRef<'_> {
    type Target = Node;

    #[inline(always)]
    fn deref(&self) -> &Node {
        self.node
    }
}

impl<'a> NodeRef<'a> {
    /// Makes the reference where the GIL is known to be held.
    #[inline(always)]
    pub fn new(py: Python<'a>, node: &'a Node) -> NodeRef<'a> {
        NodeRef { node, py }
    }

    /// Returns the node of an object that is a `Value` or an instance of a subclass.
    #[inline(always)]
    pub fn of(object: Borrowed<'a, '_, PyAny>) -> Option<NodeRef<'a>> {
        // SAFETY: a borrowed object is alive, and the GIL held.
        unsafe {
            let class = object.get_type_ptr();
            let is_value = class == value_type() || ffi::PyType_IsSubtype(class, value_type()) != 0;
            is_value.then(|| NodeRef::receive(object.as_ptr()))
        }
    }

    /// Returns the node of an object of exact type `Value`.
    #[inline(always)]
    pub fn exact(object: Borrowed<'a, '_, PyAny>) -> Option<NodeRef<'a>> {
        let is_exact = object.get_type_ptr() == value_type();
        // SAFETY: as in `of`.
        is_exact.then(|| unsafe { NodeRef::receive(object.as_ptr()) })
    }

    /// Returns the node.
    #[inline(always)]
    pub fn node(self) -> &'a Node {
        self.node
    }

    /// Returns the GIL's token.
    #[inline(always)]
    pub fn py(self) -> Python<'a> {
        self.py
    }

    /// Returns the object; a new reference.
    pub fn object(self) -> Bound<'a, PyAny> {
        self.node.new_ref().into_bound(self.py)
    }

    /// Returns the dict of attributes, if there is one.
    pub fn dict(self) -> PyResult<Option<Bound<'a, PyDict>>> {
        // SAFETY: the node owns a reference to its dict, so that a new one can be taken.
        let dict = unsafe { Bound::from_borrowed_ptr_or_opt(self.py, self.node.dict.get()) };
        Ok(dict.map(Bound::cast_into).transpose()?)
    }
}

impl Receive for NodeRef<'_> {
    type Raw = Object;

    #[inline(always)]
    unsafe fn receive(object: Object) -> Self {
        // SAFETY: by contract; the object is a Value.
        unsafe { NodeRef { node: &*object.cast(), py: Python::assume_attached() } }
    }
}

/// Sets a node's reference count.
///
/// # Safety
/// The count is that of the references that there are.
#[inline(always)]
pub(super) unsafe fn set_refcount(node: NonNull<Node>, count: ffi::Py_ssize_t) {
    // SAFETY: the memory is that of a node, which is never immortal.
    unsafe {
        let base = node.as_ref().base.get();
        #[cfg(Py_3_12)]
        {
            (*base).ob_refcnt.ob_refcnt = count;
        }
        #[cfg(not(Py_3_12))]
        {
            (*base).ob_refcnt = count;
        }
    }
}
