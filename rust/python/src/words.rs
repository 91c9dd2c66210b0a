//! Running text as arrays of ids.

use fastgrad_core::Result;
use fastgrad_core::progress::Progress;
use fastgrad_core::words::{Encoded, Eos, Ids, Limits, Reader, Text, Tokenizer};
use numpy::{IntoPyArray, Ix1, PyArray1};
use pyo3::exceptions::{PyRuntimeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyList;

use crate::args;
use crate::errors::guard;
use crate::run::{Cost, run};

/// The nanoseconds to read a byte.
const A_BYTE: u64 = 5;
/// The nanoseconds to encode a token.
const A_TOKEN: u64 = 10;

/// A reader of a text that comes in chunks. Encoding the text ends the reader.
#[pyclass(module = "fastgrad._core")]
pub struct WordReader {
    reader: Option<Reader>,
}

#[pymethods]
impl WordReader {
    /// Make a reader; `name` is the text's, for messages.
    #[new]
    #[pyo3(signature = (name, tokenizer="space", eos=None))]
    fn new(name: &Bound<'_, PyAny>, tokenizer: &str, eos: Option<&str>) -> PyResult<WordReader> {
        guard(|| {
            let name = args::owned("name", name)?;
            let refused = |name, given, expected| {
                let shown = args::quoted(given);
                PyValueError::new_err(format!("{name} is {shown}; expected {expected}"))
            };
            let tokenizer = match tokenizer {
                "space" => Tokenizer::Space,
                "simple" => Tokenizer::Simple,
                _ => return Err(refused("tokenizer", tokenizer, "'space' or 'simple'")),
            };
            let eos = match eos {
                None => Eos::None,
                Some("line") => Eos::Line,
                Some("paragraph") => Eos::Paragraph,
                Some(eos) => return Err(refused("eos", eos, "None, 'line' or 'paragraph'")),
            };
            Ok(WordReader { reader: Some(Reader::new(name, tokenizer, eos)) })
        })
    }

    /// Read a chunk of UTF-8, which may end anywhere; an error ends the reader.
    #[pyo3(signature = (chunk, /))]
    fn feed(&mut self, py: Python<'_>, chunk: &[u8]) -> PyResult<()> {
        guard(|| {
            let mut reader = self.reader.take().ok_or_else(ended)?;
            let cost = Cost::of(chunk.len(), A_BYTE);
            run(py, cost, None, |progress| reader.feed(chunk, progress))?;
            self.reader = Some(reader);
            Ok(())
        })
    }

    /// End the text, which must have a token, and its last sentence, if `eos` was given; an error
    /// ends the reader.
    fn end(&mut self, py: Python<'_>) -> PyResult<()> {
        guard(|| {
            let mut reader = self.reader.take().ok_or_else(ended)?;
            let cost = Cost::of(reader.pending(), A_BYTE);
            run(py, cost, None, |progress| reader.end(progress))?;
            self.reader = Some(reader);
            Ok(())
        })
    }

    /// Return the number of tokens so far, those that end sentences included.
    #[getter]
    fn tokens(&self) -> PyResult<usize> {
        self.reader.as_ref().map(Reader::tokens).ok_or_else(ended)
    }

    /// Return the number of distinct tokens so far.
    #[getter]
    fn types(&self) -> PyResult<usize> {
        self.reader.as_ref().map(Reader::types).ok_or_else(ended)
    }

    /// Take the tokens read since the last call out of the reader and return them, (T,) uint32: 0 for
    /// one that ends sentences, otherwise the number of its type plus 1.
    fn take<'py>(&mut self, py: Python<'py>) -> PyResult<Bound<'py, PyArray1<u32>>> {
        guard(|| {
            let reader = self.reader.as_mut().ok_or_else(ended)?;
            Ok(reader.take().into_pyarray(py))
        })
    }

    /// Choose a vocabulary by the counts, (types + 1,) uint64, that the numbers of `take` have in a
    /// training part; return the id of each number, and the vocabulary.
    #[pyo3(signature = (counts, unk, eos=None, *, max_size=None, min_count=1))]
    fn vocabulary<'py>(
        &mut self,
        py: Python<'py>,
        counts: &Bound<'py, PyAny>,
        unk: &Bound<'_, PyAny>,
        eos: Option<&Bound<'_, PyAny>>,
        max_size: Option<usize>,
        min_count: u64,
    ) -> PyResult<(Bound<'py, PyArray1<u32>>, Bound<'py, PyList>)> {
        guard(|| {
            let limits = Limits { max_size, min_count, ..read_limits(unk, eos)? };
            let counts = args::array::<u64, Ix1>("counts", counts)?.read()?;
            let counts = counts.as_array();
            let (numbers, symbols) = self.end_with(py, 0, |text, progress| {
                let counts = args::contiguous(&counts, progress)?;
                text.numbers_by_count(&counts, &limits, progress)
            })?;
            Ok((numbers.into_pyarray(py), args::string_list(py, symbols.iter())?))
        })
    }

    /// Return the id that a vocabulary has for each of the numbers that `take` returns; see
    /// `encode`.
    #[pyo3(signature = (symbols, unk, eos=None))]
    fn numbers<'py>(
        &mut self,
        py: Python<'py>,
        symbols: &Bound<'py, PyAny>,
        unk: u32,
        eos: Option<u32>,
    ) -> PyResult<Bound<'py, PyArray1<u32>>> {
        guard(|| {
            let symbols = args::strings("symbols", symbols)?;
            let numbers = self.end_with(py, symbols.len(), |text, progress| {
                text.numbers(&symbols, unk, eos, progress)
            })?;
            Ok(numbers.into_pyarray(py))
        })
    }

    /// Encode the text with a vocabulary chosen from its counts; return the ids and the vocabulary.
    #[pyo3(signature = (unk, eos=None, *, train=None, max_size=None, min_count=1))]
    fn choose<'py>(
        &mut self,
        py: Python<'py>,
        unk: &Bound<'_, PyAny>,
        eos: Option<&Bound<'_, PyAny>>,
        train: Option<usize>,
        max_size: Option<usize>,
        min_count: u64,
    ) -> PyResult<(Bound<'py, PyAny>, Bound<'py, PyList>)> {
        guard(|| {
            let limits = Limits { train, max_size, min_count, ..read_limits(unk, eos)? };
            let Encoded { ids, symbols } =
                self.end_with(py, 0, |text, progress| text.choose(&limits, progress))?;
            Ok((to_array(py, ids), args::string_list(py, symbols.iter())?))
        })
    }

    /// Encode the text with a given vocabulary and return the ids; `unk` and `eos` are the ids of
    /// its unk and eos tokens.
    #[pyo3(signature = (symbols, unk, eos=None))]
    fn encode<'py>(
        &mut self,
        py: Python<'py>,
        symbols: &Bound<'py, PyAny>,
        unk: u32,
        eos: Option<u32>,
    ) -> PyResult<Bound<'py, PyAny>> {
        guard(|| {
            let symbols = args::strings("symbols", symbols)?;
            let ids = self.end_with(py, symbols.len(), |text, progress| {
                text.encode(&symbols, unk, eos, progress)
            })?;
            Ok(to_array(py, ids))
        })
    }
}

