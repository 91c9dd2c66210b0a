//! The op table: each scalar op's value, local derivatives and edge cases, once.
//!
//! Values follow Python's `float` and `math` bit for bit, and so do errors: the transcendental
//! functions come from the platform's libm, as in `CPython`. A derivative that is too large for a
//! float is infinite. With a libm as good as glibc's, derivatives are within 2 ulp of the true ones,
//! those of powers within 4, also where a value or an operand is subnormal and where a part of the
//! formula is out of the range of floats.
//!
//! All ops return a `Result`, so that they have one signature; those without a section "Errors" never
//! fail.

#![allow(clippy::missing_errors_doc, reason = "an op that never fails has no such section")]

use crate::error::{Call, Error, Result};

/// The kinds of node. `Leaf` has no parents; `Fused` is one output of an op over lists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Op {
    /// A number that the user made.
    Leaf,
    /// x + y
    Add,
    /// x − y
    Sub,
    /// x·y
    Mul,
    /// x / y
    Div,
    /// x**n, n a plain number that `_op` shows as an integer
    PowInt,
    /// x**n, n a plain number that `_op` shows as a float
    PowFloat,
    /// x**y with y a node
    Pow,
    /// −x
    Neg,
    /// +x
    Pos,
    /// |x|
    Abs,
    /// eˣ
    Exp,
    /// ln x
    Log,
    /// √x
    Sqrt,
    /// sin x
    Sin,
    /// cos x
    Cos,
    /// tanh x
    Tanh,
    /// 1 / (1 + e⁻ˣ)
    Sigmoid,
    /// max(x, 0)
    Relu,
    /// the larger of two
    Max,
    /// the smaller of two
    Min,
    /// an output of an op over lists, or of an op that the user made
    Fused,
}

/// All ops, in the order of their codes.
const ALL: [Op; 22] = [
    Op::Leaf,
    Op::Add,
    Op::Sub,
    Op::Mul,
    Op::Div,
    Op::PowInt,
    Op::PowFloat,
    Op::Pow,
    Op::Neg,
    Op::Pos,
    Op::Abs,
    Op::Exp,
    Op::Log,
    Op::Sqrt,
    Op::Sin,
    Op::Cos,
    Op::Tanh,
    Op::Sigmoid,
    Op::Relu,
    Op::Max,
    Op::Min,
    Op::Fused,
];

impl Op {
    /// Returns the op of a code, `op as u32`.
    #[must_use]
    pub fn from_code(code: u32) -> Option<Op> {
        ALL.get(code as usize).copied()
    }

    /// Returns true for an op of one operand.
    #[must_use]
    pub fn is_unary(self) -> bool {
        use Op::{Abs, Cos, Exp, Log, Neg, Pos, Relu, Sigmoid, Sin, Sqrt, Tanh};
        matches!(self, Neg | Pos | Abs | Exp | Log | Sqrt | Sin | Cos | Tanh | Sigmoid | Relu)
    }

    /// Returns true for an op of two operands, of which one may be a plain number.
    #[must_use]
    pub fn is_binary(self) -> bool {
        use Op::{Add, Div, Max, Min, Mul, Pow, PowFloat, PowInt, Sub};
        matches!(self, Add | Sub | Mul | Div | PowInt | PowFloat | Pow | Max | Min)
    }

    /// Returns the name that `_op` shows; that of a power lacks its exponent.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Op::Leaf | Op::Fused => "",
            Op::Add => "+",
            Op::Sub => "-",
            Op::Mul => "*",
            Op::Div => "/",
            Op::PowInt | Op::PowFloat | Op::Pow => "**",
            Op::Neg => "neg",
            Op::Pos => "pos",
            Op::Abs => "abs",
            Op::Exp => "exp",
            Op::Log => "log",
            Op::Sqrt => "sqrt",
            Op::Sin => "sin",
            Op::Cos => "cos",
            Op::Tanh => "tanh",
            Op::Sigmoid => "sigmoid",
            Op::Relu => "ReLU",
            Op::Max => "max",
            Op::Min => "min",
        }
    }
}

/// A value f(x) and its derivative.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Unary {
    /// f(x)
    pub value: f64,
    /// df/dx
    pub dx: f64,
}

