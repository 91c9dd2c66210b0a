//! Linear maps over Values: `linear` and the layers of a network.
//!
//! A network is called once for each example, with the same weights. The maps of all these calls
//! share one block of weights as long as it is in use: it is found by the address of the list
//! that the weights came from, and taken only if every weight in it is the same node with the
//! same value. So a call reads its weights but owns none of them, and a backward pass gathers
//! their gradients in one place and gives them to the nodes once.

#![allow(clippy::doc_markdown, reason = "some of these texts become docstrings")]

use std::cell::{OnceCell, UnsafeCell};
use std::ptr;
use std::sync::Arc;

use fastgrad_core::Error;
use fastgrad_core::graph::fused::{Activation, Rule, Weights};
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyList, PyType};
use pyo3::{Borrowed, ffi};

use crate::error::to_python;
use crate::neuron::NeuronData;
use crate::operands::{Operands, Outputs, pause};
use crate::value::block::{self, Block};
use crate::value::node::Node;

/// Where the weights of one call come from.
struct Source<'py> {
    /// what the call got them in; its address is where a block in use is looked for
    key: *mut ffi::PyObject,
    rows: Vec<Bound<'py, PyAny>>,
    /// one for each row, or none at all
    bias: Vec<Bound<'py, PyAny>>,
}

/// A share of a block of weights.
struct Shared {
    block: *mut Block,
    weights: Arc<Weights>,
}

impl Drop for Shared {
    fn drop(&mut self) {
        // SAFETY: our own share, given up under the lock.
        unsafe { block::drop_own_share(self.block) }
    }
}

const PLACES: usize = 64;

/// Blocks of weights in use, by the address of their list. They are not owned: one that ends
/// takes its entry along.
struct Registry(UnsafeCell<[(usize, *mut Block); PLACES]>);

// SAFETY: every access happens while the interpreter's lock is held.
unsafe impl Sync for Registry {}

static IN_USE: Registry = Registry(UnsafeCell::new([(0, ptr::null_mut()); PLACES]));

/// The place of a key; lists lie 16 bytes apart or more.
unsafe fn place(key: usize) -> &'static mut (usize, *mut Block) {
    // SAFETY: the lock is held and the reference is not kept; the index is below PLACES.
    unsafe { (*IN_USE.0.get()).get_unchecked_mut((key >> 4) % PLACES) }
}

/// Called when a block ends: it is not to be found any more.
///
/// # Safety
/// The block is still alive and the lock held.
pub unsafe fn forget(block: *mut Block) {
    // SAFETY: by contract.
    unsafe {
        if let Some(Rule::Shared(_)) = &(*block).rule {
            let entries = &mut *IN_USE.0.get();
            entries.iter_mut().filter(|entry| entry.1 == block).for_each(|e| e.1 = ptr::null_mut());
        }
    }
}

