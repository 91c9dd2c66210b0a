//! Vectors as arrays, for any processor; the compiler vectorizes the loops over them.

use super::simd::{Kernel, Simd, Simd32};
use super::vmath;

/// Eight `f32`.
#[derive(Clone, Copy)]
pub struct Portable32;

/// Eight `f64`.
#[derive(Clone, Copy)]
pub struct Portable64;

const WIDTH: usize = 8;

/// Applies a function lane by lane.
#[inline(always)]
fn zip<T: Copy>(a: [T; WIDTH], b: [T; WIDTH], f: impl Fn(T, T) -> T) -> [T; WIDTH] {
    let mut result = a;
    for (x, y) in result.iter_mut().zip(b) {
        *x = f(*x, y);
    }
    result
}

/// Defines the methods that `f32` and `f64` have in common.
macro_rules! portable {
    ($t:ty, $rows:literal) => {
        type T = $t;
        type Reg = [$t; WIDTH];
        const WIDTH: usize = WIDTH;
        const ROWS: usize = $rows;

        #[inline(always)]
        unsafe fn new() -> Self {
            Self
        }

        // Inlined in spite of its name: with AVX2, doubles use these vectors, and only inlined code
        // is compiled with the caller's features.
        #[inline(always)]
        fn call_outlined<K: Kernel<$t>>(self, kernel: K) -> K::Output {
            kernel.run(self)
        }

        #[inline(always)]
        fn splat(self, x: $t) -> Self::Reg {
            [x; WIDTH]
        }

        #[inline(always)]
        unsafe fn load(self, from: *const $t) -> Self::Reg {
            // SAFETY: the caller's promise.
            unsafe { from.cast::<Self::Reg>().read_unaligned() }
        }

        #[inline(always)]
        unsafe fn store(self, to: *mut $t, x: Self::Reg) {
            // SAFETY: the caller's promise.
            unsafe { to.cast::<Self::Reg>().write_unaligned(x) }
        }

        #[inline(always)]
        unsafe fn load_first(self, from: *const $t, n: usize) -> Self::Reg {
            let mut result = [0.0; WIDTH];
            for (i, x) in result.iter_mut().enumerate().take(n) {
                // SAFETY: the caller's promise.
                *x = unsafe { from.add(i).read() };
            }
            result
        }

        #[inline(always)]
        unsafe fn store_first(self, to: *mut $t, n: usize, x: Self::Reg) {
            for (i, x) in x.into_iter().enumerate().take(n) {
                // SAFETY: the caller's promise.
                unsafe { to.add(i).write(x) };
            }
        }

        #[inline(always)]
        fn add(self, a: Self::Reg, b: Self::Reg) -> Self::Reg {
            zip(a, b, |a, b| a + b)
        }

        #[inline(always)]
        fn sub(self, a: Self::Reg, b: Self::Reg) -> Self::Reg {
            zip(a, b, |a, b| a - b)
        }

        #[inline(always)]
        fn mul(self, a: Self::Reg, b: Self::Reg) -> Self::Reg {
            zip(a, b, |a, b| a * b)
        }

        #[inline(always)]
        fn div(self, a: Self::Reg, b: Self::Reg) -> Self::Reg {
            zip(a, b, |a, b| a / b)
        }

        // Rounds twice: without the instruction, a fused multiplication would be a function call.
        #[inline(always)]
        fn fma(self, a: Self::Reg, b: Self::Reg, c: Self::Reg) -> Self::Reg {
            self.add(self.mul(a, b), c)
        }

        #[inline(always)]
        fn max(self, a: Self::Reg, b: Self::Reg) -> Self::Reg {
            zip(a, b, |a, b| if a > b { a } else { b })
        }

        #[inline(always)]
        fn sqrt(self, a: Self::Reg) -> Self::Reg {
            a.map(<$t>::sqrt)
        }

        #[inline(always)]
        fn sum(self, a: Self::Reg) -> $t {
            a.into_iter().sum()
        }
    };
}

impl Simd for Portable32 {
    portable!(f32, 2);

    #[inline(always)]
    fn exp(self, a: Self::Reg) -> Self::Reg {
        vmath::exp(self, a)
    }

    #[inline(always)]
    fn tanh(self, a: Self::Reg) -> Self::Reg {
        vmath::tanh(self, a)
    }
}

impl Simd for Portable64 {
    portable!(f64, 4);

    #[inline(always)]
    fn exp(self, a: Self::Reg) -> Self::Reg {
        a.map(libm::exp)
    }

    #[inline(always)]
    fn tanh(self, a: Self::Reg) -> Self::Reg {
        a.map(libm::tanh)
    }
}

impl Simd32 for Portable32 {
    #[inline(always)]
    fn min(self, a: Self::Reg, b: Self::Reg) -> Self::Reg {
        zip(a, b, |a, b| if a < b { a } else { b })
    }

    /// Adds and subtracts a number whose unit in the last place is 1, which rounds to whole numbers.
    #[inline(always)]
    fn round(self, a: Self::Reg) -> Self::Reg {
        const MAGIC: f32 = 12_582_912.0;
        a.map(|a| (a + MAGIC) - MAGIC)
    }

    #[inline(always)]
    fn scale(self, a: Self::Reg, n: Self::Reg) -> Self::Reg {
        zip(a, n, |a, n| {
            let (first, second) = vmath::split_power(n);
            a * first * second
        })
    }
}
