//! The number protocol of `Value`, as raw slots.
//!
//! `PyO3`'s own slots cost 50 ns an op, half of it in making and dropping the object; these, with
//! the slab behind them, cost about what a C extension does. Every function here follows one plan:
//!
//! ```text
//! read both operands (Value or float without a call, the rest in a cold function)
//! compute value and local derivatives in the core
//! make a node; a number makes none, its derivative is dropped
//! on an error: set the exception, return null; nothing was made
//! ```

use std::os::raw::{c_char, c_int};
use std::ptr;

use fastgrad_core::graph::op::{self, Binary, Op, Unary};
use fastgrad_core::{Error, Result};
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::{Borrowed, ffi};

use super::node::{self, Node};
use super::number::{self, Kind, Operand};
use crate::errors::to_python;

type Object = *mut ffi::PyObject;

/// Sets the exception; null is what a slot returns then.
#[cold]
pub fn raise(error: PyErr) -> Object {
    let mut error = Some(error);
    let mut restore = |py: Python<'_>| error.take().map(|error| error.restore(py));
    // PyO3 does not know that a raw slot is attached, and what is dropped unattached waits until
    // the next attached call: errors in a loop would pile up, with all that they refer to.
    if Python::try_attach(&mut restore).is_none() {
        // SAFETY: slots run with the interpreter's lock held, also while the program shuts down.
        restore(unsafe { Python::assume_attached() });
    }
    ptr::null_mut()
}

#[cold]
fn raise_core(error: &Error) -> Object {
    raise(to_python(error))
}

#[inline(always)]
unsafe fn binary(x: Object, y: Object, kind: Op, f: fn(f64, f64) -> Result<Binary>) -> Object {
    // SAFETY: Python hands living operands to a slot.
    unsafe {
        match (number::quick(x), number::quick(y)) {
            (Some(x), Some(y)) => combine(x, y, kind, f),
            _ => binary_slowly(x, y, kind, f),
        }
    }
}

#[inline(always)]
unsafe fn combine(x: Operand, y: Operand, kind: Op, f: fn(f64, f64) -> Result<Binary>) -> Object {
    match f(x.data, y.data) {
        // SAFETY: operands' nodes are alive.
        Ok(result) => unsafe {
            let made = node::new(kind, result.value);
            if !made.is_null() {
                node::set_parents(made, x.node, y.node, result.dx, result.dy);
            }
            made.cast()
        },
        Err(error) => raise_core(&error),
    }
}

#[cold]
#[inline(never)]
unsafe fn binary_slowly(
    x: Object,
    y: Object,
    kind: Op,
    f: fn(f64, f64) -> Result<Binary>,
) -> Object {
    // SAFETY: Python hands living operands to a slot.
    unsafe {
        match read_both(x, y, kind.name()) {
            Ok(Some((x, y))) => combine(x, y, kind, f),
            Ok(None) => not_implemented(),
            Err(error) => raise(error),
        }
    }
}

unsafe fn not_implemented() -> Object {
    // SAFETY: the singleton is always alive.
    unsafe {
        let answer = ffi::Py_NotImplemented();
        ffi::Py_INCREF(answer);
        answer
    }
}

/// Both operands; None when the other type may still know what to do.
unsafe fn read_both(x: Object, y: Object, op: &str) -> PyResult<Option<(Operand, Operand)>> {
    // SAFETY: Python hands living operands to a slot, with the lock held.
    unsafe {
        let py = Python::assume_attached();
        let (x, y) = (Borrowed::from_ptr(py, x), Borrowed::from_ptr(py, y));
        match (number::any(x, op)?, number::any(y, op)?) {
            (Some(x), Some(y)) => Ok(Some((x, y))),
            (left, _) => {
                let stranger = if left.is_none() { x } else { y };
                if is_refused(stranger) { Err(unsupported(op, x, y)) } else { Ok(None) }
            }
        }
    }
}

/// Types that can never stand beside a `Value`. Others are asked for their own reflected op.
fn is_refused(object: Borrowed<'_, '_, PyAny>) -> bool {
    let class = object.get_type();
    let module = class.module().map_or_else(|_| String::new(), |name| name.to_string());
    module == "builtins" || module == "numpy" || module.starts_with("numpy.")
}

#[cold]
fn unsupported(op: &str, x: Borrowed<'_, '_, PyAny>, y: Borrowed<'_, '_, PyAny>) -> PyErr {
    let operands = [x, y].map(|o| format!("{} {}", number::class_name(o), number::shorten(o)));
    let [x, y] = operands;
    PyTypeError::new_err(format!("unsupported operands for {op}: {x} and {y}"))
}

#[inline(always)]
unsafe fn unary(x: Object, kind: Op, f: fn(f64) -> Result<Unary>) -> Object {
    // SAFETY: `x` is a Value: the slots and methods of the type guarantee it.
    unsafe {
        let x = x.cast::<Node>();
        match f((*x).data) {
            Ok(result) => {
                let made = node::new(kind, result.value);
                if !made.is_null() {
                    node::set_parents(made, x, ptr::null_mut(), result.dx, 0.0);
                }
                made.cast()
            }
            Err(error) => raise_core(&error),
        }
    }
}

