//! The counter of one thread: takes blocks of text and counts each in the fastest way it allows.
#![allow(clippy::indexing_slicing, reason = "positions are those of the text that was searched")]

use super::ascii::{Ascii, Segment};
use super::blocks::Block;
use super::cut::Context;
use super::general::General;
use super::gram::{self, Order};
use crate::Error;
use crate::alloc;
use crate::text::{is_space, newlines};

/// The least length of a run, of ASCII or of other text, that is counted by a call of its own.
const RUN: usize = 512;

/// The most n-grams in a thread's hash map.
const OWN_ENTRIES: usize = 1 << 19;

/// The counts of the blocks that one thread took.
pub struct Counter {
    order: Order,
    general: General,
    /// Made when the first ASCII text comes.
    ascii: Option<Ascii>,
    /// Counts that have left the tables.
    done: Vec<(u64, u64)>,
    /// The number of blocks counted.
    blocks: u64,
    /// The last block had whitespace to be stripped, so that the next one probably has some.
    strips: bool,
    /// A text without the whitespace at the ends of its lines.
    stripped: String,
}

impl Counter {
    /// Makes a counter without counts.
    pub fn new(order: Order) -> Counter {
        Counter {
            order,
            general: General::new(order),
            ascii: None,
            done: Vec::new(),
            blocks: 0,
            strips: false,
            stripped: String::new(),
        }
    }

    /// Counts a block and returns the number of its newlines.
    ///
    /// # Errors
    /// The position in the block of the first byte that is not UTF-8; nothing is counted then.
    pub fn count(&mut self, block: &Block<&[u8]>) -> Result<u64, usize> {
        self.blocks += 1;
        let (mut history, last) = (block.context.history, block.last);
        // ASCII is counted without stripping first; the tables show whether that was right.
        let mut strips = self.strips;
        if !strips && block.context.gap.is_none() && block.text.is_ascii() {
            if let Some(newlines) = self.count_ascii(history, block.text, last) {
                return Ok(newlines);
            }
            strips = self.uses_ascii();
        }
        let mut text = str::from_utf8(block.text).map_err(|error| error.valid_up_to())?;
        if block.context.gap.is_some() {
            (history, text) = self.close_gap(block.context.clone(), text);
        }
        let mut stripped = std::mem::take(&mut self.stripped);
        let changed = strip_lines(text, history != 0, last, &mut stripped);
        self.count_runs(history, if changed { &stripped } else { text }, last);
        self.strips = strips && changed;
        self.stripped = stripped;
        Ok(newlines(block.text))
    }

    /// Counts the whitespace before the rest of the text if an item goes on after it. Returns the
    /// history of the rest, and the rest.
    fn close_gap<'t>(&mut self, mut context: Context, text: &'t str) -> (u64, &'t str) {
        let rest = text.trim_start_matches(|c| c != '\n' && is_space(c));
        let (spaces, _) = text.split_at(text.len() - rest.len());
        context.skip(self.order, spaces);
        let Some(gap) = context.gap.filter(|_| !rest.is_empty() && !rest.starts_with('\n')) else {
            return (context.history, rest);
        };
        for (&gram, &count) in &gap.grams {
            self.general.add(gram, count);
        }
        (gap.history, rest)
    }

    /// Counts stripped text: long runs of ASCII by [`Ascii`], what is between them by [`General`].
    fn count_runs(&mut self, mut history: u64, mut text: &str, last: bool) {
        loop {
            let ascii = ascii_length(text);
            let run = match text.split_at(ascii) {
                (all, "") => all.len(),
                (before, _) => before.rfind('\n').map_or(0, |at| at + 1),
            };
            let is_ascii = run >= RUN || run == text.len();
            let (head, rest) =
                text.split_at(if is_ascii { run } else { line_end(text, ascii.max(RUN)) });
            let ends = last && rest.is_empty();
            if !is_ascii || self.count_ascii(history, head.as_bytes(), ends).is_none() {
                self.general.count(history, head, ends);
            }
            if rest.is_empty() {
                return;
            }
            (history, text) = (0, rest);
        }
    }

    /// Counts ASCII text in tables and returns the number of its newlines; counts nothing and
    /// returns None where the tables cannot be used.
    fn count_ascii(&mut self, history: u64, text: &[u8], ended: bool) -> Option<u64> {
        let before = bytes_of(history)?;
        if text.len() < Segment::LEAST || !self.uses_ascii() {
            return None;
        }
        let tables = self.ascii.get_or_insert_with(|| Ascii::new(self.order));
        if tables.is_full(text.len()) {
            append(&mut self.done, tables.take());
        }
        tables.count(Segment { before, text, ended })
    }

    /// Returns true if a table of ASCII is worth its setup: that of trigrams is too large for a small
    /// text.
    fn uses_ascii(&self) -> bool {
        self.order == Order::Bigrams || self.blocks > 1
    }

    /// Returns true where the hash map is so large that its counts are to be sorted into runs.
    pub fn is_large(&self) -> bool {
        self.general.mapped() > OWN_ENTRIES
    }

    /// Takes the counts out of the hash map.
    pub fn take_mapped(&mut self) -> Vec<(u64, u64)> {
        self.general.take_mapped()
    }

    /// Returns all counts; an n-gram may come more than once.
    pub fn finish(mut self) -> Vec<(u64, u64)> {
        let mut grams = self.done;
        append(&mut grams, self.general.finish());
        if let Some(tables) = &mut self.ascii {
            append(&mut grams, tables.take());
        }
        grams
    }
}

