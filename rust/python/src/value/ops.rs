//! The number protocol of `Value`, as raw slots.
//!
//! `PyO3`'s own slots cost 50 ns an op, half of it in making and dropping the object; these, with
//! the slab behind them, cost about what a C extension does. Every function here follows one plan:
//!
//! ```text
//! read both operands (Value or float without a call, the rest in a cold function)
//! compute value and local derivatives in the core
//! make a node; a number makes none, and takes the place of its derivative
//! on an error: set the exception, return null; nothing was made
//! ```
//!
//! Micrograd writes some operators by means of others: `2 + x` is `x + 2`, `-x` is `x * -1`,
//! `x - y` is `x + -y`, and `x / y` is `x * y**-1`. Here each is an op of its own, unless a program
//! has changed the others, by a subclass or by patching `Value`: then its operators are called as
//! micrograd would call them ([`rewrite`]).

use std::os::raw::{c_int, c_void};
use std::ptr;

use fastgrad_core::autograd::op::{self, Binary, Op, Unary};
use fastgrad_core::{Error, Result};
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::{PyFloat, PyInt};
use pyo3::{Borrowed, ffi};

use super::ffi::{Object, answer, method, not_implemented, raise};
use super::init;
use super::node::{self, Node, RAW};
use super::number::{self, Kind, Operand};
use super::patches;
use crate::errors::{guard_slot, to_python};

#[inline(always)]
unsafe fn binary(x: Object, y: Object, kind: Op, f: fn(f64, f64) -> Result<Binary>) -> Object {
    // SAFETY: Python hands living operands to a slot.
    unsafe {
        match (number::peek(x), number::peek(y)) {
            // Both are numbers or of the very type Value: one comparison says that it is pristine.
            (Some(x), Some(y)) if patches::is_pristine() => combine(x, y, kind, f).cast(),
            _ => binary_slowly(x, y, kind, f),
        }
    }
}

/// The node of the op, or null.
#[inline(always)]
unsafe fn combine(
    x: Operand,
    y: Operand,
    kind: Op,
    f: fn(f64, f64) -> Result<Binary>,
) -> *mut Node {
    // SAFETY: operands' nodes are alive.
    unsafe {
        match f(x.data, y.data) {
            Ok(result) => {
                let dx = if x.node.is_null() { x.data } else { result.dx };
                let dy = if y.node.is_null() { y.data } else { result.dy };
                node_of(kind, result.value, [x.node, y.node], [dx, dy])
            }
            Err(error) => refuse(kind, [x.node, y.node], &error),
        }
    }
}

/// A node with these parents, null for a number, which stands among the derivatives; or null.
#[inline(always)]
unsafe fn node_of(kind: Op, value: f64, parents: [*mut Node; 2], slopes: [f64; 2]) -> *mut Node {
    // SAFETY: the parents are alive or null.
    unsafe {
        let made = node::new(kind, value);
        if made.is_null() || node::set_parents(made, parents[0], parents[1], slopes[0], slopes[1]) {
            return made;
        }
        drop_raw(kind, made)
    }
}

/// Gives up a node that has an operand whose `__init__` has not run.
#[cold]
unsafe fn drop_raw(kind: Op, made: *mut Node) -> *mut Node {
    // SAFETY: the reference is the caller's.
    unsafe { ffi::Py_DECREF(made.cast()) };
    raise(number::not_initialised(kind.name())).cast()
}

/// Sets the exception for what the core refuses: the data of an operand whose `__init__` has not
/// run are none to be told of.
#[cold]
unsafe fn refuse(kind: Op, parents: [*mut Node; 2], error: &Error) -> *mut Node {
    // SAFETY: the parents are alive or null.
    let raw = parents.iter().any(|parent| unsafe { parent.as_ref() }.is_some_and(|p| p.has(RAW)));
    let error = if raw { number::not_initialised(kind.name()) } else { to_python(error) };
    raise(error).cast()
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
        let looked = patches::is_patched(Python::assume_attached());
        match looked.and_then(|_| read_both(x, y, kind.name())) {
            Ok(Some((a, b))) => {
                let changed = |object, operand: Operand| {
                    let class = ffi::Py_TYPE(object);
                    !operand.node.is_null() && is_rewritten(class, kind, a.node.is_null())
                };
                if changed(x, a) || changed(y, b) {
                    answer(rewrite(x, y, b, kind))
                } else {
                    init::finish(combine(a, b, kind, f))
                }
            }
            Ok(None) => not_implemented(),
            Err(error) => raise(error),
        }
    }
}

