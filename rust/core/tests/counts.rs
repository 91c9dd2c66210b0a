//! Counts of n-grams against a slow and obvious count, over random texts in blocks of all sizes.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests may fail loudly")]

mod random;

use std::collections::BTreeMap;
use std::io::{self, Read};

use fastgrad_core::ngram_counts::{Counts, Order, Settings, count_bytes, count_ids, count_reader};
use fastgrad_core::progress::Progress;
use fastgrad_core::{Error, Result};
use random::Random;

type Table = BTreeMap<Vec<char>, u64>;

/// Stands for the boundary in the tables of this file.
const EDGE: char = '\u{10ffff}';

/// Counts as one reads the rules: strip each line, drop blank ones, pad, count.
fn slowly(text: &str, order: usize) -> Table {
    let is_space = |c: char| c.is_whitespace() || ('\u{1c}'..='\u{1f}').contains(&c);
    let mut table = Table::new();
    for line in text.split('\n') {
        let item = line.trim_matches(is_space);
        if !item.is_empty() {
            let edges = vec![EDGE; order - 1];
            let padded: Vec<char> = edges.into_iter().chain(item.chars()).chain([EDGE]).collect();
            for gram in padded.windows(order) {
                *table.entry(gram.to_vec()).or_default() += 1;
            }
        }
    }
    table
}

fn table(counts: &Counts) -> Table {
    let name = |id: u32| {
        id.checked_sub(1).map_or(EDGE, |place| *counts.characters().get(place as usize).unwrap())
    };
    let (ids, numbers) = counts.entries(&Progress::new()).unwrap();
    let grams = ids.chunks(counts.order().get());
    grams.map(|ids| ids.iter().map(|&id| name(id)).collect()).zip(numbers).collect()
}

fn order(n: usize) -> Order {
    Order::new(n).unwrap()
}

fn settings(n: usize, threads: usize, block: usize) -> Settings<'static> {
    Settings { threads, block, ..Settings::new(order(n), "the text") }
}

fn count(text: &[u8], n: usize) -> Result<Counts> {
    count_in_blocks(text, &Settings::new(order(n), "the text"))
}

fn count_in_blocks(text: &[u8], settings: &Settings<'_>) -> Result<Counts> {
    count_bytes(text, settings, &Progress::new())
}

/// Gives a few bytes at a time, as a pipe may.
struct Drops<'a>(&'a [u8], usize);

impl Read for Drops<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.1.min(self.0.len()).min(buffer.len());
        let (now, later) = self.0.split_at(count);
        buffer.split_at_mut(count).0.copy_from_slice(now);
        self.0 = later;
        Ok(count)
    }
}

const ALPHABETS: [&[&str]; 6] = [
    &["a", "b", "c", "\n"],
    &["a", "b", " ", "\t", "\n", "\r\n", "\r", "\0", "\u{1d}", "\u{b}"],
    &["a", "b", "c", "d", "e", "f", "\r\n"],
    &["a", " ", " ", " ", " ", " ", " ", "\n"],
    &["a", "é", "я", "日", "🙂", "\u{3000}", "\u{a0}", "\u{2028}", " ", "\n", "\u{feff}"],
    &["日", "\u{3000}", "\u{3000}", "\u{2029}", "\u{85}", "\n"],
];

#[test]
fn random_texts_in_blocks_of_all_sizes() {
    let mut random = Random(2026);
    for round in 0..360 {
        let length = random.below(if round % 10 == 0 { 3000 } else { 60 });
        let text = random.text(ALPHABETS.get(round % ALPHABETS.len()).unwrap(), length);
        for n in [2, 3] {
            let mut expected = slowly(&text, n);
            if text.starts_with('\u{feff}') {
                expected = slowly(text.strip_prefix('\u{feff}').unwrap(), n);
            }
            let (block, threads) = (4 + random.below(40), 1 + random.below(3));
            let settings = settings(n, threads, block);
            let progress = Progress::new();
            let whole = count(text.as_bytes(), n);
            let parts = count_bytes(text.as_bytes(), &settings, &progress);
            let drops = Drops(text.as_bytes(), 1 + random.below(9));
            let read = count_reader(drops, &settings, &Progress::new());
            if expected.is_empty() {
                let blank = Error::Blank { name: "the text".into() };
                assert_eq!(
                    [whole, parts, read],
                    [Err(blank.clone()), Err(blank.clone()), Err(blank)]
                );
            } else {
                let whole = whole.unwrap();
                assert_eq!(table(&whole), expected, "{text:?}");
                assert_eq!(parts.unwrap(), whole, "{text:?} in blocks of {block}");
                assert_eq!(read.unwrap(), whole, "{text:?} read in blocks of {block}");
                let mark = if text.starts_with('\u{feff}') { 3 } else { 0 };
                assert_eq!(progress.done(), (text.len() - mark) as u64);
            }
        }
    }
}

