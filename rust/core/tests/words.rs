//! Running text as numbers, in pieces; n-gram models over them.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests may fail loudly")]

use fastgrad_core::Error;
use fastgrad_core::ngram_lm::{self, Interpolated, KneserNey, Model};
use fastgrad_core::progress::Progress;
use fastgrad_core::words::{Encoded, Eos, Ids, Limits, Reader, Tokenizer};

fn limits() -> Limits {
    Limits { train: None, max_size: None, min_count: 1, unk: "<rare>".into(), eos: None }
}

fn read(pieces: &[&[u8]], limits: &Limits) -> fastgrad_core::Result<Encoded> {
    let eos = if limits.eos.is_some() { Eos::Line } else { Eos::None };
    let mut reader = Reader::new("x".into(), Tokenizer::Space, eos);
    for piece in pieces {
        reader.feed(piece, &Progress::new())?;
    }
    reader.end(&Progress::new())?;
    reader.finish(&Progress::new())?.choose(limits, &Progress::new())
}

#[test]
fn pieces_are_cut_between_any_two_bytes() {
    let text = "\u{feff}é b\u{3000}é\r\n\n c é".as_bytes();
    let whole = read(&[text], &limits()).unwrap();
    assert!(whole.symbols.iter().eq(["<rare>", "é", "b", "c"]));
    assert_eq!(whole.ids, Ids::Short(vec![1, 2, 1, 3, 1]));
    for cut in 0..text.len() {
        let (first, second) = text.split_at(cut);
        assert_eq!(read(&[first, second], &limits()).unwrap(), whole);
    }
}

#[test]
fn equal_counts_are_ordered_by_first_occurrence() {
    let limited =
        Limits { train: Some(4), max_size: Some(3), eos: Some("</s>".into()), ..limits() };
    let encoded = read(&[b"c b a b\na a a a\n"], &limited).unwrap();
    // The eos token is the fifth, after the training part, and has its number all the same.
    assert!(encoded.symbols.iter().eq(["<rare>", "</s>", "b"]));
    assert_eq!(encoded.ids, Ids::Short(vec![0, 2, 0, 2, 1, 0, 0, 0, 0, 1]));
}

#[test]
fn what_is_not_utf8_has_a_line_and_an_offset() {
    let found = read(&[b"a\nb ", b"\xff c\n"], &limits()).unwrap_err();
    assert_eq!(found, Error::NotUtf8 { name: "x".into(), line: 2, offset: 4, byte: 0xff });
    // A character that the text ends within.
    let found = read(&[b"a \xe2\x82"], &limits()).unwrap_err();
    assert_eq!(found, Error::NotUtf8 { name: "x".into(), line: 1, offset: 2, byte: 0xe2 });
}

#[test]
fn a_text_without_words_is_refused() {
    let found = read(&[b" \n\t\n"], &limits()).unwrap_err();
    assert_eq!(found.to_string(), "x is empty; expected at least one word");
}

/// Numbers that look random: those of a linear congruential generator.
fn noise(length: usize, size: u32) -> Vec<u32> {
    let mut state = 7u32;
    let next = |_| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 16) % size
    };
    (0..length).map(next).collect()
}

fn sums_to_one(model: &impl Model, ids: &[u32]) {
    let contexts = ids.get(..ids.len() / 4 * 4).unwrap();
    let rows = ids.len() / 4;
    let all = ngram_lm::distributions(model, contexts, 4, rows, &Progress::new()).unwrap();
    for row in all.chunks(model.trie().size()) {
        assert!((row.iter().sum::<f64>() - 1.0).abs() < 1e-12);
    }
}

#[test]
fn probabilities_sum_to_one() {
    let ids = noise(4000, 12);
    for order in 2..=5 {
        for modified in [false, true] {
            let model = KneserNey::new(&ids, order, 12, None, modified, &Progress::new()).unwrap();
            sums_to_one(&model, &noise(400, 12));
        }
    }
    let mut model = Interpolated::new(&ids, 12, None, &Progress::new()).unwrap();
    sums_to_one(&model, &noise(400, 12));
    let losses = model.fit(&[], &noise(500, 12), 1e-9, 50, &Progress::new()).unwrap();
    assert!(losses.windows(2).all(|pair| pair[1] <= pair[0] + 1e-15));
    sums_to_one(&model, &noise(400, 12));
}

#[test]
fn one_word_after_the_other_is_what_the_distributions_say() {
    let (ids, test) = (noise(500, 5), noise(50, 5));
    let model = KneserNey::new(&ids, 4, 5, None, true, &Progress::new()).unwrap();
    let scored = ngram_lm::score(&model, &[], &test, &Progress::new()).unwrap();
    for (place, &id) in test.iter().enumerate() {
        let row =
            ngram_lm::distributions(&model, &test[..place], place, 1, &Progress::new()).unwrap();
        assert!((row[id as usize] - scored[place]).abs() < 1e-15);
    }
}

#[test]
fn work_ends_early_when_asked() {
    let progress = Progress::new();
    progress.cancel();
    let ids = noise(100, 5);
    assert_eq!(KneserNey::new(&ids, 3, 5, None, false, &progress).unwrap_err(), Error::Interrupted);
    let model = KneserNey::new(&ids, 3, 5, None, false, &Progress::new()).unwrap();
    assert_eq!(ngram_lm::score(&model, &[], &ids, &progress).unwrap_err(), Error::Interrupted);
}
