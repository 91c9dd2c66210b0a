//! The number protocol of `Value`, as raw slots.
//!
//! `PyO3`'s own slots cost 50 ns an op, half of it in making and dropping the object; these, with
//! the slab behind them, cost about what a C extension does. Every op follows the same steps:
//!
//! ```text
//! read the operands (exact Values and floats without a call)
//! compute value and local derivatives in the core
//! make a node; a number is no parent, and takes the place of its derivative
//! ```
//! In the usual case no step makes a call, so that the slot needs no stack frame. Otherwise (other
//! operands, a patched `Value`, no free slot at hand, an error) nothing has been done yet, and
//! `binary_slowly` or `unary_slowly` does all steps.
//!
//! Micrograd writes some operators by means of others: `2 + x` is `x + 2`, `-x` is `x * -1`,
//! `x - y` is `x + -y`, and `x / y` is `x * y**-1`. Here each is an op of its own, unless a program
//! has changed the others, by a subclass or by patching `Value`: then its operators are called as
//! micrograd would call them ([`rewrite`]).

use std::os::raw::{c_int, c_void};

use fastgrad_core::Result;
use fastgrad_core::autograd::op::{self, Binary, Op, Unary};
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::{PyFloat, PyInt};
use pyo3::{Borrowed, ffi};

use super::ffi::{Argument, Object, answer, c_functions, method, not_implemented, raise};
use super::init;
use super::node::{NewNode, NodeRef, Outcome, RAW};
use super::number::{self, Kind, Operand};
use super::patches;
use crate::errors::{guard_slot, to_python};

#[inline(always)]
fn binary(x: Argument<'_>, y: Argument<'_>, kind: Op, f: impl Formula) -> Object {
    match quickly(x, y, kind, f, number::quick_float) {
        Some(made) => made.into_ptr(),
        None => binary_by_calls(x, y, kind, f),
    }
}

/// Does what [`binary`] cannot do without calls, such as reading an int. It is a C function, which
/// does not unwind, so that its caller needs no stack frame.
#[allow(improper_ctypes_definitions, reason = "only Rust calls it")]
#[inline(never)]
extern "C" fn binary_by_calls(
    x: Argument<'_>,
    y: Argument<'_>,
    kind: Op,
    f: impl Formula,
) -> Object {
    guard_slot(|| match quickly(x, y, kind, f, number::quick_int) {
        Some(made) => made.into_ptr(),
        None => binary_slowly(x, y, kind, &f),
    })
}

/// Makes the node of an op of two Values, or of one and a number that `read` reads, unless
/// something is unusual.
#[inline(always)]
fn quickly<'a>(
    x: Argument<'a>,
    y: Argument<'a>,
    kind: Op,
    f: impl Formula,
    read: impl Fn(Argument<'a>) -> Option<f64>,
) -> Option<NewNode<'a>> {
    // With a case for each pair of kinds, the code for two Values has no tests for numbers.
    match (NodeRef::exact(x), NodeRef::exact(y)) {
        (Some(a), Some(b)) => at_once(Operand::value(a), Operand::value(b), kind, f),
        (Some(a), None) => at_once(Operand::value(a), Operand::number(read(y)?), kind, f),
        (None, Some(b)) => at_once(Operand::number(read(x)?), Operand::value(b), kind, f),
        (None, None) => None,
    }
}

/// A formula of the core for an op of two operands.
trait Formula: Fn(f64, f64) -> Result<Binary> + Copy {}

impl<F: Fn(f64, f64) -> Result<Binary> + Copy> Formula for F {}

/// Makes the node of an op of numbers and exact Values, unless something is unusual.
#[inline(always)]
fn at_once<'a>(x: Operand<'a>, y: Operand<'a>, kind: Op, f: impl Formula) -> Option<NewNode<'a>> {
    // As neither operand is of a subclass, one comparison tells that nothing is patched.
    if !patches::is_pristine() {
        return None;
    }
    NewNode::of_op_at_once(x.node.or(y.node)?.py(), outcome(x, y, kind, f).ok()?)
}

