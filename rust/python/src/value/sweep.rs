//! `backward` and `zero_grad` over nodes: the core's passes, told where our nodes lie.
//!
//! A pass holds the interpreter's lock, since nodes are Python objects, but lets go of it for a
//! moment every few thousand nodes: other threads run and Ctrl-C is answered. Only one thread is
//! inside a pass at a time, for a pass keeps its marks and adjoints in the nodes themselves.

use std::cell::RefCell;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, ThreadId};
use std::time::Duration;

use fastgrad_core::graph::op::Op;
use fastgrad_core::graph::sweep::{Graph, Pass, Pause, Stop};
use pyo3::exceptions::{PyMemoryError, PyRecursionError};
use pyo3::ffi;
use pyo3::prelude::*;

use super::block::Block;
use super::node::{HAS_RULE, HOT_OFFSET, Node};
use super::rules;

/// Marks handed out so far; 48 bits of it fit into a node, which lasts for centuries.
static MARKS: AtomicU64 = AtomicU64::new(1);

/// Buffers larger than this many entries are freed after a pass.
const KEEP: usize = 1 << 20;

/// A node, or (with the lowest bit set) a block.
#[derive(Clone, Copy)]
struct Handle(*mut u8);

/// What a handle points to.
enum Target {
    Node(*mut Node),
    Block(*mut Block),
}

impl Handle {
    #[inline(always)]
    fn node(node: *mut Node) -> Handle {
        // SAFETY: nodes are aligned; told so, the compiler drops the test for a block.
        unsafe { std::hint::assert_unchecked(node.addr() & 1 == 0) };
        Handle(node.cast())
    }

    #[inline(always)]
    fn block(block: *mut Block) -> Handle {
        Handle(block.cast::<u8>().wrapping_add(1))
    }

    #[inline(always)]
    fn target(self) -> Target {
        if self.0.addr() & 1 == 0 {
            Target::Node(self.0.cast())
        } else {
            Target::Block(self.0.wrapping_sub(1).cast())
        }
    }
}

/// The nodes under a root that the caller holds: edges never change, so all of them stay alive.
struct Nodes<'py> {
    py: Python<'py>,
    scratch: Vec<f64>,
}

impl Graph for Nodes<'_> {
    type Node = Handle;
    type Error = PyErr;

    fn next_mark(&mut self) -> u64 {
        MARKS.fetch_add(1, Relaxed) + 1
    }

    #[inline(always)]
    fn look(&self, handle: Handle) -> (u64, bool) {
        // SAFETY: alive under the root, as everywhere in this impl.
        unsafe {
            match handle.target() {
                Target::Node(node) => ((*node).mark(), (*node).is_leaf()),
                Target::Block(block) => ((*block).mark, false),
            }
        }
    }

    #[inline(always)]
    fn set_mark(&self, handle: Handle, mark: u64) {
        // SAFETY: see `look`.
        unsafe {
            match handle.target() {
                Target::Node(node) => (*node).set_mark(mark),
                Target::Block(block) => (*block).mark = mark,
            }
        }
    }

    #[inline(always)]
    fn prefetch(&self, handle: Handle) {
        // The fields often lie across two lines of the cache.
        prefetch(handle.0.wrapping_add(HOT_OFFSET));
        prefetch(handle.0.wrapping_add(HOT_OFFSET + 40));
    }

    #[inline(always)]
    fn prefetch_parents(&self, handle: Handle) {
        if let Target::Node(node) = handle.target() {
            // SAFETY: see `look`. An address that is none, as of a fused node, does no harm.
            for parent in unsafe { (*node).parents() } {
                prefetch(parent.cast::<u8>().wrapping_add(HOT_OFFSET));
            }
        }
    }

    #[inline(always)]
    fn parents(&self, handle: Handle, mut visit: impl FnMut(Handle)) {
        // SAFETY: see `look`.
        unsafe {
            if let Target::Node(node) = handle.target()
                && (*node).op() != Op::Fused
            {
                // One call for both, so that it is worth inlining.
                for parent in (*node).parents() {
                    if !parent.is_null() {
                        visit(Handle::node(parent));
                    }
                }
            } else {
                fused_parents(handle, &mut visit);
            }
        }
    }

    #[inline(always)]
    fn grad(&self, handle: Handle) -> f64 {
        match handle.target() {
            // SAFETY: see `look`.
            Target::Node(node) => unsafe { (*node).grad },
            // Its adjoints are 0 between passes.
            Target::Block(_) => 0.0,
        }
    }

    #[inline(always)]
    fn set_grad(&self, handle: Handle, grad: f64) {
        // SAFETY: see `look`.
        unsafe {
            match handle.target() {
                Target::Node(node) => (*node).grad = grad,
                Target::Block(block) => (*block).dout.fill(grad),
            }
        }
    }

    #[inline(always)]
    fn propagate(&mut self, handle: Handle) -> PyResult<()> {
        // SAFETY: see `look`.
        unsafe {
            match handle.target() {
                Target::Node(node) if (*node).is_plain() => send(node),
                Target::Node(node) if (*node).has(HAS_RULE) => rules::call(self.py, node)?,
                Target::Node(node) => send_to_block(node),
                Target::Block(block) => (*block).pull_back(&mut self.scratch),
            }
        }
        Ok(())
    }

    #[cold]
    fn pause(&mut self) -> PyResult<Pause> {
        let before = MARKS.load(Relaxed);
        self.py.check_signals()?;
        self.py.detach(|| ());
        let quiet = MARKS.load(Relaxed) == before;
        Ok(if quiet { Pause::Quiet } else { Pause::Disturbed })
    }
}

