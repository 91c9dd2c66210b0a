//! The type `NgramCounts`, and functions that count files, pipes, bytes, strings and ids.
//!
//! The core reads regular files. For every other path Python's `open` is called: it raises the
//! usual error for a missing file, and Ctrl-C ends its wait for a pipe.

use std::fs::File;
use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::thread::available_parallelism;
use std::time::Duration;

use fastgrad_core::ngram_counts::{self, Counts, Order, Settings};
use fastgrad_core::progress::Progress;
use fastgrad_core::{Error, Result, text};
use numpy::{IntoPyArray, Ix1, Ix2, PyArray1, PyArray2};
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyIterator, PyString};

use crate::args::{self, shorten};
use crate::errors::{guard, to_python};
use crate::py_reader::run_on_chunks;
use crate::run::{Cost, run};

/// The nanoseconds to process an n-gram.
const A_GRAM: u64 = 16;
/// The nanoseconds to count a byte, on one thread.
const A_BYTE: u64 = 1;
/// A text below this size is counted on one thread.
const SMALL: usize = 1 << 21;
/// The bytes requested from Python at a time.
const CHUNK: usize = 1 << 18;

/// Adds the type and the functions to the module.
pub fn add_to(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<NgramCounts>()?;
    add_functions!(module; count_path, count_part, count_bytes, count_items, count_ids);
    Ok(())
}

/// The count of each n-gram of characters in a text.
#[pyclass(module = "fastgrad._core", frozen)]
pub struct NgramCounts(pub Counts);

/// Ids, a row for each n-gram, and the counts of the rows.
type Entries<'py> = (Bound<'py, PyArray2<u32>>, Bound<'py, PyArray1<u64>>);

/// The arguments of `NgramCounts.from_entries`.
type Parts<'py> = (usize, String, u64, Bound<'py, PyArray2<u32>>, Bound<'py, PyArray1<u64>>);

#[pymethods]
impl NgramCounts {
    /// The order of the n-grams: 2 for bigrams, 3 for trigrams.
    #[getter]
    fn order(&self) -> usize {
        self.0.order().get()
    }

    /// The alphabet in ascending order, without the boundary: the character of id i + 1 is at index i.
    #[getter]
    fn characters(&self) -> PyResult<String> {
        guard(|| {
            let mut text = String::new();
            // A character has four bytes at most.
            let bytes = self.0.characters().len().saturating_mul(4);
            text.try_reserve(bytes).map_err(|_| to_python(&Error::Memory))?;
            text.extend(self.0.characters());
            Ok(text)
        })
    }

    /// The number of items counted.
    #[getter]
    fn items(&self) -> u64 {
        self.0.items()
    }

    /// The number of n-grams counted.
    #[getter]
    fn total(&self) -> u64 {
        self.0.total()
    }

