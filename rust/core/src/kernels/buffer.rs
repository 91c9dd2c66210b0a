//! Memory that begins at a cache line or, where large, at a huge page.

use crate::alloc::{self, Zero};
use crate::{Error, Result};

/// The cache line, in bytes.
const LINE: usize = 64;

/// The huge page, in bytes.
const HUGE_PAGE: usize = 2 << 20;

/// Numbers of which the first lies at the start of a cache line, or of a huge page if they fill one.
#[derive(Debug)]
pub struct Buffer<T> {
    numbers: Vec<T>,
    start: usize,
    length: usize,
}

impl<T: Zero> Buffer<T> {
    /// Allocates zeros.
    ///
    /// # Errors
    /// [`Error::Memory`].
    pub fn zeros(length: usize) -> Result<Buffer<T>> {
        let size = size_of::<T>().max(1);
        let alignment = if length >= HUGE_PAGE / size { HUGE_PAGE } else { LINE };
        let padded = length.checked_add(alignment / size).ok_or(Error::Memory)?;
        let mut numbers: Vec<T> = alloc::zeroed(padded)?;
        // Without alignment the buffer is only slower.
        let start = match numbers.as_ptr().align_offset(alignment) {
            offset if offset <= alignment / size => offset,
            _ => 0,
        };
        advise_huge_pages(&mut numbers[start..]);
        Ok(Buffer { numbers, start, length })
    }
}

/// Copies numbers, into huge pages if they fill at least one.
///
/// # Errors
/// [`Error::Memory`].
pub fn copy_of<T: Copy>(numbers: &[T]) -> Result<Vec<T>> {
    let mut copy = alloc::with_capacity(numbers.len())?;
    advise_huge_pages(copy.spare_capacity_mut());
    copy.extend_from_slice(numbers);
    Ok(copy)
}

/// Advises the system to use huge pages for untouched memory, as far as whole ones lie within it.
///
/// Fewer page faults more than halve the time that the first use of the memory takes.
#[cfg(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64")))]
pub fn advise_huge_pages<T>(numbers: &mut [T]) {
    use core::ffi::{c_int, c_void};
    unsafe extern "C" {
        fn madvise(address: *mut c_void, length: usize, advice: c_int) -> c_int;
    }
    const MADV_HUGEPAGE: c_int = 14;
    let (bytes, start) = (size_of_val(numbers), numbers.as_mut_ptr().cast::<u8>());
    let offset = start.align_offset(HUGE_PAGE);
    let whole = bytes.saturating_sub(offset) / HUGE_PAGE * HUGE_PAGE;
    if whole > 0 {
        // SAFETY: the pages lie within the numbers, and the advice does not change their content. If
        // the system refuses it, nothing happens.
        unsafe { madvise(start.wrapping_add(offset).cast::<c_void>(), whole, MADV_HUGEPAGE) };
    }
}

/// Does nothing on other systems.
#[cfg(not(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64"))))]
pub fn advise_huge_pages<T>(_numbers: &mut [T]) {}

impl<T> std::ops::Deref for Buffer<T> {
    type Target = [T];

    #[inline]
    fn deref(&self) -> &[T] {
        &self.numbers[self.start..self.start + self.length]
    }
}

impl<T> std::ops::DerefMut for Buffer<T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut [T] {
        &mut self.numbers[self.start..self.start + self.length]
    }
}
