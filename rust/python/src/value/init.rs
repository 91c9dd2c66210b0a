//! `Value(data, _children=(), _op='', label='', *, local_grads=None)`.

use std::os::raw::c_int;
use std::ptr;

use fastgrad_core::graph::fused::Rule;
use fastgrad_core::graph::op::Op;
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString, PyTuple};
use pyo3::{Borrowed, ffi, intern};

use super::block::Block;
use super::node::{self, Node, READY};
use super::number;
use super::slots::raise;

type Object = *mut ffi::PyObject;

/// `Value.__new__`: a leaf of 0; any arguments are for `__init__`, which a subclass may redefine.
pub unsafe extern "C" fn new(
    class: *mut ffi::PyTypeObject,
    _args: Object,
    _kwargs: Object,
) -> Object {
    // SAFETY: called by Python with Value or a subclass.
    unsafe {
        if class == node::value_type() {
            let made = node::new(Op::Leaf, 0.0);
            if !made.is_null() {
                (*made).set_flag(READY, false);
            }
            return made.cast();
        }
        let object = ffi::PyType_GenericAlloc(class, 0);
        if !object.is_null() {
            node::set_leaf(object.cast());
        }
        object
    }
}

/// `Value(x)` with one plain number and nothing else, which is how nearly all are made.
pub unsafe extern "C" fn vectorcall(
    class: Object,
    args: *const Object,
    flagged_count: usize,
    names: Object,
) -> Object {
    // SAFETY: called by Python with the type itself; the arguments are alive.
    unsafe {
        let count = ffi::PyVectorcall_NARGS(flagged_count);
        if count == 1 && names.is_null() {
            let data = *args;
            if ffi::Py_TYPE(data) == &raw mut ffi::PyFloat_Type {
                return node::new(Op::Leaf, ffi::PyFloat_AS_DOUBLE(data)).cast();
            }
            return match number::required(
                Borrowed::from_ptr(Python::assume_attached(), data),
                "data",
            ) {
                Ok(data) => node::new(Op::Leaf, data).cast(),
                Err(error) => raise(error),
            };
        }
        match call_slowly(class, args, count, names) {
            Ok(value) => value.into_ptr(),
            Err(error) => raise(error),
        }
    }
}

/// The general call: gathers tuple and dict, then `__new__` and `__init__`.
unsafe fn call_slowly<'py>(
    class: Object,
    args: *const Object,
    count: ffi::Py_ssize_t,
    names: Object,
) -> PyResult<Bound<'py, PyAny>> {
    // SAFETY: `args` holds `count` positional arguments, then one for each name.
    unsafe {
        let py = Python::assume_attached();
        let count = usize::try_from(count).unwrap_or(0);
        let at = |i: usize| Bound::from_borrowed_ptr(py, *args.add(i));
        let positional = PyTuple::new(py, (0..count).map(at).collect::<Vec<_>>())?;
        let named = PyDict::new(py);
        if let Some(names) = Bound::from_borrowed_ptr_or_opt(py, names) {
            for (i, name) in names.cast::<PyTuple>()?.iter().enumerate() {
                named.set_item(name, at(count + i))?;
            }
        }
        let made = new(class.cast(), ptr::null_mut(), ptr::null_mut());
        let value = Bound::from_owned_ptr_or_err(py, made)?;
        fill(&value, &positional, Some(&named))?;
        Ok(value)
    }
}

/// `Value.__init__`.
pub unsafe extern "C" fn init(object: Object, args: Object, kwargs: Object) -> c_int {
    // SAFETY: called by Python with a Value, a tuple, and a dict or null.
    let outcome = unsafe {
        let py = Python::assume_attached();
        let value = Bound::from_borrowed_ptr(py, object);
        let args = Bound::from_borrowed_ptr(py, args).cast_into_unchecked::<PyTuple>();
        let kwargs = Bound::from_borrowed_ptr_or_opt(py, kwargs);
        fill(&value, &args, kwargs.map(|d| d.cast_into_unchecked::<PyDict>()).as_ref())
    };
    match outcome {
        Ok(()) => 0,
        Err(error) => {
            raise(error);
            -1
        }
    }
}

/// The arguments of `Value`, as given.
#[derive(Default)]
struct Arguments<'py> {
    data: Option<Bound<'py, PyAny>>,
    children: Option<Bound<'py, PyAny>>,
    op: Option<Bound<'py, PyAny>>,
    label: Option<Bound<'py, PyAny>>,
    local_grads: Option<Bound<'py, PyAny>>,
}

