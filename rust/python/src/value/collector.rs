//! The slots of Python's cyclic collector for nodes.
//!
//! The collector tracks a node once it has attributes, or has an ancestor with a rule of its own.
//! It never walks ordinary graphs: they cannot be cyclic, and walking them takes most of the time
//! of a pure Python engine. A rule is different: it is a closure over its node and the operands, so
//! that a chain of such nodes is a chain of cycles, which can only be collected if all edges
//! between them are visited, those of ordinary nodes included:
//!
//! ```text
//! square's rule -> square, x     y = square(x) * 2     square(y)'s rule -> square(y), y -> square(x)
//! ```
//! A node made from another one before the latter gets its rule stays untracked.
//!
//! [`traverse`] visits every reference that a tracked node owns exactly once.

use std::os::raw::{c_int, c_void};

use pyo3::ffi;

use super::ffi::{Object, c_functions};
use super::fused_op::Edges;
use super::node::{Node, NodeRef};

c_functions! {
    /// `tp_traverse`: visits what a node refers to.
    pub fn traverse(node: NodeRef, visit: ffi::visitproc, arg: *mut c_void) -> c_int {
        let mut found = 0;
        let mut tell = |object: Object| {
            if found == 0 && !object.is_null() {
                // SAFETY: the node owns a reference to the object, which is alive therefore; `visit` and
                // `arg` are the collector's.
                found = unsafe { visit(object, arg) };
            }
        };
        tell(node.dict_ptr());
        tell(node.class_ptr().cast());
        let mut tell_node = |node: &Node| tell(node.as_ptr().cast());
        match node.edges() {
            Edges::Output(fused, _) => fused.traverse(&node, &mut tell_node),
            Edges::Parents(parents) => parents.into_iter().flatten().for_each(tell_node),
        }
        found
    }

    /// `tp_clear`: drops the attributes. Edges lead to older nodes, so every cycle runs through
    /// attributes as well, and is broken by this; the graph is then deallocated in a loop, as always.
    pub fn clear(node: NodeRef) -> c_int {
        let dict = node.take_dict(node.py());
        node.set_tracked(false);
        drop(dict);
        0
    }
}
