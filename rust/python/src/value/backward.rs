//! `backward` and `zero_grad` over nodes: implements the core's [`Graph`] for them.
//!
//! A pass holds the GIL, since nodes are Python objects, but releases it for a moment every few
//! thousand nodes: other threads run and Ctrl-C is answered. Only one thread is inside a pass at a
//! time (`pass_lock.rs`), as a pass keeps its marks and adjoints in the nodes themselves.
//!
//! A rule may call `backward()` again. The inner pass finds adjoints of the outer one: those of
//! nodes are saved like gradients of earlier calls, those of fused ops in [`Walk::aside`].
//!
//! # Why handles may be followed
//!
//! A [`Handle`] is a pointer without a lifetime. All handles of a pass point to living nodes and fused
//! ops:
//!
//! - each is made from a reference to the root, or to a parent or fused op of another handle's
//!   target;
//! - the caller keeps the root alive during the pass, as its `NodeRef` says;
//! - edges are set before anything can reach a node, and never change: Python code that runs during a
//!   pass can drop its own references, but not those of the graph (`Node::take_parents` replaces a
//!   node's edges by the same parents, and only where no pass has been);
//! - a pass keeps handles only in its [`Walk`], which `run` clears at the end of the pass;
//! - in the child of a fork the thread of the pass is gone, so that its reference to the root is
//!   never released.

use std::cell::RefCell;
use std::ptr::{self, NonNull};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::thread::{self, Builder};

use fastgrad_core::alloc::filled;
use fastgrad_core::autograd::backward::{Graph, NoMemory, Pass, Pause, Stop};
use pyo3::exceptions::PyMemoryError;
use pyo3::prelude::*;

use super::fused_op::{Edges, FusedOp};
use super::hooks;
use super::node::{GRAD_OFFSET, HAS_RULE, HOT_OFFSET, Node, NodeRef};
use super::pass_lock::{PassGuard, Undo};

/// The last mark that was handed out. A node has 48 bits for it, enough for centuries.
static MARKS: AtomicU64 = AtomicU64::new(1);

/// Buffers larger than this many entries are freed after a pass.
const KEEP: usize = 1 << 20;

/// From this many nodes on, gradients are put back on two threads.
const MANY: usize = 1 << 18;

/// A node, or (with the lowest bit set) a fused op, which lives during the pass: see the module.
#[derive(Clone, Copy)]
struct Handle(*const u8);

// SAFETY: a pass shares handles only with the thread that `update_grads` starts and waits for. Each
// of the two threads reads and writes gradients of nodes that the other does not touch.
unsafe impl Sync for Handle {}