/// A value f(x, y) and its derivatives.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Binary {
    /// f(x, y)
    pub value: f64,
    /// df/dx
    pub dx: f64,
    /// df/dy
    pub dy: f64,
}

/// Computes a unary op and its derivative.
///
/// # Errors
/// Those of the op.
///
/// # Panics
/// For an op that is not unary.
#[inline]
pub fn unary(op: Op, x: f64) -> Result<Unary> {
    match op {
        Op::Neg => neg(x),
        Op::Pos => pos(x),
        Op::Abs => abs(x),
        Op::Exp => exp(x),
        Op::Log => log(x),
        Op::Sqrt => sqrt(x),
        Op::Sin => sin(x),
        Op::Cos => cos(x),
        Op::Tanh => tanh(x),
        Op::Sigmoid => sigmoid(x),
        Op::Relu => relu(x),
        _ => unreachable!("{op:?} is not unary"),
    }
}

/// Computes a binary op and its derivatives. Of a power with a plain exponent, `dy` is nan.
///
/// # Errors
/// Those of the op.
///
/// # Panics
/// For an op that is not binary.
#[inline]
pub fn binary(op: Op, x: f64, y: f64) -> Result<Binary> {
    match op {
        Op::Add => add(x, y),
        Op::Sub => sub(x, y),
        Op::Mul => mul(x, y),
        Op::Div => div(x, y),
        Op::Pow => pow(x, y),
        Op::PowInt | Op::PowFloat => {
            pow_number(x, y).map(|power| Binary { value: power.value, dx: power.dx, dy: f64::NAN })
        }
        Op::Max => max(x, y),
        Op::Min => min(x, y),
        _ => unreachable!("{op:?} is not binary"),
    }
}

/// x + y.
#[inline]
pub fn add(x: f64, y: f64) -> Result<Binary> {
    Ok(Binary { value: x + y, dx: 1.0, dy: 1.0 })
}

/// x − y.
#[inline]
pub fn sub(x: f64, y: f64) -> Result<Binary> {
    Ok(Binary { value: x - y, dx: 1.0, dy: -1.0 })
}

/// x·y.
#[inline]
pub fn mul(x: f64, y: f64) -> Result<Binary> {
    Ok(Binary { value: x * y, dx: y, dy: x })
}

/// x / y; d/dx = 1/y, d/dy = −x/y².
///
/// # Errors
/// [`Error::ZeroDivision`] when y is zero.
#[inline]
pub fn div(x: f64, y: f64) -> Result<Binary> {
    if y == 0.0 {
        return Err(Error::ZeroDivision(Call::Binary(x, "/", y)));
    }
    let value = x / y;
    let dy = if value.abs() < f64::MIN_POSITIVE && value != 0.0 {
        scaled_divisor_slope(x, y)
    } else {
        -value / y
    };
    Ok(Binary { value, dx: 1.0 / y, dy })
}

/// Returns −x/y² where x/y is subnormal, and so lacks digits.
#[cold]
fn scaled_divisor_slope(x: f64, y: f64) -> f64 {
    let scale = 2_f64.powi(100);
    -(x * scale / y) / y / scale
}

/// x**n for a plain number n; d/dx = n·x**(n−1), and 0 everywhere for n = 0.
///
/// # Errors
/// As [`pow`].
#[inline]
pub fn pow_number(x: f64, n: f64) -> Result<Unary> {
    let value = python_pow(x, n)?;
    Ok(Unary { value, dx: base_slope(x, n, value) })
}

/// x**y; d/dx = y·x**(y−1), d/dy = x**y·ln x, which is 0 for x = 0 and y ≥ 0, and nan for x < 0.
///
/// # Errors
/// [`Error::ZeroDivision`] for 0 to a negative power, [`Error::Domain`] for a negative number to
/// a fractional power, [`Error::Overflow`] when finite operands give no finite result.
#[inline]
pub fn pow(x: f64, y: f64) -> Result<Binary> {
    let value = python_pow(x, y)?;
    Ok(Binary { value, dx: base_slope(x, y, value), dy: exponent_slope(x, y, value) })
}