/// `x ** y` and `pow(x, y)`; a third argument is refused.
unsafe extern "C" fn nb_power(x: Object, y: Object, modulus: Object) -> Object {
    // SAFETY: Python hands living operands to a slot.
    unsafe {
        if modulus != ffi::Py_None() {
            return raise(PyTypeError::new_err("pow() of a Value takes no third argument"));
        }
        if ffi::Py_TYPE(x) == node::value_type() {
            let exponent = ffi::Py_TYPE(y);
            if exponent == &raw mut ffi::PyFloat_Type {
                return power_of_number(x, ffi::PyFloat_AS_DOUBLE(y), Kind::Fraction);
            }
            if exponent == &raw mut ffi::PyLong_Type
                && let Some(n) = number::quick_int(y)
            {
                return power_of_number(x, n, Kind::Whole);
            }
        }
        power_slowly(x, y)
    }
}

#[cold]
unsafe fn power_slowly(x: Object, y: Object) -> Object {
    // SAFETY: as in `nb_power`.
    unsafe {
        if !node::is_value(x) || node::is_value(y) {
            return binary(x, y, Op::Pow, op::pow);
        }
        let py = Python::assume_attached();
        let exponent = Borrowed::from_ptr(py, y);
        match number::number(exponent, "**") {
            Ok(Some((n, kind))) => power_of_number(x, n, kind),
            Ok(None) if is_refused(exponent) => {
                raise(unsupported("**", Borrowed::from_ptr(py, x), exponent))
            }
            Ok(None) => not_implemented(),
            Err(error) => raise(error),
        }
    }
}

/// The exponent stays in `d_right`, which has no parent to serve, for `_op`.
unsafe fn power_of_number(x: Object, n: f64, kind: Kind) -> Object {
    // SAFETY: `x` is a Value.
    unsafe {
        let x = x.cast::<Node>();
        match op::pow_number((*x).data, n) {
            Ok(result) => {
                let op = if kind == Kind::Whole { Op::PowInt } else { Op::PowFloat };
                let made = node::new(op, result.value);
                if !made.is_null() {
                    node::set_parents(made, x, ptr::null_mut(), result.dx, n);
                }
                made.cast()
            }
            Err(error) => raise_core(&error),
        }
    }
}

// One line a slot: what Python calls, which op it is.
unsafe extern "C" fn nb_add(x: Object, y: Object) -> Object {
    // SAFETY: a slot's operands.
    unsafe { binary(x, y, Op::Add, op::add) }
}
unsafe extern "C" fn nb_subtract(x: Object, y: Object) -> Object {
    // SAFETY: a slot's operands.
    unsafe { binary(x, y, Op::Sub, op::sub) }
}
unsafe extern "C" fn nb_multiply(x: Object, y: Object) -> Object {
    // SAFETY: a slot's operands.
    unsafe { binary(x, y, Op::Mul, op::mul) }
}
unsafe extern "C" fn nb_true_divide(x: Object, y: Object) -> Object {
    // SAFETY: a slot's operands.
    unsafe { binary(x, y, Op::Div, op::div) }
}
unsafe extern "C" fn nb_negative(x: Object) -> Object {
    // SAFETY: a slot's operand.
    unsafe { unary(x, Op::Neg, op::neg) }
}
unsafe extern "C" fn nb_positive(x: Object) -> Object {
    // SAFETY: a slot's operand.
    unsafe { unary(x, Op::Pos, op::pos) }
}
unsafe extern "C" fn nb_absolute(x: Object) -> Object {
    // SAFETY: a slot's operand.
    unsafe { unary(x, Op::Abs, op::abs) }
}

// The same for methods, whose second argument is unused or the other operand.
unsafe extern "C" fn abs(x: Object, _: Object) -> Object {
    // SAFETY: a method's receiver.
    unsafe { unary(x, Op::Abs, op::abs) }
}
unsafe extern "C" fn exp(x: Object, _: Object) -> Object {
    // SAFETY: a method's receiver.
    unsafe { unary(x, Op::Exp, op::exp) }
}
unsafe extern "C" fn log(x: Object, _: Object) -> Object {
    // SAFETY: a method's receiver.
    unsafe { unary(x, Op::Log, op::log) }
}
unsafe extern "C" fn sqrt(x: Object, _: Object) -> Object {
    // SAFETY: a method's receiver.
    unsafe { unary(x, Op::Sqrt, op::sqrt) }
}
unsafe extern "C" fn sin(x: Object, _: Object) -> Object {
    // SAFETY: a method's receiver.
    unsafe { unary(x, Op::Sin, op::sin) }
}
unsafe extern "C" fn cos(x: Object, _: Object) -> Object {
    // SAFETY: a method's receiver.
    unsafe { unary(x, Op::Cos, op::cos) }
}
unsafe extern "C" fn tanh(x: Object, _: Object) -> Object {
    // SAFETY: a method's receiver.
    unsafe { unary(x, Op::Tanh, op::tanh) }
}
unsafe extern "C" fn sigmoid(x: Object, _: Object) -> Object {
    // SAFETY: a method's receiver.
    unsafe { unary(x, Op::Sigmoid, op::sigmoid) }
}
unsafe extern "C" fn relu(x: Object, _: Object) -> Object {
    // SAFETY: a method's receiver.
    unsafe { unary(x, Op::Relu, op::relu) }
}
/// `x.max(y)`, and `max(x, y)` of the module.
pub unsafe extern "C" fn max(x: Object, y: Object) -> Object {
    // SAFETY: living operands.
    unsafe { refuse_not_implemented("max", x, y, binary(x, y, Op::Max, op::max)) }
}
/// `x.min(y)`, and `min(x, y)` of the module.
pub unsafe extern "C" fn min(x: Object, y: Object) -> Object {
    // SAFETY: living operands.
    unsafe { refuse_not_implemented("min", x, y, binary(x, y, Op::Min, op::min)) }
}

