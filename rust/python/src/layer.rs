//! Linear maps over Values: `linear`, and the layers of a network.

#![allow(
    clippy::doc_markdown,
    rustdoc::broken_intra_doc_links,
    reason = "some of these texts become docstrings"
)]

use fastgrad_core::autograd::fused::Activation;
use pyo3::exceptions::{PyRuntimeError, PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyList;
use pyo3::{Borrowed, ffi};

use crate::args::read_all;
use crate::errors::guard;
use crate::memory::with_capacity;
use crate::neuron::NeuronData;
use crate::operands::Operands;
use crate::overrides::Originals;
use crate::run::pause;
use crate::weights::{Shared, Source, expect_length, items};
use crate::written_out::{self, Outputs};

/// Return a matrix times a vector: one node for each row, bias[i] + the sum of rows[i][j] * x[j],
/// added from left to right starting from the bias (or 0). ValueError when lengths do not match.
///
/// >>> [y.data for y in linear([1.0, 2.0], [[Value(3.0), 4.0], [5.0, 6.0]])]
/// [11.0, 17.0]
#[pyfunction]
#[pyo3(signature = (x, rows, bias=None))]
fn linear<'py>(
    x: &Bound<'py, PyAny>,
    rows: &Bound<'py, PyAny>,
    bias: Option<&Bound<'py, PyAny>>,
) -> Outputs<'py> {
    guard(|| {
        let py = x.py();
        let x = Operands::read(x, "linear: x")?;
        let n = x.data.len();
        let own_ops = x.have_own_ops(py)?;
        if !own_ops && let Some(shared) = in_use(rows, bias, n) {
            return shared.apply(py, x, "linear", Activation::Linear);
        }
        let key = rows.as_ptr();
        let rows = collect(rows, "linear: rows must be an iterable of rows")?;
        let given = match bias {
            Some(bias) => collect(bias, "linear: bias must be an iterable of Values and numbers")?,
            None => Vec::new(),
        };
        if bias.is_some() {
            expect_length("linear", || "bias".into(), given.len(), rows.len())?;
        }
        let source = Source { key, rows, bias: given };
        let mut weights = Operands::default();
        source.read(&mut weights, "linear", n)?;
        if own_ops || weights.have_own_ops(py)? {
            let (x, weights) = (x.objects(py)?, weights.objects(py)?);
            return written_out::linear(py, &x, source.rows.len(), &weights);
        }
        source.share(py, weights, n)?.apply(py, x, "linear", Activation::Linear)
    })
}

/// Returns the fused op of weights that an earlier call with the same list has made, if no weight
/// has changed.
fn in_use(rows: &Bound<'_, PyAny>, bias: Option<&Bound<'_, PyAny>>, n: usize) -> Option<Shared> {
    let rows = rows.cast_exact::<PyList>().ok()?;
    let bias = match bias {
        Some(bias) => Some(bias.cast_exact::<PyList>().ok()?),
        None => None,
    };
    let known = Shared::find(rows, (rows.len(), n), bias.is_some())?;
    let same_rows = rows.iter().enumerate().all(|(i, row)| known.has_row(i, &row));
    let same_bias = bias.is_none_or(|bias| {
        bias.len() == rows.len() && bias.iter().enumerate().all(|(i, b)| known.has_bias(i, &b))
    });
    (same_rows && same_bias).then_some(known)
}

fn collect<'py>(
    items: &Bound<'py, PyAny>,
    expected: &'static str,
) -> PyResult<Vec<Bound<'py, PyAny>>> {
    let items = items.try_iter().map_err(|_| PyTypeError::new_err(expected))?;
    read_all(items, |_, item| Ok(item))
}

/// Apply a layer's neurons to one row of inputs; return a list of outputs, one node per neuron,
/// activation(b + w·x).
///
/// None where each neuron has to be called: neurons is no list of exactly neuron_type's class with
/// one activation, x is an iterator or a Value, that class or Value is patched, a neuron's weights
/// are no list of Values, or an operand has ops of its own.
#[pyfunction]
#[pyo3(signature = (neurons, neuron_type, x, /))]
fn layer<'py>(
    neurons: &Bound<'py, PyAny>,
    neuron_type: &Bound<'py, Originals>,
    x: &Bound<'py, PyAny>,
) -> PyResult<Option<Bound<'py, PyList>>> {
    guard(|| {
        let Ok(neurons) = neurons.cast_exact::<PyList>() else { return Ok(None) };
        apply(neurons, neuron_type.get(), x)
    })
}

/// Apply a layer's neurons to each row of a batch, as layer does; return a list of lists.
#[pyfunction]
#[pyo3(signature = (neurons, neuron_type, rows, /))]
fn layer_batch<'py>(
    neurons: &Bound<'py, PyAny>,
    neuron_type: &Bound<'py, Originals>,
    rows: &Bound<'py, PyList>,
) -> PyResult<Option<Bound<'py, PyList>>> {
    guard(|| {
        let Ok(neurons) = neurons.cast_exact::<PyList>() else { return Ok(None) };
        let py = rows.py();
        let batch = PyList::empty(py);
        for (i, row) in rows.iter().enumerate() {
            match apply(neurons, neuron_type.get(), &row) {
                Ok(Some(outputs)) => batch.append(outputs)?,
                Ok(None) => return Ok(None),
                Err(error) => {
                    let note = format!("in row {i} of a batch of {}", rows.len());
                    error.value(py).call_method1("add_note", (note,))?;
                    return Err(error);
                }
            }
            pause(py, i)?;
        }
        Ok(Some(batch))
    })
}

