//! Counts n-grams over any alphabet: in a table for the symbols that come first, in a hash map for
//! the others.
//!
//! As for ASCII, newlines are counted like other symbols, as boundaries, and the meaning of the
//! n-grams around them is worked out at the end. Frequent symbols come early, so that even in a
//! text with thousands of symbols few n-grams are counted in the map.
#![allow(clippy::indexing_slicing, reason = "cells and ids are the table's own")]

use super::gram::{self, GramMap, Order, symbol};
use crate::alloc::{self, demand};

/// The id of the boundary; 0 is that of symbols not met yet.
const BOUNDARY: u32 = 1;

/// Counts by n-grams of code points.
pub struct General {
    table: DenseTable,
    /// The n-grams in which there is a symbol that the table has no room for.
    map: GramMap,
}

impl General {
    /// Makes a counter without counts.
    pub fn new(order: Order) -> General {
        General { table: DenseTable::new(order), map: GramMap::default() }
    }

    /// Counts text, whose lines are stripped, after a history.
    pub fn count(&mut self, mut history: u64, mut text: &str, last: bool) {
        loop {
            if let Some(row) = self.table.row(history) {
                let (row, rest) = self.table.count(row, text);
                (history, text) = (self.table.history(row), rest);
            }
            // Here the text ends, or a symbol is new or has no place in the table.
            let mut characters = text.chars();
            let Some(c) = characters.next() else { break };
            let gram = Order::gram(history, if c == '\n' { 0 } else { symbol(c) });
            self.add(gram, 1);
            history = self.table.order.history(gram);
            text = characters.as_str();
        }
        if last && gram::place_of(history, 0) != 0 {
            self.add(Order::gram(history, 0), 1);
        }
    }

    /// Adds to the count of one n-gram.
    pub fn add(&mut self, gram: u64, count: u64) {
        if let Some(cell) = self.table.cell(gram) {
            *cell += count;
        } else {
            demand(alloc::reserve_entry(&mut self.map));
            *self.map.entry(gram).or_default() += count;
        }
    }

    /// Returns the number of n-grams in the hash map.
    pub fn mapped(&self) -> usize {
        self.map.len()
    }

    /// Takes out what is in the hash map.
    pub fn take_mapped(&mut self) -> Vec<(u64, u64)> {
        let meant = |(gram, count)| Some((gram::meaning(gram)?, count));
        let mut grams = demand(alloc::with_capacity(self.map.len()));
        grams.extend(self.map.drain().filter_map(meant));
        grams
    }

    /// Returns all counts that are left.
    pub fn finish(mut self) -> Vec<(u64, u64)> {
        let mut grams = self.take_mapped();
        for entry in self.table.grams() {
            demand(alloc::push(&mut grams, entry));
        }
        grams
    }
}

/// A table with a cell for each n-gram of the symbols met so far, which are numbered as they come.
///
/// With `shift` bits per symbol, the cell of an n-gram is `row << shift | id`, where the row stands
/// for the history. The row of the next symbol is the cell's number without its first symbol.
struct DenseTable {
    order: Order,
    /// The ids of code points, as far as they have been needed.
    ids: Vec<u32>,
    /// The symbol of each id.
    symbols: Vec<u64>,
    shift: usize,
    cells: Vec<u64>,
}

impl DenseTable {
    fn new(order: Order) -> DenseTable {
        DenseTable { order, ids: Vec::new(), symbols: vec![0, 0], shift: 1, cells: Vec::new() }
    }

    /// Returns the most bits that an id may have; the table has 8 or 16 MiB then.
    fn most(&self) -> usize {
        match self.order {
            Order::Bigrams => 10,
            Order::Trigrams => 7,
        }
    }