/// Computes an op of two operands.
#[inline(always)]
fn outcome<'a>(
    x: Operand<'a>,
    y: Operand<'a>,
    op: Op,
    f: impl Fn(f64, f64) -> Result<Binary>,
) -> Result<Outcome<'a>> {
    let Binary { value, dx, dy } = f(x.data, y.data)?;
    let slope = |operand: Operand<'_>, d| if operand.node.is_none() { operand.data } else { d };
    Ok(Outcome { op, value, parents: [x.node, y.node], slopes: [slope(x, dx), slope(y, dy)] })
}

/// Makes the op's node, or sets the exception for what the core refuses.
#[inline(always)]
fn finish(py: Python<'_>, outcome: Result<Outcome<'_>>) -> Object {
    match outcome {
        Ok(outcome) => init::finish(NewNode::of_op(py, outcome)),
        Err(error) => raise(to_python(&error)),
    }
}

#[cold]
#[inline(never)]
fn binary_slowly(
    x: Argument<'_>,
    y: Argument<'_>,
    kind: Op,
    f: &dyn Fn(f64, f64) -> Result<Binary>,
) -> Object {
    let looked = patches::is_patched(x.py());
    match looked.and_then(|_| read_both(x, y, kind.name())) {
        Ok(Some((a, b))) => {
            let changed = |object: Argument<'_>, operand: Operand<'_>| {
                operand.node.is_some() && is_rewritten(object, kind, a.node.is_none())
            };
            if changed(x, a) || changed(y, b) {
                answer(rewrite(x, y, b, kind))
            } else {
                finish(x.py(), outcome(a, b, kind, f))
            }
        }
        // Functions, unlike operators, have no reflected op to try.
        Ok(None) if matches!(kind, Op::Max | Op::Min) => raise(unsupported(kind.name(), x, y)),
        Ok(None) => not_implemented(x.py()),
        Err(error) => raise(error),
    }
}

/// Returns true if micrograd writes this op with operators that the value's class has replaced.
fn is_rewritten(value: Argument<'_>, kind: Op, left_is_number: bool) -> bool {
    // SAFETY: the class is alive, and `Value` and its subclasses have number slots.
    let now = unsafe { &*(*value.get_type_ptr()).tp_as_number };
    let add = || now.nb_add.is_none_or(|f| f as usize != nb_add as *const () as usize);
    let mul = || now.nb_multiply.is_none_or(|f| f as usize != nb_multiply as *const () as usize);
    let neg = || now.nb_negative.is_none_or(|f| f as usize != nb_negative as *const () as usize);
    let pow = || now.nb_power.is_none_or(|f| f as usize != nb_power as *const () as usize);
    match kind {
        Op::Add => left_is_number && add(),
        Op::Mul => left_is_number && mul(),
        Op::Neg => mul(),
        Op::Sub => add() || neg() || mul(),
        Op::Div => mul() || pow(),
        _ => false,
    }
}

/// Calls the operators that micrograd calls for this op; `right` is y as read.
fn rewrite<'a>(
    x: Argument<'a>,
    y: Argument<'a>,
    right: Operand<'_>,
    kind: Op,
) -> PyResult<Bound<'a, PyAny>> {
    let py = x.py();
    let mut y = y.to_owned();
    if right.node.is_none() && !y.is_exact_instance_of::<PyInt>() {
        // numpy's scalars negate and raise to powers by other rules.
        y = PyFloat::new(py, right.data).into_any();
    }
    match kind {
        Op::Add => y.add(x),
        Op::Mul => y.mul(x),
        Op::Sub => x.add(y.neg()?),
        _ => x.mul(y.pow(-1, py.None())?),
    }
}

