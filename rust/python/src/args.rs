//! Reads arguments and makes results: numbers, strings and arrays.
//!
//! An error names the argument, its value (shortened) and what was expected.

use std::borrow::Cow;
use std::fmt::Display;

use fastgrad_core::progress::Progress;
use fastgrad_core::words::Names;
use fastgrad_core::{Result, alloc};
use numpy::ndarray::{ArrayView, Dimension, IntoDimension};
use numpy::npyffi::NPY_ARRAY_WRITEABLE;
use numpy::{
    Element, IntoPyArray, PyArray, PyArrayDescrMethods, PyArrayMethods, PyUntypedArray,
    PyUntypedArrayMethods, dtype,
};
use pyo3::exceptions::{PyOverflowError, PyTypeError, PyValueError};
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyFrozenSet, PyIterator, PyList, PySet, PyString, PyTuple};

use crate::borrow::{Reading, Writing};
use crate::errors::to_python;
use crate::memory::reserve;
use crate::run::pause;

/// The most characters of an argument in a message.
const SHOWN: usize = 60;

/// Items copied between two checks for a cancel.
const CHUNK: usize = 1 << 20;

/// The most threads that an argument may ask for.
const MOST_THREADS: usize = 1024;

/// Returns the name of an object's class.
pub fn class_name(object: Borrowed<'_, '_, PyAny>) -> String {
    object.get_type().name().map_or_else(|_| "?".into(), |name| name.to_string())
}

/// Returns an object's class and its repr, shortened: `str: 'abc'`.
pub fn described(object: Borrowed<'_, '_, PyAny>) -> String {
    format!("{}: {}", class_name(object), shorten(object))
}

/// Returns an object's repr, shortened to a line; of a long container only the start is formatted.
pub fn shorten(object: Borrowed<'_, '_, PyAny>) -> String {
    let text =
        start(object).map_or_else(|_| "?".into(), |text| text.to_string_lossy().into_owned());
    if text.chars().count() <= SHOWN {
        return text;
    }
    text.chars().take(SHOWN - 3).chain("...".chars()).collect()
}

fn start<'py>(object: Borrowed<'_, 'py, PyAny>) -> PyResult<Bound<'py, PyString>> {
    let is_text = object.is_instance_of::<PyString>() || object.is_instance_of::<PyBytes>();
    if is_text && object.len()? > SHOWN {
        return object.get_item(pyo3::types::PySlice::new(object.py(), 0, 60, 1))?.repr();
    }
    let is_container = object.is_instance_of::<PyList>()
        || object.is_instance_of::<PyTuple>()
        || object.is_instance_of::<PyDict>()
        || object.is_instance_of::<PySet>()
        || object.is_instance_of::<PyFrozenSet>();
    if is_container {
        let shown = object.py().import("reprlib")?.call_method1("repr", (object,))?;
        return Ok(shown.cast_into()?);
    }
    object.repr()
}

/// Returns a string in quotes, shortened to a line.
pub fn quoted(text: &str) -> String {
    let end = text.char_indices().nth(SHOWN).map_or(text.len(), |(end, _)| end);
    let (shown, rest) = text.split_at(end);
    format!("'{}{}'", shown.escape_debug(), if rest.is_empty() { "" } else { "..." })
}

/// Returns the `TypeError` for an argument of another class.
pub fn not_a(name: &str, argument: &Bound<'_, PyAny>, expected: &str) -> PyErr {
    let class = class_name(argument.as_borrowed());
    PyTypeError::new_err(format!("{name} is of type {class}; expected {expected}"))
}

/// Reads a whole number and returns the result of a check.
///
/// # Errors
/// `TypeError` for what is no int, `ValueError` for one that the check refuses.
pub fn whole<T>(
    name: &str,
    argument: &Bound<'_, PyAny>,
    expected: &str,
    check: impl FnOnce(u64) -> Option<T>,
) -> PyResult<T> {
    let message = || format!("{name} is {}; expected {expected}", shorten(argument.as_borrowed()));
    let number = argument.extract::<u64>();
    if let Err(error) = &number
        && !error.is_instance_of::<PyOverflowError>(argument.py())
    {
        return Err(PyTypeError::new_err(message()));
    }
    // A negative number and a very large one do not even fit into 64 bits.
    number.ok().and_then(check).ok_or_else(|| PyValueError::new_err(message()))
}

