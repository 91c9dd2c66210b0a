//! Reads lists of operands for the core, and makes nodes of its outputs.

use fastgrad_core::autograd::fused::Vjp;
use fastgrad_core::autograd::op::{self, Unary};
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyFloat, PyList, PyTuple};

use crate::args::described;
use crate::errors::to_python;
use crate::memory::{reserve, with_capacity};
use crate::overrides;
use crate::run::{PAUSE_EVERY, pause};
use crate::value::ffi::{Argument, Receive};
use crate::value::fused_op::{FusedOp, Share};
use crate::value::node::{NewNode, NodeRef, OwnedNode};
use crate::value::{number, patches};

/// Values and numbers read from Python.
#[derive(Default)]
pub struct Operands {
    /// the nodes; none for a number
    nodes: Vec<Option<OwnedNode>>,
    /// the values, as they are now
    pub data: Vec<f64>,
    /// a number of the op itself, as the target of a cross-entropy
    pub setting: Option<f64>,
    /// true if an operand's class has ops of its own
    own_ops: bool,
    /// true if an item was refused that is neither Value nor number, but whose class may implement
    /// `Value * item`
    stranger: bool,
}

impl Operands {
    /// Reads a whole iterable.
    pub fn read(source: &Bound<'_, PyAny>, argument: &str) -> PyResult<Operands> {
        let mut operands = Operands::default();
        operands.extend(source, argument)?;
        Ok(operands)
    }

    /// Returns true after successful reading, and false where an item was refused whose class may
    /// implement multiplication by a Value itself.
    pub fn unless_strange(&self, outcome: PyResult<()>) -> PyResult<bool> {
        match outcome {
            Err(_) if self.stranger => Ok(false),
            outcome => outcome.map(|()| true),
        }
    }

    /// Reads one operand.
    pub fn push(&mut self, item: &Bound<'_, PyAny>, argument: &str) -> PyResult<()> {
        let Some(operand) = number::any(item.as_borrowed(), argument)? else {
            self.stranger = overrides::answers_multiplication(item);
            return Err(not_an_operand(item, argument));
        };
        if operand.node.is_some() && !self.own_ops {
            self.own_ops = overrides::class_has_own_ops(item)?;
        }
        reserve(&mut self.nodes, 1)?;
        reserve(&mut self.data, 1)?;
        self.keep(operand);
        Ok(())
    }

    /// Returns true if the scalar program has to run instead: `Value` is patched, or an operand's
    /// class has ops of its own.
    pub fn have_own_ops(&self, py: Python<'_>) -> PyResult<bool> {
        Ok(self.own_ops || patches::is_patched(py)?)
    }

    /// Returns true if no operand is of a subclass of `Value`.
    pub fn are_exact(&self) -> bool {
        self.nodes.iter().flatten().all(|node| node.is_exact())
    }

    /// Returns true for an iterator, which can be read only once, and for a `Value`, which stands for
    /// a row of one.
    pub fn is_no_row(source: &Bound<'_, PyAny>) -> bool {
        let is_sequence =
            source.is_exact_instance_of::<PyList>() || source.is_exact_instance_of::<PyTuple>();
        // SAFETY: the source is alive.
        let is_iterator = || unsafe { ffi::PyIter_Check(source.as_ptr()) != 0 };
        !is_sequence && (NodeRef::of(source.as_borrowed()).is_some() || is_iterator())
    }

    /// Returns true if the first `n` operands are Values.
    pub fn are_nodes(&self, n: usize) -> bool {
        self.nodes.iter().take(n).all(Option::is_some)
    }