#[test]
fn large_alphabets_and_long_runs_of_ascii() {
    let mut random = Random(7);
    let many: Vec<String> =
        (0..3000).map(|i| char::from_u32(0x4e00 + i).unwrap().to_string()).collect();
    let mut text = String::new();
    for _ in 0..40 {
        for _ in 0..random.below(2000) {
            text += many.get(random.below(many.len())).unwrap();
        }
        text += "\n";
        text += &random.text(&["x", "y ", "z\n", "zz"], 3000);
        text += "\n  né\n";
    }
    for n in [2, 3] {
        let expected = slowly(&text, n);
        for (threads, block) in [(1, 1 << 18), (2, 5000), (3, 100)] {
            let counts = count_in_blocks(text.as_bytes(), &settings(n, threads, block)).unwrap();
            assert_eq!(table(&counts), expected);
            assert_eq!(counts.total(), expected.values().sum::<u64>());
        }
    }
}

#[test]
fn spaces_without_end_inside_a_line_and_after_it() {
    let spaces = " \t".repeat(5000);
    for n in [2, 3] {
        for end in ["", "b", "\n", "\nb", "я", "\r\n  \n"] {
            let text = format!("{spaces}\nxa{spaces}{end}");
            for threads in [1, 3] {
                let counts = count_in_blocks(text.as_bytes(), &settings(n, threads, 64)).unwrap();
                assert_eq!(table(&counts), slowly(&text, n), "{end:?}");
            }
        }
    }
}

#[test]
fn what_is_not_utf8_is_named_by_line_and_offset() {
    let mut text = b"\xef\xbb\xbfab\ncd\r\n\n".to_vec();
    text.extend_from_slice("эюя\n".repeat(100).as_bytes());
    let offset = text.len() as u64 + 2;
    text.extend_from_slice(b"ok\xffno\n");
    text.extend_from_slice(&b"a\n".repeat(500));
    text.extend_from_slice(b"\xc3\n");
    for (n, threads, block) in [(2, 1, 1 << 18), (2, 1, 10), (3, 1, 10), (2, 3, 10), (3, 3, 100)] {
        let settings = settings(n, threads, block);
        let error = count_in_blocks(&text, &settings).unwrap_err();
        let name = "the text".to_owned();
        let expected = Error::NotUtf8 { name, line: 104, offset, byte: 0xff };
        assert_eq!(error, expected);
        assert_eq!(count_reader(&text[..], &settings, &Progress::new()).unwrap_err(), error);
    }
    for (cut_off, offset) in [(&b"a\n\xf0\x9f\x99"[..], 2), (b"\xe6\x97", 0), (b"ab \xc3", 3)] {
        for block in [4, 5, 100] {
            let error = count_in_blocks(cut_off, &settings(3, 1, block)).unwrap_err();
            let Error::NotUtf8 { offset: found, .. } = error else { panic!("{error}") };
            assert_eq!(found, offset);
        }
    }
}

#[test]
fn a_reader_that_fails() {
    struct Fails(bool);
    impl Read for Fails {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let first = std::mem::take(&mut self.0);
            buffer.fill(b'a');
            if first { Ok(buffer.len()) } else { Err(io::Error::from_raw_os_error(5)) }
        }
    }
    for threads in [1, 2] {
        let error =
            count_reader(Fails(true), &settings(2, threads, 16), &Progress::new()).unwrap_err();
        let Error::Io { name, code, .. } = error else { panic!("{error}") };
        assert_eq!((&name[..], code), ("the text", Some(5)));
    }
}

