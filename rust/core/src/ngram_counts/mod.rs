//! N-gram counts of characters, from text of any size.
//!
//! A text holds one item a line. Whitespace at both ends of a line is stripped, blank lines do not
//! count, and an item of L characters has L + 1 n-grams: it is padded with n − 1 boundaries in
//! front and with one behind.
//!
//! | file | what it does |
//! | --- | --- |
//! | `table` | the result: [`Counts`], which add up |
//! | `gram` | n-grams packed into 64 bits |
//! | `cut` | where a text may be cut into blocks |
//! | `blocks` | the blocks of a text in memory, of a reader, of a file, in constant memory |
//! | `parallel` | the threads that count blocks; the first error in the order of the text |
//! | `counter` | the counter of one thread, which picks the method for each block |
//! | `ascii`, `pairs`, `triples` | the fast method, for ASCII |
//! | `general` | the method for any alphabet |
//! | `runs` | sorted counts, merged |
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

/// The most cells of a table of counts: 1 GiB.
pub const MAX_CELLS: usize = 1 << 27;

/// The settings of counting a text; only the order changes the result.
#[derive(Clone, Copy, Debug)]
pub struct Settings<'a> {
    /// Bigrams or trigrams.
    pub order: Order,
    /// The number of threads, clamped to 1 to 8.
    pub threads: usize,
    /// The text's name, for messages.
    pub name: &'a str,
    /// The bytes that a thread takes at a time.
    pub block: usize,
    /// True if the counts of a text without items are empty; otherwise such a text is an error.
    pub may_be_blank: bool,
}

impl<'a> Settings<'a> {
    /// Makes the settings for one thread and blocks of 256 KiB, which fit into the second-level
    /// cache with the tables.
    #[must_use]
    pub fn new(order: Order, name: &'a str) -> Settings<'a> {
        Settings { order, threads: 1, name, block: 1 << 18, may_be_blank: false }
    }
}

/// Counts a text in memory; progress is counted in bytes.
///
/// # Errors
/// [`crate::Error::NotUtf8`], [`crate::Error::Blank`], or [`crate::Error::Interrupted`].
pub fn count_bytes(text: &[u8], settings: &Settings<'_>, progress: &Progress) -> Result<Counts> {
    let threads = settings.threads.min(text.len().div_ceil(settings.block.max(1)));
    let settings = Settings { threads, ..*settings };
    parallel::count(MemoryBlocks::new(text, settings.order, settings.block), &settings, progress)
}

/// Counts what a reader reads, in constant memory but for the counts; progress is counted in bytes.
/// Only one thread at a time reads.
///
/// # Errors
/// [`crate::Error::NotUtf8`], [`crate::Error::Blank`], [`crate::Error::Io`], or
/// [`crate::Error::Interrupted`].
pub fn count_reader<R: Read + Send>(
    reader: R,
    settings: &Settings<'_>,
    progress: &Progress,
) -> Result<Counts> {
    let blocks = ReaderBlocks::new(reader, settings.name, settings.order, settings.block);
    parallel::count(blocks, settings, progress)
}

/// Counts a file, or anything else that can be read at any offset, in constant memory but for the
/// counts; progress is counted in bytes. Threads read at the same time. `size` is the file's
/// length; bytes appended later are counted too.
///
/// # Errors
/// As [`count_reader`], [`crate::Error::Io`] also where it ends before `size`.
pub fn count_file(
    file: &dyn ReadAt,
    size: u64,
    settings: &Settings<'_>,
    progress: &Progress,
) -> Result<Counts> {
    let settings = for_size(settings, size);
    let blocks = FileBlocks::new(file, size, settings.name, settings.order, settings.block);
    parallel::count(blocks, &settings, progress)
}

/// Counts the bytes from `start` to `stop` of a file, both of which are its ends or starts of lines.
/// A UTF-8 BOM is skipped at the start of the file only.
///
/// # Errors
/// As [`count_file`]; the lines of messages are counted from `start`, offsets from the file's.
pub fn count_part(
    file: &dyn ReadAt,
    (start, stop): (u64, u64),
    settings: &Settings<'_>,
    progress: &Progress,
) -> Result<Counts> {
    let settings = for_size(settings, stop.saturating_sub(start));
    let blocks = FileBlocks::new(file, stop, settings.name, settings.order, settings.block);
    parallel::count(blocks.part(start, stop), &settings, progress)
}

/// Returns settings with no more threads than a text of this size has blocks.
fn for_size<'a>(settings: &Settings<'a>, size: u64) -> Settings<'a> {
    let blocks = size.div_ceil(settings.block.max(1) as u64).max(1);
    let threads = settings.threads.min(usize::try_from(blocks).unwrap_or(usize::MAX));
    Settings { threads, ..*settings }
}
