//! What one thread counts: blocks of text, each on the fastest way that it allows.

use super::ascii::{Ascii, Part};
use super::general::General;
use super::gram::{self, Order};
use super::source::Block;
use super::text::{Context, is_space};

/// Shorter runs of ASCII among other text are not worth a call of their own.
const RUN: usize = 512;

/// How many n-grams a thread keeps in a hash map of its own.
const OWN_ENTRIES: usize = 1 << 18;

/// The counts of the blocks that one thread took.
pub struct Tally {
    order: Order,
    general: General,
    /// Made when the first ASCII text comes.
    ascii: Option<Ascii>,
    /// Counts that have left the tables.
    done: Vec<(u64, u64)>,
    /// Whether the last ASCII text had whitespace to be stripped: then the next is likely to.
    strips: bool,
    /// A text without the whitespace at the ends of its lines.
    stripped: Vec<u8>,
}

impl Tally {
    /// No counts.
    pub fn new(order: Order) -> Tally {
        Tally {
            order,
            general: General::new(order),
            ascii: None,
            done: Vec::new(),
            strips: false,
            stripped: Vec::new(),
        }
    }

    /// Counts a block.
    ///
    /// # Errors
    /// The position in the block of the first byte that is not UTF-8; nothing is counted then.
    pub fn count(&mut self, block: &Block<'_>) -> Result<(), usize> {
        let text = str::from_utf8(block.text).map_err(|error| error.valid_up_to())?;
        let (mut history, mut rest) = (block.context.history, text);
        if block.context.gap.is_some() {
            (history, rest) = self.close_gap(block.context.clone(), text);
        }
        // What goes on from other than ASCII does so on the general way.
        if bytes_of(history).is_none() {
            let line = rest.find('\n').map_or(rest.len(), |at| at + 1);
            let (first, others) = rest.split_at(line);
            history = self.count_lines(history, first, block.last && others.is_empty());
            rest = others;
        }
        self.count_mixed(history, rest, block.last);
        Ok(())
    }

    /// Counts a run of whitespace, or not, as what comes after it decides.
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

    /// Counts text of which long runs may be ASCII.
    fn count_mixed(&mut self, mut history: u64, mut text: &str, last: bool) {
        loop {
            let ascii = ascii_length(text);
            let (before, after) = text.split_at(ascii);
            let run =
                if after.is_empty() { ascii } else { before.rfind('\n').map_or(0, |at| at + 1) };
            // Runs end with lines.
            let (head, rest) = if run >= RUN || after.is_empty() {
                let (head, rest) = text.split_at(run);
                self.count_ascii(history, head, last && rest.is_empty());
                (head, rest)
            } else {
                let line = after.find('\n').map_or(text.len(), |at| ascii + at + 1);
                let (head, rest) = text.split_at(line);
                self.count_lines(history, head, last && rest.is_empty());
                (head, rest)
            };
            if rest.is_empty() {
                return;
            }
            debug_assert!(head.ends_with('\n'), "only whole lines come before others");
            (history, text) = (0, rest);
        }
    }

    /// Counts ASCII text.
    fn count_ascii(&mut self, history: u64, text: &str, last: bool) {
        if self.try_ascii(history, text.as_bytes(), last).is_none() {
            self.count_lines(history, text, last);
        }
    }

    /// Counts ASCII text in tables; none where that cannot be done.
    fn try_ascii(&mut self, history: u64, text: &[u8], ended: bool) -> Option<()> {
        let before = bytes_of(history)?;
        let tables = self.ascii.get_or_insert_with(|| Ascii::new(self.order));
        if tables.is_full(text.len()) {
            self.done.extend(tables.take());
        }
        let part = Part { before, text, ended };
        if text.len() < Part::LEAST || (!self.strips && tables.count(part)) {
            return (text.len() >= Part::LEAST).then_some(());
        }
        strip_lines(text, history != 0, ended, &mut self.stripped);
        self.strips = self.stripped.len() < text.len();
        let part = Part { before, text: &self.stripped, ended: false };
        (self.stripped.len() >= Part::LEAST && tables.count(part)).then_some(())
    }

    /// Counts text line by line; returns the history at its end.
    fn count_lines(&mut self, mut history: u64, text: &str, last: bool) -> u64 {
        for line in text.split_inclusive('\n') {
            let ended = line.ends_with('\n');
            let mut item = line;
            if history == 0 {
                item = item.trim_start_matches(is_space);
            }
            if ended || last {
                item = item.trim_end_matches(is_space);
            }
            history = self.general.count(history, item);
            if ended && history != 0 {
                self.general.end(history);
                history = 0;
            }
        }
        if last && history != 0 {
            self.general.end(history);
            history = 0;
        }
        history
    }

    /// Whether there are so many n-grams that they had better be shared with other threads.
    pub fn is_large(&self) -> bool {
        self.general.entries() > OWN_ENTRIES
    }

    /// Takes the counts out that make it large.
    pub fn take_sparse(&mut self) -> Vec<(u64, u64)> {
        self.general.take()
    }

    /// All counts; an n-gram may come more than once.
    pub fn finish(mut self) -> Vec<(u64, u64)> {
        let mut grams = self.done;
        grams.extend(self.general.take());
        grams.extend(self.ascii.iter_mut().flat_map(Ascii::take));
        grams
    }
}

/// The two bytes that a history stands for; none where one is not ASCII.
fn bytes_of(history: u64) -> Option<[u8; 2]> {
    let byte = |place| match gram::character(gram::place_of(history, place)) {
        None => Some(b'\n'),
        Some(c) => u8::try_from(c).ok().filter(u8::is_ascii),
    };
    Some([byte(1)?, byte(0)?])
}

/// How many bytes of ASCII a text begins with.
fn ascii_length(text: &str) -> usize {
    let bytes = text.as_bytes();
    let chunks = bytes.chunks(256).take_while(|chunk| chunk.is_ascii());
    let whole: usize = chunks.map(<[u8]>::len).sum();
    let rest = bytes.get(whole..).unwrap_or_default();
    whole + rest.iter().take_while(|byte| byte.is_ascii()).count()
}

/// Copies ASCII lines without the whitespace at their ends, blank ones not at all.
fn strip_lines(text: &[u8], mut begun: bool, last: bool, stripped: &mut Vec<u8>) {
    let is_space = |byte: &u8| is_space(char::from(*byte));
    stripped.clear();
    for line in text.split_inclusive(|&byte| byte == b'\n') {
        let ended = last || line.ends_with(b"\n");
        let start = if begun { 0 } else { line.iter().take_while(|byte| is_space(byte)).count() };
        let item = line.get(start..).unwrap_or_default();
        let end =
            if ended { item.iter().rev().take_while(|byte| is_space(byte)).count() } else { 0 };
        let item = item.get(..item.len() - end).unwrap_or_default();
        stripped.extend_from_slice(item);
        if ended && (begun || !item.is_empty()) {
            stripped.push(b'\n');
        }
        begun = false;
    }
}