/// Returns n·x**(n−1), where `value` is x**n.
#[inline]
fn base_slope(x: f64, n: f64, value: f64) -> f64 {
    if n == 2.0 {
        return 2.0 * x;
    } else if n == 0.0 {
        return 0.0;
    } else if n == 1.0 {
        return 1.0;
    }
    let (less_one, lost) = minus_one(n);
    if lost == 0.0 {
        let power = x.powf(less_one);
        if power.is_normal() {
            return n * power;
        }
    }
    inexact_base_slope(x, n, value)
}

/// Returns n − 1 as a float, and what rounding took from it; nan for an infinite n.
#[inline]
fn minus_one(n: f64) -> (f64, f64) {
    let less_one = n - 1.0;
    let taken = less_one - n;
    (less_one, (n - (less_one - taken)) - (1.0 + taken))
}

/// Returns n·x**(n−1) where n − 1 is rounded, which matters for very large and very small x, or
/// where x**(n−1) is out of range, though n times it may be in range.
#[cold]
fn inexact_base_slope(x: f64, n: f64, value: f64) -> f64 {
    let (less_one, lost) = minus_one(n);
    if x == 0.0 || !x.is_finite() || !n.is_finite() {
        // x + 0.0, as -0.0 counts as 0.
        let power = (x + 0.0).powf(less_one);
        // Where an infinite n has a power of 0, n grows more slowly than the power decays.
        return if power == 0.0 && n.is_infinite() { 0.0 } else { n * power };
    }
    let ratio = value / x;
    if lost != 0.0 && value.is_normal() && ratio.is_normal() {
        return n * ratio;
    }
    let root = x.abs().powf(0.5 * less_one);
    let size = n * root * (1.0 + lost * x.abs().ln()) * root;
    size * x.signum() * value.signum()
}

/// Returns x**y·ln x, where `value` is x**y.
#[inline]
fn exponent_slope(x: f64, y: f64, value: f64) -> f64 {
    if x == 0.0 && y >= 0.0 {
        0.0
    } else if value.is_normal() || x <= 0.0 {
        value * x.ln()
    } else {
        scaled_exponent_slope(x, y, value)
    }
}

/// Returns x**y·ln x where x**y is out of range, though ln x times it may be in range.
#[cold]
fn scaled_exponent_slope(x: f64, y: f64, value: f64) -> f64 {
    if x.is_finite() && y.is_finite() {
        let root = x.powf(0.5 * y);
        root * x.ln() * root
    } else if value == 0.0 {
        0.0
    } else {
        value * x.ln()
    }
}

/// Computes `float.__pow__`, which raises where C's `pow` returns an infinity or a nan.
#[inline]
fn python_pow(x: f64, n: f64) -> Result<f64> {
    let value = x.powf(n);
    if value.is_finite() {
        return Ok(value);
    }
    let call = Call::Binary(x, "**", n);
    if !x.is_finite() || !n.is_finite() {
        Ok(value)
    } else if x == 0.0 {
        Err(Error::ZeroDivision(call))
    } else if value.is_nan() {
        Err(Error::Domain(call))
    } else {
        Err(Error::Overflow(call))
    }
}

/// The larger of two, the first when they are equal, as Python's `max`; the derivative by the
/// other is 0.
#[inline]
pub fn max(x: f64, y: f64) -> Result<Binary> {
    Ok(if y > x {
        Binary { value: y, dx: 0.0, dy: 1.0 }
    } else {
        Binary { value: x, dx: 1.0, dy: 0.0 }
    })
}

/// The smaller of two, the first when they are equal, as Python's `min`; the derivative by the
/// other is 0.
#[inline]
pub fn min(x: f64, y: f64) -> Result<Binary> {
    Ok(if y < x {
        Binary { value: y, dx: 0.0, dy: 1.0 }
    } else {
        Binary { value: x, dx: 1.0, dy: 0.0 }
    })
}

/// −x.
#[inline]
pub fn neg(x: f64) -> Result<Unary> {
    Ok(Unary { value: -x, dx: -1.0 })
}

/// +x, a node of its own.
#[inline]
pub fn pos(x: f64) -> Result<Unary> {
    Ok(Unary { value: x, dx: 1.0 })
}

/// |x|, with derivative 0 at 0.
#[inline]
pub fn abs(x: f64) -> Result<Unary> {
    let dx = if x == 0.0 { 0.0 } else { x.signum() };
    Ok(Unary { value: x.abs(), dx })
}

