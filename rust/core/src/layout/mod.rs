//! Where the nodes of a drawn graph stand: a layered layout, from left to right.
//!
//! ```text
//! layers       every node left of all that depends on it, edges as short as can be
//! chains       edges over several layers get a slot in each layer between, one for all edges from
//!              a node
//! order        slots by the weighted median of their neighbours, then neighbours change places as
//!              long as that removes crossings; the order with the fewest crossings is kept
//! coordinates  least squares: each slot near its neighbours, none nearer to the next than the
//!              gap; then chains are made straight where nothing is in their way
//! ```
//! This is the method of Gansner, Koutsofios, North and Vo ("A technique for drawing directed
//! graphs", 1993), which Graphviz uses, but for the coordinates, which they compute by another
//! network simplex.
#![allow(
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    reason = "slots and positions are the layout's own, fewer than 2³²; a wrong one must be loud"
)]

mod chains;
mod heights;
mod layers;
mod order;

use chains::Chains;
use heights::Heights;
use order::Order;

use crate::progress::Progress;
use crate::{Error, Result, alloc};

/// The most slots; a picture with more would be too large to look at.
const MOST_SLOTS: usize = 1 << 22;

/// The space left free.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Gaps {
    /// Between the boxes of two layers, at least: steep edges get more.
    pub layers: f64,
    /// Between two boxes of a layer; an edge between them gets half.
    pub nodes: f64,
}

/// A point: x to the right, y downwards.
pub type Point = (f64, f64);

/// Where everything stands, within (0, 0) and `size`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Layout {
    /// The middle of each node.
    pub centers: Vec<Point>,
    /// Each node's layer, counted from the left.
    pub layers: Vec<u32>,
    /// Each edge from the right side of its first node to the left side of its second: it runs
    /// level within a layer, and bends between layers, where there are no boxes.
    pub routes: Vec<Vec<Point>>,
    /// Width and height.
    pub size: Point,
    /// The number of crossings of edges.
    pub crossings: u64,
}

/// Lays out nodes of these widths and heights, and edges from operands to results.
///
/// The same graph always gets the same layout. A thousand nodes take some tens of milliseconds.
///
/// # Errors
/// [`Error::Invalid`] for a size or gap that is negative or not finite, an edge to no node, a cycle,
/// and more slots than 2²²; [`Error::Memory`], [`Error::Interrupted`].
pub fn layout(
    sizes: &[Point],
    edges: &[(u32, u32)],
    gaps: Gaps,
    progress: &Progress,
) -> Result<Layout> {
    check(sizes, edges, gaps)?;
    let chains = Chains::new(layers::layers(sizes.len(), edges, progress)?, edges)?;
    let (order, crossings) = Order::best(&chains, progress)?;
    let y = Heights::new(&chains, &order, sizes, gaps)?.settled(progress)?;
    place(&chains, &order, sizes, edges, gaps, &y, crossings)
}

fn check(sizes: &[Point], edges: &[(u32, u32)], gaps: Gaps) -> Result<()> {
    let is_length = |x: f64| (0.0..=1e9).contains(&x);
    let invalid = |what: String| Err(Error::Invalid(what));
    if let Some(i) = sizes.iter().position(|&(w, h)| !(is_length(w) && is_length(h))) {
        let (w, h) = sizes[i];
        return invalid(format!("sizes[{i}] is ({w:?}, {h:?}); expected lengths from 0 to 1e9"));
    }
    if !(is_length(gaps.layers) && is_length(gaps.nodes)) {
        let Gaps { layers, nodes } = gaps;
        return invalid(format!(
            "gaps are {layers:?} and {nodes:?}; expected lengths from 0 to 1e9"
        ));
    }
    let n = sizes.len();
    if n > MOST_SLOTS || edges.len() > MOST_SLOTS {
        return invalid(format!("a picture of {n} nodes and {} edges is too large", edges.len()));
    }
    let is_node = |v: u32| (v as usize) < n;
    match edges.iter().position(|&(u, v)| !(is_node(u) && is_node(v))) {
        Some(i) => invalid(format!("edges[{i}] is {:?}; expected two of {n} nodes", edges[i])),
        None => Ok(()),
    }
}

/// Turns layers and heights into a picture whose top left corner is (0, 0).
fn place(
    chains: &Chains,
    order: &Order,
    sizes: &[Point],
    edges: &[(u32, u32)],
    gaps: Gaps,
    y: &[f64],
    crossings: u64,
) -> Result<Layout> {
    let edge_of = |sign: f64| {
        let ends = sizes.iter().zip(y).map(move |(size, y)| sign * y + size.1 / 2.0);
        ends.chain(y[sizes.len()..].iter().map(move |y| sign * y)).fold(f64::NEG_INFINITY, f64::max)
    };
    let top = if y.is_empty() { 0.0 } else { -edge_of(-1.0) };
    let height = if y.is_empty() { 0.0 } else { edge_of(1.0) - top };

    // Where each layer begins and ends.
    let mut spans = alloc::with_capacity(order.len())?;
    let mut x = 0.0;
    for layer in 0..order.len() {
        let slots = order.layer(layer);
        let nodes = slots.iter().filter(|&&slot| chains.is_node(slot));
        let width = nodes.map(|&node| sizes[node as usize].0).fold(0.0, f64::max);
        spans.push((x, x + width));
        let steps =
            slots.iter().flat_map(|&slot| chains.right.of(slot).iter().map(move |to| (slot, to)));
        let steepest =
            steps.map(|(from, to)| (y[from as usize] - y[*to as usize]).abs()).fold(0.0, f64::max);
        x += width + gaps.layers + (steepest / 8.0).min(2.0 * gaps.layers);
    }
    let width = spans.last().map_or(0.0, |span| span.1);

    let span = |slot: usize| spans[chains.layers[slot] as usize];
    let middle = |v: usize| f64::midpoint(span(v).0, span(v).1);
    let centers = alloc::collected((0..sizes.len()).map(|v| (middle(v), y[v] - top)))?;
    let mut routes = alloc::with_capacity(edges.len())?;
    for &(u, v) in edges {
        let slots = chains.slots(u, v);
        let (u, v) = (u as usize, v as usize);
        let mut route = alloc::with_capacity(2 * slots.len() + 4)?;
        route.push(((middle(u) + sizes[u].0 / 2.0).min(span(u).1), y[u] - top));
        route.push((span(u).1, y[u] - top));
        route.extend(
            slots.flat_map(|slot| [(span(slot).0, y[slot] - top), (span(slot).1, y[slot] - top)]),
        );
        route.push((span(v).0, y[v] - top));
        route.push(((middle(v) - sizes[v].0 / 2.0).max(span(v).0), y[v] - top));
        route.dedup();
        routes.push(route);
    }
    let mut layers = alloc::copied(&chains.layers)?;
    layers.truncate(sizes.len());
    Ok(Layout { centers, layers, routes, size: (width, height), crossings })
}
