//! The neural bigram: its loss, its gradient and its training, on arrays that Python owns.

use fastgrad_core::bigram::{self, Examples, Rule, Training};
use fastgrad_core::watch::Watch;
use numpy::{IntoPyArray, Ix1, Ix2, PyArray1, PyArray2, PyArrayMethods};
use pyo3::exceptions::{PyMemoryError, PyValueError};
use pyo3::prelude::*;

use crate::error::to_python;
use crate::{arrays, watch};

/// How many logits and draws, a few milliseconds' worth, are worked on without a thread.
const FEW: u64 = 1 << 18;

/// Trains in place for some steps; returns the loss before each of them.
#[pyfunction]
#[pyo3(signature = (
    w, velocity, ids, counts, *, steps, first_step=0, lr=None, momentum=0.0, penalty=0.0,
    batch=None, seed=0, progress=None
))]
#[allow(clippy::too_many_arguments, reason = "they have names in Python")]
pub fn train_bigram<'py>(
    py: Python<'py>,
    w: &Bound<'py, PyAny>,
    velocity: &Bound<'py, PyAny>,
    ids: &Bound<'py, PyAny>,
    counts: &Bound<'py, PyAny>,
    steps: usize,
    first_step: u64,
    lr: Option<f64>,
    momentum: f64,
    penalty: f64,
    batch: Option<u64>,
    seed: u64,
    progress: Option<&Bound<'py, PyAny>>,
) -> PyResult<Bound<'py, PyArray1<f64>>> {
    let rule = lr.map_or(Rule::Accelerated, |lr| Rule::Plain { lr, momentum });
    if lr.is_none() && momentum != 0.0 {
        return Err(PyValueError::new_err(format!(
            "momentum is {momentum:?} without lr; expected both, or neither"
        )));
    }
    let training = Training { rule, penalty, batch, seed };
    let mut given_w = arrays::write::<f64, Ix2>("w", w)?;
    let mut given_velocity = arrays::write::<f64, Ix2>("velocity", velocity)?;
    let examples = read_examples(given_w.as_array().dim(), ids, counts)?;
    if given_velocity.as_array().dim() != given_w.as_array().dim() {
        return Err(PyValueError::new_err(format!(
            "velocity has shape {:?}; expected {:?}, that of w",
            given_velocity.as_array().dim(),
            given_w.as_array().dim()
        )));
    }
    // Copies, so that an error or Ctrl-C leaves everything as it was.
    let mut new_w: Vec<f64> = given_w.as_array().iter().copied().collect();
    let mut new_velocity: Vec<f64> = given_velocity.as_array().iter().copied().collect();
    let mut losses = Vec::new();
    losses.try_reserve_exact(steps).map_err(|_| {
        PyMemoryError::new_err(format!("no memory for the losses of {steps} steps"))
    })?;
    losses.resize(steps, 0.0);
    let work = |watch: &Watch| {
        let state = (new_w.as_mut_slice(), new_velocity.as_mut_slice());
        bigram::train(&examples, &training, state, first_step, &mut losses, watch)
    };
    let each = (examples.logits() as u64).saturating_add(batch.unwrap_or(0));
    if each.saturating_mul(steps as u64) > FEW {
        watch::run(py, progress, work)?;
    } else {
        watch::briefly(py, work)?;
        if let Some(progress) = progress {
            progress.call1((steps,))?;
        }
    }
    given_w.as_slice_mut()?.copy_from_slice(&new_w);
    given_velocity.as_slice_mut()?.copy_from_slice(&new_velocity);
    Ok(losses.into_pyarray(py))
}

/// The total loss at w, the part of the data in it, and the gradient of the total.
#[pyfunction]
#[pyo3(signature = (w, ids, counts, penalty=0.0))]
#[allow(clippy::type_complexity, reason = "a tuple of three")]
pub fn bigram_loss_and_gradient<'py>(
    py: Python<'py>,
    w: &Bound<'py, PyAny>,
    ids: &Bound<'py, PyAny>,
    counts: &Bound<'py, PyAny>,
    penalty: f64,
) -> PyResult<(f64, f64, Bound<'py, PyArray2<f64>>)> {
    let given = arrays::read::<f64, Ix2>("w", w)?;
    let examples = read_examples(given.as_array().dim(), ids, counts)?;
    let shape = given.as_array().raw_dim();
    let w: Vec<f64> = given.as_array().iter().copied().collect();
    let work = |watch: &Watch| {
        let mut dw = vec![0.0; w.len()];
        let loss = bigram::loss_and_gradient(&examples, penalty, &w, &mut dw, watch)?;
        Ok((loss, dw))
    };
    let (loss, dw) =
        if w.len() as u64 > FEW { watch::run(py, None, work)? } else { watch::briefly(py, work)? };
    let dw = dw.into_pyarray(py).reshape(shape)?;
    Ok((loss.total, loss.data, dw))
}

/// N-grams and their counts, for weights whose rows are contexts.
fn read_examples(
    (rows, size): (usize, usize),
    ids: &Bound<'_, PyAny>,
    counts: &Bound<'_, PyAny>,
) -> PyResult<Examples> {
    let ids = arrays::read::<u32, Ix2>("ids", ids)?;
    let counts = arrays::read::<u64, Ix1>("counts", counts)?;
    let ((grams, order), counted) = (ids.as_array().dim(), counts.as_array().dim());
    if grams != counted {
        return Err(PyValueError::new_err(format!(
            "counts has length {counted}; expected {grams}, one for each row of ids"
        )));
    }
    let power = u32::try_from(order).unwrap_or(u32::MAX).saturating_sub(1);
    if power == 0 || size == 0 || size.checked_pow(power) != Some(rows) {
        return Err(PyValueError::new_err(format!(
            "w has shape ({rows}, {size}) and ids hold {order}-grams; expected V symbols a row, \
             and V**(n - 1) rows for n-grams, with n at least 2"
        )));
    }
    let ids: Vec<u32> = ids.as_array().iter().copied().collect();
    let counts: Vec<u64> = counts.as_array().iter().copied().collect();
    Examples::new(size, order, &ids, &counts).map_err(|error| to_python(&error))
}