/// Reads a whole number of at least `least`.
pub fn at_least(name: &str, argument: &Bound<'_, PyAny>, least: u64) -> PyResult<u64> {
    let expected = format!("an int from {least} to 2**64 - 1");
    whole(name, argument, &expected, |number| (number >= least).then_some(number))
}

/// Reads a number of things in memory: an int of at least 1.
pub fn count(name: &str, argument: &Bound<'_, PyAny>) -> PyResult<usize> {
    let expected = format!("an int from 1 to {}", isize::MAX);
    let most = isize::MAX.unsigned_abs();
    let check = |number| usize::try_from(number).ok().filter(|n| (1..=most).contains(n));
    whole(name, argument, &expected, check)
}

/// Reads a number of threads, at most [`MOST_THREADS`].
pub fn threads(argument: &Bound<'_, PyAny>) -> PyResult<usize> {
    let expected = format!("None or an int from 1 to {MOST_THREADS}");
    let fits = |number: &usize| (1..=MOST_THREADS).contains(number);
    whole("threads", argument, &expected, |number| usize::try_from(number).ok().filter(fits))
}

/// Checks that a number is finite, at least `least` and below `below`.
pub fn number(name: &str, argument: f64, least: f64, below: f64) -> PyResult<f64> {
    if argument.is_finite() && argument >= least && argument < below {
        return Ok(argument);
    }
    let expected = if below.is_finite() {
        format!("at least {least} and below {below}")
    } else {
        format!("of at least {least}")
    };
    Err(PyValueError::new_err(format!(
        "{name} is {argument:?}; expected a finite number {expected}"
    )))
}

/// Reads a str.
///
/// # Errors
/// `TypeError` for anything else, `ValueError` for one that is no text.
pub fn text<'a>(name: impl Display, argument: &'a Bound<'_, PyAny>) -> PyResult<&'a str> {
    let Ok(text) = argument.cast::<PyString>() else {
        return Err(not_a(&name.to_string(), argument, "str"));
    };
    text.to_str().map_err(|error| {
        let reason = error.value(argument.py());
        PyValueError::new_err(format!("{name} is no text: {reason}"))
    })
}

/// Reads and copies a str.
///
/// # Errors
/// As [`text`], and `MemoryError`.
pub fn owned(name: &str, argument: &Bound<'_, PyAny>) -> PyResult<String> {
    alloc::string(text(name, argument)?).map_err(|error| to_python(&error))
}

/// Reads and copies a sequence of str.
///
/// # Errors
/// As [`owned`], for it and for its items.
pub fn strings(name: &str, argument: &Bound<'_, PyAny>) -> PyResult<Names> {
    let mut names = Names::default();
    for (place, item) in iterate(name, argument, "a sequence of str")?.enumerate() {
        let item = item?;
        let pushed = names.push(text(format_args!("{name}[{place}]"), &item)?);
        pushed.map_err(|error| to_python(&error))?;
        pause(argument.py(), place)?;
    }
    Ok(names)
}

/// Reads a sequence of ids.
///
/// # Errors
/// `TypeError` for anything else, `ValueError` for what is no id, and `MemoryError`.
pub fn ids(name: &str, argument: &Bound<'_, PyAny>) -> PyResult<Vec<u32>> {
    read_all(iterate(name, argument, "a sequence of ids")?, |place, item| {
        let check = |number| u32::try_from(number).ok();
        whole(&format!("{name}[{place}]"), &item, "an int from 0 to 2**32 - 1", check)
    })
}

/// Collects the results of `read` for each item and its position. An endless iterator is read until
/// Ctrl-C, or until there is no memory left.
pub fn read_all<'py, T>(
    items: Bound<'py, PyIterator>,
    mut read: impl FnMut(usize, Bound<'py, PyAny>) -> PyResult<T>,
) -> PyResult<Vec<T>> {
    let py = items.py();
    let mut all = Vec::new();
    for (position, item) in items.enumerate() {
        reserve(&mut all, 1)?;
        all.push(read(position, item?)?);
        pause(py, position)?;
    }
    Ok(all)
}

