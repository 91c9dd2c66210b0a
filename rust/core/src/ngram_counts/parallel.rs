//! Counting on several threads: each takes the next block and counts it; all counts are added up.
#![allow(clippy::indexing_slicing, reason = "positions are those of a byte in a block")]

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread::{self, Builder};

use super::Settings;
use super::blocks::{Block, Blocks};
use super::counter::Counter;
use super::runs::Runs;
use super::table::Counts;
use crate::progress::Progress;
use crate::text::newlines;
use crate::{Error, Result, alloc};

/// The most threads: more would take more memory than counting should.
const MOST_THREADS: usize = 8;

/// The state that the threads share.
struct Shared<'a, S> {
    settings: &'a Settings<'a>,
    progress: &'a Progress,
    /// None after the last block, and after a mistake.
    blocks: Mutex<Option<S>>,
    lines: Mutex<Lines>,
    /// The first mistake in the text, and the number of its block.
    mistake: Mutex<Option<(u64, Mistake)>>,
    /// The counts that threads have handed over.
    runs: Mutex<Runs>,
}

/// Why a text cannot be counted.
enum Mistake {
    /// A read failed.
    Read(Error),
    /// A byte is not UTF-8.
    Utf8 { offset: u64, byte: u8, lines_before: u64 },
}

/// Counts all blocks of a text.
///
/// # Errors
/// The first mistake in the order of the text, however many threads there are.
pub fn count<'d, S: Blocks<'d>>(
    blocks: S,
    settings: &Settings<'_>,
    progress: &Progress,
) -> Result<Counts> {
    let shared = Shared {
        settings,
        progress,
        blocks: Mutex::new(Some(blocks)),
        lines: Mutex::default(),
        mistake: Mutex::default(),
        runs: Mutex::default(),
    };
    run_threads(&shared, settings.threads.clamp(1, MOST_THREADS))?;
    if let Some((index, mistake)) = into_inner(shared.mistake) {
        return Err(error_of(settings, index, mistake, &into_inner(shared.lines)));
    }
    let entries = into_inner(shared.runs).finish(progress)?;
    if entries.is_empty() && !settings.may_be_blank {
        return Err(Error::Blank { name: settings.name.to_owned() });
    }
    Counts::from_grams(settings.order, &entries, progress)
}

fn run_threads<'d, S: Blocks<'d>>(shared: &Shared<'_, S>, threads: usize) -> Result<()> {
    if threads == 1 {
        return work(shared);
    }
    thread::scope(|scope| {
        let mut workers = alloc::with_capacity(threads)?;
        for _ in 1..threads {
            // Where the system refuses a thread, fewer do the work.
            let Ok(worker) = Builder::new().spawn_scoped(scope, || work(shared)) else { break };
            workers.push(worker);
        }
        let own = work(shared);
        // A panic is resumed on the calling thread.
        let others = workers.into_iter().map(|worker| match worker.join() {
            Ok(result) => result,
            Err(panic) => std::panic::resume_unwind(panic),
        });
        others.fold(own, Result::and)
    })
}

/// Takes blocks and counts them until there are no more.
fn work<'d, S: Blocks<'d>>(shared: &Shared<'_, S>) -> Result<()> {
    let mut counter = Counter::new(shared.settings.order);
    let mut buffer = Vec::new();
    while let Some(block) = shared.next(&mut buffer) {
        match counter.count(&block) {
            Ok(newlines) => lock(&shared.lines).add(block.index, newlines),
            Err(position) => shared.not_utf8(&block, position),
        }
        if counter.is_large() {
            let grams = counter.take_mapped();
            lock(&shared.runs).add(&grams, shared.progress)?;
        }
        shared.progress.add(block.text.len() as u64)?;
    }
    let grams = counter.finish();
    lock(&shared.runs).add(&grams, shared.progress)
}

impl<S> Shared<'_, S> {
    /// Returns the next block; None after the last one, and after a mistake.
    fn next<'b, 'd: 'b>(&self, buffer: &'b mut Vec<u8>) -> Option<Block<&'b [u8]>>
    where
        S: Blocks<'d>,
    {
        // Blocks are found in order; what they hold is read by several threads at once.
        let found = lock(&self.blocks).as_mut()?.next(buffer, self.progress);
        let (index, block) = match found {
            Ok(None) => return None,
            Ok(Some(block)) => (block.index, block.load(buffer, self.settings.name)),
            // All blocks that there are have smaller numbers.
            Err(error) => (u64::MAX, Err(error)),
        };
        block
            .map_err(|error| {
                *lock(&self.blocks) = None;
                self.record(index, Mistake::Read(error));
            })
            .ok()
    }

    fn not_utf8(&self, block: &Block<&[u8]>, position: usize) {
        *lock(&self.blocks) = None;
        let lines_before = newlines(&block.text[..position]);
        let byte = block.text[position];
        let offset = block.offset + position as u64;
        self.record(block.index, Mistake::Utf8 { offset, byte, lines_before });
    }

    fn record(&self, index: u64, mistake: Mistake) {
        let mut first = lock(&self.mistake);
        if first.as_ref().is_none_or(|&(other, _)| index < other) {
            *first = Some((index, mistake));
        }
    }
}

fn error_of(settings: &Settings<'_>, index: u64, mistake: Mistake, lines: &Lines) -> Error {
    match mistake {
        Mistake::Read(error) => error,
        Mistake::Utf8 { offset, byte, lines_before } => {
            let line = lines.before(index) + lines_before + 1;
            Error::NotUtf8 { name: settings.name.to_owned(), line, offset, byte }
        }
    }
}

/// The newlines of blocks, which are counted in any order.
#[derive(Default)]
struct Lines {
    /// Blocks below this number are in `total`.
    next: u64,
    total: u64,
    later: BTreeMap<u64, u64>,
}

impl Lines {
    fn add(&mut self, index: u64, lines: u64) {
        self.later.insert(index, lines);
        while let Some(lines) = self.later.remove(&self.next) {
            self.total += lines;
            self.next += 1;
        }
    }

    /// Returns the number of newlines in all blocks below a number.
    fn before(&self, index: u64) -> u64 {
        self.total + self.later.range(..index).map(|(_, lines)| lines).sum::<u64>()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn into_inner<T>(mutex: Mutex<T>) -> T {
    mutex.into_inner().unwrap_or_else(PoisonError::into_inner)
}
