//! Fallible allocation: whatever grows with its input is allocated here, or with `try_reserve`, and
//! is [`Error::Memory`] where the system refuses.

use std::alloc::{Layout, alloc_zeroed};
use std::collections::HashMap;
use std::hash::{BuildHasher, Hash};
use std::ops::{Deref, DerefMut};
use std::thread::Builder;

use crate::progress::Progress;
use crate::{Error, Result};

/// Items collected between two checks for a cancel.
const ITEMS_PER_CHECK: usize = 1 << 16;

/// The least number of bytes that are freed by a thread of their own; freeing fewer takes a few
/// milliseconds at most.
const LARGE: usize = 1 << 26;

/// Bytes freed at once.
const PIECE: usize = 1 << 25;

/// A vector whose memory, where it is large, is freed by a thread of its own.
///
/// Freeing a gigabyte takes the system 50 ms, for which a cancel would have to wait.
#[derive(Clone, Debug)]
pub struct Large<T: Copy + Send + 'static>(Vec<T>);

impl<T: Copy + Send> Default for Large<T> {
    fn default() -> Large<T> {
        Large(Vec::new())
    }
}

impl<T: Copy + Send> From<Vec<T>> for Large<T> {
    fn from(items: Vec<T>) -> Large<T> {
        Large(items)
    }
}

impl<T: Copy + Send> Deref for Large<T> {
    type Target = Vec<T>;

    fn deref(&self) -> &Vec<T> {
        &self.0
    }
}

impl<T: Copy + Send> DerefMut for Large<T> {
    fn deref_mut(&mut self) -> &mut Vec<T> {
        &mut self.0
    }
}

impl<T: Copy + Send + 'static> Drop for Large<T> {
    fn drop(&mut self) {
        let items = std::mem::take(&mut self.0);
        if items.capacity().saturating_mul(size_of::<T>()) >= LARGE {
            // Where the system refuses a thread, the memory is freed here, with the closure.
            let _ = Builder::new().spawn(move || free(items));
        }
    }
}

/// Frees a vector's memory in pieces, from its end on. While the system frees a piece, the process
/// can allocate nothing, so that no single piece may take long.
fn free<T: Copy>(mut items: Vec<T>) {
    let piece = PIECE / size_of::<T>();
    items.clear();
    while items.capacity() > piece {
        items.shrink_to(items.capacity() - piece);
    }
}

/// Makes an empty vector of capacity `length`.
///
/// # Errors
/// [`Error::Memory`].
pub fn with_capacity<T>(length: usize) -> Result<Vec<T>> {
    let mut items = Vec::new();
    items.try_reserve_exact(length).map_err(|_| Error::Memory)?;
    Ok(items)
}

/// Makes a vector of `length` copies of an item.
///
/// # Errors
/// [`Error::Memory`].
pub fn filled<T: Clone>(item: T, length: usize) -> Result<Vec<T>> {
    let mut items = with_capacity(length)?;
    items.resize(length, item);
    Ok(items)
}

/// Makes a vector of `length` zeros; its pages take memory when they are first written.
///
/// # Errors
/// [`Error::Memory`].
#[allow(unsafe_code, reason = "the standard library has no fallible form of `vec![0; n]`")]
#[allow(clippy::same_length_and_capacity, reason = "the memory is new")]
pub fn zeroed<T: Zero>(length: usize) -> Result<Vec<T>> {
    let layout = Layout::array::<T>(length).map_err(|_| Error::Memory)?;
    if layout.size() == 0 {
        return Ok(Vec::new());
    }
    // SAFETY: the layout has a size above 0. Zero bytes are valid items by the contract of `Zero`,
    // and a vector of that capacity has the same layout and allocator.
    unsafe {
        let start = alloc_zeroed(layout);
        if start.is_null() {
            return Err(Error::Memory);
        }
        Ok(Vec::from_raw_parts(start.cast(), length, length))
    }
}

