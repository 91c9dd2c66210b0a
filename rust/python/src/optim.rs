//! Optimisers over lists of Values: the state in Rust, one call a step.

use fastgrad_core::graph::optim::{Adam, Sgd};
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyList, PyTuple};

use crate::value::node::{self, Node};
use crate::value::number;

/// The parameters of an optimiser, checked to be Values.
struct Params(Vec<Py<PyAny>>);

impl Params {
    fn read(given: &Bound<'_, PyAny>) -> PyResult<Params> {
        let mut params = Vec::new();
        for item in given.try_iter()? {
            let item = item?;
            // SAFETY: the item is alive.
            if !unsafe { node::is_value(item.as_ptr()) } {
                let class = number::class_name(item.as_borrowed());
                let shown = number::shorten(item.as_borrowed());
                let message = format!("params must hold Values only, got {class}: {shown}");
                return Err(PyTypeError::new_err(message));
            }
            params.push(item.unbind());
        }
        Ok(Params(params))
    }

    /// The nodes, each alive as long as `self`.
    fn nodes(&self) -> impl Iterator<Item = *mut Node> {
        self.0.iter().map(|param| param.as_ptr().cast())
    }

    fn list<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        PyList::new(py, &self.0)
    }

    fn expect_length(&self, got: usize) -> PyResult<()> {
        if got == self.0.len() {
            return Ok(());
        }
        let message = format!("the state is of {got} parameters, expected {}", self.0.len());
        Err(PyValueError::new_err(message))
    }

    fn traverse(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        self.0.iter().try_for_each(|param| visit.call(param))
    }
}

/// The state of SGD: a velocity for each parameter.
#[pyclass(module = "fastgrad._core")]
pub struct Momentum {
    params: Params,
    velocity: Vec<f64>,
}

#[pymethods]
impl Momentum {
    #[new]
    #[pyo3(signature = (params, /))]
    fn new(params: &Bound<'_, PyAny>) -> PyResult<Momentum> {
        let params = Params::read(params)?;
        let velocity = vec![0.0; params.0.len()];
        Ok(Momentum { params, velocity })
    }

    /// For copy and pickle.
    fn __reduce__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        let make = py.get_type::<Momentum>();
        (make, (self.params.list(py)?,), self.velocity.clone()).into_pyobject(py)
    }

    /// For copy and pickle.
    fn __setstate__(&mut self, velocity: Vec<f64>) -> PyResult<()> {
        self.params.expect_length(velocity.len())?;
        self.velocity = velocity;
        Ok(())
    }

    /// One step of every parameter; in one go, so that an interrupt finds all of them moved or none.
    #[pyo3(signature = (lr, momentum, weight_decay, /))]
    fn step(&mut self, lr: f64, momentum: f64, weight_decay: f64) {
        let rule = Sgd { lr, momentum, weight_decay };
        for (node, velocity) in self.params.nodes().zip(&mut self.velocity) {
            // SAFETY: the parameter is alive and the lock held.
            unsafe { (*node).data = rule.update((*node).data, (*node).grad, velocity) }
        }
    }

    #[allow(clippy::needless_pass_by_value, reason = "the signature is PyO3's")]
    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        self.params.traverse(&visit)
    }

    fn __clear__(&mut self) {
        self.params.0.clear();
    }
}

/// The state of Adam: both moments of each parameter, and the count of steps.
#[pyclass(module = "fastgrad._core")]
pub struct Moments {
    params: Params,
    state: Vec<(f64, f64)>,
    /// steps taken
    #[pyo3(get)]
    steps: u64,
}

#[pymethods]
impl Moments {
    #[new]
    #[pyo3(signature = (params, /))]
    fn new(params: &Bound<'_, PyAny>) -> PyResult<Moments> {
        let params = Params::read(params)?;
        let state = vec![(0.0, 0.0); params.0.len()];
        Ok(Moments { params, state, steps: 0 })
    }

    /// For copy and pickle.
    fn __reduce__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        let make = py.get_type::<Moments>();
        (make, (self.params.list(py)?,), (self.steps, self.state.clone())).into_pyobject(py)
    }

    /// For copy and pickle.
    fn __setstate__(&mut self, state: (u64, Vec<(f64, f64)>)) -> PyResult<()> {
        let (steps, state) = state;
        self.params.expect_length(state.len())?;
        (self.steps, self.state) = (steps, state);
        Ok(())
    }

    /// One step of every parameter; in one go, so that an interrupt finds all of them moved or none.
    #[pyo3(signature = (lr, beta1, beta2, eps, weight_decay, decoupled, /))]
    #[allow(clippy::too_many_arguments, reason = "the names of the paper, positional")]
    #[allow(clippy::cast_precision_loss, reason = "nobody takes 2^53 steps")]
    fn step(
        &mut self,
        lr: f64,
        beta1: f64,
        beta2: f64,
        eps: f64,
        weight_decay: f64,
        decoupled: bool,
    ) {
        self.steps += 1;
        let t = self.steps as f64;
        let (correction1, correction2) = (1.0 - beta1.powf(t), 1.0 - beta2.powf(t));
        let rule =
            Adam { lr, beta1, beta2, eps, weight_decay, decoupled, correction1, correction2 };
        for (node, (m, v)) in self.params.nodes().zip(&mut self.state) {
            // SAFETY: the parameter is alive and the lock held.
            unsafe { (*node).data = rule.update((*node).data, (*node).grad, m, v) }
        }
    }

    #[allow(clippy::needless_pass_by_value, reason = "the signature is PyO3's")]
    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        self.params.traverse(&visit)
    }

    fn __clear__(&mut self) {
        self.params.0.clear();
    }
}

/// Sets the gradient of every Value in a list to 0; what else is in it gets `grad = 0.0`.
#[pyfunction]
#[pyo3(signature = (params, /))]
pub fn zero_grads(params: &Bound<'_, PyAny>) -> PyResult<()> {
    for item in params.try_iter()? {
        let item = item?;
        // SAFETY: the item is alive and the lock held.
        unsafe {
            if node::is_value(item.as_ptr()) {
                (*item.as_ptr().cast::<Node>()).grad = 0.0;
                continue;
            }
        }
        item.setattr(intern!(item.py(), "grad"), 0.0)?;
    }
    Ok(())
}
