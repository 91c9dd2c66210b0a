//! The numbers of examples as rows, grouped by the structure of the arguments around them.
//!
//! ```text
//! structure   "number", a tuple of the structures of a list's items, or ("static", object)
//! code        a structure as whole numbers, in the order in which it is read: quick to compare
//! ```

use std::slice;

use numpy::ndarray::{Dim, IxDyn};
use numpy::{IntoPyArray, PyArrayDyn, PyUntypedArray, PyUntypedArrayMethods};
use pyo3::exceptions::{PyRecursionError, PyTypeError};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyFloat, PyInt, PyList, PyTuple};
use rustc_hash::FxHashMap;

use crate::args;
use crate::borrow::Reading;
use crate::errors::guard;
use crate::memory::reserve;
use crate::run::pause;

/// The beginnings of a structure in a code.
const NUMBER: u32 = 0;
/// Followed by the number of the object.
const STATIC: u32 = 1;
/// Followed by the number of items.
const LIST: u32 = 2;

/// The most lists within each other.
const DEEPEST: usize = 500;

/// What `read_examples` returns: the number of examples, and a dict.
type Examples<'py> = (usize, Bound<'py, PyDict>);

/// Read examples: their numbers as rows, by structure.
///
/// `names` are those of the arguments, `keywords` those that belong to a structure. `read(object,
/// name)` returns a float, a list or a pair ("static", object) for what is neither number nor list.
/// Arguments are those of one example or, with `column`, of a batch: lists and arrays of float64
/// hold an item an example, and others are what `column(argument)` returns, a list, an array of
/// float64, or what is the same for all examples.
///
/// Returns the number of examples and a dict from (structures of the arguments, keywords) to (places
/// of its examples, rows), or None if lists and arrays do not have the same length, at least 1.
#[pyfunction]
#[pyo3(signature = (arguments, names, keywords, read, column=None))]
pub fn read_examples<'py>(
    py: Python<'py>,
    arguments: &Bound<'py, PyTuple>,
    names: &Bound<'py, PyList>,
    keywords: &Bound<'py, PyTuple>,
    read: &Bound<'py, PyAny>,
    column: Option<&Bound<'py, PyAny>>,
) -> PyResult<Option<Examples<'py>>> {
    guard(|| {
        let statics = (PyDict::new(py), PyList::empty(py));
        let mut reader = Reader { read, statics, code: Vec::new(), numbers: Vec::new() };
        let mut columns = Vec::new();
        for (argument, name) in arguments.iter().zip(names) {
            columns.push(reader.column(argument, name, column)?);
        }
        let mut sizes = columns.iter().filter_map(Column::size);
        let size = match column {
            Some(_) => sizes.next().unwrap_or(0),
            None => 1,
        };
        if size == 0 || !sizes.all(|other| other == size) {
            return Ok(None);
        }
        let groups = match alike(py, &columns, size)? {
            Some(group) => vec![group],
            None => reader.groups(&columns, size)?,
        };
        let by_structure = PyDict::new(py);
        for Group { code, places, numbers } in groups {
            let structures = reader.structures(&mut code.iter(), columns.len())?;
            let shape = Dim([places.len(), numbers.len() / places.len()]);
            let rows = args::output(py, numbers, shape)?;
            by_structure.set_item((structures, keywords), (places.into_pyarray(py), rows))?;
        }
        Ok(Some((size, by_structure)))
    })
}

/// An argument.
enum Column<'py> {
    /// An item an example.
    Items { items: Bound<'py, PyList>, name: Bound<'py, PyAny> },
    /// A row an example.
    Array { code: Vec<u32>, rows: Reading<'py, f64, IxDyn>, width: usize },
    /// The same for all examples.
    Same { code: Vec<u32>, numbers: Vec<f64> },
}

/// An argument whose examples are alike.
struct Alike<'a> {
    code: &'a [u32],
    numbers: &'a [f64],
    /// The number of numbers of an example, and of those from the start of one to that of the next.
    width: usize,
    step: usize,
}

impl Alike<'_> {
    /// Returns the numbers of example `i`.
    #[allow(clippy::indexing_slicing, reason = "there is a row for each example, or one for all")]
    fn row(&self, i: usize) -> &[f64] {
        &self.numbers[i * self.step..][..self.width]
    }
}

