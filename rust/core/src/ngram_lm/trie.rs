//! All n-grams of a text, up to an order.
//!
//! Level k holds the distinct k-grams in lexicographic order, each by its last id and its count.
//! The k-grams that continue a (k-1)-gram are contiguous, so that a binary search among them finds
//! the one with a given last id. Level 1 has a node for every id of the vocabulary.
//!
//! All levels are built from one sorted list of the ids that follow each position.
//!
//! If sentences end with an id, eos, no n-gram crosses the end of a sentence: eos is either the
//! first id of an n-gram, as the start of a sentence, `<s>`, or its last id, as `</s>`. For the
//! first sentence an eos is counted in front of the text.

use super::{Id, ORDERS, check};
use crate::alloc::{self, Large};
use crate::progress::Progress;
use crate::sort::sort;
use crate::{Error, Result};

/// Positions between two checks for a cancel.
const CHUNK: usize = 1 << 16;
/// The ids of a key: those that follow the first one of an n-gram.
const FOLLOWERS: usize = *ORDERS.end() - 1;

/// All k-grams, for one k.
#[derive(Clone, Debug, Default)]
pub(super) struct Level {
    /// The last id of each k-gram.
    pub ids: Large<u32>,
    /// The count of each k-gram; a Kneser-Ney model replaces some by continuation counts.
    pub counts: Large<u32>,
    /// For each k-gram the index in the next level of the first (k+1)-gram that continues it; then
    /// the length of the next level. Empty for the last level.
    pub children: Large<u32>,
}

/// The n-grams of a text.
#[derive(Clone, Debug)]
pub struct Trie {
    pub(super) levels: Vec<Level>,
    size: usize,
    eos: Option<u32>,
}

/// The state of a model after some ids: for each k below the order, the node of the last k ids.
///
/// None where the trie does not hold these k ids.
#[derive(Clone, Copy, Debug, Default)]
pub struct State {
    /// The node of the last k ids is at k - 1.
    pub(super) nodes: [Option<u32>; FOLLOWERS],
}

impl State {
    /// Advances the state by one id. Calls `visit` for each context that the trie holds, the
    /// shortest first, with its length, its node, and the node of the context followed by the id,
    /// if there is one.
    pub(super) fn advance(
        &mut self,
        trie: &Trie,
        id: u32,
        mut visit: impl FnMut(usize, u32, Option<u32>),
    ) {
        let mut passed = Some(id);
        for (length, node) in (1..trie.order()).zip(&mut self.nodes) {
            let context = std::mem::replace(node, passed);
            passed = context.and_then(|context| trie.child(length, context, id));
            if let Some(context) = context {
                visit(length, context, passed);
            }
        }
        if trie.eos == Some(id) {
            *self = trie.start();
        }
    }
}

impl Trie {
    /// Counts the n-grams of up to `order` ids in a text whose ids are below `size`, and of which
    /// `eos`, if there is one, ends each sentence.
    ///
    /// # Errors
    /// [`Error::Invalid`] for another order than 2 to 5, for no ids at all, more than 2^32 - 2 of
    /// them, or one that is not below `size`; [`Error::Interrupted`], [`Error::Memory`].
    pub fn new<I: Id>(
        ids: &[I],
        order: usize,
        size: usize,
        eos: Option<u32>,
        progress: &Progress,
    ) -> Result<Trie> {
        if !ORDERS.contains(&order) {
            return Err(Error::Invalid(format!("order is {order}; expected 2 to 5")));
        }
        if ids.is_empty() || u32::try_from(ids.len() + 1).is_err() {
            let message = format!("ids: {} of them, expected 1 to 2^32 - 2", ids.len());
            return Err(Error::Invalid(message));
        }
        check("ids", ids, size, progress)?;
        check("eos", eos.as_slice(), size, progress)?;
        let starts = starts(ids, size, eos, progress)?;
        let mut trie = Trie { levels: vec![Level::default(); order], size, eos };
        trie.reserve(0, size)?;
        let mut keys = keys(ids, &starts, order, eos, progress)?;
        for (id, bounds) in (0u32..).zip(starts.windows(2)) {
            if id % (1 << 16) == 0 {
                progress.check()?;
            }
            let bucket = &mut keys[bounds[0] as usize..bounds[1] as usize];
            sort(bucket, progress)?;
            trie.push(0, id);
            let mut last = None;
            for part in bucket.chunks(CHUNK) {
                for level in 1..order {
                    trie.reserve(level, part.len())?;
                }
                last = trie.add(part, last);
                progress.check()?;
            }
        }
        trie.close()?;
        if let Some(eos) = eos {
            // The eos in front of the text is not a token of it.
            trie.levels[0].counts[eos as usize] -= 1;
        }
        Ok(trie)
    }