/// Returns an iterator over a sequence, which a str is not.
fn iterate<'py>(
    name: &str,
    argument: &Bound<'py, PyAny>,
    expected: &str,
) -> PyResult<Bound<'py, PyIterator>> {
    let iterator = argument.try_iter().ok().filter(|_| !argument.is_instance_of::<PyString>());
    iterator.ok_or_else(|| not_a(name, argument, expected))
}

/// Reads the characters of a str, an alphabet.
///
/// # Errors
/// As [`text`], and `MemoryError`.
pub fn characters(name: &str, argument: &Bound<'_, PyAny>) -> PyResult<Vec<char>> {
    let text = text(name, argument)?;
    let mut characters = alloc::with_capacity(text.len()).map_err(|error| to_python(&error))?;
    characters.extend(text.chars());
    Ok(characters)
}

/// A numpy array and its name for messages.
pub struct Array<'py, T: Element, D: Dimension> {
    pub name: String,
    pub array: Bound<'py, PyArray<T, D>>,
}

/// Reads an array of the element type `T` with the dimensions of `D`.
///
/// # Errors
/// `TypeError` for what is no array or has another dtype, `ValueError` for other dimensions.
pub fn array<'py, T: Element, D: Dimension>(
    name: impl Into<String>,
    argument: &Bound<'py, PyAny>,
) -> PyResult<Array<'py, T, D>> {
    let name = name.into();
    let expected = dtype::<T>(argument.py());
    let Ok(untyped) = argument.cast::<PyUntypedArray>() else {
        return Err(not_a(&name, argument, &format!("a numpy array of {expected}")));
    };
    let got = untyped.dtype();
    if !got.is_equiv_to(&expected) {
        let message = format!("{name} has dtype {got}; expected {expected}");
        return Err(PyTypeError::new_err(message));
    }
    let Ok(array) = argument.cast::<PyArray<T, D>>() else {
        let dimensions = untyped.ndim();
        let expected = D::NDIM.unwrap_or(dimensions);
        let message = format!("{name} has {dimensions} dimensions; expected {expected}");
        return Err(PyValueError::new_err(message));
    };
    if !array.is_aligned() {
        let message = format!("{name} is not aligned; pass numpy.require({name}, None, 'A')");
        return Err(PyValueError::new_err(message));
    }
    Ok(Array { name, array: array.clone() })
}

impl<'py, T: Element, D: Dimension> Array<'py, T, D> {
    /// Returns the array, or raises `ValueError` if it is not C-contiguous.
    pub fn contiguous(self) -> PyResult<Self> {
        if self.array.is_c_contiguous() {
            return Ok(self);
        }
        let message = format!("{} is not C-contiguous; pass numpy.ascontiguousarray(…)", self.name);
        Err(PyValueError::new_err(message))
    }

    /// Checks the shape; `None` stands for any length.
    pub fn expect_shape(&self, expected: &[Option<usize>], letters: &str) -> PyResult<()> {
        let shape = self.array.shape();
        let fits = shape.len() == expected.len()
            && shape.iter().zip(expected).all(|(n, e)| e.is_none_or(|e| e == *n));
        if fits {
            return Ok(());
        }
        let show = |n: &Option<usize>| n.map_or_else(|| "any".to_string(), |n| n.to_string());
        let wanted: Vec<String> = expected.iter().map(show).collect();
        let (name, wanted) = (&self.name, wanted.join(", "));
        let message = format!("{name} has shape {shape:?}; expected {letters} = [{wanted}]");
        Err(PyValueError::new_err(message))
    }

    /// Returns the length of an axis, which must be one of `D`.
    #[allow(clippy::indexing_slicing, reason = "an axis that is not there is a fault of ours")]
    pub fn axis(&self, axis: usize) -> usize {
        self.array.shape()[axis]
    }

