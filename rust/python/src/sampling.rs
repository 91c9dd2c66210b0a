//! Sampling from tables and from single rows, and seeded normal numbers.

use std::ffi::c_int;
use std::ops::Range;
use std::thread;

use fastgrad_core::alloc::{self, Large};
use fastgrad_core::parallel::ordered_parallel_map;
use fastgrad_core::progress::Progress;
use fastgrad_core::rng::Rng;
use fastgrad_core::sampling::{self, AliasTables, Items, Sampler, SamplingParams};
use fastgrad_core::{Error, Result};
use numpy::{IntoPyArray, Ix1, Ix2, PyArray1};
use pyo3::exceptions::PyValueError;
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyList, PyString};

use crate::args;
use crate::borrow::Reading;
use crate::errors::{guard, to_python};
use crate::run::{Cost, report, run};

/// The nanoseconds to draw a symbol, or to make a cell of an alias table.
const A_SYMBOL: u64 = 30;

/// The distributions of a language model as alias tables, to draw from.
#[pyclass(module = "fastgrad._core", frozen)]
pub struct TableSampler {
    table: AliasTables,
}

#[pymethods]
impl TableSampler {
    #[new]
    #[pyo3(signature = (probabilities, context, temperature=1.0, top_k=None))]
    fn new(
        py: Python<'_>,
        probabilities: &Bound<'_, PyAny>,
        context: u32,
        temperature: f64,
        top_k: Option<usize>,
    ) -> PyResult<TableSampler> {
        guard(|| {
            let params =
                SamplingParams::new(temperature, top_k).map_err(|error| to_python(&error))?;
            let (given, rows, size) = read_rows(probabilities)?;
            if context == 0 || size.checked_pow(context).map(|rows| rows as usize) != Some(rows) {
                return Err(PyValueError::new_err(format!(
                    "probabilities has shape ({rows}, {size}) and context is {context}; expected \
                 size**context rows and a context of at least 1"
                )));
            }
            let given = given.as_array();
            let table = run(py, Cost::of(given.len(), A_SYMBOL), None, |progress| {
                AliasTables::new(
                    &args::copied(&given, progress)?,
                    (size, context),
                    params,
                    progress,
                )
            })?;
            Ok(TableSampler { table })
        })
    }

    /// Draw the items of `n` streams of a seed, from stream `first` on, and return them as strings.
    #[pyo3(signature = (
        n, seed, prompt, max_length, characters, threads=None, progress=None, first=0
    ))]
    #[allow(clippy::too_many_arguments, reason = "they have names in Python")]
    fn sample<'py>(
        &self,
        py: Python<'py>,
        n: u64,
        seed: u64,
        prompt: &Bound<'py, PyAny>,
        max_length: usize,
        characters: &Bound<'py, PyAny>,
        threads: Option<&Bound<'py, PyAny>>,
        progress: Option<&Bound<'py, PyAny>>,
        first: u64,
    ) -> PyResult<Bound<'py, PyList>> {
        guard(|| {
            let Some(end) = first.checked_add(n) else {
                return Err(PyValueError::new_err(format!(
                    "first is {first} and n is {n}; expected at most 2**64 - 1 in all"
                )));
            };
            let threads = match threads {
                Some(threads) => args::threads(threads)?,
                None => thread::available_parallelism().map_or(1, usize::from),
            };
            let prompt = args::ids("prompt", prompt)?;
            let codes = args::characters("characters", characters)?;
            let characters = codes.as_slice();
            let strings = Strings { py, list: PyList::empty(py), characters, callback: progress };
            // Python stores strings of characters up to U+00FF in one byte each.
            if characters.iter().all(|&c| u8::try_from(c).is_ok()) {
                let bytes = written(characters, |c| c as u8)?;
                let sampler = Sampler::new(&self.table, seed, &prompt, max_length, &bytes);
                strings.collect(first..end, &sampler.map_err(|error| to_python(&error))?, threads)
            } else {
                let codes = written(characters, u32::from)?;
                let sampler = Sampler::new(&self.table, seed, &prompt, max_length, &codes);
                strings.collect(first..end, &sampler.map_err(|error| to_python(&error))?, threads)
            }
        })
    }
}

