//! Sorting that can be ended early, however large the list.

use crate::progress::Progress;
use crate::{Result, alloc};

/// How many keys are sorted in one go, which takes some milliseconds.
const RUN: usize = 1 << 16;

/// Sorts keys: runs of a fixed length first, which are then merged two by two.
///
/// # Errors
/// [`crate::Error::Interrupted`], [`crate::Error::Memory`]; the keys are in disorder then.
pub fn sort(keys: &mut [u128], progress: &Progress) -> Result<()> {
    for run in keys.chunks_mut(RUN) {
        run.sort_unstable();
        progress.add(run.len() as u64)?;
    }
    let longest = if keys.len() > RUN { keys.len() } else { 0 };
    let mut spare = alloc::with_capacity(longest)?;
    let mut width = RUN;
    while width < keys.len() {
        for pair in keys.chunks_mut(2 * width).filter(|pair| pair.len() > width) {
            merge(pair, width, &mut spare);
            progress.check()?;
        }
        width *= 2;
    }
    Ok(())
}

/// Merges two sorted parts, the second of which begins at `middle`; `spare` has room for all.
fn merge(keys: &mut [u128], middle: usize, spare: &mut Vec<u128>) {
    let (first, second) = keys.split_at(middle);
    spare.clear();
    let (mut first, mut second) = (first.iter().copied(), second.iter().copied());
    let (mut a, mut b) = (first.next(), second.next());
    while let (Some(x), Some(y)) = (a, b) {
        if y < x {
            spare.push(y);
            b = second.next();
        } else {
            spare.push(x);
            a = first.next();
        }
    }
    spare.extend(a.into_iter().chain(first).chain(b).chain(second));
    keys.copy_from_slice(spare);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_sorted_across_runs() {
        let mut state = 1u128;
        let mut keys: Vec<u128> = (0..5 * RUN + 3)
            .map(|_| {
                state =
                    state.wrapping_mul(0x2360_ed05_1fc6_5da4_4385_df64_9fcc_f645).wrapping_add(1);
                state >> 90
            })
            .collect();
        let mut expected = keys.clone();
        expected.sort_unstable();
        assert_eq!(sort(&mut keys, &Progress::new()), Ok(()));
        assert!(keys == expected);
    }
}
