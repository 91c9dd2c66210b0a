//! `backward` and `zero_grad` over nodes: implements the core's [`Graph`] for them.
//!
//! A pass holds the GIL, since nodes are Python objects, but releases it for a moment every few
//! thousand nodes: other threads run and Ctrl-C is answered. Only one thread is inside a pass at a
//! time (`pass_lock.rs`), as a pass keeps its marks and adjoints in the nodes themselves.
//!
//! A rule may call `backward()` again. The inner pass finds adjoints of the outer one: those of
//! nodes are saved like gradients of earlier calls, those of fused ops in [`Walk::aside`].

use std::cell::RefCell;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::thread::{self, Builder};

use fastgrad_core::autograd::backward::{Graph, NoMemory, Pass, Pause, Stop};
use fastgrad_core::autograd::op::Op;
use pyo3::exceptions::PyMemoryError;
use pyo3::prelude::*;

use super::fused_op::FusedOp;
use super::hooks;
use super::node::{GRAD_OFFSET, HAS_RULE, HOT_OFFSET, Node, NodeRef};
use super::pass_lock::{PassGuard, Undo};

/// Marks handed out so far; 48 bits of it fit into a node, which lasts for centuries.
static MARKS: AtomicU64 = AtomicU64::new(1);

/// Buffers larger than this many entries are freed after a pass.
const KEEP: usize = 1 << 20;

/// From this many nodes on, gradients are put back on two threads.
const MANY: usize = 1 << 18;

/// A node, or (with the lowest bit set) a fused op.
#[derive(Clone, Copy)]
struct Handle(*mut u8);

// SAFETY: a pass shares handles with threads of its own only, in `update_grads`, where each thread
// touches nodes that no other does.
unsafe impl Sync for Handle {}

/// The target of a handle.
enum Target {
    Node(*mut Node),
    FusedOp(*mut FusedOp),
}

impl Handle {
    #[inline(always)]
    fn node(node: *mut Node) -> Handle {
        // SAFETY: nodes are aligned; told so, the compiler drops the test for a fused op.
        unsafe { std::hint::assert_unchecked(node.addr() & 1 == 0) };
        Handle(node.cast())
    }

    #[inline(always)]
    fn fused(fused: *mut FusedOp) -> Handle {
        Handle(fused.cast::<u8>().wrapping_add(1))
    }

    #[inline(always)]
    fn target(self) -> Target {
        if self.0.addr() & 1 == 0 {
            Target::Node(self.0.cast())
        } else {
            Target::FusedOp(self.0.wrapping_sub(1).cast())
        }
    }
}

/// Fused ops with the adjoints that an enclosing pass has left in them.
type Aside = RefCell<Vec<(*mut FusedOp, Vec<f64>)>>;

/// The state of a pass outside of the nodes.
#[derive(Default)]
struct Walk {
    pass: Pass<Handle>,
    aside: Aside,
}

impl Undo for Walk {
    fn undo(&self, py: Python<'_>) {
        self.pass.undo(&Nodes::new(py, &self.aside, true));
    }
}

/// The nodes under a root that the caller keeps alive: edges never change, so all of them stay
/// alive.
struct Nodes<'a> {
    py: Python<'a>,
    aside: &'a Aside,
    /// The pass is inside another one.
    nested: bool,
    scratch: Vec<f64>,
}

impl<'a> Nodes<'a> {
    fn new(py: Python<'a>, aside: &'a Aside, nested: bool) -> Nodes<'a> {
        Nodes { py, aside, nested, scratch: Vec::new() }
    }
}

