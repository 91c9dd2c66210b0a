//! Topological order and the backward pass, generic over who owns the nodes.
//!
//! ```text
//! order:  push enter(root); while the stack is not empty, pop:
//!           exit(v)           -> all parents of v are in the order: append v
//!           enter(v), v seen  -> it was pushed twice: nothing
//!           enter(v), v new   -> open it (mark it, its adjoint becomes 0),
//!                                push exit(v), then enter(p) for each new parent p
//! sweep:  adjoint(root) = 1; for v in reversed order: v sends its adjoint to its parents
//! finish: every gradient that was there before is added back
//! undo:   every gradient becomes 0, or what it was before
//! ```
//!
//! Entering a node reads and writes it, exiting does not: on large graphs most of the time is cache
//! misses, and recording the exit in the node made ordering a fifth slower.
//!
//! The adjoint of a node lives in its `grad` during the sweep. Gradients of earlier calls are saved
//! when a node is opened and added at the end, so that a second call doubles them and does not send
//! them through the graph again. Leaves are opened when they are first seen and never pushed: the
//! graph of a model has few parameters, which many nodes have as parents. Every leaf is saved, one
//! with a gradient of 0 too: the order and the saved list then name all nodes, so that undoing a
//! pass reads no edges and takes only as long as writing the gradients.

use std::iter;

/// Nodes between two calls of [`Graph::pause`]: some tenths of a millisecond.
const PAUSE_EVERY: usize = 1 << 14;

/// The number of nodes that the backward pass prefetches ahead.
const AHEAD: usize = 8;

/// The capacity above which the stack is freed before gradients are sent.
const LARGE: usize = 1 << 20;

/// A graph, as a pass reads and writes it. Handles are cheap to copy; the caller keeps the root
/// alive, and with it every node.
pub trait Graph {
    /// A handle of a node.
    type Node: Copy;
    /// The error of a node's own rule, or of a pause.
    type Error;

    /// Returns a mark higher than all before.
    fn next_mark(&mut self) -> u64;
    /// Returns the node's mark, and whether it is a leaf: has no parents.
    fn mark_and_leaf(&self, node: Self::Node) -> (u64, bool);
    /// Sets the node's mark. Marks and gradients lie behind a shared reference, as the nodes
    /// belong to many owners.
    fn set_mark(&self, node: Self::Node, mark: u64);
    /// Prefetches the node, which is needed soon.
    fn prefetch(&self, _node: Self::Node) {}
    /// Prefetches the node's gradient alone.
    fn prefetch_grad(&self, _node: Self::Node) {}
    /// Prefetches the parents of a node that is in the cache itself.
    fn prefetch_parents(&self, _node: Self::Node) {}
    /// Calls `visit` with each parent, in operand order.
    fn parents(&self, node: Self::Node, visit: impl FnMut(Self::Node));
    /// Returns the node's gradient; 0 for a node that keeps none between passes.
    fn grad(&self, node: Self::Node) -> f64;
    /// Sets the gradient; for a node with several outputs, that of each output.
    fn set_grad(&self, node: Self::Node, grad: f64);
    /// Sets the gradient of each item's node to `new(item, old gradient)`. All nodes differ, so
    /// that a graph may use several threads.
    fn update_grads<T: Sync>(
        &self,
        items: &[T],
        node_of: impl Fn(&T) -> Self::Node + Sync,
        new: impl Fn(&T, f64) -> f64 + Sync,
    ) {
        for (position, item) in items.iter().enumerate() {
            if let Some(later) = items.get(position + 2 * AHEAD) {
                self.prefetch_grad(node_of(later));
            }
            let node = node_of(item);
            self.set_grad(node, new(item, self.grad(node)));
        }
    }
    /// Saves the adjoints that an enclosing pass has left in a node that keeps no gradient between
    /// passes, and sets them to 0; [`Graph::put_back`] restores them. A pass runs inside another
    /// one where a rule calls `backward()`.
    ///
    /// # Errors
    /// [`NoMemory`]; the node is then unchanged.
    fn set_aside(&self, _node: Self::Node) -> Result<(), NoMemory> {
        Ok(())
    }
    /// Restores everything that [`Graph::set_aside`] has saved.
    fn put_back(&self) {}
    /// Sends the node's adjoint to its parents.
    ///
    /// # Errors
    /// Those of a rule that the user gave.
    fn propagate(&mut self, node: Self::Node) -> Result<(), Self::Error>;
    /// Answers interrupts, and lets other threads run.
    ///
    /// # Errors
    /// The interrupt.
    fn pause(&mut self) -> Result<Pause, Self::Error>;
}

/// The outcome of a pause.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pause {
    /// Nothing that concerns the pass.
    Quiet,
    /// Another pass ran over the same nodes and set marks: an unfinished order starts again.
    Disturbed,
}

