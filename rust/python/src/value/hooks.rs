//! `node._backward`: reading a node's vjp as a callable, replacing it, calling it.

use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::{Borrowed, intern};

use super::attrs;
use super::backward;
use super::ffi::{Object, answer, c_functions, status};
use super::node::{HAS_RULE, NodeRef};
use super::number;
use crate::errors::guard_slot;

c_functions! {
    /// The callable that was assigned, or one that sends the node's gradient on.
    pub get get = |value| match stored(value)? {
        Some(hook) => Ok(hook),
        None => value.object().getattr(intern!(value.py(), "_propagate")),
    };
    pub set set = replace;
}

/// Calls the callable that replaced the node's vjp; what it raises comes out unchanged.
#[cold]
pub fn call(value: NodeRef<'_>) -> PyResult<()> {
    match stored(value)? {
        Some(hook) => hook.call0().map(drop),
        // The dict was emptied behind our back: the node's own vjp is back.
        None => backward::send_alone(value),
    }
}

fn stored(value: NodeRef<'_>) -> PyResult<Option<Bound<'_, PyAny>>> {
    match value.dict()? {
        Some(dict) if value.has(HAS_RULE) => dict.get_item(intern!(value.py(), "_backward")),
        _ => Ok(None),
    }
}

/// Keeps the callable in the node's dict, where Python would keep it.
fn replace(value: NodeRef<'_>, hook: Option<Borrowed<'_, '_, PyAny>>) -> PyResult<()> {
    let dict = attrs::dict(value)?;
    let name = intern!(value.py(), "_backward");
    match hook {
        Some(hook) if hook.is_callable() => {
            dict.set_item(name, hook)?;
            value.set_flag(HAS_RULE, true);
        }
        Some(other) => {
            let shown = number::shorten(other);
            return Err(PyTypeError::new_err(format!("_backward must be callable, got {shown}")));
        }
        None => {
            value.set_flag(HAS_RULE, false);
            if dict.contains(name)? {
                dict.del_item(name)?;
            }
        }
    }
    Ok(())
}
