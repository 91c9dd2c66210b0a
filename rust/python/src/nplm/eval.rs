//! Losses, gradients, activations and probabilities of a model, which stays as it is.

#![allow(rustdoc::broken_intra_doc_links, reason = "these become docstrings, with indices")]
#![allow(clippy::doc_markdown, clippy::doc_link_with_quotes, reason = "these become docstrings")]

use fastgrad_core::Result;
use fastgrad_core::nplm::dropout::Masks;
use fastgrad_core::nplm::{Dataset, Params, Shape, Shard, eval};
use fastgrad_core::progress::Progress;
use numpy::{IntoPyArray, PyArray1, PyArray2, PyUntypedArrayMethods};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple};

use super::args::{self as nplm_args, Examples, Named, Number};
use super::comm::PyComm;
use super::cost::{self, FORWARD, TRAINING};
use super::for_numbers;
use crate::args;
use crate::errors::guard;
use crate::run::run;

/// The arguments of the functions that take targets.
#[derive(Clone, Copy)]
struct Arguments<'a, 'py> {
    params: &'a Bound<'py, PyAny>,
    inputs: &'a Bound<'py, PyAny>,
    targets: &'a Bound<'py, PyAny>,
    threads: Option<&'a Bound<'py, PyAny>>,
}

impl<'py> Arguments<'_, 'py> {
    /// Parses and borrows the arrays, and runs work on them without the GIL; returns the parsed
    /// parameters and the result.
    fn run<T: Number, R: Send>(
        self,
        passes: usize,
        sharded: Option<(usize, Shard)>,
        work: impl FnOnce(&Shape, &Params<&[T]>, &Dataset<'_>, usize, &Progress) -> Result<R> + Send,
    ) -> PyResult<(Params<Option<Named<'py, T>>>, R)> {
        let examples = Examples::parse(self.inputs, self.targets)?;
        let set = nplm_args::set::<T>("params", self.params)?;
        let shape = examples.shape(&set, sharded)?;
        let borrowed = nplm_args::borrow(&set, Named::read)?;
        let params = nplm_args::slices(&borrowed)?;
        let (inputs, targets) = (examples.inputs.read()?, examples.targets.read()?);
        let data = nplm_args::dataset(&inputs, &targets)?;
        let multiplications = cost::multiplications(&shape, data.len(), passes);
        let threads = cost::threads(self.threads, multiplications, data.len())?;
        let cost = cost::cost(multiplications);
        let result = run(self.params.py(), cost, None, |progress| {
            work(&shape, &params, &data, threads, progress)
        })?;
        drop(borrowed);
        Ok((set, result))
    }
}

/// Return the mean loss over all examples, in nats: the mean of -ln p(target).
///
/// params, inputs and targets as for nplm_train, which also says which errors there are; nothing
/// is changed. The same for any number of threads.
/// comm: a fastgrad.distributed.Comm whose ranks all make this call, on the same examples. params
///     has of U, b and W (of C in tied models) only the rows of this rank's tokens, which nplm_shard
///     gives, and vocab_size is V; every rank gets the bits of one process.
///
/// >>> import numpy as np
/// >>> f = lambda *shape: np.zeros(shape)
/// >>> params = dict(C=f(3, 2), H=f(4, 2), d=f(4), U=f(3, 4), b=f(3))
/// >>> inputs, targets = np.array([[0], [1]], np.uint32), np.array([1, 2], np.uint32)
/// >>> round(nplm_loss(params, inputs, targets), 4)
/// 1.0986
#[pyfunction]
#[pyo3(signature = (params, inputs, targets, *, threads=None, comm=None, vocab_size=None))]
pub fn nplm_loss(
    params: &Bound<'_, PyAny>,
    inputs: &Bound<'_, PyAny>,
    targets: &Bound<'_, PyAny>,
    threads: Option<&Bound<'_, PyAny>>,
    comm: Option<&Bound<'_, PyAny>>,
    vocab_size: Option<&Bound<'_, PyAny>>,
) -> PyResult<f64> {
    let arguments = Arguments { params, inputs, targets, threads };
    guard(|| {
        let comm = PyComm::parse(comm, "exact")?;
        let vocab_size = vocab_size.map(|size| args::count("vocab_size", size)).transpose()?;
        for_numbers!(params, loss(arguments, comm.as_ref(), vocab_size))
    })
}

fn loss<T: Number>(
    arguments: Arguments<'_, '_>,
    comm: Option<&PyComm>,
    vocab_size: Option<usize>,
) -> PyResult<f64> {
    let Some(comm) = comm else {
        let work =
            arguments.run::<T, _>(FORWARD, None, |shape, params, data, threads, progress| {
                eval::loss(shape, params, data, None, threads, progress)
            });
        return Ok(work?.1);
    };
    let sharded = vocab_size.and_then(|size| comm.shard(size).map(|shard| (size, shard)));
    let work = arguments.run::<T, _>(FORWARD, sharded, |shape, params, data, threads, progress| {
        comm.ended(eval::loss(shape, params, data, Some(comm), threads, progress))
    });
    comm.agree(work.map(|(_, loss)| loss))
}

/// Return the loss of each example, in nats: float64 (N,), -ln p(target).
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
    let arguments = Arguments { params, inputs, targets, threads };
    guard(|| Ok(for_numbers!(params, losses(arguments))?.into_pyarray(params.py())))
}

