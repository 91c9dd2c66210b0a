//! Ops number by number over slices: values, and gradients beside them.
//!
//! Arithmetic and exponentials run in vectors; other functions are those of the op table, one number
//! at a time. Derivatives that the table computes together with a value are kept as slopes.

use crate::autograd::op::{self, Op};
use crate::kernels::{Cpu, Dispatch, lanes};

/// Computes f(x) number by number; fails with the position of the first failure.
pub fn unary<T: Dispatch>(
    cpu: Cpu,
    op: Op,
    x: &[T],
    out: &mut [T],
    slopes: &mut [T],
) -> std::result::Result<(), usize> {
    let zero = T::default();
    match op {
        Op::Pos => out.copy_from_slice(x),
        Op::Neg => lanes::map(cpu, x, out, |x| -x),
        Op::Relu => lanes::map(cpu, x, out, |x| if x < zero { zero } else { x }),
        Op::Abs => lanes::map(cpu, x, out, |x| if x > zero { x } else { zero - x }),
        Op::Exp => {
            lanes::map(cpu, x, out, |x| T::from_f64(exp(x.to_f64())));
            for (i, (out, &x)) in out.iter_mut().zip(x).enumerate() {
                if !in_range(x.to_f64()) {
                    let result = op::unary(op, x.to_f64()).map_err(|_| i)?;
                    *out = T::from_f64(result.value);
                }
            }
        }
        Op::Log | Op::Sqrt => {
            for (i, (out, &x)) in out.iter_mut().zip(x).enumerate() {
                let result = op::unary(op, x.to_f64()).map_err(|_| i)?;
                *out = T::from_f64(result.value);
            }
        }
        Op::Tanh | Op::Sigmoid | Op::Sin | Op::Cos => {
            let slopes = &mut slopes[..x.len()];
            for (i, ((out, &x), slope)) in out.iter_mut().zip(x).zip(slopes).enumerate() {
                let result = op::unary(op, x.to_f64()).map_err(|_| i)?;
                (*out, *slope) = (T::from_f64(result.value), T::from_f64(result.dx));
            }
        }
        _ => unreachable!("{op:?} has not one operand"),
    }
    Ok(())
}

/// Returns true for functions of which [`unary`] computes slopes.
pub fn has_slopes(op: Op) -> bool {
    matches!(op, Op::Tanh | Op::Sigmoid | Op::Sin | Op::Cos)
}

/// Returns true for the numbers whose exponential [`exp`] computes.
fn in_range(x: f64) -> bool {
    x.abs() <= 700.0
}

/// 1/n! for n from 0 to 13.
const INVERSE_FACTORIALS: [f64; 14] = {
    let mut inverse = [1.0; 14];
    let (mut i, mut n, mut factorial) = (1, 1.0, 1.0);
    while i < inverse.len() {
        factorial *= n;
        inverse[i] = 1.0 / factorial;
        (i, n) = (i + 1, n + 1.0);
    }
    inverse
};

/// Returns eˣ = 2ᵏ·eʳ with k = round(x/ln 2) and |r| ≤ ½·ln 2. eʳ is computed by its Taylor series up
/// to r¹³, whose remainder is less than 5·10⁻¹⁸. There is no branch, so that the compiler vectorizes
/// it.
#[inline(always)]
fn exp(x: f64) -> f64 {
    // 1.5·2⁵²: added to a number, it leaves the nearest whole number in the last bits.
    const TO_WHOLE: f64 = 6_755_399_441_055_744.0;
    // ln 2 in two parts; the product of the first one and k is exact.
    const LN_2: [f64; 2] = [6.931_471_803_691_238e-1, 1.908_214_929_270_587_7e-10];
    let shifted = x * std::f64::consts::LOG2_E + TO_WHOLE;
    let k = shifted - TO_WHOLE;
    let r = (x - k * LN_2[0]) - k * LN_2[1];
    let sum = INVERSE_FACTORIALS.iter().rev().fold(0.0, |sum, inverse| sum * r + inverse);
    // k is added to the exponent.
    f64::from_bits(sum.to_bits().wrapping_add(shifted.to_bits() << 52))
}

