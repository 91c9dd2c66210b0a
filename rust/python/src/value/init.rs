//! `Value(data, _children=(), _op='', label='', *, local_grads=None)`, and microgpt's
//! `Value(data, children, local_grads)`.
//!
//! The edges of a node are set once, before anything can have it as an operand, so that no graph
//! has a cycle: an op refuses a node until `__init__` has run, and `__init__` refuses to give edges
//! to a node that it has seen before.

use std::os::raw::c_int;
use std::ptr;

use fastgrad_core::autograd::fused::Vjp;
use fastgrad_core::autograd::op::Op;
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList, PyString, PyTuple, PyType};
use pyo3::{ffi, intern};

use super::attrs;
use super::ffi::{Object, answer, borrowed, raise, status};
use super::fused_op::{self, FusedOp};
use super::node::{self, NewNode, NodeRef, RAW};
use super::number;
use super::patches;
use crate::args::read_all;
use crate::errors::guard_slot;

/// `Value.__new__`: a leaf of 0; any arguments are for `__init__`, which a subclass may redefine.
pub unsafe extern "C" fn new(
    class: *mut ffi::PyTypeObject,
    _args: Object,
    _kwargs: Object,
) -> Object {
    // SAFETY: called by Python with Value or a subclass, the GIL held.
    guard_slot(|| unsafe {
        if class == node::value_type() {
            let made = NewNode::leaf(Python::assume_attached(), 0.0);
            if let Some(node) = made.get() {
                node.set_flag(RAW, true);
            }
            return made.into_ptr();
        }
        let object = ffi::PyType_GenericAlloc(class, 0);
        if !object.is_null() {
            node::set_leaf(object.cast());
        }
        object
    })
}

/// `Value.__new__` as a plain static method. Python's own wrapper of the slot refuses to be called
/// by a `__new__` that a program has put in its place.
pub unsafe extern "C" fn new_method(_: Object, args: Object, _: Object) -> Object {
    // SAFETY: called by Python with a tuple.
    guard_slot(|| unsafe {
        let class = if ffi::PyTuple_GET_SIZE(args) > 0 {
            ffi::PyTuple_GET_ITEM(args, 0)
        } else {
            ptr::null_mut()
        };
        if class.is_null()
            || ffi::PyType_Check(class) == 0
            || ffi::PyType_IsSubtype(class.cast(), node::value_type()) == 0
        {
            let message = "Value.__new__() takes Value or a subclass of it";
            return raise(PyTypeError::new_err(message));
        }
        new(class.cast(), ptr::null_mut(), ptr::null_mut())
    })
}

/// Returns true if a program has replaced `Value.__new__` or `Value.__init__`.
#[inline(always)]
fn is_patched() -> bool {
    // SAFETY: the type lives as long as the module.
    unsafe {
        let class = node::value_type();
        (*class).tp_init.is_none_or(|f| f as usize != init as *const () as usize)
            || (*class).tp_new.is_none_or(|f| f as usize != new as *const () as usize)
    }
}

/// Returns the result of an op: the new node, or what a patched constructor makes of it.
#[inline(always)]
pub fn finish(made: NewNode<'_>) -> Object {
    match made.get() {
        Some(node) if !patches::is_pristine() => answer(construct(node, made)),
        _ => made.into_ptr(),
    }
}

/// Calls the type as micrograd's ops do, `Value(data, (self, other), op)`, and gives what it makes
/// the edges of the op.
#[cold]
fn construct<'py>(op: NodeRef<'py>, made: NewNode<'py>) -> PyResult<Bound<'py, PyAny>> {
    let plain = made.into_bound()?;
    let py = plain.py();
    if !patches::is_patched(py)? || !is_patched() {
        return Ok(plain);
    }
    let children = attrs::children(op)?;
    // SAFETY: the type lives as long as the module.
    let class = unsafe { PyType::from_borrowed_type_ptr(py, node::value_type()) };
    let value = class.call1((op.data(), &children, attrs::op_name(op)))?;
    // Only of the same parents, and where no pass is under way, so that nothing but the rule
    // changes.
    if let Some(node) = NodeRef::of(value.as_borrowed())
        && let Some((fused, _)) = node.fused_op()
        && fused.rule.is_none()
        && node.mark() == 0
        && children.iter().map(|c| c.as_ptr().cast()).eq(fused.parents.iter().copied())
    {
        // SAFETY: both are alive, and `fused` is not used any more.
        unsafe { fused_op::take_edges(py, node.as_ptr(), op.as_ptr()) };
    }
    Ok(value)
}

/// `Value(x)` with one plain number and nothing else, which is how nearly all are made.
pub unsafe extern "C" fn vectorcall(
    class: Object,
    args: *const Object,
    flagged_count: usize,
    names: Object,
) -> Object {
    // SAFETY: called by Python with the type itself, the GIL held; the arguments are alive.
    guard_slot(|| unsafe {
        let count = ffi::PyVectorcall_NARGS(flagged_count);
        if count == 1 && names.is_null() && !is_patched() {
            let data = borrowed(*args);
            if let Some(number) = number::quick_float(data) {
                return NewNode::leaf(data.py(), number).into_ptr();
            }
            return match number::required(data, "data") {
                Ok(number) => NewNode::leaf(data.py(), number).into_ptr(),
                Err(error) => raise(error),
            };
        }
        answer(call_slowly(class, args, count, names))
    })
}

