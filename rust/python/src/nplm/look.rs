//! What a model says, without changing it: losses, gradients, probabilities.

#![allow(clippy::doc_markdown, clippy::doc_link_with_quotes, reason = "these become docstrings")]

use fastgrad_core::nplm::dropout::Masks;
use fastgrad_core::nplm::{Data, evaluate};
use numpy::{IntoPyArray, PyArray1, PyArray2, PyUntypedArrayMethods};
use pyo3::prelude::*;
use pyo3::types::PyDict;

use super::for_numbers;
use super::given::{self, Named, Number};
use super::work::{borrow, cost, for_reading, team, work};
use crate::args;
use crate::errors::guard;
use crate::run::run;

/// The mean loss over all examples, in nats: the mean of -ln p(target).
///
/// params, inputs and targets as for nplm_train, which also says which errors there are; nothing
/// is changed. The same for any number of threads.
///
/// >>> import numpy as np
/// >>> f = lambda *shape: np.zeros(shape)
/// >>> params = dict(C=f(3, 2), H=f(4, 2), d=f(4), U=f(3, 4), b=f(3))
/// >>> inputs, targets = np.array([[0], [1]], np.uint32), np.array([1, 2], np.uint32)
/// >>> round(nplm_loss(params, inputs, targets), 4)
/// 1.0986
#[pyfunction]
#[pyo3(signature = (params, inputs, targets, *, threads=None))]
pub fn nplm_loss(
    params: &Bound<'_, PyAny>,
    inputs: &Bound<'_, PyAny>,
    targets: &Bound<'_, PyAny>,
    threads: Option<&Bound<'_, PyAny>>,
) -> PyResult<f64> {
    guard(|| for_numbers!(params, loss_with(params, inputs, targets, threads)))
}

fn loss_with<T: Number>(
    params: &Bound<'_, PyAny>,
    inputs: &Bound<'_, PyAny>,
    targets: &Bound<'_, PyAny>,
    threads: Option<&Bound<'_, PyAny>>,
) -> PyResult<f64> {
    let examples = given::Examples::read(inputs, targets)?;
    let set = given::set::<T>("params", params)?;
    let shape = examples.shape(&set)?;
    let borrowed = borrow(&set, Named::read)?;
    let slices = for_reading(&borrowed)?;
    let (inputs, targets) = (examples.inputs.read()?, examples.targets.read()?);
    let data = Data { inputs: inputs.as_slice()?, targets: targets.as_slice()? };
    let all = work(&shape, data.len(), 2);
    let threads = team(threads, all, data.len())?;
    run(params.py(), cost(all), None, |progress| {
        evaluate::loss(&shape, &slices, &data, threads, progress)
    })
}

/// The loss of each example, in nats: float64 (N,), -ln p(target).
///
/// params, inputs and targets as for nplm_train, which also says which errors there are; nothing
/// is changed. The same for any number of threads.
///
/// >>> import numpy as np
/// >>> f = lambda *shape: np.zeros(shape)
/// >>> params = dict(C=f(2, 1), H=f(1, 1), d=f(1), U=f(2, 1), b=np.log([3.0, 1.0]))
/// >>> inputs, targets = np.array([[0], [1]], np.uint32), np.array([0, 1], np.uint32)
/// >>> np.exp(-nplm_losses(params, inputs, targets)).round(3).tolist()
/// [0.75, 0.25]
#[pyfunction]
#[pyo3(signature = (params, inputs, targets, *, threads=None))]
pub fn nplm_losses<'py>(
    params: &Bound<'py, PyAny>,
    inputs: &Bound<'py, PyAny>,
    targets: &Bound<'py, PyAny>,
    threads: Option<&Bound<'py, PyAny>>,
) -> PyResult<Bound<'py, PyArray1<f64>>> {
    guard(|| {
        let losses = for_numbers!(params, losses_with(params, inputs, targets, threads))?;
        Ok(losses.into_pyarray(params.py()))
    })
}

fn losses_with<T: Number>(
    params: &Bound<'_, PyAny>,
    inputs: &Bound<'_, PyAny>,
    targets: &Bound<'_, PyAny>,
    threads: Option<&Bound<'_, PyAny>>,
) -> PyResult<Vec<f64>> {
    let examples = given::Examples::read(inputs, targets)?;
    let set = given::set::<T>("params", params)?;
    let shape = examples.shape(&set)?;
    let borrowed = borrow(&set, Named::read)?;
    let slices = for_reading(&borrowed)?;
    let (inputs, targets) = (examples.inputs.read()?, examples.targets.read()?);
    let data = Data { inputs: inputs.as_slice()?, targets: targets.as_slice()? };
    let all = work(&shape, data.len(), 2);
    let threads = team(threads, all, data.len())?;
    run(params.py(), cost(all), None, |progress| {
        evaluate::losses(&shape, &slices, &data, threads, progress)
    })
}

