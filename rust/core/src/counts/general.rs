//! Counting over any alphabet: a dense table while it is small, a hash map beyond.

use super::gram::{self, GramMap, Order, symbol};

/// Counts by n-grams of code points.
pub struct General {
    order: Order,
    store: Store,
}

enum Store {
    Dense(Dense),
    Sparse(GramMap),
}

impl General {
    /// No counts.
    pub fn new(order: Order) -> General {
        General { order, store: Store::Dense(Dense::new(order)) }
    }

    /// Counts the characters of one line; returns the history behind them.
    pub fn count(&mut self, mut history: u64, mut text: &str) -> u64 {
        if let Store::Dense(dense) = &mut self.store {
            (history, text) = dense.count(history, text);
            if text.is_empty() {
                return history;
            }
            self.store = Store::Sparse(dense.grams().collect());
        }
        if let Store::Sparse(map) = &mut self.store {
            for c in text.chars() {
                let gram = Order::gram(history, symbol(c));
                *map.entry(gram).or_default() += 1;
                history = self.order.history(gram);
            }
        }
        history
    }

    /// Counts the end of an item.
    pub fn end(&mut self, history: u64) {
        self.add(Order::gram(history, 0), 1);
    }

    /// Adds to the count of one n-gram.
    pub fn add(&mut self, gram: u64, count: u64) {
        if let Store::Dense(dense) = &mut self.store {
            if dense.add(gram, count) {
                return;
            }
            self.store = Store::Sparse(dense.grams().collect());
        }
        if let Store::Sparse(map) = &mut self.store {
            *map.entry(gram).or_default() += count;
        }
    }

    /// How many n-grams a hash map holds.
    pub fn entries(&self) -> usize {
        match &self.store {
            Store::Dense(_) => 0,
            Store::Sparse(map) => map.len(),
        }
    }

    /// Takes the counts out, leaving none.
    pub fn take(&mut self) -> Vec<(u64, u64)> {
        match &mut self.store {
            Store::Dense(dense) => {
                let grams = dense.grams().collect();
                self.store = Store::Dense(Dense::new(self.order));
                grams
            }
            Store::Sparse(map) => map.drain().collect(),
        }
    }
}

/// A table with a cell for each n-gram of the symbols met so far, which are numbered as they come.
///
/// With `shift` bits a symbol, the cell of an n-gram is `row << shift | id`, where the row stands
/// for the history; and the row of the next symbol is that number without its first symbol.
struct Dense {
    order: Order,
    /// The id of each code point, 0 where it has none yet. Empty until it is needed; after that the
    /// system provides the pages that are touched.
    ids: Vec<u32>,
    /// The symbol of each id.
    symbols: Vec<u64>,
    shift: u32,
    cells: Vec<u64>,
}

impl Dense {
    fn new(order: Order) -> Dense {
        Dense { order, ids: Vec::new(), symbols: vec![0], shift: 0, cells: vec![0] }
    }

    /// The number of bits for an id, at most: tables of 8 and of 16 MiB.
    fn most(&self) -> u32 {
        match self.order {
            Order::Bigrams => 10,
            Order::Trigrams => 7,
        }
    }