/// A number whose zero is all zero bytes.
///
/// # Safety
/// Zero bytes are a valid value, and the type is not zero-sized.
#[allow(unsafe_code, reason = "a promise about its bytes")]
pub unsafe trait Zero: Copy {}

macro_rules! zero {
    ($($number:ty),*) => {
        $(
            // SAFETY: a number; all its bytes are zero when it is 0.
            #[allow(unsafe_code, reason = "see the line above")]
            unsafe impl Zero for $number {}
        )*
    };
}
zero!(u8, u16, u32, u64, u128, usize, f32, f64);

/// Copies a slice.
///
/// # Errors
/// [`Error::Memory`].
pub fn copied<T: Copy>(items: &[T]) -> Result<Vec<T>> {
    let mut copy = with_capacity(items.len())?;
    copy.extend_from_slice(items);
    Ok(copy)
}

/// Collects an iterator of known length.
///
/// # Errors
/// [`Error::Memory`].
pub fn collected<T>(items: impl ExactSizeIterator<Item = T>) -> Result<Vec<T>> {
    let mut collected = with_capacity(items.len())?;
    collected.extend(items);
    Ok(collected)
}

/// Collects an iterator of known length, with checks for a cancel.
///
/// # Errors
/// [`Error::Memory`], [`Error::Interrupted`].
pub fn collected_under<T>(
    progress: &Progress,
    mut items: impl ExactSizeIterator<Item = T>,
) -> Result<Vec<T>> {
    let mut collected = with_capacity(items.len())?;
    while items.len() > 0 {
        progress.check()?;
        collected.extend(items.by_ref().take(ITEMS_PER_CHECK));
    }
    Ok(collected)
}

/// Appends an item.
///
/// # Errors
/// [`Error::Memory`]; nothing is appended then.
#[inline]
pub fn push<T>(items: &mut Vec<T>, item: T) -> Result<()> {
    if items.len() == items.capacity() {
        items.try_reserve(1).map_err(|_| Error::Memory)?;
    }
    items.push(item);
    Ok(())
}

/// Reserves capacity for `more` items.
///
/// # Errors
/// [`Error::Memory`].
#[inline]
pub fn reserve<T>(items: &mut Vec<T>, more: usize) -> Result<()> {
    items.try_reserve(more).map_err(|_| Error::Memory)
}

/// Extends a vector with zeros to at least `length` items.
///
/// # Errors
/// [`Error::Memory`].
pub fn lengthen<T: Copy + Default>(items: &mut Vec<T>, length: usize) -> Result<()> {
    if items.len() < length {
        reserve(items, length - items.len())?;
        items.resize(length, T::default());
    }
    Ok(())
}

/// Truncates a vector or extends it with zeros to `length` items.
///
/// # Errors
/// [`Error::Memory`].
pub fn resize<T: Copy + Default>(items: &mut Vec<T>, length: usize) -> Result<()> {
    items.truncate(length);
    lengthen(items, length)
}

/// Copies a string.
///
/// # Errors
/// [`Error::Memory`].
pub fn string(text: &str) -> Result<String> {
    let mut copy = String::new();
    copy.try_reserve_exact(text.len()).map_err(|_| Error::Memory)?;
    copy.push_str(text);
    Ok(copy)
}

/// Reserves capacity for one more entry.
///
/// # Errors
/// [`Error::Memory`].
#[inline]
pub fn reserve_entry<K: Eq + Hash, V, S: BuildHasher>(map: &mut HashMap<K, V, S>) -> Result<()> {
    if map.len() == map.capacity() {
        map.try_reserve(1).map_err(|_| Error::Memory)?;
    }
    Ok(())
}

/// Unwraps a result inside a worker thread, which cannot return an error: an error unwinds to the
/// thread that called, with the error as the payload.
///
/// Callers that change something in place catch it and undo the change.
pub fn demand<T>(result: Result<T>) -> T {
    result.unwrap_or_else(|error| std::panic::resume_unwind(Box::new(error)))
}
