//! Vectors of 8 `f32`, with AVX2 and FMA.

use core::arch::x86_64::{
    __m256, __m256i, _MM_FROUND_NO_EXC, _MM_FROUND_TO_NEAREST_INT, _MM_HINT_T1, _mm_add_ps,
    _mm_add_ss, _mm_cvtss_f32, _mm_movehdup_ps, _mm_movehl_ps, _mm_prefetch, _mm256_add_epi32,
    _mm256_add_ps, _mm256_castps256_ps128, _mm256_castsi256_ps, _mm256_cmpgt_epi32,
    _mm256_cvtps_epi32, _mm256_div_ps, _mm256_extractf128_ps, _mm256_fmadd_ps, _mm256_loadu_ps,
    _mm256_maskload_ps, _mm256_maskstore_ps, _mm256_max_ps, _mm256_min_ps, _mm256_mul_ps,
    _mm256_round_ps, _mm256_set1_epi32, _mm256_set1_ps, _mm256_setr_epi32, _mm256_slli_epi32,
    _mm256_sqrt_ps, _mm256_srai_epi32, _mm256_storeu_ps, _mm256_sub_epi32, _mm256_sub_ps,
};

use super::simd::{Kernel, Simd, Simd32};
use super::vmath;

/// Proves that the processor has AVX2 and FMA.
#[derive(Clone, Copy)]
pub struct Avx2(());

impl Avx2 {
    /// # Safety
    /// The processor has AVX2 and FMA.
    #[inline(always)]
    pub unsafe fn new() -> Avx2 {
        Avx2(())
    }
}

/// Runs a kernel as a function of its own.
///
/// This one must not be inlined, rather than `run`: rustc 1.95 ignores `inline(never)` on functions
/// with target features.
///
/// # Safety
/// The processor has AVX2 and FMA.
#[inline(never)]
unsafe fn call_outlined<K: Kernel<f32>>(kernel: K) -> K::Output {
    // SAFETY: the caller's promise.
    unsafe { run(kernel) }
}

#[target_feature(enable = "avx2,fma")]
fn run<K: Kernel<f32>>(kernel: K) -> K::Output {
    kernel.run(Avx2(()))
}

/// Returns the mask of the first n lanes.
///
/// # Safety
/// The processor has AVX2.
#[inline(always)]
#[allow(clippy::cast_possible_truncation, clippy::cast_possible_wrap, reason = "n is up to 8")]
unsafe fn first(n: usize) -> __m256i {
    // SAFETY: the caller's promise.
    unsafe {
        let lanes = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
        _mm256_cmpgt_epi32(_mm256_set1_epi32(n as i32), lanes)
    }
}

/// Functions that are one instruction.
macro_rules! instructions {
    ($($name:ident($($arg:ident),*) = $instruction:ident;)*) => {$(
        #[inline(always)]
        fn $name(self, $($arg: __m256),*) -> __m256 {
            // SAFETY: the token is the proof that the processor has the instruction.
            unsafe { $instruction($($arg),*) }
        }
    )*};
}

impl Simd for Avx2 {
    type T = f32;
    type Reg = __m256;
    const WIDTH: usize = 8;
    const ROWS: usize = 6;

    #[inline(always)]
    fn call_outlined<K: Kernel<f32>>(self, kernel: K) -> K::Output {
        // SAFETY: the token is the proof that the processor has the instructions.
        unsafe { call_outlined(kernel) }
    }

    #[inline(always)]
    fn splat(self, x: f32) -> __m256 {
        // SAFETY: the token is the proof that the processor has the instruction.
        unsafe { _mm256_set1_ps(x) }
    }

    #[inline(always)]
    unsafe fn load(self, from: *const f32) -> __m256 {
        // SAFETY: the token, and the caller's promise.
        unsafe { _mm256_loadu_ps(from) }
    }

    #[inline(always)]
    unsafe fn store(self, to: *mut f32, x: __m256) {
        // SAFETY: the token, and the caller's promise.
        unsafe { _mm256_storeu_ps(to, x) }
    }

    #[inline(always)]
    unsafe fn load_first(self, from: *const f32, n: usize) -> __m256 {
        // SAFETY: the token, and the caller's promise.
        unsafe { _mm256_maskload_ps(from, first(n)) }
    }

    #[inline(always)]
    unsafe fn store_first(self, to: *mut f32, n: usize, x: __m256) {
        // SAFETY: the token, and the caller's promise.
        unsafe { _mm256_maskstore_ps(to, first(n), x) }
    }

    #[inline(always)]
    fn prefetch(self, at: *const f32) {
        // SAFETY: no address is wrong for this instruction.
        unsafe { _mm_prefetch::<_MM_HINT_T1>(at.cast::<i8>()) }
    }

    instructions! {
        add(a, b) = _mm256_add_ps;
        sub(a, b) = _mm256_sub_ps;
        mul(a, b) = _mm256_mul_ps;
        div(a, b) = _mm256_div_ps;
        fma(a, b, c) = _mm256_fmadd_ps;
        max(a, b) = _mm256_max_ps;
        sqrt(a) = _mm256_sqrt_ps;
    }

    #[inline(always)]
    fn exp(self, a: __m256) -> __m256 {
        vmath::exp(self, a)
    }

    #[inline(always)]
    fn tanh(self, a: __m256) -> __m256 {
        vmath::tanh(self, a)
    }

    #[inline(always)]
    fn sum(self, a: __m256) -> f32 {
        // SAFETY: the token is the proof that the processor has the instructions.
        unsafe {
            let four = _mm_add_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps::<1>(a));
            let two = _mm_add_ps(four, _mm_movehl_ps(four, four));
            _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)))
        }
    }
}

impl Simd32 for Avx2 {
    instructions! {
        min(a, b) = _mm256_min_ps;
    }

    #[inline(always)]
    fn round(self, a: __m256) -> __m256 {
        // SAFETY: the token is the proof that the processor has the instruction.
        unsafe { _mm256_round_ps::<{ _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC }>(a) }
    }

    /// In two steps, as 2ⁿ itself may be too small or too large for a float.
    #[inline(always)]
    fn scale(self, a: __m256, n: __m256) -> __m256 {
        // SAFETY: the token is the proof that the processor has the instructions.
        unsafe {
            let n = _mm256_cvtps_epi32(n);
            let half = _mm256_srai_epi32::<1>(n);
            let power = |n| {
                let biased = _mm256_add_epi32(n, _mm256_set1_epi32(127));
                _mm256_castsi256_ps(_mm256_slli_epi32::<23>(biased))
            };
            let first = _mm256_mul_ps(a, power(half));
            _mm256_mul_ps(first, power(_mm256_sub_epi32(n, half)))
        }
    }
}
