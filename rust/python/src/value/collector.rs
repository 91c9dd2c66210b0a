//! The slots of Python's cyclic collector for nodes.
//!
//! It knows a node once that has attributes, or stands on a node with a rule of its own. Ordinary
//! graphs it never walks: they cannot be cyclic, and walking them is most of the time of a pure
//! Python engine. A rule is different: it is a closure over its node and the operands, so a chain
//! of such nodes is a chain of cycles, which only comes apart if all edges between them are seen,
//! those of ordinary nodes included:
//!
//! ```text
//! square's rule -> square, x     y = square(x) * 2     square(y)'s rule -> square(y), y -> square(x)
//! ```
//! A node that is made above another one before this gets its rule stays unknown.
//!
//! Of a node that it knows the collector is told every reference that the node owns, once.

use std::os::raw::{c_int, c_void};
use std::ptr;

use pyo3::ffi;

use super::ffi::Object;
use super::node::{self, Node};

/// `tp_traverse`: what a node refers to.
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

/// `tp_clear`: edges lead to older nodes, so a cycle always runs through attributes as well, and
/// dropping them breaks it. The rest of the graph then goes in a loop, as graphs do.
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
