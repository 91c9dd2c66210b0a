//! `node._backward`: reads a node's vjp as a callable, and replaces it.

use std::os::raw::{c_int, c_void};

use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::{ffi, intern};

use super::attrs;
use super::ffi::{Argument, Object, answer, attribute, c_functions, status};
use super::node::{HAS_RULE, NodeRef};
use super::number;

c_functions! {
    /// The callable that was assigned, or one that sends the node's gradient on.
    fn get(value: NodeRef, _closure: *mut c_void) -> Object {
        answer(match stored(value) {
            Ok(Some(hook)) => Ok(hook),
            Ok(None) => value.object().getattr(intern!(value.py(), "_propagate")),
            Err(error) => Err(error),
        })
    }

    fn set(value: NodeRef, hook: Option<Argument>, _closure: *mut c_void) -> c_int {
        status(replace(value, hook))
    }
}

/// Returns the callable that replaced the node's vjp, if one did.
pub fn stored(value: NodeRef<'_>) -> PyResult<Option<Bound<'_, PyAny>>> {
    match value.dict()? {
        Some(dict) if value.has(HAS_RULE) => dict.get_item(intern!(value.py(), "_backward")),
        _ => Ok(None),
    }
}

/// Keeps the callable in the node's dict, where Python would keep it.
fn replace(value: NodeRef<'_>, hook: Option<Argument<'_>>) -> PyResult<()> {
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

/// Returns the descriptor of `_backward`.
pub fn getset() -> ffi::PyGetSetDef {
    attribute(
        c"_backward",
        get,
        Some(set),
        c"The rule that sends self.grad to the operands; assign a callable to replace it.",
    )
}
