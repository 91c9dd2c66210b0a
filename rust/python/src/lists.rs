//! Ops over lists of Values: each makes one node an output.

#![allow(clippy::doc_markdown, reason = "these texts become docstrings")]

use fastgrad_core::Error;
use fastgrad_core::graph::fused::{self, Rule};
use pyo3::exceptions::{PyIndexError, PyOverflowError, PyTypeError};
use pyo3::prelude::*;

use crate::errors::to_python;
use crate::operands::Operands;
use crate::value::{number, slots};

/// The sum of Values and numbers as one node, added from left to right.
///
/// >>> sum([Value(1.0), Value(2.0), 0.5]).data
/// 3.5
#[pyfunction]
#[pyo3(signature = (values, /))]
fn sum<'py>(py: Python<'py>, values: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    let operands = Operands::read(values, "sum: values")?;
    let made = fused::sum(&operands.data);
    operands.into_output(py, "sum", made)
}

/// The larger of two, the first when they are equal; the other one's derivative is 0.
///
/// >>> max(Value(1.0), 2.0).data
/// 2.0
#[pyfunction]
#[pyo3(signature = (a, b, /))]
fn max<'py>(a: &Bound<'py, PyAny>, b: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    // SAFETY: both are alive; the slot returns a new reference or sets an exception.
    unsafe { Bound::from_owned_ptr_or_err(a.py(), slots::max(a.as_ptr(), b.as_ptr())) }
}

/// The smaller of two, the first when they are equal; the other one's derivative is 0.
///
/// >>> min(Value(1.0), 2.0).data
/// 1.0
#[pyfunction]
#[pyo3(signature = (a, b, /))]
fn min<'py>(a: &Bound<'py, PyAny>, b: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    // SAFETY: both are alive; the slot returns a new reference or sets an exception.
    unsafe { Bound::from_owned_ptr_or_err(a.py(), slots::min(a.as_ptr(), b.as_ptr())) }
}

/// The sum of w[i] * x[i] as one node, added from left to right; ValueError when the lengths
/// differ.
///
/// >>> dot([Value(2.0), Value(3.0)], [10.0, 1.0]).data
/// 23.0
#[pyfunction]
#[pyo3(signature = (w, x, /))]
fn dot<'py>(
    py: Python<'py>,
    w: &Bound<'py, PyAny>,
    x: &Bound<'py, PyAny>,
) -> PyResult<Bound<'py, PyAny>> {
    let mut operands = Operands::read(w, "dot: w")?;
    let n = operands.data.len();
    operands.extend(x, "dot: x")?;
    let made = fused::dot(head(&operands, n), tail(&operands, n)).map_err(|e| to_python(&e))?;
    operands.into_output(py, "dot", made)
}

/// b plus the sum of w[i] * x[i] as one node, added from left to right starting from b;
/// ValueError when w and x differ in length.
///
/// >>> affine([Value(2.0)], [10.0], Value(1.0)).data
/// 21.0
#[pyfunction]
#[pyo3(signature = (w, x, b, /))]
fn affine<'py>(
    py: Python<'py>,
    w: &Bound<'py, PyAny>,
    x: &Bound<'py, PyAny>,
    b: &Bound<'py, PyAny>,
) -> PyResult<Bound<'py, PyAny>> {
    let mut operands = Operands::read(w, "affine: w")?;
    let n = operands.data.len();
    operands.extend(x, "affine: x")?;
    let end = operands.data.len();
    operands.push(b, "affine: b")?;
    let x_data = operands.data.get(n..end).unwrap_or_default();
    let start = operands.data.get(end).copied().unwrap_or_default();
    let made = fused::affine(head(&operands, n), x_data, start).map_err(|e| to_python(&e))?;
    operands.into_output(py, "affine", made)
}

fn head(operands: &Operands, n: usize) -> &[f64] {
    operands.data.get(..n).unwrap_or_default()
}

fn tail(operands: &Operands, n: usize) -> &[f64] {
    operands.data.get(n..).unwrap_or_default()
}

