//! Caches the weights of layers, which many calls share.
//!
//! A network is called once for each example, with the same weights. The maps of all these calls
//! share one fused op of weights as long as it is in use: it is looked up by the address of the
//! list that the weights came from, and used only if every weight is still the same node with the
//! same value. So a call compares its weights but takes no reference to any of them, and a backward
//! pass sums their gradients in one buffer and sends them to the nodes once.

use std::ptr;
use std::sync::Arc;

use fastgrad_core::Error;
use fastgrad_core::autograd::fused::{Activation, Vjp, Weights};
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::PyList;

use crate::errors::to_python;
use crate::operands::{FusedOutputs, Operands};
use crate::run::pause;
use crate::value::fused_op::{self, FusedOp, Share};

/// The least number of weights with which a map is computed without the GIL.
const DETACHED_FROM: usize = 1 << 18;

/// The weights of one call, as Python objects.
pub struct Source<'py> {
    /// the list that the call got them in; its address is the key of the cache
    pub key: *mut ffi::PyObject,
    /// m rows of n weights
    pub rows: Vec<Bound<'py, PyAny>>,
    /// one for each row, or none at all
    pub bias: Vec<Bound<'py, PyAny>>,
}

/// A fused op of weights. If it was found in the cache, the weights must be compared with the list as
/// it is now.
pub struct Shared {
    fused: Share,
    weights: Arc<Weights>,
}

impl Shared {
    /// Returns the fused op for the list with m rows of n weights, and m biases or none; `None` if
    /// there is none in use.
    pub fn find(list: &Bound<'_, PyList>, (m, n): (usize, usize), bias: bool) -> Option<Shared> {
        let fused = fused_op::in_use(list.py(), list.as_ptr().addr())?;
        let Some(Vjp::Shared(weights)) = &fused.rule else { return None };
        let values = m * n + if bias { m } else { 0 };
        let shape = (weights.outputs(), weights.inputs(), weights.values().len());
        let weights = (shape == (m, n, values)).then(|| weights.clone())?;
        Some(Shared { fused, weights })
    }

    /// Returns true if the list is row `i`, with the same nodes and values.
    #[inline(always)]
    pub fn has_row(&self, i: usize, row: &Bound<'_, PyAny>) -> bool {
        let n = self.weights.inputs();
        match row.cast_exact::<PyList>() {
            // SAFETY: no Python code runs during a comparison.
            Ok(row) if row.len() == n => self.has(i * n, unsafe { items(row) }),
            _ => false,
        }
    }

    /// Returns true if the item is bias `i`, with the same value.
    #[inline(always)]
    pub fn has_bias(&self, i: usize, bias: &Bound<'_, PyAny>) -> bool {
        let rows = self.weights.outputs() * self.weights.inputs();
        self.has(rows + i, &[bias.as_ptr()])
    }

    /// Returns true if the items are the nodes from `start` on, with unchanged values.
    #[inline(always)]
    #[allow(clippy::indexing_slicing, reason = "the shape is that of the lists")]
    fn has(&self, start: usize, items: &[*mut ffi::PyObject]) -> bool {
        let end = start + items.len();
        let (nodes, values) = (&self.fused.parents[start..end], &self.weights.values()[start..end]);
        items.iter().zip(nodes).zip(values).all(|((&item, node), value)| {
            // Its class is unchanged as well, see `fused_op::unregister_all`.
            let address = node.as_ref().map_or(ptr::null_mut(), |node| node.as_ptr().cast());
            // SAFETY: no item of a list is null, so that an equal address is that of a node. Testing for
            // a node as well would take 1 % of a network's step.
            item == address
                && unsafe { node.as_ref().unwrap_unchecked() }.data().to_bits() == value.to_bits()
        })
    }
}

impl Source<'_> {
    /// Reads all weights: the rows, then the biases.
    pub fn read(&self, operands: &mut Operands, op: &'static str, n: usize) -> PyResult<()> {
        let (of_row, of_bias) = (format!("{op}: a row of weights"), format!("{op}: bias"));
        for (i, row) in self.rows.iter().enumerate() {
            let before = operands.data.len();
            operands.extend(row, &of_row)?;
            expect_length(op, || format!("row {i} of weights"), operands.data.len() - before, n)?;
            pause(row.py(), i)?;
        }
        for (i, bias) in self.bias.iter().enumerate() {
            operands.push(bias, &of_bias)?;
            pause(bias.py(), i)?;
        }
        Ok(())
    }

    /// Makes a fused op of the weights. Calls that follow find it, unless a weight is of a subclass of
    /// `Value`.
    pub fn share(&self, py: Python<'_>, weights: Operands, n: usize) -> PyResult<Shared> {
        let findable = weights.are_exact();
        let (nodes, values) = weights.into_parts();
        let outputs = values.len();
        let weights = Arc::new(Weights::new(self.rows.len(), n, values));
        let rule = Vjp::Shared(weights.clone());
        let fused =
            FusedOp::make(py, "weights".into(), nodes, Some(rule), outputs, Box::default())?;
        if findable {
            fused_op::register(py, self.key.addr(), &fused);
        }
        Ok(Shared { fused, weights })
    }
}

/// Returns the items of a list, as long as nothing changes it.
///
/// # Safety
/// No Python code runs while the slice is in use.
pub unsafe fn items<'a>(list: &'a Bound<'_, PyList>) -> &'a [*mut ffi::PyObject] {
    // SAFETY: a list that is not empty has an array of its items, which only Python code changes, and
    // by contract none runs.
    unsafe {
        let raw = list.as_ptr().cast::<ffi::PyListObject>();
        if list.is_empty() { &[] } else { std::slice::from_raw_parts((*raw).ob_item, list.len()) }
    }
}

/// Raises the op's error unless the lengths match.
pub fn expect_length(
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
    /// Applies the linear map to one input; `name` is what `_op` shows.
    pub fn apply<'py>(
        &self,
        py: Python<'py>,
        x: Operands,
        name: &'static str,
        activation: Activation,
    ) -> PyResult<Bound<'py, PyList>> {
        let mut z = Vec::new();
        let weights = &self.weights;
        let computed = if weights.values().len() < DETACHED_FROM {
            weights.apply(&x.data, &mut z)
        } else {
            let x = &x.data;
            py.detach(|| weights.apply(x, &mut z))
        };
        computed.map_err(|error| to_python(&error))?;
        let (parents, x) = x.into_parts();
        let rule = Vjp::Linear { x, weights: self.weights.clone() };
        let fused = FusedOp::make_linear(py, name, parents, rule, z, self.fused.clone())?;
        FusedOutputs(fused).activated(py, |z| activation.apply(z))
    }
}
