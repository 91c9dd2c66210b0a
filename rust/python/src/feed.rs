//! Work over bytes that only Python can provide: standard input, pipes, strings.
//!
//! The thread that called asks Python for bytes and answers signals, so that Ctrl-C ends a read that
//! waits; the work runs on threads of its own and reads what was handed over.

use std::io::{self, Read};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::time::Instant;

use fastgrad_core::Result;
use fastgrad_core::progress::Progress;
use pyo3::exceptions::PyMemoryError;
use pyo3::prelude::*;

use crate::run::{PERIOD, in_background, look, settle};

/// How many pieces wait for the work at most.
const WAITING: usize = 4;

/// The bytes handed over, as the work reads them.
pub struct Fed {
    pieces: Receiver<Vec<u8>>,
    piece: io::Cursor<Vec<u8>>,
}

impl Read for Fed {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let count = self.piece.read(buffer)?;
            if count > 0 {
                return Ok(count);
            }
            match self.pieces.recv() {
                Ok(piece) => self.piece = io::Cursor::new(piece),
                Err(_) => return Ok(0),
            }
        }
    }
}

/// Runs work over the pieces that `produce` gives until it gives none.
///
/// An exception of `produce`, of `callback` or of a signal handler ends the work and is passed on.
pub fn feed<T: Send>(
    py: Python<'_>,
    callback: Option<&Bound<'_, PyAny>>,
    mut produce: impl FnMut() -> PyResult<Option<Vec<u8>>>,
    work: impl FnOnce(Fed, &Progress) -> Result<T> + Send,
) -> PyResult<T> {
    let progress = Progress::new();
    let (sender, pieces) = mpsc::sync_channel(WAITING);
    let fed = Fed { pieces, piece: io::Cursor::default() };
    let mut looked = Instant::now();
    let mut raised = Ok(());
    let hand_over = |ended: &mut Receiver<()>| {
        raised = loop {
            if looked.elapsed() > PERIOD {
                looked = Instant::now();
                if let Err(error) = look(py, callback, &progress) {
                    break Err(error);
                }
            }
            // A signal that has come by now would not end a read that begins after it.
            if let Err(error) = py.check_signals() {
                break Err(error);
            }
            match produce() {
                Ok(Some(piece)) => {
                    // It fails when the work has ended, with an error that is told below.
                    if py.detach(|| sender.send(piece)).is_err() {
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
                raised = look(py, callback, &progress);
            }
        }
    };
    let result = in_background(|| work(fed, &progress), hand_over);
    // A signal that came with the last bytes goes before whatever is wrong with them.
    raised.and_then(|()| py.check_signals())?;
    let refused = || PyMemoryError::new_err("the system refuses a thread");
    let value = settle(result.ok_or_else(refused)?)?;
    look(py, callback, &progress)?;
    Ok(value)
}
