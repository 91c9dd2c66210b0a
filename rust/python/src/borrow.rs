//! Borrows arrays for calls: by several for reading, or by one for writing.
//!
//! The crate numpy keeps such a table, too. But a process made by `os.fork()` inherits it with the
//! entries of threads that it does not have, whose arrays could never be borrowed again. This table
//! is emptied there (`fork.rs`). The child needs no entry: calls write to arrays only at their end,
//! under the GIL, and the threads that would go on reading are gone.

use std::cell::RefCell;

use numpy::ndarray::{ArrayView, Dimension};
use numpy::{AsSliceError, Element, PyArray, PyArrayMethods, PyUntypedArrayMethods};
use pyo3::prelude::*;

use crate::gil_cell::GilCell;

/// A call's use of an array.
#[derive(Clone, Copy)]
struct Use {
    number: u64,
    start: usize,
    end: usize,
    writes: bool,
}

/// The uses of arrays by calls that run, and the number of the last one.
static USES: GilCell<RefCell<(Vec<Use>, u64)>> = GilCell::new(RefCell::new((Vec::new(), 0)));

/// Ends all uses. Called in the child of a fork.
pub fn after_fork(py: Python<'_>) {
    USES.get(py).borrow_mut().0.clear();
}

/// An array that a call reads, until this is dropped.
pub struct Reading<'py, T: Element, D: Dimension> {
    array: Bound<'py, PyArray<T, D>>,
    number: u64,
}

impl<'py, T: Element, D: Dimension> Reading<'py, T, D> {
    /// Borrows the array for reading; None while another call writes to it.
    pub fn new(array: Bound<'py, PyArray<T, D>>) -> Option<Self> {
        Reading::borrow(array, false)
    }

    fn borrow(array: Bound<'py, PyArray<T, D>>, writes: bool) -> Option<Self> {
        let (start, end) = bounds(&array);
        let (uses, last) = &mut *USES.get(array.py()).borrow_mut();
        let clashes =
            |other: &Use| (writes || other.writes) && start < other.end && other.start < end;
        if uses.iter().any(clashes) {
            return None;
        }
        *last += 1;
        uses.push(Use { number: *last, start, end, writes });
        Some(Reading { number: *last, array })
    }

    /// Returns the numbers as a view.
    pub fn as_array(&self) -> ArrayView<'_, T, D> {
        // SAFETY: `borrow` let no other call write to the array while it is borrowed, and this call
        // writes only by `Writing::as_slice_mut`, which borrows it mutably.
        unsafe { self.array.as_array() }
    }

    /// Returns the numbers, if they are contiguous.
    pub fn as_slice(&self) -> Result<&[T], AsSliceError> {
        // SAFETY: as in `as_array`.
        unsafe { self.array.as_slice() }
    }
}

impl<T: Element, D: Dimension> Drop for Reading<'_, T, D> {
    fn drop(&mut self) {
        let (uses, _) = &mut *USES.get(self.array.py()).borrow_mut();
        uses.retain(|one| one.number != self.number);
    }
}

/// An array that a call writes to, until this is dropped.
pub struct Writing<'py, T: Element, D: Dimension>(Reading<'py, T, D>);

impl<'py, T: Element, D: Dimension> Writing<'py, T, D> {
    /// Borrows the array for writing; None while another call uses it.
    pub fn new(array: Bound<'py, PyArray<T, D>>) -> Option<Self> {
        Reading::borrow(array, true).map(Writing)
    }

    /// Returns the numbers as a view.
    pub fn as_array(&self) -> ArrayView<'_, T, D> {
        self.0.as_array()
    }

    /// Returns the numbers, if they are contiguous.
    pub fn as_slice(&self) -> Result<&[T], AsSliceError> {
        self.0.as_slice()
    }

    /// Returns the numbers for writing, if they are contiguous.
    pub fn as_slice_mut(&mut self) -> Result<&mut [T], AsSliceError> {
        // SAFETY: `borrow` let no other call use the array while it is borrowed, and the slice borrows
        // this value mutably.
        unsafe { self.0.array.as_slice_mut() }
    }
}

/// Returns the first address of an array's elements, and the one behind the last.
fn bounds<T: Element, D: Dimension>(array: &Bound<'_, PyArray<T, D>>) -> (usize, usize) {
    let first = array.data() as usize;
    if array.is_empty() {
        return (first, first);
    }
    let steps = array.shape().iter().zip(array.strides());
    let offsets = steps.map(|(&n, &stride)| stride * (n - 1).cast_signed());
    let (low, high) =
        offsets.fold((0, 0), |(low, high), offset| (low + offset.min(0), high + offset.max(0)));
    (first.wrapping_add_signed(low), first.wrapping_add_signed(high) + size_of::<T>())
}
