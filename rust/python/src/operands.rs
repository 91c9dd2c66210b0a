//! Reads lists of operands for the core, and makes nodes of its outputs.

use std::ptr;

use fastgrad_core::autograd::fused::Vjp;
use fastgrad_core::autograd::op::{self, Unary};
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyFloat, PyList, PyTuple};

use crate::errors::to_python;
use crate::memory::{reserve, with_capacity};
use crate::overrides;
use crate::run::{PAUSE_EVERY, pause};
use crate::value::ffi::borrowed;
use crate::value::fused_op::{self, FusedOp};
use crate::value::node::{self, NewNode, Node, NodeRef};
use crate::value::{number, patches};

/// Values and numbers read from Python: their data, and an owned reference to each node (null
/// for a number).
#[derive(Default)]
pub struct Operands {
    nodes: Vec<*mut Node>,
    /// the values, as they are now
    pub data: Vec<f64>,
    /// a number of the op itself, as the target of a cross-entropy
    pub setting: Option<f64>,
    /// an operand's class has ops of its own
    own_ops: bool,
    /// the item refused is neither Value nor number, but its class may implement `Value * item`
    stranger: bool,
}

impl Drop for Operands {
    fn drop(&mut self) {
        for node in self.nodes.drain(..).filter(|node| !node.is_null()) {
            // SAFETY: the reference is ours; operands are only dropped under the GIL.
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
        let class = item.get_type_ptr();
        if operand.node.is_some() && class != node::value_type() && !self.own_ops {
            self.own_ops = overrides::class_has_own_ops(item.py(), class)?;
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
        let mut nodes = self.nodes.iter().filter(|node| !node.is_null());
        // SAFETY: we own a reference to each node.
        nodes.all(|node| unsafe { ffi::Py_TYPE(node.cast()) } == node::value_type())
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
        self.nodes.iter().take(n).all(|node| !node.is_null())
    }

    /// Returns the operands as Python objects, a number as a float.
    pub fn objects<'py>(&self, py: Python<'py>) -> PyResult<Vec<Bound<'py, PyAny>>> {
        let mut objects = with_capacity(self.data.len())?;
        for (&node, &data) in self.nodes.iter().zip(&self.data) {
            // SAFETY: we own a reference to the node.
            let object = unsafe { Bound::from_borrowed_ptr_or_opt(py, node.cast()) };
            objects.push(object.unwrap_or_else(|| PyFloat::new(py, data).into_any()));
        }
        Ok(objects)
    }

    #[inline(always)]
    fn keep(&mut self, operand: number::Operand<'_>) {
        self.nodes
            .push(operand.node.map_or(ptr::null_mut(), |node| node.object().into_ptr().cast()));
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
            let item = unsafe { borrowed(item) };
            match number::quick(item) {
                Some(operand) => self.keep(operand),
                None => self.push(&item.to_owned(), argument)?,
            }
            pause(py, self.data.len())?;
        }
        Ok(())
    }

    /// Makes the fused op of an op over these operands; the caller owns a share of it.
    ///
    /// `name` is what `_op` shows.
    fn into_fused_op(
        self,
        py: Python<'_>,
        name: &'static str,
        rule: Vjp,
        outputs: usize,
    ) -> PyResult<*mut FusedOp> {
        let mut numbers = Vec::new();
        let plain = || self.nodes.iter().zip(&self.data).filter(|(node, _)| node.is_null());
        reserve(&mut numbers, plain().count() + 1)?;
        numbers.extend(plain().map(|(_, &number)| number).chain(self.setting));
        let fused = FusedOp::new(py, name.into(), self.into_parts().0, Some(rule), outputs)?;
        // SAFETY: the fused op is new, and ours alone.
        unsafe { (*fused).numbers = numbers.into_boxed_slice() };
        Ok(fused)
    }

    /// Returns the nodes, whose references become the caller's, and the values.
    pub fn into_parts(mut self) -> (Vec<*mut Node>, Vec<f64>) {
        (std::mem::take(&mut self.nodes), std::mem::take(&mut self.data))
    }

    /// Makes the output nodes of an op over these operands, a list with one for each value.
    #[allow(clippy::indexing_slicing, reason = "as many outputs as values are made")]
    pub fn into_outputs<'py>(
        self,
        py: Python<'py>,
        name: &'static str,
        (values, rule): (Vec<f64>, Vjp),
    ) -> PyResult<Bound<'py, PyList>> {
        // SAFETY: the share is ours.
        let outputs = unsafe { Outputs::new(self.into_fused_op(py, name, rule, values.len())?) };
        outputs.list(py, values.len(), |i| op::pos(values[i]))
    }

    /// Makes the output node of an op with one output, as [`Operands::into_outputs`] does.
    pub fn into_output<'py>(
        self,
        py: Python<'py>,
        name: &'static str,
        (value, rule): (f64, Vjp),
    ) -> PyResult<Bound<'py, PyAny>> {
        // SAFETY: the share is ours.
        let output = unsafe { Outputs::new(self.into_fused_op(py, name, rule, 1)?) };
        output.node(py, 0, value, 1.0)
    }
}

/// Makes the output nodes of a fused op; holds a share of it meanwhile.
pub struct Outputs(*mut FusedOp);

impl Outputs {
    /// Takes over the caller's share.
    ///
    /// # Safety
    /// The share is the caller's.
    pub unsafe fn new(fused: *mut FusedOp) -> Outputs {
        Outputs(fused)
    }

    /// Makes the output at `index`; `slope` is that of an activation after the op, 1 without one.
    #[inline(always)]
    pub fn node<'py>(
        &self,
        py: Python<'py>,
        index: usize,
        value: f64,
        slope: f64,
    ) -> PyResult<Bound<'py, PyAny>> {
        let output = NewNode::leaf(py, value).into_bound()?;
        // SAFETY: the node is new; the fused op is alive, as we hold a share.
        unsafe {
            (*self.0).share();
            fused_op::set_fused_op(output.as_ptr().cast(), self.0, index, slope);
        }
        Ok(output)
    }
}

impl Outputs {
    /// Makes a list of `n` outputs; `made(i)` returns the value of output i and the slope of its
    /// activation.
    #[inline(always)]
    pub fn list<'py>(
        &self,
        py: Python<'py>,
        n: usize,
        mut made: impl FnMut(usize) -> fastgrad_core::Result<Unary>,
    ) -> PyResult<Bound<'py, PyList>> {
        // Only while a long list is filled may Python code run: the collector tracks it once it is
        // full.
        let is_long = n >= PAUSE_EVERY;
        // SAFETY: each place of the list is filled once; after an error the rest stay null, as a
        // list may be until it is shown.
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
        // SAFETY: the fused op is alive, and nobody else has seen it until the list is shown.
        let sums = unsafe { &mut *(*self.0).dout };
        self.list(py, sums.len(), |i| activation(std::mem::take(&mut sums[i])))
    }
}

impl Drop for Outputs {
    fn drop(&mut self) {
        // SAFETY: our own share, given up under the GIL.
        unsafe { fused_op::release(self.0) }
    }
}

/// Runs an op over the values, without the GIL where it takes long.
pub fn detached<T: Send>(py: Python<'_>, data: &[f64], op: impl FnOnce(&[f64]) -> T + Send) -> T {
    if data.len() < PAUSE_EVERY { op(data) } else { py.detach(|| op(data)) }
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
