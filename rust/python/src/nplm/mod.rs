//! The neural probabilistic language model over arrays that Python owns.

#![allow(rustdoc::broken_intra_doc_links, reason = "these become docstrings, with indices")]
#![allow(clippy::doc_markdown, reason = "these texts become docstrings")]
#![allow(clippy::too_many_arguments, reason = "keyword arguments of Python")]

mod args;
mod comm;
mod cost;
mod eval;

use fastgrad_core::nplm::Shard;
use fastgrad_core::nplm::optimizer::Optimizer;
use fastgrad_core::nplm::ranks::Ranks;
use fastgrad_core::nplm::train::{self, Config};
use numpy::{IntoPyArray, PyArray1};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

use self::args::{self as nplm_args, Examples, Named, Number};
use self::comm::{PyComm, rank_below};
use self::cost::TRAINING;
use crate::args::{ByteBounds, at_least, count, number, quoted};
use crate::borrow::Writing;
use crate::errors::guard;
use crate::memory::reserve;
use crate::run::run;

/// Calls a function with the number type of the parameters.
macro_rules! for_numbers {
    ($params:expr, $function:ident($($argument:expr),*)) => {
        if $crate::nplm::args::is_double($params)? {
            $function::<f64>($($argument),*)
        } else {
            $function::<f32>($($argument),*)
        }
    };
}
use for_numbers;

/// Train a neural probabilistic language model in place and return the loss of each step.
///
/// The model is y = b + W·x + U·tanh(d + H·x), where x is the rows of C for the c tokens of a
/// context, side by side: Bengio, Ducharme, Vincent and Jauvin, "A neural probabilistic language
/// model", JMLR 3 (2003). The loss is the mean of -ln softmax(y)[target] over the mini-batch,
/// before the step's update.
///
/// params: dict of C (V, m), H (h, c·m), d (h,), U (V, h), b (V,) and, optionally, W (V, c·m), all
///     float32 or all float64, C-contiguous and writeable. h may be 0 if there is a W. With P (m, h)
///     in place of U, input and output embeddings are tied: y = b + W·x + C·(P·tanh(d + H·x)), as
///     in Press & Wolf, "Using the output embedding to improve language models" (2017).
/// state: the optimizer's numbers, one dict like params for "momentum" (velocities), two for
///     "adamw" (first and second moments), none for "sgd"; zeros before step 0.
/// inputs, targets: uint32 ids, (N, c) and (N,). Of a text, whose contexts overlap, its ids are
///     enough: with inputs of shape (N + c - 1,) the context of targets[i] is inputs[i:i + c].
/// batch: examples of a step, 1 to N, drawn with replacement. Which ones depends on seed and on the
///     number of the step alone, so training may be split into calls anywhere.
/// rates: float64 (steps,), the learning rate of each step, finite and at least 0.
/// first_step: the number of the first step. seed: 0 to 2**64 - 1.
/// optimizer: "sgd", "momentum" (velocity = momentum·velocity + gradient) or "adamw" (betas, eps).
///     A step changes only the rows of C, and of the C of state, whose tokens are in the contexts of
///     its mini-batch. It does not change other rows, nor decays them, as in PyTorch's SparseAdam.
///     In tied models it changes every row of C, since each token's logit reads its row.
/// weight_decay: of C, H, U, W and P, never of the biases d and b; decoupled for "adamw".
/// dropout: the probabilities p that a unit of the embedding x and of the hidden layer tanh(d + H·x)
///     is set to 0, each at least 0 and below 1; the other units are divided by 1 - p. Which units
///     are set to 0 depends on seed and step alone.
///     Srivastava et al., "Dropout", JMLR 15 (2014).
/// threads: number of threads; None chooses. The result does not depend on it.
/// progress: called with the number of steps done, every few dozen milliseconds.
/// comm: a fastgrad.distributed.Comm whose ranks all make this call, on the same examples and with
///     the same settings. With reduction "exact", U, b and W (in tied models C, b and W) have only
///     the rows of this rank's tokens, which nplm_shard returns, in params and in state; vocab_size
///     is V. The results are, bit for bit, those of one process. With "fast" they have all rows, and
///     comm.allreduce sums the gradients.
///
/// Returns float64 (done,). done is less than the number of rates if step first_step + done was
/// undone: its loss was nan or infinite, or a parameter after it was nan, infinite or too large to
/// go on with (2**50 in float32, 2**500 in float64).
///
/// Any exception, KeyboardInterrupt included, leaves params and state as they were before the call,
/// since they are written to at its end. A process forked during the call has them as they were, too.
/// A KeyboardInterrupt on one rank is raised on all ranks; after any other exception the other ranks
/// wait for this one, and must be ended.
/// TypeError for wrong types or dtypes; ValueError for wrong shapes, values out of range, ids that
/// are no row of C, arrays that are read-only, not contiguous, or share memory.
///
/// >>> import numpy as np
/// >>> f = lambda *shape: np.full(shape, 0.1, np.float32)
/// >>> params = dict(C=f(3, 2), H=f(4, 2), d=f(4), U=f(3, 4), b=f(3))
/// >>> inputs, targets = np.array([[0], [1]], np.uint32), np.array([1, 2], np.uint32)
/// >>> losses = nplm_train(params, [], inputs, targets, batch=2, rates=np.full(3, 0.5))
/// >>> losses.round(4).tolist()
/// [1.0986, 1.0431, 0.9804]
#[pyfunction]
#[pyo3(signature = (
    params, state, inputs, targets, *, batch, rates, first_step=None, seed=None, optimizer="sgd",
    momentum=0.9, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.0, dropout=None, threads=None,
    progress=None, comm=None, reduction="exact", vocab_size=None
))]
#[pyo3(text_signature = "(params, state, inputs, targets, *, batch, rates, first_step=0, seed=0, \
    optimizer='sgd', momentum=0.9, betas=(0.9, 0.999), eps=1e-08, weight_decay=0.0, \
    dropout=(0.0, 0.0), threads=None, progress=None, comm=None, reduction='exact', \
    vocab_size=None)")]