/// Applies neurons to a row: see [`layer`].
fn apply<'py>(
    neurons: &Bound<'py, PyList>,
    neuron_type: &Originals,
    row: &Bound<'py, PyAny>,
) -> PyResult<Option<Bound<'py, PyList>>> {
    let py = neurons.py();
    let Some(activation) = common_activation(neurons, neuron_type) else { return Ok(None) };
    if Operands::is_no_row(row) {
        return Ok(None);
    }
    let mut x = Operands::default();
    // Reading an item of a row may run Python code, so that the neurons are checked after it.
    let read = x.extend(row, "x");
    if !x.unless_strange(read)? || x.have_own_ops(py)? || !neuron_type.intact(py)? {
        return Ok(None);
    }
    let Some(shared) = weights_of(neurons, neuron_type, x.data.len())? else { return Ok(None) };
    shared.apply(py, x, layer_op(activation), activation).map(Some)
}

/// Returns the fields of a neuron that is exactly of the type.
///
/// # Safety
/// `neuron` stays alive; the type extends `NeuronData`.
#[inline(always)]
unsafe fn fields<'a, 'py>(
    py: Python<'py>,
    neuron: *mut ffi::PyObject,
    neuron_type: &Originals,
) -> Option<Borrowed<'a, 'py, NeuronData>> {
    // SAFETY: by contract the neuron is alive, and instances of the type begin with a `NeuronData`.
    unsafe {
        let exact = ffi::Py_TYPE(neuron) == neuron_type.class();
        exact.then(|| Borrowed::from_ptr(py, neuron).cast_unchecked())
    }
}

/// Returns the activation of all neurons, if they share one and all are exactly of the type.
fn common_activation(neurons: &Bound<'_, PyList>, neuron_type: &Originals) -> Option<Activation> {
    let py = neurons.py();
    let base = py.get_type::<NeuronData>();
    // SAFETY: both types are alive. Python's `issubclass` would look for hooks, which takes 100 ns.
    if unsafe { ffi::PyType_IsSubtype(neuron_type.class(), base.as_type_ptr()) } == 0 {
        return None;
    }
    let mut common = None;
    // SAFETY: the list holds its items, and no Python code runs here.
    for &neuron in unsafe { items(neurons) } {
        // SAFETY: as above; the type extends `NeuronData`.
        let own = unsafe { fields(py, neuron, neuron_type)? }.get().activation(py);
        if *common.get_or_insert(own) != own {
            return None;
        }
    }
    Some(common.unwrap_or_default())
}

/// Returns the weights of neurons that `common_activation` has checked, for inputs of length n;
/// None where those of one are no list of Values, or have ops of their own.
fn weights_of(
    neurons: &Bound<'_, PyList>,
    neuron_type: &Originals,
    n: usize,
) -> PyResult<Option<Shared>> {
    let py = neurons.py();
    if let Some(known) = Shared::find(neurons, (neurons.len(), n), true) {
        // SAFETY: the list holds its items, and no Python code runs here.
        let unchanged = unsafe { items(neurons) }.iter().enumerate().all(|(i, &neuron)| {
            // SAFETY: as above; the type extends `NeuronData`, as `common_activation` saw.
            let parameters = unsafe {
                fields(py, neuron, neuron_type).and_then(|fields| fields.get().parameters(py))
            };
            parameters.is_some_and(|(w, b)| known.has_row(i, w) && known.has_bias(i, b))
        });
        if unchanged {
            return Ok(Some(known));
        }
    }
    let source = read_neurons(neurons, neuron_type)?;
    if !source.rows.iter().all(PyAnyMethods::is_exact_instance_of::<PyList>) {
        return Ok(None);
    }
    let weights = source.rows.first().map_or(Ok(n), PyAnyMethods::len)?;
    if weights != n {
        let message = format!("x has length {n}, expected {weights}, one for each weight");
        return Err(PyValueError::new_err(message));
    }
    let mut weights = Operands::default();
    let read = source.read(&mut weights, "layer", n);
    let all = weights.data.len();
    if !weights.unless_strange(read)? || !weights.are_nodes(all) || weights.have_own_ops(py)? {
        return Ok(None);
    }
    source.share(py, weights, n).map(Some)
}

fn read_neurons<'py>(
    neurons: &Bound<'py, PyList>,
    neuron_type: &Originals,
) -> PyResult<Source<'py>> {
    let (rows, bias) = (with_capacity(neurons.len())?, with_capacity(neurons.len())?);
    let mut source = Source { key: neurons.as_ptr(), rows, bias };
    for neuron in neurons {
        // SAFETY: `neuron` is alive; `common_activation` has seen that the type extends `NeuronData`.
        let Some(fields) = (unsafe { fields(neurons.py(), neuron.as_ptr(), neuron_type) }) else {
            return Err(PyRuntimeError::new_err("the neurons changed while x was read"));
        };
        // SAFETY: the references are cloned before any Python code runs.
        let Some((w, b)) = (unsafe { fields.get().parameters(neurons.py()) }) else {
            return Err(PyValueError::new_err("a neuron without w or b cannot be called"));
        };
        source.rows.push(w.clone());
        source.bias.push(b.clone());
    }
    Ok(source)
}

fn layer_op(activation: Activation) -> &'static str {
    match activation {
        Activation::Linear => "affine",
        Activation::Relu => "affine+ReLU",
        Activation::Tanh => "affine+tanh",
        Activation::Sigmoid => "affine+sigmoid",
    }
}

/// Adds the functions to the module.
pub fn add_functions(module: &Bound<'_, PyModule>) -> PyResult<()> {
    add_functions!(module; linear, layer, layer_batch);
    Ok(())
}