    /// Borrows the array for reading; refused while another call writes to it.
    pub fn read(&self) -> PyResult<Reading<'py, T, D>> {
        Reading::new(self.array.clone()).ok_or_else(|| self.in_use())
    }

    /// Borrows the array for writing; refused while another call uses it.
    pub fn write(&self) -> PyResult<Writing<'py, T, D>> {
        // SAFETY: the array is alive, and its flags are set once it is made.
        let flags = unsafe { (*self.array.as_array_ptr()).fields.flags };
        if flags & NPY_ARRAY_WRITEABLE == 0 {
            let message = format!("{} is read-only; expected a writeable array", self.name);
            return Err(PyValueError::new_err(message));
        }
        Writing::new(self.array.clone()).ok_or_else(|| self.in_use())
    }

    fn in_use(&self) -> PyErr {
        let name = &self.name;
        let message =
            format!("{name} is in use by another call that changes it, or shares its memory");
        PyValueError::new_err(message)
    }

    /// Returns the name, the first address, and the one behind the last byte.
    fn byte_bounds(&self) -> (&str, usize, usize) {
        let start = self.array.data() as usize;
        (&self.name, start, start + self.array.len() * size_of::<T>())
    }
}

/// The addresses of arrays that must not share memory.
#[derive(Clone, Default)]
pub struct ByteBounds<'a>(Vec<(&'a str, usize, usize)>);

impl<'a> ByteBounds<'a> {
    /// Adds an array.
    pub fn add<T: Element, D: Dimension>(&mut self, array: &'a Array<'_, T, D>) {
        if array.array.len() > 0 {
            self.0.push(array.byte_bounds());
        }
    }

    /// Raises `ValueError` if two of them share memory.
    pub fn check(mut self) -> PyResult<()> {
        self.0.sort_by_key(|&(_, start, _)| start);
        for pair in self.0.windows(2) {
            if let [(one, _, end), (other, start, _)] = pair
                && start < end
            {
                let message = format!("{one} and {other} share memory; expected separate arrays");
                return Err(PyValueError::new_err(message));
            }
        }
        Ok(())
    }
}

/// Copies the numbers of an array in C order. Without the GIL another thread may change the array
/// meanwhile.
///
/// # Errors
/// [`fastgrad_core::Error::Memory`], [`fastgrad_core::Error::Interrupted`].
pub fn copied<T: Copy, D: Dimension>(
    numbers: &ArrayView<'_, T, D>,
    progress: &Progress,
) -> Result<Vec<T>> {
    let mut copy = alloc::with_capacity(numbers.len())?;
    match numbers.as_slice() {
        Some(slice) => {
            for chunk in slice.chunks(CHUNK) {
                progress.check()?;
                copy.extend_from_slice(chunk);
            }
        }
        None => {
            for (place, &number) in numbers.iter().enumerate() {
                if place % CHUNK == 0 {
                    progress.check()?;
                }
                copy.push(number);
            }
        }
    }
    Ok(copy)
}

/// Returns the numbers of an array in C order, copied only if it is not C-contiguous.
///
/// # Errors
/// [`fastgrad_core::Error::Memory`], [`fastgrad_core::Error::Interrupted`].
pub fn contiguous<'a, T: Copy, D: Dimension>(
    numbers: &'a ArrayView<'_, T, D>,
    progress: &Progress,
) -> Result<Cow<'a, [T]>> {
    numbers
        .as_slice()
        .map_or_else(|| copied(numbers, progress).map(Cow::Owned), |slice| Ok(slice.into()))
}

/// Makes an array of a shape that owns the numbers.
pub fn output<T: Element, S: IntoDimension>(
    py: Python<'_>,
    numbers: Vec<T>,
    shape: S,
) -> PyResult<Bound<'_, PyArray<T, S::Dim>>> {
    numbers.into_pyarray(py).reshape(shape)
}

/// Makes a list of strings.
pub fn string_list<'py, 'a>(
    py: Python<'py>,
    strings: impl Iterator<Item = &'a str>,
) -> PyResult<Bound<'py, PyList>> {
    let list = PyList::empty(py);
    for (place, string) in strings.enumerate() {
        // SAFETY: the buffer holds `length` bytes of UTF-8; the result is a new reference to a str,
        // or null with an exception.
        let string = unsafe {
            let (start, length) = (string.as_ptr().cast(), string.len().cast_signed());
            Bound::from_owned_ptr_or_err(py, ffi::PyUnicode_FromStringAndSize(start, length))?
        };
        list.append(string)?;
        pause(py, place)?;
    }
    Ok(list)
}
