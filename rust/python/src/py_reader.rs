//! A reader of bytes that only Python can provide: standard input, pipes, strings.
//!
//! The calling thread asks Python for chunks and answers signals, so that Ctrl-C ends a read that
//! waits; the work reads the chunks on threads of its own.

use std::io::{self, Read};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::time::Instant;

use fastgrad_core::Result;
use fastgrad_core::progress::Progress;
use pyo3::exceptions::PyMemoryError;
use pyo3::prelude::*;

use crate::run::{PERIOD, in_background, report, to_result};

/// The most chunks that wait to be read.
const WAITING: usize = 4;

/// A reader of the chunks that the calling thread sends.
pub struct PyReader {
    chunks: Receiver<Vec<u8>>,
    chunk: io::Cursor<Vec<u8>>,
}

impl Read for PyReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let count = self.chunk.read(buffer)?;
            if count > 0 {
                return Ok(count);
            }
            match self.chunks.recv() {
                Ok(chunk) => self.chunk = io::Cursor::new(chunk),
                Err(_) => return Ok(0),
            }
        }
    }
}

/// Runs work on a reader of the chunks that `produce` returns until it returns none.
///
/// An exception of `produce`, of `callback` or of a signal handler ends the work and is passed on.
pub fn run_on_chunks<T: Send>(
    py: Python<'_>,
    callback: Option<&Bound<'_, PyAny>>,
    mut produce: impl FnMut() -> PyResult<Option<Vec<u8>>>,
    work: impl FnOnce(PyReader, &Progress) -> Result<T> + Send,
) -> PyResult<T> {
    let progress = Progress::new();
    let (sender, chunks) = mpsc::sync_channel(WAITING);
    let reader = PyReader { chunks, chunk: io::Cursor::default() };
    let mut reported = Instant::now();
    let mut raised = Ok(());
    let send_chunks = |ended: &mut Receiver<()>| {
        raised = loop {
            if reported.elapsed() > PERIOD {
                reported = Instant::now();
                if let Err(error) = report(py, callback, &progress) {
                    break Err(error);
                }
            }
            // A read is ended only by a signal that comes during it. One that came before is therefore
            // answered here.
            if let Err(error) = py.check_signals() {
                break Err(error);
            }
            match produce() {
                Ok(Some(chunk)) => {
                    // Sending fails when the work has ended with an error, which is raised below.
                    if py.detach(|| sender.send(chunk)).is_err() {
                        break Ok(());
                    }
                }
                Ok(None) => break Ok(()),
                Err(error) => break Err(error),
            }
        };
        drop(sender);
        loop {
            if raised.is_err() {
                progress.cancel();
            }
            let ended = &mut *ended;
            let waited = py.detach(move || ended.recv_timeout(PERIOD));
            if waited != Err(RecvTimeoutError::Timeout) {
                break;
            }
            if raised.is_ok() {
                raised = report(py, callback, &progress);
            }
        }
    };
    let result = in_background(|| work(reader, &progress), send_chunks);
    // A signal that came with the last bytes is answered before an error in them is raised.
    raised.and_then(|()| py.check_signals())?;
    let refused = || PyMemoryError::new_err("the system refuses a thread");
    let value = to_result(result.ok_or_else(refused)?)?;
    report(py, callback, &progress)?;
    Ok(value)
}
