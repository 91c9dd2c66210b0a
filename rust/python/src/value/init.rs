//! `Value(data, _children=(), _op='', label='', *, local_grads=None)`, and microgpt's
//! `Value(data, children, local_grads)`.
//!
//! The edges of a node are set once, before anything can have it as an operand, so that no graph
//! has a cycle: an op refuses a node until `__init__` has run, and `__init__` refuses to give edges
//! to a node that it has seen before.

use std::os::raw::c_int;

use fastgrad_core::autograd::fused::Vjp;
use fastgrad_core::autograd::op::Op;
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList, PyString, PyTuple, PyType};
use pyo3::{ffi, intern};

use super::attrs;
use super::ffi::{Argument, Class, Object, Receive, answer, c_functions, raise, status};
use super::fused_op::FusedOp;
use super::node::{self, NewNode, NodeRef, OwnedNode, RAW};
use super::number;
use super::patches;
use crate::args::{described, read_all};
use crate::errors::guard_slot;

c_functions! {
    /// `Value.__new__`: a leaf of 0; any arguments are for `__init__`, which a subclass may redefine.
    pub fn new(class: Class, _args: Option<Argument>, _kwargs: Option<Argument>) -> Object {
        make(class)
    }

    /// `Value.__new__` as a plain static method. Python's own wrapper of the slot refuses to be
    /// called by a `__new__` that a program has put in its place.
    pub fn new_method(_none: Option<Argument>, args: Argument, _kwargs: Option<Argument>) -> Object {
        let value = node::value_class(args.py());
        let class = args.get_item(0).ok().and_then(|class| class.cast_into::<PyType>().ok());
        if let Some(class) = class.filter(|class| matches!(class.is_subclass(value), Ok(true))) {
            return make(class.as_borrowed());
        }
        raise(PyTypeError::new_err("Value.__new__() takes Value or a subclass of it"))
    }

    /// `Value.__init__`.
    pub fn init(value: NodeRef, args: Argument, kwargs: Option<Argument>) -> c_int {
        status(fill(value, args, kwargs))
    }
}

/// Makes an instance of `Value` or a subclass.
fn make(class: Class<'_>) -> Object {
    if class.as_type_ptr() == node::value_type() {
        let made = NewNode::leaf(class.py(), 0.0);
        if let Some(node) = made.get() {
            node.set_flag(RAW, true);
        }
        return made.into_ptr();
    }
    // SAFETY: Python calls `__new__` with `Value` or a subclass, whose instances begin with a node; a
    // new one is zeroed, but for refcount and type, or null with an exception set.
    unsafe {
        let object = ffi::PyType_GenericAlloc(class.as_type_ptr(), 0);
        if !object.is_null() {
            NodeRef::receive(object).set_leaf();
        }
        object
    }
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
    if made.is_null() || patches::is_pristine() {
        return made.into_ptr();
    }
    match made.into_bound() {
        Ok(made) => answer(construct(made.as_borrowed())),
        Err(error) => raise(error),
    }
}

/// Calls the type as micrograd's ops do, `Value(data, (self, other), op)`, and gives the node that
/// it returns the edges of `made`, which have the derivatives.
#[cold]
fn construct(made: Argument<'_>) -> PyResult<Bound<'_, PyAny>> {
    let py = made.py();
    if !patches::is_patched(py)? || !is_patched() {
        return Ok(made.to_owned());
    }
    let Some(op) = NodeRef::exact(made) else { unreachable!("made by an op") };
    let children = attrs::children(op)?;
    let value = node::value_class(py).call1((op.data(), &children, attrs::op_name(op)?))?;
    // Only if the parents are the same and no pass has reached the node, so that nothing but its
    // derivatives changes.
    if let Some(node) = NodeRef::of(value.as_borrowed())
        && let Some((fused, _)) = node.fused_op()
        && fused.rule.is_none()
        && node.mark() == 0
        && fused.has_parents(&children)
    {
        // SAFETY: `fused` is not used any more.
        unsafe { node.take_parents(op) };
    }
    Ok(value)
}

/// `tp_vectorcall`: makes `Value(x)` of one plain number, the usual call, without a tuple or dict.
pub unsafe extern "C" fn vectorcall(
    class: Object,
    args: *const Object,
    flagged_count: usize,
    names: Object,
) -> Object {
    // SAFETY: called by Python with the type itself, the GIL held; `args` holds `count` positional
    // arguments, then one for each name.
    guard_slot(|| unsafe {
        let count = ffi::PyVectorcall_NARGS(flagged_count).cast_unsigned();
        if count == 1 && names.is_null() && !is_patched() {
            return of_number(Class::receive(class.cast()), Argument::receive(*args));
        }
        let class = Class::receive(class.cast());
        let at = |i: usize| Argument::receive(*args.add(i)).to_owned();
        let names = Bound::from_borrowed_ptr_or_opt(class.py(), names);
        answer(call_slowly(class, (0..count).map(at).collect(), names, |i| at(count + i)))
    })
}

/// Returns the number that was given as the data of a new Value or, with `place`, as the local
/// gradient for its operand at that place. While `jit` records a program, a number of the program
/// may be given; it notes this use.
fn number_of(
    node: NodeRef<'_>,
    given: Argument<'_>,
    argument: &str,
    place: Option<usize>,
) -> PyResult<f64> {
    if NodeRef::of(given).is_some()
        && let Some(method) = given.getattr_opt(intern!(given.py(), "_stands_for"))?
    {
        return method.call1((node.object(), place))?.extract();
    }
    number::required(given, argument)
}

#[inline(always)]
fn of_number<'py>(class: Class<'py>, data: Argument<'py>) -> Object {
    let number = match number::quick_float(data) {
        Some(number) => Ok(number),
        // It may be a number of a program that is being recorded.
        None if NodeRef::of(data).is_some() => {
            return answer(call_slowly(class, vec![data.to_owned()], None, |_| data.to_owned()));
        }
        None => number::required(data, "data"),
    };
    match number {
        Ok(number) => NewNode::leaf(data.py(), number).into_ptr(),
        Err(error) => raise(error),
    }
}