/// Probabilities proportional to exp(logits): one node each, stable at any finite input.
/// ValueError for no logits.
///
/// >>> [p.data for p in softmax([Value(1e4), Value(1e4)])]
/// [0.5, 0.5]
#[pyfunction]
#[pyo3(signature = (logits, /))]
fn softmax<'py>(py: Python<'py>, logits: &Bound<'py, PyAny>) -> PyResult<Vec<Bound<'py, PyAny>>> {
    let operands = Operands::read(logits, "softmax: logits")?;
    let made = fused::softmax(&operands.data);
    several(py, operands, "softmax", made)
}

/// Logarithms of the softmax of the logits: one node each. ValueError for no logits.
///
/// >>> [p.data for p in log_softmax([Value(0.0)])]
/// [0.0]
#[pyfunction]
#[pyo3(signature = (logits, /))]
fn log_softmax<'py>(
    py: Python<'py>,
    logits: &Bound<'py, PyAny>,
) -> PyResult<Vec<Bound<'py, PyAny>>> {
    let operands = Operands::read(logits, "log_softmax: logits")?;
    let made = fused::log_softmax(&operands.data);
    several(py, operands, "log_softmax", made)
}

/// The negative log-likelihood of class target under the softmax of the logits, as one node.
/// ValueError for no logits, IndexError for a target that is not one of them.
///
/// >>> cross_entropy([Value(0.0), Value(0.0)], 1).data
/// 0.6931471805599453
#[pyfunction]
fn cross_entropy<'py>(
    py: Python<'py>,
    logits: &Bound<'py, PyAny>,
    target: &Bound<'py, PyAny>,
) -> PyResult<Bound<'py, PyAny>> {
    let target = index(target)?;
    let operands = Operands::read(logits, "cross_entropy: logits")?;
    let made = fused::cross_entropy(&operands.data, target).map_err(|e| to_python(&e))?;
    operands.into_output(py, "cross_entropy", made)
}

/// A class index; one that no i64 can hold is out of range as well.
fn index(target: &Bound<'_, PyAny>) -> PyResult<i64> {
    target.extract().map_err(|error: PyErr| {
        if error.is_instance_of::<PyOverflowError>(target.py()) {
            return PyIndexError::new_err("cross_entropy: target is out of range");
        }
        let class = number::class_name(target.as_borrowed());
        let shown = number::shorten(target.as_borrowed());
        PyTypeError::new_err(format!(
            "cross_entropy: target must be an int, got {class}: {shown} \
             (for rows of logits there is fastgrad.nn.cross_entropy)"
        ))
    })
}

/// x divided by the root of its mean square: one node each, x[i] * (mean(x²) + eps)**-0.5
/// (Zhang and Sennrich 2019, without a gain). ValueError for an empty x.
///
/// >>> [y.data for y in rms_norm([Value(3.0), Value(3.0)], eps=0.0)]
/// [1.0, 1.0]
#[pyfunction]
#[pyo3(signature = (x, eps=1e-5))]
fn rms_norm<'py>(
    py: Python<'py>,
    x: &Bound<'py, PyAny>,
    eps: f64,
) -> PyResult<Vec<Bound<'py, PyAny>>> {
    let operands = Operands::read(x, "rms_norm: x")?;
    let made = fused::rms_norm(operands.data.clone(), eps);
    several(py, operands, "rms_norm", made)
}

fn several<'py>(
    py: Python<'py>,
    operands: Operands,
    name: &'static str,
    made: Result<(Vec<f64>, Rule), Error>,
) -> PyResult<Vec<Bound<'py, PyAny>>> {
    operands.into_outputs(py, name, made.map_err(|error| to_python(&error))?)
}

/// Adds the functions to the module.
pub fn add_functions(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(sum, module)?)?;
    module.add_function(wrap_pyfunction!(max, module)?)?;
    module.add_function(wrap_pyfunction!(min, module)?)?;
    module.add_function(wrap_pyfunction!(dot, module)?)?;
    module.add_function(wrap_pyfunction!(affine, module)?)?;
    module.add_function(wrap_pyfunction!(softmax, module)?)?;
    module.add_function(wrap_pyfunction!(log_softmax, module)?)?;
    module.add_function(wrap_pyfunction!(cross_entropy, module)?)?;
    module.add_function(wrap_pyfunction!(rms_norm, module)?)?;
    Ok(())
}