/// The list of strings while it is made, and what making it needs.
struct Strings<'a, 'py> {
    py: Python<'py>,
    list: Bound<'py, PyList>,
    characters: &'a [char],
    callback: Option<&'a Bound<'py, PyAny>>,
}

/// The error that ended the work early, of the core or of a Python callback.
enum Stop {
    Core(Error),
    Python(PyErr),
}

impl From<Error> for Stop {
    fn from(error: Error) -> Stop {
        Stop::Core(error)
    }
}

impl From<PyErr> for Stop {
    fn from(error: PyErr) -> Stop {
        Stop::Python(error)
    }
}

impl<'py> Strings<'_, 'py> {
    /// Draws all items with the GIL released, and takes the GIL to make the strings of each part.
    fn collect<C: Code>(
        self,
        streams: Range<u64>,
        sampler: &Sampler<'_, C>,
        threads: usize,
    ) -> PyResult<Bound<'py, PyList>> {
        let Strings { py, list, characters, callback } = self;
        let n = streams.end - streams.start;
        let cost = Cost::of(sampler.max_length(), A_SYMBOL).times(n);
        let part_of = |part: u64, size: u64| {
            let start = streams.start + part * size;
            start..streams.end.min(start.saturating_add(size))
        };
        let drawn = if cost.is_quick() {
            let items = py.detach(|| sampler.draw(streams.clone(), &Progress::new()));
            items.map_err(Stop::from).and_then(|items| {
                append(&list, &items)?;
                callback.map_or(Ok(()), |callback| callback.call1((n,)).map(drop))?;
                Ok(())
            })
        } else {
            let size = sampler.items_per_part();
            let unbound = list.clone().unbind();
            let callback = callback.map(|callback| callback.clone().unbind());
            py.detach(|| {
                let progress = Progress::new();
                let make = |part| sampler.draw(part_of(part, size), &progress);
                ordered_parallel_map(n.div_ceil(size), threads, &progress, make, |items| {
                    Python::attach(|py| {
                        if let Some(items) = items {
                            append(unbound.bind(py), &items)?;
                            progress.add(items.ends.len() as u64).map_err(|e| to_python(&e))?;
                        }
                        report(py, callback.as_ref().map(|callback| callback.bind(py)), &progress)
                    })
                    .map_err(Stop::Python)
                })
            })
        };
        match drawn {
            Ok(()) => Ok(list),
            Err(Stop::Python(error)) => Err(error),
            Err(Stop::Core(Error::DeadEnd { context })) => Err(dead_end(py, &context, characters)),
            Err(Stop::Core(error)) => Err(to_python(&error)),
        }
    }
}

/// Returns the error for a context that no symbol can follow. Boundaries, which only begin a
/// context, are not shown.
fn dead_end(py: Python<'_>, context: &[u32], characters: &[char]) -> PyErr {
    let written = |&symbol: &u32| characters.get(symbol.wrapping_sub(1) as usize);
    let before: String = context.iter().filter_map(written).collect();
    if before.is_empty() {
        return PyValueError::new_err("the model gives no probability to any first symbol");
    }
    match PyString::new(py, &before).repr() {
        Ok(shown) => PyValueError::new_err(format!(
            "the model gives no probability to any symbol after {shown}"
        )),
        Err(error) => error,
    }
}

/// Returns the code of each character.
fn written<C>(characters: &[char], code: impl Fn(char) -> C) -> PyResult<Vec<C>> {
    let codes = alloc::collected(characters.iter().map(|&c| code(c)));
    codes.map_err(|error| to_python(&error))
}

/// A character as Python stores it, in one byte or in four.
trait Code: Copy + Default + Send + Sync {
    /// Python's constant for this width.
    const KIND: c_int;
}

impl Code for u8 {
    const KIND: c_int = 1;
}

