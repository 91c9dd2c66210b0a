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

use super::ffi::Object;

/// How many ends may lie inside one another: enough that programs see each object end at once,
/// and, with the lists and closures between two nodes, some 20 KiB of stack.
const DEEPEST: usize = 32;

/// What a thread knows of the ends that it is inside of.
struct Trashcan {
    depth: Cell<usize>,
    /// References still to be given up. Never dropped, as a thread may give up objects while its
    /// locals are being taken down; an empty list owns no memory.
    waiting: Cell<ManuallyDrop<Vec<Object>>>,
}

thread_local! {
    // Not one for all: Python code at an object's end is to run where the last reference went.
    static TRASHCAN: Trashcan = const {
        Trashcan { depth: Cell::new(0), waiting: Cell::new(ManuallyDrop::new(Vec::new())) }
    };
}

/// Gives up a reference to an object through which further nodes may be reached, at once or soon.
///
/// An object that waits is still whole: what finds it meanwhile (the collector, a weak reference)
/// may use it, and even keep it.
///
/// # Safety
/// The GIL is held; the caller owns the reference.
#[cold]
pub unsafe fn give_up(object: Object) {
    // SAFETY: by contract.
    TRASHCAN.with(|trashcan| unsafe { trashcan.give_up(object) });
}

impl Trashcan {
    #[inline(always)]
    unsafe fn give_up(&self, object: Object) {
        let depth = self.depth.get();
        if depth >= DEEPEST && self.wait(object) {
            return;
        }
        self.depth.set(depth + 1);
        // SAFETY: by contract. Python code may run here, and come back to this function; the list
        // is in its place meanwhile.
        unsafe { ffi::Py_DECREF(object) };
        if depth + 1 == DEEPEST {
            while let Some(next) = self.next() {
                // SAFETY: the list owned the reference.
                unsafe { ffi::Py_DECREF(next) };
            }
            // A node with many such parents has made a long list.
            drop(ManuallyDrop::into_inner(self.waiting.take()));
        }
        self.depth.set(depth);
    }

    /// Puts an object on the list; false when there is no memory for it.
    fn wait(&self, object: Object) -> bool {
        let mut waiting = self.waiting.take();
        let has_room = waiting.try_reserve(1).is_ok();
        if has_room {
            waiting.push(object);
        }
        self.waiting.set(waiting);
        has_room
    }

    fn next(&self) -> Option<Object> {
        let mut waiting = self.waiting.take();
        let next = waiting.pop();
        self.waiting.set(waiting);
        next
    }
}
