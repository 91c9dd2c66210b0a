//! Counts of files that threads read at several places at once, against those of texts in memory.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests may fail loudly"
)]

mod random;

use std::io;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use fastgrad_core::ngram_counts::{
    Counts, Order, ReadAt, Settings, count_bytes, count_file, count_part,
};
use fastgrad_core::progress::Progress;
use fastgrad_core::{Error, Result};
use random::Random;

/// A file of which a read gives a few bytes, and which may change at some read.
struct Fake {
    /// The text at first, and from that read on.
    texts: [Vec<u8>; 2],
    changes: usize,
    most: usize,
    fails: usize,
    reads: AtomicUsize,
    bytes: AtomicUsize,
}

impl Fake {
    fn new(text: &[u8], most: usize) -> Fake {
        let (reads, bytes) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let texts = [text.to_vec(), text.to_vec()];
        Fake { texts, changes: usize::MAX, most, fails: usize::MAX, reads, bytes }
    }

    fn count(&self, settings: &Settings<'_>) -> Result<Counts> {
        count_file(self, self.texts[0].len() as u64, settings, &Progress::new())
    }
}

impl ReadAt for Fake {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let read = self.reads.fetch_add(1, Relaxed);
        if read % 5 == 3 {
            return Err(io::ErrorKind::Interrupted.into());
        }
        if read >= self.fails {
            return Err(io::Error::from_raw_os_error(5));
        }
        let text = &self.texts[usize::from(read >= self.changes)];
        let rest = text.get(usize::try_from(offset).unwrap()..).unwrap_or_default();
        let count = rest.len().min(buffer.len()).min(self.most);
        buffer.split_at_mut(count).0.copy_from_slice(rest.split_at(count).0);
        self.bytes.fetch_add(count, Relaxed);
        Ok(count)
    }
}

const ALPHABETS: [&[&str]; 6] = [
    &["a", "b", "c", "d", "e", "f", "\n"],
    &["a", "b", " ", "\t", "\n", "\r\n", "\r", "\0", "\u{1d}", "\u{b}"],
    &["abcdefgh", "b", "\r\n", "\u{3000}"],
    &["a", " ", " ", " ", " ", " ", " ", " ", "\u{2003}"],
    &["a", "é", "я", "日", "🙂", "\u{3000}", "\u{a0}", "\u{2028}", " ", "\n", "\u{feff}"],
    &["日本", "\u{3000}", "🙂", "я", "\u{85}"],
];

fn settings(n: usize, threads: usize, block: usize) -> Settings<'static> {
    let order = Order::new(n).unwrap();
    Settings { threads, block, ..Settings::new(order, "the text") }
}

fn in_memory(text: &[u8], order: Order) -> Result<Counts> {
    count_bytes(text, &Settings::new(order, "the text"), &Progress::new())
}

#[test]
fn files_are_counted_as_texts_in_memory_wherever_blocks_end() {
    let mut random = Random(2027);
    for round in 0..400 {
        let length = 1 + random.below(if round % 4 == 0 { 9000 } else { 90 });
        let mut text = random.text(ALPHABETS.get(round % ALPHABETS.len()).unwrap(), length);
        if round % 7 == 0 {
            text.insert(0, '\u{feff}');
        }
        for n in [2, 3] {
            // Long texts in blocks of which only the last bytes are looked at.
            let block = 4 + random.below(if length > 90 { 4000 } else { 40 });
            let settings = settings(n, 1 + random.below(3), block);
            let file = Fake::new(text.as_bytes(), 1 + random.below(2000));
            let expected = in_memory(text.as_bytes(), settings.order);
            assert_eq!(file.count(&settings), expected, "{text:?} in blocks of {block}");
        }
    }
}

#[test]
fn what_is_not_utf8_is_named_as_in_a_text_in_memory() {
    let mut random = Random(31);
    for round in 0..400 {
        let pieces = ALPHABETS.get(round % ALPHABETS.len()).unwrap();
        let long = if round % 4 == 0 { 3000 } else { 40 };
        let [one, other] = [0, 1].map(|_| {
            let length = random.below(long);
            random.text(pieces, length)
        });
        let bad: &[u8] = [&b"\xc0"[..], b"\xe6\x97", b"\xf0\x9f\x99", b"\x80\x80\x80\x80\x80"]
            .get(random.below(4))
            .unwrap();
        let text = [one.as_bytes(), bad, other.as_bytes()].concat();
        let block = 4 + random.below(long / 2);
        let settings = settings(2 + round % 2, 1 + random.below(3), block);
        let expected = in_memory(&text, settings.order);
        assert!(matches!(expected, Err(Error::NotUtf8 { .. })));
        assert_eq!(Fake::new(&text, 100).count(&settings), expected, "{text:?} in {block}");
    }
}

