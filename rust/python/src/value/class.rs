//! Makes the type from its slots, methods and attributes.

use std::os::raw::{c_int, c_uint, c_ulong};
use std::ptr;

use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::PyType;

use super::attrs::{self, format_with, item};
use super::ffi::{Argument, Object, c_functions, methods, none};
use super::node::{self, Node, NodeRef};
use super::{backward, collector, dealloc, hooks, init, number, ops, patches, pickle, refusals};

const DOC: &std::ffi::CStr = c"Value(data, _children=(), _op='', label='', *, local_grads=None)
--

A float that remembers how it was computed.

data: the value. _children, _op and local_grads make the node of an op of your own: its operands,
its name, and d(self)/d(operand) for each operand. A tuple or list as the third argument is
local_grads. label: a name to show.

Operators that micrograd defines by means of others call these where a subclass or a patch has
changed them: 2 + v is v + 2, -v is v * -1, a - b is a + -b, a / b is a * b**-1.

>>> a, b = Value(2.0), Value(-3.0)
>>> c = a * b + a**2
>>> c.backward()
>>> c.data, a.grad, b.grad
(-2.0, 1.0, 2.0)";

c_functions! {
    fn backward(value: NodeRef, _none: Option<Argument>) -> Object {
        none(value.py(), backward::backward(value))
    }

    fn zero_grad(value: NodeRef, _none: Option<Argument>) -> Object {
        none(value.py(), backward::zero_grad(value))
    }

    fn propagate(value: NodeRef, _none: Option<Argument>) -> Object {
        none(value.py(), backward::send_alone(value))
    }
}

fn methods() -> Vec<ffi::PyMethodDef> {
    let mut methods = ops::op_methods();
    methods.extend(methods![
        c"backward" backward METH_NOARGS
            c"backward($self)\n--\n\nAdd d(self)/d(node) to the grad of every node that self depends on, self included.";
        c"zero_grad" zero_grad METH_NOARGS
            c"zero_grad($self)\n--\n\nSet the grad of every node that self depends on to 0, self included.";
        c"item" item METH_NOARGS c"item($self)\n--\n\nReturn data, a float.";
        c"__format__" format_with METH_O
            c"__format__($self, spec, /)\n--\n\nReturn data formatted, as in f\"{v:.3f}\".";
        c"_propagate" propagate METH_NOARGS
            c"_propagate($self)\n--\n\nAdd self.grad times d(self)/d(operand) to each operand's grad.";
    ]);
    methods.push(ffi::PyMethodDef {
        ml_name: c"_repr_mimebundle_".as_ptr(),
        ml_meth: ffi::PyMethodDefPointer { PyCFunctionWithKeywords: attrs::repr_mimebundle },
        ml_flags: ffi::METH_VARARGS | ffi::METH_KEYWORDS,
        ml_doc: c"_repr_mimebundle_($self, include=None, exclude=None)\n--\n\nReturn what a notebook shows: the text and a picture of the graph.".as_ptr(),
    });
    methods.push(ffi::PyMethodDef {
        ml_name: c"__new__".as_ptr(),
        ml_meth: ffi::PyMethodDefPointer { PyCFunctionWithKeywords: init::new_method },
        ml_flags: ffi::METH_VARARGS | ffi::METH_KEYWORDS | ffi::METH_STATIC,
        ml_doc: c"Make a Value without data or edges, for __init__ to fill.".as_ptr(),
    });
    methods.extend(pickle::methods());
    methods.extend(refusals::methods());
    methods
}

/// Makes a table that ends with an empty entry and lives as long as the process, as the type needs
/// it.
fn table<T: Default>(mut entries: Vec<T>) -> *mut T {
    entries.push(T::default());
    entries.leak().as_mut_ptr()
}

