//! Assigns each node a layer, from left to right, by network simplex.
//!
//! ```text
//! start    each node as far right as its dependents allow
//! tree     a spanning tree of tight edges, those that join neighbouring layers
//! pivot    as long as an edge of the tree has a negative cut value: it leaves the tree, whose two
//!          parts move apart until another edge between them is tight, which joins the tree
//! ```
//! The cut value of a tree edge is the number of edges between the two parts that go the same way,
//! minus the number of those that go the other way: where it is negative, a longer edge makes the
//! sum of lengths less. Edges within a part cancel out, so that the cut value is a sum over the
//! nodes of a part.

use super::chains::Lists;
use crate::progress::Progress;
use crate::{Error, Result, alloc};

/// The most nodes and edges that pivots visit; after these the layers so far are taken.
const MOST_WORK: usize = 20_000_000;

/// Returns layers, counted from the left, for which the sum of the lengths of all edges is least.
///
/// Of a graph of many thousands of nodes the sum is not the least, as that would take too long.
///
/// # Errors
/// [`Error::Invalid`] for a cycle, [`Error::Memory`], [`Error::Interrupted`].
pub(super) fn layers(n: usize, edges: &[(u32, u32)], progress: &Progress) -> Result<Vec<u32>> {
    let mut layers = from_the_right(n, edges)?;
    if n > 1 && n.saturating_mul(n + edges.len()) <= MOST_WORK {
        let mut tree = Tree::new(n, edges, layers)?;
        let mut work = 0;
        while work <= MOST_WORK && tree.pivot()? {
            progress.check()?;
            work += n + edges.len();
        }
        layers = tree.layers;
        layers.truncate(n);
    }
    let first = layers.iter().copied().min().unwrap_or(0);
    for layer in &mut layers {
        *layer -= first;
    }
    let numbers = layers.iter().map(|&layer| {
        let Ok(layer) = u32::try_from(layer) else { unreachable!("the first layer is 0") };
        layer
    });
    alloc::collected(numbers)
}

/// Returns for each node minus the length of the longest path from it to a node without dependents.
fn from_the_right(n: usize, edges: &[(u32, u32)]) -> Result<Vec<i64>> {
    let left = Lists::new(n, edges.iter().map(|&(u, v)| (v, u)))?;
    let mut waiting = alloc::filled(0u32, n)?;
    for &(u, _) in edges {
        waiting[u as usize] += 1;
    }
    let mut order = alloc::with_capacity(n)?;
    order.extend((0..n as u32).filter(|&v| waiting[v as usize] == 0));
    let mut layers = alloc::filled(0i64, n)?;
    let mut next = 0;
    while next < order.len() {
        let v: u32 = order[next];
        next += 1;
        for &u in left.of(v) {
            layers[u as usize] = layers[u as usize].min(layers[v as usize] - 1);
            waiting[u as usize] -= 1;
            if waiting[u as usize] == 0 {
                order.push(u);
            }
        }
    }
    if order.len() < n {
        return Err(Error::Invalid("edges has a cycle; expected a graph without one".into()));
    }
    Ok(layers)
}

/// A spanning tree of tight edges.
struct Tree {
    layers: Vec<i64>,
    /// All edges, then edges of weight 0 from one more node, which make the graph connected.
    edges: Vec<(u32, u32)>,
    /// The edges of the tree.
    is_joining: Vec<bool>,
    /// For each node the weight of edges from it minus that of edges to it.
    surplus: Vec<i64>,
    /// Nodes from the root on, each before those below it.
    order: Vec<u32>,
    /// The edge to the node above.
    above: Vec<u32>,
    /// For each node its index in the order, and the end of its subtree.
    spans: Vec<(u32, u32)>,
}

impl Tree {
    fn new(n: usize, given: &[(u32, u32)], mut layers: Vec<i64>) -> Result<Tree> {
        let mut is_first = alloc::filled(true, n)?;
        let mut surplus = alloc::filled(0i64, n + 1)?;
        for &(u, v) in given {
            is_first[v as usize] = false;
            surplus[u as usize] += 1;
            surplus[v as usize] -= 1;
        }
        let mut edges = alloc::with_capacity(given.len() + n)?;
        edges.extend_from_slice(given);
        edges.extend((0..n as u32).filter(|&v| is_first[v as usize]).map(|v| (n as u32, v)));
        let first = layers.iter().copied().min().unwrap_or(0);
        alloc::push(&mut layers, first - 1)?;
        let mut tree = Tree {
            layers,
            is_joining: alloc::filled(false, edges.len())?,
            edges,
            surplus,
            order: alloc::with_capacity(n + 1)?,
            above: alloc::filled(0, n + 1)?,
            spans: alloc::filled((0, 0), n + 1)?,
        };
        tree.grow()?;
        Ok(tree)
    }

