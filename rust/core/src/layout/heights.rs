//! Computes the height of each slot, from top to bottom.

use super::chains::Chains;
use super::order::Order;
use super::{Gaps, Point};
use crate::progress::Progress;
use crate::{Result, alloc};

/// Rounds of least squares.
const ROUNDS: usize = 12;
/// The pull of an edge between two nodes, between node and chain, and within a chain.
const PULL: [f64; 3] = [1.0, 2.0, 8.0];

/// The heights of slots, which each round improves.
pub(super) struct Heights<'a> {
    chains: &'a Chains,
    order: &'a Order,
    /// The least distance of each slot from the one above it.
    apart: Vec<f64>,
    y: Vec<f64>,
}

impl<'a> Heights<'a> {
    pub(super) fn new(
        chains: &'a Chains,
        order: &'a Order,
        sizes: &[Point],
        gaps: Gaps,
    ) -> Result<Heights<'a>> {
        let slots = chains.layers.len();
        let mut settled = Heights {
            chains,
            order,
            apart: alloc::filled(0.0, slots)?,
            y: alloc::filled(0.0, slots)?,
        };
        // Slots of edges have no box.
        let half =
            |slot: u32| if chains.is_node(slot) { sizes[slot as usize].1 / 2.0 } else { 0.0 };
        for layer in 0..order.len() {
            for pair in order.layer(layer).windows(2) {
                let [a, b] = [pair[0], pair[1]];
                let nodes = chains.is_node(a) && chains.is_node(b);
                let gap = if nodes { gaps.nodes } else { gaps.nodes / 2.0 };
                let apart = half(a) + half(b) + gap;
                settled.apart[b as usize] = apart;
                settled.y[b as usize] = settled.y[a as usize] + apart;
            }
        }
        Ok(settled)
    }

    /// Returns the height of each slot.
    pub(super) fn settled(mut self, progress: &Progress) -> Result<Vec<f64>> {
        let last = self.order.len();
        for round in 0..ROUNDS {
            progress.check()?;
            // At first a layer follows the one before it, then both of its neighbours.
            let sides: &[bool] = match round {
                0 => &[false],
                1 => &[true],
                _ => &[true, false],
            };
            for step in 0..last {
                let layer = if round % 2 == 0 { last - 1 - step } else { step };
                self.settle(layer, sides)?;
            }
        }
        self.straighten();
        Ok(self.y)
    }

    /// Moves the slots of a layer to the heights that minimise Σ pull·distance² over their edges to
    /// neighbours, given order and gaps.
    ///
    /// With the gaps above each slot subtracted, heights must not descend: this is isotonic
    /// regression, which pooling adjacent violators solves.
    fn settle(&mut self, layer: usize, sides: &[bool]) -> Result<()> {
        struct Block {
            sum: f64,
            weight: f64,
            slots: usize,
        }
        let slots = self.order.layer(layer);
        let mut blocks: Vec<Block> = alloc::with_capacity(slots.len())?;
        let mut offset = 0.0;
        for &slot in slots {
            offset += self.apart[slot as usize];
            let (mut sum, mut weight) = (0.0, 0.0);
            for &to_left in sides {
                for &other in self.chains.beside(slot, to_left) {
                    let ends = [slot, other].map(|s| usize::from(!self.chains.is_node(s)));
                    let pull = PULL[ends[0] + ends[1]];
                    sum += pull * self.y[other as usize];
                    weight += pull;
                }
            }
            // Without neighbours, a slot stays where it is unless others push it.
            if weight == 0.0 {
                (sum, weight) = (1e-3 * self.y[slot as usize], 1e-3);
            }
            let mut block = Block { sum: sum - weight * offset, weight, slots: 1 };
            while let Some(above) =
                blocks.pop_if(|above| above.sum * block.weight >= block.sum * above.weight)
            {
                block.sum += above.sum;
                block.weight += above.weight;
                block.slots += above.slots;
            }
            blocks.push(block);
        }
        let mut rest = slots;
        offset = 0.0;
        for block in blocks {
            let (these, others) = rest.split_at(block.slots);
            rest = others;
            for &slot in these {
                offset += self.apart[slot as usize];
                self.y[slot as usize] = block.sum / block.weight + offset;
            }
        }
        Ok(())
    }

    /// Moves all slots of a chain to one height, where neighbours leave room for that.
    fn straighten(&mut self) {
        for node in 0..self.chains.nodes {
            let slots = self.chains.slots_of(node);
            let (mut low, mut high, mut sum) = (f64::NEG_INFINITY, f64::INFINITY, 0.0);
            for slot in slots.clone() {
                let (above, below) = self.room(slot as u32);
                (low, high) = (low.max(above), high.min(below));
                sum += self.y[slot];
            }
            if !slots.is_empty() && low <= high {
                let mean = sum / slots.len() as f64;
                self.y[slots].fill(mean.clamp(low, high));
            }
        }
    }

    /// Returns the heights between which a slot may move without moving its neighbours.
    fn room(&self, slot: u32) -> (f64, f64) {
        let layer = self.order.layer(self.chains.layers[slot as usize] as usize);
        let place = self.order.position[slot as usize] as usize;
        let above = place.checked_sub(1).map_or(f64::NEG_INFINITY, |above| {
            self.y[layer[above] as usize] + self.apart[slot as usize]
        });
        let below = layer
            .get(place + 1)
            .map_or(f64::INFINITY, |&below| self.y[below as usize] - self.apart[below as usize]);
        (above, below)
    }
}
