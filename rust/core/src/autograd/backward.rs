//! Topological order and the reverse sweep, generic over who owns the nodes.
//!
//! ```text
//! order:  push enter(root); while the stack is not empty, pop:
//!           exit(v)           -> all parents of v are done: append v to the order
//!           enter(v), v seen  -> it was pushed twice: nothing
//!           enter(v), v new   -> open it (mark it, its adjoint becomes 0),
//!                                push exit(v), then enter(p) for each new parent p
//! sweep:  adjoint(root) = 1; for v in reversed order: v sends its adjoint to its parents
//! finish: every gradient that was there before is added back
//! undo:   every gradient becomes 0, or what it was before
//! ```
//!
//! A node is touched once on the way in and not at all on the way out: on large graphs the time
//! goes into cache misses, and marking the exit in the node itself cost a fifth of the order.
//!
//! The adjoint of a node lives in its `grad` during the sweep. Gradients of earlier calls are set
//! aside while a node is opened and added at the end: so a second call doubles them and never
//! runs them through the graph again. Leaves are opened when they are first seen and never
//! stacked: most nodes of a model's graph hang on few parameters. Every leaf is noted, with a
//! gradient of 0 too: so the order and the notes name all nodes, and undoing, which takes as long as
//! memory takes to be written to, need not read any edges.

use std::iter;

/// How many nodes pass between two calls of [`Graph::pause`]: some tenths of a millisecond.
const PAUSE_EVERY: usize = 1 << 14;

/// How far ahead the sweep asks for nodes.
const AHEAD: usize = 8;

/// How many entries of the stack are kept while gradients are sent.
const LARGE: usize = 1 << 20;

/// What a graph tells the sweeps about its nodes. Handles are cheap copies; whoever calls keeps
/// the root, and by it every node, alive.
pub trait Graph {
    /// A handle of a node.
    type Node: Copy;
    /// What may go wrong in a node's own rule or during a pause.
    type Error;

    /// A mark higher than all before.
    fn next_mark(&mut self) -> u64;
    /// The node's mark, and whether it has no parents.
    fn look(&self, node: Self::Node) -> (u64, bool);
    /// Sets the node's mark. Marks and gradients lie behind a shared reference, as the nodes
    /// belong to many owners.
    fn set_mark(&self, node: Self::Node, mark: u64);
    /// A hint that the node is needed soon.
    fn prefetch(&self, _node: Self::Node) {}
    /// A hint that the node's gradient alone is needed soon.
    fn prefetch_grad(&self, _node: Self::Node) {}
    /// A hint that the parents of the node, which is at hand itself, are needed soon.
    fn prefetch_parents(&self, _node: Self::Node) {}
    /// Calls `visit` with each parent, in operand order.
    fn parents(&self, node: Self::Node, visit: impl FnMut(Self::Node));
    /// The node's gradient; 0 for a node that keeps none between passes.
    fn grad(&self, node: Self::Node) -> f64;
    /// Sets the gradient, or all of them for a node that has several outputs.
    fn set_grad(&self, node: Self::Node, grad: f64);
    /// Sets the gradient of each item's node to what `new` makes of the item and the old gradient. All
    /// nodes differ, so a graph may do it on several threads.
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
    /// Sets aside what an enclosing pass has left in a node that keeps no gradient between passes,
    /// and makes it 0; [`Graph::put_back`] returns it. A pass may run inside a rule of another.
    ///
    /// # Errors
    /// [`NoMemory`]; the node is then unchanged.
    fn set_aside(&self, _node: Self::Node) -> Result<(), NoMemory> {
        Ok(())
    }
    /// Puts everything back that was set aside.
    fn put_back(&self) {}
    /// Sends the node's adjoint to its parents.
    ///
    /// # Errors
    /// Those of a rule that the user gave.
    fn propagate(&mut self, node: Self::Node) -> Result<(), Self::Error>;
    /// A moment to answer an interrupt or to let others run.
    ///
    /// # Errors
    /// The interrupt.
    fn pause(&mut self) -> Result<Pause, Self::Error>;
}

/// What happened during a pause.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pause {
    /// Nothing that concerns the pass.
    Quiet,
    /// Another pass ran over the same nodes and set marks: an unfinished order starts again.
    Disturbed,
}

/// Why a pass ended early; all gradients are as they were.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop<E> {
    /// The graph's own error.
    Graph(E),
    /// The bookkeeping got no memory.
    Memory,
}

/// The bookkeeping got no memory. Without the graph's error in it a result is one byte, which
/// matters in the innermost loops.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoMemory;

impl<E> From<NoMemory> for Stop<E> {
    fn from(_: NoMemory) -> Self {
        Stop::Memory
    }
}

/// What is left to do for a node.
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
    /// How many leaves are among them.
    leaves: usize,
    /// The order is complete: gradients are being written.
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

    /// How many entries the buffers hold room for.
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

    /// Orders the nodes under root and sets their gradients to 0, the old ones set aside.
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
        if graph.look(root).1 {
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
            // Both kinds of steps count: a chain is entered as a whole before anything is done.
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
        if graph.look(node).0 >= mark {
            return Ok(());
        }
        let Pass { stack, saved, leaves, .. } = self;
        open(graph, saved, node, mark, false)?;
        push(stack, Step::Exit(node))?;
        let mut outcome = Ok(());
        graph.parents(node, |parent| {
            let (seen, leaf) = graph.look(parent);
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
            // Given back while no interrupt waits for it.
            self.stack = Vec::new();
        }
        write_out(self);
        graph.set_grad(root, 1.0);
        // A batch at a time, from the end.
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

    /// Makes all gradients what they were before the pass, whose end it is; may be called on a
    /// pass that stands still anywhere.
    ///
    /// What was added meanwhile stays if the order was not complete yet: nothing was sent then, so
    /// it came from a pass of its own, in a handler of a signal.
    pub fn undo<G: Graph<Node = N>>(&self, graph: &G) {
        if !self.is_sweeping {
            return self.add_back(graph);
        }
        // The saved ones need no 0 first, which spares a walk where all of the order are.
        if self.saved.len() - self.leaves < self.order.len() {
            graph.update_grads(&self.order, |&node| node, |_, _| 0.0);
        }
        graph.update_grads(&self.saved, |&(node, _)| node, |&(_, old), _| old);
        graph.put_back();
    }

    /// Adds the gradients of earlier calls, and puts back what belongs to an enclosing pass.
    fn add_back<G: Graph<Node = N>>(&self, graph: &G) {
        graph.update_grads(&self.saved, |&(node, _)| node, |&(_, old), grad| old + grad);
        graph.put_back();
    }
}

/// The nodes from the last to the first, each with one that comes later and one that comes soon.
///
/// The order lists what comes next: asking for a node early, and for its parents once it is there,
/// hides most cache misses.
fn with_those_ahead<N: Copy>(nodes: &[N]) -> impl Iterator<Item = (N, Option<N>, Option<N>)> {
    let next = |ahead| nodes.iter().rev().skip(ahead).copied().map(Some).chain(iter::repeat(None));
    nodes.iter().rev().copied().zip(next(2 * AHEAD).zip(next(AHEAD))).map(|(n, (l, s))| (n, l, s))
}

/// Has the compiler write everything to memory, where a forked process finds it that has to undo
/// the pass of a thread which it does not have.
fn write_out<N>(pass: &Pass<N>) {
    std::hint::black_box(pass);
}

/// Marks a node and makes its gradient 0, the old one set aside: that of a leaf always.
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

/// A push that reports a lack of memory instead of ending the process.
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
