//! Ops over lists of Values: each makes one node an output.
//!
//! Where `Value` is patched, or an operand's class has ops of its own, the program of scalar ops
//! (`written_out.rs`) runs instead, after the fused op has checked the arguments.

#![allow(
    clippy::doc_markdown,
    rustdoc::broken_intra_doc_links,
    reason = "these texts become docstrings"
)]

use fastgrad_core::Error;
use fastgrad_core::autograd::fused::{self, Vjp};
use pyo3::exceptions::{PyIndexError, PyOverflowError, PyTypeError};
use pyo3::prelude::*;
use pyo3::types::{PyList, PyTuple};
use pyo3::{ffi, intern};

use crate::args::described;
use crate::errors::{guard, to_python};
use crate::operands::{Operands, detached};
use crate::overrides;
use crate::value::node::NodeRef;
use crate::value::{ops, patches};
use crate::written_out::{self, Output, Outputs};

/// Return the sum of Values and numbers as one node, added from left to right.
///
/// >>> sum([Value(1.0), Value(2.0), 0.5]).data
/// 3.5
#[pyfunction]
#[pyo3(signature = (values, /))]
fn sum<'py>(values: &Bound<'py, PyAny>) -> Output<'py> {
    guard(|| {
        let py = values.py();
        let operands = Operands::read(values, "sum: values")?;
        if operands.have_own_ops(py)? {
            return written_out::sum(py, &operands.objects(py)?);
        }
        let made = detached(py, &operands.data, fused::sum);
        operands.into_output(py, "sum", made)
    })
}

/// Return the larger of two, the first when they are equal; the derivative by the other is 0.
///
/// >>> max(Value(1.0), 2.0).data
/// 2.0
#[pyfunction]
#[pyo3(signature = (a, b, /))]
fn max<'py>(a: &Bound<'py, PyAny>, b: &Bound<'py, PyAny>) -> Output<'py> {
    guard(|| extremum(a, b, "max", ops::max))
}

/// Return the smaller of two, the first when they are equal; the derivative by the other is 0.
///
/// >>> min(Value(1.0), 2.0).data
/// 1.0
#[pyfunction]
#[pyo3(signature = (a, b, /))]
fn min<'py>(a: &Bound<'py, PyAny>, b: &Bound<'py, PyAny>) -> Output<'py> {
    guard(|| extremum(a, b, "min", ops::min))
}

type Slot = unsafe extern "C" fn(*mut ffi::PyObject, *mut ffi::PyObject) -> *mut ffi::PyObject;

/// Calls the op's slot on both or, where the class of `a` has ops of its own, its method.
fn extremum<'py>(
    a: &Bound<'py, PyAny>,
    b: &Bound<'py, PyAny>,
    name: &str,
    slot: Slot,
) -> Output<'py> {
    let is_own = NodeRef::of(a.as_borrowed()).is_some()
        && (patches::is_patched(a.py())? || overrides::class_has_own_ops(a)?);
    if is_own {
        return a.call_method1(name, (b,));
    }
    // SAFETY: both are alive; the slot returns a new reference or sets an exception.
    unsafe { Bound::from_owned_ptr_or_err(a.py(), slot(a.as_ptr(), b.as_ptr())) }
}

/// Return the sum of w[i] * x[i] as one node, added from left to right; ValueError when the lengths
/// differ.
///
/// >>> dot([Value(2.0), Value(3.0)], [10.0, 1.0]).data
/// 23.0
#[pyfunction]
#[pyo3(signature = (w, x, /))]
fn dot<'py>(w: &Bound<'py, PyAny>, x: &Bound<'py, PyAny>) -> Output<'py> {
    guard(|| {
        let py = w.py();
        let mut operands = Operands::read(w, "dot: w")?;
        let n = operands.data.len();
        operands.extend(x, "dot: x")?;
        let made = detached(py, &operands.data, |data| {
            let (w, x) = data.split_at(n);
            fused::dot(w, x)
        });
        let made = made.map_err(|error| to_python(&error))?;
        if operands.have_own_ops(py)? {
            let objects = operands.objects(py)?;
            let (w, x) = objects.split_at(n);
            return written_out::dot(py, w, x);
        }
        operands.into_output(py, "dot", made)
    })
}