/// Makes any other call: collects the arguments into tuple and dict, then calls `__new__` and
/// `__init__`.
unsafe fn call_slowly<'py>(
    class: Object,
    args: *const Object,
    count: ffi::Py_ssize_t,
    names: Object,
) -> PyResult<Bound<'py, PyAny>> {
    // SAFETY: `args` holds `count` positional arguments, then one for each name.
    unsafe {
        let py = Python::assume_attached();
        let count = count.cast_unsigned();
        let at = |i: usize| Bound::from_borrowed_ptr(py, *args.add(i));
        let positional = PyTuple::new(py, (0..count).map(at).collect::<Vec<_>>())?;
        let named = PyDict::new(py);
        if let Some(names) = Bound::from_borrowed_ptr_or_opt(py, names) {
            for (i, name) in names.cast::<PyTuple>()?.iter().enumerate() {
                named.set_item(name, at(count + i))?;
            }
        }
        if is_patched()
            && patches::is_patched(py)?
            && let Some(call) = ffi::PyType_Type.tp_call
        {
            let made = call(class, positional.as_ptr(), named.as_ptr());
            return Bound::from_owned_ptr_or_err(py, made);
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
    guard_slot(|| unsafe {
        let py = Python::assume_attached();
        let value = Bound::from_borrowed_ptr(py, object);
        let args = Bound::from_borrowed_ptr(py, args).cast_into_unchecked::<PyTuple>();
        let kwargs = Bound::from_borrowed_ptr_or_opt(py, kwargs);
        let kwargs = kwargs.map(|d| d.cast_into_unchecked::<PyDict>());
        status(fill(&value, &args, kwargs.as_ref()))
    })
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
        for (i, (name, given)) in ORDER.iter().zip(args).enumerate() {
            let is_microgpts =
                i == 2 && (given.is_instance_of::<PyTuple>() || given.is_instance_of::<PyList>());
            read.put(if is_microgpts { "local_grads" } else { name }, given)?;
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
            "local_grads" | "_local_grads" => &mut self.local_grads,
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
    let Some(node) = NodeRef::of(value.as_borrowed()) else { unreachable!("called with a Value") };
    let has_parents = !children.is_empty() || !op.is_empty();
    may_get_edges(node, has_parents)?;
    if let Some(label) = &read.label {
        value.setattr(intern!(value.py(), "label"), label)?;
        // A setter of the program's own may have run `__init__`.
        may_get_edges(node, has_parents)?;
    }
    let fused = if has_parents {
        let parents = children.into_iter().map(|child| child.into_ptr().cast()).collect();
        Some(FusedOp::new(value.py(), op.into(), parents, rule, 1)?)
    } else {
        None
    };
    node.set_data(data);
    node.set_grad(0.0);
    node.set_flag(RAW, false);
    if let Some(fused) = fused {
        // SAFETY: the node has no edges yet, and the share is ours.
        unsafe { fused_op::set_fused_op(node.as_ptr(), fused, 0, 1.0) };
    }
    Ok(())
}

/// Raises an error if `__init__` has given the node its edges before.
fn may_get_edges(node: NodeRef<'_>, has_parents: bool) -> PyResult<()> {
    if !node.has(RAW) && (has_parents || node.op() != Op::Leaf) {
        return Err(PyTypeError::new_err("the operands of a Value cannot be changed"));
    }
    Ok(())
}

fn children_of<'py>(given: Option<&Bound<'py, PyAny>>) -> PyResult<Vec<Bound<'py, PyAny>>> {
    let Some(given) = given else { return Ok(Vec::new()) };
    let items =
        given.try_iter().map_err(|_| type_error("_children", "an iterable of Values", given))?;
    read_all(items, |_, child| {
        match NodeRef::of(child.as_borrowed()) {
            None => return Err(type_error("_children", "Values only", &child)),
            Some(node) if node.has(RAW) => return Err(number::not_initialised("_children")),
            Some(_) => {}
        }
        Ok(child)
    })
}

fn rule_of(local_grads: Option<&Bound<'_, PyAny>>, children: usize) -> PyResult<Option<Vjp>> {
    let Some(given) = local_grads.filter(|given| !given.is_none()) else { return Ok(None) };
    let items =
        given.try_iter().map_err(|_| type_error("local_grads", "an iterable of numbers", given))?;
    let gradients = read_all(items, |_, item| number::required(item.as_borrowed(), "local_grads"))?;
    if gradients.len() != children {
        let message = format!(
            "local_grads has length {}, expected one for each of the {children} operands",
            gradients.len()
        );
        return Err(PyValueError::new_err(message));
    }
    Ok(Some(Vjp::Gradients(gradients)))
}

fn type_error(argument: &str, expected: &str, got: &Bound<'_, PyAny>) -> PyErr {
    let class = number::class_name(got.as_borrowed());
    let shown = number::shorten(got.as_borrowed());
    PyTypeError::new_err(format!("{argument} must be {expected}, got {class}: {shown}"))
}
