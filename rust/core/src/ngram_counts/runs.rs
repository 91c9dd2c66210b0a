//! Merges counts that come in any order, as sorted runs: these take no more memory than the result,
//! and all steps are short, so that the work can be cancelled.

use std::cmp::Ordering;

use crate::progress::Progress;
use crate::{Error, Result, alloc};

/// N-grams between two checks for a cancel: some milliseconds.
pub const CHUNK: usize = 1 << 17;

/// N-grams and their counts.
pub type Entries = Vec<(u64, u64)>;

/// Runs of ascending n-grams, each at least twice as long as the next.
#[derive(Default)]
pub struct Runs(Vec<Entries>);

impl Runs {
    /// Adds counts; an n-gram may come more than once.
    ///
    /// # Errors
    /// [`Error::CountOverflow`] for sums beyond 64 bits, and [`Error::Interrupted`].
    pub fn add(&mut self, grams: &[(u64, u64)], progress: &Progress) -> Result<()> {
        for chunk in grams.chunks(CHUNK) {
            progress.check()?;
            alloc::push(&mut self.0, sorted(chunk)?)?;
            while let [.., long, short] = &self.0[..]
                && long.len() < 2 * short.len()
            {
                self.merge_last(progress)?;
            }
        }
        Ok(())
    }

    /// Returns all counts, ascending, each n-gram once.
    ///
    /// # Errors
    /// As [`Runs::add`].
    pub fn finish(mut self, progress: &Progress) -> Result<Entries> {
        while self.0.len() > 1 {
            self.merge_last(progress)?;
        }
        Ok(self.0.pop().unwrap_or_default())
    }

    fn merge_last(&mut self, progress: &Progress) -> Result<()> {
        let (Some(short), Some(long)) = (self.0.pop(), self.0.pop()) else {
            unreachable!("there are two runs to merge")
        };
        self.0.push(merged(&long, &short, progress)?);
        Ok(())
    }
}

/// Sorts n-grams and adds up those that are equal.
fn sorted(grams: &[(u64, u64)]) -> Result<Entries> {
    let mut entries = alloc::copied(grams)?;
    entries.sort_unstable_by_key(|&(gram, _)| gram);
    let mut overflow = false;
    entries.dedup_by(|&mut (next, more), (gram, count)| {
        let same = next == *gram;
        if same {
            let (sum, over) = count.overflowing_add(more);
            (*count, overflow) = (sum, overflow | over);
        }
        same
    });
    if overflow { Err(Error::CountOverflow) } else { Ok(entries) }
}

/// Merges two lists of ascending n-grams.
pub fn merged(
    mut left: &[(u64, u64)],
    mut right: &[(u64, u64)],
    progress: &Progress,
) -> Result<Entries> {
    let mut merged = alloc::with_capacity(left.len() + right.len())?;
    while let ([one, left_rest @ ..], [other, right_rest @ ..]) = (left, right) {
        if merged.len() % CHUNK == 0 {
            progress.check()?;
        }
        let (gram, count) = *one;
        let (other_gram, more) = *other;
        match gram.cmp(&other_gram) {
            Ordering::Less => {
                merged.push(*one);
                left = left_rest;
            }
            Ordering::Greater => {
                merged.push(*other);
                right = right_rest;
            }
            Ordering::Equal => {
                merged.push((gram, add(count, more)?));
                (left, right) = (left_rest, right_rest);
            }
        }
    }
    for chunk in left.chunks(CHUNK).chain(right.chunks(CHUNK)) {
        progress.check()?;
        merged.extend_from_slice(chunk);
    }
    Ok(merged)
}

/// Adds two counts.
pub fn add(a: u64, b: u64) -> Result<u64> {
    a.checked_add(b).ok_or(Error::CountOverflow)
}