/// Return b plus the sum of w[i] * x[i] as one node, added from left to right starting from b;
/// ValueError when w and x differ in length.
///
/// >>> affine([Value(2.0)], [10.0], Value(1.0)).data
/// 21.0
#[pyfunction]
#[pyo3(signature = (w, x, b, /))]
fn affine<'py>(w: &Bound<'py, PyAny>, x: &Bound<'py, PyAny>, b: &Bound<'py, PyAny>) -> Output<'py> {
    guard(|| {
        let py = w.py();
        let mut operands = Operands::read(w, "affine: w")?;
        let n = operands.data.len();
        operands.extend(x, "affine: x")?;
        operands.push(b, "affine: b")?;
        if operands.have_own_ops(py)? {
            affine_of(&operands.data, n).map_err(|error| to_python(&error))?;
            let objects = operands.objects(py)?;
            let [terms @ .., b] = &*objects else { unreachable!("b is the last operand") };
            let (w, x) = terms.split_at(n);
            return written_out::affine(w, x, b);
        }
        fused_affine(py, operands, n)
    })
}

/// Return b + w·x as one node, for a neuron. None where the neuron's own scalar ops have to run: w
/// is no list or tuple of Values, b is no Value, or an operand has ops of its own.
#[pyfunction]
#[pyo3(signature = (w, x, b, /))]
fn neuron<'py>(
    w: &Bound<'py, PyAny>,
    x: &Bound<'py, PyAny>,
    b: &Bound<'py, PyAny>,
) -> PyResult<Option<Bound<'py, PyAny>>> {
    guard(|| {
        let (py, mut operands) = (w.py(), Operands::default());
        let listed = w.is_exact_instance_of::<PyList>() || w.is_exact_instance_of::<PyTuple>();
        if !listed || NodeRef::of(b.as_borrowed()).is_none() {
            return Ok(None);
        }
        let mut n = 0;
        let read = operands.extend(w, "w").and_then(|()| {
            n = operands.data.len();
            operands.extend(x, "x")?;
            operands.push(b, "b")
        });
        if !operands.unless_strange(read)? || !operands.are_nodes(n) || operands.have_own_ops(py)? {
            return Ok(None);
        }
        fused_affine(py, operands, n).map(Some)
    })
}

/// Applies the affine map to operands w (n of them), x and b.
fn fused_affine(py: Python<'_>, operands: Operands, n: usize) -> Output<'_> {
    let made = detached(py, &operands.data, |data| affine_of(data, n));
    let made = made.map_err(|error| to_python(&error))?;
    operands.into_output(py, "affine", made)
}

fn affine_of(data: &[f64], n: usize) -> Result<(f64, Vjp), Error> {
    let [terms @ .., b] = data else { unreachable!("b is the last operand") };
    let (w, x) = terms.split_at(n);
    fused::affine(w, x, *b)
}

/// Return the softmax of the logits, exp(logits) / sum(exp(logits)): one node each, stable at any
/// finite input. ValueError for no logits.
///
/// >>> [p.data for p in softmax([Value(1e4), Value(1e4)])]
/// [0.5, 0.5]
#[pyfunction]
#[pyo3(signature = (logits, /))]
fn softmax<'py>(logits: &Bound<'py, PyAny>) -> Outputs<'py> {
    guard(|| {
        let operands = Operands::read(logits, "softmax: logits")?;
        several(logits.py(), operands, "softmax", fused::softmax, written_out::softmax)
    })
}

/// Return the logarithms of the softmax of the logits: one node each. ValueError for no logits.
///
/// >>> [p.data for p in log_softmax([Value(0.0)])]
/// [0.0]
#[pyfunction]
#[pyo3(signature = (logits, /))]
fn log_softmax<'py>(logits: &Bound<'py, PyAny>) -> Outputs<'py> {
    guard(|| {
        let operands = Operands::read(logits, "log_softmax: logits")?;
        several(logits.py(), operands, "log_softmax", fused::log_softmax, written_out::log_softmax)
    })
}

