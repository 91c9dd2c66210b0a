//! Layouts: what any picture must keep, and crossings beside those of Graphviz.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests may fail loudly")]

use fastgrad_core::Error;
use fastgrad_core::layout::{Gaps, Layout, Point, layout};
use fastgrad_core::progress::Progress;

const GAPS: Gaps = Gaps { layers: 40.0, nodes: 20.0 };

type Edges = Vec<(u32, u32)>;

/// Numbers below a bound, of a linear congruential generator.
struct Noise(u64);

impl Noise {
    fn below(&mut self, bound: u32) -> u32 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        u32::try_from((self.0 >> 33) % u64::from(bound)).unwrap()
    }
}

/// Nodes of one or two operands among the `span` nodes before them; the last one sums what is left.
fn random(n: u32, seed: u64, span: u32) -> (u32, Edges) {
    let (mut noise, mut edges) = (Noise(seed), Edges::new());
    for v in 1..n {
        let count = 1 + noise.below(2);
        let mut operands: Vec<u32> =
            (0..count).map(|_| (v - 1).saturating_sub(noise.below(span))).collect();
        operands.sort_unstable();
        operands.dedup();
        edges.extend(operands.into_iter().map(|u| (u, v)));
    }
    let unused: Vec<u32> = (0..n).filter(|v| edges.iter().all(|(u, _)| u != v)).collect();
    edges.extend(unused.into_iter().map(|v| (v, n)));
    (n + 1, edges)
}

/// A network whose neurons are written out: products, sums, an activation.
fn network(nin: u32, nouts: &[u32]) -> (u32, Edges) {
    let (mut n, mut edges) = (0, Edges::new());
    let mut node = |operands: &[u32]| {
        edges.extend(operands.iter().map(|&u| (u, n)));
        n += 1;
        n - 1
    };
    let mut x: Vec<u32> = (0..nin).map(|_| node(&[])).collect();
    for &nout in nouts {
        let mut out = Vec::new();
        for _ in 0..nout {
            let mut sum = node(&[]);
            for &x in &x {
                let w = node(&[]);
                let product = node(&[w, x]);
                sum = node(&[sum, product]);
            }
            out.push(node(&[sum]));
        }
        x = out;
    }
    (n, edges)
}

/// Layers in which every node depends on every node of the layer before it.
fn complete(widths: &[u32]) -> (u32, Edges) {
    let (mut n, mut edges) = (0, Edges::new());
    for pair in widths.windows(2) {
        edges
            .extend((0..pair[1]).flat_map(|v| (0..pair[0]).map(move |u| (n + u, n + pair[0] + v))));
        n += pair[0];
    }
    (n + widths.last().unwrap(), edges)
}

fn neuron() -> (u32, Edges) {
    (10, vec![(0, 2), (1, 2), (3, 5), (4, 5), (2, 6), (5, 6), (6, 8), (7, 8), (8, 9)])
}

/// Boxes of many sizes.
fn sizes(n: u32) -> Vec<Point> {
    (0..n).map(|v| (60.0 + f64::from(v * 37 % 90), 30.0 + f64::from(v * 17 % 40))).collect()
}

fn laid_out(n: u32, edges: &[(u32, u32)]) -> Layout {
    layout(&sizes(n), edges, GAPS, &Progress::new()).unwrap()
}

fn graphs() -> Vec<(u32, Edges)> {
    let mut graphs = vec![(0, vec![]), (1, vec![]), (3, vec![]), (2, vec![(0, 1), (0, 1)])];
    graphs.extend([neuron(), complete(&[2, 4, 4, 1]), network(3, &[4, 4, 1])]);
    graphs.extend((1..30).map(|seed| random(4 * u32::try_from(seed).unwrap(), seed, 9)));
    graphs.push(random(400, 7, 40));
    graphs
}

#[test]
fn every_edge_leads_to_the_right() {
    for (n, edges) in graphs() {
        let drawn = laid_out(n, &edges);
        for (&(u, v), route) in edges.iter().zip(&drawn.routes) {
            let (u, v) = (u as usize, v as usize);
            assert!(drawn.layers[u] < drawn.layers[v]);
            assert!(route.windows(2).all(|pair| pair[0].0 <= pair[1].0));
            let (w, _) = sizes(n)[u];
            assert!((route[0].0 - drawn.centers[u].0 - w / 2.0).abs() < 1e-6);
            assert_eq!(route[0].1, drawn.centers[u].1);
            let (w, _) = sizes(n)[v];
            let end = route.last().unwrap();
            assert!((end.0 - drawn.centers[v].0 + w / 2.0).abs() < 1e-6);
            assert_eq!(end.1, drawn.centers[v].1);
        }
    }
}

#[test]
fn boxes_keep_their_distance_and_stay_inside() {
    for (n, edges) in graphs() {
        let (drawn, sizes) = (laid_out(n, &edges), sizes(n));
        for (i, (&(x, y), &(w, h))) in drawn.centers.iter().zip(&sizes).enumerate() {
            assert!(x >= w / 2.0 - 1e-6 && x + w / 2.0 <= drawn.size.0 + 1e-6);
            assert!(y >= h / 2.0 - 1e-6 && y + h / 2.0 <= drawn.size.1 + 1e-6);
            for (&(x2, y2), &(w2, h2)) in drawn.centers[..i].iter().zip(&sizes) {
                let beside = (x - x2).abs() - f64::midpoint(w, w2) >= GAPS.layers - 1e-6;
                let above = (y - y2).abs() - f64::midpoint(h, h2) >= GAPS.nodes - 1e-6;
                assert!(beside || above);
            }
        }
    }
}