impl Graph for Nodes<'_> {
    type Node = Handle;
    type Error = PyErr;

    fn next_mark(&mut self) -> u64 {
        MARKS.fetch_add(1, Relaxed) + 1
    }

    #[inline(always)]
    fn mark_and_leaf(&self, handle: Handle) -> (u64, bool) {
        // SAFETY: alive under the root, as everywhere in this impl.
        unsafe {
            match handle.target() {
                Target::Node(node) => ((*node).mark(), (*node).is_leaf()),
                Target::FusedOp(fused) => ((*fused).mark, false),
            }
        }
    }

    #[inline(always)]
    fn set_mark(&self, handle: Handle, mark: u64) {
        // SAFETY: see `mark_and_leaf`.
        unsafe {
            match handle.target() {
                Target::Node(node) => (*node).set_mark(mark),
                Target::FusedOp(fused) => (*fused).mark = mark,
            }
        }
    }

    #[inline(always)]
    fn prefetch(&self, handle: Handle) {
        // The fields often span two cache lines.
        prefetch(handle.0.wrapping_add(HOT_OFFSET));
        prefetch(handle.0.wrapping_add(HOT_OFFSET + 40));
    }

    #[inline(always)]
    fn prefetch_grad(&self, handle: Handle) {
        prefetch(handle.0.wrapping_add(GRAD_OFFSET));
    }

    #[inline(always)]
    fn prefetch_parents(&self, handle: Handle) {
        if let Target::Node(node) = handle.target() {
            // SAFETY: see `mark_and_leaf`. An address that is none, as of a fused node, does no harm.
            for parent in unsafe { (*node).parents() } {
                prefetch(parent.cast::<u8>().wrapping_add(HOT_OFFSET));
            }
        }
    }

    #[inline(always)]
    fn parents(&self, handle: Handle, mut visit: impl FnMut(Handle)) {
        // SAFETY: see `mark_and_leaf`.
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
        grad(handle)
    }

    #[inline(always)]
    fn set_grad(&self, handle: Handle, grad: f64) {
        set_grad(handle, grad);
    }

    /// Uses two threads for large graphs, which are bound by memory bandwidth: an interrupted pass
    /// is then undone sooner.
    fn update_grads<T: Sync>(
        &self,
        items: &[T],
        node_of: impl Fn(&T) -> Handle + Sync,
        new: impl Fn(&T, f64) -> f64 + Sync,
    ) {
        let update = |items: &[T]| {
            for (position, item) in items.iter().enumerate() {
                if let Some(later) = items.get(position + 16) {
                    prefetch(node_of(later).0.wrapping_add(GRAD_OFFSET));
                }
                let node = node_of(item);
                set_grad(node, new(item, grad(node)));
            }
        };
        if items.len() < MANY {
            return update(items);
        }
        let (left, right) = items.split_at(items.len() / 2);
        thread::scope(|scope| {
            if Builder::new().spawn_scoped(scope, || update(left)).is_err() {
                update(left);
            }
            update(right);
        });
    }

    #[inline(always)]
    fn set_aside(&self, handle: Handle) -> Result<(), NoMemory> {
        match handle.target() {
            Target::Node(_) => Ok(()),
            Target::FusedOp(_) if !self.nested => Ok(()),
            // SAFETY: see `mark_and_leaf`.
            Target::FusedOp(fused) => unsafe { set_aside(fused, &mut self.aside.borrow_mut()) },
        }
    }

    fn put_back(&self) {
        for (fused, dout) in self.aside.borrow_mut().drain(..) {
            // SAFETY: see `mark_and_leaf`.
            unsafe { (*fused).dout = dout }
        }
    }

    #[inline(always)]
    fn propagate(&mut self, handle: Handle) -> PyResult<()> {
        // SAFETY: see `mark_and_leaf`.
        unsafe {
            match handle.target() {
                Target::Node(node) if (*node).is_plain() => send(node),
                Target::Node(node) if (*node).has(HAS_RULE) => {
                    call_hook(NodeRef::received(node.cast()))?;
                }
                Target::Node(node) => send_to_fused_op(node),
                Target::FusedOp(fused) => {
                    (*fused).vjp(&mut self.scratch).map_err(|NoMemory| no_memory())?;
                }
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
fn grad(handle: Handle) -> f64 {
    match handle.target() {
        // SAFETY: alive under the root.
        Target::Node(node) => unsafe { (*node).grad },
        // Its adjoints are 0 between passes.
        Target::FusedOp(_) => 0.0,
    }
}

#[inline(always)]
fn set_grad(handle: Handle, grad: f64) {
    // SAFETY: alive under the root.
    unsafe {
        match handle.target() {
            Target::Node(node) => (*node).grad = grad,
            Target::FusedOp(fused) => (*fused).dout.fill(grad),
        }
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

/// Calls `visit` with the parents of an output of a fused op, or of a fused op.
#[inline(never)]
unsafe fn fused_parents(handle: Handle, visit: &mut dyn FnMut(Handle)) {
    // SAFETY: the handle is alive under the root.
    unsafe {
        match handle.target() {
            Target::Node(node) => {
                if let Some((fused, _)) = (*node).fused() {
                    visit(Handle::fused(fused));
                }
            }
            Target::FusedOp(fused) => {
                let shared = (*fused).weights;
                if !shared.is_null() {
                    visit(Handle::fused(shared));
                }
                let parents = &(*fused).parents;
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
#[allow(clippy::indexing_slicing, reason = "an output's index is below their count")]
unsafe fn send_to_fused_op(node: *mut Node) {
    // SAFETY: a fused node shares its fused op.
    unsafe {
        if let Some((fused, index)) = (*node).fused() {
            let dout = &mut (*fused).dout;
            dout[index] += (*node).grad * (*node).d_left;
        }
    }
}

/// Sets aside the adjoints of a fused op, if there are any.
#[cold]
unsafe fn set_aside(
    fused: *mut FusedOp,
    aside: &mut Vec<(*mut FusedOp, Vec<f64>)>,
) -> Result<(), NoMemory> {
    // SAFETY: the fused op is alive under the root.
    let dout = unsafe { &mut (*fused).dout };
    if dout.iter().any(|adjoint| *adjoint != 0.0) {
        aside.try_reserve(1).map_err(|_| NoMemory)?;
        let mut zeros = Vec::new();
        zeros.try_reserve_exact(dout.len()).map_err(|_| NoMemory)?;
        zeros.resize(dout.len(), 0.0);
        aside.push((fused, std::mem::replace(dout, zeros)));
    }
    Ok(())
}

/// Calls the callable that replaced the node's vjp; what it raises comes out unchanged.
#[cold]
fn call_hook(value: NodeRef<'_>) -> PyResult<()> {
    match hooks::stored(value)? {
        Some(hook) => hook.call0().map(drop),
        // A program has emptied the dict: the node's own vjp applies again.
        None => send_alone(value),
    }
}

/// Adds the node's gradient to its parents', as `node._backward()` does outside of a pass.
pub fn send_alone(value: NodeRef<'_>) -> PyResult<()> {
    let node = value.as_ptr();
    // SAFETY: the node is alive, and with it what it refers to.
    unsafe {
        let Some((fused, _)) = (*node).fused() else {
            send(node);
            return Ok(());
        };
        let mut scratch = Vec::new();
        // Inside a pass this sends what other outputs have left in the op, too: their adjoints are
        // complete, and the op's own turn sends what comes later.
        // Nothing is sent where there is no memory.
        (*fused).reserve(&mut scratch).map_err(|NoMemory| no_memory())?;
        send_to_fused_op(node);
        let sent = (*fused).vjp(&mut scratch).and_then(|()| match (*fused).weights.as_mut() {
            Some(weights) => weights.vjp(&mut scratch),
            None => Ok(()),
        });
        sent.map_err(|NoMemory| no_memory())
    }
}

#[cold]
fn no_memory() -> PyErr {
    PyMemoryError::new_err("no memory for a backward pass")
}

/// `root.backward()`.
pub fn backward(root: NodeRef<'_>) -> PyResult<()> {
    run(root.py(), |pass, nodes| pass.backward(nodes, Handle::node(root.as_ptr())))
}

/// `root.zero_grad()`.
pub fn zero_grad(root: NodeRef<'_>) -> PyResult<()> {
    run(root.py(), |pass, nodes| pass.zero_grad(nodes, Handle::node(root.as_ptr())))
}

type Outcome = std::result::Result<(), Stop<PyErr>>;

fn run(
    py: Python<'_>,
    walk: impl FnOnce(&mut Pass<Handle>, &mut Nodes<'_>) -> Outcome,
) -> PyResult<()> {
    thread_local! {
        static KEPT: RefCell<Option<Box<Walk>>> = const { RefCell::new(None) };
    }
    // A rule may call backward again: the inner pass then finds the buffers gone and makes its own.
    let kept = KEPT.try_with(RefCell::take).ok().flatten();
    let mut own = kept.unwrap_or_default();
    let guard = PassGuard::take(py, NonNull::from(&mut *own))?;
    let Walk { pass, aside } = &mut *own;
    let outcome = walk(pass, &mut Nodes::new(py, aside, guard.is_nested()));
    aside.get_mut().clear();
    drop(guard);
    if own.pass.capacity() <= KEEP {
        let _gone_at_exit = KEPT.try_with(|kept| kept.replace(Some(own)));
    }
    outcome.map_err(|stop| match stop {
        Stop::Graph(error) => error,
        Stop::Memory => PyMemoryError::new_err("no memory to order the graph"),
    })
}