/// The reason why a pass ended early; all gradients are as they were.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop<E> {
    /// The graph's own error.
    Graph(E),
    /// The bookkeeping got no memory.
    Memory,
}

/// The bookkeeping got no memory. `Result<(), NoMemory>` is one byte, as it has no room for the
/// graph's error; this matters in the innermost loops.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoMemory;

impl<E> From<NoMemory> for Stop<E> {
    fn from(_: NoMemory) -> Self {
        Stop::Memory
    }
}

/// A step of the depth-first search that orders the nodes.
#[derive(Clone, Copy, Debug)]
enum Step<N> {
    Enter(N),
    Exit(N),
}

/// The bookkeeping of a pass, kept from call to call so that its memory is reused.
#[derive(Debug)]
pub struct Pass<N> {
    stack: Vec<Step<N>>,
    order: Vec<N>,
    /// Gradients of earlier calls: of all leaves, and of other nodes unless they are 0.
    saved: Vec<(N, f64)>,
    /// The number of leaves in `saved`.
    leaves: usize,
    /// The order is complete, and gradients are being sent.
    is_sweeping: bool,
}

impl<N> Default for Pass<N> {
    fn default() -> Self {
        let (stack, order, saved) = (Vec::new(), Vec::new(), Vec::new());
        Pass { stack, order, saved, leaves: 0, is_sweeping: false }
    }
}

impl<N: Copy + Sync> Pass<N> {
    /// Adds d(root)/d(node) to the gradient of every node that root depends on.
    ///
    /// # Errors
    /// [`Stop`]; every gradient is then as it was before the call.
    pub fn backward<G: Graph<Node = N>>(
        &mut self,
        graph: &mut G,
        root: N,
    ) -> Result<(), Stop<G::Error>> {
        let outcome = match self.arrange(graph, root) {
            Ok(()) => self.sweep(graph, root),
            Err(stop) => Err(stop),
        };
        match outcome {
            Ok(()) => self.add_back(graph),
            Err(_) => self.undo(graph),
        }
        self.clear();
        outcome
    }

    /// Sets the gradient of every node that root depends on to 0.
    ///
    /// # Errors
    /// [`Stop`]; every gradient is then as it was before the call.
    pub fn zero_grad<G: Graph<Node = N>>(
        &mut self,
        graph: &mut G,
        root: N,
    ) -> Result<(), Stop<G::Error>> {
        let outcome = self.arrange(graph, root);
        if outcome.is_err() {
            self.undo(graph);
        }
        self.clear();
        outcome
    }

    /// Returns the capacity of all buffers, in words.
    #[must_use]
    pub fn capacity(&self) -> usize {
        2 * self.stack.capacity() + self.order.capacity() + 2 * self.saved.capacity()
    }

    fn clear(&mut self) {
        self.stack.clear();
        self.order.clear();
        self.saved.clear();
        self.leaves = 0;
        self.is_sweeping = false;
    }

    /// Orders the nodes under root, saves their gradients and sets them to 0.
    fn arrange<G: Graph<Node = N>>(
        &mut self,
        graph: &mut G,
        root: N,
    ) -> Result<(), Stop<G::Error>> {
        while self.try_arrange(graph, root)? == Pause::Disturbed {
            self.undo(graph);
            self.clear();
        }
        Ok(())
    }

    fn try_arrange<G: Graph<Node = N>>(
        &mut self,
        graph: &mut G,
        root: N,
    ) -> Result<Pause, Stop<G::Error>> {
        let mark = graph.next_mark();
        if graph.mark_and_leaf(root).1 {
            self.leaves += 1;
            open(graph, &mut self.saved, root, mark, true)?;
        } else {
            push(&mut self.stack, Step::Enter(root))?;
        }
        let mut until_pause = PAUSE_EVERY;
        while let Some(step) = self.stack.pop() {
            match step {
                Step::Enter(node) => self.enter(graph, node, mark)?,
                Step::Exit(node) => push(&mut self.order, node)?,
            }
            // Both kinds of steps count: all nodes of a chain are entered before the first exit.
            until_pause -= 1;
            if until_pause == 0 {
                until_pause = PAUSE_EVERY;
                write_out(self);
                if graph.pause().map_err(Stop::Graph)? == Pause::Disturbed {
                    return Ok(Pause::Disturbed);
                }
            }
        }
        Ok(Pause::Quiet)
    }