    /// Returns the operands as Python objects, a number as a float.
    pub fn objects<'py>(&self, py: Python<'py>) -> PyResult<Vec<Bound<'py, PyAny>>> {
        let mut objects = with_capacity(self.data.len())?;
        for (node, &data) in self.nodes.iter().zip(&self.data) {
            objects.push(match node {
                Some(node) => node.new_ref().into_bound(py),
                None => PyFloat::new(py, data).into_any(),
            });
        }
        Ok(objects)
    }

    #[inline(always)]
    fn keep(&mut self, operand: number::Operand<'_>) {
        self.nodes.push(operand.node.map(|node| node.new_ref()));
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
        for item in items {
            self.push(&item?, argument)?;
            pause(source.py(), self.data.len())?;
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
        reserve(&mut self.nodes, length)?;
        reserve(&mut self.data, length)?;
        for i in 0..length {
            let Some(item) = item_at(i.cast_signed()) else {
                return Err(PyValueError::new_err(format!("{argument} changed while it was read")));
            };
            // SAFETY: the list holds the item; `push` runs Python code only with its own reference.
            let item = unsafe { Argument::receive(item) };
            match number::quick(item) {
                Some(operand) => self.keep(operand),
                None => self.push(&item.to_owned(), argument)?,
            }
            pause(py, self.data.len())?;
        }
        Ok(())
    }

    /// Returns the nodes and the values.
    pub fn into_parts(self) -> (Vec<Option<OwnedNode>>, Vec<f64>) {
        (self.nodes, self.data)
    }

    /// Makes the fused op of an op over these operands; `name` is what `_op` shows.
    fn into_outputs_of(
        self,
        py: Python<'_>,
        name: &'static str,
        rule: Vjp,
        outputs: usize,
    ) -> PyResult<FusedOutputs> {
        let mut numbers = Vec::new();
        let plain = || self.nodes.iter().zip(&self.data).filter(|(node, _)| node.is_none());
        reserve(&mut numbers, plain().count() + 1)?;
        numbers.extend(plain().map(|(_, &number)| number).chain(self.setting));
        let numbers = numbers.into_boxed_slice();
        FusedOp::make(py, name.into(), self.nodes, Some(rule), outputs, numbers).map(FusedOutputs)
    }

    /// Makes the output nodes of an op over these operands, a list with one for each value.
    #[allow(clippy::indexing_slicing, reason = "as many outputs as values are made")]
    pub fn into_outputs<'py>(
        self,
        py: Python<'py>,
        name: &'static str,
        (values, rule): (Vec<f64>, Vjp),
    ) -> PyResult<Bound<'py, PyList>> {
        let outputs = self.into_outputs_of(py, name, rule, values.len())?;
        outputs.list(py, values.len(), |i| op::pos(values[i]))
    }

    /// Makes the output node of an op with one output, as [`Operands::into_outputs`] does.
    pub fn into_output<'py>(
        self,
        py: Python<'py>,
        name: &'static str,
        (value, rule): (f64, Vjp),
    ) -> PyResult<Bound<'py, PyAny>> {
        self.into_outputs_of(py, name, rule, 1)?.node(py, 0, value, 1.0)
    }
}

/// Makes the output nodes of a fused op; holds a share of it meanwhile.
pub struct FusedOutputs(pub Share);

impl FusedOutputs {
    /// Makes the output at `index`; `slope` is that of an activation after the op, 1 without one.
    #[inline(always)]
    pub fn node<'py>(
        &self,
        py: Python<'py>,
        index: usize,
        value: f64,
        slope: f64,
    ) -> PyResult<Bound<'py, PyAny>> {
        let output = NewNode::leaf(py, value).into_node()?;
        output.set_fused_op(self.0.clone(), index, slope);
        Ok(output.into_bound(py))
    }

    /// Makes a list of `n` outputs; `made(i)` returns the value of output i and the slope of its
    /// activation.
    #[inline(always)]
    pub fn list<'py>(
        &self,
        py: Python<'py>,
        n: usize,
        mut made: impl FnMut(usize) -> fastgrad_core::Result<Unary>,
    ) -> PyResult<Bound<'py, PyList>> {
        // Python code runs only while a long list is filled, which the collector therefore tracks
        // once it is full.
        let is_long = n >= PAUSE_EVERY;
        // SAFETY: the list is new, and each of its places is filled once. After an error the rest are
        // null, as in any list of `PyList_New`, and no Python code has seen the list.
        unsafe {
            let list = ffi::PyList_New(n.cast_signed());
            let list = Bound::from_owned_ptr_or_err(py, list)?;
            if is_long {
                ffi::PyObject_GC_UnTrack(list.as_ptr().cast());
            }
            for i in 0..n {
                let made = made(i).map_err(|error| to_python(&error))?;
                let node = self.node(py, i, made.value, made.dx)?;
                ffi::PyList_SET_ITEM(list.as_ptr(), i.cast_signed(), node.into_ptr());
                pause(py, i)?;
            }
            if is_long {
                ffi::PyObject_GC_Track(list.as_ptr().cast());
            }
            Ok(list.cast_into_unchecked())
        }
    }

    /// Makes a list of the outputs of a linear map, whose sums lie in the fused op's buffer of
    /// adjoints; the buffer is then 0.
    #[allow(clippy::indexing_slicing, reason = "as many outputs as sums are made")]
    pub fn activated<'py>(
        &self,
        py: Python<'py>,
        activation: impl Fn(f64) -> fastgrad_core::Result<Unary>,
    ) -> PyResult<Bound<'py, PyList>> {
        let mut sums = self.0.replace_adjoints(Vec::new());
        let outputs = self.list(py, sums.len(), |i| activation(std::mem::take(&mut sums[i])));
        self.0.replace_adjoints(sums);
        outputs
    }
}

/// Runs an op over the values, without the GIL where it takes long.
pub fn detached<T: Send>(py: Python<'_>, data: &[f64], op: impl FnOnce(&[f64]) -> T + Send) -> T {
    if data.len() < PAUSE_EVERY { op(data) } else { py.detach(|| op(data)) }
}

#[cold]
fn not_an_operand(item: &Bound<'_, PyAny>, argument: &str) -> PyErr {
    let got = described(item.as_borrowed());
    PyTypeError::new_err(format!("{argument} must hold Values and numbers, got {got}"))
}

#[cold]
fn not_iterable(source: &Bound<'_, PyAny>, argument: &str) -> PyErr {
    let got = described(source.as_borrowed());
    PyTypeError::new_err(format!("{argument} must be an iterable of Values and numbers, got {got}"))
}
