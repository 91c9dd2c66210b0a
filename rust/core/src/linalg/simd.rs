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
    /// Writes the transpose of a square of WIDTH × WIDTH numbers; rows are strides apart.
    ///
    /// # Safety
    /// All WIDTH rows of WIDTH numbers can be read and written.
    #[inline(always)]
    unsafe fn transpose(
        self,
        from: *const Self::T,
        from_row: usize,
        to: *mut Self::T,
        to_row: usize,
    ) {
        for i in 0..Self::WIDTH {
            for j in 0..Self::WIDTH {
                // SAFETY: the caller's promise.
                unsafe { *to.add(j * to_row + i) = *from.add(i * from_row + j) };
            }
        }
    }
    /// The sum of a vector's numbers, always added in the same order.
    fn sum(self, a: Self::Reg) -> Self::T;
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