fn members() -> Vec<ffi::PyMemberDef> {
    let offset = |name: &'static std::ffi::CStr, offset: usize| ffi::PyMemberDef {
        name: name.as_ptr(),
        type_code: ffi::Py_T_PYSSIZET,
        offset: offset.cast_signed(),
        flags: ffi::Py_READONLY,
        doc: ptr::null(),
    };
    vec![
        offset(c"__dictoffset__", node::DICT_OFFSET),
        offset(c"__weaklistoffset__", node::WEAKREFS_OFFSET),
    ]
}

/// Makes the type and adds it to the module.
pub fn add_type(module: &Bound<'_, PyModule>) -> PyResult<()> {
    let py = module.py();
    let slot = |slot: c_int, pfunc: *mut std::ffi::c_void| ffi::PyType_Slot { slot, pfunc };
    let mut attributes = attrs::getset();
    attributes.push(hooks::getset());
    let mut slots = ops::number_slots();
    slots.extend([
        slot(ffi::Py_tp_doc, DOC.as_ptr().cast_mut().cast()),
        slot(ffi::Py_tp_init, init::init as *mut _),
        slot(ffi::Py_tp_dealloc, dealloc::dealloc as *mut _),
        slot(ffi::Py_tp_traverse, collector::traverse as *mut _),
        slot(ffi::Py_tp_clear, collector::clear as *mut _),
        slot(ffi::Py_tp_repr, attrs::repr as *mut _),
        slot(ffi::Py_tp_richcompare, refusals::richcompare as *mut _),
        // By identity: a type with a comparison of its own does not inherit a hash.
        slot(ffi::Py_tp_hash, hash_of_object()),
        slot(ffi::Py_nb_float, refusals::nb_float as *mut _),
        slot(ffi::Py_nb_int, refusals::nb_int as *mut _),
        slot(ffi::Py_tp_setattro, attrs::setattro as *mut _),
        slot(ffi::Py_tp_methods, table(methods()).cast()),
        slot(ffi::Py_tp_getset, table(attributes).cast()),
        slot(ffi::Py_tp_members, table(members()).cast()),
        slot(0, ptr::null_mut()),
    ]);
    let flags = ffi::Py_TPFLAGS_DEFAULT | ffi::Py_TPFLAGS_BASETYPE | ffi::Py_TPFLAGS_HAVE_GC;
    let mut spec = ffi::PyType_Spec {
        name: c"fastgrad.engine.Value".as_ptr(),
        basicsize: c_int::try_from(size_of::<Node>())?,
        itemsize: 0,
        flags: flags_word(flags)?,
        slots: slots.as_mut_ptr(),
    };
    // SAFETY: the tables and names live forever, the slots until the type is made. Nothing else has
    // the new type yet. An instance is as large as a node, and the members name the offsets of its
    // fields.
    let class = unsafe {
        let made = ffi::PyType_FromSpec(&raw mut spec);
        let class = Bound::from_owned_ptr_or_err(py, made)?.cast_into::<PyType>()?;
        let raw = class.as_type_ptr();
        (*raw).tp_new = Some(init::new);
        (*raw).tp_vectorcall = Some(init::vectorcall);
        node::set_value_type(&class);
        class
    };
    class.setattr("label", "")?;
    // Between the priorities of numpy's scalars and arrays: scalars leave the op to Value, arrays
    // distribute it over their items.
    class.setattr("__array_priority__", -1.0)?;
    patches::remember(&class, init::new)?;
    number::real(py)?;
    module.add("Value", class)
}

/// Returns the function that hashes an `object`.
fn hash_of_object() -> *mut std::ffi::c_void {
    // SAFETY: a static of Python's, whose slots are set before any module is imported.
    let hash = unsafe { ffi::PyBaseObject_Type.tp_hash };
    hash.map_or(ptr::null_mut(), |hash| hash as *mut _)
}

fn flags_word(flags: c_ulong) -> PyResult<c_uint> {
    Ok(c_uint::try_from(flags)?)
}
