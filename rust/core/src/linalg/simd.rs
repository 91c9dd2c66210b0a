//! What the kernels need of a processor.

use super::cpu::Kernel;
use super::float::Float;

/// Vectors of a processor; a value of the type is the proof that the processor has them.
///
/// All methods are inlined, so that they are compiled with the instructions of the kernel's entry.
pub trait Simd: Copy {
    /// The number type.
    type T: Float;
    /// A vector.
    type Reg: Copy;
    /// Numbers in a vector; a divisor of [`super::LANES`].
    const WIDTH: usize;
    /// Rows of a register tile that is two vectors wide: as many as the registers hold.
    const ROWS: usize;

    /// Runs a kernel as a function of its own: its loops then have all registers for themselves.
    fn apart<K: Kernel<Self::T>>(self, kernel: K) -> K::Output;

    /// x in every place.
    fn splat(self, x: Self::T) -> Self::Reg;
    /// The vector at an address.
    ///
    /// # Safety
    /// `WIDTH` numbers can be read there.
    unsafe fn load(self, from: *const Self::T) -> Self::Reg;
    /// Writes a vector.
    ///
    /// # Safety
    /// `WIDTH` numbers can be written there.
    unsafe fn store(self, to: *mut Self::T, x: Self::Reg);
    /// The first `n` numbers at an address, 1 to `WIDTH`, and zeros behind them.
    ///
    /// # Safety
    /// `n` numbers can be read there.
    unsafe fn load_first(self, from: *const Self::T, n: usize) -> Self::Reg;
    /// Writes the first `n` numbers of a vector, 1 to `WIDTH`.
    ///
    /// # Safety
    /// `n` numbers can be written there.
    unsafe fn store_first(self, to: *mut Self::T, n: usize, x: Self::Reg);

    /// Brings what lies at an address, if anything does, into the second-level cache.
    #[inline(always)]
    fn prefetch(self, _at: *const Self::T) {}

    /// a + b
    fn add(self, a: Self::Reg, b: Self::Reg) -> Self::Reg;
    /// a − b
    fn sub(self, a: Self::Reg, b: Self::Reg) -> Self::Reg;
    /// a·b
    fn mul(self, a: Self::Reg, b: Self::Reg) -> Self::Reg;
    /// a/b
    fn div(self, a: Self::Reg, b: Self::Reg) -> Self::Reg;
    /// a·b + c, rounded once where the processor can.
    fn fma(self, a: Self::Reg, b: Self::Reg, c: Self::Reg) -> Self::Reg;
    /// The larger one; b where either is nan.
    fn max(self, a: Self::Reg, b: Self::Reg) -> Self::Reg;
    /// √a
    fn sqrt(self, a: Self::Reg) -> Self::Reg;
    /// eᵃ
    fn exp(self, a: Self::Reg) -> Self::Reg;
    /// tanh a
    fn tanh(self, a: Self::Reg) -> Self::Reg;
    /// Writes the transpose of a block of up to WIDTH × WIDTH numbers.
    ///
    /// # Safety
    /// All numbers of the block can be read and written.
    #[inline(always)]
    unsafe fn transpose(self, block: Transposed<Self::T>) {
        for i in 0..block.rows {
            for j in 0..block.columns {
                // SAFETY: the caller's promise.
                unsafe {
                    *block.to.add(j * block.to_row + i) = *block.from.add(i * block.from_row + j);
                }
            }
        }
    }
    /// The sum of a vector's numbers, always added in the same order.
    fn sum(self, a: Self::Reg) -> Self::T;
}

/// A block of a matrix, and where its transpose goes.
#[derive(Clone, Copy)]
pub struct Transposed<T> {
    /// The block's first number.
    pub from: *const T,
    /// From a row of the matrix to the next.
    pub from_row: usize,
    /// Rows of the block.
    pub rows: usize,
    /// Columns of the block.
    pub columns: usize,
    /// Where the first number goes.
    pub to: *mut T,
    /// From a row of the transpose to the next.
    pub to_row: usize,
}

/// What exp and tanh of `f32` need besides.
pub trait Simd32: Simd<T = f32> {
    /// The smaller one; b where either is nan.
    fn min(self, a: Self::Reg, b: Self::Reg) -> Self::Reg;
    /// The nearest whole number.
    fn round(self, a: Self::Reg) -> Self::Reg;
    /// a·2ⁿ for whole numbers n from −152 to 129, rounded once.
    fn scale(self, a: Self::Reg, n: Self::Reg) -> Self::Reg;
}