/// The target of a handle.
enum Target<'a> {
    Node(&'a Node),
    FusedOp(&'a FusedOp),
}

impl Handle {
    #[inline(always)]
    fn node(node: &Node) -> Handle {
        // SAFETY: nodes are aligned; told so, the compiler drops the test for a fused op.
        unsafe { std::hint::assert_unchecked(node.as_ptr().addr() & 1 == 0) };
        Handle(node.as_ptr().cast())
    }

    #[inline(always)]
    fn fused(fused: &FusedOp) -> Handle {
        Handle(ptr::from_ref(fused).cast::<u8>().wrapping_add(1))
    }

    #[inline(always)]
    fn target<'a>(self) -> Target<'a> {
        // SAFETY: it points to what it was made from, which lives during the pass, as the module's
        // documentation explains; no target is kept beyond it.
        unsafe {
            if self.0.addr() & 1 == 0 {
                Target::Node(&*self.0.cast())
            } else {
                Target::FusedOp(&*self.0.wrapping_sub(1).cast())
            }
        }
    }
}

/// Fused ops with the adjoints that an enclosing pass has left in them.
type Aside = RefCell<Vec<(Handle, Vec<f64>)>>;

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

/// The nodes under a root.
struct Nodes<'a> {
    py: Python<'a>,
    aside: &'a Aside,
    /// True if the pass is inside another one.
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
        match handle.target() {
            Target::Node(node) => (node.mark(), node.is_leaf()),
            Target::FusedOp(fused) => (fused.mark.get(), false),
        }
    }

    #[inline(always)]
    fn set_mark(&self, handle: Handle, mark: u64) {
        match handle.target() {
            Target::Node(node) => node.set_mark(mark),
            Target::FusedOp(fused) => fused.mark.set(mark),
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
            // A prefetch may be given any address, such as the index of a fused node.
            for parent in node.addresses() {
                prefetch(parent.wrapping_add(HOT_OFFSET));
            }
        }
    }

    #[inline(always)]
    fn parents(&self, handle: Handle, mut visit: impl FnMut(Handle)) {
        if let Target::Node(node) = handle.target()
            && let Edges::Parents(parents) = node.edges()
        {
            // A loop has one call of `visit` for both parents, which is worth inlining.
            #[allow(clippy::manual_flatten, reason = "`flatten` of an array is not inlined")]
            for parent in parents {
                if let Some(parent) = parent {
                    visit(Handle::node(parent));
                }
            }
        } else {
            fused_parents(handle, &mut visit);
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
            Target::FusedOp(fused) => set_aside(fused, &mut self.aside.borrow_mut()),
        }
    }

    fn put_back(&self) {
        for (handle, dout) in self.aside.borrow_mut().drain(..) {
            if let Target::FusedOp(fused) = handle.target() {
                fused.replace_adjoints(dout);
            }
        }
    }

    #[inline(always)]
    fn propagate(&mut self, handle: Handle) -> PyResult<()> {
        match handle.target() {
            Target::Node(node) if node.has(HAS_RULE) => {
                return call_hook(NodeRef::new(self.py, node));
            }
            Target::Node(node) => match node.edges() {
                Edges::Parents(parents) => send(node, parents),
                Edges::Output(fused, index) => send_to_fused_op(node, fused, index),
            },
            Target::FusedOp(fused) => {
                fused.vjp(&mut self.scratch).map_err(|NoMemory| no_memory())?;
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
        Target::Node(node) => node.grad(),
        // Its adjoints are 0 between passes.
        Target::FusedOp(_) => 0.0,
    }
}

#[inline(always)]
fn set_grad(handle: Handle, grad: f64) {
    match handle.target() {
        Target::Node(node) => node.set_grad(grad),
        Target::FusedOp(fused) => fused.fill_adjoints(grad),
    }
}

#[inline(always)]
fn prefetch(address: *const u8) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: a prefetch may be given any address.
    unsafe {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        _mm_prefetch::<_MM_HINT_T0>(address.cast());
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = address;
}

/// Calls `visit` with the parents of an output of a fused op, or of a fused op.
#[inline(never)]
fn fused_parents(handle: Handle, visit: &mut dyn FnMut(Handle)) {
    match handle.target() {
        Target::Node(node) => {
            if let Edges::Output(fused, _) = node.edges() {
                visit(Handle::fused(fused));
            }
        }
        Target::FusedOp(fused) => {
            fused.weights.iter().for_each(|weights| visit(Handle::fused(weights)));
            fused.parents.iter().flatten().for_each(|parent| visit(Handle::node(parent)));
        }
    }
}

/// grad(parent) += d(node)/d(parent) · grad(node)
#[inline(always)]
fn send(node: &Node, [left, right]: [Option<&Node>; 2]) {
    let (g, [d_left, d_right]) = (node.grad(), node.slopes());
    if let Some(left) = left {
        left.add_grad(d_left * g);
    }
    if let Some(right) = right {
        right.add_grad(d_right * g);
    }
}

#[inline(always)]
fn send_to_fused_op(node: &Node, fused: &FusedOp, index: usize) {
    let [slope, _] = node.slopes();
    fused.add_adjoint(index, node.grad() * slope);
}

/// Sets aside the adjoints of a fused op, if there are any.
#[cold]
fn set_aside(fused: &FusedOp, aside: &mut Vec<(Handle, Vec<f64>)>) -> Result<(), NoMemory> {
    if fused.has_adjoints() {
        aside.try_reserve(1).map_err(|_| NoMemory)?;
        let zeros = filled(0.0, fused.outputs()).map_err(|_| NoMemory)?;
        aside.push((Handle::fused(fused), fused.replace_adjoints(zeros)));
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
    match value.edges() {
        Edges::Parents(parents) => send(&value, parents),
        Edges::Output(fused, index) => {
            let mut scratch = Vec::new();
            // Nothing is sent where there is no memory.
            fused.reserve(&mut scratch).map_err(|NoMemory| no_memory())?;
            send_to_fused_op(&value, fused, index);
            // Inside a pass this also sends the adjoints that other outputs have added so far. Their
            // rest is sent when the pass comes to the op itself.
            for op in [Some(fused), fused.weights.as_deref()].into_iter().flatten() {
                op.vjp(&mut scratch).map_err(|NoMemory| no_memory())?;
            }
        }
    }
    Ok(())
}

#[cold]
fn no_memory() -> PyErr {
    PyMemoryError::new_err("no memory for a backward pass")
}

/// Runs `root.backward()`.
pub fn backward(root: NodeRef<'_>) -> PyResult<()> {
    run(root.py(), |pass, nodes| pass.backward(nodes, Handle::node(&root)))
}

/// Runs `root.zero_grad()`.
pub fn zero_grad(root: NodeRef<'_>) -> PyResult<()> {
    run(root.py(), |pass, nodes| pass.zero_grad(nodes, Handle::node(&root)))
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
    // SAFETY: `own` is a box, so that the pass stays where it is until the guard is dropped, before
    // the box is dropped or kept for the next pass.
    let guard = unsafe { PassGuard::take(py, NonNull::from(&mut *own))? };
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
