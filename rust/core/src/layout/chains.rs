//! The graph in slots: what a layer holds of nodes and of edges that pass it.

use super::MOST_SLOTS;
use crate::{Error, Result, alloc};

/// A list for each of several owners, in one piece.
pub(super) struct Lists {
    pub(super) starts: Vec<usize>,
    pub(super) items: Vec<u32>,
}

impl Lists {
    /// Gives each owner the items that are paired with it, in their order.
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

/// The graph with a slot wherever an edge passes a layer: nodes first, then the slots of each edge
/// from left to right. All steps from slot to slot lead to the next layer.
pub(super) struct Chains {
    pub(super) nodes: usize,
    pub(super) layers: Vec<u32>,
    /// Where the slots of each edge begin, and the end.
    pub(super) starts: Vec<usize>,
    pub(super) left: Lists,
    pub(super) right: Lists,
}

impl Chains {
    pub(super) fn new(mut layers: Vec<u32>, edges: &[(u32, u32)]) -> Result<Chains> {
        let nodes = layers.len();
        let mut starts = alloc::with_capacity(edges.len() + 1)?;
        let mut steps = Vec::new();
        for &(u, v) in edges {
            starts.push(layers.len());
            let mut from = u;
            for layer in layers[u as usize] + 1..layers[v as usize] {
                let slot = layers.len() as u32;
                if layers.len() >= MOST_SLOTS {
                    return Err(Error::Invalid("edges are too many and too long to draw".into()));
                }
                alloc::push(&mut layers, layer)?;
                alloc::push(&mut steps, (from, slot))?;
                from = slot;
            }
            alloc::push(&mut steps, (from, v))?;
        }
        starts.push(layers.len());
        let left = Lists::new(layers.len(), steps.iter().map(|&(u, v)| (v, u)))?;
        let right = Lists::new(layers.len(), steps.iter().copied())?;
        Ok(Chains { nodes, layers, starts, left, right })
    }

    pub(super) fn is_node(&self, slot: u32) -> bool {
        (slot as usize) < self.nodes
    }

    /// The neighbours of a slot in the layer to its left, or to its right.
    #[inline]
    pub(super) fn beside(&self, slot: u32, to_left: bool) -> &[u32] {
        if to_left { self.left.of(slot) } else { self.right.of(slot) }
    }
}
