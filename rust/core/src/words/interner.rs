//! An interner: numbers for distinct strings.
//!
//! A text may have millions of types. All of them lie in one buffer, which is freed at once, and
//! the hash table holds numbers only: it grows in one sequential pass, which can be cancelled.
#![allow(
    clippy::indexing_slicing,
    reason = "numbers and places are the interner's own; the length of the table is a power of two"
)]

use std::hash::{BuildHasher, RandomState};

use crate::alloc::{self, Large};
use crate::progress::Progress;
use crate::{Error, Result};

/// Slots moved between two checks for a cancel.
const CHUNK: usize = 1 << 16;
/// The length of the first table.
const FIRST: usize = 1 << 6;

/// A list of strings that lie one after the other in one buffer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Names {
    text: String,
    ends: Vec<usize>,
}

impl Names {
    /// Appends a string.
    ///
    /// # Errors
    /// [`Error::Memory`]; nothing is appended then.
    pub fn push(&mut self, name: &str) -> Result<()> {
        self.text.try_reserve(name.len()).map_err(|_| Error::Memory)?;
        alloc::push(&mut self.ends, self.text.len() + name.len())?;
        self.text.push_str(name);
        Ok(())
    }

    /// Returns how many strings there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Returns true where there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// Returns the string with a number, the first one having 0.
    #[must_use]
    pub fn get(&self, number: usize) -> &str {
        let start = if number == 0 { 0 } else { self.ends[number - 1] };
        &self.text[start..self.ends[number]]
    }

    /// Returns all strings in their order.
    #[must_use]
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &str> {
        (0..self.len()).map(|number| self.get(number))
    }
}

/// Distinct strings and a hash table over them.
#[derive(Debug, Default)]
pub struct Interner {
    names: Names,
    /// An open-addressing table with linear probing, at most half of it full.
    ///
    /// A slot is 0, or has 32 bits of the string's hash above its number plus 1. These bits alone
    /// decide where a search begins, so that growth does not hash the strings again.
    slots: Large<u64>,
    /// Randomly keyed, so that nobody can write a text whose words all collide.
    hasher: RandomState,
}

impl Interner {
    /// Returns the strings, in the order in which they first came.
    #[must_use]
    pub fn names(&self) -> &Names {
        &self.names
    }

    /// Returns the number of a string that is known.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<u32> {
        if self.slots.is_empty() { None } else { self.find(self.hash(name), name).ok() }
    }

    /// Returns the number of a string; one that is new gets the next.
    ///
    /// # Errors
    /// [`Error::Memory`], [`Error::Interrupted`].
    pub fn insert(&mut self, name: &str, progress: &Progress) -> Result<u32> {
        if 2 * self.names.len() >= self.slots.len() {
            self.grow(progress)?;
        }
        let hash = self.hash(name);
        let place = match self.find(hash, name) {
            Ok(number) => return Ok(number),
            Err(place) => place,
        };
        let next = u32::try_from(self.names.len() + 1).map_err(|_| Error::Memory)?;
        self.names.push(name)?;
        self.slots[place] = u64::from(hash) << 32 | u64::from(next);
        Ok(next - 1)
    }

    /// Returns the number of a string, or else the free place where its search ends.
    fn find(&self, hash: u32, name: &str) -> std::result::Result<u32, usize> {
        let mut place = start(hash, self.slots.len());
        loop {
            let slot = self.slots[place];
            let Some(number) = low(slot).checked_sub(1) else { return Err(place) };
            if high(slot) == hash && self.names.get(number as usize) == name {
                return Ok(number);
            }
            place = (place + 1) & (self.slots.len() - 1);
        }
    }

    /// Moves the table to one of twice its length.
    fn grow(&mut self, progress: &Progress) -> Result<()> {
        let length = (2 * self.slots.len()).max(FIRST);
        let mut slots = Large::from(alloc::zeroed::<u64>(length)?);
        for part in self.slots.chunks(CHUNK) {
            progress.check()?;
            for &slot in part.iter().filter(|slot| **slot != 0) {
                let mut place = start(high(slot), length);
                while slots[place] != 0 {
                    place = (place + 1) & (length - 1);
                }
                slots[place] = slot;
            }
        }
        self.slots = slots;
        Ok(())
    }

    fn hash(&self, name: &str) -> u32 {
        high(self.hasher.hash_one(name))
    }
}

/// Returns where the search for a hash begins in a table.
#[allow(clippy::cast_possible_truncation, reason = "it is below the length")]
fn start(hash: u32, length: usize) -> usize {
    ((u128::from(hash) * length as u128) >> 32) as usize
}

#[allow(clippy::cast_possible_truncation, reason = "the upper half is what is asked for")]
fn high(bits: u64) -> u32 {
    (bits >> 32) as u32
}

#[allow(clippy::cast_possible_truncation, reason = "the lower half is what is asked for")]
fn low(bits: u64) -> u32 {
    bits as u32
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests may fail loudly")]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_those_of_a_list_that_is_searched() {
        let (mut interner, mut list) = (Interner::default(), Vec::new());
        assert_eq!(interner.get(""), None);
        for i in 0..3000_usize {
            let name = "x".repeat(i % 7) + &(i * i % 1009).to_string();
            let found = interner.get(&name).map(|number| number as usize);
            assert_eq!(found, list.iter().position(|other| *other == name));
            if !list.contains(&name) {
                list.push(name.clone());
            }
            let number = interner.insert(&name, &Progress::new()).unwrap() as usize;
            assert_eq!(list[number], name);
        }
        assert!(interner.names().iter().eq(list.iter().map(String::as_str)));
    }

    #[test]
    fn growth_can_be_cancelled_and_loses_nothing() {
        let (mut interner, stopped) = (Interner::default(), Progress::new());
        for i in 0..FIRST / 2 {
            interner.insert(&i.to_string(), &Progress::new()).unwrap();
        }
        stopped.cancel();
        assert_eq!(interner.insert("new", &stopped), Err(Error::Interrupted));
        assert_eq!(interner.get("new"), None);
        assert_eq!(interner.get("31"), Some(31));
    }
}
