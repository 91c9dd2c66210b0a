//! Splits a text into blocks, which are counted independently: a text in memory, from a reader, or
//! in a file.
//!
//! The blocks of a file are read by the threads that count them, by their offsets, so that threads
//! copy at the same time, each into its own cache. The end of a block is found from its last few
//! bytes if possible; otherwise, and at the end of the file, the whole block is read to find it.
#![allow(clippy::indexing_slicing, reason = "lengths are those of what was read, or cut")]

use std::fs::File;
use std::io::{self, Read};

use super::cut::{Context, Cut, cut};
use super::gram::Order;
use crate::progress::Progress;
use crate::text::BOM;
use crate::{Error, Result, alloc};

/// The last bytes of a block, in which its end is searched for first.
const TAIL: usize = 512;

/// A file, or anything else that several threads can read at any offset.
pub trait ReadAt: Sync {
    /// Reads bytes from an offset into a buffer, as many as come at once; 0 only at the end.
    ///
    /// # Errors
    /// Whatever the system says.
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize>;
}

impl ReadAt for File {
    #[cfg(unix)]
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        std::os::unix::fs::FileExt::read_at(self, buffer, offset)
    }

    #[cfg(windows)]
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        // It moves the file's own position as well, which nobody here uses.
        std::os::windows::fs::FileExt::seek_read(self, buffer, offset)
    }
}

/// A part of a text, which can be counted without the others.
pub struct Block<T> {
    /// Its number, the first one being 0.
    pub index: u64,
    /// Its offset in the whole, in bytes.
    pub offset: u64,
    /// The start of its first line, where that lies before the block.
    pub context: Context,
    /// The text, or where it is.
    pub text: T,
    /// True for the last block, with which the last item ends.
    pub last: bool,
}