fn nplm_train<'py>(
    params: &Bound<'py, PyAny>,
    state: &Bound<'py, PyAny>,
    inputs: &Bound<'py, PyAny>,
    targets: &Bound<'py, PyAny>,
    batch: &Bound<'py, PyAny>,
    rates: &Bound<'py, PyAny>,
    first_step: Option<&Bound<'py, PyAny>>,
    seed: Option<&Bound<'py, PyAny>>,
    optimizer: &str,
    momentum: f64,
    betas: (f64, f64),
    eps: f64,
    weight_decay: f64,
    dropout: Option<&Bound<'py, PyAny>>,
    threads: Option<&Bound<'py, PyAny>>,
    progress: Option<&Bound<'py, PyAny>>,
    comm: Option<&Bound<'py, PyAny>>,
    reduction: &str,
    vocab_size: Option<&Bound<'py, PyAny>>,
) -> PyResult<Bound<'py, PyArray1<f64>>> {
    guard(|| {
        let rates = nplm_args::array::<f64>("rates", rates)?;
        rates.expect_shape(&[None], "(steps,)")?;
        let rates = rates.read()?;
        let config = Config {
            batch_size: count("batch", batch)?,
            lr: rates.as_slice()?,
            first_step: first_step.map_or(Ok(0), |step| at_least("first_step", step, 0))?,
            seed: seed.map_or(Ok(0), |seed| at_least("seed", seed, 0))?,
            optimizer: parse_optimizer(optimizer, momentum, betas, eps)?,
            weight_decay: number("weight_decay", weight_decay, 0.0, f64::INFINITY)?,
            dropout: nplm_args::dropout(dropout)?,
            threads: 0,
        };
        if let Some((i, rate)) =
            config.lr.iter().enumerate().find(|(_, r)| !(**r >= 0.0 && r.is_finite()))
        {
            let message = format!("rates[{i}] is {rate:?}; expected a finite number of at least 0");
            return Err(PyValueError::new_err(message));
        }
        if config.first_step.checked_add(config.lr.len() as u64).is_none() {
            let message =
                format!("first_step is {}; steps have numbers below 2**64", config.first_step);
            return Err(PyValueError::new_err(message));
        }
        let comm = PyComm::parse(comm, reduction)?;
        let vocab_size = vocab_size.map(|size| count("vocab_size", size)).transpose()?;
        let ranks = (comm.as_ref(), vocab_size);
        for_numbers!(
            params,
            train_with(params, state, inputs, targets, config, threads, progress, ranks)
        )
    })
}

