//! A re-entrant lock: one thread at a time is inside a pass, or inside several nested ones.
//!
//! The lock's owner is guarded by the GIL. Only waiting needs a condition variable: a thread that
//! waits has released the GIL.
//!
//! A process that `os.fork()` makes has only the thread that forked. If another one held the
//! lock, its passes are undone there, the innermost first, as they will never end.

use std::cell::{RefCell, RefMut};
use std::ptr::NonNull;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, ThreadId};
use std::time::Duration;

use pyo3::exceptions::PyRecursionError;
use pyo3::prelude::*;

use crate::gil_cell::GilCell;

/// The most passes that may nest. Python 3.13 would stop at 10,000 calls, too late for most stacks.
const DEEPEST: usize = 100;

/// A pass that can be undone.
pub trait Undo {
    /// Restores all gradients to their values before the pass.
    fn undo(&self, py: Python<'_>);
}

/// Proof that its thread is inside a pass. The thread may take further guards.
pub struct PassGuard<'py> {
    py: Python<'py>,
    depth: usize,
}

/// The thread that is inside passes, and these passes.
struct PassLock {
    owner: Option<ThreadId>,
    /// The owner's passes, the outermost first.
    running: [Option<NonNull<dyn Undo>>; DEEPEST],
    depth: usize,
    waiting: usize,
    /// The bell in use. After a fork there is a new one, since a thread that is gone may have held the
    /// mutex of the old one.
    bell: &'static Bell,
}

// SAFETY: another thread reads `running` only in the child of a fork, where the owner is gone.
unsafe impl Send for PassLock {}

fn pass_lock(py: Python<'_>) -> RefMut<'_, PassLock> {
    static LOCK: GilCell<RefCell<PassLock>> = GilCell::new(RefCell::new(PassLock {
        owner: None,
        running: [None; DEEPEST],
        depth: 0,
        waiting: 0,
        bell: &FIRST_BELL,
    }));
    LOCK.get(py).borrow_mut()
}

/// The condition variable that wakes threads which wait for the lock.
struct Bell {
    /// The number of times that a thread has released the lock.
    changes: Mutex<u64>,
    changed: Condvar,
}

static FIRST_BELL: Bell = Bell { changes: Mutex::new(0), changed: Condvar::new() };

impl Bell {
    fn changes(&self) -> MutexGuard<'_, u64> {
        self.changes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn ring(&self) {
        *self.changes() += 1;
        self.changed.notify_all();
    }

    fn wait(&self, seen: u64) {
        let limit = Duration::from_millis(20);
        let waited = self.changed.wait_timeout_while(self.changes(), limit, |now| *now == seen);
        drop(waited.unwrap_or_else(PoisonError::into_inner));
    }
}

impl<'py> PassGuard<'py> {
    /// Waits until no other thread is inside a pass.
    ///
    /// # Safety
    /// The pass lives as long as the guard, which is dropped, never forgotten.
    pub unsafe fn take(py: Python<'py>, pass: NonNull<dyn Undo>) -> PyResult<PassGuard<'py>> {
        let me = thread::current().id();
        // A thread that has waited goes first. Otherwise the thread that has just released the
        // lock, which is running, would always get it again.
        let mut has_waited = false;
        loop {
            let mut lock = pass_lock(py);
            if let Some(depth) = lock.enter(me, has_waited, pass) {
                return depth.map(|depth| PassGuard { py, depth });
            }
            lock.waiting += 1;
            let bell = lock.bell;
            drop(lock);
            let seen = *bell.changes();
            py.detach(|| bell.wait(seen));
            pass_lock(py).waiting -= 1;
            has_waited = true;
            py.check_signals()?;
        }
    }

    /// Returns true if the pass is inside another one.
    pub fn is_nested(&self) -> bool {
        self.depth > 1
    }
}

impl PassLock {
    /// Enters a pass and returns the thread's depth; `None` while another thread is inside one.
    fn enter(
        &mut self,
        me: ThreadId,
        has_waited: bool,
        pass: NonNull<dyn Undo>,
    ) -> Option<PyResult<usize>> {
        match self.owner {
            Some(owner) if owner == me => {}
            None if has_waited || self.waiting == 0 => self.owner = Some(me),
            _ => return None,
        }
        let Some(place) = self.running.get_mut(self.depth) else {
            let message = format!("rules called backward() {DEEPEST} times inside one another");
            return Some(Err(PyRecursionError::new_err(message)));
        };
        *place = Some(pass);
        self.depth += 1;
        Some(Ok(self.depth))
    }

    fn leave(&mut self) {
        self.depth -= 1;
        if self.depth == 0 {
            self.owner = None;
            if self.waiting > 0 {
                self.bell.ring();
            }
        }
    }
}

impl Drop for PassGuard<'_> {
    fn drop(&mut self) {
        pass_lock(self.py).leave();
    }
}

/// Undoes the passes of threads that are gone: called in the child of a fork, on its only thread.
pub fn after_fork(py: Python<'_>) {
    let mut lock = pass_lock(py);
    lock.bell = Box::leak(Box::new(Bell { changes: Mutex::new(0), changed: Condvar::new() }));
    lock.waiting = 0;
    if lock.owner.is_some_and(|owner| owner != thread::current().id()) {
        for pass in lock.running.iter().take(lock.depth).rev().flatten() {
            // SAFETY: the owner was stopped inside the pass, and never ends it: the pass and the nodes
            // under its root are still there, and nothing else uses the pass.
            unsafe { pass.as_ref().undo(py) };
        }
        lock.depth = 0;
        lock.owner = None;
    }
}
