//! The traits that kernels are written over: a number type, a vector of it, and a kernel.

use std::fmt::Debug;
use std::ops::{Add, Mul, Neg, Sub};

use crate::alloc::Zero;

/// Examples side by side in a micro-batch, the row length of all activations.
pub const MICRO_BATCH: usize = 32;

/// `f32`, for training, or `f64`, for checking.
pub trait Float:
    Zero
    + Debug
    + Default
    + PartialOrd
    + Send
    + Sync
    + Add<Output = Self>
    + Sub<Output = Self>
    + Mul<Output = Self>
    + Neg<Output = Self>
    + 'static
{
    /// The bound on parameters: products of numbers below it, and sums of millions of them, do not
    /// overflow.
    const LARGE: f64;
    /// The smallest power of two whose product with `LARGE` overflows to infinity.
    #[doc(hidden)]
    const TO_INFINITY: f64;

    /// Rounds to the nearest number.
    fn from_f64(x: f64) -> Self;
    /// Converts exactly.
    fn to_f64(self) -> f64;
}

impl Float for f32 {
    const LARGE: f64 = power_of_two(50);
    const TO_INFINITY: f64 = power_of_two(128 - 50);

    #[allow(clippy::cast_possible_truncation, reason = "rounding is what is asked for")]
    #[inline(always)]
    fn from_f64(x: f64) -> f32 {
        x as f32
    }

    #[inline(always)]
    fn to_f64(self) -> f64 {
        f64::from(self)
    }
}

impl Float for f64 {
    const LARGE: f64 = power_of_two(500);
    const TO_INFINITY: f64 = power_of_two(1024 - 500);

    #[inline(always)]
    fn from_f64(x: f64) -> f64 {
        x
    }

    #[inline(always)]
    fn to_f64(self) -> f64 {
        self
    }
}

/// 2ⁿ for exponents of normal numbers.
const fn power_of_two(n: u64) -> f64 {
    f64::from_bits((1023 + n) << 52)
}

/// A loop over numbers that is compiled for every instruction set.
///
/// `run`, and all that it calls with its token, must be `#[inline(always)]`: only inlined code is
/// compiled with the token's instructions.
pub trait Kernel<T: Float> {
    /// The result.
    type Output;
    /// Runs the loop.
    fn run<S: Simd<T = T>>(self, simd: S) -> Self::Output;
}