/// The mean loss over all examples, taken as one mini-batch, and a dict of its gradients, arrays
/// like those of params.
///
/// params, inputs and targets as for nplm_train, which also says which errors there are; nothing
/// is changed. This is for checking: it is what a step of nplm_train works out, with the features
/// left out that dropout, seed and the step's number decide.
///
/// >>> import numpy as np
/// >>> f = lambda *shape: np.zeros(shape)
/// >>> params = dict(C=f(2, 1), H=f(1, 1), d=f(1), U=f(2, 1), b=f(2))
/// >>> inputs, targets = np.array([[0]], np.uint32), np.array([1], np.uint32)
/// >>> loss, gradients = nplm_gradients(params, inputs, targets)
/// >>> gradients["b"].tolist()
/// [0.5, -0.5]
#[pyfunction]
#[pyo3(signature = (
    params, inputs, targets, *, dropout=None, seed=None, step=None, threads=None
))]
#[pyo3(text_signature = "(params, inputs, targets, *, dropout=(0.0, 0.0), seed=0, step=0, \
    threads=None)")]
pub fn nplm_gradients<'py>(
    params: &Bound<'py, PyAny>,
    inputs: &Bound<'py, PyAny>,
    targets: &Bound<'py, PyAny>,
    dropout: Option<&Bound<'py, PyAny>>,
    seed: Option<&Bound<'py, PyAny>>,
    step: Option<&Bound<'py, PyAny>>,
    threads: Option<&Bound<'py, PyAny>>,
) -> PyResult<(f64, Bound<'py, PyDict>)> {
    guard(|| {
        let seed = seed.map_or(Ok(0), |seed| args::at_least("seed", seed, 0))?;
        let step = step.map_or(Ok(0), |step| args::at_least("step", step, 0))?;
        let masks = given::dropout(dropout)?.at(seed, step);
        for_numbers!(params, gradients_with(params, inputs, targets, masks, threads))
    })
}

fn gradients_with<'py, T: Number>(
    params: &Bound<'py, PyAny>,
    inputs: &Bound<'py, PyAny>,
    targets: &Bound<'py, PyAny>,
    masks: Masks,
    threads: Option<&Bound<'py, PyAny>>,
) -> PyResult<(f64, Bound<'py, PyDict>)> {
    let py = params.py();
    let examples = given::Examples::read(inputs, targets)?;
    let set = given::set::<T>("params", params)?;
    let shape = examples.shape(&set)?;
    let borrowed = borrow(&set, Named::read)?;
    let slices = for_reading(&borrowed)?;
    let (inputs, targets) = (examples.inputs.read()?, examples.targets.read()?);
    let data = Data { inputs: inputs.as_slice()?, targets: targets.as_slice()? };
    let all = work(&shape, data.len(), 6);
    let threads = team(threads, all, data.len())?;
    let (loss, gradients) = run(py, cost(all), None, |progress| {
        evaluate::gradients(&shape, &slices, &data, Some(&masks), threads, progress)
    })?;
    let result = PyDict::new(py);
    for ((name, gradient), (_, like)) in gradients.named().into_iter().zip(set.named()) {
        if let Some(like) = like {
            let array = args::output(py, gradient, like.array.shape())?;
            result.set_item(name, array)?;
        }
    }
    Ok((loss, result))
}

/// The probabilities of all symbols after each context: float64 (B, V), rows that sum to 1.
///
/// params as for nplm_train; contexts: uint32 ids (B, c), of which there may be none. TypeError and
/// ValueError as there.
///
/// >>> import numpy as np
/// >>> f = lambda *shape: np.zeros(shape)
/// >>> params = dict(C=f(2, 1), H=f(1, 1), d=f(1), U=f(2, 1), b=f(2))
/// >>> nplm_probabilities(params, np.array([[0]], np.uint32)).tolist()
/// [[0.5, 0.5]]
#[pyfunction]
#[pyo3(signature = (params, contexts, *, threads=None))]
pub fn nplm_probabilities<'py>(
    params: &Bound<'py, PyAny>,
    contexts: &Bound<'py, PyAny>,
    threads: Option<&Bound<'py, PyAny>>,
) -> PyResult<Bound<'py, PyArray2<f64>>> {
    guard(|| for_numbers!(params, probabilities_with(params, contexts, threads)))
}

fn probabilities_with<'py, T: Number>(
    params: &Bound<'py, PyAny>,
    contexts: &Bound<'py, PyAny>,
    threads: Option<&Bound<'py, PyAny>>,
) -> PyResult<Bound<'py, PyArray2<f64>>> {
    let py = params.py();
    let contexts = given::array::<u32>("contexts", contexts)?;
    let context = given::context_of(&contexts)?;
    let set = given::set::<T>("params", params)?;
    let shape = given::shape("params", &set, context)?;
    let borrowed = borrow(&set, Named::read)?;
    let slices = for_reading(&borrowed)?;
    let examples = contexts.axis(0);
    let ids = contexts.read()?;
    let ids = ids.as_slice()?;
    let all = work(&shape, examples, 2);
    let threads = team(threads, all, examples)?;
    let result = run(py, cost(all), None, |progress| {
        evaluate::probabilities(&shape, &slices, ids, threads, progress)
    })?;
    args::output(py, result, [examples, shape.vocabulary])
}
