//! Lists of operands on their way into the core, and outputs on their way back.

use fastgrad_core::graph::fused::Rule;
use fastgrad_core::graph::op::{Op, Unary};
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyList, PyTuple};

use crate::errors::to_python;
use crate::value::block::{self, Block};
use crate::value::node::{self, Node};
use crate::value::number;

/// How many items are read between two moments for interrupts and other threads.
const PAUSE_EVERY: usize = 1 << 16;

/// Values and numbers read from Python: their data, and an owned reference to each node (null
/// for a number).
#[derive(Default)]
pub struct Operands {
    nodes: Vec<*mut Node>,
    /// the values, as they are now
    pub data: Vec<f64>,
}

impl Drop for Operands {
    fn drop(&mut self) {
        for node in self.nodes.drain(..).filter(|node| !node.is_null()) {
            // SAFETY: the reference is ours; operands are only dropped under the lock.
            unsafe { ffi::Py_DECREF(node.cast()) }
        }
    }
}

impl Operands {
    /// Reads a whole iterable.
    pub fn read(source: &Bound<'_, PyAny>, argument: &str) -> PyResult<Operands> {
        let mut operands = Operands::default();
        operands.extend(source, argument)?;
        Ok(operands)
    }

    /// Reads one operand.
    pub fn push(&mut self, item: &Bound<'_, PyAny>, argument: &str) -> PyResult<()> {
        // SAFETY: a bound object is alive.
        let Some(operand) = (unsafe { number::any(item.as_borrowed(), argument)? }) else {
            return Err(not_an_operand(item, argument));
        };
        self.keep(operand);
        Ok(())
    }

    #[inline(always)]
    fn keep(&mut self, operand: number::Operand) {
        if !operand.node.is_null() {
            // SAFETY: the caller holds the object.
            unsafe { ffi::Py_INCREF(operand.node.cast()) }
        }
        self.nodes.push(operand.node);
        self.data.push(operand.data);
    }

    /// Appends all of an iterable.
    pub fn extend(&mut self, source: &Bound<'_, PyAny>, argument: &str) -> PyResult<()> {
        if let Ok(list) = source.cast_exact::<PyList>() {
            return self.extend_indexed(source.py(), argument, list.len(), |i| {
                // SAFETY: the index is below the length now, and no Python code runs in between.
                unsafe {
                    let there = i < ffi::PyList_GET_SIZE(list.as_ptr());
                    there.then(|| ffi::PyList_GET_ITEM(list.as_ptr(), i))
                }
            });
        }
        if let Ok(tuple) = source.cast_exact::<PyTuple>() {
            // SAFETY: a tuple never changes.
            return self.extend_indexed(source.py(), argument, tuple.len(), |i| unsafe {
                Some(ffi::PyTuple_GET_ITEM(tuple.as_ptr(), i))
            });
        }
        let items = source.try_iter().map_err(|_| not_iterable(source, argument))?;
        for (i, item) in items.enumerate() {
            self.push(&item?, argument)?;
            pause(source.py(), i)?;
        }
        Ok(())
    }

    #[inline(always)]
    fn extend_indexed(
        &mut self,
        py: Python<'_>,
        argument: &str,
        length: usize,
        item_at: impl Fn(ffi::Py_ssize_t) -> Option<*mut ffi::PyObject>,
    ) -> PyResult<()> {
        self.nodes.reserve(length);
        self.data.reserve(length);
        for i in 0..length {
            let Some(item) = item_at(i.cast_signed()) else {
                return Err(PyValueError::new_err(format!("{argument} changed while it was read")));
            };
            // SAFETY: the list holds the item; `push` runs Python code only with its own reference.
            unsafe {
                match number::quick(item) {
                    Some(operand) => self.keep(operand),
                    None => self.push(&Bound::from_borrowed_ptr(py, item), argument)?,
                }
            }
            pause(py, i)?;
        }
        Ok(())
    }

    /// The block of an op over these operands; the caller has a share of it.
    ///
    /// `name` is what `_op` shows.
    pub fn into_block(
        mut self,
        py: Python<'_>,
        name: &'static str,
        rule: Rule,
        outputs: usize,
    ) -> PyResult<*mut Block> {
        Block::new(py, name.into(), std::mem::take(&mut self.nodes), Some(rule), outputs)
    }