/// Return the negative log-likelihood of class target under the softmax of the logits, as one node.
/// ValueError for no logits, IndexError for a target that is not one of them.
///
/// >>> cross_entropy([Value(0.0), Value(0.0)], 1).data
/// 0.6931471805599453
#[pyfunction]
#[allow(clippy::cast_precision_loss, reason = "an index into a list is below 2⁵³")]
fn cross_entropy<'py>(logits: &Bound<'py, PyAny>, target: &Bound<'py, PyAny>) -> Output<'py> {
    guard(|| {
        let py = logits.py();
        let picked = recorded(target)?;
        let place = match &picked {
            Some(_) => target.call_method0(intern!(py, "_whole"))?.extract()?,
            None => index(target)?,
        };
        let mut operands = Operands::read(logits, "cross_entropy: logits")?;
        let made = detached(py, &operands.data, |data| fused::cross_entropy(data, place));
        let made = made.map_err(|error| to_python(&error))?;
        if operands.have_own_ops(py)? {
            let (objects, place) = (operands.objects(py)?, usize::try_from(place)?);
            return written_out::cross_entropy(py, &objects, place, picked.as_ref());
        }
        operands.setting = Some(place as f64);
        operands.into_output(py, "cross_entropy", made)
    })
}

/// Returns a target's method that picks from a list, which numbers have while a program is recorded.
fn recorded<'py>(target: &Bound<'py, PyAny>) -> PyResult<Option<Bound<'py, PyAny>>> {
    match NodeRef::of(target.as_borrowed()) {
        Some(_) => target.getattr_opt(intern!(target.py(), "_pick_from")),
        None => Ok(None),
    }
}

/// Reads a class index; one that no `i64` can hold is out of range as well.
fn index(target: &Bound<'_, PyAny>) -> PyResult<i64> {
    target.extract().map_err(|error: PyErr| {
        if error.is_instance_of::<PyOverflowError>(target.py()) {
            return PyIndexError::new_err("cross_entropy: target is out of range");
        }
        let got = described(target.as_borrowed());
        PyTypeError::new_err(format!(
            "cross_entropy: target must be an int, got {got} \
             (for rows of logits there is fastgrad.nn.cross_entropy)"
        ))
    })
}

/// Return x divided by the root of its mean square: one node each, x[i] * (mean(x²) + eps)**-0.5
/// (Zhang and Sennrich 2019, without a gain). ValueError for an empty x.
///
/// >>> [y.data for y in rms_norm([Value(3.0), Value(3.0)], eps=0.0)]
/// [1.0, 1.0]
#[pyfunction]
#[pyo3(signature = (x, eps=1e-5))]
fn rms_norm<'py>(x: &Bound<'py, PyAny>, eps: f64) -> Outputs<'py> {
    guard(|| {
        let mut operands = Operands::read(x, "rms_norm: x")?;
        operands.setting = Some(eps);
        let op = |data: &[f64]| fused::rms_norm(data, eps);
        several(x.py(), operands, "rms_norm", op, |py, x| written_out::rms_norm(py, x, eps))
    })
}

/// Applies an op with several outputs, or runs the program of scalar ops that it stands for.
fn several<'py>(
    py: Python<'py>,
    operands: Operands,
    name: &'static str,
    op: impl FnOnce(&[f64]) -> Result<(Vec<f64>, Vjp), Error> + Send,
    written: impl FnOnce(Python<'py>, &[Bound<'py, PyAny>]) -> Outputs<'py>,
) -> Outputs<'py> {
    let made = detached(py, &operands.data, op).map_err(|error| to_python(&error))?;
    if operands.have_own_ops(py)? {
        return written(py, &operands.objects(py)?);
    }
    operands.into_outputs(py, name, made)
}

/// Adds the functions to the module.
pub fn add_functions(module: &Bound<'_, PyModule>) -> PyResult<()> {
    add_functions!(module; sum, max, min, dot, affine, neuron, softmax, log_softmax, cross_entropy, rms_norm);
    Ok(())
}