impl<'py> Arguments<'py> {
    fn read(args: &Bound<'py, PyTuple>, kwargs: Option<&Bound<'py, PyDict>>) -> PyResult<Self> {
        const ORDER: [&str; 4] = ["data", "_children", "_op", "label"];
        if args.len() > ORDER.len() {
            let message =
                format!("Value() takes at most 4 positional arguments, got {}", args.len());
            return Err(PyTypeError::new_err(message));
        }
        let mut read = Arguments::default();
        for (name, given) in ORDER.iter().zip(args) {
            read.put(name, given)?;
        }
        for (name, given) in kwargs.into_iter().flatten() {
            read.put(&name.cast::<PyString>()?.to_string_lossy(), given)?;
        }
        Ok(read)
    }

    fn put(&mut self, name: &str, given: Bound<'py, PyAny>) -> PyResult<()> {
        let place = match name {
            "data" => &mut self.data,
            "_children" | "children" => &mut self.children,
            "_op" | "op" => &mut self.op,
            "label" => &mut self.label,
            "local_grads" => &mut self.local_grads,
            _ => {
                let message = format!("Value() got an unexpected keyword argument '{name}'");
                return Err(PyTypeError::new_err(message));
            }
        };
        if place.is_some() {
            let message = format!("Value() got multiple values for argument '{name}'");
            return Err(PyTypeError::new_err(message));
        }
        *place = Some(given);
        Ok(())
    }
}

/// Reads and checks everything, then changes the node.
fn fill(
    value: &Bound<'_, PyAny>,
    args: &Bound<'_, PyTuple>,
    kwargs: Option<&Bound<'_, PyDict>>,
) -> PyResult<()> {
    let read = Arguments::read(args, kwargs)?;
    let Some(data) = &read.data else {
        return Err(PyTypeError::new_err("Value() missing 1 required argument: 'data'"));
    };
    let data = number::required(data.as_borrowed(), "data")?;
    let children = children_of(read.children.as_ref())?;
    let rule = rule_of(read.local_grads.as_ref(), children.len())?;
    let op = match &read.op {
        Some(op) => op.cast::<PyString>().map_err(|_| type_error("_op", "a str", op))?.to_string(),
        None => String::new(),
    };
    let node = value.as_ptr().cast::<Node>();
    let has_parents = !children.is_empty() || !op.is_empty();
    // SAFETY: `value` is a living Value; edges of a node that was ready never change.
    unsafe {
        if (*node).has(READY) && (has_parents || (*node).op() != Op::Leaf) {
            return Err(PyTypeError::new_err("the operands of a Value cannot be changed"));
        }
        if let Some(label) = &read.label {
            value.setattr(intern!(value.py(), "label"), label)?;
        }
        let block = if has_parents {
            let parents = children.into_iter().map(|child| child.into_ptr().cast()).collect();
            Some(Block::new(value.py(), op.into(), parents, rule, 1)?)
        } else {
            None
        };
        (*node).data = data;
        (*node).grad = 0.0;
        (*node).set_flag(READY, true);
        if let Some(block) = block {
            node::set_block(node, block, 0, 1.0);
        }
    }
    Ok(())
}

fn children_of<'py>(given: Option<&Bound<'py, PyAny>>) -> PyResult<Vec<Bound<'py, PyAny>>> {
    let mut children = Vec::new();
    if let Some(given) = given {
        let items = given
            .try_iter()
            .map_err(|_| type_error("_children", "an iterable of Values", given))?;
        for child in items {
            let child = child?;
            // SAFETY: the child is alive.
            if !unsafe { node::is_value(child.as_ptr()) } {
                return Err(type_error("_children", "Values only", &child));
            }
            children.push(child);
        }
    }
    Ok(children)
}

fn rule_of(local_grads: Option<&Bound<'_, PyAny>>, children: usize) -> PyResult<Option<Rule>> {
    let Some(given) = local_grads.filter(|given| !given.is_none()) else { return Ok(None) };
    let items =
        given.try_iter().map_err(|_| type_error("local_grads", "an iterable of numbers", given))?;
    let mut gradients = Vec::new();
    for item in items {
        gradients.push(number::required(item?.as_borrowed(), "local_grads")?);
    }
    if gradients.len() != children {
        let message = format!(
            "local_grads has length {}, expected one for each of the {children} operands",
            gradients.len()
        );
        return Err(PyValueError::new_err(message));
    }
    Ok(Some(Rule::Gradients(gradients)))
}

fn type_error(argument: &str, expected: &str, got: &Bound<'_, PyAny>) -> PyErr {
    let class = number::class_name(got.as_borrowed());
    let shown = number::shorten(got.as_borrowed());
    PyTypeError::new_err(format!("{argument} must be {expected}, got {class}: {shown}"))
}
