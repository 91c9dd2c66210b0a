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
use std::ptr;

use pyo3::ffi;

use super::ffi::Object;
use super::node::{self, Node};

/// `tp_traverse`: visits what a node refers to.
pub unsafe extern "C" fn traverse(
    object: Object,
    visit: ffi::visitproc,
    arg: *mut c_void,
) -> c_int {
    let node = object.cast::<Node>();
    let mut found = 0;
    let mut tell = |object: Object| {
        if found == 0 && !object.is_null() {
            // SAFETY: the object is alive, as the node refers to it.
            found = unsafe { visit(object, arg) };
        }
    };
    // SAFETY: called by the collector with a Value.
    unsafe {
        tell((*node).dict);
        tell(ffi::Py_TYPE(object).cast());
        match (*node).fused() {
            Some((fused, _)) => (*fused).traverse(node, &mut |parent| tell(parent.cast())),
            None => (*node).parents().into_iter().for_each(|parent| tell(parent.cast())),
        }
    }
    found
}

/// `tp_clear`: drops the attributes. Edges lead to older nodes, so every cycle runs through
/// attributes as well, and is broken by this; the graph is then deallocated in a loop, as always.
pub unsafe extern "C" fn clear(object: Object) -> c_int {
    // SAFETY: called by the collector with a Value.
    unsafe {
        let node = object.cast::<Node>();
        let dict = (*node).dict;
        (*node).dict = ptr::null_mut();
        if node::is_tracked(node) {
            ffi::PyObject_GC_UnTrack(object.cast());
        }
        ffi::Py_XDECREF(dict);
    }
    0
}