impl Code for u32 {
    const KIND: c_int = 4;
}

/// Appends the items to a list, a string each.
fn append<C: Code>(list: &Bound<'_, PyList>, items: &Items<C>) -> PyResult<()> {
    for item in items.iter() {
        list.append(string(list.py(), item)?)?;
    }
    Ok(())
}

/// Makes a string of characters.
fn string<'py, C: Code>(py: Python<'py>, item: &[C]) -> PyResult<Bound<'py, PyString>> {
    // SAFETY: the buffer has `length` characters of this kind, which come from a `str` and so are code
    // points. The result is a new reference to a string, or null with an exception.
    unsafe {
        let (start, length) = (item.as_ptr().cast(), item.len().cast_signed());
        let made = ffi::PyUnicode_FromKindAndData(C::KIND, start, length);
        Ok(Bound::from_owned_ptr_or_err(py, made)?.cast_into_unchecked())
    }
}

/// Draw one symbol from each row, with random number `step` of the row's stream.
#[pyfunction]
#[pyo3(signature = (probabilities, streams, step, seed, temperature=1.0, top_k=None))]
pub fn draw_rows<'py>(
    py: Python<'py>,
    probabilities: &Bound<'py, PyAny>,
    streams: &Bound<'py, PyAny>,
    step: u64,
    seed: u64,
    temperature: f64,
    top_k: Option<usize>,
) -> PyResult<Bound<'py, PyArray1<u32>>> {
    guard(|| {
        let params = SamplingParams::new(temperature, top_k).map_err(|error| to_python(&error))?;
        let (given, rows, size) = read_rows(probabilities)?;
        let streams = args::array::<u64, Ix1>("streams", streams)?.read()?;
        let streams = streams.as_array();
        if streams.len() != rows {
            return Err(PyValueError::new_err(format!(
                "streams has length {}; expected {rows}, one for each row of probabilities",
                streams.len()
            )));
        }
        let given = given.as_array();
        let drawn = run(py, Cost::of(given.len(), A_SYMBOL), None, |progress| {
            let given = Large::from(args::copied(&given, progress)?);
            let streams = args::copied(&streams, progress)?;
            sampling::draw_rows(&given, size, (seed, &streams, step), params, progress)
        })?;
        Ok(drawn.into_pyarray(py))
    })
}

/// Draw numbers of the normal distribution with mean 0 and variance 1.
#[pyfunction]
#[pyo3(signature = (n, seed, stream=0))]
pub fn normal_numbers(
    py: Python<'_>,
    n: usize,
    seed: u64,
    stream: u64,
) -> PyResult<Bound<'_, PyArray1<f64>>> {
    const CHUNK: usize = 1 << 12;
    /// The nanoseconds that a number takes.
    const A_NUMBER: u64 = 30;
    let draw = |progress: &Progress| -> Result<Vec<f64>> {
        let mut rng = Rng::new(seed, stream);
        let mut numbers = alloc::with_capacity(n)?;
        while numbers.len() < n {
            progress.check()?;
            let some = CHUNK.min(n - numbers.len());
            numbers.extend((0..some).map(|_| rng.normal()));
        }
        Ok(numbers)
    };
    guard(|| Ok(run(py, Cost::of(n, A_NUMBER), None, draw)?.into_pyarray(py)))
}

/// Reads rows of probabilities; returns them, their number, and the size of the vocabulary.
fn read_rows<'py>(given: &Bound<'py, PyAny>) -> PyResult<(Reading<'py, f64, Ix2>, usize, u32)> {
    let array = args::array::<f64, Ix2>("probabilities", given)?;
    let (rows, size) = (array.axis(0), array.axis(1));
    match u32::try_from(size) {
        Ok(size) if size > 0 && size < u32::MAX => Ok((array.read()?, rows, size)),
        _ => Err(PyValueError::new_err(format!(
            "probabilities has shape ({rows}, {size}); expected at least one symbol a row"
        ))),
    }
}