#[test]
fn work_ends_early() {
    let progress = Progress::new();
    progress.cancel();
    for threads in [1, 2] {
        let settings = settings(2, threads, 64);
        let ended = count_reader(
            io::Cursor::new("a").chain(io::repeat(b' ').take(1 << 40)),
            &settings,
            &progress,
        );
        assert_eq!(ended, Err(Error::Interrupted));
        assert_eq!(count_bytes(b"ab\n", &settings, &progress), Err(Error::Interrupted));
    }
}

#[test]
fn counts_of_parts_add_up() {
    let (left, right) = ("anna\nбоб\n", "zoe\nanna\n");
    for n in [2, 3] {
        let sum = count(left.as_bytes(), n)
            .unwrap()
            .plus(&count(right.as_bytes(), n).unwrap(), &Progress::new());
        assert_eq!(sum.unwrap(), count(format!("{left}{right}").as_bytes(), n).unwrap());
    }
    let mixed = count(b"a", 2).unwrap().plus(&count(b"a", 3).unwrap(), &Progress::new());
    assert_eq!(mixed, Err(Error::Orders(2, 3)));
    let most = || {
        Counts::from_entries(
            order(2),
            vec!['a'],
            u64::MAX / 2,
            &[0, 1, 1, 0],
            &[u64::MAX / 2; 2],
            &Progress::new(),
        )
    };
    let sum = most().unwrap().plus(&most().unwrap(), &Progress::new());
    assert_eq!(sum, Err(Error::CountOverflow));
}

#[test]
fn ids_are_counted_between_zeros() {
    let counts = count_ids(
        &[0, 1, 2, 0, 0, 2, 3],
        vec!['a', 'b', 'c', 'd'],
        order(2),
        "ids",
        &Progress::new(),
    );
    let counts = counts.unwrap();
    assert_eq!(counts.characters(), ['a', 'b', 'c', 'd']);
    assert_eq!(table(&counts), slowly("ab\nbc", 2));
    assert_eq!((counts.items(), counts.total()), (2, 6));
    let beyond = count_ids(&[1, 5], vec!['a'], order(2), "ids", &Progress::new());
    let expected = Error::Id { argument: "ids", id: 5, position: 1, vocabulary: 2 };
    assert_eq!(beyond, Err(expected));
    let many: Vec<char> = (0x4e00..0x4e00 + 2000).filter_map(char::from_u32).collect();
    let text: String = many.iter().rev().collect();
    let ids: Vec<u32> = (1..=2000).rev().collect();
    for n in [2, 3] {
        let counts = count_ids(&ids, many.clone(), order(n), "ids", &Progress::new()).unwrap();
        assert_eq!(counts, count(text.as_bytes(), n).unwrap());
    }
}

#[test]
fn dense_and_larger_alphabets() {
    let counts = count(b"ab\n", 2).unwrap();
    assert_eq!(counts.dense(&Progress::new()).unwrap(), [0, 1, 0, 0, 0, 1, 1, 0, 0]);
    let larger = counts.with_characters(vec!['a', 'b', 'c'], &Progress::new()).unwrap();
    assert_eq!(
        larger.dense(&Progress::new()).unwrap(),
        [0, 1, 0, 0, 0, 0, 1, 0, 1, 0, 0, 0, 0, 0, 0, 0]
    );
    let smaller = counts.with_characters(vec!['a'], &Progress::new());
    assert_eq!(smaller, Err(Error::Unknown { character: 'b' }));
    let wide = counts.with_characters(('a'..='\u{5000}').collect(), &Progress::new()).unwrap();
    assert!(matches!(wide.dense(&Progress::new()), Err(Error::Dense { .. })));
}