/// Does micrograd write this op by means of operators that the class has changed?
#[inline(always)]
unsafe fn is_rewritten(class: *mut ffi::PyTypeObject, kind: Op, left_is_number: bool) -> bool {
    // SAFETY: Value and its subclasses have number slots.
    unsafe {
        let now = &*(*class).tp_as_number;
        let add = || now.nb_add.is_none_or(|f| f as usize != nb_add as *const () as usize);
        let mul =
            || now.nb_multiply.is_none_or(|f| f as usize != nb_multiply as *const () as usize);
        let neg =
            || now.nb_negative.is_none_or(|f| f as usize != nb_negative as *const () as usize);
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
}

/// Calls the operators that micrograd calls for this op; `right` is y as read.
unsafe fn rewrite<'py>(
    x: Object,
    y: Object,
    right: Operand,
    kind: Op,
) -> PyResult<Bound<'py, PyAny>> {
    // SAFETY: Python hands living operands to a slot, with the GIL held.
    unsafe {
        let py = Python::assume_attached();
        let x = Bound::from_borrowed_ptr(py, x);
        let mut y = Bound::from_borrowed_ptr(py, y);
        if right.node.is_null() && !y.is_exact_instance_of::<PyInt>() {
            // numpy's own numbers have rules of their own for a minus and for powers.
            y = PyFloat::new(py, right.data).into_any();
        }
        match kind {
            Op::Add => y.add(x),
            Op::Mul => y.mul(x),
            Op::Sub => x.add(y.neg()?),
            _ => x.mul(y.pow(-1, py.None())?),
        }
    }
}

