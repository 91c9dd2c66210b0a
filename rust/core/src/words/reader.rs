//! From bytes to the numbers of types.

use std::collections::HashMap;

use super::tokens::{Marks, Tokenizer};
use crate::{Error, Result, alloc};

/// The number of the mark; types are counted from 1.
pub(super) const MARK: u32 = 0;
/// What editors of one system put in front of UTF-8.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// Text on its way in, one piece after the other.
#[derive(Debug)]
pub struct Reader {
    name: String,
    tokenizer: Tokenizer,
    marks: Marks,
    /// What has come after the last whitespace, and may go on in the next piece.
    pending: Vec<u8>,
    /// How many bytes came before those pending.
    offset: u64,
    /// How many lines have ended.
    lines: u64,
    /// Whether the line has no token so far.
    blank: bool,
    /// Whether there are tokens since the last mark.
    open: bool,
    text: Text,
}

/// A text in which every token is the number of its type.
#[derive(Debug, Default)]
pub struct Text {
    /// A number for each token: types are counted from 1, by first occurrence; 0 is the mark.
    pub(super) ids: Vec<u32>,
    pub(super) types: HashMap<Box<str>, u32>,
}

impl Reader {
    /// A reader of nothing yet; the name is that of the text, for messages.
    #[must_use]
    pub fn new(name: String, tokenizer: Tokenizer, marks: Marks) -> Reader {
        Reader {
            name,
            tokenizer,
            marks,
            pending: Vec::new(),
            offset: 0,
            lines: 0,
            blank: true,
            open: false,
            text: Text::default(),
        }
    }

    /// Reads a piece of the text, which may end anywhere.
    ///
    /// # Errors
    /// [`Error::NotUtf8`]; nothing should be read afterwards.
    pub fn feed(&mut self, piece: &[u8]) -> Result<()> {
        // No character of several bytes holds one that ASCII has, so this cuts none of them.
        let whole = piece.iter().rposition(u8::is_ascii_whitespace).map_or(0, |last| last + 1);
        let (now, later) = piece.split_at(whole);
        alloc::reserve(&mut self.pending, piece.len())?;
        self.pending.extend_from_slice(now);
        if whole > 0 {
            self.read_pending()?;
        }
        alloc::reserve(&mut self.pending, later.len())?;
        self.pending.extend_from_slice(later);
        Ok(())
    }

    /// How many tokens there are so far, marks included.
    #[must_use]
    pub fn tokens(&self) -> usize {
        self.text.ids.len()
    }

    /// How many types there are so far.
    #[must_use]
    pub fn types(&self) -> usize {
        self.text.types.len()
    }

    /// Ends the text, and with it a line or a paragraph that is to be marked.
    ///
    /// # Errors
    /// [`Error::NotUtf8`], or [`Error::Invalid`] where there was no token.
    pub fn end(&mut self) -> Result<()> {
        self.read_pending()?;
        if self.open && self.marks != Marks::None {
            alloc::push(&mut self.text.ids, MARK)?;
            self.open = false;
        }
        if self.text.types.is_empty() {
            let message = format!("{} is empty; expected at least one word", self.name);
            return Err(Error::Invalid(message));
        }
        Ok(())
    }

    /// What was read; it may have no token, and its last line no mark, without [`Reader::end`].
    ///
    /// # Errors
    /// [`Error::NotUtf8`].
    pub fn finish(mut self) -> Result<Text> {
        self.read_pending()?;
        Ok(self.text)
    }

    /// Reads what is pending, all of it.
    fn read_pending(&mut self) -> Result<()> {
        let mut bytes = std::mem::take(&mut self.pending);
        let skipped = if self.offset == 0 && bytes.starts_with(BYTE_ORDER_MARK) { 3 } else { 0 };
        let piece = bytes.get(skipped..).unwrap_or_default();
        match std::str::from_utf8(piece) {
            Ok(piece) => self.read(piece)?,
            Err(error) => return Err(self.not_utf8(&bytes, skipped + error.valid_up_to())),
        }
        self.offset += bytes.len() as u64;
        bytes.clear();
        self.pending = bytes;
        Ok(())
    }

    /// Reads whole tokens, of any number of lines.
    fn read(&mut self, piece: &str) -> Result<()> {
        for part in piece.split_inclusive('\n') {
            let before = self.text.ids.len();
            let mut result = Ok(());
            self.tokenizer.cut(part, |token| {
                if result.is_ok() {
                    result = self.text.push(token);
                }
            });
            result?;
            if self.text.ids.len() > before {
                (self.blank, self.open) = (false, true);
            }
            if part.ends_with('\n') {
                self.end_line()?;
            }
        }
        Ok(())
    }

    fn end_line(&mut self) -> Result<()> {
        let ends = match self.marks {
            Marks::None => false,
            Marks::Line => self.open,
            Marks::Paragraph => self.open && self.blank,
        };
        if ends {
            alloc::push(&mut self.text.ids, MARK)?;
            self.open = false;
        }
        self.blank = true;
        self.lines += 1;
        Ok(())
    }

    /// The error for the byte at a place in what was pending.
    fn not_utf8(&self, bytes: &[u8], place: usize) -> Error {
        let before = bytes.get(..place).unwrap_or_default();
        let lines = before.split(|&byte| byte == b'\n').count() - 1;
        Error::NotUtf8 {
            name: self.name.clone(),
            line: self.lines + lines as u64 + 1,
            offset: self.offset + place as u64,
            byte: bytes.get(place).copied().unwrap_or_default(),
        }
    }
}

impl Text {
    /// Appends a token.
    fn push(&mut self, token: &str) -> Result<()> {
        let id = match self.types.get(token) {
            Some(&id) => id,
            None => self.add_type(token)?,
        };
        alloc::push(&mut self.ids, id)
    }

    fn add_type(&mut self, token: &str) -> Result<u32> {
        let id = u32::try_from(self.types.len() + 1).map_err(|_| Error::Memory)?;
        alloc::reserve_entry(&mut self.types)?;
        self.types.insert(alloc::string(token)?.into_boxed_str(), id);
        Ok(id)
    }
}
