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

use pyo3::ffi;

use super::ffi::Object;

/// The most deallocations that may nest: enough that most objects are freed at once, and, with the
/// lists and closures between two nodes, some 20 KiB of stack.
const DEEPEST: usize = 32;

/// The nested deallocations of a thread.
struct Trashcan {
    depth: Cell<usize>,
    /// References still to be given up. Never dropped, as a thread may give up objects while its
    /// locals are being taken down; an empty list owns no memory.
    waiting: Cell<ManuallyDrop<Vec<Object>>>,
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
