//! The sweeps over the simplest owner there is: nodes in a vector, handles are indices.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests may fail loudly")]

use std::cell::Cell;

use fastgrad_core::autograd::backward::{Graph, Pass, Pause, Stop};
use fastgrad_core::autograd::op::{self, Binary, Unary};

#[derive(Default)]
struct Node {
    grad: Cell<f64>,
    mark: Cell<u64>,
    parents: Vec<(usize, f64)>,
}

/// Failures that a test plants: each at a node, or at a pause.
#[derive(Default)]
struct Trouble {
    fails_at: Option<usize>,
    interrupted_at_pause: Option<usize>,
    disturbed_at_pause: Option<usize>,
}

#[derive(Default)]
struct Arena {
    nodes: Vec<Node>,
    values: Vec<f64>,
    marks: u64,
    pauses: usize,
    trouble: Trouble,
}

impl Arena {
    fn leaf(&mut self, value: f64) -> usize {
        self.node(value, Vec::new())
    }

    fn node(&mut self, value: f64, parents: Vec<(usize, f64)>) -> usize {
        self.nodes.push(Node { parents, ..Node::default() });
        self.values.push(value);
        self.nodes.len() - 1
    }

    fn unary(&mut self, f: fn(f64) -> fastgrad_core::Result<Unary>, x: usize) -> usize {
        let made = f(self.values[x]).unwrap();
        self.node(made.value, vec![(x, made.dx)])
    }

    fn binary(
        &mut self,
        f: fn(f64, f64) -> fastgrad_core::Result<Binary>,
        x: usize,
        y: usize,
    ) -> usize {
        let made = f(self.values[x], self.values[y]).unwrap();
        self.node(made.value, vec![(x, made.dx), (y, made.dy)])
    }

    fn grads(&self) -> Vec<f64> {
        self.nodes.iter().map(|node| node.grad.get()).collect()
    }
}

impl Graph for Arena {
    type Node = usize;
    type Error = &'static str;

    fn next_mark(&mut self) -> u64 {
        self.marks += 1;
        self.marks
    }

    fn mark_and_leaf(&self, node: usize) -> (u64, bool) {
        (self.nodes[node].mark.get(), self.nodes[node].parents.is_empty())
    }

    fn set_mark(&self, node: usize, mark: u64) {
        self.nodes[node].mark.set(mark);
    }

    fn parents(&self, node: usize, mut visit: impl FnMut(usize)) {
        self.nodes[node].parents.iter().for_each(|&(parent, _)| visit(parent));
    }

    fn grad(&self, node: usize) -> f64 {
        self.nodes[node].grad.get()
    }

    fn set_grad(&self, node: usize, grad: f64) {
        self.nodes[node].grad.set(grad);
    }

    fn propagate(&mut self, node: usize) -> Result<(), &'static str> {
        if self.trouble.fails_at == Some(node) {
            return Err("the rule failed");
        }
        let g = self.grad(node);
        for &(parent, d) in &self.nodes[node].parents {
            self.set_grad(parent, self.grad(parent) + d * g);
        }
        Ok(())
    }

    fn pause(&mut self) -> Result<Pause, &'static str> {
        self.pauses += 1;
        if self.trouble.interrupted_at_pause == Some(self.pauses) {
            return Err("interrupted");
        }
        if self.trouble.disturbed_at_pause == Some(self.pauses) {
            // What another pass leaves behind: every node marked, higher than our own mark.
            self.marks += 1;
            self.nodes.iter().for_each(|node| node.mark.set(self.marks));
            return Ok(Pause::Disturbed);
        }
        Ok(Pause::Quiet)
    }
}

/// y = tanh(a·b + a), z = y·y + b: shared nodes on every level.
fn diamond() -> (Arena, [usize; 2], usize) {
    let mut graph = Arena::default();
    let (a, b) = (graph.leaf(0.3), graph.leaf(-0.7));
    let product = graph.binary(op::mul, a, b);
    let sum = graph.binary(op::add, product, a);
    let y = graph.unary(op::tanh, sum);
    let square = graph.binary(op::mul, y, y);
    let z = graph.binary(op::add, square, b);
    (graph, [a, b], z)
}

