//! How fast the core is without Python: ops, ops over lists, the sweep, the optimiser.
//!
//! `cargo bench -p fastgrad-core`, or `cargo bench -p fastgrad-core -- sweep` for a part of it.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a benchmark may fail loudly")]

use std::cell::Cell;
use std::convert::Infallible;
use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use criterion::{Criterion, Throughput};
use fastgrad_core::Result;
use fastgrad_core::autograd::backward::{Graph, Pass, Pause};
use fastgrad_core::autograd::fused::{self, Vjp, Weights};
use fastgrad_core::autograd::op::{self, Binary, Unary};
use fastgrad_core::autograd::optim::Adam;

fn main() {
    let mut criterion = Criterion::default()
        .sample_size(20)
        .warm_up_time(Duration::from_millis(200))
        .measurement_time(Duration::from_millis(800))
        .configure_from_args();
    ops(&mut criterion);
    lists(&mut criterion);
    sweeps(&mut criterion);
    optimizer(&mut criterion);
    criterion.final_summary();
}

// Ops --------------------------------------------------------------------------------------------

const OPERANDS: u64 = 1000;

/// Time for a thousand operands between −1 and 1, or between 0 and 1 where the op wants it.
fn ops(criterion: &mut Criterion) {
    type BinaryOp = fn(f64, f64) -> Result<Binary>;
    type UnaryOp = fn(f64) -> Result<Unary>;
    let binary: [(&str, BinaryOp); 4] =
        [("add", op::add), ("mul", op::mul), ("div", op::div), ("pow", op::pow)];
    let unary: [(&str, UnaryOp); 5] = [
        ("square", |x| op::pow_number(x, 2.0)),
        ("relu", op::relu),
        ("tanh", op::tanh),
        ("exp", op::exp),
        ("log", op::log),
    ];
    let mut group = criterion.benchmark_group("op");
    group.throughput(Throughput::Elements(OPERANDS));
    for (name, f) in binary {
        let operands = numbers(OPERANDS).map(|x| (x.abs() + 0.01, x)).collect::<Vec<_>>();
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                for &(x, y) in &operands {
                    let _ = black_box(f(black_box(x), y));
                }
            });
        });
    }
    for (name, f) in unary {
        let positive = name == "log";
        let operands = numbers(OPERANDS)
            .map(|x| if positive { x.abs() + 0.01 } else { x })
            .collect::<Vec<_>>();
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                for &x in &operands {
                    let _ = black_box(f(black_box(x)));
                }
            });
        });
    }
    group.finish();
}

/// Numbers between −1 and 1, the same in each run (Weyl's sequence of the golden ratio).
fn numbers(count: u64) -> impl Iterator<Item = f64> {
    let places = 1..=u32::try_from(count).unwrap();
    places.map(|i| 2.0 * (f64::from(i) * 0.618_033_988_749_895).fract() - 1.0)
}

// Ops over lists ---------------------------------------------------------------------------------

/// Forward, and the rule that sends gradients back, at the sizes of small networks.
fn lists(criterion: &mut Criterion) {
    let x: Vec<f64> = numbers(16).collect();
    let w: Vec<f64> = numbers(16 * 16 + 16).collect();
    let logits: Vec<f64> = numbers(27).collect();
    let weights = Arc::new(Weights::new(16, 16, w.clone()));

    let mut group = criterion.benchmark_group("list");
    group.bench_function("dot, 16", |b| b.iter(|| fused::dot(black_box(&w[..16]), &x).unwrap()));
    group.bench_function("linear, 16x16", |b| b.iter(|| linear(&weights, black_box(&x))));
    group.bench_function("softmax, 27", |b| b.iter(|| fused::softmax(black_box(&logits)).unwrap()));
    group.bench_function("cross_entropy, 27", |b| {
        b.iter(|| fused::cross_entropy(black_box(&logits), 3).unwrap());
    });
    group.bench_function("rms_norm, 16", |b| {
        b.iter(|| fused::rms_norm(black_box(&x), 1e-5).unwrap());
    });

    let backward = [
        ("linear, 16x16, back", linear(&weights, &x), 16, 16),
        ("softmax, 27, back", fused::softmax(&logits).unwrap().1, 27, 27),
        ("rms_norm, 16, back", fused::rms_norm(&x, 1e-5).unwrap().1, 16, 16),
    ];
    for (name, rule, outputs, parents) in backward {
        let gradients: Vec<f64> = numbers(outputs).collect();
        let (mut given, mut shared) = (vec![0.0; parents], vec![0.0; weights.values().len()]);
        let mut scratch = Vec::new();
        group.bench_function(name, |b| {
            b.iter(|| {
                let give = |i: usize, g: f64| given[i] += g;
                rule.vjp(black_box(&gradients), parents, &mut shared, &mut scratch, give);
            });
        });
    }
    group.finish();
}

fn linear(weights: &Arc<Weights>, x: &[f64]) -> Vjp {
    let mut y = Vec::new();
    weights.apply(x, &mut y).unwrap();
    black_box(y);
    Vjp::Linear { x: x.to_vec(), weights: Arc::clone(weights) }
}

// The sweep --------------------------------------------------------------------------------------

/// Nodes in a vector, handles are indices: the least that an owner of nodes costs.
#[derive(Default)]
struct Arena {
    nodes: Vec<Node>,
    marks: u64,
}

#[derive(Default)]
struct Node {
    grad: Cell<f64>,
    mark: Cell<u64>,
    /// The number of parents in use.
    arity: usize,
    parents: [(usize, f64); 2],
}