    /// Counts until a symbol comes that has no id; returns the row at that point.
    fn count<'t>(&mut self, mut row: usize, text: &'t str) -> (usize, &'t str) {
        let (shift, rows) = (self.shift, self.cells.len() >> self.shift);
        let mut characters = text.chars();
        loop {
            let rest = characters.as_str();
            let Some(c) = characters.next() else { return (row, rest) };
            let id = self.ids.get(c as usize).map_or(0, |&id| id as usize);
            let cell = row << shift | id;
            match self.cells.get_mut(cell) {
                Some(count) if id > 0 => *count += 1,
                _ => return (row, rest),
            }
            row = cell & (rows - 1);
        }
    }

    /// Returns the cell of an n-gram; None where there are too many symbols.
    fn cell(&mut self, gram: u64) -> Option<&mut u64> {
        let id = self.id(gram::place_of(gram, 0))?;
        let row = self.row(gram >> gram::BITS)?;
        self.cells.get_mut(row << self.shift | id)
    }

    /// Returns the row of a history; None where a symbol has no id.
    fn row(&self, history: u64) -> Option<usize> {
        let mut row = 0;
        for place in (0..self.order.get() - 1).rev() {
            let id = self.known(gram::place_of(history, place)).filter(|&id| id > 0)?;
            row = row << self.shift | id;
        }
        Some(row)
    }

    /// Returns the history of a row.
    fn history(&self, row: usize) -> u64 {
        let mask = (1 << self.shift) - 1;
        let places = (0..self.order.get() - 1).rev();
        let ids = places.map(|place| (0..place).fold(row, |row, _| row >> self.shift) & mask);
        ids.fold(0, |history, id| Order::gram(history, self.symbols[id]))
    }

    /// Returns the id of a symbol, 0 for a new one.
    fn known(&self, symbol: u64) -> Option<usize> {
        match symbol.checked_sub(1) {
            None => Some(BOUNDARY as usize),
            Some(code) => {
                let id = self.ids.get(usize::try_from(code).ok()?);
                Some(id.map_or(0, |&id| id as usize))
            }
        }
    }

    /// Returns the id of a symbol; a new one gets an id if there is room.
    fn id(&mut self, symbol: u64) -> Option<usize> {
        let known = self.known(symbol)?;
        if known > 0 && !self.cells.is_empty() {
            return Some(known);
        }
        if self.ids.is_empty() {
            // Text has newlines where n-grams have boundaries.
            demand(alloc::lengthen(&mut self.ids, 128));
            *self.ids.get_mut('\n' as usize)? = BOUNDARY;
        }
        let new = self.symbols.len();
        if new >> self.shift > 0 {
            if self.shift == self.most() {
                return None;
            }
            self.widen();
        }
        if known > 0 {
            return Some(known);
        }
        let code = usize::try_from(symbol.checked_sub(1)?).ok()?;
        if code >= self.ids.len() {
            demand(alloc::lengthen(&mut self.ids, (code + 1).next_power_of_two()));
        }
        *self.ids.get_mut(code)? = u32::try_from(new).ok()?;
        self.symbols.push(symbol);
        Some(new)
    }

    /// Widens ids by two bits or more.
    fn widen(&mut self) {
        let old = self.shift;
        self.shift = (old + 2).clamp(5, self.most());
        let order = self.order.get();
        let mut cells: Vec<u64> = demand(alloc::zeroed(1 << (self.shift * order)));
        for (at, &count) in self.cells.iter().enumerate().filter(|&(_, &count)| count > 0) {
            let ids = (0..order).rev().map(|place| at >> (old * place) & ((1 << old) - 1));
            let new = ids.fold(0, |new, id| new << self.shift | id);
            cells[new] = count;
        }
        self.cells = cells;
    }

    /// Iterates over the n-grams that occur, with their counts.
    fn grams(&self) -> impl Iterator<Item = (u64, u64)> {
        let mask = (1 << self.shift) - 1;
        let used = self.cells.iter().enumerate().filter(|&(_, &count)| count > 0);
        used.filter_map(move |(at, &count)| {
            let ids = (0..self.order.get()).rev().map(|place| at >> (self.shift * place) & mask);
            let gram = ids.fold(0, |gram, id| Order::gram(gram, self.symbols[id]));
            Some((gram::meaning(gram)?, count))
        })
    }
}
