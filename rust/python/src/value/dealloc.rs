//! Deallocates nodes.
//!
//! Nodes are deallocated in a loop, not by recursion: a node whose last reference goes is chained
//! into a list through its `grad` field, and its memory is freed when its turn comes.

use std::ptr;

use fastgrad_core::autograd::op::Op;
use pyo3::ffi;

use super::fused_op::{self, FusedOp};
use super::node::{FROM_SLAB, Node, is_tracked, set_refcount, value_type};
use super::{slab, trashcan};

/// Nodes to be freed, chained through `grad`; nothing else can reach them.
struct DeallocQueue(*mut Node);

impl DeallocQueue {
    /// Releases one reference to a parent; queues it when that was the last one.
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
                // An instance of a subclass has a `tp_dealloc` of its own.
                trashcan::give_up(node.cast());
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

/// Makes a node unreachable for good: untracks it and clears weak references.
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

/// `tp_dealloc`: deallocates the node, and all nodes that only it kept alive.
pub unsafe extern "C" fn dealloc(object: *mut ffi::PyObject) {
    // SAFETY: Python calls this once, when the last reference is gone.
    unsafe {
        let mut queue = DeallocQueue(ptr::null_mut());
        let mut node = object.cast::<Node>();
        retire(node);
        loop {
            let (left, right, fused) = ((*node).left, (*node).right, (*node).op() == Op::Fused);
            if fused {
                (*left.cast::<FusedOp>()).forget_holder(node);
            }
            end(node);
            if fused {
                fused_op::release_into(left.cast(), &mut |parent| queue.give_up(parent));
            } else {
                if !left.is_null() {
                    queue.give_up(left);
                }
                if !right.is_null() {
                    queue.give_up(right);
                }
            }
            node = queue.pop();
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
            trashcan::give_up(dict);
        }
        if (*node).has(FROM_SLAB) {
            slab::release(node.cast());
        } else if let Some(free) = (*class).tp_free {
            free(node.cast());
        }
        ffi::Py_DECREF(class.cast());
    }
}