#[test]
fn no_edge_runs_through_a_box() {
    for (n, edges) in graphs() {
        let (drawn, sizes) = (laid_out(n, &edges), sizes(n));
        for route in &drawn.routes {
            for pair in route.windows(2) {
                let (left, right) = (pair[0].0, pair[1].0);
                let (top, bottom) = (pair[0].1.min(pair[1].1), pair[0].1.max(pair[1].1));
                for (&(x, y), &(w, h)) in drawn.centers.iter().zip(&sizes) {
                    let apart = x + w / 2.0 <= left + 1e-6
                        || x - w / 2.0 >= right - 1e-6
                        || y + h / 2.0 <= top + 1e-6
                        || y - h / 2.0 >= bottom - 1e-6;
                    assert!(apart);
                }
            }
        }
    }
}

/// Crossings and lengths, in layers, beside what `dot -v` of Graphviz 2.42.2 says of the same graph
/// with equal boxes. Network simplex finds the least sum of lengths, whoever implements it.
#[test]
fn edges_cross_about_as_rarely_and_are_as_short_as_in_graphviz() {
    let tree: Edges = (1..63).rev().map(|i| (i, (i - 1) / 2)).collect();
    let cases = [
        (neuron(), 0, None),
        ((63, tree), 0, None),
        (complete(&[2, 4, 4, 1]), 42, None),
        (network(2, &[3, 1]), 4, Some(43)),
        (network(3, &[4, 4, 1]), 44, Some(149)),
        (random(30, 1, 8), 6, Some(65)),
        (random(60, 2, 12), 39, Some(181)),
        (random(200, 3, 20), 244, Some(952)),
        (random(1000, 4, 60), 5644, Some(7871)),
    ];
    for ((n, edges), most, shortest) in cases {
        let drawn = laid_out(n, &edges);
        assert!(drawn.crossings * 5 <= most * 6, "{n} nodes: {}, dot {most}", drawn.crossings);
        let length = |&(u, v): &(u32, u32)| drawn.layers[v as usize] - drawn.layers[u as usize];
        let length: u32 = edges.iter().map(length).sum();
        assert_eq!(length, shortest.unwrap_or(length));
    }
}

#[test]
fn a_chain_is_a_straight_line() {
    let edges: Edges = (0..50).map(|i| (i, i + 1)).collect();
    let drawn = laid_out(51, &edges);
    assert!(drawn.centers.iter().all(|center| center.1 == drawn.centers[0].1));
    assert_eq!(drawn.crossings, 0);
}

#[test]
fn a_long_edge_is_straight_between_its_ends() {
    let edges = [(0, 1), (1, 2), (2, 3), (3, 4), (4, 5), (0, 5)];
    let drawn = laid_out(6, &edges);
    let inner = &drawn.routes[5][2..drawn.routes[5].len() - 2];
    assert!(inner.len() >= 4);
    assert!(inner.iter().all(|point| (point.1 - inner[0].1).abs() < 1e-9));
}

#[test]
fn the_same_graph_gets_the_same_layout() {
    let (n, edges) = random(300, 5, 30);
    assert_eq!(laid_out(n, &edges), laid_out(n, &edges));
}

#[test]
fn a_large_graph_ends() {
    let edges: Edges = (0..100_000).map(|i| (i, i + 1)).collect();
    assert_eq!(laid_out(100_001, &edges).crossings, 0);
    let star: Edges = (0..50_000).map(|i| (i, 50_000)).collect();
    assert_eq!(laid_out(50_001, &star).crossings, 0);
}

fn refused(sizes: &[Point], edges: &[(u32, u32)], gaps: Gaps) -> String {
    match layout(sizes, edges, gaps, &Progress::new()) {
        Err(Error::Invalid(message)) => message,
        other => unreachable!("{other:?}"),
    }
}

#[test]
fn what_cannot_be_drawn_is_told() {
    let boxes = [(1.0, 1.0); 3];
    assert!(refused(&boxes, &[(0, 1), (1, 2), (2, 0)], GAPS).contains("cycle"));
    assert!(refused(&boxes, &[(1, 1)], GAPS).contains("cycle"));
    assert!(refused(&boxes, &[(0, 1), (0, 3)], GAPS).contains("edges[1]"));
    assert!(refused(&[(1.0, f64::NAN)], &[], GAPS).contains("sizes[0]"));
    assert!(refused(&[(1.0, 1.0), (-1.0, 1.0)], &[], GAPS).contains("sizes[1]"));
    assert!(refused(&boxes, &[], Gaps { layers: f64::INFINITY, nodes: 1.0 }).contains("gaps"));
    // 3,000 nodes with an edge over 1,500 layers on average would need more than four million slots.
    let mut edges: Edges = (0..3000).map(|i| (i, i + 1)).collect();
    edges.extend((0..2999).map(|i| (i, 3000)));
    assert!(refused(&vec![(1.0, 1.0); 3001], &edges, GAPS).contains("too"));
}

#[test]
fn a_cancel_ends_the_work() {
    let progress = Progress::new();
    progress.cancel();
    let (n, edges) = random(60, 2, 12);
    assert_eq!(layout(&sizes(n), &edges, GAPS, &progress), Err(Error::Interrupted));
}