#[inline(always)]
fn prefetch(address: *const u8) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: a prefetch reads nothing, and ignores an address that is none.
    unsafe {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        _mm_prefetch::<_MM_HINT_T0>(address.cast());
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = address;
}

/// The parents of an output of a block, or of a block.
#[inline(never)]
unsafe fn fused_parents(handle: Handle, visit: &mut dyn FnMut(Handle)) {
    // SAFETY: the handle is alive under the root.
    unsafe {
        match handle.target() {
            Target::Node(node) => {
                if let Some((block, _)) = (*node).block() {
                    visit(Handle::block(block));
                }
            }
            Target::Block(block) => {
                let shared = (*block).weights;
                if !shared.is_null() {
                    visit(Handle::block(shared));
                }
                let parents = &(*block).parents;
                parents.iter().filter(|p| !p.is_null()).for_each(|&p| visit(Handle::node(p)));
            }
        }
    }
}

/// grad(parent) += d(node)/d(parent) · grad(node)
#[inline(always)]
unsafe fn send(node: *mut Node) {
    // SAFETY: the node and its parents are alive.
    unsafe {
        let g = (*node).grad;
        let [left, right] = (*node).parents();
        if !left.is_null() {
            (*left).grad += (*node).d_left * g;
        }
        if !right.is_null() {
            (*right).grad += (*node).d_right * g;
        }
    }
}

#[inline(always)]
unsafe fn send_to_block(node: *mut Node) {
    // SAFETY: a fused node shares its block.
    unsafe {
        if let Some((block, index)) = (*node).block() {
            let block = &mut *block;
            if let Some(adjoint) = block.dout.get_mut(index) {
                *adjoint += (*node).grad * (*node).d_left;
            }
        }
    }
}

/// What `node._backward()` does on its own: sends the gradient that the node has now.
///
/// # Safety
/// `node` is alive and the interpreter's lock held.
pub unsafe fn send_alone(node: *mut Node) {
    // SAFETY: by contract.
    unsafe {
        match (*node).block() {
            None => send(node),
            Some((block, _)) => {
                send_to_block(node);
                (*block).pull_back(&mut Vec::new());
                let shared = (*block).weights;
                if !shared.is_null() {
                    (*shared).pull_back(&mut Vec::new());
                }
                if let Some(weights) = (*block).weights.as_mut() {
                    weights.pull_back(&mut Vec::new());
                }
            }
        }
    }
}

/// `root.backward()`.
///
/// # Safety
/// The caller holds a reference to root.
pub unsafe fn backward(py: Python<'_>, root: *mut Node) -> PyResult<()> {
    run(py, |pass, nodes| pass.backward(nodes, Handle::node(root)))
}

