//! Orders the slots of each layer, from top to bottom, with few crossings.

use super::chains::{Chains, Lists};
use crate::progress::Progress;
use crate::{Result, alloc};

/// Rounds of ordering from each of the two first orders.
const ROUNDS: usize = 24;
/// The most neighbours compared; after these the best order so far is taken.
const MOST_WORK: u64 = 10_000_000;

/// The slots of each layer, from top to bottom.
pub(super) struct Order {
    layers: Lists,
    /// Where each slot stands in its layer.
    pub(super) position: Vec<u32>,
}

impl Order {
    /// Returns the order with the fewest crossings that was found, and their number.
    pub(super) fn best(chains: &Chains, progress: &Progress) -> Result<(Order, u64)> {
        let mut best = Order::new(chains, true)?;
        let mut fewest = best.crossings(chains)?;
        let mut work = 0;
        for from_right in [true, false] {
            let mut order = Order::new(chains, from_right)?;
            let mut idle = 0;
            for round in 0..ROUNDS {
                if fewest == 0 || work > MOST_WORK || idle > 8 {
                    break;
                }
                let flip = round % 4 >= 2;
                if (round % 2 == 0) == from_right {
                    for layer in (0..order.len().saturating_sub(1)).rev() {
                        progress.check()?;
                        order.sort(chains, layer, false, flip)?;
                    }
                } else {
                    for layer in 1..order.len() {
                        progress.check()?;
                        order.sort(chains, layer, true, flip)?;
                    }
                }
                order.transpose(chains, flip, &mut work)?;
                let crossings = order.crossings(chains)?;
                idle += 1;
                if crossings < fewest {
                    (best, fewest, idle) = (order.copied()?, crossings, 0);
                }
            }
        }
        Ok((best, fewest))
    }

    /// Makes the order in which a depth-first search finds the slots, from the right or from the
    /// left.
    fn new(chains: &Chains, from_right: bool) -> Result<Order> {
        let slots = chains.layers.len();
        let mut seen = alloc::filled(false, slots)?;
        let mut found = alloc::with_capacity(slots)?;
        let mut stack = Vec::new();
        for start in (0..slots as u32).filter(|&s| chains.beside(s, !from_right).is_empty()) {
            alloc::push(&mut stack, start)?;
            while let Some(slot) = stack.pop() {
                if std::mem::replace(&mut seen[slot as usize], true) {
                    continue;
                }
                found.push(slot);
                let next = chains.beside(slot, from_right);
                alloc::reserve(&mut stack, next.len())?;
                stack.extend(next.iter().rev().filter(|&&s| !seen[s as usize]));
            }
        }
        let layers = chains.layers.iter().max().map_or(0, |last| *last as usize + 1);
        let pairs = found.iter().map(|&slot| (chains.layers[slot as usize], slot));
        let layers = Lists::new(layers, pairs)?;
        let mut order = Order { layers, position: alloc::filled(0, slots)? };
        (0..order.len()).for_each(|layer| order.number(layer));
        Ok(order)
    }

    fn copied(&self) -> Result<Order> {
        let layers = Lists {
            starts: alloc::copied(&self.layers.starts)?,
            items: alloc::copied(&self.layers.items)?,
        };
        Ok(Order { layers, position: alloc::copied(&self.position)? })
    }

    /// Returns the number of layers.
    pub(super) fn len(&self) -> usize {
        self.layers.starts.len() - 2
    }

    pub(super) fn layer(&self, layer: usize) -> &[u32] {
        self.layers.of(layer as u32)
    }

    pub(super) fn layer_mut(&mut self, layer: usize) -> &mut [u32] {
        let Lists { starts, items } = &mut self.layers;
        &mut items[starts[layer]..starts[layer + 1]]
    }

    /// Writes the positions of the slots of a layer.
    fn number(&mut self, layer: usize) {
        let Lists { starts, items } = &self.layers;
        for (position, &slot) in items[starts[layer]..starts[layer + 1]].iter().enumerate() {
            self.position[slot as usize] = position as u32;
        }
    }

    /// Fills `into` with the positions of a slot's neighbours, ascending.
    fn beside(&self, chains: &Chains, slot: u32, to_left: bool, into: &mut Vec<u32>) -> Result<()> {
        let next = chains.beside(slot, to_left);
        into.clear();
        alloc::reserve(into, next.len())?;
        into.extend(next.iter().map(|&s| self.position[s as usize]));
        into.sort_unstable();
        Ok(())
    }

    /// Counts crossings between all pairs of neighbouring layers, with a Fenwick tree over the
    /// positions that edges from further up have reached.
    fn crossings(&self, chains: &Chains) -> Result<u64> {
        let mut crossings = 0;
        let (mut tree, mut ends) = (Vec::<u64>::new(), Vec::new());
        for layer in 1..self.len() {
            let width = self.layer(layer).len();
            tree.clear();
            alloc::lengthen(&mut tree, width + 1)?;
            let mut before = 0u64;
            for &slot in self.layer(layer - 1) {
                self.beside(chains, slot, false, &mut ends)?;
                for &end in &ends {
                    let (mut i, mut at_most) = (end as usize + 1, 0u64);
                    while i > 0 {
                        at_most += tree[i];
                        i &= i - 1;
                    }
                    crossings += before - at_most;
                }
                for &end in &ends {
                    let mut i = end as usize + 1;
                    while i <= width {
                        tree[i] += 1;
                        i += i & i.wrapping_neg();
                    }
                }
                before += ends.len() as u64;
            }
        }
        Ok(crossings)
    }