    /// Counts the characters of one line until there are too many symbols; returns the history at
    /// that point and the rest of the text.
    fn count<'t>(&mut self, mut history: u64, mut text: &'t str) -> (u64, &'t str) {
        loop {
            let Some(row) = self.row(history) else { return (history, text) };
            let (row, rest) = self.count_known(row, text);
            history = self.history(row);
            text = rest;
            let Some(c) = text.chars().next() else { return (history, text) };
            if self.id(symbol(c)).is_none() {
                return (history, text);
            }
        }
    }

    /// Counts until a symbol comes that has no id; returns the row at that point.
    fn count_known<'t>(&mut self, mut row: usize, text: &'t str) -> (usize, &'t str) {
        let rows = self.cells.len() >> self.shift;
        let mut characters = text.chars();
        loop {
            let rest = characters.as_str();
            let Some(c) = characters.next() else { return (row, rest) };
            let id = self.ids.get(c as usize).map_or(0, |&id| id as usize);
            let cell = row << self.shift | id;
            match self.cells.get_mut(cell) {
                Some(count) if id > 0 => *count += 1,
                _ => return (row, rest),
            }
            row = cell & (rows - 1);
        }
    }

    /// Adds to a count; false where there are too many symbols.
    fn add(&mut self, gram: u64, count: u64) -> bool {
        let last = gram::place_of(gram, 0);
        // Ids first: they may change the shape of the table, and with it the row.
        let (Some(_), Some(id)) = (self.row(gram >> gram::BITS), self.id(last)) else {
            return false;
        };
        let row = self.row(gram >> gram::BITS);
        let cell = row.and_then(|row| self.cells.get_mut(row << self.shift | id));
        cell.map(|cell| *cell += count).is_some()
    }

    /// The row of a history, whose symbols get ids where they have none.
    fn row(&mut self, history: u64) -> Option<usize> {
        let places = (0..self.order.get() - 1).rev();
        let symbols = places.map(|place| gram::place_of(history, place));
        let mut ids = [0; 2];
        for (id, symbol) in ids.iter_mut().zip(symbols) {
            *id = self.id(symbol)?;
        }
        let used = ids.iter().take(self.order.get() - 1);
        Some(used.fold(0, |row, id| row << self.shift | id))
    }

    /// The history that a row stands for.
    fn history(&self, row: usize) -> u64 {
        let mask = (1 << self.shift) - 1;
        let places = (0..self.order.get() - 1).rev();
        let ids = places.map(|place| (0..place).fold(row, |row, _| row >> self.shift) & mask);
        let symbols = ids.map(|id| self.symbols.get(id).copied().unwrap_or(0));
        symbols.fold(0, Order::gram)
    }

    /// The id of a symbol, a new one if need be; none where there are too many.
    fn id(&mut self, symbol: u64) -> Option<usize> {
        let Some(code) = symbol.checked_sub(1).and_then(|code| usize::try_from(code).ok()) else {
            return Some(0);
        };
        if self.ids.is_empty() {
            self.ids = vec![0; char::MAX as usize + 1];
        }
        let known = *self.ids.get(code)?;
        if known > 0 {
            return Some(known as usize);
        }
        let new = self.symbols.len();
        if new >> self.shift > 0 {
            if self.shift == self.most() {
                return None;
            }
            self.widen();
        }
        *self.ids.get_mut(code)? = u32::try_from(new).ok()?;
        self.symbols.push(symbol);
        Some(new)
    }

    /// Gives ids more bits.
    fn widen(&mut self) {
        let old = self.shift;
        self.shift = (old + 2).clamp(5, self.most());
        let order = u32::try_from(self.order.get()).unwrap_or(3);
        let mut cells = vec![0; 1 << (self.shift * order)];
        for (at, &count) in self.cells.iter().enumerate().filter(|&(_, &count)| count > 0) {
            let mask = (1 << old) - 1;
            let new = (0..order)
                .rev()
                .fold(0, |new, place| new << self.shift | (at >> (old * place)) & mask);
            if let Some(cell) = cells.get_mut(new) {
                *cell = count;
            }
        }
        self.cells = cells;
    }

    /// The n-grams that occur.
    fn grams(&self) -> impl Iterator<Item = (u64, u64)> {
        let mask = (1 << self.shift) - 1;
        let order = u32::try_from(self.order.get()).unwrap_or(3);
        let used = self.cells.iter().enumerate().filter(|&(_, &count)| count > 0);
        used.map(move |(at, &count)| {
            let ids = (0..order).rev().map(|place| (at >> (self.shift * place)) & mask);
            let symbols = ids.map(|id| self.symbols.get(id).copied().unwrap_or(0));
            (symbols.fold(0, Order::gram), count)
        })
    }
}
