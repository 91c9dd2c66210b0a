//! Memory for kernels, at the start of a cache line.

/// The cache line, in bytes.
const LINE: usize = 64;

/// Numbers, of which the first lies at the start of a cache line.
#[derive(Debug)]
pub struct Buffer<T> {
    numbers: Vec<T>,
    start: usize,
    length: usize,
}

impl<T: Copy + Default> Buffer<T> {
    /// As many zeros.
    #[must_use]
    pub fn zeros(length: usize) -> Buffer<T> {
        let spare = LINE / size_of::<T>().max(1);
        let numbers = vec![T::default(); length + spare];
        // Where alignment cannot be had, the buffer is slower and no less right.
        let start = match numbers.as_ptr().align_offset(LINE) {
            offset if offset <= spare => offset,
            _ => 0,
        };
        Buffer { numbers, start, length }
    }
}

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
