//! Blocks from a file, of which each thread reads its own by their position.
//!
//! Where a block ends is found from the last few bytes that it may have; its text is read by the
//! thread that counts it, so that threads copy at the same time, each into its own cache. Only
//! where these bytes do not tell, or the file ends, is all of a block read to find its end.

use std::fs::File;
use std::io;

use super::cut::{Context, Cut, cut};
use super::gram::Order;
use super::source::{Block, Position, Source, Text, fill, shorter};
use crate::progress::Progress;
use crate::text::BOM;
use crate::{Result, alloc};

/// How many bytes at the end of a block are looked at first.
const TAIL: usize = 512;

/// What can be read at any place, by several threads at once.
pub trait ReadAt: Sync {
    /// Reads bytes from an offset on into a buffer, as many as come at once; 0 only at the end.
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

/// A text that is read at several places at once.
pub struct Parts<'d> {
    file: &'d dyn ReadAt,
    /// Whose text it is, for messages.
    name: &'d str,
    /// How long it was; it may have become longer since.
    size: u64,
    position: Position,
}

impl<'d> Parts<'d> {
    /// All of a file, which has `size` bytes at least, in blocks of `block` bytes at most.
    pub fn new(
        file: &'d dyn ReadAt,
        size: u64,
        name: &'d str,
        order: Order,
        block: usize,
    ) -> Parts<'d> {
        Parts { file, name, size, position: Position::new(order, block) }
    }

    /// Reads from the next block's start, or later; returns how much there is.
    fn read(&self, buffer: &mut [u8], later: usize) -> Result<usize> {
        let start = self.position.offset + later as u64;
        fill(buffer, 0, self.name, |free, filled| self.file.read_at(free, start + filled as u64))
    }

    /// Goes past the mark that a file may begin with.
    fn skip_mark(&mut self) -> Result<()> {
        let mut mark = [0; BOM.len()];
        if self.position.offset == 0 && self.read(&mut mark, 0)? > 0 && mark == BOM {
            self.position.offset = mark.len() as u64;
        }
        Ok(())
    }

    /// The length of the next block and what comes to stand behind it, where its last bytes tell.
    fn look(&self) -> Result<Option<(usize, Context)>> {
        let mut tail = [0; TAIL];
        let length = TAIL.min(self.position.size / 2);
        let tail = tail.get_mut(..length).unwrap_or_default();
        let start = self.position.size - tail.len();
        if self.read(tail, start)? < tail.len() {
            return Ok(None);
        }
        // A character may have begun before.
        let inside = tail.iter().take(3).take_while(|&&byte| byte & 0xc0 == 0x80).count();
        let tail = tail.get(inside..).unwrap_or_default();
        let Cut::At(length) = cut(tail) else { return Ok(None) };
        let before_cut = tail.get(..length).unwrap_or_default();
        let after = Context::behind(self.position.order, before_cut, None);
        Ok(after.map(|after| (start + inside + length, after)))
    }
}

impl<'d> Source<'d> for Parts<'d> {
    fn next(
        &mut self,
        buffer: &mut Vec<u8>,
        progress: &Progress,
    ) -> Result<Option<Block<Text<'d>>>> {
        self.skip_mark()?;
        while !self.position.ended {
            if let Some((length, after)) = self.look()? {
                let text = Text::Unread(self.file, length);
                return Ok(Some(self.position.block(text, length, after)));
            }
            alloc::resize(buffer, self.position.size)?;
            let filled = self.read(buffer, 0)?;
            if filled < buffer.len() {
                let end = self.position.offset + filled as u64;
                if end < self.size {
                    return Err(shorter(self.name, end, self.size));
                }
                return Ok(Some(self.position.last(Text::Buffer(filled), filled)));
            }
            let (length, after) = self.position.step(buffer, progress)?;
            if let Some(after) = after {
                return Ok(Some(self.position.block(Text::Buffer(length), length, after)));
            }
        }
        Ok(None)
    }
}