/// `root.zero_grad()`.
///
/// # Safety
/// The caller holds a reference to root.
pub unsafe fn zero_grad(py: Python<'_>, root: *mut Node) -> PyResult<()> {
    run(py, |pass, nodes| pass.zero_grad(nodes, Handle::node(root)))
}

type Outcome = std::result::Result<(), Stop<PyErr>>;

fn run(
    py: Python<'_>,
    walk: impl FnOnce(&mut Pass<Handle>, &mut Nodes<'_>) -> Outcome,
) -> PyResult<()> {
    thread_local! {
        static BUFFERS: RefCell<Pass<Handle>> = RefCell::default();
    }
    let _turn = Turn::take(py)?;
    // A rule may call backward again: the inner pass then finds the buffers gone and makes its own.
    let mut pass = BUFFERS.try_with(RefCell::take).unwrap_or_default();
    let outcome = walk(&mut pass, &mut Nodes { py, scratch: Vec::new() });
    if pass.capacity() <= KEEP {
        let _gone_at_exit = BUFFERS.try_with(|buffers| buffers.replace(pass));
    }
    outcome.map_err(|stop| match stop {
        Stop::Graph(error) => error,
        Stop::Memory => PyMemoryError::new_err("no memory to order the graph"),
    })
}

/// The right to be inside a pass; a thread that has it may take it again.
struct Turn;

/// How many passes may lie inside one another. Python 3.13 would stop at 10,000 calls, too late
/// for most stacks.
const DEEPEST: usize = 100;

/// Who is inside how many passes, how many wait to be, and how often that has changed hands.
struct Door {
    owner: Option<ThreadId>,
    depth: usize,
    waiting: usize,
    changes: u64,
}

static DOOR: Mutex<Door> = Mutex::new(Door { owner: None, depth: 0, waiting: 0, changes: 0 });
static CHANGED: Condvar = Condvar::new();

fn door() -> MutexGuard<'static, Door> {
    DOOR.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Turn {
    fn take(py: Python<'_>) -> PyResult<Turn> {
        let me = thread::current().id();
        // Whoever has waited goes first. The interpreter's lock alone would give the next turn
        // to the thread that has just had one, for it is the one that is running.
        let mut has_waited = false;
        loop {
            let mut door = door();
            match door.owner {
                Some(thread) if thread == me => return door.enter(),
                None if has_waited || door.waiting == 0 => {
                    door.pass_to(Some(me));
                    return door.enter();
                }
                _ => {}
            }
            door.waiting += 1;
            let changes = door.changes;
            drop(door);
            py.detach(|| wait_for_change(changes));
            self::door().waiting -= 1;
            has_waited = true;
            py.check_signals()?;
        }
    }
}

impl Door {
    fn enter(&mut self) -> PyResult<Turn> {
        if self.depth == DEEPEST {
            let message = format!("rules called backward() {DEEPEST} times inside one another");
            return Err(PyRecursionError::new_err(message));
        }
        self.depth += 1;
        Ok(Turn)
    }

    fn pass_to(&mut self, owner: Option<ThreadId>) {
        self.owner = owner;
        self.changes += 1;
        if self.waiting > 0 {
            CHANGED.notify_all();
        }
    }
}

fn wait_for_change(seen: u64) {
    let limit = Duration::from_millis(20);
    let waited = CHANGED.wait_timeout_while(door(), limit, |door| door.changes == seen);
    drop(waited.unwrap_or_else(PoisonError::into_inner));
}

impl Drop for Turn {
    fn drop(&mut self) {
        let mut door = door();
        door.depth -= 1;
        if door.depth == 0 {
            door.pass_to(None);
        }
    }
}

/// Takes a reference as a slot returns it.
///
/// # Safety
/// `object` is alive.
pub unsafe fn none() -> *mut ffi::PyObject {
    // SAFETY: the singleton is always alive.
    unsafe {
        let none = ffi::Py_None();
        ffi::Py_INCREF(none);
        none
    }
}
