//! exp and tanh of `f32` vectors, written once for all instruction sets.
//!
//! | function | error, in units in the last place of the result | holds for |
//! | --- | --- | --- |
//! | [`exp`] | below 1.5 | everywhere; subnormal results to 1 unit of 2^-149 |
//! | [`tanh`] | below 5, or 6.5 without fused multiplication | everywhere; never beyond ±1 |
//!
//! The tests try arguments of every exponent. Infinities give the limits, nan gives nan.

use super::simd::Simd32;

/// Below the first eˣ rounds to 0, above the second to infinity.
const EXP_RANGE: (f32, f32) = (-104.0, 89.0);
/// ln 2 in two parts; products of the first with the whole numbers in question are exact.
const LN_2: (f32, f32) = (0.693_359_4, -2.121_944_4e-4);
/// eʳ for |r| ≤ ln 2/2 to a relative error of 2e-9: a minimax polynomial, from 1 to r⁶.
const EXP: [f32; 7] =
    [1.0, 1.0, 0.499_999_9, 0.166_664_2, 0.041_668_225, 0.008_374_824, 0.001_383_68];

/// eˣ = 2ⁿ·eʳ where n is the whole number nearest to x/ln 2, and r = x − n·ln 2.
#[inline(always)]
pub(super) fn exp<S: Simd32>(s: S, x: S::Reg) -> S::Reg {
    // max and min return their second argument where either is nan, so nan passes through.
    let x = s.max(s.splat(EXP_RANGE.0), x);
    let x = s.min(s.splat(EXP_RANGE.1), x);
    let n = s.round(s.mul(x, s.splat(std::f32::consts::LOG2_E)));
    let r = s.fma(n, s.splat(-LN_2.0), x);
    let r = s.fma(n, s.splat(-LN_2.1), r);
    s.scale(polynomial(s, r, &EXP), n)
}

/// Beyond this, tanh rounds to ±1.
const TANH_RANGE: f32 = 9.02;
/// tanh x = x·P(x²)/Q(x²) for |x| ≤ 9.02 to a relative error of 2.2e-8: a minimax quotient.
const TANH_P: [f32; 5] = [1.0, 0.133_796_56, 0.003_493_958, 2.058_215e-5, 1.331_713_85e-8];
const TANH_Q: [f32; 5] = [1.0, 0.467_129_7, 0.025_870_787, 0.000_328_296_42, 7.761_245e-7];

/// tanh x = x·P(x²)/Q(x²): without branches, and as exact near 0 as elsewhere.
#[inline(always)]
pub(super) fn tanh<S: Simd32>(s: S, x: S::Reg) -> S::Reg {
    let x = s.max(s.splat(-TANH_RANGE), x);
    let x = s.min(s.splat(TANH_RANGE), x);
    let t = s.mul(x, x);
    let p = s.mul(x, polynomial(s, t, &TANH_P));
    let y = s.div(p, polynomial(s, t, &TANH_Q));
    s.min(s.splat(1.0), s.max(s.splat(-1.0), y))
}

/// Evaluates c₀ + c₁·x + c₂·x² + … by Horner's rule.
#[inline(always)]
fn polynomial<S: Simd32, const N: usize>(s: S, x: S::Reg, coefficients: &[f32; N]) -> S::Reg {
    let mut sum = s.splat(coefficients[N - 1]);
    for &c in coefficients[..N - 1].iter().rev() {
        sum = s.fma(sum, x, s.splat(c));
    }
    sum
}

/// Splits 2ⁿ into two factors, neither of which overflows or underflows.
#[inline(always)]
#[allow(clippy::cast_possible_truncation, reason = "n is a small whole number, or nan")]
pub(super) fn split_power(n: f32) -> (f32, f32) {
    let n = n as i32;
    let power = |n: i32| f32::from_bits(((n + 127) << 23).cast_unsigned());
    (power(n >> 1), power(n - (n >> 1)))
}
