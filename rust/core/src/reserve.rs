//! The allocator: the system's, with a reserve for small requests that it refuses.
//!
//! What grows with its input is allocated fallibly. Other code, such as the standard library and
//! rayon where they start threads, aborts the process when it is refused a few bytes. The reserve
//! lets it go on; what grows is still refused, so that the call ends with [`crate::Error::Memory`].

#![allow(unsafe_code, reason = "an allocator hands out addresses")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::UnsafeCell;
use std::mem::MaybeUninit;
use std::ptr;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};

/// Bytes of the reserve. They take no memory until they are used.
const SIZE: usize = 1 << 18;
/// The most bytes that a request to the reserve may have: rayon asks for about 2,000 at once, and
/// what grows soon asks for more.
const SMALL: usize = 1 << 13;
/// Blocks are multiples of this, and aligned to it; rayon aligns some to as much.
const UNIT: usize = 128;

/// An allocator, to be a program's global one.
#[derive(Debug)]
pub struct WithReserve;

/// Blocks, one after the other. Their memory is used again only when all of them are free.
#[repr(align(128))]
struct Reserve {
    bytes: UnsafeCell<MaybeUninit<[u8; SIZE]>>,
    /// The number of blocks in use, times [`BLOCK`], plus the bytes up to the end of the last one.
    state: AtomicUsize,
}

/// What a block in use adds to the state: more than all bytes, so that the two parts do not mix.
const BLOCK: usize = 2 * SIZE;

// SAFETY: the bytes are only reached through blocks, and the updates of `state`, which are atomic,
// give no byte to two blocks in use.
unsafe impl Sync for Reserve {}

static RESERVE: Reserve =
    Reserve { bytes: UnsafeCell::new(MaybeUninit::uninit()), state: AtomicUsize::new(0) };

impl Reserve {
    #[cold]
    fn allocate(&self, layout: Layout) -> *mut u8 {
        let size = layout.size().next_multiple_of(UNIT);
        if size > SMALL || layout.align() > UNIT {
            return ptr::null_mut();
        }
        let taken = |state: usize| (state % BLOCK + size <= SIZE).then_some(state + BLOCK + size);
        match self.state.fetch_update(Acquire, Relaxed, taken) {
            // SAFETY: the offset is at most `SIZE`, as `taken` refuses blocks that end beyond it.
            Ok(before) => unsafe { self.start().add(before % BLOCK) },
            Err(_) => ptr::null_mut(),
        }
    }

    #[cold]
    fn free(&self) {
        let given = |state: usize| if state < 2 * BLOCK { 0 } else { state - BLOCK };
        let _ = self.state.fetch_update(Release, Relaxed, |state| Some(given(state)));
    }

    fn start(&self) -> *mut u8 {
        self.bytes.get().cast()
    }

    #[inline]
    fn holds(&self, block: *mut u8) -> bool {
        block.addr().wrapping_sub(self.start().addr()) < SIZE
    }
}

// SAFETY: a block is the system's, or the reserve's, which gives each byte to one block in use; these
// are multiples of `UNIT` bytes and aligned to it, and larger alignments are refused.
unsafe impl GlobalAlloc for WithReserve {
    #[inline]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: by the caller's contract.
        let block = unsafe { System.alloc(layout) };
        if block.is_null() { RESERVE.allocate(layout) } else { block }
    }

    #[inline]
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: by the caller's contract; a block of the reserve has that many bytes.
        unsafe {
            let mut block = System.alloc_zeroed(layout);
            if block.is_null() {
                block = RESERVE.allocate(layout);
                if !block.is_null() {
                    block.write_bytes(0, layout.size());
                }
            }
            block
        }
    }

    #[inline]
    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        if RESERVE.holds(block) {
            RESERVE.free();
        } else {
            // SAFETY: blocks that are not of the reserve came from `System`, with this layout.
            unsafe { System.dealloc(block, layout) }
        }
    }

    #[inline]
    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: by the caller's contract, `block` has this layout, and `size`, rounded up to the
        // alignment, fits into an isize. A block that moves is copied up to the end of the shorter.
        unsafe {
            if !RESERVE.holds(block) {
                let moved = System.realloc(block, layout, size);
                if !moved.is_null() {
                    return moved;
                }
            }
            let larger = Layout::from_size_align_unchecked(size, layout.align());
            let moved = self.alloc(larger);
            if !moved.is_null() {
                ptr::copy_nonoverlapping(block, moved, size.min(layout.size()));
                self.dealloc(block, layout);
            }
            moved
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layout(size: usize, align: usize) -> Layout {
        Layout::from_size_align(size, align).unwrap_or(Layout::new::<u64>())
    }

    #[test]
    fn the_reserve_gives_small_blocks_and_is_whole_again_when_all_are_freed() {
        let reserve =
            Reserve { bytes: UnsafeCell::new(MaybeUninit::uninit()), state: AtomicUsize::new(0) };
        for _ in 0..3 {
            let mut blocks = Vec::new();
            loop {
                let block = reserve.allocate(layout(1000, 16));
                if block.is_null() {
                    break;
                }
                assert!(reserve.holds(block) && block.addr().is_multiple_of(UNIT));
                assert!(blocks.last().is_none_or(|&last: &usize| block.addr() == last + 1024));
                blocks.push(block.addr());
            }
            assert_eq!(blocks.len(), SIZE / 1024);
            for _ in blocks {
                reserve.free();
            }
        }
    }

    #[test]
    fn large_requests_and_wide_alignments_are_refused() {
        assert!(RESERVE.allocate(layout(SMALL + 1, 8)).is_null());
        assert!(RESERVE.allocate(layout(8, 256)).is_null());
        assert!(!RESERVE.holds(Box::into_raw(Box::new(1_u8))));
    }

    #[test]
    fn a_block_of_the_reserve_moves_to_the_system_when_it_grows() {
        // SAFETY: the block has the layout given.
        unsafe {
            let block = RESERVE.allocate(layout(8, 8));
            block.write_bytes(7, 8);
            let moved = WithReserve.realloc(block, layout(8, 8), 100_000);
            assert!(!RESERVE.holds(moved) && moved.add(7).read() == 7);
            WithReserve.dealloc(moved, layout(100_000, 8));
        }
        assert_eq!(RESERVE.state.load(Relaxed), 0);
    }
}