/// Reads both operands; None when the other type may implement the op.
fn read_both<'a>(
    x: Argument<'a>,
    y: Argument<'a>,
    op: &str,
) -> PyResult<Option<(Operand<'a>, Operand<'a>)>> {
    match (number::any(x, op)?, number::any(y, op)?) {
        (Some(x), Some(y)) => Ok(Some((x, y))),
        (left, _) => {
            let stranger = if left.is_none() { x } else { y };
            if is_refused(stranger) { Err(unsupported(op, x, y)) } else { Ok(None) }
        }
    }
}

/// Returns true for an object that can never be an operand. For any other object Python tries the
/// reflected op, which an array distributes over its items.
fn is_refused(object: Borrowed<'_, '_, PyAny>) -> bool {
    let class = object.get_type();
    let module = class.module().map_or_else(|_| String::new(), |name| name.to_string());
    let is_numpy = module == "numpy" || module.starts_with("numpy.");
    module == "builtins" || (is_numpy && !class.hasattr("__array_ufunc__").unwrap_or(false))
}

#[cold]
fn unsupported(op: &str, x: Borrowed<'_, '_, PyAny>, y: Borrowed<'_, '_, PyAny>) -> PyErr {
    let operands = [x, y].map(|o| format!("{} {}", number::class_name(o), number::shorten(o)));
    let [x, y] = operands;
    PyTypeError::new_err(format!("unsupported operands for {op}: {x} and {y}"))
}

#[inline(always)]
fn unary(x: NodeRef<'_>, kind: Op, f: fn(f64) -> Result<Unary>) -> Object {
    let is_plain = kind != Op::Neg || x.is_exact();
    if is_plain
        && patches::is_pristine()
        && let Ok(outcome) = of_one(x, kind, f)
        && let Some(made) = NewNode::of_op_at_once(x.py(), outcome)
    {
        return made.into_ptr();
    }
    unary_slowly(x, kind, f)
}