/// Computes g·f′(x).
pub fn unary_vjp<T: Dispatch>(
    cpu: Cpu,
    op: Op,
    (x, out, slopes, g): (&[T], &[T], &[T], &[T]),
    d: &mut [T],
) {
    let zero = T::default();
    let divide = |a: T, b: T| T::from_f64(a.to_f64() / b.to_f64());
    match op {
        Op::Pos => d.copy_from_slice(g),
        Op::Neg => lanes::map(cpu, g, d, |g| -g),
        Op::Relu => lanes::zip(cpu, g, x, d, |g, x| if x > zero { g } else { zero }),
        Op::Abs => lanes::zip(cpu, g, x, d, |g, x| {
            if x > zero {
                g
            } else if x < zero {
                -g
            } else {
                zero * x
            }
        }),
        Op::Exp => lanes::zip(cpu, g, out, d, |g, out| g * out),
        Op::Log => lanes::zip(cpu, g, x, d, divide),
        Op::Sqrt => lanes::zip(cpu, g, out, d, |g, out| divide(g, out + out)),
        Op::Tanh | Op::Sigmoid | Op::Sin | Op::Cos => {
            lanes::zip(cpu, g, &slopes[..g.len()], d, |g, slope| g * slope);
        }
        _ => unreachable!("{op:?} has not one operand"),
    }
}

/// Computes f(x, y) number by number; fails with the position of the first failure.
pub fn binary<T: Dispatch>(
    cpu: Cpu,
    op: Op,
    (x, y): (&[T], &[T]),
    out: &mut [T],
    slopes: &mut [T],
) -> std::result::Result<(), usize> {
    match op {
        Op::Add => lanes::zip(cpu, x, y, out, |x, y| x + y),
        Op::Sub => lanes::zip(cpu, x, y, out, |x, y| x - y),
        Op::Mul => lanes::zip(cpu, x, y, out, |x, y| x * y),
        Op::Div => {
            if let Some(i) = y.iter().position(|&y| y == T::default()) {
                return Err(i);
            }
            lanes::zip(cpu, x, y, out, |x, y| T::from_f64(x.to_f64() / y.to_f64()));
        }
        _ => {
            let n = out.len();
            for i in 0..n {
                let result = op::binary(op, x[i].to_f64(), y[i].to_f64()).map_err(|_| i)?;
                out[i] = T::from_f64(result.value);
                if matches!(op, Op::Pow | Op::PowFloat) {
                    slopes[i] = T::from_f64(result.dx);
                }
                if op == Op::Pow {
                    slopes[n + i] = T::from_f64(result.dy);
                }
            }
        }
    }
    Ok(())
}

/// Computes g·∂f/∂x, or g·∂f/∂y for operand 1.
pub fn binary_vjp<T: Dispatch>(
    cpu: Cpu,
    op: Op,
    operand: usize,
    [x, y, out, slopes, g]: [&[T]; 5],
    d: &mut [T],
) {
    let divide = |a: T, b: T| T::from_f64(a.to_f64() / b.to_f64());
    match (op, operand) {
        (Op::Sub, _) => lanes::map(cpu, g, d, |g| -g),
        (Op::Mul, 0) => lanes::zip(cpu, g, y, d, |g, y| g * y),
        (Op::Mul, _) => lanes::zip(cpu, g, x, d, |g, x| g * x),
        (Op::Div, 0) => lanes::zip(cpu, g, y, d, divide),
        (Op::Div, _) => lanes::zip3(cpu, [g, out, y], d, |g, out, y| -divide(g * out, y)),
        (Op::Pow | Op::PowFloat, _) => {
            let slopes = &slopes[operand * g.len()..(operand + 1) * g.len()];
            lanes::zip(cpu, g, slopes, d, |g, slope| g * slope);
        }
        _ => {
            for (i, d) in d.iter_mut().enumerate() {
                // The forward pass has computed it without failing.
                let slope = op::binary(op, x[i].to_f64(), y[i].to_f64())
                    .map_or(f64::NAN, |result| if operand == 0 { result.dx } else { result.dy });
                *d = g[i] * T::from_f64(slope);
            }
        }
    }
}
