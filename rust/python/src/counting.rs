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

use crate::args::{self, shorten};
use crate::counts::{NgramCounts, read_order};
use crate::errors::guard;
use crate::feed::feed;
use crate::run::{Cost, run};

/// A text up to this size gets no threads of its own.
const SMALL: usize = 1 << 21;
/// How many nanoseconds a byte takes, on one thread.
const A_BYTE: u64 = 1;

/// How many bytes are asked of Python at a time.
const PIECE: usize = 1 << 18;

pub fn add_functions(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(count_path, module)?)?;
    module.add_function(wrap_pyfunction!(count_bytes, module)?)?;
    module.add_function(wrap_pyfunction!(count_items, module)?)?;
    module.add_function(wrap_pyfunction!(count_ids, module)?)
}

/// Counts the n-grams of a file, one item a line; "-" is standard input.
#[pyfunction]
#[pyo3(signature = (path, order=None, threads=None, progress=None))]
#[pyo3(text_signature = "(path, order=2, threads=None, progress=None)")]
fn count_path(
    py: Python<'_>,
    path: PathBuf,
    order: Option<&Bound<'_, PyAny>>,
    threads: Option<&Bound<'_, PyAny>>,
    progress: Option<&Bound<'_, PyAny>>,
) -> PyResult<NgramCounts> {
    guard(|| count_what_is_at(py, path, &Arguments::read(order, threads)?, progress))
}

fn count_what_is_at(
    py: Python<'_>,
    path: PathBuf,
    arguments: &Arguments,
    progress: Option<&Bound<'_, PyAny>>,
) -> PyResult<NgramCounts> {
    if path.as_os_str() == "-" {
        let standard = py.import("sys")?.getattr("stdin")?;
        let bytes = standard.getattr("buffer").unwrap_or(standard);
        return count_python_file(&bytes, &arguments.settings("standard input", None), progress);
    }
    let name = path.display().to_string();
    if let Some((file, size)) = regular_file(&path) {
        let settings = arguments.settings(&name, Some(size));
        // The system's own files, as those in /proc, have no length and no places.
        let cost = if size == 0 { Cost::UNKNOWN } else { Cost::of(size, A_BYTE) };
        return run(py, cost, progress, |progress| {
            if size >= SMALL {
                counts::count_file(&file, size as u64, &settings, progress)
            } else {
                counts::count_reader(file, &settings, progress)
            }
        })
        .map(NgramCounts);
    }
    let file = py.import("io")?.call_method1("open", (path, "rb", 0))?;
    let counts = count_python_file(&file, &arguments.settings(&name, None), progress);
    file.call_method0("close")?;
    counts
}

/// Counts the n-grams of a text in memory, one item a line.
#[pyfunction]
#[pyo3(signature = (data, order=None, threads=None, progress=None))]
#[pyo3(text_signature = "(data, order=2, threads=None, progress=None)")]
fn count_bytes(
    py: Python<'_>,
    data: &Bound<'_, PyAny>,
    order: Option<&Bound<'_, PyAny>>,
    threads: Option<&Bound<'_, PyAny>>,
    progress: Option<&Bound<'_, PyAny>>,
) -> PyResult<NgramCounts> {
    guard(|| {
        let Ok(bytes) = data.cast::<PyBytes>() else {
            return Err(args::not_a("data", data, "bytes"));
        };
        let text = bytes.as_bytes();
        let settings = Arguments::read(order, threads)?;
        let settings = settings.settings("the text", Some(text.len()));
        run(py, Cost::of(text.len(), A_BYTE), progress, |progress| {
            counts::count_bytes(text, &settings, progress)
        })
        .map(NgramCounts)
    })
}

/// Counts the n-grams of strings, one item each.
#[pyfunction]
#[pyo3(signature = (items, order=None, threads=None))]
#[pyo3(text_signature = "(items, order=2, threads=None)")]
fn count_items(
    py: Python<'_>,
    items: &Bound<'_, PyAny>,
    order: Option<&Bound<'_, PyAny>>,
    threads: Option<&Bound<'_, PyAny>>,
) -> PyResult<NgramCounts> {
    guard(|| count_all_items(py, items, &Arguments::read(order, threads)?))
}

fn count_all_items(
    py: Python<'_>,
    items: &Bound<'_, PyAny>,
    arguments: &Arguments,
) -> PyResult<NgramCounts> {
    if items.is_instance_of::<PyString>() {
        let message = "items is a str; expected a sequence of str, each an item";
        return Err(PyTypeError::new_err(message));
    }
    let Ok(items) = items.try_iter() else {
        return Err(args::not_a("items", items, "an iterable of str"));
    };
    let mut lines = Lines { items, position: 0 };
    let Some(first) = lines.next_piece()? else {
        return Err(PyValueError::new_err("items is empty; expected at least one item"));
    };
    if first.len() < PIECE {
        let settings = arguments.settings("items", Some(first.len()));
        return run(py, Cost::of(first.len(), A_BYTE), None, |progress| {
            counts::count_bytes(&first, &settings, progress)
        })
        .map(NgramCounts);
    }
    let settings = arguments.settings("items", None);
    let mut first = Some(first);
    let produce = || first.take().map_or_else(|| lines.next_piece(), |piece| Ok(Some(piece)));
    feed(py, None, produce, |fed, progress| counts::count_reader(fed, &settings, progress))
        .map(NgramCounts)
}