    /// Returns the state at the start of a text: after eos, where sentences have ends.
    pub(super) fn start(&self) -> State {
        let mut state = State::default();
        state.nodes[0] = self.eos;
        state
    }

    /// Returns the nodes of level `length` that begin with the start of a sentence; they are
    /// contiguous.
    pub(super) fn sentence_starts(&self, length: usize) -> std::ops::Range<usize> {
        let Some(eos) = self.eos else { return 0..0 };
        let first = eos as usize..eos as usize + 1;
        self.levels.iter().take(length - 1).fold(first, |range, level| {
            level.children[range.start] as usize..level.children[range.end] as usize
        })
    }

    /// Returns the order: the length of the longest n-grams.
    #[must_use]
    pub fn order(&self) -> usize {
        self.levels.len()
    }

    /// Returns the size of the vocabulary.
    #[must_use]
    pub fn size(&self) -> usize {
        self.size
    }

    /// Returns the number of distinct n-grams of each order, all of the vocabulary for order 1.
    #[must_use]
    pub fn entries(&self) -> Vec<usize> {
        self.levels.iter().map(|level| level.ids.len()).collect()
    }

    /// Adds the n-grams of sorted keys, which begin with the last id of level 1. `last` is the key
    /// added before these; returns the last of these.
    fn add(&mut self, keys: &[u128], mut last: Option<u128>) -> Option<u128> {
        self.count(0, keys.len());
        for &key in keys {
            let known = last.map_or(0, |last| (last ^ key).leading_zeros() as usize / 32);
            let followers = (0..self.order() - 1).map(|place| follower(key, place));
            for (place, id) in followers.enumerate() {
                // The text ends here.
                let Some(id) = id else { break };
                if place >= known {
                    self.push(place + 1, id);
                }
                self.count(place + 1, 1);
            }
            last = Some(key);
        }
        last
    }

    /// Reserves memory for `nodes` more nodes of a level, counted from 0.
    fn reserve(&mut self, level: usize, nodes: usize) -> Result<()> {
        let last = level + 1 == self.order();
        let level = &mut self.levels[level];
        alloc::reserve(&mut level.ids, nodes)?;
        alloc::reserve(&mut level.counts, nodes)?;
        alloc::reserve(&mut level.children, if last { 0 } else { nodes })
    }

    /// Adds a node to a level (counted from 0), for which memory is reserved; its children will
    /// begin at the end of the next level.
    #[allow(clippy::cast_possible_truncation, reason = "no level has more nodes than ids")]
    fn push(&mut self, level: usize, id: u32) {
        let next = self.levels.get(level + 1).map(|next| next.ids.len() as u32);
        let level = &mut self.levels[level];
        level.ids.push(id);
        level.counts.push(0);
        level.children.extend(next);
    }

    /// Adds to the count of a level's last node.
    #[allow(clippy::cast_possible_truncation, reason = "no more than there are ids")]
    fn count(&mut self, level: usize, times: usize) {
        let counts = &mut self.levels[level].counts;
        let last = counts.len() - 1;
        counts[last] += times as u32;
    }

    /// Sets where the children of each level's last node end.
    #[allow(clippy::cast_possible_truncation, reason = "no level has more nodes than ids")]
    fn close(&mut self) -> Result<()> {
        let ends: Vec<u32> = self.levels.iter().skip(1).map(|next| next.ids.len() as u32).collect();
        for (level, end) in self.levels.iter_mut().zip(ends) {
            alloc::push(&mut level.children, end)?;
        }
        Ok(())
    }