impl Arena {
    fn leaf(&mut self) -> usize {
        self.nodes.push(Node::default());
        self.nodes.len() - 1
    }

    fn node(&mut self, left: usize, right: usize) -> usize {
        let parents = [(left, 0.5), (right, 0.5)];
        self.nodes.push(Node { arity: 2, parents, ..Node::default() });
        self.nodes.len() - 1
    }
}

impl Graph for Arena {
    type Node = usize;
    type Error = Infallible;

    fn next_mark(&mut self) -> u64 {
        self.marks += 1;
        self.marks
    }

    fn mark_and_leaf(&self, node: usize) -> (u64, bool) {
        (self.nodes[node].mark.get(), self.nodes[node].arity == 0)
    }

    fn set_mark(&self, node: usize, mark: u64) {
        self.nodes[node].mark.set(mark);
    }

    fn parents(&self, node: usize, mut visit: impl FnMut(usize)) {
        let Node { arity, parents, .. } = &self.nodes[node];
        parents[..*arity].iter().for_each(|&(parent, _)| visit(parent));
    }

    fn grad(&self, node: usize) -> f64 {
        self.nodes[node].grad.get()
    }

    fn set_grad(&self, node: usize, grad: f64) {
        self.nodes[node].grad.set(grad);
    }

    fn propagate(&mut self, node: usize) -> std::result::Result<(), Infallible> {
        let Node { grad, arity, parents, .. } = &self.nodes[node];
        for &(parent, slope) in &parents[..*arity] {
            self.set_grad(parent, self.grad(parent) + slope * grad.get());
        }
        Ok(())
    }

    fn pause(&mut self) -> std::result::Result<Pause, Infallible> {
        Ok(Pause::Quiet)
    }
}

const NODES: usize = 65_536;

/// Makes a graph and returns its root.
type Build = fn() -> (Arena, usize);

/// Order and reverse sweep over graphs of about as many nodes as micrograd's demo has.
fn sweeps(criterion: &mut Criterion) {
    let graphs: [(&str, Build); 3] =
        [("chain", chain), ("weighted sums", weighted_sums), ("random", random)];
    let mut group = criterion.benchmark_group("sweep");
    for (name, build) in graphs {
        let (mut graph, root) = build();
        let mut pass = Pass::default();
        group.throughput(Throughput::Elements(graph.nodes.len() as u64));
        group.bench_function(name, |bencher| {
            bencher.iter_custom(|times| {
                (0..times).map(|_| backward_seconds(&mut pass, &mut graph, root)).sum()
            });
        });
    }
    group.finish();
}

/// Times one pass from gradients of 0, which a fresh graph has.
fn backward_seconds(pass: &mut Pass<usize>, graph: &mut Arena, root: usize) -> Duration {
    graph.nodes.iter().for_each(|node| node.grad.set(0.0));
    let start = Instant::now();
    pass.backward(graph, root).unwrap();
    start.elapsed()
}

fn chain() -> (Arena, usize) {
    let mut graph = Arena::default();
    let factor = graph.leaf();
    let root = (0..NODES).fold(graph.leaf(), |x, _| graph.node(x, factor));
    (graph, root)
}

/// Sums of products with shared leaves, as neurons make them.
fn weighted_sums() -> (Arena, usize) {
    const INPUTS: usize = 16;
    let mut graph = Arena::default();
    let weights: Vec<usize> = (0..INPUTS).map(|_| graph.leaf()).collect();
    let mut total = graph.leaf();
    while graph.nodes.len() < NODES {
        let bias = graph.leaf();
        let neuron = weights.iter().fold(bias, |sum, &weight| {
            let product = graph.node(weight, bias);
            graph.node(sum, product)
        });
        total = graph.node(total, neuron);
    }
    (graph, total)
}

/// Every node has two random parents among the few thousand before it.
fn random() -> (Arena, usize) {
    const WINDOW: usize = 4096;
    let mut graph = Arena::default();
    let mut pool: Vec<usize> = (0..WINDOW).map(|_| graph.leaf()).collect();
    let mut state = 1u64;
    let mut draw = || {
        // Knuth's linear congruential generator; the high bits are the random ones.
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(state >> 40).unwrap() % WINDOW
    };
    for i in 0..NODES {
        pool[i % WINDOW] = graph.node(pool[draw()], pool[draw()]);
    }
    let root = pool.iter().copied().reduce(|sum, node| graph.node(sum, node)).unwrap();
    (graph, root)
}

// The optimiser ----------------------------------------------------------------------------------

/// Adam over as many parameters as the GPT of the examples has.
fn optimizer(criterion: &mut Criterion) {
    const PARAMETERS: u64 = 4192;
    let adam = Adam {
        lr: 0.01,
        beta1: 0.85,
        beta2: 0.99,
        eps: 1e-8,
        weight_decay: 0.0,
        decoupled: false,
        correction1: 0.5,
        correction2: 0.1,
    };
    let gradients: Vec<f64> = numbers(PARAMETERS).collect();
    let mut state: Vec<[f64; 3]> = gradients.iter().map(|g| [-g, 0.0, 0.0]).collect();
    let mut group = criterion.benchmark_group("optim");
    group.throughput(Throughput::Elements(PARAMETERS));
    group.bench_function("adam", |bencher| {
        bencher.iter(|| {
            for ([p, m, v], g) in state.iter_mut().zip(&gradients) {
                *p = adam.update(*p, *g, m, v);
            }
        });
    });
    group.finish();
}
