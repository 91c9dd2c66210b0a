//! The layout of a node, its making and its end.
//!
//! ```text
//! [collector's head 16] [refcount, type 16] [data 8] [dict 8] [weakrefs 8]
//! [tag 8] [grad 8] [left, right 16] [d_left, d_right 16]                 = 104 bytes
//! ```
//! What a sweep touches lies together at the end: `tag` to `d_right`.
//!
//! A node owns a reference to each parent and holds d(node)/d(parent) as it was at the time of
//! the op. The head is part of every slot, but the collector learns of few nodes (`collector.rs`).
//!
//! Nodes die in a loop, not by recursion: a node whose last owner goes is chained into a list of
//! the dying through its `grad` field, its memory given back when its turn comes.

use std::ptr;
use std::sync::atomic::{AtomicPtr, Ordering::Relaxed};

use fastgrad_core::graph::op::Op;
use pyo3::ffi;

use super::block::{self, Block};
use super::{endings, slab};

#[cfg(Py_GIL_DISABLED)]
compile_error!("fastgrad does not support free-threaded builds of Python yet");

/// A scalar in a graph; the memory behind every `Value`.
#[repr(C)]
pub struct Node {
    base: ffi::PyObject,
    /// the value
    pub data: f64,
    pub(super) dict: *mut ffi::PyObject,
    weakrefs: *mut ffi::PyObject,
    /// mark of the last pass (48 bits), flags (8), op (8)
    tag: u64,
    /// d(root)/d(node), summed over calls
    pub grad: f64,
    /// first parent, or null; of a fused node the block
    left: *mut Node,
    /// second parent, or null; of a fused node the output's index
    right: *mut Node,
    /// d(node)/d(left), or without it the operand, a plain number; of a fused node the slope of its
    /// activation
    pub d_left: f64,
    /// d(node)/d(right), or without it the operand, a plain number
    pub d_right: f64,
}

/// The memory came from the slab.
const FROM_SLAB: u64 = 1 << 8;
/// `_backward` was assigned: the callable is in the dict.
pub const HAS_RULE: u64 = 1 << 9;
/// `__init__` has not run: no operand yet.
pub const RAW: u64 = 1 << 10;
/// A node below has a rule of its own, and had it when the node above it was made.
const ON_RULE: u64 = 1 << 11;
const MARK_SHIFT: u32 = 16;
const FLAGS_AND_OP: u64 = (1 << MARK_SHIFT) - 1;

/// Where the fields that a sweep touches begin.
pub const HOT_OFFSET: usize = std::mem::offset_of!(Node, tag);
/// Where the gradient lies.
pub const GRAD_OFFSET: usize = std::mem::offset_of!(Node, grad);
/// Where the dict and the list of weak references lie, for the type.
pub const DICT_OFFSET: usize = std::mem::offset_of!(Node, dict);
/// See [`DICT_OFFSET`].
pub const WEAKREFS_OFFSET: usize = std::mem::offset_of!(Node, weakrefs);

static TYPE: AtomicPtr<ffi::PyTypeObject> = AtomicPtr::new(ptr::null_mut());

/// The type `Value`, once the module is set up.
#[inline(always)]
pub fn value_type() -> *mut ffi::PyTypeObject {
    TYPE.load(Relaxed)
}

/// Makes the type known; called once.
pub fn set_value_type(value: *mut ffi::PyTypeObject) {
    TYPE.store(value, Relaxed);
}

/// Is the object a `Value` or an instance of a subclass?
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

/// A new node without parents, of exact type `Value`; null with `MemoryError` set when the system
/// has no memory.
///
/// # Safety
/// The interpreter's lock is held.
#[inline(always)]
pub unsafe fn new(op: Op, data: f64) -> *mut Node {
    // SAFETY: the slot is ours and large enough; the type lives as long as the module.
    unsafe {
        let node = slab::allocate();
        if node.is_null() {
            ffi::PyErr_NoMemory();
            return node;
        }
        let value_type = value_type();
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
        node
    }
}

