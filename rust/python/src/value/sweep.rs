//! `backward` and `zero_grad` over nodes: the core's passes, told where our nodes lie.
//!
//! A pass holds the interpreter's lock, since nodes are Python objects, but lets go of it for a
//! moment every few thousand nodes: other threads run and Ctrl-C is answered. Only one thread is
//! inside a pass at a time (`turns.rs`), for a pass keeps its marks and adjoints in the nodes
//! themselves.
//!
//! A rule may call `backward()` again. The pass inside finds adjoints of the one around it: those
//! of nodes are set aside like gradients of earlier calls, those of blocks in [`Walk::aside`].

use std::cell::RefCell;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use fastgrad_core::graph::op::Op;
use fastgrad_core::graph::sweep::{Graph, NoMemory, Pass, Pause, Stop};
use pyo3::exceptions::PyMemoryError;
use pyo3::ffi;
use pyo3::prelude::*;

use super::block::Block;
use super::node::{GRAD_OFFSET, HAS_RULE, HOT_OFFSET, Node};
use super::rules;
use super::turns::Turn;

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

/// Blocks with the adjoints that an enclosing pass has left in them.
type Aside = RefCell<Vec<(*mut Block, Vec<f64>)>>;

/// All that a pass keeps outside of the nodes.
#[derive(Default)]
pub struct Walk {
    pass: Pass<Handle>,
    aside: Aside,
}

impl Walk {
    /// Makes all gradients what they were before the pass, which its own thread will never end.
    pub fn undo(&self, py: Python<'_>) {
        self.pass.undo(&Nodes::new(py, &self.aside, true));
    }
}

/// The nodes under a root that the caller holds: edges never change, so all of them stay alive.
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
    fn prefetch_grad(&self, handle: Handle) {
        prefetch(handle.0.wrapping_add(GRAD_OFFSET));
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
    fn set_aside(&self, handle: Handle) -> Result<(), NoMemory> {
        match handle.target() {
            Target::Node(_) => Ok(()),
            Target::Block(_) if !self.nested => Ok(()),
            // SAFETY: see `look`.
            Target::Block(block) => unsafe { set_aside(block, &mut self.aside.borrow_mut()) },
        }
    }

    fn put_back(&self) {
        for (block, dout) in self.aside.borrow_mut().drain(..) {
            // SAFETY: see `look`.
            unsafe { (*block).dout = dout }
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
                Target::Block(block) => {
                    (*block).reserve(&mut self.scratch).map_err(|NoMemory| no_memory())?;
                    (*block).pull_back(&mut self.scratch);
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
#[allow(clippy::indexing_slicing, reason = "an output's index is below their count")]
unsafe fn send_to_block(node: *mut Node) {
    // SAFETY: a fused node shares its block.
    unsafe {
        if let Some((block, index)) = (*node).block() {
            let dout = &mut (*block).dout;
            dout[index] += (*node).grad * (*node).d_left;
        }
    }
}

/// Sets aside the adjoints of a block, if there are any.
#[cold]
unsafe fn set_aside(
    block: *mut Block,
    aside: &mut Vec<(*mut Block, Vec<f64>)>,
) -> Result<(), NoMemory> {
    // SAFETY: the block is alive under the root.
    let dout = unsafe { &mut (*block).dout };
    if dout.iter().any(|adjoint| *adjoint != 0.0) {
        aside.try_reserve(1).map_err(|_| NoMemory)?;
        let mut zeros = Vec::new();
        zeros.try_reserve_exact(dout.len()).map_err(|_| NoMemory)?;
        zeros.resize(dout.len(), 0.0);
        aside.push((block, std::mem::replace(dout, zeros)));
    }
    Ok(())
}

/// What `node._backward()` does on its own: sends the gradient that the node has now.
///
/// # Safety
/// `node` is alive and the interpreter's lock held.
pub unsafe fn send_alone(node: *mut Node) -> PyResult<()> {
    // SAFETY: by contract.
    unsafe {
        let Some((block, _)) = (*node).block() else {
            send(node);
            return Ok(());
        };
        let mut scratch = Vec::new();
        let shared = (*block).weights;
        // Inside a pass this sends what other outputs have left in the block, too: their adjoints
        // are complete, and the block's own turn sends what comes later.
        (*block).reserve(&mut scratch).map_err(|NoMemory| no_memory())?;
        send_to_block(node);
        (*block).pull_back(&mut scratch);
        if !shared.is_null() {
            (*shared).pull_back(&mut scratch);
        }
        Ok(())
    }
}

#[cold]
fn no_memory() -> PyErr {
    PyMemoryError::new_err("no memory for a backward pass")
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
        static KEPT: RefCell<Option<Box<Walk>>> = const { RefCell::new(None) };
    }
    // A rule may call backward again: the inner pass then finds the buffers gone and makes its own.
    let kept = KEPT.try_with(RefCell::take).ok().flatten();
    let mut own = kept.unwrap_or_default();
    let turn = Turn::take(py, &raw mut *own)?;
    let Walk { pass, aside } = &mut *own;
    let outcome = walk(pass, &mut Nodes::new(py, aside, turn.is_nested()));
    aside.get_mut().clear();
    drop(turn);
    if own.pass.capacity() <= KEEP {
        let _gone_at_exit = KEPT.try_with(|kept| kept.replace(Some(own)));
    }
    outcome.map_err(|stop| match stop {
        Stop::Graph(error) => error,
        Stop::Memory => PyMemoryError::new_err("no memory to order the graph"),
    })
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