    /// Return all counts: an array of uint64 with the shape (V,) * order.
    fn dense<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        guard(|| {
            let symbols = self.0.characters().len() + 1;
            let dense = self.work(py, 0, |progress| self.0.dense(progress))?;
            Ok(match self.0.order() {
                Order::Bigrams => args::output(py, dense, [symbols; 2])?.into_any(),
                Order::Trigrams => args::output(py, dense, [symbols; 3])?.into_any(),
            })
        })
    }

    /// Return the n-grams that occur: ids of shape (K, order), in lexicographic order, and counts
    /// (K,).
    fn entries<'py>(&self, py: Python<'py>) -> PyResult<Entries<'py>> {
        guard(|| {
            let (ids, counts) = self.work(py, 0, |progress| self.0.entries(progress))?;
            let shape = [counts.len(), self.order()];
            Ok((args::output(py, ids, shape)?, counts.into_pyarray(py)))
        })
    }

    /// Return the k most frequent n-grams, as `entries` does; those of equal counts in
    /// lexicographic order.
    fn top<'py>(&self, py: Python<'py>, k: &Bound<'py, PyAny>) -> PyResult<Entries<'py>> {
        guard(|| {
            let to_size = |k| usize::try_from(k).ok();
            let k = args::whole("k", k, "an int of at least 0", to_size)?;
            let (ids, counts) = self.work(py, 0, |progress| self.0.top(k, progress))?;
            let shape = [counts.len(), self.order()];
            Ok((args::output(py, ids, shape)?, counts.into_pyarray(py)))
        })
    }

    /// Return the same counts over a larger alphabet.
    fn with_characters(
        &self,
        py: Python<'_>,
        characters: &Bound<'_, PyAny>,
    ) -> PyResult<NgramCounts> {
        guard(|| {
            let characters = args::characters("characters", characters)?;
            self.work(py, 0, |progress| self.0.with_characters(characters, progress))
                .map(NgramCounts)
        })
    }

    /// Make counts from what `entries` returns; `ValueError` for what no text can have.
    #[staticmethod]
    fn from_entries(
        py: Python<'_>,
        order: &Bound<'_, PyAny>,
        characters: &Bound<'_, PyAny>,
        items: &Bound<'_, PyAny>,
        ids: &Bound<'_, PyAny>,
        counts: &Bound<'_, PyAny>,
    ) -> PyResult<NgramCounts> {
        guard(|| {
            let order = read_order(order)?;
            let characters = args::characters("characters", characters)?;
            let items = args::whole("items", items, "an int of at least 0", Some)?;
            let ids = args::array::<u32, Ix2>("ids", ids)?;
            let counts = args::array::<u64, Ix1>("counts", counts)?;
            let (rows, width) = (ids.axis(0), ids.axis(1));
            if width != order.get() || rows != counts.axis(0) {
                let (counts, order) = (counts.axis(0), order.get());
                let message = format!(
                    "ids has shape ({rows}, {width}); expected ({counts}, {order}): a row for each \
                     count, and in it as many ids as order says"
                );
                return Err(PyValueError::new_err(message));
            }
            let (ids, counts) = (ids.read()?, counts.read()?);
            let (ids, counts) = (ids.as_array(), counts.as_array());
            run(py, Cost::of(rows, A_GRAM), None, |progress| {
                let (ids, counts) =
                    (args::contiguous(&ids, progress)?, args::contiguous(&counts, progress)?);
                Counts::from_entries(order, characters, items, &ids, &counts, progress)
            })
            .map(NgramCounts)
        })
    }

    fn __add__(&self, py: Python<'_>, other: &NgramCounts) -> PyResult<NgramCounts> {
        let work = |progress: &Progress| self.0.plus(&other.0, progress);
        guard(|| self.work(py, other.0.len(), work).map(NgramCounts))
    }

    fn __eq__(&self, py: Python<'_>, other: &NgramCounts) -> PyResult<bool> {
        guard(|| self.work(py, 0, |progress| self.0.equals(&other.0, progress)))
    }

    fn __repr__(&self) -> String {
        format!(
            "NgramCounts(order={}, characters={}, items={}, total={})",
            self.order(),
            self.0.characters().len(),
            self.items(),
            self.total()
        )
    }

    fn __reduce__<'py>(&self, py: Python<'py>) -> PyResult<(Bound<'py, PyAny>, Parts<'py>)> {
        let (ids, counts) = self.entries(py)?;
        let make = py.get_type::<NgramCounts>().getattr("from_entries")?;
        Ok((make, (self.order(), self.characters()?, self.items(), ids, counts)))
    }
}

impl NgramCounts {
    /// Runs work over all n-grams, and `more` others.
    fn work<T: Send>(
        &self,
        py: Python<'_>,
        more: usize,
        work: impl FnOnce(&Progress) -> Result<T> + Send,
    ) -> PyResult<T> {
        run(py, Cost::of(self.0.len().saturating_add(more), A_GRAM), None, work)
    }
}

/// Reads an order.
fn read_order(order: &Bound<'_, PyAny>) -> PyResult<Order> {
    let expected = "2 (bigrams) or 3 (trigrams)";
    let check = |order| usize::try_from(order).ok().and_then(|order| Order::new(order).ok());
    args::whole("order", order, expected, check)
}

/// Count the n-grams of a file, one item per line; "-" is standard input. With `blank`, the counts of
/// a file without items are empty; otherwise such a file is an error.
#[pyfunction]
#[pyo3(signature = (path, order=None, threads=None, progress=None, blank=false))]
#[pyo3(text_signature = "(path, order=2, threads=None, progress=None, blank=False)")]
fn count_path(
    py: Python<'_>,
    path: PathBuf,
    order: Option<&Bound<'_, PyAny>>,
    threads: Option<&Bound<'_, PyAny>>,
    progress: Option<&Bound<'_, PyAny>>,
    blank: bool,
) -> PyResult<NgramCounts> {
    guard(|| count_what_is_at(py, path, &Arguments::read(order, threads, blank)?, progress))
}