impl Column<'_> {
    /// Returns the number of examples; None where they are all the same.
    fn size(&self) -> Option<usize> {
        match self {
            Column::Items { items, .. } => Some(items.len()),
            Column::Array { rows, .. } => rows.as_array().shape().first().copied(),
            Column::Same { .. } => None,
        }
    }

    /// Returns an argument whose examples are alike; None for a list.
    fn alike(&self) -> PyResult<Option<Alike<'_>>> {
        Ok(match self {
            Column::Items { .. } => None,
            Column::Array { code, rows, width } => {
                Some(Alike { code, numbers: rows.as_slice()?, width: *width, step: *width })
            }
            Column::Same { code, numbers } => {
                Some(Alike { code, numbers, width: numbers.len(), step: 0 })
            }
        })
    }
}

/// Returns all examples as one group, if no argument is a list.
fn alike(py: Python<'_>, columns: &[Column<'_>], size: usize) -> PyResult<Option<Group>> {
    let mut group = Group::default();
    let mut parts = Vec::new();
    for column in columns {
        let Some(part) = column.alike()? else { return Ok(None) };
        reserve(&mut group.code, part.code.len())?;
        group.code.extend_from_slice(part.code);
        parts.push(part);
    }
    let width: usize = parts.iter().map(|part| part.width).sum();
    reserve(&mut group.numbers, size.saturating_mul(width))?;
    reserve(&mut group.places, size)?;
    for i in 0..size {
        group.places.push(i64::try_from(i)?);
        for part in &parts {
            group.numbers.extend_from_slice(part.row(i));
        }
        pause(py, i)?;
    }
    Ok(Some(group))
}

/// Reads structures and numbers.
struct Reader<'a, 'py> {
    /// Called for objects that are neither numbers nor lists.
    read: &'a Bound<'py, PyAny>,
    /// The objects that belong to structures, numbered as they first appear.
    statics: (Bound<'py, PyDict>, Bound<'py, PyList>),
    /// The code of what was read.
    code: Vec<u32>,
    /// Its numbers.
    numbers: Vec<f64>,
}

impl<'py> Reader<'_, 'py> {
    /// Returns an argument of a batch, or of one example.
    fn column(
        &mut self,
        mut argument: Bound<'py, PyAny>,
        name: Bound<'py, PyAny>,
        column: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Column<'py>> {
        if let Some(column) = column {
            if !is_column(&argument) {
                argument = column.call1((argument,))?;
            }
            if let Ok(items) = argument.cast_exact::<PyList>() {
                return Ok(Column::Items { items: items.clone(), name });
            }
            if argument.is_instance_of::<PyUntypedArray>() {
                let rows = args::array::<f64, IxDyn>(name.to_string(), &argument)?.contiguous()?;
                let lengths = rows.array.shape().get(1..).unwrap_or(&[]);
                let (code, width) = (code_of_array(lengths)?, lengths.iter().product());
                return Ok(Column::Array { code, width, rows: rows.read()? });
            }
        }
        self.item(&argument, &name, 0)?;
        let (code, numbers) = (&mut self.code, &mut self.numbers);
        Ok(Column::Same { code: std::mem::take(code), numbers: std::mem::take(numbers) })
    }

    /// Reads all examples.
    fn groups(&mut self, columns: &[Column<'py>], size: usize) -> PyResult<Vec<Group>> {
        let mut groups = Groups::default();
        for i in 0..size {
            self.code.clear();
            self.numbers.clear();
            for column in columns {
                self.append(column, i)?;
            }
            groups.add(&self.code, i, &self.numbers)?;
            pause(self.read.py(), i)?;
        }
        Ok(groups.found)
    }

    /// Reads an argument of example `i`.
    fn append(&mut self, column: &Column<'py>, i: usize) -> PyResult<()> {
        if let Column::Items { items, name } = column {
            return self.item(&items.get_item(i)?, name, 0);
        }
        if let Some(alike) = column.alike()? {
            reserve(&mut self.code, alike.code.len())?;
            self.code.extend_from_slice(alike.code);
            reserve(&mut self.numbers, alike.width)?;
            self.numbers.extend_from_slice(alike.row(i));
        }
        Ok(())
    }

    /// Reads an object.
    fn item(
        &mut self,
        object: &Bound<'py, PyAny>,
        name: &Bound<'py, PyAny>,
        depth: usize,
    ) -> PyResult<()> {
        if let Ok(number) = object.cast_exact::<PyFloat>() {
            return self.number(number.value());
        }
        if object.is_exact_instance_of::<PyInt>() {
            #[allow(clippy::cast_precision_loss, reason = "float(x) rounds as well")]
            let small = object.extract().map(|number: i64| number as f64);
            return self.number(small.or_else(|_| object.extract())?);
        }
        if depth == DEEPEST {
            return Err(PyRecursionError::new_err(format!(
                "{name} has lists within lists, more than {DEEPEST} deep"
            )));
        }
        if let Ok(list) = object.cast_exact::<PyList>() {
            return self.list(list.iter(), name, depth);
        }
        if let Ok(tuple) = object.cast_exact::<PyTuple>() {
            return self.list(tuple.iter(), name, depth);
        }
        let read = self.read.call1((object, name))?;
        match read.cast_exact::<PyTuple>() {
            Ok(pair) => self.object(&pair.get_item(1)?),
            Err(_) => self.item(&read, name, depth + 1),
        }
    }

    fn number(&mut self, number: f64) -> PyResult<()> {
        reserve(&mut self.code, 1)?;
        self.code.push(NUMBER);
        reserve(&mut self.numbers, 1)?;
        self.numbers.push(number);
        Ok(())
    }

    fn list(
        &mut self,
        items: impl Iterator<Item = Bound<'py, PyAny>>,
        name: &Bound<'py, PyAny>,
        depth: usize,
    ) -> PyResult<()> {
        reserve(&mut self.code, 2)?;
        let at = self.code.len() + 1;
        self.code.extend([LIST, 0]);
        let mut length = 0;
        for item in items {
            self.item(&item, name, depth + 1)?;
            length += 1;
        }
        if let Some(code) = self.code.get_mut(at) {
            *code = length;
        }
        Ok(())
    }

    /// Reads an object that belongs to the structure.
    fn object(&mut self, object: &Bound<'py, PyAny>) -> PyResult<()> {
        let (numbers, objects) = &self.statics;
        let new = objects.len();
        let number = match numbers.get_item(object)? {
            Some(number) => number.extract()?,
            None => new,
        };
        if number == new {
            numbers.set_item(object, new)?;
            objects.append(object)?;
        }
        reserve(&mut self.code, 2)?;
        self.code.extend([STATIC, u32::try_from(number)?]);
        Ok(())
    }

    /// Returns the next structures of a code.
    fn structures(
        &self,
        code: &mut slice::Iter<'_, u32>,
        count: usize,
    ) -> PyResult<Bound<'py, PyTuple>> {
        let py = self.read.py();
        let mut structures: Vec<Bound<'py, PyAny>> = crate::memory::with_capacity(count)?;
        for _ in 0..count {
            structures.push(match code.next() {
                Some(&NUMBER) => intern!(py, "number").clone().into_any(),
                Some(&kind) => {
                    let number = code.next().copied().unwrap_or(0) as usize;
                    if kind == LIST {
                        self.structures(code, number)?.into_any()
                    } else {
                        let pair = (intern!(py, "static"), self.statics.1.get_item(number)?);
                        pair.into_pyobject(py)?.into_any()
                    }
                }
                None => return Err(PyTypeError::new_err("a structure ends early")),
            });
        }
        PyTuple::new(py, structures)
    }
}

