//! The op table: each scalar op's value, local derivatives and edge cases, once.
//!
//! Values follow Python's `float` and `math` bit for bit, refusals included: the transcendental
//! functions come from the platform's libm, which is where `CPython` gets them too. Derivatives
//! are those at the operands given; where a derivative grows past a float it is infinite.

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
    /// x**n, n a plain number that is shown as an integer
    PowInt,
    /// x**n, n a plain number that is shown as a float
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

impl Op {
    /// The name shown as `_op`; the exponent of a power is not part of it.
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

/// x + y.
///
/// # Errors
/// Never; the signature is that of all binary ops.
#[inline]
pub fn add(x: f64, y: f64) -> Result<Binary> {
    Ok(Binary { value: x + y, dx: 1.0, dy: 1.0 })
}

/// x − y.
///
/// # Errors
/// Never; the signature is that of all binary ops.
#[inline]
pub fn sub(x: f64, y: f64) -> Result<Binary> {
    Ok(Binary { value: x - y, dx: 1.0, dy: -1.0 })
}

/// x·y.
///
/// # Errors
/// Never; the signature is that of all binary ops.
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
    Ok(Binary { value, dx: 1.0 / y, dy: -value / y })
}

/// x**n for a plain number n; d/dx = n·x**(n−1), and 0 everywhere for n = 0.
///
/// # Errors
/// As [`pow`].
#[inline]
pub fn pow_number(x: f64, n: f64) -> Result<Unary> {
    let value = python_pow(x, n)?;
    Ok(Unary { value, dx: power_slope(x, n) })
}

/// x**y; d/dx = y·x**(y−1), d/dy = x**y·ln x, which is nan for x ≤ 0.
///
/// # Errors
/// [`Error::ZeroDivision`] for 0 to a negative power, [`Error::Domain`] for a negative number to
/// a fractional power, [`Error::Overflow`] when finite operands give no finite result.
#[inline]
pub fn pow(x: f64, y: f64) -> Result<Binary> {
    let value = python_pow(x, y)?;
    let dy = if x > 0.0 { value * x.ln() } else { f64::NAN };
    Ok(Binary { value, dx: power_slope(x, y), dy })
}

#[inline]
fn power_slope(x: f64, n: f64) -> f64 {
    if n == 2.0 {
        2.0 * x
    } else if n == 0.0 {
        0.0
    } else if n == 1.0 {
        1.0
    } else {
        n * x.powf(n - 1.0)
    }
}

/// `float.__pow__`, which refuses what C's `pow` answers with an infinity or a nan.
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

/// The larger of two, the first when they are equal, as Python's `max`; the other one's
/// derivative is 0.
///
/// # Errors
/// Never; the signature is that of all binary ops.
#[inline]
pub fn max(x: f64, y: f64) -> Result<Binary> {
    Ok(if y > x {
        Binary { value: y, dx: 0.0, dy: 1.0 }
    } else {
        Binary { value: x, dx: 1.0, dy: 0.0 }
    })
}

/// The smaller of two, the first when they are equal, as Python's `min`; the other one's
/// derivative is 0.
///
/// # Errors
/// Never; the signature is that of all binary ops.
#[inline]
pub fn min(x: f64, y: f64) -> Result<Binary> {
    Ok(if y < x {
        Binary { value: y, dx: 0.0, dy: 1.0 }
    } else {
        Binary { value: x, dx: 1.0, dy: 0.0 }
    })
}

/// −x.
///
/// # Errors
/// Never; the signature is that of all unary ops.
#[inline]
pub fn neg(x: f64) -> Result<Unary> {
    Ok(Unary { value: -x, dx: -1.0 })
}

/// +x, a node of its own.
///
/// # Errors
/// Never; the signature is that of all unary ops.
#[inline]
pub fn pos(x: f64) -> Result<Unary> {
    Ok(Unary { value: x, dx: 1.0 })
}

/// |x|, with derivative 0 at 0.
///
/// # Errors
/// Never; the signature is that of all unary ops.
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

/// tanh x; d/dx = 1 − tanh²x.
///
/// # Errors
/// Never; the signature is that of all unary ops.
#[inline]
pub fn tanh(x: f64) -> Result<Unary> {
    let value = x.tanh();
    Ok(Unary { value, dx: 1.0 - value * value })
}

/// 1 / (1 + e⁻ˣ), computed from e^−|x| so that neither tail overflows or cancels;
/// d/dx = e/(1 + e)² with e = e^−|x|.
///
/// # Errors
/// Never; the signature is that of all unary ops.
#[inline]
pub fn sigmoid(x: f64) -> Result<Unary> {
    let e = (-x.abs()).exp();
    let d = 1.0 + e;
    let value = if x < 0.0 { e / d } else { 1.0 / d };
    Ok(Unary { value, dx: e / (d * d) })
}

/// max(x, 0), with derivative 0 at 0; nan stays nan.
///
/// # Errors
/// Never; the signature is that of all unary ops.
#[inline]
pub fn relu(x: f64) -> Result<Unary> {
    let value = if x < 0.0 { 0.0 } else { x };
    Ok(Unary { value, dx: f64::from(u8::from(value > 0.0)) })
}
