//! Values, slopes and refusals of every op.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests may fail loudly")]

use fastgrad_core::Error;
use fastgrad_core::autograd::op::{self, Binary, Unary};
use fastgrad_core::error::Call;

type UnaryOp = fn(f64) -> fastgrad_core::Result<Unary>;
type BinaryOp = fn(f64, f64) -> fastgrad_core::Result<Binary>;

const UNARY: [(&str, UnaryOp); 11] = [
    ("neg", op::neg),
    ("pos", op::pos),
    ("abs", op::abs),
    ("exp", op::exp),
    ("log", op::log),
    ("sqrt", op::sqrt),
    ("sin", op::sin),
    ("cos", op::cos),
    ("tanh", op::tanh),
    ("sigmoid", op::sigmoid),
    ("relu", op::relu),
];

const BINARY: [(&str, BinaryOp); 7] = [
    ("add", op::add),
    ("sub", op::sub),
    ("mul", op::mul),
    ("div", op::div),
    ("pow", op::pow),
    ("max", op::max),
    ("min", op::min),
];

/// Slopes agree with central differences where the function is smooth.
#[test]
fn slopes_are_central_differences() {
    let h = 1e-6;
    let close = |a: f64, b: f64| (a - b).abs() <= 1e-8 * (1.0 + a.abs());
    for x in [0.3, 0.9, 1.7, 2.5] {
        for (name, f) in UNARY {
            let difference = (f(x + h).unwrap().value - f(x - h).unwrap().value) / (2.0 * h);
            assert!(close(f(x).unwrap().dx, difference), "{name}({x})");
        }
        for (name, f) in BINARY {
            for y in [0.4, 1.1, 2.2] {
                let made = f(x, y).unwrap();
                let value = |x, y| f(x, y).unwrap().value;
                let dx = (value(x + h, y) - value(x - h, y)) / (2.0 * h);
                let dy = (value(x, y + h) - value(x, y - h)) / (2.0 * h);
                assert!(close(made.dx, dx) && close(made.dy, dy), "{name}({x}, {y})");
            }
        }
    }
}

#[test]
fn slopes_at_the_corners() {
    assert_eq!(op::relu(0.0).unwrap().dx, 0.0);
    assert_eq!(op::abs(0.0).unwrap().dx, 0.0);
    assert_eq!(op::abs(-0.0).unwrap().dx, 0.0);
    assert_eq!(op::sqrt(0.0).unwrap().dx, f64::INFINITY);
    assert_eq!(op::tanh(1e-17).unwrap(), Unary { value: 1e-17, dx: 1.0 });
    for x in [-2.0, 0.0, 3.0, f64::NAN] {
        assert_eq!(op::pow_number(x, 0.0).unwrap(), Unary { value: 1.0, dx: 0.0 });
    }
    assert!(op::pow(-2.0, 3.0).unwrap().dy.is_nan());
    for (x, y) in [(0.0, 3.0), (-0.0, 0.5), (0.0, 0.0), (1.0, f64::NAN), (f64::INFINITY, -1.0)] {
        assert_eq!(op::pow(x, y).unwrap().dy, 0.0, "{x} ** {y}");
    }
    assert_eq!(op::pow(-2.0, 3.0).unwrap().dx, 12.0);
    assert_eq!(op::max(1.0, 1.0).unwrap(), Binary { value: 1.0, dx: 1.0, dy: 0.0 });
    assert_eq!(op::min(1.0, 1.0).unwrap(), Binary { value: 1.0, dx: 1.0, dy: 0.0 });
}

