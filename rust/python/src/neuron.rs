//! The fields of a neuron, which a layer reads without running Python code.

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
    w: Field<Option<Py<PyAny>>>,
    b: Field<Option<Py<PyAny>>>,
    activation: Field<Activation>,
}

/// A field that is read and replaced as a whole.
#[derive(Default)]
struct Field<T>(GilCell<T>);

impl<T> Field<T> {
    fn set(&self, py: Python<'_>, value: T) {
        // The old value is dropped last, as that may run Python code that calls `set` again.
        let old = self.0.with(py, |field| std::mem::replace(field, value));
        drop(old);
    }
}

impl Field<Option<Py<PyAny>>> {
    /// Returns the field's value, if set.
    ///
    /// # Safety
    /// The reference is not used once Python code has run, which may replace the field.
    #[inline(always)]
    unsafe fn get<'a, 'py>(&'a self, py: Python<'py>) -> Option<&'a Bound<'py, PyAny>> {
        // SAFETY: by contract; the GIL is held.
        unsafe { self.0.get() }.as_ref().map(|item| item.bind(py))
    }

    fn required<'py>(&self, py: Python<'py>, name: &str) -> PyResult<Bound<'py, PyAny>> {
        let missing = || PyAttributeError::new_err(format!("this neuron has no {name} yet"));
        // SAFETY: a clone owns a reference of its own.
        unsafe { self.get(py) }.cloned().ok_or_else(missing)
    }
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
        // SAFETY: by contract.
        unsafe { Some((self.w.get(py)?, self.b.get(py)?)) }
    }

    /// Returns the activation that follows the sum.
    #[inline(always)]
    pub fn activation(&self, py: Python<'_>) -> Activation {
        self.activation.0.with(py, |activation| *activation)
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
        self.w.required(py, "w")
    }

    #[setter]
    fn set_w(&self, weights: Bound<'_, PyAny>) {
        self.w.set(weights.py(), Some(weights.unbind()));
    }

    /// The bias, a Value.
    #[getter]
    fn b<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.b.required(py, "b")
    }

    #[setter]
    fn set_b(&self, bias: Bound<'_, PyAny>) {
        self.b.set(bias.py(), Some(bias.unbind()));
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
        self.activation.set(name.py(), known);
        Ok(())
    }

    #[allow(clippy::needless_pass_by_value, reason = "the signature is PyO3's")]
    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        // SAFETY: the collector runs under the GIL and changes nothing.
        unsafe {
            visit.call(self.w.0.get().as_ref())?;
            visit.call(self.b.0.get().as_ref())
        }
    }

    fn __clear__(&self, py: Python<'_>) {
        self.w.set(py, None);
        self.b.set(py, None);
    }
}