    /// The nodes, whose references become the caller's, and the values.
    pub fn into_parts(mut self) -> (Vec<*mut Node>, Vec<f64>) {
        (std::mem::take(&mut self.nodes), std::mem::take(&mut self.data))
    }

    /// Makes the output nodes of an op over these operands, one for each value.
    pub fn into_outputs<'py>(
        self,
        py: Python<'py>,
        name: &'static str,
        (values, rule): (Vec<f64>, Rule),
    ) -> PyResult<Vec<Bound<'py, PyAny>>> {
        let outputs = Outputs::new(self.into_block(py, name, rule, values.len())?);
        let made = values.iter().enumerate().map(|(i, value)| {
            pause(py, i)?;
            outputs.node(py, i, *value, 1.0)
        });
        made.collect()
    }

    /// As [`Operands::into_outputs`], for an op with one output.
    pub fn into_output<'py>(
        self,
        py: Python<'py>,
        name: &'static str,
        (value, rule): (f64, Rule),
    ) -> PyResult<Bound<'py, PyAny>> {
        Outputs::new(self.into_block(py, name, rule, 1)?).node(py, 0, value, 1.0)
    }
}

/// Makes the output nodes of a block; holds a share of it meanwhile.
pub struct Outputs(*mut Block);

impl Outputs {
    /// Takes over the caller's share.
    pub fn new(block: *mut Block) -> Outputs {
        Outputs(block)
    }

    /// The output at `index`; `slope` is that of an activation after the op, 1 without one.
    #[inline(always)]
    pub fn node<'py>(
        &self,
        py: Python<'py>,
        index: usize,
        value: f64,
        slope: f64,
    ) -> PyResult<Bound<'py, PyAny>> {
        // SAFETY: the lock is held; the block is alive, as we hold a share.
        unsafe {
            let made = node::new(Op::Leaf, value);
            let output = Bound::from_owned_ptr_or_err(py, made.cast())?;
            (*self.0).share();
            node::set_block(made, self.0, index, slope);
            Ok(output)
        }
    }
}

impl Outputs {
    /// A list of all outputs, whose sums the block holds in the buffer of its adjoints.
    pub fn list<'py>(
        &self,
        py: Python<'py>,
        activation: impl Fn(f64) -> fastgrad_core::Result<Unary>,
    ) -> PyResult<Bound<'py, PyList>> {
        // SAFETY: the block is alive and nobody else has seen it. Each place of the list is
        // filled once; after an error the rest stay null, as a list may be until it is shown.
        unsafe {
            let sums = &mut *(*self.0).dout;
            let list = ffi::PyList_New(sums.len().cast_signed());
            let list = Bound::from_owned_ptr_or_err(py, list)?;
            for (i, z) in sums.iter_mut().enumerate() {
                let made = activation(std::mem::take(z)).map_err(|error| to_python(&error))?;
                let node = self.node(py, i, made.value, made.dx)?;
                ffi::PyList_SET_ITEM(list.as_ptr(), i.cast_signed(), node.into_ptr());
            }
            Ok(list.cast_into_unchecked())
        }
    }
}

impl Drop for Outputs {
    fn drop(&mut self) {
        // SAFETY: our own share, given up under the lock.
        unsafe { block::drop_own_share(self.0) }
    }
}

/// Now and then answers Ctrl-C and lets other threads run.
#[inline(always)]
pub fn pause(py: Python<'_>, i: usize) -> PyResult<()> {
    if i % PAUSE_EVERY == PAUSE_EVERY - 1 {
        py.check_signals()?;
        py.detach(|| ());
    }
    Ok(())
}

#[cold]
fn not_an_operand(item: &Bound<'_, PyAny>, argument: &str) -> PyErr {
    let (class, shown) = describe(item);
    PyTypeError::new_err(format!("{argument} must hold Values and numbers, got {class}: {shown}"))
}

#[cold]
fn not_iterable(source: &Bound<'_, PyAny>, argument: &str) -> PyErr {
    let (class, shown) = describe(source);
    PyTypeError::new_err(format!(
        "{argument} must be an iterable of Values and numbers, got {class}: {shown}"
    ))
}

fn describe(object: &Bound<'_, PyAny>) -> (String, String) {
    (number::class_name(object.as_borrowed()), number::shorten(object.as_borrowed()))
}
