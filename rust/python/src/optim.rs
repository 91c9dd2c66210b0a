//! Optimisers over lists of Values: the state is in Rust, and a step is one call.

use fastgrad_core::autograd::optim::{Adam, Sgd};
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyList, PyTuple};

use crate::args::{described, read_all};
use crate::errors::guard;
use crate::memory::{filled, with_capacity};
use crate::overrides;
use crate::run::pause;
use crate::value::node::{self, NodeRef};
use crate::value::patches;

/// The parameters of an optimiser, checked to be Values.
struct Params(Vec<Py<PyAny>>);

impl Params {
    fn read(given: &Bound<'_, PyAny>) -> PyResult<Params> {
        let params = read_all(given.try_iter()?, |_, item| {
            if NodeRef::of(item.as_borrowed()).is_none() {
                let got = described(item.as_borrowed());
                return Err(PyTypeError::new_err(format!(
                    "params must hold Values only, got {got}"
                )));
            }
            Ok(item.unbind())
        })?;
        Ok(Params(params))
    }

    /// Reads the state of each parameter from a list that may change meanwhile.
    fn read_state<T>(
        &self,
        given: &Bound<'_, PyList>,
        read: impl Fn(Bound<'_, PyAny>) -> PyResult<T>,
    ) -> PyResult<Vec<T>> {
        self.expect_length(given.len())?;
        let mut state = with_capacity(given.len())?;
        for item in given.iter().take(self.0.len()) {
            state.push(read(item)?);
        }
        self.expect_length(state.len())?;
        Ok(state)
    }

    /// Sets the data of each parameter to `rule(data, gradient, state)`, all at once. An exception
    /// leaves parameters and state unchanged.
    fn update<S: Copy>(
        &self,
        py: Python<'_>,
        states: &mut [S],
        rule: impl Fn(f64, f64, &mut S) -> f64,
    ) -> PyResult<()> {
        if self.have_own_fields(py)? {
            return self.update_by_attributes(py, states, rule);
        }
        for (param, state) in self.0.iter().zip(states) {
            let Some(value) = NodeRef::of(param.bind_borrowed(py)) else {
                unreachable!("checked by `read`")
            };
            value.set_data(rule(value.data(), value.grad(), state));
        }
        Ok(())
    }

    /// Returns true if `Value` is patched, or a parameter's class has fields of its own.
    fn have_own_fields(&self, py: Python<'_>) -> PyResult<bool> {
        if patches::is_patched(py)? {
            return Ok(true);
        }
        for param in &self.0 {
            if overrides::class_has_own_ops(param.bind(py))? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Does what [`Params::update`] does, through the attributes `data` and `grad`.
    #[cold]
    fn update_by_attributes<S: Copy>(
        &self,
        py: Python<'_>,
        states: &mut [S],
        rule: impl Fn(f64, f64, &mut S) -> f64,
    ) -> PyResult<()> {
        let (data, grad) = (intern!(py, "data"), intern!(py, "grad"));
        let (mut before, mut after) = (with_capacity(self.0.len())?, with_capacity(self.0.len())?);
        for (param, state) in self.0.iter().zip(&*states) {
            let (old, mut state) = (param.bind(py).getattr(data)?, *state);
            let gradient = param.bind(py).getattr(grad)?.extract()?;
            after.push((rule(old.extract()?, gradient, &mut state), state));
            before.push(old);
        }
        for (i, (param, (new, _))) in self.0.iter().zip(&after).enumerate() {
            if let Err(error) = param.setattr(py, data, *new) {
                for (param, old) in self.0.iter().zip(&before).take(i) {
                    param.setattr(py, data, old)?;
                }
                return Err(error);
            }
        }
        for (state, (_, new)) in states.iter_mut().zip(after) {
            *state = new;
        }
        Ok(())
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
        guard(|| {
            let params = Params::read(params)?;
            let velocity = filled(0.0, params.0.len())?;
            Ok(Momentum { params, velocity })
        })
    }

    /// Return what copy and pickle need.
    fn __reduce__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        guard(|| {
            let make = py.get_type::<Momentum>();
            (make, (self.params.list(py)?,), PyList::new(py, &self.velocity)?).into_pyobject(py)
        })
    }

    /// For copy and pickle.
    fn __setstate__(&mut self, velocity: &Bound<'_, PyList>) -> PyResult<()> {
        guard(|| {
            self.velocity = self.params.read_state(velocity, |item| item.extract())?;
            Ok(())
        })
    }

    /// Make one step: update all parameters at once, so that an interrupt finds all updated or none.
    #[pyo3(signature = (lr, momentum, weight_decay, /))]
    fn step(&mut self, py: Python<'_>, lr: f64, momentum: f64, weight_decay: f64) -> PyResult<()> {
        let rule = Sgd { lr, momentum, weight_decay };
        guard(|| {
            self.params.update(py, &mut self.velocity, |p, g, velocity| rule.update(p, g, velocity))
        })
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
        guard(|| {
            let params = Params::read(params)?;
            let state = filled((0.0, 0.0), params.0.len())?;
            Ok(Moments { params, state, steps: 0 })
        })
    }

    /// For copy and pickle.
    fn __reduce__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        guard(|| {
            let make = py.get_type::<Moments>();
            let state = (self.steps, PyList::new(py, self.state.iter().copied())?);
            (make, (self.params.list(py)?,), state).into_pyobject(py)
        })
    }

    /// For copy and pickle.
    fn __setstate__(&mut self, state: (u64, Bound<'_, PyList>)) -> PyResult<()> {
        let (steps, given) = state;
        guard(|| {
            self.state = self.params.read_state(&given, |item| item.extract())?;
            self.steps = steps;
            Ok(())
        })
    }

    /// Make one step: update all parameters at once, so that an interrupt finds all updated or none.
    #[pyo3(signature = (lr, beta1, beta2, eps, weight_decay, decoupled, /))]
    #[allow(clippy::too_many_arguments, reason = "the names of the paper, positional")]
    #[allow(clippy::cast_precision_loss, reason = "nobody takes 2^53 steps")]
    fn step(
        &mut self,
        py: Python<'_>,
        lr: f64,
        beta1: f64,
        beta2: f64,
        eps: f64,
        weight_decay: f64,
        decoupled: bool,
    ) -> PyResult<()> {
        let t = (self.steps + 1) as f64;
        let (correction1, correction2) = (1.0 - beta1.powf(t), 1.0 - beta2.powf(t));
        let rule =
            Adam { lr, beta1, beta2, eps, weight_decay, decoupled, correction1, correction2 };
        guard(|| self.params.update(py, &mut self.state, |p, g, (m, v)| rule.update(p, g, m, v)))?;
        self.steps += 1;
        Ok(())
    }

    #[allow(clippy::needless_pass_by_value, reason = "the signature is PyO3's")]
    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        self.params.traverse(&visit)
    }

    fn __clear__(&mut self) {
        self.params.0.clear();
    }
}

/// Set the gradient of every Value in a list to 0; of other items set the attribute `grad` to 0.0.
#[pyfunction]
#[pyo3(signature = (params, /))]
pub fn zero_grads(params: &Bound<'_, PyAny>) -> PyResult<()> {
    guard(|| {
        let py = params.py();
        for (i, item) in params.try_iter()?.enumerate() {
            let item = item?;
            let is_plain = item.get_type_ptr() == node::value_type() && !patches::is_patched(py)?;
            match NodeRef::of(item.as_borrowed()) {
                Some(value) if is_plain => value.set_grad(0.0),
                _ => item.setattr(intern!(py, "grad"), 0.0)?,
            }
            pause(py, i)?;
        }
        Ok(())
    })
}
