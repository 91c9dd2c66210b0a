//! Counts that come in any order, kept as sorted runs: as compact as the result, and every step of
//! it so short that the work can end early.

use super::Problem;
use crate::Result;
use crate::watch::Watch;

/// How many n-grams are gone through between two looks at the watch: some milliseconds.
pub const STRETCH: usize = 1 << 17;

/// N-grams and their counts.
pub type Entries = Vec<(u64, u64)>;

/// Runs of ascending n-grams, each more than twice as long as the next.
#[derive(Default)]
pub struct Runs(Vec<Entries>);

impl Runs {
    /// Adds counts; an n-gram may come more than once.
    ///
    /// # Errors
    /// [`Problem::Overflow`] for sums beyond 64 bits, and an early end of the work.
    pub fn add(&mut self, grams: &[(u64, u64)], watch: &Watch) -> Result<()> {
        for stretch in grams.chunks(STRETCH) {
            watch.advance(0)?;
            self.0.push(sorted(stretch)?);
            while let [.., long, short] = &self.0[..]
                && long.len() < 2 * short.len()
            {
                self.merge_last(watch)?;
            }
        }
        Ok(())
    }

    /// All counts, ascending, each n-gram once.
    ///
    /// # Errors
    /// As [`Runs::add`].
    pub fn finish(mut self, watch: &Watch) -> Result<Entries> {
        while self.0.len() > 1 {
            self.merge_last(watch)?;
        }
        Ok(self.0.pop().unwrap_or_default())
    }

    fn merge_last(&mut self, watch: &Watch) -> Result<()> {
        let (short, long) = (self.0.pop().unwrap_or_default(), self.0.pop().unwrap_or_default());
        self.0.push(merged(long, short, watch)?);
        Ok(())
    }
}

/// Sorts n-grams and adds up those that are equal.
fn sorted(grams: &[(u64, u64)]) -> Result<Entries> {
    let mut entries = grams.to_vec();
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
    if overflow { Err(Problem::Overflow.into()) } else { Ok(entries) }
}

/// Merges two lists of ascending n-grams.
pub fn merged(long: Entries, short: Entries, watch: &Watch) -> Result<Entries> {
    let mut merged = Vec::with_capacity(long.len() + short.len());
    let (mut long, mut short) = (long.into_iter().peekable(), short.into_iter().peekable());
    while long.len() + short.len() > 0 {
        watch.advance(0)?;
        for _ in 0..STRETCH {
            match (long.peek(), short.peek()) {
                (Some((one, _)), Some((other, _))) if one == other => {
                    if let (Some((gram, count)), Some((_, more))) = (long.next(), short.next()) {
                        merged.push((gram, add(count, more)?));
                    }
                }
                (Some((one, _)), Some((other, _))) if one > other => merged.extend(short.next()),
                (None, _) => merged.extend(short.next()),
                _ => merged.extend(long.next()),
            }
        }
    }
    Ok(merged)
}

/// Adds two counts.
pub fn add(a: u64, b: u64) -> Result<u64> {
    a.checked_add(b).ok_or_else(|| Problem::Overflow.into())
}