/// Count the n-grams of the bytes from `start` to `stop` of a file, both of them starts of lines or
/// the file's ends; there may be no items.
#[pyfunction]
#[pyo3(signature = (path, start, stop, order=None, threads=None, progress=None))]
#[pyo3(text_signature = "(path, start, stop, order=2, threads=None, progress=None)")]
fn count_part(
    py: Python<'_>,
    path: &Bound<'_, PyAny>,
    start: u64,
    stop: u64,
    order: Option<&Bound<'_, PyAny>>,
    threads: Option<&Bound<'_, PyAny>>,
    progress: Option<&Bound<'_, PyAny>>,
) -> PyResult<NgramCounts> {
    guard(|| {
        let arguments = Arguments::read(order, threads, true)?;
        let path: PathBuf = path.extract()?;
        let name = path.display().to_string();
        let Some((file, _)) = regular_file(&path) else {
            let message = format!("{name} is no regular file; expected one that has parts");
            return Err(PyValueError::new_err(message));
        };
        let size = usize::try_from(stop.saturating_sub(start)).unwrap_or(usize::MAX);
        let settings = arguments.settings(&name, Some(size));
        run(py, Cost::of(size, A_BYTE), progress, |progress| {
            ngram_counts::count_part(&file, (start, stop), &settings, progress)
        })
        .map(NgramCounts)
    })
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
        // Files of the system, such as those in /proc, report no length and cannot be read at an
        // offset.
        let cost = if size == 0 { Cost::UNKNOWN } else { Cost::of(size, A_BYTE) };
        return run(py, cost, progress, |progress| {
            if size >= SMALL {
                ngram_counts::count_file(&file, size as u64, &settings, progress)
            } else {
                ngram_counts::count_reader(file, &settings, progress)
            }
        })
        .map(NgramCounts);
    }
    let file = py.import("io")?.call_method1("open", (path, "rb", 0))?;
    let counts = count_python_file(&file, &arguments.settings(&name, None), progress);
    file.call_method0("close")?;
    counts
}

/// Count the n-grams of a text in memory, one item per line; `blank` is that of `count_path`.
#[pyfunction]
#[pyo3(signature = (data, order=None, threads=None, progress=None, blank=false))]
#[pyo3(text_signature = "(data, order=2, threads=None, progress=None, blank=False)")]
fn count_bytes(
    py: Python<'_>,
    data: &Bound<'_, PyAny>,
    order: Option<&Bound<'_, PyAny>>,
    threads: Option<&Bound<'_, PyAny>>,
    progress: Option<&Bound<'_, PyAny>>,
    blank: bool,
) -> PyResult<NgramCounts> {
    guard(|| {
        let Ok(bytes) = data.cast::<PyBytes>() else {
            return Err(args::not_a("data", data, "bytes"));
        };
        let text = bytes.as_bytes();
        let settings = Arguments::read(order, threads, blank)?;
        let settings = settings.settings("the text", Some(text.len()));
        run(py, Cost::of(text.len(), A_BYTE), progress, |progress| {
            ngram_counts::count_bytes(text, &settings, progress)
        })
        .map(NgramCounts)
    })
}

/// Count the n-grams of strings, one item each.
#[pyfunction]
#[pyo3(signature = (items, order=None, threads=None))]
#[pyo3(text_signature = "(items, order=2, threads=None)")]
fn count_items(
    py: Python<'_>,
    items: &Bound<'_, PyAny>,
    order: Option<&Bound<'_, PyAny>>,
    threads: Option<&Bound<'_, PyAny>>,
) -> PyResult<NgramCounts> {
    guard(|| count_all_items(py, items, &Arguments::read(order, threads, false)?))
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
    let Some(first) = lines.next_chunk()? else {
        return Err(PyValueError::new_err("items is empty; expected at least one item"));
    };
    if first.len() < CHUNK {
        let settings = arguments.settings("items", Some(first.len()));
        return run(py, Cost::of(first.len(), A_BYTE), None, |progress| {
            ngram_counts::count_bytes(&first, &settings, progress)
        })
        .map(NgramCounts);
    }
    let settings = arguments.settings("items", None);
    let mut first = Some(first);
    let produce = || first.take().map_or_else(|| lines.next_chunk(), |chunk| Ok(Some(chunk)));
    run_on_chunks(py, None, produce, |reader, progress| {
        ngram_counts::count_reader(reader, &settings, progress)
    })
    .map(NgramCounts)
}

/// Count the n-grams of ids, in which one or more 0 separate items.
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
        let order = Arguments::read(order, None, false)?.order;
        let characters = args::characters("characters", characters)?;
        let ids = args::array::<u32, Ix1>("ids", ids)?.read()?;
        let ids = ids.as_array();
        run(py, Cost::of(ids.len(), A_BYTE), None, |progress| {
            ngram_counts::count_ids(
                &args::contiguous(&ids, progress)?,
                characters,
                order,
                "ids",
                progress,
            )
        })
        .map(NgramCounts)
    })
}

/// The arguments that all ways of counting text share.
struct Arguments {
    order: Order,
    threads: Option<usize>,
    may_be_blank: bool,
}

impl Arguments {
    fn read(
        order: Option<&Bound<'_, PyAny>>,
        threads: Option<&Bound<'_, PyAny>>,
        may_be_blank: bool,
    ) -> PyResult<Arguments> {
        let order = order.map_or(Ok(Order::Bigrams), read_order)?;
        Ok(Arguments { order, threads: threads.map(args::threads).transpose()?, may_be_blank })
    }

