//! Deallocates nodes.
//!
//! Nodes are deallocated in a loop, not by recursion: a node whose last reference goes is chained
//! into a list through its `weakrefs` field, and its memory is freed when its turn comes.

use std::ops::Deref;
use std::ptr::{self, NonNull};

use pyo3::ffi;
use pyo3::prelude::*;

use super::ffi::Object;
use super::fused_op::{Edges, GiveUp, OwnedEdges};
use super::node::{FROM_SLAB, Node, OwnedNode, set_refcount};
use super::{slab, trashcan};

/// A node that nobody can reach any more: untracked, without weak references.
struct Retired(NonNull<Node>);

impl Deref for Retired {
    type Target = Node;

    #[inline(always)]
    fn deref(&self) -> &Node {
        // SAFETY: nobody else can reach the node, and its memory is only freed by `free`, which consumes
        // this.
        unsafe { self.0.as_ref() }
    }
}

impl Retired {
    /// Makes a node unreachable for good.
    ///
    /// # Safety
    /// There is no other reference to the node.
    #[inline(always)]
    unsafe fn new(last: OwnedNode) -> Retired {
        debug_assert!(!last.has_other_owners(), "somebody still has the node");
        let node = last.into_raw();
        // SAFETY: by contract, the last reference is taken away.
        unsafe { set_refcount(node, 0) };
        let retired = Retired(node);
        if retired.is_tracked() || !retired.weakrefs.get().is_null() {
            retired.untrack_slowly();
        }
        retired
    }

    #[cold]
    fn untrack_slowly(&self) {
        self.set_tracked(false);
        if !self.weakrefs.get().is_null() {
            // SAFETY: the node has no references, as the function expects. The callbacks that it runs
            // cannot reach the node.
            unsafe { ffi::PyObject_ClearWeakRefs(self.as_ptr().cast()) }
        }
    }

    /// Frees the node's attributes and memory, and returns its edges.
    #[inline(always)]
    fn free(self, py: Python<'_>) -> OwnedEdges {
        // SAFETY: nothing else can reach the node. Its edges, dict, memory and type are each given up
        // once, and `self` is not used afterwards.
        unsafe {
            let edges = self.give_edges();
            if let Edges::Output(fused, _) = self.edges() {
                fused.forget_holder(self.0);
            }
            if self.has_dict()
                && let Some(dict) = self.take_dict(py)
            {
                trashcan::give_up(dict);
            }
            let class = self.class_ptr();
            if self.has(FROM_SLAB) {
                slab::release(py, self.0.cast());
            } else if let Some(free) = (*class).tp_free {
                free(self.0.as_ptr().cast());
            }
            ffi::Py_DECREF(class.cast());
            edges
        }
    }
}

/// Nodes to be freed, chained through `weakrefs`; nothing else can reach them.
struct DeallocQueue<'py> {
    first: *mut Node,
    py: Python<'py>,
}

impl GiveUp for DeallocQueue<'_> {
    /// Releases one reference to a parent; queues the node when that was the last one.
    #[inline(always)]
    fn give_up(&mut self, node: OwnedNode) {
        if node.has_other_owners() {
            drop(node);
        } else if node.is_exact() {
            // SAFETY: the node has no other owners.
            let node = unsafe { Retired::new(node) };
            node.weakrefs.set(self.first.cast());
            self.first = node.as_ptr();
        } else {
            // An instance of a subclass has a `tp_dealloc` of its own.
            trashcan::give_up(node.into_bound(self.py));
        }
    }
}

impl DeallocQueue<'_> {
    #[inline(always)]
    fn pop(&mut self) -> Option<Retired> {
        let node = NonNull::new(self.first).map(Retired)?;
        self.first = node.weakrefs.get().cast();
        Some(node)
    }
}

/// `tp_dealloc`: deallocates the node, and all nodes that only it kept alive.
pub unsafe extern "C" fn dealloc(object: Object) {
    // SAFETY: Python calls this once, when it has taken the last reference off the count, with the GIL
    // held.
    let (py, mut node) = unsafe {
        let last = OwnedNode::from_raw(NonNull::new_unchecked(object.cast()));
        (Python::assume_attached(), Retired::new(last))
    };
    let mut queue = DeallocQueue { first: ptr::null_mut(), py };
    loop {
        node.free(py).release_into(&mut queue);
        match queue.pop() {
            Some(next) => node = next,
            None => return,
        }
    }
}