#[test]
fn entries_are_checked() {
    let reason = |ids: &[u32], counts: &[u64], items| {
        Counts::from_entries(order(2), vec!['a', 'b'], items, ids, counts, &Progress::new())
            .unwrap_err()
            .to_string()
    };
    assert_eq!(
        reason(&[0, 1, 0, 1], &[1, 1], 0),
        "entry 1 is not above the one before it; expected ids in lexicographic order"
    );
    assert_eq!(reason(&[0, 1], &[0], 0), "entry 0 has count 0; expected at least 1");
    assert_eq!(reason(&[0, 0], &[1], 1), "entry 0 has a boundary where no text can have one");
    assert_eq!(reason(&[0, 3], &[1], 1), "ids: id 3 at position 1; expected 0 to 2");
    assert_eq!(reason(&[1, 0], &[7], 1), "items is 1; expected 7, as many n-grams end an item");
    assert_eq!(reason(&[1, 0, 1], &[7], 7), "entry 1 has ids but no count, or none");
    assert_eq!(reason(&[1, 0], &[], 7), "entry 0 has ids but no count, or none");
    let unsorted =
        Counts::from_entries(order(2), vec!['b', 'a'], 0, &[], &[], &Progress::new()).unwrap_err();
    assert_eq!(
        unsorted.to_string(),
        "characters[1] is 'a'; expected characters in ascending order, each once"
    );
}

#[test]
fn lines_are_numbered_whatever_came_before() {
    let mut random = Random(99);
    for round in 0..400 {
        let pieces = ALPHABETS.get(round % ALPHABETS.len()).unwrap();
        let length = random.below(80);
        let text = random.text(pieces, length).replace('\u{feff}', "");
        let bad = [text.as_bytes(), b"\xc0", text.as_bytes()].concat();
        let (n, threads, block) = (2 + round % 2, 1 + random.below(3), 4 + random.below(20));
        let error = count_in_blocks(&bad, &settings(n, threads, block)).unwrap_err();
        let Error::NotUtf8 { line, offset, .. } = error else { panic!("{error}") };
        assert_eq!(line, 1 + text.matches('\n').count() as u64, "{text:?} in blocks of {block}");
        assert_eq!(offset, text.len() as u64);
    }
}

#[test]
fn more_n_grams_than_a_thread_keeps_for_itself() {
    let mut random = Random(3);
    let characters: Vec<char> = (0x4e00..0x9e00).filter_map(char::from_u32).collect();
    let (mut text, mut ids) = (String::new(), Vec::new());
    for place in 0..1_400_000 {
        let character = random.below(characters.len());
        text.push(*characters.get(character).unwrap());
        ids.push(u32::try_from(character + 1).unwrap());
        if place % 1000 == 0 {
            text.push('\n');
            ids.push(0);
        }
    }
    let expected = count_ids(&ids, characters, order(2), "ids", &Progress::new()).unwrap();
    assert!(expected.len() > 1_300_000);
    for threads in [1, 2] {
        let counts = count_in_blocks(text.as_bytes(), &settings(2, threads, 1 << 18));
        assert_eq!(counts.unwrap(), expected);
    }
}

#[test]
fn the_most_frequent_come_first() {
    let counts = count(b"banana\nabba\n", 2).unwrap();
    let progress = Progress::new();
    let (ids, numbers) = counts.top(3, &progress).unwrap();
    // a. and an and na twice each, and n-grams of the same count in their order.
    assert_eq!((&ids[..], &numbers[..]), (&[1, 0, 1, 3, 2, 1][..], &[2, 2, 2][..]));
    assert_eq!(counts.top(0, &progress).unwrap(), (vec![], vec![]));
    let (_, all) = counts.top(99, &progress).unwrap();
    assert!(all.is_sorted_by(|a, b| a >= b));
    assert_eq!((all.len(), all.iter().sum::<u64>()), (counts.len(), counts.total()));
}

#[test]
fn all_work_on_counts_ends_early() {
    let counts = count(b"ab\n", 2).unwrap();
    let progress = Progress::new();
    progress.cancel();
    let same = counts.equals(&counts.clone(), &progress);
    let parts = Counts::from_entries(order(2), vec!['a'], 1, &[0, 1, 1, 0], &[1, 1], &progress);
    let ids = count_ids(&[0, 1], vec!['a'], order(2), "ids", &progress);
    for ended in [
        same.map(|_| ()),
        parts.map(|_| ()),
        ids.map(|_| ()),
        counts.plus(&counts, &progress).map(|_| ()),
        counts.with_characters(vec!['a', 'b'], &progress).map(|_| ()),
        counts.entries(&progress).map(|_| ()),
        counts.top(1, &progress).map(|_| ()),
        counts.dense(&progress).map(|_| ()),
    ] {
        assert_eq!(ended, Err(Error::Interrupted));
    }
}
