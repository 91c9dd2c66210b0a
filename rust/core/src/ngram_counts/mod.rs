//! N-gram counts of characters, from text of any size.
//!
//! A text holds one item a line. Whitespace at both ends of a line is stripped, blank lines do not
//! count, and an item of L characters has L + 1 n-grams: it is padded with n − 1 boundaries in
//! front and with one behind.
//!
//! | file | what it does |
//! | --- | --- |
//! | `table` | the result: [`Counts`], which add up |
//! | `gram` | n-grams as numbers |
//! | `cut` | where a text may be cut into blocks |
//! | `blocks` | the blocks of a text in memory, of a reader, of a file, in constant memory |
//! | `parallel` | the threads that count blocks, and the first mistake of all |
//! | `counter` | the counter of one thread, which picks the way for each block |
//! | `ascii`, `pairs`, `triples` | the fast way, for ASCII |
//! | `general` | the way for any alphabet |
//! | `runs` | counts in order, put together |
//! | `ids` | counts of ids |

mod ascii;
mod blocks;
mod counter;
mod cut;
mod general;
mod gram;
mod ids;
mod pairs;
mod parallel;
mod runs;
mod table;
mod triples;

use std::io::Read;

pub use blocks::ReadAt;
pub use gram::Order;
pub use ids::count_ids;
pub use table::Counts;

use crate::Result;
use crate::progress::Progress;
use blocks::{FileBlocks, MemoryBlocks, ReaderBlocks};

/// A table of counts has at most that many cells: 1 GiB.
pub const MAX_CELLS: usize = 1 << 27;

/// The settings of counting a text; only the order changes the result.
#[derive(Clone, Copy, Debug)]
pub struct Settings<'a> {
    /// Bigrams or trigrams.
    pub order: Order,
    /// The number of threads, from 1 to 8; others are taken as the nearest of these.
    pub threads: usize,
    /// The text's name, for messages.
    pub name: &'a str,
    /// The bytes that a thread takes at a time.
    pub block: usize,
}

impl<'a> Settings<'a> {
    /// One thread, and blocks of 256 KiB, which lie in the second cache with the tables.
    #[must_use]
    pub fn new(order: Order, name: &'a str) -> Settings<'a> {
        Settings { order, threads: 1, name, block: 1 << 18 }
    }
}

/// Counts a text in memory; progress is counted in bytes.
///
/// # Errors
/// [`Error::NotUtf8`], [`Error::Blank`], or an early end of the work.
pub fn count_bytes(text: &[u8], settings: &Settings<'_>, progress: &Progress) -> Result<Counts> {
    let threads = settings.threads.min(text.len().div_ceil(settings.block.max(1)));
    let settings = Settings { threads, ..*settings };
    parallel::count(MemoryBlocks::new(text, settings.order, settings.block), &settings, progress)
}

/// Counts all that a reader gives, in constant memory but for the counts; progress is counted in
/// bytes. Only one thread at a time reads.
///
/// # Errors
/// [`Error::NotUtf8`], [`Error::Blank`], [`Error::Io`], or an early end of the work.
pub fn count_reader<R: Read + Send>(
    reader: R,
    settings: &Settings<'_>,
    progress: &Progress,
) -> Result<Counts> {
    let blocks = ReaderBlocks::new(reader, settings.name, settings.order, settings.block);
    parallel::count(blocks, settings, progress)
}

/// Counts a file, or what else can be read at any place, in constant memory but for the counts; the
/// progress is counted in bytes. Threads read at the same time. `size` is how long it is: what has come
/// to it by then is counted too.
///
/// # Errors
/// As [`count_reader`], [`Error::Io`] also where it ends before `size`.
pub fn count_file(
    file: &dyn ReadAt,
    size: u64,
    settings: &Settings<'_>,
    progress: &Progress,
) -> Result<Counts> {
    let blocks = size.div_ceil(settings.block.max(1) as u64).max(1);
    let threads = settings.threads.min(usize::try_from(blocks).unwrap_or(usize::MAX));
    let settings = Settings { threads, ..*settings };
    let blocks = FileBlocks::new(file, size, settings.name, settings.order, settings.block);
    parallel::count(blocks, &settings, progress)
}
