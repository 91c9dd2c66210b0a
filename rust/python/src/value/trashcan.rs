//! Deallocates attributes and instances of subclasses that a freed node held, without deep recursion.
//!
//! Their own `tp_dealloc` runs inside that of the node that held them, so along a chain of them the
//! calls nest as deep as the chain is long. Python's trashcan lets 10,000 objects nest since 3.13,
//! which is too many for the small stack of a thread. So at depth 32 objects are queued, and the
//! deepest call frees them:
//!
//! ```text
//! free 1: free 2: ... free 32: queue 33; then free 33: queue 34; then free 34: ...
//! ```

use std::cell::Cell;
use std::mem::ManuallyDrop;

use pyo3::prelude::*;

/// The most deallocations that may nest. With this many, most objects are freed at once, and some
/// 20 KiB of stack are used, including the lists and closures between two nodes.
const DEEPEST: usize = 32;

/// The nested deallocations of a thread.
struct Trashcan {
    depth: Cell<usize>,
    /// References still to be released. The list is never dropped, because a thread may release objects
    /// while its locals are destroyed; an empty list owns no memory.
    waiting: Cell<ManuallyDrop<Vec<Py<PyAny>>>>,
}

thread_local! {
    // One per thread: Python code of finalizers runs on the thread that released the last
    // reference.
    static TRASHCAN: Trashcan = const {
        Trashcan { depth: Cell::new(0), waiting: Cell::new(ManuallyDrop::new(Vec::new())) }
    };
}

/// Releases a reference to an object that may hold further nodes, at once or soon.
///
/// An object that waits is still intact: whoever finds it meanwhile (through the collector or a
/// weak reference) may use it, and even keep it.
#[cold]
pub fn give_up(object: Bound<'_, PyAny>) {
    TRASHCAN.with(|trashcan| trashcan.give_up(object));
}

impl Trashcan {
    #[inline(always)]
    fn give_up(&self, object: Bound<'_, PyAny>) {
        let py = object.py();
        let depth = self.depth.get();
        let object = if depth < DEEPEST { Some(object) } else { self.wait(object) };
        let Some(object) = object else { return };
        self.depth.set(depth + 1);
        // Python code may run here and call this function again, so that the list must be in its
        // place.
        drop(object);
        if depth + 1 == DEEPEST {
            while let Some(next) = self.next() {
                drop(next.into_bound(py));
            }
            // The list is freed, since a node with many such parents makes it long.
            drop(ManuallyDrop::into_inner(self.waiting.take()));
        }
        self.depth.set(depth);
    }

    /// Puts an object on the list; returns it when there is no memory for it.
    fn wait<'py>(&self, object: Bound<'py, PyAny>) -> Option<Bound<'py, PyAny>> {
        let mut waiting = self.waiting.take();
        let refused = match waiting.try_reserve(1) {
            Ok(()) => {
                waiting.push(object.unbind());
                None
            }
            Err(_) => Some(object),
        };
        self.waiting.set(waiting);
        refused
    }

    fn next(&self) -> Option<Py<PyAny>> {
        let mut waiting = self.waiting.take();
        let next = waiting.pop();
        self.waiting.set(waiting);
        next
    }
}
