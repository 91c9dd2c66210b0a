//! Numpy arrays on their way in: what is wrong with one is told by the argument's name.

use numpy::ndarray::Dimension;
use numpy::{
    Element, PyArray, PyArrayDescrMethods, PyArrayMethods, PyReadonlyArray, PyReadwriteArray,
    PyUntypedArray, PyUntypedArrayMethods,
};
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;

/// An array of the element type `T` with the dimensions of `D`, to be read.
///
/// # Errors
/// `TypeError` for what is no array or has another element type, `ValueError` for an array with
/// other dimensions or one that Rust is writing to.
pub fn read<'py, T: Element, D: Dimension>(
    name: &str,
    given: &Bound<'py, PyAny>,
) -> PyResult<PyReadonlyArray<'py, T, D>> {
    let array = array::<T, D>(name, given)?;
    array.try_readonly().map_err(|_| PyValueError::new_err(format!("{name} is being changed")))
}

/// An array of the element type `T` with the dimensions of `D`, to be read and written.
///
/// # Errors
/// As [`read`], and `ValueError` for an array that is read-only or in use, or not C-contiguous.
pub fn write<'py, T: Element, D: Dimension>(
    name: &str,
    given: &Bound<'py, PyAny>,
) -> PyResult<PyReadwriteArray<'py, T, D>> {
    let array = array::<T, D>(name, given)?;
    if !array.is_c_contiguous() {
        return Err(PyValueError::new_err(format!("{name} is not C-contiguous")));
    }
    let refused = |_| PyValueError::new_err(format!("{name} is read-only or in use elsewhere"));
    array.try_readwrite().map_err(refused)
}

fn array<'py, T: Element, D: Dimension>(
    name: &str,
    given: &Bound<'py, PyAny>,
) -> PyResult<Bound<'py, PyArray<T, D>>> {
    let expected = T::get_dtype(given.py());
    let Ok(array) = given.cast::<PyUntypedArray>() else {
        let class = given.get_type().name()?;
        return Err(PyTypeError::new_err(format!(
            "{name} is of type {class}; expected a numpy array of {expected}"
        )));
    };
    if !array.dtype().is_equiv_to(&expected) {
        return Err(PyTypeError::new_err(format!(
            "{name} is an array of {}; expected {expected}",
            array.dtype()
        )));
    }
    let dimensions = array.ndim();
    let Ok(array) = given.cast::<PyArray<T, D>>() else {
        return Err(PyValueError::new_err(format!(
            "{name} has {dimensions} dimensions; expected {}",
            D::NDIM.unwrap_or(dimensions)
        )));
    };
    Ok(array.clone())
}
