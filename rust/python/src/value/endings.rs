//! The end of what a dying node refers to, besides other plain nodes.
//!
//! An attribute, or an instance of a subclass, ends in its own way, and inside the end of the node
//! that held it: along a chain of them the ends nest, on a stack as deep as the chain is long.
//! Python has a remedy of its own, but since 3.13 it lets 10,000 objects nest, which are too many
//! for the small stack of a thread. So at some depth objects wait, until the end that lies deepest
//! comes back to them:
//!
//! ```text
//! 1 ends: 2 ends: ... 32 ends: 33 waits; then 33 ends: 34 waits; then 34 ends: ...
//! ```

use std::cell::Cell;
use std::mem::ManuallyDrop;

use pyo3::ffi;

type Object = *mut ffi::PyObject;

/// How many ends may lie inside one another: enough that programs see each object end at once,
/// and, with the lists and closures between two nodes, some 20 KiB of stack.
const DEEPEST: usize = 32;

/// Never dropped, as threads may give up objects while their other locals are being taken down;
/// an empty list owns no memory.
type Waiting = ManuallyDrop<Vec<Object>>;

thread_local! {
    /// Ends that this thread is inside of.
    static DEPTH: Cell<usize> = const { Cell::new(0) };
    /// References still to be given up. Each thread has its own list: Python code at an object's
    /// end runs where its last reference went.
    static WAITING: Cell<Waiting> = const { Cell::new(ManuallyDrop::new(Vec::new())) };
}

/// Gives up a reference to an object through which further nodes may be reached, at once or soon.
///
/// An object that waits is still whole: what finds it meanwhile (the collector, a weak reference)
/// may use it, and even keep it.
///
/// # Safety
/// The interpreter's lock is held; the caller owns the reference.
#[cold]
pub unsafe fn give_up(object: Object) {
    let depth = DEPTH.get();
    if depth >= DEEPEST && wait(object) {
        return;
    }
    DEPTH.set(depth + 1);
    // SAFETY: by contract. Python code may run here, and come back to this function; the list is
    // in its place meanwhile.
    unsafe { ffi::Py_DECREF(object) };
    if depth + 1 == DEEPEST {
        while let Some(next) = next() {
            // SAFETY: the list owned the reference.
            unsafe { ffi::Py_DECREF(next) };
        }
        // A node with many such parents has made a long list.
        drop(ManuallyDrop::into_inner(WAITING.take()));
    }
    DEPTH.set(depth);
}

/// Puts an object on the list; false when there is no memory for it.
fn wait(object: Object) -> bool {
    let mut waiting = WAITING.take();
    let has_room = waiting.try_reserve(1).is_ok();
    if has_room {
        waiting.push(object);
    }
    WAITING.set(waiting);
    has_room
}

fn next() -> Option<Object> {
    let mut waiting = WAITING.take();
    let next = waiting.pop();
    WAITING.set(waiting);
    next
}
