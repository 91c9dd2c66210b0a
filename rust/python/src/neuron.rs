//! The fields of a neuron, which a layer reads without running Python code.

use std::cell::Cell;

use fastgrad_core::autograd::fused::Activation;
use pyo3::exceptions::{PyAttributeError, PyValueError};
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString, PyTuple};

use crate::gil_cell::GilCell;
use crate::value::number;

/// The weights, the bias and the activation of a neuron: the base of the Python class.
///
/// Frozen for `PyO3`, which then keeps no borrow flag (setting it took a third of a layer's call);
/// the GIL guards the fields.
#[pyclass(subclass, frozen, module = "fastgrad._core")]
#[derive(Default)]
pub struct NeuronData {
    w: Field,
    b: Field,
    activation: GilCell<Cell<Activation>>,
}

/// An object, once it is set.
type Field = GilCell<Cell<Option<Py<PyAny>>>>;

/// Returns a field's object, if set, without a new reference: a layer's call reads every neuron.
///
/// # Safety
/// The object is not used once Python code has run, which may replace it.
#[inline(always)]
unsafe fn peek<'a>(field: &'a Field, py: Python<'a>) -> Option<&'a Py<PyAny>> {
    // SAFETY: only Python code replaces the object, and by contract the reference is not used after any
    // has run.
    unsafe { (*field.get(py).as_ptr()).as_ref() }
}

fn required<'py>(field: &Field, py: Python<'py>, name: &str) -> PyResult<Bound<'py, PyAny>> {
    let missing = || PyAttributeError::new_err(format!("this neuron has no {name} yet"));
    // SAFETY: the object is cloned at once, before any Python code runs.
    unsafe { peek(field, py) }.map(|object| object.bind(py).clone()).ok_or_else(missing)
}

impl NeuronData {
    /// Returns the weights and the bias, once both are set.
    ///
    /// # Safety
    /// The references are not used once Python code has run, which may replace the fields.
    #[inline(always)]
    pub unsafe fn parameters<'a, 'py>(
        &'a self,
        py: Python<'py>,
    ) -> Option<(&'a Bound<'py, PyAny>, &'a Bound<'py, PyAny>)> {
        // SAFETY: the contract is that of `peek`.
        unsafe { Some((peek(&self.w, py)?.bind(py), peek(&self.b, py)?.bind(py))) }
    }

    /// Returns the activation that follows the sum.
    #[inline(always)]
    pub fn activation(&self, py: Python<'_>) -> Activation {
        self.activation.get(py).get()
    }
}

#[pymethods]
impl NeuronData {
    #[new]
    #[pyo3(signature = (*_args, **_kwargs))]
    fn new(_args: &Bound<'_, PyTuple>, _kwargs: Option<&Bound<'_, PyDict>>) -> NeuronData {
        NeuronData::default()
    }

    /// The weights, a list of Values.
    #[getter]
    fn w<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        required(&self.w, py, "w")
    }

    #[setter]
    fn set_w(&self, weights: Bound<'_, PyAny>) {
        self.w.get(weights.py()).set(Some(weights.unbind()));
    }

    /// The bias, a Value.
    #[getter]
    fn b<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        required(&self.b, py, "b")
    }

    #[setter]
    fn set_b(&self, bias: Bound<'_, PyAny>) {
        self.b.get(bias.py()).set(Some(bias.unbind()));
    }

    /// The name of the activation: 'relu', 'tanh', 'sigmoid' or 'linear'.
    #[getter(activation)]
    fn activation_name(&self, py: Python<'_>) -> &'static str {
        self.activation(py).name()
    }

    #[setter]
    fn set_activation(&self, name: &Bound<'_, PyAny>) -> PyResult<()> {
        let known = match name.cast::<PyString>() {
            Ok(text) => Activation::from_name(&text.to_string_lossy()),
            Err(_) => None,
        };
        let known = known.ok_or_else(|| {
            let shown = number::shorten(name.as_borrowed());
            PyValueError::new_err(format!(
                "activation is {shown}; expected one of 'relu', 'tanh', 'sigmoid', 'linear'"
            ))
        })?;
        self.activation.get(name.py()).set(known);
        Ok(())
    }

    #[allow(clippy::needless_pass_by_value, reason = "the signature is PyO3's")]
    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        // SAFETY: the collector calls this with the GIL held, and its visits run no Python code.
        unsafe {
            let py = Python::assume_attached();
            visit.call(peek(&self.w, py))?;
            visit.call(peek(&self.b, py))
        }
    }

    fn __clear__(&self, py: Python<'_>) {
        self.w.get(py).set(None);
        self.b.get(py).set(None);
    }
}