impl Source<'_> {
    /// How many inputs the first row takes.
    fn inputs(&self) -> PyResult<usize> {
        self.rows.first().map_or(Ok(0), PyAnyMethods::len)
    }

    /// The block of these weights: the one in use, or a new one.
    fn shared(&self, op: &'static str, n: usize) -> PyResult<Shared> {
        // SAFETY: the lock is held; an entry's block is alive.
        unsafe {
            let (key, block) = *place(self.key.addr());
            if key == self.key.addr()
                && !block.is_null()
                && let Some(weights) = self.still_in(&*block, n)
            {
                (*block).share();
                return Ok(Shared { block, weights });
            }
        }
        self.build(op, n)
    }

    /// The block's weights, if they are these nodes with these values.
    fn still_in(&self, block: &Block, n: usize) -> Option<Arc<Weights>> {
        let Some(Rule::Shared(weights)) = &block.rule else { return None };
        let (m, values) = (self.rows.len(), weights.values());
        let same_shape = weights.inputs() == n && weights.outputs() == m;
        if !same_shape || values.len() != m * n + self.bias.len() {
            return None;
        }
        for (i, row) in self.rows.iter().enumerate() {
            let row = row.cast_exact::<PyList>().ok().filter(|row| row.len() == n)?;
            let (nodes, values) = (block.parents.get(i * n..)?, values.get(i * n..)?);
            // SAFETY: the list has n items, and no Python code runs while they are compared.
            let items = unsafe { items(row) };
            if !items.iter().zip(nodes).zip(values).all(|((&item, &node), v)| same(item, node, *v))
            {
                return None;
            }
        }
        let known = block.parents.get(m * n..)?.iter().zip(values.get(m * n..)?);
        let bias = self.bias.iter().map(Bound::as_ptr);
        bias.zip(known).all(|(item, (&node, v))| same(item, node, *v)).then(|| weights.clone())
    }

    /// Reads all weights into a block of their own.
    fn build(&self, op: &'static str, n: usize) -> PyResult<Shared> {
        let mut operands = Operands::default();
        let (of_row, of_bias) = (format!("{op}: a row of weights"), format!("{op}: bias"));
        for (i, row) in self.rows.iter().enumerate() {
            let before = operands.data.len();
            operands.extend(row, &of_row)?;
            expect_length(op, || format!("row {i} of weights"), operands.data.len() - before, n)?;
        }
        for bias in &self.bias {
            operands.push(bias, &of_bias)?;
        }
        let weights = Arc::new(Weights::new(self.rows.len(), n, operands.data.clone()));
        let outputs = weights.values().len();
        let block = operands.into_block("weights", Rule::Shared(weights.clone()), outputs);
        // SAFETY: the lock is held.
        unsafe { *place(self.key.addr()) = (self.key.addr(), block) };
        Ok(Shared { block, weights })
    }
}

/// The items of a list, as long as nobody touches it.
unsafe fn items<'a>(list: &'a Bound<'_, PyList>) -> &'a [*mut ffi::PyObject] {
    // SAFETY: by contract of the caller; an empty list may have no array.
    unsafe {
        let raw = list.as_ptr().cast::<ffi::PyListObject>();
        if list.is_empty() { &[] } else { std::slice::from_raw_parts((*raw).ob_item, list.len()) }
    }
}

/// Is the item the known node, and its value the known one?
#[inline(always)]
fn same(item: *mut ffi::PyObject, node: *mut Node, value: f64) -> bool {
    // SAFETY: a node among a block's parents is alive; in a number's place there is null.
    !node.is_null() && item == node.cast() && unsafe { (*node).data }.to_bits() == value.to_bits()
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

impl Shared {
    /// The map of one input: `name` is what `_op` shows.
    fn apply<'py>(
        &self,
        py: Python<'py>,
        x: Operands,
        name: &'static str,
        activation: Activation,
    ) -> PyResult<Bound<'py, PyList>> {
        let (parents, x) = x.into_parts();
        let mut z = Vec::with_capacity(self.weights.outputs());
        self.weights.apply(&x, &mut z);
        let rule = Rule::Linear { x, weights: self.weights.clone() };
        let block = Block::linear(name, parents, rule, z, self.block);
        Outputs::new(block).list(py, |z| activation.apply(z))
    }
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
) -> PyResult<Bound<'py, PyList>> {
    let x = Operands::read(x, "linear: x")?;
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
    source.shared("linear", x.data.len())?.apply(py, x, "linear", Activation::Linear)
}

fn collect<'py>(
    items: &Bound<'py, PyAny>,
    expected: &'static str,
) -> PyResult<Vec<Bound<'py, PyAny>>> {
    let items = items.try_iter().map_err(|_| PyTypeError::new_err(expected))?;
    items.collect()
}

/// A layer's neurons on one row of inputs: a list of outputs, one node a neuron,
/// activation(b + w·x). None where a neuron is not exactly of type neuron_type or its activation
/// is not the others', for then each has to be called.
#[pyfunction]
#[pyo3(signature = (neurons, neuron_type, x, /))]
fn layer<'py>(
    neurons: &Bound<'py, PyList>,
    neuron_type: &Bound<'py, PyType>,
    x: &Bound<'py, PyAny>,
) -> PyResult<Option<Bound<'py, PyList>>> {
    match Batch::read(neurons, neuron_type)? {
        Some(batch) => batch.answer(x).map(Some),
        None => Ok(None),
    }
}