    /// Returns the slack of an edge: its length beyond 1.
    fn slack(&self, edge: usize) -> i64 {
        let (u, v) = self.edges[edge];
        self.layers[v as usize] - self.layers[u as usize] - 1
    }

    /// Finds the tree: tight edges from the first node on; where there are no more, the tree moves
    /// until the edge with the least slack is tight.
    fn grow(&mut self) -> Result<()> {
        let mut inside = alloc::filled(false, self.layers.len())?;
        inside[0] = true;
        for _ in 1..self.layers.len() {
            let reaching = (0..self.edges.len()).filter(|&edge| {
                let (u, v) = self.edges[edge];
                inside[u as usize] != inside[v as usize]
            });
            let Some(edge) = reaching.min_by_key(|&edge| self.slack(edge)) else { break };
            let (u, v) = self.edges[edge];
            let shift = if inside[u as usize] { self.slack(edge) } else { -self.slack(edge) };
            let moving = self.layers.iter_mut().zip(&inside).filter(|(_, inside)| **inside);
            moving.for_each(|(layer, _)| *layer += shift);
            (inside[u as usize], inside[v as usize]) = (true, true);
            self.is_joining[edge] = true;
        }
        Ok(())
    }

    /// Orders the tree from the first node on, depth first.
    fn arrange(&mut self) -> Result<()> {
        let joining = self.edges.iter().enumerate().filter(|(edge, _)| self.is_joining[*edge]);
        let pairs = joining.flat_map(|(edge, &(u, v))| [(u, edge as u32), (v, edge as u32)]);
        let joined = Lists::new(self.layers.len(), pairs)?;
        self.order.clear();
        let mut stack = alloc::with_capacity(self.layers.len())?;
        stack.push((0, u32::MAX));
        while let Some((node, above)) = stack.pop() {
            self.above[node as usize] = above;
            self.spans[node as usize] = (self.order.len() as u32, self.order.len() as u32 + 1);
            self.order.push(node);
            stack.extend(joined.of(node).iter().filter(|&&edge| edge != above).map(|&edge| {
                let (u, v) = self.edges[edge as usize];
                (if u == node { v } else { u }, edge)
            }));
        }
        for &node in self.order.iter().skip(1).rev() {
            let (u, v) = self.edges[self.above[node as usize] as usize];
            let parent = if u == node { v } else { u };
            let end = self.spans[node as usize].1;
            let span = &mut self.spans[parent as usize];
            span.1 = span.1.max(end);
        }
        Ok(())
    }

    /// Returns the tree edge with the most negative cut value, as the node below it.
    fn leaving(&self) -> Result<Option<u32>> {
        let mut sums = alloc::copied(&self.surplus)?;
        let (mut least, mut found) = (0, None);
        for &node in self.order.iter().skip(1).rev() {
            let (u, v) = self.edges[self.above[node as usize] as usize];
            let sum = sums[node as usize];
            let gain = if u == node { sum } else { -sum };
            if gain < least {
                (least, found) = (gain, Some(node));
            }
            sums[if u == node { v } else { u } as usize] += sum;
        }
        Ok(found)
    }

    /// Exchanges an edge of the tree for a better one; false where there is none.
    fn pivot(&mut self) -> Result<bool> {
        self.arrange()?;
        let Some(node) = self.leaving()? else { return Ok(false) };
        let leaving = self.above[node as usize] as usize;
        let (start, end) = self.spans[node as usize];
        let is_below = |v: u32| (start..end).contains(&self.spans[v as usize].0);
        // The part that the edge comes from moves left, as far as edges to it allow.
        let moves_left = self.edges[leaving].0 == node;
        let against = (0..self.edges.len()).filter(|&edge| {
            let (u, v) = self.edges[edge];
            is_below(u) != moves_left && is_below(v) == moves_left
        });
        let Some(entering) = against.min_by_key(|&edge| self.slack(edge)) else { return Ok(false) };
        let shift = if moves_left { -self.slack(entering) } else { self.slack(entering) };
        for &moving in &self.order[start as usize..end as usize] {
            self.layers[moving as usize] += shift;
        }
        self.is_joining[leaving] = false;
        self.is_joining[entering] = true;
        Ok(true)
    }
}