/// The place of a block's text.
pub enum Place<'d> {
    /// In memory.
    Memory(&'d [u8]),
    /// At the start of the buffer, that many bytes.
    Buffer(usize),
    /// Not read yet, that many bytes.
    Unread(&'d dyn ReadAt, usize),
}

impl<'d> Block<Place<'d>> {
    /// Returns the block with its text, which is read into the buffer if it is not in memory yet.
    pub fn load<'b>(self, buffer: &'b mut Vec<u8>, name: &str) -> Result<Block<&'b [u8]>>
    where
        'd: 'b,
    {
        let Block { index, offset, context, text, last } = self;
        let text = match text {
            Place::Memory(text) => text,
            Place::Buffer(length) => &buffer[..length],
            Place::Unread(file, length) => {
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

/// The blocks of a text, one after the other, each ending where [`cut`] says.
pub trait Blocks<'d>: Send {
    /// Returns the next block, whose text may lie in the buffer; None after the last one.
    fn next(
        &mut self,
        buffer: &mut Vec<u8>,
        progress: &Progress,
    ) -> Result<Option<Block<Place<'d>>>>;
}

/// The state of cutting a text into blocks.
pub struct Position {
    /// The order of what is counted.
    pub order: Order,
    /// The size of a block, at most.
    pub size: usize,
    /// The offset of the next block, in bytes.
    pub offset: u64,
    /// True where there is no next block.
    pub ended: bool,
    index: u64,
    context: Context,
}

impl Position {
    /// Makes the position at the start of a text.
    pub fn new(order: Order, size: usize) -> Position {
        // A block can hold any character.
        let size = size.max(4);
        let context = Context::default();
        Position { order, size, index: 0, offset: 0, context, ended: false }
    }

    /// Finds the end of the next block in `text`, after which more follows. Returns the block's
    /// length and the context of the block after it. If `text` is nothing but whitespace, adds it
    /// to the context, moves the position past it, and returns its length and None.
    pub fn step(&mut self, text: &[u8], progress: &Progress) -> Result<(usize, Option<Context>)> {
        match cut(text) {
            Cut::At(length) => {
                let after = self.context.after(self.order, &text[..length]);
                Ok((length, Some(after)))
            }
            Cut::Spaces(length) => {
                let Ok(spaces) = str::from_utf8(&text[..length]) else {
                    unreachable!("whitespace is cut in whole characters")
                };
                self.context.skip(self.order, spaces);
                self.offset += length as u64;
                progress.add(length as u64)?;
                Ok((length, None))
            }
        }
    }

    /// Returns the last block, which has this length.
    pub fn last<T>(&mut self, text: T, length: usize) -> Block<T> {
        self.ended = true;
        Block { last: true, ..self.block(text, length, Context::default()) }
    }

    /// Returns the next block, which has this length; `after` is the context of the one after it.
    pub fn block<T>(&mut self, text: T, length: usize, after: Context) -> Block<T> {
        let (index, offset) = (self.index, self.offset);
        self.index += 1;
        self.offset += length as u64;
        let context = std::mem::replace(&mut self.context, after);
        Block { index, offset, context, text, last: false }
    }
}

/// Fills a buffer, which has `filled` bytes already, by calls of `read` with the free part and the
/// number of bytes so far. Returns that number, less than the buffer's length only at the end of
/// the text.
pub fn fill(
    buffer: &mut [u8],
    mut filled: usize,
    name: &str,
    mut read: impl FnMut(&mut [u8], usize) -> io::Result<usize>,
) -> Result<usize> {
    while filled < buffer.len() {
        match read(&mut buffer[filled..], filled) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(io_error(name, &error)),
        }
    }
    Ok(filled)
}

/// Returns the error for a read that the system failed.
pub fn io_error(name: &str, error: &io::Error) -> Error {
    let (name, code, kind) = (name.to_owned(), error.raw_os_error(), error.kind());
    Error::Io { name, code, kind, reason: error.to_string() }
}

/// Returns the error for a file that has become shorter.
pub fn shorter(name: &str, now: u64, before: u64) -> Error {
    let reason = format!("it became shorter while it was read: {now} bytes after {before}");
    io_error(name, &io::Error::new(io::ErrorKind::UnexpectedEof, reason))
}

/// The blocks of a text in memory.
pub struct MemoryBlocks<'d> {
    rest: &'d [u8],
    position: Position,
}

impl<'d> MemoryBlocks<'d> {
    /// Splits a text into blocks of up to `size` bytes.
    pub fn new(text: &'d [u8], order: Order, size: usize) -> MemoryBlocks<'d> {
        let mut position = Position::new(order, size);
        let rest = text.strip_prefix(BOM).unwrap_or(text);
        position.offset = (text.len() - rest.len()) as u64;
        MemoryBlocks { rest, position }
    }
}

impl<'d> Blocks<'d> for MemoryBlocks<'d> {
    fn next(&mut self, _: &mut Vec<u8>, progress: &Progress) -> Result<Option<Block<Place<'d>>>> {
        while !self.position.ended {
            let Some(text) = self.rest.get(..self.position.size) else {
                let text = Place::Memory(self.rest);
                return Ok(Some(self.position.last(text, self.rest.len())));
            };
            let (length, after) = self.position.step(text, progress)?;
            let (text, rest) = self.rest.split_at(length);
            self.rest = rest;
            if let Some(after) = after {
                return Ok(Some(self.position.block(Place::Memory(text), length, after)));
            }
        }
        Ok(None)
    }
}

/// The blocks of what a reader reads.
pub struct ReaderBlocks<'n, R> {
    reader: R,
    /// The text's name, for messages.
    name: &'n str,
    /// Bytes read that belong to the next block.
    rest: Vec<u8>,
    position: Position,
}

impl<'n, R: Read + Send> ReaderBlocks<'n, R> {
    /// Splits what a reader reads into blocks of up to `size` bytes.
    pub fn new(reader: R, name: &'n str, order: Order, size: usize) -> ReaderBlocks<'n, R> {
        ReaderBlocks { reader, name, rest: Vec::new(), position: Position::new(order, size) }
    }

    /// Fills the buffer with the bytes left over and those that are read next; returns their
    /// number, which is less than the buffer's length only at the end.
    fn fill(&mut self, buffer: &mut [u8]) -> Result<usize> {
        let filled = self.rest.len();
        buffer[..filled].copy_from_slice(&self.rest);
        self.rest.clear();
        fill(buffer, filled, self.name, |free, _| self.reader.read(free))
    }
}

impl<'d, R: Read + Send> Blocks<'d> for ReaderBlocks<'_, R> {
    fn next(
        &mut self,
        buffer: &mut Vec<u8>,
        progress: &Progress,
    ) -> Result<Option<Block<Place<'d>>>> {
        alloc::resize(buffer, self.position.size)?;
        while !self.position.ended {
            let mut filled = self.fill(buffer)?;
            let whole = filled == buffer.len();
            if self.position.offset == 0 && buffer.starts_with(BOM) {
                let mark = BOM.len();
                buffer.copy_within(mark..filled, 0);
                filled -= mark;
                self.position.offset = mark as u64;
            }
            if !whole {
                return Ok(Some(self.position.last(Place::Buffer(filled), filled)));
            }
            let text = &buffer[..filled];
            let (length, after) = self.position.step(text, progress)?;
            let rest = &text[length..];
            alloc::reserve(&mut self.rest, rest.len())?;
            self.rest.extend_from_slice(rest);
            if let Some(after) = after {
                return Ok(Some(self.position.block(Place::Buffer(length), length, after)));
            }
        }
        Ok(None)
    }
}

