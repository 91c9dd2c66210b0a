//! The graph with virtual nodes: a layer has a slot for each of its nodes, and for the edges that
//! pass it.

use std::ops::Range;

use super::MOST_SLOTS;
use crate::{Error, Result, alloc};

/// A list for each of several owners, all in one buffer by a counting sort.
#[derive(Default)]
pub(super) struct Lists {
    pub(super) starts: Vec<usize>,
    pub(super) items: Vec<u32>,
}

impl Lists {
    /// Groups items by owner, in their order.
    pub(super) fn new(
        owners: usize,
        pairs: impl Iterator<Item = (u32, u32)> + Clone,
    ) -> Result<Lists> {
        let mut starts = alloc::filled(0, owners + 2)?;
        let mut length = 0;
        for (owner, _) in pairs.clone() {
            starts[owner as usize + 2] += 1;
            length += 1;
        }
        for i in 2..starts.len() {
            starts[i] += starts[i - 1];
        }
        let mut items = alloc::filled(0, length)?;
        for (owner, item) in pairs {
            let next = &mut starts[owner as usize + 1];
            items[*next] = item;
            *next += 1;
        }
        Ok(Lists { starts, items })
    }

    #[inline]
    pub(super) fn of(&self, owner: u32) -> &[u32] {
        let owner = owner as usize;
        &self.items[self.starts[owner]..self.starts[owner + 1]]
    }
}

/// The graph with a slot in each layer that edges pass: nodes first, then for each node the slots of
/// its edges, from left to right. Edges from one node share them, as far as each goes. All steps
/// from slot to slot lead to the next layer.
pub(super) struct Chains {
    pub(super) nodes: usize,
    pub(super) layers: Vec<u32>,
    /// Where the slots of each node's edges begin, and the end.
    starts: Vec<usize>,
    pub(super) left: Lists,
    pub(super) right: Lists,
}

impl Chains {
    pub(super) fn new(mut layers: Vec<u32>, edges: &[(u32, u32)]) -> Result<Chains> {
        let nodes = layers.len();
        let mut ends = alloc::filled(0, nodes)?;
        for &(u, v) in edges {
            ends[u as usize] = layers[v as usize].max(ends[u as usize]);
        }
        let mut starts = alloc::with_capacity(nodes + 1)?;
        let mut steps = Vec::new();
        for (u, &end) in ends.iter().enumerate() {
            starts.push(layers.len());
            let mut from = u as u32;
            for layer in layers[u] + 1..end {
                let slot = layers.len() as u32;
                if layers.len() >= MOST_SLOTS {
                    return Err(Error::Invalid("edges are too many and too long to draw".into()));
                }
                alloc::push(&mut layers, layer)?;
                alloc::push(&mut steps, (from, slot))?;
                from = slot;
            }
        }
        starts.push(layers.len());
        let mut chains =
            Chains { nodes, layers, starts, left: Lists::default(), right: Lists::default() };
        alloc::reserve(&mut steps, edges.len())?;
        steps.extend(edges.iter().map(|&(u, v)| {
            let last = chains.slots(u, v).next_back();
            (last.map_or(u, |slot| slot as u32), v)
        }));
        chains.left = Lists::new(chains.layers.len(), steps.iter().map(|&(u, v)| (v, u)))?;
        chains.right = Lists::new(chains.layers.len(), steps.iter().copied())?;
        Ok(chains)
    }

    /// Returns the slots that an edge passes.
    pub(super) fn slots(&self, u: u32, v: u32) -> Range<usize> {
        let start = self.starts[u as usize];
        let [from, to] = [u, v].map(|end| self.layers[end as usize]);
        start..start + (to - from - 1) as usize
    }

    /// Returns the slots that the edges of a node pass.
    pub(super) fn slots_of(&self, node: usize) -> Range<usize> {
        self.starts[node]..self.starts[node + 1]
    }

    pub(super) fn is_node(&self, slot: u32) -> bool {
        (slot as usize) < self.nodes
    }

    /// Returns the neighbours of a slot in the layer to its left, or to its right.
    #[inline]
    pub(super) fn beside(&self, slot: u32, to_left: bool) -> &[u32] {
        if to_left { self.left.of(slot) } else { self.right.of(slot) }
    }
}
