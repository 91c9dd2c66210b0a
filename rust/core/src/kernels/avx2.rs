//! Vectors of 8 `f32`, with AVX2 and FMA.

use core::arch::x86_64::{
    __m256, __m256i, _MM_FROUND_NO_EXC, _MM_FROUND_TO_NEAREST_INT, _mm_add_ps, _mm_add_ss,
    _mm_cvtss_f32, _mm_movehdup_ps, _mm_movehl_ps, _mm256_add_epi32, _mm256_add_ps,
    _mm256_castps256_ps128, _mm256_castsi256_ps, _mm256_cmpgt_epi32, _mm256_cvtps_epi32,
    _mm256_div_ps, _mm256_extractf128_ps, _mm256_fmadd_ps, _mm256_loadu_ps, _mm256_maskload_ps,
    _mm256_maskstore_ps, _mm256_max_ps, _mm256_min_ps, _mm256_mul_ps, _mm256_round_ps,
    _mm256_set1_epi32, _mm256_set1_ps, _mm256_setr_epi32, _mm256_slli_epi32, _mm256_sqrt_ps,
    _mm256_srai_epi32, _mm256_storeu_ps, _mm256_sub_epi32, _mm256_sub_ps,
};

use super::simd::{Kernel, Simd, Simd32};
use super::vmath;
use super::x86::{instructions, moves, token};

token! {
    /// Proves that the processor has AVX2 and FMA.
    Avx2, f32, "avx2,fma"
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

impl Simd for Avx2 {
    type T = f32;
    type Reg = __m256;
    const WIDTH: usize = 8;
    const ROWS: usize = 6;

    moves!(f32, __m256, _mm256_set1_ps, _mm256_loadu_ps, _mm256_storeu_ps);

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

    instructions! { __m256:
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
    instructions! { __m256:
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