/// Returns true for a list and for an array of float64 of which each example is a row.
fn is_column(argument: &Bound<'_, PyAny>) -> bool {
    argument.is_exact_instance_of::<PyList>()
        || argument
            .cast_exact::<PyArrayDyn<f64>>()
            .is_ok_and(|array| array.ndim() > 0 && array.is_c_contiguous() && array.is_aligned())
}

/// Returns the code of an array of these lengths.
fn code_of_array(lengths: &[usize]) -> PyResult<Vec<u32>> {
    let Some((&length, others)) = lengths.split_first() else { return Ok(vec![NUMBER]) };
    let item = code_of_array(others)?;
    let mut code = vec![LIST, u32::try_from(length)?];
    reserve(&mut code, item.len().saturating_mul(length))?;
    for _ in 0..length {
        code.extend_from_slice(&item);
    }
    Ok(code)
}

/// The examples of one structure.
#[derive(Default)]
struct Group {
    code: Vec<u32>,
    places: Vec<i64>,
    numbers: Vec<f64>,
}

#[derive(Default)]
struct Groups {
    found: Vec<Group>,
    /// The group of each code.
    by_code: FxHashMap<Vec<u32>, usize>,
    /// The group of the last example.
    last: usize,
}

impl Groups {
    /// Adds an example to the group of its code.
    fn add(&mut self, code: &[u32], place: usize, numbers: &[f64]) -> PyResult<()> {
        if self.found.get(self.last).is_none_or(|group| group.code != code) {
            let new = self.found.len();
            self.last = *self.by_code.entry(code.to_vec()).or_insert(new);
            if self.last == new {
                self.found.push(Group { code: code.to_vec(), ..Group::default() });
            }
        }
        if let Some(group) = self.found.get_mut(self.last) {
            reserve(&mut group.places, 1)?;
            group.places.push(i64::try_from(place)?);
            reserve(&mut group.numbers, numbers.len())?;
            group.numbers.extend_from_slice(numbers);
        }
        Ok(())
    }
}
