//! The number types that kernels are compiled for.

use std::fmt::Debug;
use std::ops::{Add, Mul, Neg, Sub};

#[cfg(target_arch = "x86_64")]
use super::avx2::Avx2;
#[cfg(target_arch = "x86_64")]
use super::avx512::Avx512;
use super::portable::{Portable32, Portable64};
use super::simd::Simd;
use crate::alloc::Zero;

/// `f32`, which models are trained in, or `f64`, which they are checked in.
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
    /// Numbers below this can be multiplied by each other, and millions of products added up,
    /// without overflow.
    const LARGE: f64;
    /// What multiplies `LARGE` to infinity, and nothing below it.
    #[doc(hidden)]
    const TO_INFINITY: f64;

    /// The number nearest to `x`.
    fn from_f64(x: f64) -> Self;
    /// The same number as a double.
    fn to_f64(self) -> f64;

    #[doc(hidden)]
    type Portable: Simd<T = Self> + Default;
    #[doc(hidden)]
    #[cfg(target_arch = "x86_64")]
    type Avx2: Simd<T = Self>;
    #[doc(hidden)]
    #[cfg(target_arch = "x86_64")]
    type Avx512: Simd<T = Self>;

    #[doc(hidden)]
    #[cfg(target_arch = "x86_64")]
    /// # Safety
    /// The processor has AVX2 and FMA.
    unsafe fn avx2() -> Self::Avx2;
    #[doc(hidden)]
    #[cfg(target_arch = "x86_64")]
    /// # Safety
    /// The processor has AVX-512F.
    unsafe fn avx512() -> Self::Avx512;
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

    type Portable = Portable32;
    #[cfg(target_arch = "x86_64")]
    type Avx2 = Avx2;
    #[cfg(target_arch = "x86_64")]
    type Avx512 = Avx512;

    #[cfg(target_arch = "x86_64")]
    #[inline(always)]
    unsafe fn avx2() -> Avx2 {
        // SAFETY: the caller's promise.
        unsafe { Avx2::new() }
    }

    #[cfg(target_arch = "x86_64")]
    #[inline(always)]
    unsafe fn avx512() -> Avx512 {
        // SAFETY: the caller's promise.
        unsafe { Avx512::new() }
    }
}

/// 2ⁿ for exponents of normal numbers.
const fn power_of_two(n: u64) -> f64 {
    f64::from_bits((1023 + n) << 52)
}

/// Doubles are for checking: their kernels are the portable ones, compiled for the processor.
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

    type Portable = Portable64;
    #[cfg(target_arch = "x86_64")]
    type Avx2 = Portable64;
    #[cfg(target_arch = "x86_64")]
    type Avx512 = Portable64;

    #[cfg(target_arch = "x86_64")]
    #[inline(always)]
    unsafe fn avx2() -> Portable64 {
        Portable64
    }

    #[cfg(target_arch = "x86_64")]
    #[inline(always)]
    unsafe fn avx512() -> Portable64 {
        Portable64
    }
}