/// A function, unlike an operator, has nobody else to ask.
unsafe fn refuse_not_implemented(op: &str, x: Object, y: Object, answer: Object) -> Object {
    // SAFETY: living operands.
    unsafe {
        if answer != ffi::Py_NotImplemented() {
            return answer;
        }
        ffi::Py_DECREF(answer);
        let py = Python::assume_attached();
        raise(unsupported(op, Borrowed::from_ptr(py, x), Borrowed::from_ptr(py, y)))
    }
}

/// The number protocol's entries of the type.
pub fn number_slots() -> Vec<ffi::PyType_Slot> {
    let slot = |slot: c_int, pfunc: *mut std::ffi::c_void| ffi::PyType_Slot { slot, pfunc };
    vec![
        slot(ffi::Py_nb_add, nb_add as *mut _),
        slot(ffi::Py_nb_subtract, nb_subtract as *mut _),
        slot(ffi::Py_nb_multiply, nb_multiply as *mut _),
        slot(ffi::Py_nb_true_divide, nb_true_divide as *mut _),
        slot(ffi::Py_nb_power, nb_power as *mut _),
        slot(ffi::Py_nb_negative, nb_negative as *mut _),
        slot(ffi::Py_nb_positive, nb_positive as *mut _),
        slot(ffi::Py_nb_absolute, nb_absolute as *mut _),
    ]
}

/// A method of the type; `doc` starts with the signature, as `inspect` reads it.
pub fn method(
    name: *const c_char,
    function: ffi::PyCFunction,
    flags: c_int,
    doc: *const c_char,
) -> ffi::PyMethodDef {
    ffi::PyMethodDef {
        ml_name: name,
        ml_meth: ffi::PyMethodDefPointer { PyCFunction: function },
        ml_flags: flags,
        ml_doc: doc,
    }
}

/// The methods that are ops.
pub fn op_methods() -> Vec<ffi::PyMethodDef> {
    let none = ffi::METH_NOARGS;
    vec![
        method(
            c"abs".as_ptr(),
            abs,
            none,
            c"abs($self)\n--\n\n|x|; its derivative at 0 is 0.".as_ptr(),
        ),
        method(
            c"exp".as_ptr(),
            exp,
            none,
            c"exp($self)\n--\n\ne to the power of x; OverflowError above 709.78.".as_ptr(),
        ),
        method(
            c"log".as_ptr(),
            log,
            none,
            c"log($self)\n--\n\nNatural logarithm; ValueError for x <= 0.".as_ptr(),
        ),
        method(
            c"sqrt".as_ptr(),
            sqrt,
            none,
            c"sqrt($self)\n--\n\nSquare root; ValueError for x < 0.".as_ptr(),
        ),
        method(
            c"sin".as_ptr(),
            sin,
            none,
            c"sin($self)\n--\n\nSine of x in radians; ValueError for an infinite x.".as_ptr(),
        ),
        method(
            c"cos".as_ptr(),
            cos,
            none,
            c"cos($self)\n--\n\nCosine of x in radians; ValueError for an infinite x.".as_ptr(),
        ),
        method(c"tanh".as_ptr(), tanh, none, c"tanh($self)\n--\n\nHyperbolic tangent.".as_ptr()),
        method(
            c"sigmoid".as_ptr(),
            sigmoid,
            none,
            c"sigmoid($self)\n--\n\n1 / (1 + exp(-x)), stable at any x.".as_ptr(),
        ),
        method(
            c"relu".as_ptr(),
            relu,
            none,
            c"relu($self)\n--\n\nmax(x, 0); its derivative at 0 is 0.".as_ptr(),
        ),
        method(
            c"max".as_ptr(),
            max,
            ffi::METH_O,
            c"max($self, other, /)\n--\n\nThe larger of the two, self when they are equal."
                .as_ptr(),
        ),
        method(
            c"min".as_ptr(),
            min,
            ffi::METH_O,
            c"min($self, other, /)\n--\n\nThe smaller of the two, self when they are equal."
                .as_ptr(),
        ),
    ]
}