/// Counts the n-grams of ids, of which one or more 0 stand between items.
#[pyfunction]
#[pyo3(signature = (ids, characters, order=None))]
#[pyo3(text_signature = "(ids, characters, order=2)")]
fn count_ids(
    py: Python<'_>,
    ids: &Bound<'_, PyAny>,
    characters: &Bound<'_, PyAny>,
    order: Option<&Bound<'_, PyAny>>,
) -> PyResult<NgramCounts> {
    guard(|| {
        let order = Arguments::read(order, None)?.order;
        let characters = args::characters("characters", characters)?;
        let ids = args::array::<u32, Ix1>("ids", ids)?.read()?;
        let ids = ids.as_array();
        run(py, Cost::of(ids.len(), A_BYTE), None, |progress| {
            counts::count_ids(&args::in_order(&ids, progress)?, characters, order, "ids", progress)
        })
        .map(NgramCounts)
    })
}

/// What all ways of counting text are told.
struct Arguments {
    order: counts::Order,
    threads: Option<usize>,
}

impl Arguments {
    fn read(
        order: Option<&Bound<'_, PyAny>>,
        threads: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<Arguments> {
        let order = order.map_or(Ok(counts::Order::Bigrams), read_order)?;
        Ok(Arguments { order, threads: threads.map(args::threads).transpose()? })
    }

    /// Settings for a text, whose size may be unknown: all cores, unless it is small.
    fn settings<'a>(&self, name: &'a str, size: Option<usize>) -> Settings<'a> {
        let threads = self.threads.unwrap_or_else(|| {
            // To ask for the cores means to read files of the system, which takes a while.
            let is_small = size.is_some_and(|size| size < SMALL);
            if is_small { 1 } else { available_parallelism().map_or(1, NonZero::get) }
        });
        Settings { threads, ..Settings::new(self.order, name) }
    }
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
    feed(py, progress, produce, |fed, progress| counts::count_reader(fed, settings, progress))
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
        if self.position == 0 {
            // Behind a blank line a byte order mark is a character, which in an item it always is.
            piece.push(b'\n');
        }
        let (position, start) = (self.position, piece.len());
        let mut ends = Vec::new();
        let added = self.add_items(&mut piece, &mut ends);
        // One look at all of them is faster than one at each.
        if counts::newlines(&piece) > (start + ends.len()) as u64 {
            piece = one_line_each(self.items.py(), &piece, start, &ends, position)?;
        }
        added?;
        Ok(Some(piece).filter(|_| !ends.is_empty()))
    }

    /// Adds items until a piece is full, and where each ends.
    fn add_items(&mut self, piece: &mut Vec<u8>, ends: &mut Vec<usize>) -> PyResult<()> {
        while piece.len() < PIECE {
            let Some(item) = self.items.next() else { break };
            self.add(&item?, piece)?;
            self.position += 1;
            ends.push(piece.len());
        }
        Ok(())
    }

    fn add(&self, item: &Bound<'_, PyAny>, piece: &mut Vec<u8>) -> PyResult<()> {
        let position = self.position;
        let Ok(text) = item.cast::<PyString>() else {
            return Err(args::not_a(&format!("items[{position}]"), item, "str"));
        };
        let text = text.to_str().map_err(|error| {
            let reason = error.value(item.py());
            PyValueError::new_err(format!("items[{position}] is no text: {reason}"))
        })?;
        piece.extend_from_slice(text.as_bytes());
        piece.push(b'\n');
        Ok(())
    }
}

/// Items of which some hold newlines, without them where they are at an end.
fn one_line_each(
    py: Python<'_>,
    piece: &[u8],
    mut start: usize,
    ends: &[usize],
    position: usize,
) -> PyResult<Vec<u8>> {
    let mut lines = piece.get(..start).unwrap_or_default().to_vec();
    for (place, &end) in (position..).zip(ends) {
        let item = piece.get(start..end - 1).unwrap_or_default();
        let item = str::from_utf8(item).unwrap_or_default();
        let line = counts::strip(item);
        if line.contains('\n') {
            let item = PyString::new(py, item);
            let message = format!(
                "items[{place}] is {}, which holds a newline; expected one line",
                shorten(item.as_any().as_borrowed())
            );
            return Err(PyValueError::new_err(message));
        }
        lines.extend_from_slice(line.as_bytes());
        lines.push(b'\n');
        start = end;
    }
    Ok(lines)
}