#[test]
fn a_file_is_read_once_but_for_the_ends_of_blocks() {
    let lines = "emma\nolivia\nava\n".repeat(20_000);
    for text in [lines.replace('\n', " "), lines.replace('\n', "\r\n"), lines] {
        for n in [2, 3] {
            let file = Fake::new(text.as_bytes(), usize::MAX);
            let counts = file.count(&settings(n, 2, 1 << 14)).unwrap();
            assert_eq!(counts, in_memory(text.as_bytes(), counts.order()).unwrap());
            let blocks = text.len().div_ceil((1 << 14) - 512);
            assert!(file.bytes.into_inner() <= text.len() + 512 * blocks + 3);
        }
    }
}

#[test]
fn a_file_that_becomes_shorter_is_a_mistake() {
    let text = "эмма\nava\n".repeat(500);
    for threads in [1, 2] {
        for changes in 1..20 {
            for left in [0, 7, 1000, 5999] {
                let mut file = Fake::new(text.as_bytes(), 400);
                file.changes = changes;
                file.texts[1].truncate(left);
                let counted = file.count(&settings(2, threads, 900));
                match counted.unwrap_err() {
                    Error::Io { kind, reason, .. } => {
                        assert_eq!(kind, io::ErrorKind::UnexpectedEof);
                        assert!(reason.contains("shorter"));
                    }
                    // It may have been cut within a character.
                    Error::NotUtf8 { .. } => {}
                    error => panic!("{error}"),
                }
            }
        }
    }
}

#[test]
fn a_file_that_becomes_longer_is_counted_to_its_end() {
    let text = b"emma\nava\n".repeat(500);
    for changes in [1, 5, 20] {
        let mut file = Fake::new(&text, 400);
        file.changes = changes;
        file.texts[1].extend_from_slice(&text);
        let counts = file.count(&settings(2, 2, 900)).unwrap();
        assert_eq!(counts.items(), 2000);
    }
}

#[test]
fn a_file_whose_bytes_change_is_counted_somehow() {
    let (text, other) = ("emma\nava\n".repeat(500), "日 \r\n\t 日".repeat(500));
    for changes in 1..60 {
        let mut file = Fake::new(text.as_bytes(), 400);
        file.changes = changes;
        file.texts[1] = other.as_bytes().to_vec();
        // Characters may be cut by then; nothing worse comes of it.
        let counted = file.count(&settings(2 + changes % 2, 2, 900));
        assert!(matches!(counted, Ok(_) | Err(Error::NotUtf8 { .. })));
    }
}

#[test]
fn a_read_that_fails() {
    let text = b"emma\nava\n".repeat(500);
    for fails in [0, 1, 2, 4, 10, 11, 12] {
        let mut file = Fake::new(&text, 400);
        file.fails = fails;
        let error = file.count(&settings(2, 2, 900)).unwrap_err();
        let Error::Io { name, code, .. } = error else { panic!("{error}") };
        assert_eq!((&name[..], code), ("the text", Some(5)));
    }
}

#[test]
fn parts_that_begin_with_a_line_add_up_to_the_whole() {
    let mut random = Random(2003);
    for round in 0..200 {
        let length = 1 + random.below(600);
        let mut text = random.text(ALPHABETS.get(round % ALPHABETS.len()).unwrap(), length);
        if round % 3 == 0 {
            text.insert(0, '\u{feff}');
        }
        let file = Fake::new(text.as_bytes(), 1 + random.below(50));
        for n in [2, 3] {
            let block = 4 + random.below(40);
            let settings = settings(n, 1 + random.below(3), block);
            let settings = Settings { may_be_blank: true, ..settings };
            let whole = count_bytes(text.as_bytes(), &settings, &Progress::new()).unwrap();
            let starts = text.match_indices('\n').map(|(place, _)| place + 1);
            let cuts: Vec<u64> = starts.chain([text.len()]).map(|cut| cut as u64).collect();
            let mut total: Option<Counts> = None;
            let mut start = 0;
            for stop in cuts {
                if stop == text.len() as u64 || random.below(3) == 0 {
                    let part =
                        count_part(&file, (start, stop), &settings, &Progress::new()).unwrap();
                    total = Some(match total {
                        Some(sum) => sum.plus(&part, &Progress::new()).unwrap(),
                        None => part,
                    });
                    start = stop;
                }
            }
            assert_eq!(total, Some(whole), "{text:?}");
        }
    }
}

#[test]
fn a_part_tells_of_bytes_by_their_offset_in_the_file() {
    let file = Fake::new(b"ab\ncd\n\xffe\n", 5);
    let result = count_part(&file, (3, 9), &settings(2, 1, 4), &Progress::new());
    assert!(matches!(result, Err(Error::NotUtf8 { line: 2, offset: 6, byte: 0xff, .. })));
}
