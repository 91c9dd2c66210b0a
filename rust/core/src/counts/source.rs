//! Where blocks of text come from: memory, or a reader.

use std::io::{self, Read};

use super::Problem;
use super::gram::Order;
use super::text::{Context, Cut, cut};
use crate::watch::Watch;
use crate::{Error, Result};

/// What a file may begin with to say that it is UTF-8.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// A part of a text, which can be counted without the others.
pub struct Block<'a> {
    /// Its number, the first one being 0.
    pub index: u64,
    /// Where it begins in the whole, in bytes.
    pub offset: u64,
    /// What stands before it in its first line.
    pub context: Context,
    /// The text.
    pub text: &'a [u8],
    /// Whether the whole ends here, and so does the item.
    pub last: bool,
}

/// Blocks of a text, one after the other, each ending where [`cut`] says.
pub trait Source<'d>: Send {
    /// The next block, perhaps in the buffer given; none after the last one.
    fn next<'b>(&mut self, buffer: &'b mut Vec<u8>, watch: &Watch) -> Result<Option<Block<'b>>>
    where
        'd: 'b;
}

/// How far a source is.
struct Position {
    order: Order,
    /// The size of a block, at most.
    size: usize,
    index: u64,
    offset: u64,
    context: Context,
    ended: bool,
}

impl Position {
    fn new(order: Order, size: usize) -> Position {
        // A block has room for any character.
        let size = size.max(4);
        let context = Context::default();
        Position { order, size, index: 0, offset: 0, context, ended: false }
    }

    /// Looks where the next block of a text ends of which there is more. Returns its length, and
    /// what comes to stand behind it; or, after whitespace which the context remembers, none.
    fn step(&mut self, text: &[u8], watch: &Watch) -> Result<(usize, Option<Context>)> {
        match cut(text) {
            Cut::At(length) => {
                let after = self.context.after(self.order, text.get(..length).unwrap_or(text));
                Ok((length, Some(after)))
            }
            Cut::Spaces(length) => {
                let spaces = text.get(..length).and_then(|spaces| str::from_utf8(spaces).ok());
                self.context.skip(self.order, spaces.unwrap_or(""));
                self.offset += length as u64;
                watch.advance(length as u64)?;
                Ok((length, None))
            }
        }
    }

    fn last<'b>(&mut self, text: &'b [u8]) -> Block<'b> {
        self.ended = true;
        Block { last: true, ..self.block(text, Context::default()) }
    }

    fn block<'b>(&mut self, text: &'b [u8], after: Context) -> Block<'b> {
        let (index, offset) = (self.index, self.offset);
        self.index += 1;
        self.offset += text.len() as u64;
        let context = std::mem::replace(&mut self.context, after);
        Block { index, offset, context, text, last: false }
    }
}

/// A text in memory.
pub struct Memory<'d> {
    rest: &'d [u8],
    position: Position,
}

impl<'d> Memory<'d> {
    /// All of a text, in blocks of that size at most.
    pub fn new(text: &'d [u8], order: Order, size: usize) -> Memory<'d> {
        let mut position = Position::new(order, size);
        let rest = text.strip_prefix(BYTE_ORDER_MARK).unwrap_or(text);
        position.offset = (text.len() - rest.len()) as u64;
        Memory { rest, position }
    }
}

impl<'d> Source<'d> for Memory<'d> {
    fn next<'b>(&mut self, _: &'b mut Vec<u8>, watch: &Watch) -> Result<Option<Block<'b>>>
    where
        'd: 'b,
    {
        while !self.position.ended {
            let Some(text) = self.rest.get(..self.position.size) else {
                return Ok(Some(self.position.last(self.rest)));
            };
            let (length, after) = self.position.step(text, watch)?;
            let (text, rest) = self.rest.split_at_checked(length).unwrap_or((text, &[]));
            self.rest = rest;
            if let Some(after) = after {
                return Ok(Some(self.position.block(text, after)));
            }
        }
        Ok(None)
    }
}

/// A text that is read.
pub struct Stream<'n, R> {
    reader: R,
    /// Whose text it is, for messages.
    name: &'n str,
    /// What was read and belongs to the next block.
    rest: Vec<u8>,
    position: Position,
}

impl<'n, R: Read + Send> Stream<'n, R> {
    /// All that a reader gives, in blocks of that size at most.
    pub fn new(reader: R, name: &'n str, order: Order, size: usize) -> Stream<'n, R> {
        Stream { reader, name, rest: Vec::new(), position: Position::new(order, size) }
    }

    /// Fills the buffer with what is left over and what comes next; returns how much that is,
    /// which is less than the buffer's length only at the end.
    fn fill(&mut self, buffer: &mut [u8]) -> Result<usize> {
        let mut filled = self.rest.len();
        if let Some(start) = buffer.get_mut(..filled) {
            start.copy_from_slice(&self.rest);
        }
        self.rest.clear();
        while let Some(free) = buffer.get_mut(filled..).filter(|free| !free.is_empty()) {
            match self.reader.read(free) {
                Ok(0) => break,
                Ok(count) => filled += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(io_problem(self.name, &error)),
            }
        }
        Ok(filled.min(buffer.len()))
    }
}

impl<'d, R: Read + Send> Source<'d> for Stream<'_, R> {
    fn next<'b>(&mut self, buffer: &'b mut Vec<u8>, watch: &Watch) -> Result<Option<Block<'b>>>
    where
        'd: 'b,
    {
        buffer.resize(self.position.size, 0);
        while !self.position.ended {
            let mut filled = self.fill(buffer)?;
            let whole = filled == buffer.len();
            if self.position.offset == 0 && buffer.starts_with(BYTE_ORDER_MARK) {
                let mark = BYTE_ORDER_MARK.len();
                buffer.copy_within(mark..filled, 0);
                filled -= mark;
                self.position.offset = mark as u64;
            }
            if !whole {
                return Ok(Some(self.position.last(buffer.get(..filled).unwrap_or_default())));
            }
            let text = buffer.get(..filled).unwrap_or_default();
            let (length, after) = self.position.step(text, watch)?;
            self.rest.extend_from_slice(text.get(length..).unwrap_or_default());
            if let Some(after) = after {
                let text = buffer.get(..length).unwrap_or_default();
                return Ok(Some(self.position.block(text, after)));
            }
        }
        Ok(None)
    }
}

fn io_problem(name: &str, error: &io::Error) -> Error {
    let (name, code, kind) = (name.to_owned(), error.raw_os_error(), error.kind());
    Error::from(Problem::Io { name, code, kind, reason: error.to_string() })
}