/// Computes an op of one operand.
#[inline(always)]
fn of_one(x: NodeRef<'_>, op: Op, f: fn(f64) -> Result<Unary>) -> Result<Outcome<'_>> {
    let Unary { value, dx } = f(x.data())?;
    Ok(Outcome { op, value, parents: [Some(x), None], slopes: [dx, 0.0] })
}

#[allow(improper_ctypes_definitions, reason = "only Rust calls it")]
#[inline(never)]
extern "C" fn unary_slowly(x: NodeRef<'_>, kind: Op, f: fn(f64) -> Result<Unary>) -> Object {
    guard_slot(|| {
        let object = x.object();
        if x.has(RAW) {
            raise(number::not_initialised(kind.name()))
        } else if is_rewritten(object.as_borrowed(), kind, false) {
            answer(object.mul(-1))
        } else {
            finish(x.py(), of_one(x, kind, f))
        }
    })
}

/// `x ** y` and `pow(x, y)`; a third argument is refused.
#[inline(always)]
fn power(x: Argument<'_>, y: Argument<'_>, modulus: Argument<'_>) -> Object {
    if !modulus.is_none() {
        return raise(PyTypeError::new_err("pow() of a Value takes no third argument"));
    }
    if let Some(x) = NodeRef::exact(x) {
        if let Some(n) = number::quick_float(y) {
            return power_of_number(x, n, Kind::Fraction);
        }
        if let Some(n) = number::quick_int(y) {
            return power_of_number(x, n, Kind::Whole);
        }
    }
    power_slowly(x, y)
}

#[cold]
fn power_slowly(x: Argument<'_>, y: Argument<'_>) -> Object {
    let (Some(base), None) = (NodeRef::of(x), NodeRef::of(y)) else {
        return binary(x, y, Op::Pow, op::pow);
    };
    match number::number(y, "**") {
        Ok(Some((n, kind))) => power_of_number(base, n, kind),
        Ok(None) if is_refused(y) => raise(unsupported("**", x, y)),
        Ok(None) => not_implemented(x.py()),
        Err(error) => raise(error),
    }
}

fn power_of_number(x: NodeRef<'_>, n: f64, kind: Kind) -> Object {
    if x.has(RAW) {
        return raise(number::not_initialised(Op::Pow.name()));
    }
    let op = if kind == Kind::Whole { Op::PowInt } else { Op::PowFloat };
    let outcome = op::pow_number(x.data(), n).map(|Unary { value, dx }| Outcome {
        op,
        value,
        parents: [Some(x), None],
        slopes: [dx, n],
    });
    finish(x.py(), outcome)
}

/// One row an operator: the C function, its entry in the type, its operands, what it does.
macro_rules! operators {
    ($($slot:ident $entry:ident ($($operand:ident: $kind:ty),+) $body:expr;)+) => {
        c_functions! {
            $(fn $slot($($operand: $kind),+) -> Object { $body })+
        }

        /// Returns the type's slots of the number protocol.
        pub fn number_slots() -> Vec<ffi::PyType_Slot> {
            let entry = |slot: c_int, pfunc: *mut c_void| ffi::PyType_Slot { slot, pfunc };
            vec![$(entry(ffi::$entry, $slot as *mut _)),+]
        }
    };
}

operators! {
    nb_add Py_nb_add (x: Argument, y: Argument) binary(x, y, Op::Add, op::add);
    nb_subtract Py_nb_subtract (x: Argument, y: Argument) binary(x, y, Op::Sub, op::sub);
    nb_multiply Py_nb_multiply (x: Argument, y: Argument) binary(x, y, Op::Mul, op::mul);
    nb_true_divide Py_nb_true_divide (x: Argument, y: Argument) binary(x, y, Op::Div, op::div);
    nb_power Py_nb_power (x: Argument, y: Argument, modulus: Argument) power(x, y, modulus);
    nb_negative Py_nb_negative (x: NodeRef) unary(x, Op::Neg, op::neg);
    nb_positive Py_nb_positive (x: NodeRef) unary(x, Op::Pos, op::pos);
    nb_absolute Py_nb_absolute (x: NodeRef) unary(x, Op::Abs, op::abs);
}

/// One row a method: its name and the core's function, its kind, its docstring.
macro_rules! methods {
    (
        unary { $($name:ident $kind:ident $doc:literal;)+ }
        binary { $($name2:ident $kind2:ident $doc2:literal;)+ }
    ) => {
        c_functions! {
            $(fn $name(x: NodeRef, _none: Option<Argument>) -> Object {
                unary(x, Op::$kind, op::$name)
            })+
            $(
                #[doc = concat!("`x.", stringify!($name2), "(y)`, and the module's function.")]
                pub fn $name2(x: Argument, y: Argument) -> Object {
                    binary(x, y, Op::$kind2, op::$name2)
                }
            )+
        }

        /// Returns the methods that are ops.
        pub fn op_methods() -> Vec<ffi::PyMethodDef> {
            vec![
                $(method(
                    ffi::c_str!(stringify!($name)),
                    $name,
                    ffi::METH_NOARGS,
                    ffi::c_str!(concat!(stringify!($name), "($self)\n--\n\n", $doc)),
                ),)+
                $(method(
                    ffi::c_str!(stringify!($name2)),
                    $name2,
                    ffi::METH_O,
                    ffi::c_str!(concat!(stringify!($name2), "($self, other, /)\n--\n\n", $doc2)),
                ),)+
            ]
        }
    };
}

methods! {
    unary {
        abs Abs "|x|; its derivative at 0 is 0.";
        exp Exp "e to the power of x; OverflowError above 709.78.";
        log Log "Natural logarithm; ValueError for x <= 0.";
        sqrt Sqrt "Square root; ValueError for x < 0.";
        sin Sin "Sine of x in radians; ValueError for an infinite x.";
        cos Cos "Cosine of x in radians; ValueError for an infinite x.";
        tanh Tanh "Hyperbolic tangent.";
        sigmoid Sigmoid "1 / (1 + exp(-x)), stable at any x.";
        relu Relu "max(x, 0); its derivative at 0 is 0.";
    }
    binary {
        max Max "The larger of the two, self when they are equal.";
        min Min "The smaller of the two, self when they are equal.";
    }
}