/// Both operands; None when the other type may still know what to do.
unsafe fn read_both(x: Object, y: Object, op: &str) -> PyResult<Option<(Operand, Operand)>> {
    // SAFETY: Python hands living operands to a slot, with the GIL held.
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

/// Types that can never stand beside a `Value`. Others are asked for their own reflected op, which
/// an array distributes over its items.
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
unsafe fn unary(x: Object, kind: Op, f: fn(f64) -> Result<Unary>) -> Object {
    // SAFETY: `x` is a Value: the slots and methods of the type guarantee it.
    unsafe {
        let is_plain = kind != Op::Neg || ffi::Py_TYPE(x) == node::value_type();
        if is_plain && patches::is_pristine() {
            one_parent(x, kind, f).cast()
        } else {
            unary_slowly(x, kind, f)
        }
    }
}

#[cold]
unsafe fn unary_slowly(x: Object, kind: Op, f: fn(f64) -> Result<Unary>) -> Object {
    // SAFETY: as in `unary`.
    unsafe {
        let node = x.cast::<Node>();
        if !(*node).has(RAW) && is_rewritten(ffi::Py_TYPE(x), kind, false) {
            return answer(Bound::from_borrowed_ptr(Python::assume_attached(), x).mul(-1));
        }
        init::finish(one_parent(x, kind, f))
    }
}

/// The node of an op of one operand, or null.
#[inline(always)]
unsafe fn one_parent(x: Object, kind: Op, f: fn(f64) -> Result<Unary>) -> *mut Node {
    // SAFETY: `x` is a living Value.
    unsafe {
        let parents = [x.cast::<Node>(), ptr::null_mut()];
        match f((*x.cast::<Node>()).data) {
            Ok(result) => node_of(kind, result.value, parents, [result.dx, 0.0]),
            Err(error) => refuse(kind, parents, &error),
        }
    }
}

/// `x ** y` and `pow(x, y)`; a third argument is refused.
#[inline(always)]
unsafe fn power(x: Object, y: Object, modulus: Object) -> Object {
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
    // SAFETY: as in `power`.
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

unsafe fn power_of_number(x: Object, n: f64, kind: Kind) -> Object {
    // SAFETY: `x` is a Value.
    unsafe {
        let op = if kind == Kind::Whole { Op::PowInt } else { Op::PowFloat };
        let parents = [x.cast::<Node>(), ptr::null_mut()];
        init::finish(match op::pow_number((*x.cast::<Node>()).data, n) {
            Ok(result) => node_of(op, result.value, parents, [result.dx, n]),
            Err(error) => refuse(op, parents, &error),
        })
    }
}

/// A function, unlike an operator, has nobody else to ask.
#[inline(always)]
unsafe fn function(x: Object, y: Object, kind: Op, f: fn(f64, f64) -> Result<Binary>) -> Object {
    // SAFETY: living operands.
    unsafe {
        let answer = binary(x, y, kind, f);
        if answer != ffi::Py_NotImplemented() {
            return answer;
        }
        ffi::Py_DECREF(answer);
        let py = Python::assume_attached();
        raise(unsupported(kind.name(), Borrowed::from_ptr(py, x), Borrowed::from_ptr(py, y)))
    }
}

/// One row an operator: the C function, its entry in the type, its operands, what it does.
macro_rules! operators {
    ($($slot:ident $entry:ident ($($operand:ident),+) $body:expr;)+) => {
        $(
            unsafe extern "C" fn $slot($($operand: Object),+) -> Object {
                // SAFETY: Python hands living operands to a slot, at least one of them a Value.
                guard_slot(|| unsafe { $body })
            }
        )+

        /// The number protocol's entries of the type.
        pub fn number_slots() -> Vec<ffi::PyType_Slot> {
            let entry = |slot: c_int, pfunc: *mut c_void| ffi::PyType_Slot { slot, pfunc };
            vec![$(entry(ffi::$entry, $slot as *mut _)),+]
        }
    };
}

operators! {
    nb_add Py_nb_add (x, y) binary(x, y, Op::Add, op::add);
    nb_subtract Py_nb_subtract (x, y) binary(x, y, Op::Sub, op::sub);
    nb_multiply Py_nb_multiply (x, y) binary(x, y, Op::Mul, op::mul);
    nb_true_divide Py_nb_true_divide (x, y) binary(x, y, Op::Div, op::div);
    nb_power Py_nb_power (x, y, modulus) power(x, y, modulus);
    nb_negative Py_nb_negative (x) unary(x, Op::Neg, op::neg);
    nb_positive Py_nb_positive (x) unary(x, Op::Pos, op::pos);
    nb_absolute Py_nb_absolute (x) unary(x, Op::Abs, op::abs);
}

/// One row a method: its name and the core's function, its kind, its docstring.
macro_rules! methods {
    (
        unary { $($name:ident $kind:ident $doc:literal;)+ }
        binary { $($name2:ident $kind2:ident $doc2:literal;)+ }
    ) => {
        $(
            unsafe extern "C" fn $name(x: Object, _: Object) -> Object {
                // SAFETY: a method's receiver.
                guard_slot(|| unsafe { unary(x, Op::$kind, op::$name) })
            }
        )+
        $(
            #[doc = concat!("`x.", stringify!($name2), "(y)`, and the module's function.")]
            pub unsafe extern "C" fn $name2(x: Object, y: Object) -> Object {
                // SAFETY: living operands.
                guard_slot(|| unsafe { function(x, y, Op::$kind2, op::$name2) })
            }
        )+

        /// The methods that are ops.
        pub fn op_methods() -> Vec<ffi::PyMethodDef> {
            vec![
                $(method(
                    concat!(stringify!($name), "\0").as_ptr().cast(),
                    $name,
                    ffi::METH_NOARGS,
                    concat!(stringify!($name), "($self)\n--\n\n", $doc, "\0").as_ptr().cast(),
                ),)+
                $(method(
                    concat!(stringify!($name2), "\0").as_ptr().cast(),
                    $name2,
                    ffi::METH_O,
                    concat!(stringify!($name2), "($self, other, /)\n--\n\n", $doc2, "\0")
                        .as_ptr()
                        .cast(),
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