#[test]
fn gradients_of_shared_nodes() {
    let (mut graph, [a, b], z) = diamond();
    Pass::default().backward(&mut graph, z).unwrap();
    // dz/da = 2y(1 − y²)(b + 1), dz/db = 2y(1 − y²)a + 1 with y = tanh(a·b + a).
    let y = (0.3f64 * -0.7 + 0.3).tanh();
    let slope = 2.0 * y * (1.0 - y * y);
    assert!((graph.grad(a) - slope * 0.3).abs() < 1e-15);
    assert!((graph.grad(b) - (slope * 0.3 + 1.0)).abs() < 1e-15);
    assert_eq!(graph.grad(z), 1.0);
}

#[test]
fn a_second_call_doubles_and_does_not_compound() {
    let (mut graph, _, z) = diamond();
    let mut pass = Pass::default();
    pass.backward(&mut graph, z).unwrap();
    let once = graph.grads();
    pass.backward(&mut graph, z).unwrap();
    let doubled: Vec<f64> = once.iter().map(|grad| grad + grad).collect();
    assert_eq!(graph.grads(), doubled);
}

#[test]
fn zero_grad_reaches_what_the_root_depends_on_and_nothing_else() {
    let (mut graph, [a, _], z) = diamond();
    let other = graph.unary(op::exp, a);
    let mut pass = Pass::default();
    pass.backward(&mut graph, other).unwrap();
    pass.zero_grad(&mut graph, z).unwrap();
    assert_eq!(graph.grad(other), 1.0);
    assert!(graph.grads().iter().take(other).all(|grad| *grad == 0.0));
}

#[test]
fn a_leaf_is_its_own_root() {
    let mut graph = Arena::default();
    let a = graph.leaf(2.0);
    let mut pass = Pass::default();
    pass.backward(&mut graph, a).unwrap();
    pass.backward(&mut graph, a).unwrap();
    assert_eq!(graph.grad(a), 2.0);
}

#[test]
fn a_rule_that_fails_leaves_every_gradient_as_it_was() {
    for failing in 2..7 {
        let (mut graph, _, z) = diamond();
        let before = [1.0, 2.0, 0.0, 4.0, -5.0, 0.0, 7.0];
        graph.nodes.iter().zip(before).for_each(|(node, grad)| node.grad.set(grad));
        graph.trouble.fails_at = Some(failing);
        let mut pass = Pass::default();
        assert_eq!(pass.backward(&mut graph, z), Err(Stop::Graph("the rule failed")));
        assert_eq!(graph.grads(), before);
        // And the pass is as good as new.
        graph.trouble.fails_at = None;
        pass.backward(&mut graph, z).unwrap();
        assert_eq!(graph.grad(z), 8.0);
    }
}

fn chain(length: usize) -> (Arena, usize) {
    let mut graph = Arena::default();
    let mut x = graph.leaf(1.0);
    for _ in 0..length {
        x = graph.unary(op::pos, x);
    }
    (graph, x)
}

#[test]
fn interrupts_at_every_pause_leave_every_gradient_as_it_was() {
    let (mut graph, root) = chain(100_000);
    graph.nodes.iter().step_by(3).for_each(|node| node.grad.set(0.5));
    let before = graph.grads();
    let mut pass = Pass::default();
    for pause in 1.. {
        graph.pauses = 0;
        graph.trouble.interrupted_at_pause = Some(pause);
        if let Err(stop) = pass.backward(&mut graph, root) {
            assert_eq!(stop, Stop::Graph("interrupted"));
            assert_eq!(graph.grads(), before);
            continue;
        }
        assert!(pause > 6, "the order and the sweep both pause");
        let after = before.iter().map(|grad| grad + 1.0).collect::<Vec<_>>();
        assert_eq!(graph.grads(), after);
        return;
    }
}

#[test]
fn a_disturbed_order_starts_again() {
    let (mut graph, root) = chain(40_000);
    graph.trouble.disturbed_at_pause = Some(2);
    Pass::default().backward(&mut graph, root).unwrap();
    assert!(graph.grads().iter().all(|grad| *grad == 1.0));
}
