//! The neural bigram: training, loss and gradient, on arrays that Python owns.

use fastgrad_core::alloc;
use fastgrad_core::neural_bigram::{self, Config, Examples, Optimizer};
use fastgrad_core::progress::Progress;
use numpy::{IntoPyArray, Ix1, Ix2, PyArray1, PyArray2};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

use crate::args;
use crate::errors::{guard, to_python};
use crate::run::{Cost, run};

/// The nanoseconds that a logit or a draw takes.
const A_LOGIT: u64 = 8;

/// Train in place for some steps and return the loss before each of them.
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
    guard(|| {
        let optimizer = lr.map_or(Optimizer::Accelerated, |lr| Optimizer::Sgd { lr, momentum });
        if lr.is_none() && momentum != 0.0 {
            return Err(PyValueError::new_err(format!(
                "momentum is {momentum:?} without lr; expected both, or neither"
            )));
        }
        let config = Config { optimizer, penalty, batch, seed };
        let mut given_w = args::array::<f64, Ix2>("w", w)?.contiguous()?.write()?;
        let velocity = args::array::<f64, Ix2>("velocity", velocity)?.contiguous()?;
        let mut given_velocity = velocity.write()?;
        let examples = read_examples(given_w.as_array().dim(), ids, counts)?;
        if given_velocity.as_array().dim() != given_w.as_array().dim() {
            return Err(PyValueError::new_err(format!(
                "velocity has shape {:?}; expected {:?}, that of w",
                given_velocity.as_array().dim(),
                given_w.as_array().dim()
            )));
        }
        // Copies, so that an error or Ctrl-C leaves everything as it was.
        let memory = |error| to_python(&error);
        let mut new_w = args::copied(&given_w.as_array(), &Progress::new()).map_err(memory)?;
        let mut new_velocity =
            args::copied(&given_velocity.as_array(), &Progress::new()).map_err(memory)?;
        let mut losses = alloc::zeroed(steps).map_err(memory)?;
        let work = |progress: &Progress| {
            let state = (new_w.as_mut_slice(), new_velocity.as_mut_slice());
            neural_bigram::train(&examples, &config, state, first_step, &mut losses, progress)
        };
        let draws = batch.map_or(0, |batch| usize::try_from(batch).unwrap_or(usize::MAX));
        let each = Cost::of(examples.logits().saturating_add(draws), A_LOGIT);
        run(py, each.times(steps as u64), progress, work)?;
        given_w.as_slice_mut()?.copy_from_slice(&new_w);
        given_velocity.as_slice_mut()?.copy_from_slice(&new_velocity);
        Ok(losses.into_pyarray(py))
    })
}

/// Return the total loss at w, the part of it without the penalty, and the gradient of the total.
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
    guard(|| {
        let w = args::array::<f64, Ix2>("w", w)?.read()?;
        let w = w.as_array();
        let examples = read_examples(w.dim(), ids, counts)?;
        let (loss, dw) = run(py, Cost::of(w.len(), A_LOGIT), None, |progress| {
            let w = args::copied(&w, progress)?;
            let mut dw = alloc::zeroed(w.len())?;
            let loss = neural_bigram::loss_and_gradient(&examples, penalty, &w, &mut dw, progress)?;
            Ok((loss, dw))
        })?;
        Ok((loss.total, loss.data, args::output(py, dw, w.raw_dim())?))
    })
}

/// Reads n-grams and their counts, for weights of this shape, whose rows are contexts.
fn read_examples(
    (rows, size): (usize, usize),
    ids: &Bound<'_, PyAny>,
    counts: &Bound<'_, PyAny>,
) -> PyResult<Examples> {
    let ids = args::array::<u32, Ix2>("ids", ids)?;
    let counts = args::array::<u64, Ix1>("counts", counts)?;
    let ((grams, order), counted) = ((ids.axis(0), ids.axis(1)), counts.axis(0));
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
    let (ids, counts) = (ids.read()?, counts.read()?);
    let (ids, counts) = (ids.as_array(), counts.as_array());
    let examples = args::copied(&ids, &Progress::new()).and_then(|ids| {
        let counts = args::copied(&counts, &Progress::new())?;
        Examples::new(size, order, &ids, &counts)
    });
    examples.map_err(|error| to_python(&error))
}