    /// Sorts a layer by the medians of its slots' neighbours to one side; slots without any stay.
    fn sort(&mut self, chains: &Chains, layer: usize, to_left: bool, flip: bool) -> Result<()> {
        let slots = alloc::copied(self.layer(layer))?;
        let mut keys = alloc::with_capacity(slots.len())?;
        let mut beside = Vec::new();
        for (position, &slot) in slots.iter().enumerate() {
            self.beside(chains, slot, to_left, &mut beside)?;
            if let Some(median) = weighted_median(&beside) {
                keys.push((median, position));
            }
        }
        let mut sorted = alloc::copied(&keys)?;
        sorted.sort_by(|a, b| {
            let ties = if flip { b.1.cmp(&a.1) } else { a.1.cmp(&b.1) };
            a.0.total_cmp(&b.0).then(ties)
        });
        for ((_, place), (_, from)) in keys.iter().zip(&sorted) {
            self.layer_mut(layer)[*place] = slots[*from];
        }
        self.number(layer);
        Ok(())
    }

    /// Lets neighbours change places as long as that removes crossings; `flip` lets them change
    /// also where it makes no difference. Adds to the work done.
    fn transpose(&mut self, chains: &Chains, mut flip: bool, work: &mut u64) -> Result<()> {
        let mut buffers = (Vec::new(), Vec::new());
        // A layer is looked at again when it or one beside it has changed.
        let mut pending = alloc::filled(true, self.len() + 2)?;
        while *work < MOST_WORK && pending.iter().skip(1).take(self.len()).any(|pending| *pending) {
            for layer in 0..self.len() {
                if !std::mem::replace(&mut pending[layer + 1], false) {
                    continue;
                }
                for place in 1..self.layer(layer).len() {
                    let [a, b] = [self.layer(layer)[place - 1], self.layer(layer)[place]];
                    let (now, then) = self.crossings_of(chains, a, b, &mut buffers, work)?;
                    if then < now || (flip && then == now) {
                        self.layer_mut(layer).swap(place - 1, place);
                        self.position.swap(a as usize, b as usize);
                    }
                    if then < now {
                        pending[layer..layer + 3].fill(true);
                    }
                }
            }
            flip = false;
        }
        Ok(())
    }

    /// Returns the number of crossings between the edges of two slots of a layer if `a` is above
    /// `b`, and if `b` is above `a`.
    fn crossings_of(
        &self,
        chains: &Chains,
        a: u32,
        b: u32,
        (upper, lower): &mut (Vec<u32>, Vec<u32>),
        work: &mut u64,
    ) -> Result<(u64, u64)> {
        let (mut now, mut then) = (0, 0);
        for to_left in [true, false] {
            *work += 2;
            match (chains.beside(a, to_left), chains.beside(b, to_left)) {
                ([], _) | (_, []) => {}
                // Most slots are those of edges.
                ([a], [b]) => {
                    let [a, b] = [self.position[*a as usize], self.position[*b as usize]];
                    now += u64::from(a > b);
                    then += u64::from(b > a);
                }
                (a_beside, b_beside) => {
                    *work += (a_beside.len() + b_beside.len()) as u64;
                    self.beside(chains, a, to_left, upper)?;
                    self.beside(chains, b, to_left, lower)?;
                    now += inversions(upper, lower);
                    then += inversions(lower, upper);
                }
            }
        }
        Ok((now, then))
    }
}

/// Returns the number of pairs of an item of `first` and a smaller one of `second`; both ascend.
fn inversions(first: &[u32], second: &[u32]) -> u64 {
    let mut smaller = 0;
    let mut count = 0;
    for &x in first {
        while smaller < second.len() && second[smaller] < x {
            smaller += 1;
        }
        count += smaller as u64;
    }
    count
}

/// Returns the median of ascending positions; of an even number, the mean of the two in the middle,
/// weighted towards the side where the positions are denser.
fn weighted_median(positions: &[u32]) -> Option<f64> {
    let at = |i: usize| f64::from(positions[i]);
    let middle = positions.len() / 2;
    match positions.len() {
        0 => None,
        1 => Some(at(0)),
        2 => Some(f64::midpoint(at(0), at(1))),
        n if n % 2 == 1 => Some(at(middle)),
        n => {
            let above = at(middle - 1) - at(0);
            let below = at(n - 1) - at(middle);
            let both = above + below;
            if both == 0.0 {
                return Some(f64::midpoint(at(middle - 1), at(middle)));
            }
            Some((at(middle - 1) * below + at(middle) * above) / both)
        }
    }
}
