//! Counting n-grams of text from files, pipes, bytes and strings, and of ids.
//!
//! A regular file is read by the core. Everything else that has a path goes through Python's own
//! `open`: a missing file raises what `open` raises, and Python waits for a pipe, so that Ctrl-C ends
//! the waiting.

use std::fs::File;
use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::thread::available_parallelism;
use std::time::Duration;

use fastgrad_core::counts::{self, Settings};
use numpy::Ix1;
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyIterator, PyString};

use crate::arrays;
use crate::counts::{NgramCounts, read_order};
use crate::feed::feed;
use crate::value::number::shorten;
use crate::watch::{briefly, run};

/// A text up to this size takes a few milliseconds: it gets no threads, and no watching.
const SMALL: usize = 1 << 21;

/// How many bytes are asked of Python at a time.
const PIECE: usize = 1 << 18;

/// Most threads that may be asked for.
const MOST_THREADS: usize = 1024;

pub fn add_functions(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(count_path, module)?)?;
    module.add_function(wrap_pyfunction!(count_bytes, module)?)?;
    module.add_function(wrap_pyfunction!(count_items, module)?)?;
    module.add_function(wrap_pyfunction!(count_ids, module)?)
}

/// Counts the n-grams of a file, one item a line; "-" is standard input.
#[pyfunction]
#[pyo3(signature = (path, order=2, threads=None, progress=None))]
fn count_path(
    py: Python<'_>,
    path: PathBuf,
    order: i64,
    threads: Option<i64>,
    progress: Option<&Bound<'_, PyAny>>,
) -> PyResult<NgramCounts> {
    let arguments = Arguments::read(order, threads)?;
    if path.as_os_str() == "-" {
        let standard = py.import("sys")?.getattr("stdin")?;
        let bytes = standard.getattr("buffer").unwrap_or(standard);
        return count_python_file(&bytes, &arguments.settings("standard input", None), progress);
    }
    let name = path.display().to_string();
    if let Some((file, size)) = regular_file(&path) {
        let settings = arguments.settings(&name, Some(size));
        return if size >= SMALL {
            let size = size as u64;
            run(py, progress, |watch| counts::count_file(&file, size, &settings, watch))
        } else if size > 0 && progress.is_none() {
            briefly(py, |watch| counts::count_reader(file, &settings, watch))
        } else {
            // The system's own files, as those in /proc, have no length and no places.
            run(py, progress, |watch| counts::count_reader(file, &settings, watch))
        }
        .map(NgramCounts);
    }
    let file = py.import("io")?.call_method1("open", (path, "rb", 0))?;
    let counts = count_python_file(&file, &arguments.settings(&name, None), progress);
    file.call_method0("close")?;
    counts
}

/// Counts the n-grams of a text in memory, one item a line.
#[pyfunction]
#[pyo3(signature = (data, order=2, threads=None, progress=None))]
fn count_bytes(
    py: Python<'_>,
    data: &Bound<'_, PyBytes>,
    order: i64,
    threads: Option<i64>,
    progress: Option<&Bound<'_, PyAny>>,
) -> PyResult<NgramCounts> {
    let text = data.as_bytes();
    let settings = Arguments::read(order, threads)?;
    let settings = settings.settings("the text", Some(text.len()));
    if text.len() < SMALL && progress.is_none() {
        briefly(py, |watch| counts::count_bytes(text, &settings, watch))
    } else {
        run(py, progress, |watch| counts::count_bytes(text, &settings, watch))
    }
    .map(NgramCounts)
}

/// Counts the n-grams of strings, one item each.
#[pyfunction]
#[pyo3(signature = (items, order=2, threads=None))]
fn count_items(
    py: Python<'_>,
    items: &Bound<'_, PyAny>,
    order: i64,
    threads: Option<i64>,
) -> PyResult<NgramCounts> {
    if items.is_instance_of::<PyString>() {
        let message = "items is a str; expected a sequence of str, each an item";
        return Err(PyTypeError::new_err(message));
    }
    let arguments = Arguments::read(order, threads)?;
    let mut lines = Lines { items: items.try_iter()?, position: 0 };
    let Some(mut first) = lines.next_piece()? else {
        return Err(PyValueError::new_err("items is empty; expected at least one item"));
    };
    // Behind a blank line a byte order mark is a character, which in an item it always is.
    first.insert(0, b'\n');
    if first.len() < PIECE {
        let settings = arguments.settings("items", Some(first.len()));
        return briefly(py, |watch| counts::count_bytes(&first, &settings, watch)).map(NgramCounts);
    }
    let settings = arguments.settings("items", None);
    let mut first = Some(first);
    let produce = || first.take().map_or_else(|| lines.next_piece(), |piece| Ok(Some(piece)));
    feed(py, None, produce, |fed, watch| counts::count_reader(fed, &settings, watch))
        .map(NgramCounts)
}