/// Defines functions whose loops are compiled for each instruction set.
///
/// `fn name[generics](parameters) -> output { checks } loop(s) { … }` becomes a function of a
/// [`Cpu`](super::Cpu) and the parameters: it checks them, and runs the loop as a [`Kernel`]. In
/// the loop, `T` is the number type, `S` the [`Simd`] of the instruction set, and s a value of it.
macro_rules! kernels {
    ($(
        $(#[$attribute:meta])*
        $vis:vis fn $name:ident $([$($generics:tt)*])? ($($parameter:ident: $type:ty),* $(,)?)
        $(-> $output:ty)? { $($check:tt)* } loop($s:pat) { $($body:tt)* }
    )*) => {$(
        $(#[$attribute])*
        $vis fn $name<T: $crate::kernels::Dispatch, $($($generics)*)?>(
            cpu: $crate::kernels::Cpu,
            $($parameter: $type),*
        ) $(-> $output)? {
            struct Loop<P>(P);
            impl<T: $crate::kernels::Float, $($($generics)*)?> $crate::kernels::simd::Kernel<T>
                for Loop<($($type,)*)>
            {
                #[allow(unused_parens, reason = "() is the output of a function without one")]
                type Output = ($($output)?);

                #[inline(always)]
                fn run<S: $crate::kernels::simd::Simd<T = T>>(self, $s: S) -> Self::Output {
                    let Loop(($($parameter,)*)) = self;
                    $($body)*
                }
            }
            $($check)*
            cpu.run(Loop(($($parameter,)*)))
        }
    )*};
}
pub(super) use kernels;

/// Vectors of an instruction set; a value of the type proves that the processor has it.
///
/// All methods are inlined, so that they are compiled with the instructions of the kernel's entry.
pub trait Simd: Copy {
    /// The number type.
    type T: Float;
    /// A vector.
    type Reg: Copy;
    /// Numbers in a vector; a divisor of [`MICRO_BATCH`].
    const WIDTH: usize;
    /// Rows of a gemm register tile that is two vectors wide: as many as the registers hold.
    const ROWS: usize;

    /// Makes the token.
    ///
    /// # Safety
    /// The processor has the instruction set.
    unsafe fn new() -> Self;

    /// Runs a kernel as a function that is not inlined, so that its loops have all registers.
    fn call_outlined<K: Kernel<Self::T>>(self, kernel: K) -> K::Output;

    /// Broadcasts x to every lane.
    fn splat(self, x: Self::T) -> Self::Reg;
    /// Loads a vector.
    ///
    /// # Safety
    /// `WIDTH` numbers can be read at `from`.
    unsafe fn load(self, from: *const Self::T) -> Self::Reg;
    /// Stores a vector.
    ///
    /// # Safety
    /// `WIDTH` numbers can be written at `to`.
    unsafe fn store(self, to: *mut Self::T, x: Self::Reg);
    /// Loads the first `n` lanes, 1 to `WIDTH`; the others are 0.
    ///
    /// # Safety
    /// `n` numbers can be read at `from`.
    unsafe fn load_first(self, from: *const Self::T, n: usize) -> Self::Reg;
    /// Stores the first `n` lanes, 1 to `WIDTH`.
    ///
    /// # Safety
    /// `n` numbers can be written at `to`.
    unsafe fn store_first(self, to: *mut Self::T, n: usize, x: Self::Reg);

    /// Prefetches a cache line into the second-level cache; any address may be given.
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
    /// a·b + c, rounded once where the instruction set can.
    fn fma(self, a: Self::Reg, b: Self::Reg, c: Self::Reg) -> Self::Reg;
    /// The maximum; b where either is nan.
    fn max(self, a: Self::Reg, b: Self::Reg) -> Self::Reg;
    /// √a
    fn sqrt(self, a: Self::Reg) -> Self::Reg;
    /// eᵃ
    fn exp(self, a: Self::Reg) -> Self::Reg;
    /// tanh a
    fn tanh(self, a: Self::Reg) -> Self::Reg;
    /// Writes the transpose of a block of up to `WIDTH` × `WIDTH` numbers.
    ///
    /// # Safety
    /// All numbers of the block can be read and written.
    #[inline(always)]
    unsafe fn transpose(self, block: Block<Self::T>) {
        for i in 0..block.rows {
            for j in 0..block.cols {
                // SAFETY: the caller's promise.
                unsafe {
                    *block.to.add(j * block.to_stride + i) =
                        *block.from.add(i * block.from_stride + j);
                }
            }
        }
    }
    /// Sums the lanes, always in the same order.
    fn sum(self, a: Self::Reg) -> Self::T;
}

/// A block of a row-major matrix, and where its transpose goes.
#[derive(Clone, Copy)]
pub struct Block<T> {
    /// The block's first number.
    pub from: *const T,
    /// Row stride of the matrix.
    pub from_stride: usize,
    /// Rows of the block.
    pub rows: usize,
    /// Columns of the block.
    pub cols: usize,
    /// The transpose's first number.
    pub to: *mut T,
    /// Row stride of the transpose.
    pub to_stride: usize,
}

/// The operations that exp and tanh of `f32` are made of, besides those of [`Simd`].
pub trait Simd32: Simd<T = f32> {
    /// The minimum; b where either is nan.
    fn min(self, a: Self::Reg, b: Self::Reg) -> Self::Reg;
    /// Rounds to the nearest whole number.
    fn round(self, a: Self::Reg) -> Self::Reg;
    /// a·2ⁿ for whole numbers n from −152 to 129, rounded once.
    fn scale(self, a: Self::Reg, n: Self::Reg) -> Self::Reg;
}
