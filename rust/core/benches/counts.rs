//! How fast n-grams are counted without Python: names, English, other alphabets, files.
//!
//! `cargo bench -p fastgrad-core --bench counts`, or `... -- names` for a part of it. The names are
//! made up, as long as real ones and with letters as frequent.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a benchmark may fail loudly")]

use std::hint::black_box;
use std::time::Duration;

use criterion::{Criterion, Throughput};
use fastgrad_core::ngram_counts::{Order, Settings, count_bytes, count_ids, count_reader};
use fastgrad_core::progress::Progress;

fn main() {
    let mut criterion = Criterion::default()
        .sample_size(30)
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_millis(1500))
        .configure_from_args();
    let names = lines(32_033, "aaaabcdeeefghiiijklllmnnnoopqrrrsstuvwxyyz", 3..=9);
    let many = names.repeat(70);
    texts(&mut criterion, "names, 0.2 MB", &names);
    texts(&mut criterion, "names, 15 MB", &many);
    texts(&mut criterion, "names with CRLF, 15 MB", &many.replace('\n', "\r\n"));
    texts(&mut criterion, "names indented, 15 MB", &many.replace('\n', "\n    "));
    let letters = "eeeee tttt aaa oo ii nn ss hh rr d l u c m w f g y p b v k x q z . , ' T A I S";
    texts(&mut criterion, "sentences, 15 MB", &lines(150_000, letters, 60..=140));
    texts(&mut criterion, "one line, 15 MB", &lines(150_000, letters, 60..=140).replace('\n', "x"));
    texts(
        &mut criterion,
        "cyrillic, 15 MB",
        &lines(150_000, "оеаинтсрвлкмдпуяыьгзбчй ,.", 40..=60),
    );
    let han: String = (0x4e00..0x5b00).filter_map(char::from_u32).collect();
    texts(&mut criterion, "han, 2 MB", &lines(20_000, &han, 25..=40));
    ids(&mut criterion, &names);
    criterion.final_summary();
}

/// Lines of random characters.
fn lines(count: usize, alphabet: &str, lengths: std::ops::RangeInclusive<usize>) -> String {
    let characters: Vec<char> = alphabet.chars().collect();
    let mut state = 42_u64;
    let mut below = |n: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        usize::try_from(state % n as u64).unwrap()
    };
    let mut text = String::new();
    for _ in 0..count {
        for _ in 0..lengths.start() + below(lengths.end() - lengths.start() + 1) {
            text.push(characters[below(characters.len())]);
        }
        text.push('\n');
    }
    text
}

/// A text of either order in memory, and as a reader of it.
fn texts(criterion: &mut Criterion, name: &str, text: &str) {
    let mut group = criterion.benchmark_group(name);
    group.throughput(Throughput::Bytes(text.len() as u64));
    for (title, order) in [("bigrams", 2), ("trigrams", 3)] {
        let settings = Settings::new(Order::new(order).unwrap(), name);
        group.bench_function(title, |bencher| {
            bencher.iter(|| count_bytes(black_box(text.as_bytes()), &settings, &Progress::new()));
        });
    }
    let settings = Settings { threads: 2, ..Settings::new(Order::Bigrams, name) };
    group.bench_function("bigrams, read by two threads", |bencher| {
        bencher.iter(|| count_reader(black_box(text.as_bytes()), &settings, &Progress::new()));
    });
}

/// The names as ids.
fn ids(criterion: &mut Criterion, names: &str) {
    let ids: Vec<u32> =
        names.bytes().map(|byte| u32::from(byte).saturating_sub(u32::from(b'a') - 1)).collect();
    let alphabet: Vec<char> = ('a'..='z').collect();
    let mut group = criterion.benchmark_group("ids");
    group.throughput(Throughput::Elements(ids.len() as u64));
    group.bench_function("bigrams", |bencher| {
        bencher.iter(|| {
            count_ids(black_box(&ids), alphabet.clone(), Order::Bigrams, "ids", &Progress::new())
        });
    });
}