/// Counts the n-grams of ids, of which one or more 0 stand between items.
#[pyfunction]
#[pyo3(signature = (ids, characters, order=2))]
fn count_ids(
    py: Python<'_>,
    ids: &Bound<'_, PyAny>,
    characters: &str,
    order: i64,
) -> PyResult<NgramCounts> {
    let order = read_order(order)?;
    let characters = characters.chars().collect();
    let ids = arrays::read::<u32, Ix1>("ids", ids)?;
    let copied;
    let ids = if let Ok(ids) = ids.as_slice() {
        ids
    } else {
        copied = ids.as_array().to_vec();
        &copied
    };
    if ids.len() < SMALL {
        briefly(py, |watch| counts::count_ids(ids, characters, order, "ids", watch))
    } else {
        run(py, None, |watch| counts::count_ids(ids, characters, order, "ids", watch))
    }
    .map(NgramCounts)
}

/// What all ways of counting text are told.
struct Arguments {
    order: counts::Order,
    threads: Option<usize>,
}

impl Arguments {
    fn read(order: i64, threads: Option<i64>) -> PyResult<Arguments> {
        let order = read_order(order)?;
        Ok(Arguments { order, threads: threads.map(read_threads).transpose()? })
    }

    /// Settings for a text, whose size may be unknown: all cores, unless it is small.
    fn settings<'a>(&self, name: &'a str, size: Option<usize>) -> Settings<'a> {
        let threads = self.threads.unwrap_or_else(|| {
            let cores = available_parallelism().map_or(1, NonZero::get);
            if size.is_some_and(|size| size < SMALL) { 1 } else { cores }
        });
        Settings { threads, ..Settings::new(self.order, name) }
    }
}

fn read_threads(threads: i64) -> PyResult<usize> {
    let number = usize::try_from(threads).ok().filter(|n| (1..=MOST_THREADS).contains(n));
    number.ok_or_else(|| {
        PyValueError::new_err(format!(
            "threads is {threads}; expected None or a number from 1 to {MOST_THREADS}"
        ))
    })
}

/// A regular file and its size; none where `open` had better say what is wrong.
fn regular_file(path: &Path) -> Option<(File, usize)> {
    // A pipe is not opened here, as that alone may wait for ever.
    std::fs::metadata(path).ok().filter(std::fs::Metadata::is_file)?;
    let file = File::open(path).ok()?;
    let metadata = file.metadata().ok().filter(std::fs::Metadata::is_file)?;
    Some((file, usize::try_from(metadata.len()).unwrap_or(usize::MAX)))
}

/// Counts what a binary file of Python's gives.
fn count_python_file(
    file: &Bound<'_, PyAny>,
    settings: &Settings<'_>,
    progress: Option<&Bound<'_, PyAny>>,
) -> PyResult<NgramCounts> {
    let py = file.py();
    // Read what is there, rather than wait for all that was asked for.
    let name = if file.hasattr("read1")? { "read1" } else { "read" };
    let read = file.getattr(name)?;
    let produce = || {
        let piece = read.call1((PIECE,))?;
        if piece.is_none() {
            // Nothing is there yet, and the file is not one that waits.
            py.detach(|| std::thread::sleep(Duration::from_millis(5)));
            py.check_signals()?;
            return Ok(Some(Vec::new()));
        }
        let bytes = match piece.cast::<PyString>() {
            Ok(text) => text.encode_utf8()?,
            Err(_) => piece.cast_into::<PyBytes>()?,
        };
        let bytes = bytes.as_bytes().to_vec();
        Ok(Some(bytes).filter(|bytes| !bytes.is_empty()))
    };
    feed(py, progress, produce, |fed, watch| counts::count_reader(fed, settings, watch))
        .map(NgramCounts)
}

/// Items as lines.
struct Lines<'py> {
    items: Bound<'py, PyIterator>,
    position: usize,
}

impl Lines<'_> {
    /// The next few items, one a line; none after the last one.
    fn next_piece(&mut self) -> PyResult<Option<Vec<u8>>> {
        let mut piece = Vec::with_capacity(PIECE + 64);
        while piece.len() < PIECE {
            let Some(item) = self.items.next() else { break };
            self.add(&item?, &mut piece)?;
            self.position += 1;
        }
        Ok(Some(piece).filter(|piece| !piece.is_empty()))
    }

    fn add(&self, item: &Bound<'_, PyAny>, piece: &mut Vec<u8>) -> PyResult<()> {
        let position = self.position;
        let Ok(text) = item.cast::<PyString>() else {
            let class = item.get_type().name()?;
            let message = format!("items[{position}] is of type {class}; expected str");
            return Err(PyTypeError::new_err(message));
        };
        let mut text = text.to_str().map_err(|error| {
            let reason = error.value(item.py());
            PyValueError::new_err(format!("items[{position}] is no text: {reason}"))
        })?;
        if text.contains('\n') {
            text = counts::strip(text);
            if text.contains('\n') {
                let message = format!(
                    "items[{position}] is {}, which holds a newline; expected one line",
                    shorten(item.as_borrowed())
                );
                return Err(PyValueError::new_err(message));
            }
        }
        piece.extend_from_slice(text.as_bytes());
        piece.push(b'\n');
        Ok(())
    }
}