/// Slopes whose plain formulas lose digits, against values worked out with 40 digits.
#[test]
fn slopes_where_a_part_of_the_formula_is_out_of_range() {
    let within = |ulps: f64, got: f64, true_one: f64| {
        let ulp = f64::from_bits(true_one.abs().to_bits() + 1) - true_one.abs();
        assert!((got - true_one).abs() <= ulps * ulp, "{got:e} is not {true_one:e}");
    };
    let tiny = f64::from_bits(1);
    within(
        4.0,
        op::pow_number(2.298_733_004_629_104_2e-206, -0.5).unwrap().dx,
        -1.434_621_077_764_291_2e+308,
    );
    within(4.0, op::pow_number(tiny, 1.0 / 3.0).unwrap().dx, 1.149_094_221_479_596_5e+215);
    within(4.0, op::pow_number(-8.0e-4, 99.0).unwrap().dx, 3.151_040_025_892_423e-302);
    within(4.0, op::pow_number(8.0e-4, 101.0).unwrap().dx, 2.057_406_336_097_840_7e-308);
    within(4.0, op::pow(1e-300, 1.07).unwrap().dy, -6.907_8e-319);
    within(2.0, op::div(3.0 * tiny, 1e-8).unwrap().dy, -1.482_196_937_523_739_6e-307);
    within(2.0, op::tanh(119.6).unwrap().dx, 5.233_833_710_049_05e-104);
    within(2.0, op::tanh(-372.0).unwrap().dx, 3e-323);
    within(2.0, op::sigmoid(-2.695_5).unwrap().dx, 0.059_240_190_122_243_32);
}

#[test]
fn sigmoid_is_stable_in_both_tails() {
    let low = op::sigmoid(-745.0).unwrap();
    assert_eq!(low.value, low.dx);
    assert!(low.value > 0.0 && low.value < 1e-320);
    assert_eq!(op::sigmoid(-1e4).unwrap(), Unary { value: 0.0, dx: 0.0 });
    assert_eq!(op::sigmoid(1e4).unwrap(), Unary { value: 1.0, dx: 0.0 });
    // 1 − value has lost all digits here; the slope has not.
    assert!((op::sigmoid(40.0).unwrap().dx / (-40f64).exp() - 1.0).abs() < 1e-15);
}

#[test]
fn refusals_name_op_and_operands() {
    let cases: [(fastgrad_core::Result<f64>, Error, &str); 7] = [
        (
            op::div(1.0, 0.0).map(|made| made.value),
            Error::ZeroDivision(Call::Binary(1.0, "/", 0.0)),
            "1.0 / 0.0: division by zero",
        ),
        (
            op::pow_number(0.0, -1.0).map(|made| made.value),
            Error::ZeroDivision(Call::Binary(0.0, "**", -1.0)),
            "0.0 ** -1.0: zero cannot be raised to a negative power",
        ),
        (
            op::pow(10.0, 400.0).map(|made| made.value),
            Error::Overflow(Call::Binary(10.0, "**", 400.0)),
            "10.0 ** 400.0: result too large for a float",
        ),
        (
            op::pow_number(-8.0, 0.5).map(|made| made.value),
            Error::Domain(Call::Binary(-8.0, "**", 0.5)),
            "-8.0 ** 0.5: a negative number to a fractional power is not real",
        ),
        (
            op::exp(1000.0).map(|made| made.value),
            Error::Overflow(Call::Unary("exp", 1000.0)),
            "exp(1000.0): result too large for a float",
        ),
        (
            op::log(0.0).map(|made| made.value),
            Error::Domain(Call::Unary("log", 0.0)),
            "log(0.0): outside the function's domain",
        ),
        (
            op::sin(f64::INFINITY).map(|made| made.value),
            Error::Domain(Call::Unary("sin", f64::INFINITY)),
            "sin(inf): outside the function's domain",
        ),
    ];
    for (outcome, error, message) in cases {
        assert_eq!(outcome, Err(error.clone()));
        assert_eq!(error.to_string(), message);
    }
}

#[test]
fn infinities_pass_where_python_lets_them() {
    assert_eq!(op::exp(f64::INFINITY).unwrap().value, f64::INFINITY);
    assert_eq!(op::exp(f64::NEG_INFINITY).unwrap().value, 0.0);
    assert_eq!(op::log(f64::INFINITY).unwrap().value, f64::INFINITY);
    assert_eq!(op::pow_number(0.0, f64::NEG_INFINITY).unwrap().value, f64::INFINITY);
    assert_eq!(op::mul(1e200, 1e200).unwrap().value, f64::INFINITY);
    assert!(op::mul(f64::INFINITY, 0.0).unwrap().value.is_nan());
    assert!(op::relu(f64::NAN).unwrap().value.is_nan());
}