fn train_with<'py, T: Number>(
    params: &Bound<'py, PyAny>,
    state: &Bound<'py, PyAny>,
    inputs: &Bound<'py, PyAny>,
    targets: &Bound<'py, PyAny>,
    mut config: Config<'_>,
    threads: Option<&Bound<'py, PyAny>>,
    progress: Option<&Bound<'py, PyAny>>,
    (comm, vocab_size): (Option<&PyComm>, Option<usize>),
) -> PyResult<Bound<'py, PyArray1<f64>>> {
    let py = params.py();
    let examples = Examples::parse(inputs, targets)?;
    let set = nplm_args::set::<T>("params", params)?;
    let sharded = comm.zip(vocab_size);
    let sharded = sharded.and_then(|(comm, size)| comm.shard(size).map(|shard| (size, shard)));
    let shape = examples.shape(&set, sharded)?;
    let mut sets = vec![set];
    for (i, dict) in state.try_iter()?.enumerate() {
        py.check_signals()?;
        reserve(&mut sets, 1)?;
        let set = nplm_args::set(&format!("state[{i}]"), &dict?)?;
        nplm_args::check_shapes(&shape, &set)?;
        for (key, differs) in
            [("W", set.W.is_some() != shape.direct), ("P", set.P.is_some() != shape.tied)]
        {
            if differs {
                let message =
                    format!("state[{i}] and params differ in whether they have a '{key}'");
                return Err(PyValueError::new_err(message));
            }
        }
        sets.push(set);
    }
    let (got, expected) = (sets.len() - 1, config.optimizer.states());
    if got != expected {
        let message = format!("state has {got} dicts; expected {expected} for this optimizer");
        return Err(PyValueError::new_err(message));
    }
    if config.batch_size > examples.len() {
        let (batch, n) = (config.batch_size, examples.len());
        let message = format!("batch is {batch}; expected at most the number of examples, {n}");
        return Err(PyValueError::new_err(message));
    }

    let mut bounds = ByteBounds::default();
    for (_, array) in sets.iter().flat_map(|set| set.as_ref().named()) {
        if let Some(array) = array {
            bounds.add(array);
        }
    }
    // Contexts of a text overlap with what follows them.
    for ids in [&examples.inputs, &examples.targets] {
        let mut bounds = bounds.clone();
        bounds.add(ids);
        bounds.check()?;
    }

    let mut borrowed = Vec::with_capacity(sets.len());
    for set in &sets {
        borrowed.push(nplm_args::borrow(set, Named::write)?);
    }
    let mut before = Vec::with_capacity(sets.len());
    for set in &borrowed {
        let set = set.as_ref().map(|array| array.as_ref().map_or(Ok(&[][..]), Writing::as_slice));
        before.push(set.transpose()?);
    }
    let (inputs, targets) = (examples.inputs.read()?, examples.targets.read()?);
    let data = nplm_args::dataset(&inputs, &targets)?;
    let step = cost::multiplications(&shape, config.batch_size, TRAINING);
    config.threads = cost::threads(threads, step, config.batch_size)?;
    let all = cost::cost(step).times(config.lr.len() as u64);
    let train =
        |ranks, progress: &_| train::train(&shape, &before, &data, &config, ranks, progress);
    let trained = match comm {
        None => run(py, all, progress, |progress| train(None, progress))?,
        Some(comm) => comm.agree(run(py, all, progress, |progress| {
            let ranks = Ranks { comm, reduction: comm.reduction };
            comm.ended(train(Some(ranks), progress))
        }))?,
    };
    for (set, new) in borrowed.iter_mut().zip(&trained.sets) {
        let written = set.as_mut().zip(new.as_ref()).map(|(array, new)| match array {
            Some(array) => array.as_slice_mut().map(|numbers| numbers.copy_from_slice(new)),
            None => Ok(()),
        });
        written.transpose()?;
    }
    Ok(trained.losses.into_pyarray(py))
}

/// Return the tokens whose rows of the output layer a rank has: the first one, and how many.
///
/// vocab_size: the number of tokens. rank, size: the number of the rank, and that of all ranks.
///
/// >>> nplm_shard(1000, 0, 2)
/// (0, 576)
/// >>> nplm_shard(1000, 1, 2)
/// (576, 424)
/// >>> nplm_shard(1000, 0, 1)
/// (0, 1000)
/// >>> nplm_shard(20, 0, 2)
/// (0, 0)
#[pyfunction]
fn nplm_shard(
    vocab_size: &Bound<'_, PyAny>,
    rank: &Bound<'_, PyAny>,
    size: &Bound<'_, PyAny>,
) -> PyResult<(usize, usize)> {
    guard(|| {
        let (vocab_size, size) = (count("vocab_size", vocab_size)?, count("size", size)?);
        let rank = rank_below(rank, size)?;
        let shard = Shard::of(vocab_size, rank, size);
        Ok((shard.first, shard.count))
    })
}

/// Parses an optimizer and its constants.
fn parse_optimizer(name: &str, momentum: f64, betas: (f64, f64), eps: f64) -> PyResult<Optimizer> {
    let momentum = number("momentum", momentum, 0.0, f64::INFINITY)?;
    let first = number("betas[0]", betas.0, 0.0, 1.0)?;
    let second = number("betas[1]", betas.1, 0.0, 1.0)?;
    let epsilon = number("eps", eps, 0.0, f64::INFINITY)?;
    match name {
        "sgd" => Ok(Optimizer::Sgd),
        "momentum" => Ok(Optimizer::Momentum { momentum }),
        "adamw" => Ok(Optimizer::AdamW { betas: (first, second), epsilon }),
        _ => {
            let name = quoted(name);
            let message = format!("optimizer is {name}; expected 'sgd', 'momentum' or 'adamw'");
            Err(PyValueError::new_err(message))
        }
    }
}

/// Adds the functions to the module.
pub fn add_functions(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(nplm_train, module)?)?;
    module.add_function(wrap_pyfunction!(nplm_shard, module)?)?;
    module.add_function(wrap_pyfunction!(eval::nplm_loss, module)?)?;
    module.add_function(wrap_pyfunction!(eval::nplm_losses, module)?)?;
    module.add_function(wrap_pyfunction!(eval::nplm_gradients, module)?)?;
    module.add_function(wrap_pyfunction!(eval::nplm_forward, module)?)?;
    module.add_function(wrap_pyfunction!(eval::nplm_probabilities, module)?)?;
    Ok(())
}
