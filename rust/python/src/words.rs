//! Running text as arrays of ids.

use fastgrad_core::words::{Encoded, Ids, Limits, Marks, Reader, Text, Tokenizer};
use numpy::IntoPyArray;
use pyo3::exceptions::{PyRuntimeError, PyValueError};
use pyo3::prelude::*;

use crate::error::to_python;
use crate::watch;

/// A text that is read in pieces, and then numbered, which ends the reader.
#[pyclass(module = "fastgrad._core")]
pub struct WordReader {
    reader: Option<Reader>,
}

#[pymethods]
impl WordReader {
    /// `name` is that of the text, for messages.
    #[new]
    #[pyo3(signature = (name, tokenizer="space", marks=None))]
    fn new(name: String, tokenizer: &str, marks: Option<&str>) -> PyResult<WordReader> {
        let tokenizer = match tokenizer {
            "space" => Tokenizer::Space,
            "simple" => Tokenizer::Simple,
            _ => {
                let message = format!("tokenizer is '{tokenizer}'; expected 'space' or 'simple'");
                return Err(PyValueError::new_err(message));
            }
        };
        let marks = match marks {
            None => Marks::None,
            Some("line") => Marks::Line,
            Some("paragraph") => Marks::Paragraph,
            Some(marks) => {
                let message = format!("marks is '{marks}'; expected None, 'line' or 'paragraph'");
                return Err(PyValueError::new_err(message));
            }
        };
        Ok(WordReader { reader: Some(Reader::new(name, tokenizer, marks)) })
    }

    /// Reads a piece of UTF-8, which may end anywhere; a megabyte takes a few milliseconds.
    #[pyo3(signature = (piece, /))]
    fn feed(&mut self, py: Python<'_>, piece: &[u8]) -> PyResult<()> {
        let reader = self.reader.as_mut().ok_or_else(ended)?;
        watch::briefly(py, |_| reader.feed(piece))
    }

    /// Ends the text, which must have a token, and with it a line or paragraph that is marked.
    fn end(&mut self) -> PyResult<()> {
        let reader = self.reader.as_mut().ok_or_else(ended)?;
        reader.end().map_err(|error| to_python(&error))
    }

    /// How many tokens there are so far, marks included.
    #[getter]
    fn tokens(&self) -> PyResult<usize> {
        self.reader.as_ref().map(Reader::tokens).ok_or_else(ended)
    }

    /// How many distinct tokens there are so far.
    #[getter]
    fn types(&self) -> PyResult<usize> {
        self.reader.as_ref().map(Reader::types).ok_or_else(ended)
    }

    /// Numbers the text with a vocabulary of its own: the ids, and the symbols.
    #[pyo3(signature = (rare, mark=None, *, train=None, max_size=None, min_count=1))]
    fn choose<'py>(
        &mut self,
        py: Python<'py>,
        rare: String,
        mark: Option<String>,
        train: Option<usize>,
        max_size: Option<usize>,
        min_count: u64,
    ) -> PyResult<(Bound<'py, PyAny>, Vec<String>)> {
        let text = self.finish()?;
        let limits = Limits { train, max_size, min_count, rare, mark };
        let Encoded { ids, symbols } = watch::run(py, None, |watch| text.choose(&limits, watch))?;
        Ok((to_array(py, ids), symbols))
    }

    /// Numbers the text with symbols that are given; `rare` and `mark` are places among them.
    #[pyo3(signature = (symbols, rare, mark=None))]
    #[allow(clippy::needless_pass_by_value, reason = "PyO3 extracts a value")]
    fn encode<'py>(
        &mut self,
        py: Python<'py>,
        symbols: Vec<String>,
        rare: u32,
        mark: Option<u32>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let text = self.finish()?;
        let ids = watch::run(py, None, |watch| text.encode(&symbols, rare, mark, watch))?;
        Ok(to_array(py, ids))
    }
}

impl WordReader {
    fn finish(&mut self) -> PyResult<Text> {
        let reader = self.reader.take().ok_or_else(ended)?;
        reader.finish().map_err(|error| to_python(&error))
    }
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