fn losses<T: Number>(arguments: Arguments<'_, '_>) -> PyResult<Vec<f64>> {
    Ok(arguments.run::<T, _>(FORWARD, None, eval::losses)?.1)
}

/// Return the mean loss over all examples, taken as one mini-batch, and a dict of its gradients,
/// arrays like those of params.
///
/// params, inputs and targets as for nplm_train, which also says which errors there are; nothing
/// is changed. A step of nplm_train with this seed and number computes the same from these examples,
/// dropout included: this is for checks.
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
    let arguments = Arguments { params, inputs, targets, threads };
    guard(|| {
        let seed = seed.map_or(Ok(0), |seed| args::at_least("seed", seed, 0))?;
        let step = step.map_or(Ok(0), |step| args::at_least("step", step, 0))?;
        let masks = nplm_args::dropout(dropout)?.at(seed, step);
        for_numbers!(params, gradients(arguments, &masks))
    })
}

fn gradients<'py, T: Number>(
    arguments: Arguments<'_, 'py>,
    masks: &Masks,
) -> PyResult<(f64, Bound<'py, PyDict>)> {
    let py = arguments.params.py();
    let (set, (loss, gradients)) =
        arguments.run::<T, _>(TRAINING, None, |shape, params, data, threads, progress| {
            eval::gradients(shape, params, data, Some(masks), threads, progress)
        })?;
    let result = PyDict::new(py);
    for ((name, gradient), (_, like)) in gradients.named().into_iter().zip(set.named()) {
        if let Some(like) = like {
            result.set_item(name, args::output(py, gradient, like.array.shape())?)?;
        }
    }
    Ok((loss, result))
}

/// Return the probabilities of all tokens after each context: float64 (B, V), rows that sum to 1.
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
    guard(|| for_numbers!(params, probabilities(params, contexts, threads)))
}

fn probabilities<'py, T: Number>(
    params: &Bound<'py, PyAny>,
    contexts: &Bound<'py, PyAny>,
    threads: Option<&Bound<'py, PyAny>>,
) -> PyResult<Bound<'py, PyArray2<f64>>> {
    let (examples, shape, result) =
        of_contexts::<T, _>(params, contexts, threads, eval::probabilities)?;
    args::output(params.py(), result, [examples, shape.vocab_size])
}

/// Return the activations of all layers for each context: the embeddings side by side (B, c·m), the
/// hidden layer after tanh (B, h), and the logits (B, V), of the dtype of the parameters.
///
/// params as for nplm_train; contexts: uint32 ids (B, c), of which there may be none. TypeError and
/// ValueError as there.
///
/// >>> import numpy as np
/// >>> f = lambda *shape: np.ones(shape)
/// >>> params = dict(C=f(2, 1), H=f(1, 1), d=f(1), U=f(2, 1), b=f(2))
/// >>> x, a, y = nplm_forward(params, np.array([[0]], np.uint32))
/// >>> x.tolist(), a.round(3).tolist(), y.round(3).tolist()
/// ([[1.0]], [[0.964]], [[1.964, 1.964]])
#[pyfunction]
#[pyo3(signature = (params, contexts, *, threads=None))]
pub fn nplm_forward<'py>(
    params: &Bound<'py, PyAny>,
    contexts: &Bound<'py, PyAny>,
    threads: Option<&Bound<'py, PyAny>>,
) -> PyResult<Bound<'py, PyTuple>> {
    guard(|| for_numbers!(params, forward(params, contexts, threads)))
}

fn forward<'py, T: Number>(
    params: &Bound<'py, PyAny>,
    contexts: &Bound<'py, PyAny>,
    threads: Option<&Bound<'py, PyAny>>,
) -> PyResult<Bound<'py, PyTuple>> {
    let py = params.py();
    let (examples, shape, made) = of_contexts::<T, _>(params, contexts, threads, eval::forward)?;
    let x = args::output(py, made.embedding, [examples, shape.inputs()])?;
    let a = args::output(py, made.hidden, [examples, shape.hidden_dim])?;
    let y = args::output(py, made.logits, [examples, shape.vocab_size])?;
    (x, a, y).into_pyobject(py)
}

/// Parses parameters and contexts and runs work on them without the GIL; returns the number of
/// contexts, the shape of the model, and the result.
fn of_contexts<T: Number, R: Send>(
    params: &Bound<'_, PyAny>,
    contexts: &Bound<'_, PyAny>,
    threads: Option<&Bound<'_, PyAny>>,
    work: impl FnOnce(&Shape, &Params<&[T]>, &[u32], usize, &Progress) -> Result<R> + Send,
) -> PyResult<(usize, Shape, R)> {
    let py = params.py();
    let contexts = nplm_args::array::<u32>("contexts", contexts)?;
    let context_length = nplm_args::context_of(&contexts)?;
    let set = nplm_args::set::<T>("params", params)?;
    let shape = nplm_args::shape("params", &set, context_length, None)?;
    let borrowed = nplm_args::borrow(&set, Named::read)?;
    let params = nplm_args::slices(&borrowed)?;
    let examples = contexts.axis(0);
    let ids = contexts.read()?;
    let ids = ids.as_slice()?;
    let multiplications = cost::multiplications(&shape, examples, FORWARD);
    let threads = cost::threads(threads, multiplications, examples)?;
    let result = run(py, cost::cost(multiplications), None, |progress| {
        work(&shape, &params, ids, threads, progress)
    })?;
    Ok((examples, shape, result))
}