    #[inline]
    fn enter<G: Graph<Node = N>>(&mut self, graph: &G, node: N, mark: u64) -> Result<(), NoMemory> {
        if graph.mark_and_leaf(node).0 >= mark {
            return Ok(());
        }
        let Pass { stack, saved, leaves, .. } = self;
        open(graph, saved, node, mark, false)?;
        push(stack, Step::Exit(node))?;
        let mut outcome = Ok(());
        graph.parents(node, |parent| {
            let (seen, leaf) = graph.mark_and_leaf(parent);
            if seen >= mark {
                return;
            }
            let done = if leaf {
                *leaves += 1;
                open(graph, saved, parent, mark, true)
            } else {
                graph.prefetch_parents(parent);
                push(stack, Step::Enter(parent))
            };
            if done.is_err() {
                outcome = done;
            }
        });
        outcome
    }

    fn sweep<G: Graph<Node = N>>(&mut self, graph: &mut G, root: N) -> Result<(), Stop<G::Error>> {
        self.is_sweeping = true;
        if self.stack.capacity() > LARGE {
            // Freed now, since that takes time: an interrupted pass is to end without delay.
            self.stack = Vec::new();
        }
        write_out(self);
        graph.set_grad(root, 1.0);
        // In batches, from the end.
        for (batch, nodes) in self.order.rchunks(PAUSE_EVERY).enumerate() {
            if batch > 0 {
                graph.pause().map_err(Stop::Graph)?;
            }
            for (node, later, soon) in with_those_ahead(nodes) {
                if let Some(later) = later {
                    graph.prefetch(later);
                }
                if let Some(soon) = soon {
                    graph.prefetch_parents(soon);
                }
                graph.propagate(node).map_err(Stop::Graph)?;
            }
        }
        Ok(())
    }

    /// Restores all gradients to their values before the pass, and ends it. May be called wherever
    /// the pass was stopped.
    ///
    /// As long as the order is incomplete, this pass has sent nothing. Gradients added meanwhile
    /// then come from another pass, in a signal handler, and are kept.
    pub fn undo<G: Graph<Node = N>>(&self, graph: &G) {
        if !self.is_sweeping {
            return self.add_back(graph);
        }
        // Skipped if all nodes of the order are in `saved`, whose gradients are set below.
        if self.saved.len() - self.leaves < self.order.len() {
            graph.update_grads(&self.order, |&node| node, |_, _| 0.0);
        }
        graph.update_grads(&self.saved, |&(node, _)| node, |&(_, old), _| old);
        graph.put_back();
    }

    /// Adds the gradients of earlier calls, and restores the adjoints of an enclosing pass.
    fn add_back<G: Graph<Node = N>>(&self, graph: &G) {
        graph.update_grads(&self.saved, |&(node, _)| node, |&(_, old), grad| old + grad);
        graph.put_back();
    }
}

/// Iterates over the nodes from the last to the first, each with the node 2 × [`AHEAD`] places on
/// and the one [`AHEAD`] places on.
///
/// Prefetching the first of them, and the parents of the second, which has arrived by then, hides
/// most cache misses.
fn with_those_ahead<N: Copy>(nodes: &[N]) -> impl Iterator<Item = (N, Option<N>, Option<N>)> {
    let next = |ahead| nodes.iter().rev().skip(ahead).copied().map(Some).chain(iter::repeat(None));
    nodes.iter().rev().copied().zip(next(2 * AHEAD).zip(next(AHEAD))).map(|(n, (l, s))| (n, l, s))
}

/// Makes the compiler write the bookkeeping to memory. After a fork the child, which lacks this
/// thread, undoes the pass from there.
fn write_out<N>(pass: &Pass<N>) {
    std::hint::black_box(pass);
}

/// Marks a node, saves its gradient (that of a leaf even if it is 0), and sets it to 0.
#[inline(always)]
#[allow(clippy::inline_always, reason = "called for every node, from two places; measured")]
fn open<G: Graph>(
    graph: &G,
    saved: &mut Vec<(G::Node, f64)>,
    node: G::Node,
    mark: u64,
    leaf: bool,
) -> Result<(), NoMemory> {
    graph.set_mark(node, mark);
    graph.set_aside(node)?;
    let old = graph.grad(node);
    // Most gradients are 0 here; a read is cheaper than a write that changes nothing.
    if leaf || old != 0.0 {
        push(saved, (node, old))?;
    }
    if old != 0.0 {
        graph.set_grad(node, 0.0);
    }
    Ok(())
}

/// Appends an item; returns an error where there is no memory, instead of ending the process.
#[inline]
fn push<T>(items: &mut Vec<T>, item: T) -> Result<(), NoMemory> {
    if items.len() == items.capacity() {
        grow(items)?;
    }
    items.push(item);
    Ok(())
}

#[cold]
fn grow<T>(items: &mut Vec<T>) -> Result<(), NoMemory> {
    items.try_reserve(items.len().max(64)).map_err(|_| NoMemory)
}
