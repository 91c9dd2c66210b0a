//! Ops over lists of Values: each makes one node an output.

#![allow(clippy::doc_markdown, reason = "these texts become docstrings")]

use fastgrad_core::Error;
use fastgrad_core::graph::fused::{self, Activation, Rule};
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyList, PyString, PyType};

use crate::error::to_python;
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

/// A matrix times a vector: one node for each row, bias[i] + the sum of rows[i][j] * x[j], added
/// from left to right starting from the bias (or 0). ValueError when lengths do not match.
///
/// >>> [y.data for y in linear([1.0, 2.0], [[Value(3.0), 4.0], [5.0, 6.0]])]
/// [11.0, 17.0]
#[pyfunction]
#[pyo3(signature = (x, rows, bias=None))]
fn linear<'py>(
    py: Python<'py>,
    x: &Bound<'py, PyAny>,
    rows: &Bound<'py, PyAny>,
    bias: Option<&Bound<'py, PyAny>>,
) -> PyResult<Vec<Bound<'py, PyAny>>> {
    let mut operands = Operands::read(x, "linear: x")?;
    let n = operands.data.len();
    let rows: Vec<_> = rows
        .try_iter()
        .map_err(|_| PyTypeError::new_err("linear: rows must be an iterable of rows"))?
        .collect::<PyResult<_>>()?;
    if let Some(bias) = bias {
        operands.extend(bias, "linear: bias")?;
        expect_length("linear", || "bias".into(), operands.data.len() - n, rows.len())?;
    }
    for (i, row) in rows.iter().enumerate() {
        let before = operands.data.len();
        operands.extend(row, "linear: rows")?;
        expect_length("linear", || format!("rows[{i}]"), operands.data.len() - before, n)?;
    }
    let map = Map { n, m: rows.len(), bias: bias.is_some() };
    map.outputs(py, operands, "linear", Activation::Linear)
}

fn expect_length(
    op: &'static str,
    argument: impl FnOnce() -> String,
    got: usize,
    expected: usize,
) -> PyResult<()> {
    if got == expected {
        return Ok(());
    }
    Err(to_python(&Error::Length { op, argument: argument(), got, expected }))
}

/// The shape of a linear map whose operands are x (n), bias (m, or none), rows (m·n).
struct Map {
    n: usize,
    m: usize,
    bias: bool,
}

impl Map {
    fn outputs<'py>(
        &self,
        py: Python<'py>,
        operands: Operands,
        name: &'static str,
        activation: Activation,
    ) -> PyResult<Vec<Bound<'py, PyAny>>> {
        let (x, rest) = operands.data.split_at(self.n);
        let (bias, w) = rest.split_at(if self.bias { self.m } else { 0 });
        let mut z = bias.to_vec();
        z.resize(self.m, 0.0);
        let rule = fused::linear(x.to_vec(), w.to_vec(), self.bias, &mut z);
        let outputs = z
            .into_iter()
            .map(|z| activation.apply(z).map(|a| (a.value, a.dx)))
            .collect::<Result<Vec<_>, Error>>()
            .map_err(|error| to_python(&error))?;
        operands.into_outputs(py, name, rule, outputs.into_iter())
    }
}

/// A layer's neurons on one input: one node a neuron, activation(b + w·x), as a list. None where
/// a neuron is not exactly of type neuron_type or its activation is not the others', for then
/// each has to be called.
#[pyfunction]
#[pyo3(signature = (neurons, neuron_type, x, /))]
fn layer<'py>(
    py: Python<'py>,
    neurons: &Bound<'py, PyList>,
    neuron_type: &Bound<'py, PyType>,
    x: &Bound<'py, PyAny>,
) -> PyResult<Option<Vec<Bound<'py, PyAny>>>> {
    let mut operands = Operands::read(x, "x")?;
    let n = operands.data.len();
    let mut activation = None;
    let mut rows = Vec::with_capacity(neurons.len());
    for neuron in neurons {
        if !neuron.get_type().is(neuron_type) {
            return Ok(None);
        }
        let own = activation_of(&neuron)?;
        if *activation.get_or_insert(own) != own {
            return Ok(None);
        }
        operands.push(&neuron.getattr(intern!(py, "b"))?, "b of a neuron")?;
        rows.push(neuron.getattr(intern!(py, "w"))?);
    }
    for row in &rows {
        let before = operands.data.len();
        operands.extend(row, "w of a neuron")?;
        let weights = operands.data.len() - before;
        if weights != n {
            let message = format!("x has length {n}, expected {weights}, one for each weight");
            return Err(PyValueError::new_err(message));
        }
    }
    let activation = activation.unwrap_or(Activation::Linear);
    let map = Map { n, m: rows.len(), bias: true };
    map.outputs(py, operands, layer_op(activation), activation).map(Some)
}

fn activation_of(neuron: &Bound<'_, PyAny>) -> PyResult<Activation> {
    let name = neuron.getattr(intern!(neuron.py(), "activation"))?;
    let known = match name.cast::<PyString>() {
        Ok(text) => Activation::from_name(text.to_str()?),
        Err(_) => None,
    };
    known.ok_or_else(|| {
        let shown = number::shorten(name.as_borrowed());
        PyValueError::new_err(format!(
            "activation must be 'relu', 'tanh', 'sigmoid' or 'linear', got {shown}"
        ))
    })
}

fn layer_op(activation: Activation) -> &'static str {
    match activation {
        Activation::Linear => "affine",
        Activation::Relu => "affine+ReLU",
        Activation::Tanh => "affine+tanh",
        Activation::Sigmoid => "affine+sigmoid",
    }
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
    target: i64,
) -> PyResult<Bound<'py, PyAny>> {
    let operands = Operands::read(logits, "cross_entropy: logits")?;
    let made = fused::cross_entropy(&operands.data, target).map_err(|e| to_python(&e))?;
    operands.into_output(py, "cross_entropy", made)
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
    let (values, rule) = made.map_err(|error| to_python(&error))?;
    operands.into_outputs(py, name, rule, values.into_iter().map(|value| (value, 1.0)))
}

/// Adds the functions to the module.
pub fn add_functions(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(sum, module)?)?;
    module.add_function(wrap_pyfunction!(max, module)?)?;
    module.add_function(wrap_pyfunction!(min, module)?)?;
    module.add_function(wrap_pyfunction!(dot, module)?)?;
    module.add_function(wrap_pyfunction!(affine, module)?)?;
    module.add_function(wrap_pyfunction!(linear, module)?)?;
    module.add_function(wrap_pyfunction!(layer, module)?)?;
    module.add_function(wrap_pyfunction!(softmax, module)?)?;
    module.add_function(wrap_pyfunction!(log_softmax, module)?)?;
    module.add_function(wrap_pyfunction!(cross_entropy, module)?)?;
    module.add_function(wrap_pyfunction!(rms_norm, module)?)?;
    Ok(())
}
