//! The programs of scalar ops that the ops over lists stand for.
//!
//! They run in an op's place where a program has patched `Value`, or an operand's class has ops of
//! its own, since then every addition and multiplication must call the changed ops.

use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::PyList;

use crate::memory::with_capacity;
use crate::value::node::{self, NodeRef};

/// The list of an op's output nodes, or an exception.
pub type Outputs<'py> = PyResult<Bound<'py, PyList>>;
/// An op's output node, or an exception.
pub type Output<'py> = PyResult<Bound<'py, PyAny>>;

/// 0 + v₀ + v₁ + …
pub fn sum<'py>(py: Python<'py>, values: &[Bound<'py, PyAny>]) -> Output<'py> {
    values.iter().try_fold(value(py, 0.0)?, |total, value| total.add(value))
}

/// b + w₀·x₀ + w₁·x₁ + …
pub fn affine<'py>(
    w: &[Bound<'py, PyAny>],
    x: &[Bound<'py, PyAny>],
    b: &Bound<'py, PyAny>,
) -> Output<'py> {
    w.iter().zip(x).try_fold(as_value(b)?, |total, (w, x)| total.add(as_value(w)?.mul(x)?))
}

/// 0 + w₀·x₀ + w₁·x₁ + …
pub fn dot<'py>(py: Python<'py>, w: &[Bound<'py, PyAny>], x: &[Bound<'py, PyAny>]) -> Output<'py> {
    affine(w, x, &value(py, 0.0)?)
}

/// Applies an affine map for each of `m` rows; `weights` holds the rows, then `m` biases or none.
#[allow(clippy::indexing_slicing, reason = "a bias for each row, or none at all")]
pub fn linear<'py>(
    py: Python<'py>,
    x: &[Bound<'py, PyAny>],
    m: usize,
    weights: &[Bound<'py, PyAny>],
) -> Outputs<'py> {
    let outputs = PyList::empty(py);
    let (mut rows, bias) = weights.split_at(m * x.len());
    for i in 0..m {
        let (row, others) = rows.split_at(x.len());
        rows = others;
        outputs.append(match bias {
            [] => dot(py, row, x)?,
            bias => affine(row, x, &bias[i])?,
        })?;
    }
    Ok(outputs)
}

/// eᵢ / (0 + e₀ + e₁ + …) with eᵢ = exp(xᵢ − max).
pub fn softmax<'py>(py: Python<'py>, logits: &[Bound<'py, PyAny>]) -> Outputs<'py> {
    let powers = each(&shifted(logits)?, exp)?;
    let total = sum(py, &powers)?;
    list(py, &powers, |power| power.div(&total))
}

/// sᵢ − ln(0 + exp(s₀) + exp(s₁) + …) with sᵢ = xᵢ − max.
pub fn log_softmax<'py>(py: Python<'py>, logits: &[Bound<'py, PyAny>]) -> Outputs<'py> {
    let shifted = shifted(logits)?;
    let log_total = log_of_total(py, &shifted)?;
    list(py, &shifted, |x| x.sub(&log_total))
}

/// ln(0 + exp(s₀) + exp(s₁) + …) − s of the target, with sᵢ = xᵢ − max. A target that is a number
/// of a program that is being recorded picks its s by a method.
#[allow(clippy::indexing_slicing, reason = "the fused op has checked the target")]
pub fn cross_entropy<'py>(
    py: Python<'py>,
    logits: &[Bound<'py, PyAny>],
    target: usize,
    pick: Option<&Bound<'py, PyAny>>,
) -> Output<'py> {
    let shifted = shifted(logits)?;
    let log_total = log_of_total(py, &shifted)?;
    match pick {
        Some(pick) => log_total.sub(pick.call1((PyList::new(py, &shifted)?,))?),
        None => log_total.sub(&shifted[target]),
    }
}

/// s·xᵢ with s = ((0 + x₀·x₀ + x₁·x₁ + …)/n + eps)^−½.
pub fn rms_norm<'py>(py: Python<'py>, x: &[Bound<'py, PyAny>], eps: f64) -> Outputs<'py> {
    let scale = dot(py, x, x)?.div(x.len())?.add(eps)?.pow(-0.5, py.None())?;
    list(py, x, |x| scale.mul(x))
}

/// Subtracts the largest logit's number from each: the shift cancels, so it needs no gradient.
fn shifted<'py>(logits: &[Bound<'py, PyAny>]) -> PyResult<Vec<Bound<'py, PyAny>>> {
    let Some(first) = logits.first() else { return Ok(Vec::new()) };
    let py = first.py();
    let data = |logit: &Bound<'py, PyAny>| {
        if is_value(logit) { logit.getattr(intern!(py, "data")) } else { Ok(logit.clone()) }
    };
    // While a program is recorded, its numbers have a method that computes the maximum.
    if let Some(max) = data(first)?.getattr_opt(intern!(py, "_max_of"))? {
        let highest = max.call1((PyList::new(py, logits)?,))?;
        return each(logits, |logit| as_value(logit)?.sub(&highest));
    }
    let mut highest = f64::NEG_INFINITY;
    for logit in logits {
        let data = data(logit)?.extract()?;
        highest = if data > highest { data } else { highest };
    }
    each(logits, |logit| as_value(logit)?.sub(highest))
}

fn log_of_total<'py>(py: Python<'py>, shifted: &[Bound<'py, PyAny>]) -> Output<'py> {
    sum(py, &each(shifted, exp)?)?.call_method0(intern!(py, "log"))
}

fn exp<'py>(x: &Bound<'py, PyAny>) -> Output<'py> {
    x.call_method0(intern!(x.py(), "exp"))
}

fn each<'py>(
    items: &[Bound<'py, PyAny>],
    f: impl Fn(&Bound<'py, PyAny>) -> Output<'py>,
) -> PyResult<Vec<Bound<'py, PyAny>>> {
    let mut made = with_capacity(items.len())?;
    for item in items {
        made.push(f(item)?);
    }
    Ok(made)
}

fn list<'py>(
    py: Python<'py>,
    items: &[Bound<'py, PyAny>],
    f: impl Fn(&Bound<'py, PyAny>) -> Output<'py>,
) -> Outputs<'py> {
    let made = PyList::empty(py);
    for item in items {
        made.append(f(item)?)?;
    }
    Ok(made)
}

fn as_value<'py>(item: &Bound<'py, PyAny>) -> Output<'py> {
    if is_value(item) { Ok(item.clone()) } else { value(item.py(), item.extract()?) }
}

fn is_value(item: &Bound<'_, PyAny>) -> bool {
    NodeRef::of(item.as_borrowed()).is_some()
}

/// Makes a Value of a number by calling the class, as a program would.
fn value(py: Python<'_>, data: f64) -> Output<'_> {
    node::value_class(py).call1((data,))
}
