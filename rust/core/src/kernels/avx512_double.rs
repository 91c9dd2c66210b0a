//! Vectors of 8 `f64`, with AVX-512F.
//!
//! The numbers are those of the portable vectors, bit for bit: products are rounded before they are
//! added, and exp and tanh are the same functions.

use core::arch::x86_64::{
    __m512d, __mmask8, _mm512_add_pd, _mm512_div_pd, _mm512_loadu_pd, _mm512_mask_storeu_pd,
    _mm512_maskz_loadu_pd, _mm512_max_pd, _mm512_mul_pd, _mm512_set1_pd, _mm512_sqrt_pd,
    _mm512_storeu_pd, _mm512_sub_pd,
};

use super::simd::{Kernel, Simd};
use super::x86::{instructions, moves, token};

token! {
    /// Proves that the processor has AVX-512F.
    Avx512Double, f64, "avx512f,avx2,fma"
}

impl Avx512Double {
    /// Applies a function lane by lane.
    #[inline(always)]
    fn map(self, a: __m512d, f: impl Fn(f64) -> f64) -> __m512d {
        let lanes = self.lanes(a).map(f);
        // SAFETY: the array has eight numbers, as many as a vector.
        unsafe { self.load(lanes.as_ptr()) }
    }

    #[inline(always)]
    fn lanes(self, a: __m512d) -> [f64; 8] {
        let mut lanes = [0.0; 8];
        // SAFETY: the array has eight numbers, as many as a vector.
        unsafe { self.store(lanes.as_mut_ptr(), a) };
        lanes
    }
}

/// Returns the mask of the first n lanes.
#[inline(always)]
fn first(n: usize) -> __mmask8 {
    0xff_u8 >> (8 - n.clamp(1, 8))
}

impl Simd for Avx512Double {
    type T = f64;
    type Reg = __m512d;
    const WIDTH: usize = 8;
    const ROWS: usize = 12;

    moves!(f64, __m512d, _mm512_set1_pd, _mm512_loadu_pd, _mm512_storeu_pd);

    #[inline(always)]
    unsafe fn load_first(self, from: *const f64, n: usize) -> __m512d {
        // SAFETY: the token, and the caller's promise.
        unsafe { _mm512_maskz_loadu_pd(first(n), from) }
    }

    #[inline(always)]
    unsafe fn store_first(self, to: *mut f64, n: usize, x: __m512d) {
        // SAFETY: the token, and the caller's promise.
        unsafe { _mm512_mask_storeu_pd(to, first(n), x) }
    }

    instructions! { __m512d:
        add(a, b) = _mm512_add_pd;
        sub(a, b) = _mm512_sub_pd;
        mul(a, b) = _mm512_mul_pd;
        div(a, b) = _mm512_div_pd;
        max(a, b) = _mm512_max_pd;
        sqrt(a) = _mm512_sqrt_pd;
    }

    // Rounds twice, as the portable vectors do.
    #[inline(always)]
    fn fma(self, a: __m512d, b: __m512d, c: __m512d) -> __m512d {
        self.add(self.mul(a, b), c)
    }

    #[inline(always)]
    fn exp(self, a: __m512d) -> __m512d {
        self.map(a, libm::exp)
    }

    #[inline(always)]
    fn tanh(self, a: __m512d) -> __m512d {
        self.map(a, libm::tanh)
    }

    #[inline(always)]
    fn sum(self, a: __m512d) -> f64 {
        self.lanes(a).into_iter().sum()
    }
}