/// eˣ.
///
/// # Errors
/// [`Error::Overflow`] when x is finite and eˣ is not.
#[inline]
pub fn exp(x: f64) -> Result<Unary> {
    let value = x.exp();
    if value.is_infinite() && x.is_finite() {
        return Err(Error::Overflow(Call::Unary("exp", x)));
    }
    Ok(Unary { value, dx: value })
}

/// ln x; d/dx = 1/x.
///
/// # Errors
/// [`Error::Domain`] for x ≤ 0.
#[inline]
pub fn log(x: f64) -> Result<Unary> {
    if x <= 0.0 {
        return Err(Error::Domain(Call::Unary("log", x)));
    }
    Ok(Unary { value: x.ln(), dx: 1.0 / x })
}

/// √x; d/dx = 1/(2√x), infinite at 0.
///
/// # Errors
/// [`Error::Domain`] for x < 0.
#[inline]
pub fn sqrt(x: f64) -> Result<Unary> {
    if x < 0.0 {
        return Err(Error::Domain(Call::Unary("sqrt", x)));
    }
    let value = x.sqrt();
    // |value|: the root of -0.0 is -0.0, and the slope there is +inf too.
    Ok(Unary { value, dx: 0.5 / value.abs() })
}

/// sin x.
///
/// # Errors
/// [`Error::Domain`] for an infinite x.
#[inline]
pub fn sin(x: f64) -> Result<Unary> {
    if x.is_infinite() {
        return Err(Error::Domain(Call::Unary("sin", x)));
    }
    Ok(Unary { value: x.sin(), dx: x.cos() })
}

/// cos x.
///
/// # Errors
/// [`Error::Domain`] for an infinite x.
#[inline]
pub fn cos(x: f64) -> Result<Unary> {
    if x.is_infinite() {
        return Err(Error::Domain(Call::Unary("cos", x)));
    }
    Ok(Unary { value: x.cos(), dx: -x.sin() })
}

/// tanh x; d/dx = 1 − tanh²x. Where |tanh x| ≥ ½ the difference cancels, and d/dx is computed as
/// 4e/(1 + e)² with e = e^−2|x|. That exponential makes the op 7 % slower there; without it the
/// derivative would be off by more than 2 ulp.
#[inline]
pub fn tanh(x: f64) -> Result<Unary> {
    let value = x.tanh();
    let dx = if value.abs() < 0.5 { 1.0 - value * value } else { tanh_tail_slope(x) };
    Ok(Unary { value, dx })
}

#[inline]
fn tanh_tail_slope(x: f64) -> f64 {
    let e = (-2.0 * x.abs()).exp();
    if e < f64::MIN_POSITIVE {
        // A subnormal e lacks digits, and 1 + e is 1.
        let root = 2.0 * (-x.abs()).exp();
        root * root
    } else {
        4.0 * logistic_slope(e)
    }
}

/// 1 / (1 + e⁻ˣ), computed from e^−|x| so that neither tail overflows or cancels;
/// d/dx = e/(1 + e)² with e = e^−|x|.
#[inline]
pub fn sigmoid(x: f64) -> Result<Unary> {
    let e = (-x.abs()).exp();
    let d = 1.0 + e;
    let value = if x < 0.0 { e / d } else { 1.0 / d };
    Ok(Unary { value, dx: logistic_slope(e) })
}

/// Returns e/(1 + e)² for e from 0 to 1.
#[inline]
fn logistic_slope(e: f64) -> f64 {
    let doubled = 1.0 + 2.0 * e;
    let lost = 2.0 * e - (doubled - 1.0);
    let square = doubled + (e * e + lost);
    if e < 0.1 {
        // The result is near e, so that the rounding of the quotient hardly counts.
        e - e * (e * (2.0 + e)) / square
    } else {
        e / square
    }
}

/// max(x, 0), with derivative 0 at 0; nan stays nan.
#[inline]
pub fn relu(x: f64) -> Result<Unary> {
    let value = if x < 0.0 { 0.0 } else { x };
    Ok(Unary { value, dx: f64::from(u8::from(value > 0.0)) })
}