/// As layer, for each row of a batch: a list of lists.
#[pyfunction]
#[pyo3(signature = (neurons, neuron_type, rows, /))]
fn layer_batch<'py>(
    py: Python<'py>,
    neurons: &Bound<'py, PyList>,
    neuron_type: &Bound<'py, PyType>,
    rows: &Bound<'py, PyList>,
) -> PyResult<Option<Bound<'py, PyList>>> {
    let Some(batch) = Batch::read(neurons, neuron_type)? else { return Ok(None) };
    let outputs = PyList::empty(py);
    for (i, row) in rows.iter().enumerate() {
        match batch.answer(&row) {
            Ok(answer) => outputs.append(answer)?,
            Err(error) => {
                let note = format!("in row {i} of a batch of {}", rows.len());
                error.value(py).call_method1("add_note", (note,))?;
                return Err(error);
            }
        }
        pause(py, i)?;
    }
    Ok(Some(outputs))
}

/// One layer on many rows.
struct Batch<'py> {
    source: Source<'py>,
    activation: Activation,
    shared: OnceCell<Shared>,
}

impl<'py> Batch<'py> {
    fn read(
        neurons: &Bound<'py, PyList>,
        neuron_type: &Bound<'py, PyType>,
    ) -> PyResult<Option<Batch<'py>>> {
        let read = read_neurons(neurons, neuron_type)?;
        Ok(read.map(|(source, activation)| Batch { source, activation, shared: OnceCell::new() }))
    }

    /// One node a neuron for one row.
    fn answer(&self, row: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyList>> {
        let x = Operands::read(row, "x")?;
        let (n, weights) = (x.data.len(), self.source.inputs()?);
        if n != weights {
            let message = format!("x has length {n}, expected {weights}, one for each weight");
            return Err(PyValueError::new_err(message));
        }
        let shared = if let Some(shared) = self.shared.get() {
            shared
        } else {
            let shared = self.source.shared("layer", n)?;
            self.shared.get_or_init(|| shared)
        };
        shared.apply(row.py(), x, layer_op(self.activation), self.activation)
    }
}

/// The neurons' fields, if all are of the type and share an activation.
fn read_neurons<'py>(
    neurons: &Bound<'py, PyList>,
    neuron_type: &Bound<'py, PyType>,
) -> PyResult<Option<(Source<'py>, Activation)>> {
    let mut activation = None;
    let mut source = Source { key: neurons.as_ptr(), rows: Vec::new(), bias: Vec::new() };
    source.rows.reserve(neurons.len());
    source.bias.reserve(neurons.len());
    let py = neurons.py();
    let base = py.get_type::<NeuronData>();
    // SAFETY: both are living types. Python's `issubclass` looks for hooks, at 100 ns.
    if unsafe { ffi::PyType_IsSubtype(neuron_type.as_type_ptr(), base.as_type_ptr()) } == 0 {
        return Ok(None);
    }
    // A slice, not an iterator, which would hold each neuron anew; no Python code runs here.
    // SAFETY: the list is not touched before the loop ends.
    for &neuron in unsafe { items(neurons) } {
        // SAFETY: the neuron is in the list; an exact type that extends `NeuronData` may be cast.
        let neuron = unsafe {
            if ffi::Py_TYPE(neuron) != neuron_type.as_type_ptr() {
                return Ok(None);
            }
            Borrowed::from_ptr(py, neuron).cast_unchecked::<NeuronData>()
        };
        let data = neuron.get();
        let own = data.activation(py);
        if *activation.get_or_insert(own) != own {
            return Ok(None);
        }
        let Some((w, b)) = data.parameters(py) else {
            return Err(PyValueError::new_err("a neuron without w or b cannot be called"));
        };
        source.rows.push(w);
        source.bias.push(b);
    }
    Ok(Some((source, activation.unwrap_or_default())))
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
    module.add_function(wrap_pyfunction!(linear, module)?)?;
    module.add_function(wrap_pyfunction!(layer, module)?)?;
    module.add_function(wrap_pyfunction!(layer_batch, module)?)?;
    Ok(())
}