    /// Returns the range of a node's children, in the level after `length`.
    pub(super) fn children(&self, length: usize, node: u32) -> std::ops::Range<usize> {
        let children = &self.levels[length - 1].children;
        children[node as usize] as usize..children[node as usize + 1] as usize
    }

    /// Returns the child of a node of level `length` with a given last id.
    #[allow(clippy::cast_possible_truncation, reason = "no level has more nodes than ids")]
    pub(super) fn child(&self, length: usize, node: u32, id: u32) -> Option<u32> {
        let range = self.children(length, node);
        let start = range.start;
        let found = self.levels[length].ids[range].binary_search(&id).ok()?;
        Some((start + found) as u32)
    }

    /// Returns the count of a node of level `length`.
    pub(super) fn count_of(&self, length: usize, node: u32) -> u32 {
        self.levels[length - 1].counts[node as usize]
    }

    /// Maps the counts of the ids that follow each context of `length` ids.
    pub(super) fn map_followers<T: Copy + Send>(
        &self,
        length: usize,
        progress: &Progress,
        map: impl Fn(&[u32]) -> Result<T>,
    ) -> Result<Large<T>> {
        let nodes = self.levels[length - 1].ids.len();
        let mut mapped = Large::from(alloc::with_capacity(nodes)?);
        for node in (0u32..).take(nodes) {
            progress.check()?;
            mapped.push(map(self.followers(length, node).1)?);
        }
        Ok(mapped)
    }

    /// Returns the last ids of the children of a node of level `length`, and their counts.
    pub(super) fn followers(&self, length: usize, node: u32) -> (&[u32], &[u32]) {
        let (range, next) = (self.children(length, node), &self.levels[length]);
        (&next.ids[range.clone()], &next.counts[range])
    }
}

/// Returns the counting-sort offsets: the start of each id among the positions sorted by id, and
/// the end; `eos` is counted once more, in front of the text.
fn starts<I: Id>(
    ids: &[I],
    size: usize,
    eos: Option<u32>,
    progress: &Progress,
) -> Result<Large<u32>> {
    let mut starts = Large::from(alloc::zeroed(size.checked_add(1).ok_or(Error::Memory)?)?);
    if let Some(eos) = eos {
        starts[eos as usize + 1] += 1;
    }
    for part in ids.chunks(CHUNK) {
        progress.check()?;
        for &id in part {
            starts[id.into() as usize + 1] += 1;
        }
    }
    let mut sum = 0;
    for part in starts.chunks_mut(CHUNK) {
        progress.check()?;
        for start in part {
            sum += *start;
            *start = sum;
        }
    }
    Ok(starts)
}

/// Returns the ids that follow each position as keys, the positions sorted by their id.
///
/// A key has 32 bits for each follower, the first one in the highest bits: its id plus 1, or 0
/// behind the end of the text or of the sentence.
fn keys<I: Id>(
    ids: &[I],
    starts: &[u32],
    order: usize,
    eos: Option<u32>,
    progress: &Progress,
) -> Result<Large<u128>> {
    let mut places = Large::from(alloc::collected_under(progress, starts.iter().copied())?);
    let mut keys = Large::from(alloc::zeroed(ids.len() + usize::from(eos.is_some()))?);
    let in_front = eos.into_iter().map(|eos| (eos, 0));
    let text = ids.iter().zip(1..).map(|(&id, next)| (id.into(), next));
    for (id, next) in in_front.chain(text) {
        if next % CHUNK == 0 {
            progress.check()?;
        }
        let end = ids.len().min(next + order - 1);
        let mut key = 0;
        for (&follower, place) in ids[next..end].iter().zip(0..) {
            let follower: u32 = follower.into();
            key |= (u128::from(follower) + 1) << (32 * (FOLLOWERS - 1 - place));
            if Some(follower) == eos {
                break;
            }
        }
        let place = &mut places[id as usize];
        keys[*place as usize] = key;
        *place += 1;
    }
    Ok(keys)
}

/// Returns the follower at a place of a key, counted from 0; None behind the end of the text.
#[allow(clippy::cast_possible_truncation, reason = "32 bits of the key are what is asked for")]
fn follower(key: u128, place: usize) -> Option<u32> {
    ((key >> (32 * (FOLLOWERS - 1 - place))) as u32).checked_sub(1)
}
