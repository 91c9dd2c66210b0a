//! A merge sort that can be cancelled, however long the list.

use crate::Result;
use crate::alloc::{self, Large};
use crate::progress::Progress;

/// Items sorted or merged between two checks for a cancel: some milliseconds' worth.
const RUN: usize = 1 << 16;

/// Sorts a list; equal items may change places.
///
/// # Errors
/// [`crate::Error::Interrupted`], [`crate::Error::Memory`]; the list is in disorder then.
pub fn sort<T: Copy + Ord + Send + 'static>(items: &mut [T], progress: &Progress) -> Result<()> {
    for run in items.chunks_mut(RUN) {
        progress.check()?;
        run.sort_unstable();
    }
    let spare = alloc::with_capacity(if items.len() > RUN { items.len() } else { 0 })?;
    let mut merged = Large::from(spare);
    let mut width = RUN;
    while width < items.len() {
        for pair in items.chunks_mut(2 * width).filter(|pair| pair.len() > width) {
            let (first, second) = pair.split_at(width);
            merge(first, second, &mut merged, progress)?;
            for (to, from) in pair.chunks_mut(RUN).zip(merged.chunks(RUN)) {
                progress.check()?;
                to.copy_from_slice(from);
            }
        }
        width *= 2;
    }
    Ok(())
}

/// Merges two sorted lists into a third one, which has the capacity for both.
fn merge<T: Copy + Ord>(
    mut first: &[T],
    mut second: &[T],
    merged: &mut Vec<T>,
    progress: &Progress,
) -> Result<()> {
    merged.clear();
    while let ([x, others @ ..], [y, more @ ..]) = (first, second) {
        if merged.len().is_multiple_of(RUN) {
            progress.check()?;
        }
        if y < x {
            merged.push(*y);
            second = more;
        } else {
            merged.push(*x);
            first = others;
        }
    }
    for part in first.chunks(RUN).chain(second.chunks(RUN)) {
        progress.check()?;
        merged.extend_from_slice(part);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Numbers of a linear congruential generator.
    fn noise(length: usize) -> Vec<u128> {
        let mut state = 1u128;
        let next = |_| {
            state = state.wrapping_mul(0x2360_ed05_1fc6_5da4_4385_df64_9fcc_f645).wrapping_add(1);
            state >> 90
        };
        (0..length).map(next).collect()
    }

    #[test]
    fn lists_of_any_length_are_sorted() {
        for length in [0, 1, 2, RUN - 1, RUN, RUN + 1, 2 * RUN, 5 * RUN + 3] {
            let mut items = noise(length);
            let mut expected = items.clone();
            expected.sort_unstable();
            assert_eq!(sort(&mut items, &Progress::new()), Ok(()));
            assert!(items == expected, "{length}");
        }
    }

    #[test]
    fn a_cancel_ends_the_work() {
        let progress = Progress::new();
        progress.cancel();
        assert_eq!(sort(&mut noise(3), &progress), Err(crate::Error::Interrupted));
        let (items, mut merged) = (noise(2), Vec::with_capacity(4));
        let merging = merge(&items, &items, &mut merged, &progress);
        assert_eq!(merging, Err(crate::Error::Interrupted));
    }
}
