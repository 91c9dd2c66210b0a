//! Where blocks of text come from, and how a text becomes blocks.

use std::io;

use super::cut::{Context, Cut, cut};
use super::file::ReadAt;
use super::gram::Order;
use crate::progress::Progress;
use crate::text::BOM;
use crate::{Error, Result, alloc};

/// A part of a text, which can be counted without the others.
pub struct Block<T> {
    /// Its number, the first one being 0.
    pub index: u64,
    /// Where it begins in the whole, in bytes.
    pub offset: u64,
    /// What stands before it in its first line.
    pub context: Context,
    /// The text, or where it is.
    pub text: T,
    /// Whether the whole ends here, and so does the item.
    pub last: bool,
}

/// Where the text of a block is.
pub enum Text<'d> {
    /// In memory.
    Memory(&'d [u8]),
    /// At the start of the buffer, that many bytes.
    Buffer(usize),
    /// Not read yet, that many bytes.
    Unread(&'d dyn ReadAt, usize),
}

impl<'d> Block<Text<'d>> {
    /// The block with its text, which is read into the buffer if it must be.
    pub fn load<'b>(self, buffer: &'b mut Vec<u8>, name: &str) -> Result<Block<&'b [u8]>>
    where
        'd: 'b,
    {
        let Block { index, offset, context, text, last } = self;
        let text = match text {
            Text::Memory(text) => text,
            Text::Buffer(length) => buffer.get(..length).unwrap_or_default(),
            Text::Unread(file, length) => {
                alloc::resize(buffer, length)?;
                let filled = fill(buffer, 0, name, |free, filled| {
                    file.read_at(free, offset + filled as u64)
                })?;
                if filled < length {
                    return Err(shorter(name, offset + filled as u64, offset + length as u64));
                }
                buffer
            }
        };
        Ok(Block { index, offset, context, text, last })
    }
}

/// Blocks of a text, one after the other, each ending where [`cut`] says.
pub trait Source<'d>: Send {
    /// The next block, perhaps in the buffer given; none after the last one.
    fn next(
        &mut self,
        buffer: &mut Vec<u8>,
        progress: &Progress,
    ) -> Result<Option<Block<Text<'d>>>>;
}

/// How far a source is.
pub struct Position {
    /// The order of what is counted.
    pub order: Order,
    /// The size of a block, at most.
    pub size: usize,
    /// Where the next block begins, in bytes.
    pub offset: u64,
    /// Whether there is no next block.
    pub ended: bool,
    index: u64,
    context: Context,
}

impl Position {
    /// The start of a text.
    pub fn new(order: Order, size: usize) -> Position {
        // A block has room for any character.
        let size = size.max(4);
        let context = Context::default();
        Position { order, size, index: 0, offset: 0, context, ended: false }
    }

    /// Looks where the next block of a text ends of which there is more. Returns its length, and
    /// what comes to stand behind it; or, after whitespace which the context remembers, none.
    pub fn step(&mut self, text: &[u8], progress: &Progress) -> Result<(usize, Option<Context>)> {
        match cut(text) {
            Cut::At(length) => {
                let after = self.context.after(self.order, text.get(..length).unwrap_or(text));
                Ok((length, Some(after)))
            }
            Cut::Spaces(length) => {
                let spaces = text.get(..length).and_then(|spaces| str::from_utf8(spaces).ok());
                self.context.skip(self.order, spaces.unwrap_or(""));
                self.offset += length as u64;
                progress.add(length as u64)?;
                Ok((length, None))
            }
        }
    }

    /// The last block, of that length.
    pub fn last<T>(&mut self, text: T, length: usize) -> Block<T> {
        self.ended = true;
        Block { last: true, ..self.block(text, length, Context::default()) }
    }

    /// The next block, of that length, and what comes to stand behind it.
    pub fn block<T>(&mut self, text: T, length: usize, after: Context) -> Block<T> {
        let (index, offset) = (self.index, self.offset);
        self.index += 1;
        self.offset += length as u64;
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
        let rest = text.strip_prefix(BOM).unwrap_or(text);
        position.offset = (text.len() - rest.len()) as u64;
        Memory { rest, position }
    }
}

impl<'d> Source<'d> for Memory<'d> {
    fn next(&mut self, _: &mut Vec<u8>, progress: &Progress) -> Result<Option<Block<Text<'d>>>> {
        while !self.position.ended {
            let Some(text) = self.rest.get(..self.position.size) else {
                let text = Text::Memory(self.rest);
                return Ok(Some(self.position.last(text, self.rest.len())));
            };
            let (length, after) = self.position.step(text, progress)?;
            let (text, rest) = self.rest.split_at_checked(length).unwrap_or((text, &[]));
            self.rest = rest;
            if let Some(after) = after {
                return Ok(Some(self.position.block(Text::Memory(text), length, after)));
            }
        }
        Ok(None)
    }
}

/// Fills what is free of a buffer, by calls of `read` with that and with how much there is by then;
/// returns how much there is in the end, which is less than the buffer's length only where there is
/// no more.
pub fn fill(
    buffer: &mut [u8],
    mut filled: usize,
    name: &str,
    mut read: impl FnMut(&mut [u8], usize) -> io::Result<usize>,
) -> Result<usize> {
    while let Some(free) = buffer.get_mut(filled..).filter(|free| !free.is_empty()) {
        match read(free, filled) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(io_problem(name, &error)),
        }
    }
    Ok(filled.min(buffer.len()))
}

/// The system failed to read.
pub fn io_problem(name: &str, error: &io::Error) -> Error {
    let (name, code, kind) = (name.to_owned(), error.raw_os_error(), error.kind());
    Error::Io { name, code, kind, reason: error.to_string() }
}

/// A file had more bytes before.
pub fn shorter(name: &str, now: u64, before: u64) -> Error {
    let reason = format!("it became shorter while it was read: {now} bytes after {before}");
    io_problem(name, &io::Error::new(io::ErrorKind::UnexpectedEof, reason))
}
