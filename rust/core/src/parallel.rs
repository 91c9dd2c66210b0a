//! An ordered parallel map: several threads compute parts, and the calling thread takes them in
//! order.

use std::sync::OnceLock;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread::{self, Builder};
use std::time::Duration;

use crate::Result;
use crate::progress::Progress;

/// How long the caller's thread waits for a part before it may answer signals.
const PATIENCE: Duration = Duration::from_millis(40);
/// The most parts that a thread may be ahead, so that memory stays bounded.
const AHEAD: usize = 2;

/// Makes the parts 0 to `parts` - 1 on `threads` threads, and hands them to `take` in order.
///
/// Thread t makes the parts t, t + threads, and so on; where the system refuses so many threads,
/// there are fewer, or the caller's own does all. `take` is called on the caller's thread:
/// with a part, or with None where none was ready for 40 milliseconds.
///
/// # Errors
/// The first error of `take`, or that of the first part that could not be made; either ends the
/// work of all threads.
pub fn ordered_parallel_map<T: Send, E: From<crate::Error>>(
    parts: u64,
    threads: usize,
    progress: &Progress,
    make: impl Fn(u64) -> Result<T> + Sync,
    mut take: impl FnMut(Option<T>) -> std::result::Result<(), E>,
) -> std::result::Result<(), E> {
    let threads = threads.clamp(1, usize::try_from(parts).unwrap_or(usize::MAX).max(1));
    // The number of threads that the system grants, known once all have been requested.
    let granted = OnceLock::new();
    thread::scope(|scope| {
        let (mut receivers, mut workers) = (Vec::new(), Vec::new());
        for first in 0..threads as u64 {
            let (sender, receiver) = sync_channel(AHEAD);
            let (make, granted) = (&make, &granted);
            let work = move || work((first..parts).step_by(*granted.wait()), make, &sender);
            let Ok(worker) = Builder::new().spawn_scoped(scope, work) else { break };
            receivers.push(receiver);
            workers.push(worker);
        }
        let _ = granted.set(receivers.len().max(1));
        if receivers.is_empty() {
            return (0..parts).try_for_each(|part| take(Some(make(part)?)));
        }
        let mut turns = (0..parts).zip(receivers.iter().cycle());
        let result = turns.try_for_each(|(_, receiver)| {
            let part = wait(receiver, &mut take)?;
            take(Some(part))
        });
        // Workers stop at their next check for a cancel, or when they find their channel closed.
        if result.is_err() {
            progress.cancel();
        }
        drop(receivers);
        for worker in workers {
            // A worker that panicked has closed its channel, which `wait` has noticed.
            let _ = worker.join();
        }
        result
    })
}

/// Makes parts until there are no more, or the receiver is gone.
fn work<T: Send>(
    parts: impl Iterator<Item = u64>,
    make: &(impl Fn(u64) -> Result<T> + Sync),
    sender: &SyncSender<Result<T>>,
) {
    for part in parts {
        let made = make(part);
        let failed = made.is_err();
        if sender.send(made).is_err() || failed {
            return;
        }
    }
}

/// Waits for a part; calls `take` without one every [`PATIENCE`].
fn wait<T, E: From<crate::Error>>(
    receiver: &Receiver<Result<T>>,
    take: &mut impl FnMut(Option<T>) -> std::result::Result<(), E>,
) -> std::result::Result<T, E> {
    loop {
        match receiver.recv_timeout(PATIENCE) {
            Ok(part) => return Ok(part?),
            Err(RecvTimeoutError::Timeout) => take(None)?,
            Err(RecvTimeoutError::Disconnected) => return Err(crate::Error::Failed.into()),
        }
    }
}