    /// Returns the settings for a text, whose size may be unknown: all cores, unless it is small.
    fn settings<'a>(&self, name: &'a str, size: Option<usize>) -> Settings<'a> {
        let threads = self.threads.unwrap_or_else(|| {
            // Finding the number of cores reads files of the system, which takes a while.
            let is_small = size.is_some_and(|size| size < SMALL);
            if is_small { 1 } else { available_parallelism().map_or(1, NonZero::get) }
        });
        let may_be_blank = self.may_be_blank;
        Settings { threads, may_be_blank, ..Settings::new(self.order, name) }
    }
}

/// Returns a regular file and its size; None for anything else, for which Python's `open` raises
/// the error.
fn regular_file(path: &Path) -> Option<(File, usize)> {
    // Checked before opening, as opening a pipe may wait for ever.
    std::fs::metadata(path).ok().filter(std::fs::Metadata::is_file)?;
    let file = File::open(path).ok()?;
    let metadata = file.metadata().ok().filter(std::fs::Metadata::is_file)?;
    Some((file, usize::try_from(metadata.len()).unwrap_or(usize::MAX)))
}

/// Counts what a binary file object of Python reads.
fn count_python_file(
    file: &Bound<'_, PyAny>,
    settings: &Settings<'_>,
    progress: Option<&Bound<'_, PyAny>>,
) -> PyResult<NgramCounts> {
    let py = file.py();
    // `read1` returns what is there, rather than wait for all that was requested.
    let name = if file.hasattr("read1")? { "read1" } else { "read" };
    let read = file.getattr(name)?;
    let produce = || {
        let chunk = read.call1((CHUNK,))?;
        if chunk.is_none() {
            // The file is in non-blocking mode, and nothing is there yet.
            py.detach(|| std::thread::sleep(Duration::from_millis(5)));
            py.check_signals()?;
            return Ok(Some(Vec::new()));
        }
        let bytes = match chunk.cast::<PyString>() {
            Ok(text) => text.encode_utf8()?,
            Err(_) => chunk.cast_into::<PyBytes>()?,
        };
        let bytes = bytes.as_bytes().to_vec();
        Ok(Some(bytes).filter(|bytes| !bytes.is_empty()))
    };
    run_on_chunks(py, progress, produce, |reader, progress| {
        ngram_counts::count_reader(reader, settings, progress)
    })
    .map(NgramCounts)
}

/// Items as lines.
struct Lines<'py> {
    items: Bound<'py, PyIterator>,
    position: usize,
}

impl Lines<'_> {
    /// Returns the next items, one per line; None after the last one.
    fn next_chunk(&mut self) -> PyResult<Option<Vec<u8>>> {
        let mut chunk = Vec::with_capacity(CHUNK + 64);
        if self.position == 0 {
            // After a blank line a BOM is read as a character, as it is one in an item.
            chunk.push(b'\n');
        }
        let (position, start) = (self.position, chunk.len());
        let mut ends = Vec::new();
        let added = self.add_items(&mut chunk, &mut ends);
        // Checking all items at once is faster than each by itself.
        if text::newlines(&chunk) > (start + ends.len()) as u64 {
            chunk = one_line_each(self.items.py(), &chunk, start, &ends, position)?;
        }
        added?;
        Ok(Some(chunk).filter(|_| !ends.is_empty()))
    }

    /// Adds items, and the end of each, until a chunk is full.
    fn add_items(&mut self, chunk: &mut Vec<u8>, ends: &mut Vec<usize>) -> PyResult<()> {
        while chunk.len() < CHUNK {
            let Some(item) = self.items.next() else { break };
            self.add(&item?, chunk)?;
            self.position += 1;
            ends.push(chunk.len());
        }
        Ok(())
    }

    fn add(&self, item: &Bound<'_, PyAny>, chunk: &mut Vec<u8>) -> PyResult<()> {
        let text = args::text(format_args!("items[{}]", self.position), item)?;
        chunk.extend_from_slice(text.as_bytes());
        chunk.push(b'\n');
        Ok(())
    }
}

/// Strips the items, some of which hold newlines; raises `ValueError` where a newline remains.
fn one_line_each(
    py: Python<'_>,
    chunk: &[u8],
    mut start: usize,
    ends: &[usize],
    position: usize,
) -> PyResult<Vec<u8>> {
    let Some(before) = chunk.get(..start) else { unreachable!("items end inside of the chunk") };
    let mut lines = before.to_vec();
    for (place, &end) in (position..).zip(ends) {
        let Some(Ok(item)) = chunk.get(start..end - 1).map(str::from_utf8) else {
            unreachable!("items are strings inside of the chunk")
        };
        let line = text::strip(item);
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
