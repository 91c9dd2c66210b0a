//! Vectors of 8 `f64`, with AVX-512F.
//!
//! The numbers are those of the portable vectors, bit for bit: products are rounded before they are
//! added, and exp and tanh are the same functions.

use core::arch::x86_64::{
    __m512d, __mmask8, _MM_HINT_T1, _mm_prefetch, _mm512_add_pd, _mm512_div_pd, _mm512_loadu_pd,
    _mm512_mask_storeu_pd, _mm512_maskz_loadu_pd, _mm512_max_pd, _mm512_mul_pd, _mm512_set1_pd,
    _mm512_sqrt_pd, _mm512_storeu_pd, _mm512_sub_pd,
};

use super::simd::{Kernel, Simd};

/// Proves that the processor has AVX-512F.
#[derive(Clone, Copy)]
pub struct Avx512Double(());

impl Avx512Double {
    /// # Safety
    /// The processor has AVX-512F.
    #[inline(always)]
    pub unsafe fn new() -> Avx512Double {
        Avx512Double(())
    }

    /// Applies a function lane by lane.
    #[inline(always)]
    fn map(self, a: __m512d, f: impl Fn(f64) -> f64) -> __m512d {
        let lanes = self.lanes(a).map(f);
        // SAFETY: an array of eight numbers.
        unsafe { self.load(lanes.as_ptr()) }
    }

    #[inline(always)]
    fn lanes(self, a: __m512d) -> [f64; 8] {
        let mut lanes = [0.0; 8];
        // SAFETY: an array of eight numbers.
        unsafe { self.store(lanes.as_mut_ptr(), a) };
        lanes
    }
}

/// Runs a kernel as a function of its own, which must not be inlined; `run` may be.
///
/// # Safety
/// The processor has AVX-512F.
#[inline(never)]
unsafe fn call_outlined<K: Kernel<f64>>(kernel: K) -> K::Output {
    // SAFETY: the caller's promise.
    unsafe { run(kernel) }
}

#[target_feature(enable = "avx512f,avx2,fma")]
fn run<K: Kernel<f64>>(kernel: K) -> K::Output {
    kernel.run(Avx512Double(()))
}

/// Returns the mask of the first n lanes.
#[inline(always)]
fn first(n: usize) -> __mmask8 {
    0xff_u8 >> (8 - n.clamp(1, 8))
}

/// Functions that are one instruction.
macro_rules! instructions {
    ($($name:ident($($arg:ident),*) = $instruction:ident;)*) => {$(
        #[inline(always)]
        fn $name(self, $($arg: __m512d),*) -> __m512d {
            // SAFETY: the token is the proof that the processor has the instruction.
            unsafe { $instruction($($arg),*) }
        }
    )*};
}

impl Simd for Avx512Double {
    type T = f64;
    type Reg = __m512d;
    const WIDTH: usize = 8;
    const ROWS: usize = 12;

    #[inline(always)]
    fn call_outlined<K: Kernel<f64>>(self, kernel: K) -> K::Output {
        // SAFETY: the token is the proof that the processor has the instructions.
        unsafe { call_outlined(kernel) }
    }

    #[inline(always)]
    fn splat(self, x: f64) -> __m512d {
        // SAFETY: the token is the proof that the processor has the instruction.
        unsafe { _mm512_set1_pd(x) }
    }

    #[inline(always)]
    unsafe fn load(self, from: *const f64) -> __m512d {
        // SAFETY: the token, and the caller's promise.
        unsafe { _mm512_loadu_pd(from) }
    }

    #[inline(always)]
    unsafe fn store(self, to: *mut f64, x: __m512d) {
        // SAFETY: the token, and the caller's promise.
        unsafe { _mm512_storeu_pd(to, x) }
    }

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

    #[inline(always)]
    fn prefetch(self, at: *const f64) {
        // SAFETY: no address is wrong for this instruction.
        unsafe { _mm_prefetch::<_MM_HINT_T1>(at.cast()) }
    }

    instructions! {
        add(a, b) = _mm512_add_pd;
        sub(a, b) = _mm512_sub_pd;
        mul(a, b) = _mm512_mul_pd;
        div(a, b) = _mm512_div_pd;
        max(a, b) = _mm512_max_pd;
        sqrt(a) = _mm512_sqrt_pd;
    }

    // Rounded twice, as the portable vectors have it.
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
