//! Reads bytes as tokens, each the number of its type.

use super::interner::Interner;
use super::tokens::{Eos, Tokenizer};
use crate::progress::Progress;
use crate::text::{BOM, newlines};
use crate::{Error, Result, alloc};

/// Bytes between two checks for a cancel.
const CHUNK: usize = 1 << 16;

/// The id of the eos token; those of types begin at 1.
pub(super) const EOS: u32 = 0;

/// A reader of text that comes in chunks.
#[derive(Debug)]
pub struct Reader {
    name: String,
    tokenizer: Tokenizer,
    eos: Eos,
    /// The bytes after the last whitespace, which may go on in the next chunk.
    pending: Vec<u8>,
    /// The number of bytes before those pending.
    offset: u64,
    /// The number of lines that have ended.
    lines: u64,
    /// True where the line has no token so far.
    blank: bool,
    /// True where there are tokens since the last end of a sentence.
    open: bool,
    /// The number of tokens that [`Reader::take`] has returned.
    taken: usize,
    text: Text,
}

/// A text in which every token is the number of its type.
#[derive(Debug, Default)]
pub struct Text {
    /// An id for each token: [`EOS`], or the number of its type plus 1.
    pub(super) ids: Vec<u32>,
    pub(super) types: Interner,
}

impl Reader {
    /// Makes a reader; `name` is the text's, for messages.
    #[must_use]
    pub fn new(name: String, tokenizer: Tokenizer, eos: Eos) -> Reader {
        Reader {
            name,
            tokenizer,
            eos,
            pending: Vec::new(),
            offset: 0,
            lines: 0,
            blank: true,
            open: false,
            taken: 0,
            text: Text::default(),
        }
    }

    /// Reads a chunk of the text, which may end anywhere.
    ///
    /// # Errors
    /// [`Error::NotUtf8`], [`Error::Interrupted`]; nothing should be read afterwards.
    pub fn feed(&mut self, chunk: &[u8], progress: &Progress) -> Result<()> {
        chunk.chunks(CHUNK).try_for_each(|part| self.feed_part(part, progress))
    }

    fn feed_part(&mut self, part: &[u8], progress: &Progress) -> Result<()> {
        progress.check()?;
        // A character of several bytes has no ASCII byte, so this splits none of them.
        let whole = part.iter().rposition(u8::is_ascii_whitespace).map_or(0, |last| last + 1);
        let (now, later) = part.split_at(whole);
        alloc::reserve(&mut self.pending, part.len())?;
        self.pending.extend_from_slice(now);
        if whole > 0 {
            self.read_pending(progress)?;
        }
        alloc::reserve(&mut self.pending, later.len())?;
        self.pending.extend_from_slice(later);
        Ok(())
    }

    /// Returns the number of tokens so far, those that end sentences included.
    #[must_use]
    pub fn tokens(&self) -> usize {
        self.taken + self.text.ids.len()
    }

    /// Takes the tokens read since the last call out of the text: 0 for the eos token, or the number
    /// of the type plus 1. So a text of any length needs memory for its types only.
    pub fn take(&mut self) -> Vec<u32> {
        self.taken += self.text.ids.len();
        std::mem::take(&mut self.text.ids)
    }

    /// Returns the number of types so far.
    #[must_use]
    pub fn types(&self) -> usize {
        self.text.types.names().len()
    }

    /// Returns the number of bytes that are kept until whitespace ends their token.
    #[must_use]
    pub fn pending(&self) -> usize {
        self.pending.len()
    }

    /// Ends the text, and with it the last sentence.
    ///
    /// # Errors
    /// [`Error::NotUtf8`], [`Error::Invalid`] where there was no token, [`Error::Interrupted`].
    pub fn end(&mut self, progress: &Progress) -> Result<()> {
        self.read_pending(progress)?;
        if self.open && self.eos != Eos::None {
            alloc::push(&mut self.text.ids, EOS)?;
            self.open = false;
        }
        if self.types() == 0 {
            let message = format!("{} is empty; expected at least one word", self.name);
            return Err(Error::Invalid(message));
        }
        Ok(())
    }

    /// Returns what was read; without [`Reader::end`] its last sentence may have no end.
    ///
    /// # Errors
    /// [`Error::NotUtf8`], [`Error::Interrupted`].
    pub fn finish(mut self, progress: &Progress) -> Result<Text> {
        self.read_pending(progress)?;
        Ok(self.text)
    }

    /// Reads what is pending, all of it.
    fn read_pending(&mut self, progress: &Progress) -> Result<()> {
        let mut bytes = std::mem::take(&mut self.pending);
        let bom = if self.offset == 0 { BOM } else { &[] };
        let piece = bytes.strip_prefix(bom).unwrap_or(&bytes);
        match std::str::from_utf8(piece) {
            Ok(piece) => self.read(piece, progress)?,
            Err(error) => {
                let skipped = bytes.len() - piece.len();
                return Err(self.not_utf8(&bytes, skipped + error.valid_up_to()));
            }
        }
        self.offset += bytes.len() as u64;
        bytes.clear();
        self.pending = bytes;
        Ok(())
    }

    /// Reads whole tokens, of any number of lines.
    fn read(&mut self, piece: &str, progress: &Progress) -> Result<()> {
        for part in piece.split_inclusive('\n') {
            for token in self.tokenizer.tokens(part) {
                progress.check()?;
                let id = self.text.types.insert(token, progress)? + 1;
                alloc::push(&mut self.text.ids, id)?;
                (self.blank, self.open) = (false, true);
            }
            if part.ends_with('\n') {
                self.end_line()?;
            }
        }
        Ok(())
    }

    fn end_line(&mut self) -> Result<()> {
        let ends = match self.eos {
            Eos::None => false,
            Eos::Line => self.open,
            Eos::Paragraph => self.open && self.blank,
        };
        if ends {
            alloc::push(&mut self.text.ids, EOS)?;
            self.open = false;
        }
        self.blank = true;
        self.lines += 1;
        Ok(())
    }

    /// Returns the error for the byte at a place in `bytes`, which were pending.
    #[allow(clippy::indexing_slicing, reason = "the place is that of a byte that is there")]
    fn not_utf8(&self, bytes: &[u8], place: usize) -> Error {
        let lines = newlines(&bytes[..place]);
        Error::NotUtf8 {
            name: self.name.clone(),
            line: self.lines + lines + 1,
            offset: self.offset + place as u64,
            byte: bytes[place],
        }
    }
}
