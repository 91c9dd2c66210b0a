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
//! | `strip` | lines without the whitespace at their ends |
//! | `cut` | where a text may be cut into blocks |
//! | `source` | blocks, and those of a text in memory |
//! | `stream`, `file` | blocks from a reader, or from any place of a file, in constant memory |
//! | `parallel` | blocks over threads, and the first mistake of all |
//! | `tally` | what one thread counts: which of the ways a text goes |
//! | `ascii`, `pairs`, `triples` | the fast way, for ASCII |
//! | `general` | the way for any alphabet |
//! | `runs` | counts in order, put together |
//! | `ids` | counts of ids |

mod ascii;
mod cut;
mod file;
mod general;
mod gram;
mod ids;
mod pairs;
mod parallel;
mod runs;
mod source;
mod stream;
mod strip;
mod table;
mod tally;
mod triples;

use std::io::Read;

pub use file::ReadAt;
pub use gram::Order;
pub use ids::count_ids;
pub use table::Counts;

use crate::Result;
use crate::progress::Progress;
use file::Parts;
use source::Memory;
use stream::Stream;

/// A table of counts has at most that many cells: 1 GiB.
pub const MAX_CELLS: usize = 1 << 27;

/// How a text is to be counted; none of it but the order changes the result.
#[derive(Clone, Copy, Debug)]
pub struct Settings<'a> {
    /// Bigrams or trigrams.
    pub order: Order,
    /// How many threads may count; 0 is taken as 1, and more than 8 as 8.
    pub threads: usize,
    /// Whose text it is, for messages.
    pub name: &'a str,
    /// How many bytes a thread takes at a time.
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
    parallel::count(Memory::new(text, settings.order, settings.block), &settings, progress)
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
    let stream = Stream::new(reader, settings.name, settings.order, settings.block);
    parallel::count(stream, settings, progress)
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
    let parts = Parts::new(file, size, settings.name, settings.order, settings.block);
    parallel::count(parts, &settings, progress)
}
