//! Lists of operands on their way into the core, and outputs on their way back.

use fastgrad_core::Error;
use fastgrad_core::graph::fused::Rule;
use fastgrad_core::graph::op::Op;
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyList, PyTuple};

use crate::error::to_python;
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
            // SAFETY: the index is below the length at that moment, and no Python code runs
            // between the look and the use.
            return self.extend_indexed(source.py(), argument, list.len(), |i| unsafe {
                let item = ffi::PyList_GET_ITEM(list.as_ptr(), i);
                (i < ffi::PyList_GET_SIZE(list.as_ptr())).then_some(item)
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

    /// Makes the outputs of an op over these operands.
    ///
    /// `name` is what `_op` shows; `values` and `slopes` are the outputs and the slopes of the
    /// activation that follows, one each.
    pub fn into_outputs<'py>(
        mut self,
        py: Python<'py>,
        name: &'static str,
        rule: Rule,
        values: impl ExactSizeIterator<Item = (f64, f64)>,
    ) -> PyResult<Vec<Bound<'py, PyAny>>> {
        let parents = std::mem::take(&mut self.nodes);
        let block = Block::new(name.into(), parents, Some(rule), values.len());
        let mut outputs = Vec::with_capacity(values.len());
        let mut outcome = Ok(());
        for (index, (value, slope)) in values.enumerate() {
            // SAFETY: the lock is held; the block is alive until our share goes.
            unsafe {
                let made = node::new(Op::Leaf, value);
                match Bound::from_owned_ptr_or_err(py, made.cast()) {
                    Ok(output) => {
                        node::set_block(made, block, index, slope);
                        outputs.push(output);
                    }
                    Err(error) => {
                        outcome = Err(error);
                        break;
                    }
                }
            }
        }
        // SAFETY: our own share.
        unsafe { block::drop_own_share(block) };
        outcome.map(|()| outputs)
    }

    /// As [`Operands::into_outputs`], for an op with one output.
    pub fn into_output<'py>(
        self,
        py: Python<'py>,
        name: &'static str,
        (value, rule): (f64, Rule),
    ) -> PyResult<Bound<'py, PyAny>> {
        let outputs = self.into_outputs(py, name, rule, [(value, 1.0)].into_iter())?;
        outputs.into_iter().next().ok_or_else(|| to_python(&Error::Memory))
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
