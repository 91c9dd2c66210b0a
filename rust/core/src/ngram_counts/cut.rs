//! Finds where a text may be cut into blocks, and what counting a block needs of the text before it.
#![allow(clippy::indexing_slicing, reason = "lengths are those of the text")]

use std::collections::BTreeMap;

use super::gram::{Order, symbol};
use crate::text::is_space;

/// What counting a block needs of the part of its first line that lies before it.
#[derive(Clone, Debug, Default)]
pub struct Context {
    /// The symbols up to the last one that is not whitespace; 0 where no item has begun.
    pub history: u64,
    /// The whitespace after that, if any, while it is not known whether the item goes on.
    pub gap: Option<Gap>,
}

/// A run of whitespace of any length, as the n-grams that are counted if the item goes on after it.
#[derive(Clone, Debug)]
pub struct Gap {
    /// The symbols before the next character.
    pub history: u64,
    /// The n-grams so far.
    pub grams: BTreeMap<u64, u64>,
}

impl Context {
    /// Adds whitespace without a newline, of any length but in whole characters.
    pub fn skip(&mut self, order: Order, spaces: &str) {
        if self.history == 0 {
            return;
        }
        let history = self.history;
        let gap = self.gap.get_or_insert_with(|| Gap { history, grams: BTreeMap::new() });
        let (mut last, mut run) = (0, 0);
        for space in spaces.chars() {
            let gram = Order::gram(gap.history, symbol(space));
            gap.history = order.history(gram);
            if gram != last {
                gap.add(last, run);
                (last, run) = (gram, 0);
            }
            run += 1;
        }
        gap.add(last, run);
    }

    /// Returns the context of the block after a text that was cut by [`cut`].
    pub fn after(&self, order: Order, text: &[u8]) -> Context {
        Context::behind(order, text, Some(self)).unwrap_or_else(|| self.clone())
    }

    /// Returns the context of the block after a text, given that of the text itself in `before`. If
    /// `before` is None, returns None where the result depends on it.
    pub fn behind(order: Order, text: &[u8], before: Option<&Context>) -> Option<Context> {
        let (rest, last) = pop(text)?;
        if last == '\n' {
            return Some(Context::default());
        }
        let earlier = match pop(rest) {
            Some((_, '\n')) => 0,
            Some((_, space)) if is_space(space) && is_leading(rest, before)? => 0,
            Some((_, c)) => symbol(c),
            None => before?.gap.as_ref().map_or(before?.history, |gap| gap.history),
        };
        Some(Context { history: order.history(Order::gram(earlier, symbol(last))), gap: None })
    }
}

/// Returns true where the whitespace at the end of `text` stands before an item.
fn is_leading(mut text: &[u8], before: Option<&Context>) -> Option<bool> {
    while let Some((rest, c)) = pop(text) {
        if c == '\n' || !is_space(c) {
            return Some(c == '\n');
        }
        text = rest;
    }
    before.map(|before| before.history == 0)
}

impl Gap {
    fn add(&mut self, gram: u64, count: u64) {
        if count > 0 {
            *self.grams.entry(gram).or_default() += count;
        }
    }
}

/// The place to cut a text at, such that the rest can be counted given only a [`Context`]: after
/// the last newline, or else after the last character that is not whitespace.
pub enum Cut {
    /// After that many bytes.
    At(usize),
    /// There is nothing but whitespace in that many bytes, after which a character begins.
    Spaces(usize),
}

/// Finds the place to cut at; what is not UTF-8 counts as characters.
pub fn cut(text: &[u8]) -> Cut {
    if let Some(at) = memchr::memrchr(b'\n', text) {
        return Cut::At(at + 1);
    }
    let whole = text.len() - unfinished(text);
    let mut rest = &text[..whole];
    while let Some((before, c)) = pop(rest) {
        if !is_space(c) {
            return Cut::At(rest.len());
        }
        rest = before;
    }
    Cut::Spaces(whole)
}

/// Returns the length of the unfinished character at the end.
fn unfinished(text: &[u8]) -> usize {
    let lead = text.iter().rev().take(4).position(|&byte| byte & 0xc0 != 0x80);
    match lead.and_then(|back| Some((back + 1, text.get(text.len() - 1 - back)?))) {
        Some((length, 0xc0..=0xdf)) if length < 2 => length,
        Some((length, 0xe0..=0xef)) if length < 3 => length,
        Some((length, 0xf0..=0xff)) if length < 4 => length,
        _ => 0,
    }
}

/// Splits off the last character; bytes that are not UTF-8 come as U+FFFD, one by one.
fn pop(text: &[u8]) -> Option<(&[u8], char)> {
    let (&last, rest) = text.split_last()?;
    if last.is_ascii() {
        return Some((rest, char::from(last)));
    }
    for length in 2..=4 {
        let Some((before, tail)) = text.split_at_checked(text.len().wrapping_sub(length)) else {
            break;
        };
        if let Ok(tail) = std::str::from_utf8(tail)
            && let Some(c) = tail.chars().next()
        {
            return Some((before, c));
        }
    }
    Some((rest, char::REPLACEMENT_CHARACTER))
}