/// Appends counts to others.
fn append(grams: &mut Vec<(u64, u64)>, mut more: Vec<(u64, u64)>) {
    alloc::demand(alloc::reserve(grams, more.len()));
    grams.append(&mut more);
}

/// Returns the two bytes of a history; None where one is not ASCII.
fn bytes_of(history: u64) -> Option<[u8; 2]> {
    let byte = |place| match gram::character(gram::place_of(history, place)) {
        None => Some(b'\n'),
        Some(c) => u8::try_from(c).ok().filter(u8::is_ascii),
    };
    Some([byte(1)?, byte(0)?])
}

/// Returns the length of the ASCII at the start of a text.
fn ascii_length(text: &str) -> usize {
    let bytes = text.as_bytes();
    let chunks = bytes.chunks(256).take_while(|chunk| chunk.is_ascii());
    let whole: usize = chunks.map(<[u8]>::len).sum();
    let rest = &bytes[whole..];
    whole + rest.iter().take_while(|byte| byte.is_ascii()).count()
}

/// Returns the end of the line at a position; that of the text for a position behind it.
fn line_end(text: &str, position: usize) -> usize {
    let position = position.min(text.len());
    memchr::memchr(b'\n', &text.as_bytes()[position..]).map_or(text.len(), |at| position + at + 1)
}

/// Strips the lines of a text into a buffer. Copies nothing and returns false where no line has
/// whitespace at an end.
///
/// The first line continues an item if `begun`; the last one ends with the text if `last`.
pub fn strip_lines(text: &str, mut begun: bool, last: bool, stripped: &mut String) -> bool {
    stripped.clear();
    alloc::demand(stripped.try_reserve(text.len()).map_err(|_| Error::Memory));
    // Lines are copied many at a time: those from `unchanged` to `start` need no change.
    let (mut unchanged, mut start) = (0, 0);
    let mut changed = false;
    for end in memchr::memchr_iter(b'\n', text.as_bytes()).chain([text.len()]) {
        let line = &text[start..end];
        let mut item = line;
        if !begun && item.starts_with(is_space) {
            item = item.trim_start_matches(is_space);
        }
        if (last || end < text.len()) && item.ends_with(is_space) {
            item = item.trim_end_matches(is_space);
        }
        if item.len() < line.len() {
            changed = true;
            stripped.push_str(&text[unchanged..start]);
            stripped.push_str(item);
            // A blank line is dropped together with its newline, unless the newline ends an item.
            unchanged = if item.is_empty() && !begun { end + 1 } else { end };
        }
        start = end + 1;
        begun = false;
    }
    if changed {
        stripped.push_str(text.get(unchanged..).unwrap_or(""));
    }
    changed
}