/// Gives a new node its parents (each may be null) and their derivatives; takes a reference to
/// each. False when one of them is [`RAW`].
///
/// # Safety
/// `node` is new; parents are alive.
#[inline(always)]
#[must_use]
pub unsafe fn set_parents(
    node: *mut Node,
    left: *mut Node,
    right: *mut Node,
    dl: f64,
    dr: f64,
) -> bool {
    // SAFETY: alive by contract.
    unsafe {
        (*node).left = left;
        (*node).right = right;
        (*node).d_left = dl;
        (*node).d_right = dr;
        let mut tags = 0;
        if !left.is_null() {
            ffi::Py_INCREF(left.cast());
            tags |= (*left).tag;
        }
        if !right.is_null() {
            ffi::Py_INCREF(right.cast());
            tags |= (*right).tag;
        }
        tags & (HAS_RULE | ON_RULE | RAW) == 0 || settle(node, tags)
    }
}

/// What is rare among parents: one that is raw, or stands on a rule.
#[cold]
unsafe fn settle(node: *mut Node, tags: u64) -> bool {
    if tags & RAW != 0 {
        return false;
    }
    // SAFETY: by contract of `set_parents`.
    unsafe { put_on_rule(node) }
    true
}

/// Shows a complete node that stands on a rule to the collector.
#[cold]
unsafe fn put_on_rule(node: *mut Node) {
    // SAFETY: by contract; an instance of a subclass is known already.
    unsafe {
        (*node).tag |= ON_RULE;
        if !is_tracked(node) {
            ffi::PyObject_GC_Track(node.cast());
        }
    }
}

/// Makes a new node the output `index` of a block; takes over a share of the block.
///
/// # Safety
/// `node` is new; `block` is alive, and the share the caller's.
pub unsafe fn set_block(node: *mut Node, block: *mut Block, index: usize, slope: f64) {
    // SAFETY: alive by contract.
    unsafe {
        (*node).tag = ((*node).tag & !0xFF) | Op::Fused as u64;
        (*node).left = block.cast();
        (*node).right = ptr::without_provenance_mut(index);
        (*node).d_left = slope;
        if (*block).is_on_rule() {
            put_on_rule(node);
        }
    }
}

/// Gives a node the edges of another, in place of its block, which has the same parents.
///
/// # Safety
/// Both are alive; `node` is fused, `from` is not.
pub unsafe fn take_edges(node: *mut Node, from: *mut Node) {
    // SAFETY: alive by contract; the share is the node's own.
    unsafe {
        let block = (*node).left.cast::<Block>();
        (*node).tag = ((*node).tag & !0xFF) | (*from).op() as u64;
        let (dl, dr) = ((*from).d_left, (*from).d_right);
        let _none_is_raw = set_parents(node, (*from).left, (*from).right, dl, dr);
        block::drop_own_share(block);
    }
}

impl Node {
    /// The kind of node.
    #[inline(always)]
    pub fn op(&self) -> Op {
        let [low, ..] = self.tag.to_le_bytes();
        // SAFETY: the low byte is only ever written from an `Op`.
        unsafe { std::mem::transmute::<u8, Op>(low) }
    }

    /// Is the flag set?
    #[inline(always)]
    pub fn has(&self, flag: u64) -> bool {
        self.tag & flag != 0
    }

    /// Sets or clears a flag.
    pub fn set_flag(&mut self, flag: u64, on: bool) {
        if on { self.tag |= flag } else { self.tag &= !flag }
    }

    /// Has the node a rule of its own, or does it stand on one?
    pub fn is_on_rule(&self) -> bool {
        self.has(HAS_RULE | ON_RULE)
    }

    /// The mark of the last pass.
    #[inline(always)]
    pub fn mark(&self) -> u64 {
        self.tag >> MARK_SHIFT
    }

    /// Sets the mark.
    #[inline(always)]
    pub fn set_mark(&mut self, mark: u64) {
        self.tag = (self.tag & FLAGS_AND_OP) | (mark << MARK_SHIFT);
    }

    /// Nothing to send gradients to: no parents, and no rule of the user's.
    #[inline(always)]
    pub fn is_leaf(&self) -> bool {
        self.tag & (HAS_RULE | 0xFF) == Op::Leaf as u64
    }

    /// Op and the flag that decide how a gradient leaves the node, as one number to compare.
    #[inline(always)]
    pub fn is_plain(&self) -> bool {
        self.op() != Op::Fused && !self.has(HAS_RULE)
    }

    /// The parents of a node that is not fused; null where there is none.
    #[inline(always)]
    pub fn parents(&self) -> [*mut Node; 2] {
        [self.left, self.right]
    }

    /// The block of a fused node, and which of its outputs this is.
    #[inline(always)]
    pub fn block(&self) -> Option<(*mut Block, usize)> {
        (self.op() == Op::Fused).then(|| (self.left.cast(), self.right.addr()))
    }
}