impl WordReader {
    /// Ends the reader, and runs work on its text and a vocabulary of so many symbols.
    fn end_with<T: Send>(
        &mut self,
        py: Python<'_>,
        symbols: usize,
        work: impl FnOnce(Text, &Progress) -> Result<T> + Send,
    ) -> PyResult<T> {
        let reader = self.reader.take().ok_or_else(ended)?;
        let items = reader.tokens().saturating_add(reader.pending()).saturating_add(symbols);
        run(py, Cost::of(items, A_TOKEN), None, |progress| work(reader.finish(progress)?, progress))
    }
}

/// Reads the unk token and the eos token of a vocabulary without other limits.
fn read_limits(unk: &Bound<'_, PyAny>, eos: Option<&Bound<'_, PyAny>>) -> PyResult<Limits> {
    let unk = args::owned("unk", unk)?;
    let eos = eos.map(|eos| args::owned("eos", eos)).transpose()?;
    Ok(Limits { train: None, max_size: None, min_count: 1, unk, eos })
}

#[cold]
fn ended() -> PyErr {
    PyRuntimeError::new_err("the text was numbered already; a reader reads one text")
}

fn to_array(py: Python<'_>, ids: Ids) -> Bound<'_, PyAny> {
    match ids {
        Ids::Short(ids) => ids.into_pyarray(py).into_any(),
        Ids::Long(ids) => ids.into_pyarray(py).into_any(),
    }
}