/// Makes any other call: collects the arguments into tuple and dict, then calls `__new__` and
/// `__init__`. `named_at` returns the argument of each name.
fn call_slowly<'py>(
    class: Class<'py>,
    positional: Vec<Bound<'py, PyAny>>,
    names: Option<Bound<'py, PyAny>>,
    named_at: impl Fn(usize) -> Bound<'py, PyAny>,
) -> PyResult<Bound<'py, PyAny>> {
    let py = class.py();
    let positional = PyTuple::new(py, positional)?.into_any();
    let named = PyDict::new(py);
    if let Some(names) = names {
        for (i, name) in names.cast::<PyTuple>()?.iter().enumerate() {
            named.set_item(name, named_at(i))?;
        }
    }
    let is_patched = is_patched() && patches::is_patched(py)?;
    // SAFETY: the call returns a new reference, or null with an exception set.
    let value = unsafe {
        let made = match ffi::PyType_Type.tp_call {
            Some(call) if is_patched => call(class.as_ptr(), positional.as_ptr(), named.as_ptr()),
            _ => make(class),
        };
        Bound::from_owned_ptr_or_err(py, made)?
    };
    if !is_patched && let Some(node) = NodeRef::of(value.as_borrowed()) {
        fill(node, positional.as_borrowed(), Some(named.as_any().as_borrowed()))?;
    }
    Ok(value)
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
fn fill(node: NodeRef<'_>, args: Argument<'_>, kwargs: Option<Argument<'_>>) -> PyResult<()> {
    let py = node.py();
    let kwargs = kwargs.map(|kwargs| kwargs.to_owned().cast_into::<PyDict>()).transpose()?;
    let read = Arguments::read(&*args.cast::<PyTuple>()?, kwargs.as_ref())?;
    let Some(data) = &read.data else {
        return Err(PyTypeError::new_err("Value() missing 1 required argument: 'data'"));
    };
    let data = number_of(node, data.as_borrowed(), "data", None)?;
    let children = children_of(read.children.as_ref())?;
    let rule = rule_of(node, read.local_grads.as_ref(), children.len())?;
    let op = match &read.op {
        Some(op) => op.cast::<PyString>().map_err(|_| type_error("_op", "a str", op))?.to_string(),
        None => String::new(),
    };
    let has_parents = !children.is_empty() || !op.is_empty();
    may_get_edges(node, has_parents)?;
    if let Some(label) = &read.label {
        node.object().setattr(intern!(py, "label"), label)?;
        // A setter of the program's own may have run `__init__`.
        may_get_edges(node, has_parents)?;
    }
    let fused = if has_parents {
        Some(FusedOp::make(py, op.into(), children, rule, 1, Box::default())?)
    } else {
        None
    };
    node.set_data(data);
    node.set_grad(0.0);
    node.set_flag(RAW, false);
    if let Some(fused) = fused {
        node.set_fused_op(fused, 0, 1.0);
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

fn children_of(given: Option<&Bound<'_, PyAny>>) -> PyResult<Vec<Option<OwnedNode>>> {
    let Some(given) = given else { return Ok(Vec::new()) };
    let items =
        given.try_iter().map_err(|_| type_error("_children", "an iterable of Values", given))?;
    read_all(items, |_, child| match NodeRef::of(child.as_borrowed()) {
        None => Err(type_error("_children", "Values only", &child)),
        Some(node) if node.has(RAW) => Err(number::not_initialised("_children")),
        Some(node) => Ok(Some(node.new_ref())),
    })
}

fn rule_of(
    node: NodeRef<'_>,
    local_grads: Option<&Bound<'_, PyAny>>,
    children: usize,
) -> PyResult<Option<Vjp>> {
    let Some(given) = local_grads.filter(|given| !given.is_none()) else { return Ok(None) };
    let items =
        given.try_iter().map_err(|_| type_error("local_grads", "an iterable of numbers", given))?;
    let gradients =
        read_all(items, |i, item| number_of(node, item.as_borrowed(), "local_grads", Some(i)))?;
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
    let got = described(got.as_borrowed());
    PyTypeError::new_err(format!("{argument} must be {expected}, got {got}"))
}
