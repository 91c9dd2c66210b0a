//! Blocks from a reader, which gives its bytes in order.

use std::io::Read;

use super::gram::Order;
use super::source::{Block, Position, Source, Text, fill};
use crate::progress::Progress;
use crate::text::BOM;
use crate::{Result, alloc};

/// A text that is read from its start to its end.
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
        let filled = self.rest.len();
        if let Some(start) = buffer.get_mut(..filled) {
            start.copy_from_slice(&self.rest);
        }
        self.rest.clear();
        fill(buffer, filled, self.name, |free, _| self.reader.read(free))
    }
}

impl<'d, R: Read + Send> Source<'d> for Stream<'_, R> {
    fn next(
        &mut self,
        buffer: &mut Vec<u8>,
        progress: &Progress,
    ) -> Result<Option<Block<Text<'d>>>> {
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
                return Ok(Some(self.position.last(Text::Buffer(filled), filled)));
            }
            let text = buffer.get(..filled).unwrap_or_default();
            let (length, after) = self.position.step(text, progress)?;
            let rest = text.get(length..).unwrap_or_default();
            alloc::reserve(&mut self.rest, rest.len())?;
            self.rest.extend_from_slice(rest);
            if let Some(after) = after {
                return Ok(Some(self.position.block(Text::Buffer(length), length, after)));
            }
        }
        Ok(None)
    }
}