/// Sets up the memory of an instance that Python's own allocator made, for a subclass.
///
/// # Safety
/// `node` is such memory, zeroed but for refcount and type.
pub unsafe fn set_leaf(node: *mut Node) {
    // SAFETY: by contract.
    unsafe { (*node).tag = Op::Leaf as u64 | RAW }
}

#[inline(always)]
unsafe fn set_refcount(node: *mut Node, count: ffi::Py_ssize_t) {
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

/// The dying: a list chained through `grad`, whose nodes nothing else can reach.
struct Dying(*mut Node);

impl Dying {
    /// Gives up one reference to a parent; adds it when that was the last one.
    #[inline(always)]
    unsafe fn give_up(&mut self, node: *mut Node) {
        // SAFETY: the caller owns the reference.
        unsafe {
            if ffi::Py_REFCNT(node.cast()) > 1 {
                // Not the last: a plain decrement, which cannot reach zero.
                ffi::Py_DECREF(node.cast());
            } else if ffi::Py_TYPE(node.cast()) == value_type() {
                retire(node);
                (&raw mut (*node).grad).cast::<*mut Node>().write(self.0);
                self.0 = node;
            } else {
                // A subclass ends in its own way.
                endings::give_up(node.cast());
            }
        }
    }

    #[inline(always)]
    unsafe fn pop(&mut self) -> *mut Node {
        let node = self.0;
        if !node.is_null() {
            // SAFETY: `grad` of a listed node holds the next one's address.
            self.0 = unsafe { (&raw const (*node).grad).cast::<*mut Node>().read() };
        }
        node
    }
}

/// Makes a node unreachable for good: the collector forgets it, weak references die.
#[inline(always)]
unsafe fn retire(node: *mut Node) {
    // SAFETY: nobody owns the node any more; callbacks that run here cannot get at it.
    unsafe {
        set_refcount(node, 0);
        if is_tracked(node) || !(*node).weakrefs.is_null() {
            retire_slowly(node);
        }
    }
}

/// Does the collector know the node? Its head, right before the node, is in a list then. Having
/// attributes is not the same: a subclass's instance is known without any, and so is a node that
/// was given such a class.
#[inline(always)]
pub unsafe fn is_tracked(node: *mut Node) -> bool {
    // SAFETY: every node has a head, be it from the slab or from Python's own allocator.
    unsafe { (*node.cast::<[usize; 2]>().sub(1))[0] != 0 }
}

#[cold]
unsafe fn retire_slowly(node: *mut Node) {
    // SAFETY: as in `retire`.
    unsafe {
        if is_tracked(node) {
            ffi::PyObject_GC_UnTrack(node.cast());
        }
        if !(*node).weakrefs.is_null() {
            ffi::PyObject_ClearWeakRefs(node.cast());
        }
    }
}

/// `tp_dealloc`: ends the node and all that only it kept alive.
pub unsafe extern "C" fn dealloc(object: *mut ffi::PyObject) {
    // SAFETY: Python calls this once, when the last reference is gone.
    unsafe {
        let mut dying = Dying(ptr::null_mut());
        let mut node = object.cast::<Node>();
        retire(node);
        loop {
            let (left, right, fused) = ((*node).left, (*node).right, (*node).op() == Op::Fused);
            if fused {
                (*left.cast::<Block>()).forget_holder(node);
            }
            end(node);
            if fused {
                block::drop_share(left.cast(), &mut |parent| dying.give_up(parent));
            } else {
                if !left.is_null() {
                    dying.give_up(left);
                }
                if !right.is_null() {
                    dying.give_up(right);
                }
            }
            node = dying.pop();
            if node.is_null() {
                return;
            }
        }
    }
}

/// Frees a retired node's attributes and memory; its parents are the caller's.
#[inline(always)]
unsafe fn end(node: *mut Node) {
    // SAFETY: the node is retired.
    unsafe {
        let class = ffi::Py_TYPE(node.cast());
        let dict = (*node).dict;
        if !dict.is_null() {
            (*node).dict = ptr::null_mut();
            endings::give_up(dict);
        }
        if (*node).has(FROM_SLAB) {
            slab::release(node);
        } else if let Some(free) = (*class).tp_free {
            free(node.cast());
        }
        ffi::Py_DECREF(class.cast());
    }
}