/// The blocks of a file, which several threads read.
pub struct FileBlocks<'d> {
    file: &'d dyn ReadAt,
    /// The text's name, for messages.
    name: &'d str,
    /// Its length when it was opened; it may have grown since.
    size: u64,
    /// The offset behind which nothing is read.
    stop: u64,
    position: Position,
}

impl<'d> FileBlocks<'d> {
    /// Splits a file, which has at least `size` bytes, into blocks of up to `block` bytes.
    pub fn new(
        file: &'d dyn ReadAt,
        size: u64,
        name: &'d str,
        order: Order,
        block: usize,
    ) -> FileBlocks<'d> {
        FileBlocks { file, name, size, stop: u64::MAX, position: Position::new(order, block) }
    }

    /// Takes the bytes from `start` to `stop` only.
    pub fn part(mut self, start: u64, stop: u64) -> FileBlocks<'d> {
        self.position.offset = start;
        self.stop = stop;
        self
    }

    /// Reads from `later` bytes behind the next block's start; returns the number of bytes.
    fn read(&self, buffer: &mut [u8], later: usize) -> Result<usize> {
        let start = self.position.offset + later as u64;
        let left = usize::try_from(self.stop.saturating_sub(start)).unwrap_or(usize::MAX);
        let length = buffer.len().min(left);
        let buffer = &mut buffer[..length];
        fill(buffer, 0, self.name, |free, filled| self.file.read_at(free, start + filled as u64))
    }

    /// Skips a UTF-8 BOM.
    fn skip_bom(&mut self) -> Result<()> {
        let mut mark = [0; BOM.len()];
        if self.position.offset == 0 && self.read(&mut mark, 0)? > 0 && mark == BOM {
            self.position.offset = mark.len() as u64;
        }
        Ok(())
    }

    /// Finds the length of the next block, and the context of the one after it, from its last
    /// bytes; None if more of it is needed.
    fn find_end(&self) -> Result<Option<(usize, Context)>> {
        let mut tail = [0; TAIL];
        let length = TAIL.min(self.position.size / 2);
        let tail = &mut tail[..length];
        let start = self.position.size - tail.len();
        if self.read(tail, start)? < tail.len() {
            return Ok(None);
        }
        // A character may have begun before.
        let inside = tail.iter().take(3).take_while(|&&byte| byte & 0xc0 == 0x80).count();
        let tail = &tail[inside..];
        let Cut::At(length) = cut(tail) else { return Ok(None) };
        let after = Context::behind(self.position.order, &tail[..length], None);
        Ok(after.map(|after| (start + inside + length, after)))
    }
}

impl<'d> Blocks<'d> for FileBlocks<'d> {
    fn next(
        &mut self,
        buffer: &mut Vec<u8>,
        progress: &Progress,
    ) -> Result<Option<Block<Place<'d>>>> {
        self.skip_bom()?;
        while !self.position.ended {
            if let Some((length, after)) = self.find_end()? {
                let text = Place::Unread(self.file, length);
                return Ok(Some(self.position.block(text, length, after)));
            }
            alloc::resize(buffer, self.position.size)?;
            let filled = self.read(buffer, 0)?;
            if filled < buffer.len() {
                let end = self.position.offset + filled as u64;
                if end < self.size {
                    return Err(shorter(self.name, end, self.size));
                }
                return Ok(Some(self.position.last(Place::Buffer(filled), filled)));
            }
            let (length, after) = self.position.step(buffer, progress)?;
            if let Some(after) = after {
                return Ok(Some(self.position.block(Place::Buffer(length), length, after)));
            }
        }
        Ok(None)
    }
}
