//! Memory for kernels, at the start of a cache line.

use crate::alloc::{self, Zero};
use crate::{Error, Result};

/// The cache line, in bytes.
const LINE: usize = 64;

/// The large page, in bytes; buffers of this size and more are asked to lie in some.
const PAGE: usize = 2 << 20;

/// Numbers, of which the first lies at the start of a cache line, or of a large page if they fill
/// one.
#[derive(Debug)]
pub struct Buffer<T> {
    numbers: Vec<T>,
    start: usize,
    length: usize,
}

impl<T: Zero> Buffer<T> {
    /// As many zeros.
    ///
    /// # Errors
    /// [`Error::Memory`].
    pub fn zeros(length: usize) -> Result<Buffer<T>> {
        let size = size_of::<T>().max(1);
        let border = if length >= PAGE / size { PAGE } else { LINE };
        let whole = length.checked_add(border / size).ok_or(Error::Memory)?;
        let mut numbers: Vec<T> = alloc::zeroed(whole)?;
        // Where alignment cannot be had, the buffer is slower and no less right.
        let start = match numbers.as_ptr().align_offset(border) {
            offset if offset <= border / size => offset,
            _ => 0,
        };
        ask_for_large_pages(numbers.get_mut(start..).unwrap_or_default());
        Ok(Buffer { numbers, start, length })
    }
}

/// A copy of some numbers.
///
/// # Errors
/// [`Error::Memory`].
pub fn copy_of<T: Copy>(numbers: &[T]) -> Result<Vec<T>> {
    let mut copy = alloc::with_capacity(numbers.len())?;
    ask_for_large_pages(copy.spare_capacity_mut());
    copy.extend_from_slice(numbers);
    Ok(copy)
}

/// Asks the system for large pages where none were touched so far. That many page faults fewer
/// save more than half of the time that new memory takes.
#[cfg(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64")))]
fn ask_for_large_pages<T>(numbers: &mut [T]) {
    use core::ffi::{c_int, c_void};
    unsafe extern "C" {
        fn madvise(address: *mut c_void, length: usize, advice: c_int) -> c_int;
    }
    const MADV_HUGEPAGE: c_int = 14;
    let (bytes, start) = (size_of_val(numbers), numbers.as_mut_ptr().cast::<u8>());
    let offset = start.align_offset(PAGE);
    let whole = bytes.saturating_sub(offset) / PAGE * PAGE;
    if whole > 0 {
        // SAFETY: the pages lie within the numbers, and their content stays as it is. If the system
        // refuses, nothing has changed.
        unsafe { madvise(start.wrapping_add(offset).cast::<c_void>(), whole, MADV_HUGEPAGE) };
    }
}

/// Elsewhere the system is left to choose.
#[cfg(not(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64"))))]
fn ask_for_large_pages<T>(_numbers: &mut [T]) {}

impl<T> std::ops::Deref for Buffer<T> {
    type Target = [T];

    #[inline]
    fn deref(&self) -> &[T] {
        self.numbers.get(self.start..self.start + self.length).unwrap_or_default()
    }
}

impl<T> std::ops::DerefMut for Buffer<T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut [T] {
        self.numbers.get_mut(self.start..self.start + self.length).unwrap_or_default()
    }
}
