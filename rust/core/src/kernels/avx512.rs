//! Vectors of 16 `f32`, with AVX-512F.

use core::arch::x86_64::{
    __m512, __m512d, __mmask16, _MM_FROUND_NO_EXC, _MM_FROUND_TO_NEAREST_INT, _mm512_add_ps,
    _mm512_castpd_ps, _mm512_castps_pd, _mm512_div_ps, _mm512_fmadd_ps, _mm512_loadu_ps,
    _mm512_mask_storeu_ps, _mm512_maskz_loadu_ps, _mm512_max_ps, _mm512_min_ps, _mm512_mul_ps,
    _mm512_reduce_add_ps, _mm512_roundscale_ps, _mm512_scalef_ps, _mm512_set1_ps,
    _mm512_shuffle_f32x4, _mm512_sqrt_ps, _mm512_storeu_ps, _mm512_sub_ps, _mm512_unpackhi_pd,
    _mm512_unpackhi_ps, _mm512_unpacklo_pd, _mm512_unpacklo_ps,
};

use super::simd::{Block, Kernel, Simd, Simd32};
use super::vmath;
use super::x86::{instructions, moves, token};

token! {
    /// Proves that the processor has AVX-512F.
    Avx512, f32, "avx512f,avx2,fma"
}

/// Returns the mask of the first n lanes.
#[inline(always)]
fn first(n: usize) -> __mmask16 {
    0xffff_u16 >> (16 - n.clamp(1, 16))
}

/// Interleaves the numbers of a and b within each 128-bit quarter: its low half, and its high half.
#[inline(always)]
fn interleave(a: __m512, b: __m512) -> [__m512; 2] {
    // SAFETY: only `Avx512::transpose` calls this, whose token proves that the processor has the
    // instructions.
    unsafe { [_mm512_unpacklo_ps(a, b), _mm512_unpackhi_ps(a, b)] }
}

/// Interleaves pairs of numbers in the same way.
#[inline(always)]
fn interleave_pairs(a: __m512, b: __m512) -> [__m512; 2] {
    // SAFETY: as for `interleave`.
    unsafe {
        let (a, b): (__m512d, __m512d) = (_mm512_castps_pd(a), _mm512_castps_pd(b));
        let (low, high) = (_mm512_unpacklo_pd(a, b), _mm512_unpackhi_pd(a, b));
        [_mm512_castpd_ps(low), _mm512_castpd_ps(high)]
    }
}

/// Returns the even quarters of a and b, and the odd ones.
#[inline(always)]
fn split_quarters(a: __m512, b: __m512) -> [__m512; 2] {
    // SAFETY: as for `interleave`.
    unsafe { [_mm512_shuffle_f32x4::<0x88>(a, b), _mm512_shuffle_f32x4::<0xdd>(a, b)] }
}

/// Transposes 16 × 16 numbers in four rounds of shuffles, which combine rows 1, 2, 4 and 8 apart.
#[inline(always)]
fn transpose_16(mut x: [__m512; 16]) -> [__m512; 16] {
    for i in (0..16).step_by(4) {
        let (a, b) = (interleave(x[i], x[i + 1]), interleave(x[i + 2], x[i + 3]));
        [x[i], x[i + 1]] = interleave_pairs(a[0], b[0]);
        [x[i + 2], x[i + 3]] = interleave_pairs(a[1], b[1]);
    }
    for i in 0..4 {
        // Vector i of each group of four holds rows of the transpose in its quarters.
        let [a, b] = split_quarters(x[i], x[i + 4]);
        let [c, d] = split_quarters(x[i + 8], x[i + 12]);
        [x[i], x[i + 8]] = split_quarters(a, c);
        [x[i + 4], x[i + 12]] = split_quarters(b, d);
    }
    x
}

impl Simd for Avx512 {
    type T = f32;
    type Reg = __m512;
    const WIDTH: usize = 16;
    const ROWS: usize = 12;

    moves!(f32, __m512, _mm512_set1_ps, _mm512_loadu_ps, _mm512_storeu_ps);

    #[inline(always)]
    unsafe fn load_first(self, from: *const f32, n: usize) -> __m512 {
        // SAFETY: the token, and the caller's promise.
        unsafe { _mm512_maskz_loadu_ps(first(n), from) }
    }

    #[inline(always)]
    unsafe fn store_first(self, to: *mut f32, n: usize, x: __m512) {
        // SAFETY: the token, and the caller's promise.
        unsafe { _mm512_mask_storeu_ps(to, first(n), x) }
    }

    instructions! { __m512:
        add(a, b) = _mm512_add_ps;
        sub(a, b) = _mm512_sub_ps;
        mul(a, b) = _mm512_mul_ps;
        div(a, b) = _mm512_div_ps;
        fma(a, b, c) = _mm512_fmadd_ps;
        max(a, b) = _mm512_max_ps;
        sqrt(a) = _mm512_sqrt_ps;
    }

    #[inline(always)]
    fn exp(self, a: __m512) -> __m512 {
        vmath::exp(self, a)
    }

    #[inline(always)]
    fn tanh(self, a: __m512) -> __m512 {
        vmath::tanh(self, a)
    }

    #[inline(always)]
    unsafe fn transpose(self, block: Block<f32>) {
        let (from, to) = (
            |i| block.from.wrapping_add(i * block.from_stride),
            |j| block.to.wrapping_add(j * block.to_stride),
        );
        let mut x = [self.splat(0.0); 16];
        // With loops of a known length, a whole block stays in registers: twice as fast.
        if (block.rows, block.cols) == (16, 16) {
            for (i, x) in x.iter_mut().enumerate() {
                // SAFETY: the caller's promise.
                *x = unsafe { self.load(from(i)) };
            }
            for (j, x) in transpose_16(x).into_iter().enumerate() {
                // SAFETY: the caller's promise.
                unsafe { self.store(to(j), x) };
            }
        } else {
            for (i, x) in x.iter_mut().enumerate().take(block.rows) {
                // SAFETY: the caller's promise.
                *x = unsafe { self.load_first(from(i), block.cols) };
            }
            for (j, x) in transpose_16(x).into_iter().enumerate().take(block.cols) {
                // SAFETY: the caller's promise.
                unsafe { self.store_first(to(j), block.rows, x) };
            }
        }
    }

    #[inline(always)]
    fn sum(self, a: __m512) -> f32 {
        // SAFETY: the token is the proof that the processor has the instructions.
        unsafe { _mm512_reduce_add_ps(a) }
    }
}

impl Simd32 for Avx512 {
    instructions! { __m512:
        min(a, b) = _mm512_min_ps;
        scale(a, n) = _mm512_scalef_ps;
    }

    #[inline(always)]
    fn round(self, a: __m512) -> __m512 {
        // SAFETY: the token is the proof that the processor has the instruction.
        unsafe { _mm512_roundscale_ps::<{ _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC }>(a) }
    }
}
