//! Splits text into tokens.

use unicode_properties::{GeneralCategoryGroup, UnicodeGeneralCategory};

use crate::text::is_space;

/// A way to split text into tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tokenizer {
    /// At whitespace, for text that is tokenised already.
    Space,
    /// A token is a longest run of letters, as [`is_letter`] tells, in which single apostrophes and
    /// hyphens may stand between two of them. Every other character that is not whitespace is a
    /// token of its own.
    Simple,
}

/// The places where a sentence ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Eos {
    /// Nowhere: the text is one sequence.
    None,
    /// After each line that holds a token.
    Line,
    /// After each run of such lines: paragraphs are separated by lines without a token.
    Paragraph,
}

impl Tokenizer {
    /// Returns the tokens of a line or of a part of one, in order.
    pub fn tokens(self, text: &str) -> impl Iterator<Item = &str> {
        let words = text.split(is_space).filter(|word| !word.is_empty());
        words.flat_map(move |word| Tokens { tokenizer: self, rest: word })
    }
}

/// The tokens of a run of characters without whitespace.
struct Tokens<'a> {
    tokenizer: Tokenizer,
    rest: &'a str,
}

impl<'a> Iterator for Tokens<'a> {
    type Item = &'a str;

    fn next(&mut self) -> Option<&'a str> {
        let length = match self.tokenizer {
            Tokenizer::Space => self.rest.len(),
            Tokenizer::Simple => first_length(self.rest),
        };
        let (token, rest) = self.rest.split_at(length);
        self.rest = rest;
        Some(token).filter(|token| !token.is_empty())
    }
}

/// Returns true for a character that words are made of: a letter, a digit, a combining mark
/// (Unicode's category M), a zero-width joiner or non-joiner, or a soft hyphen.
#[must_use]
pub fn is_letter(c: char) -> bool {
    // No mark is below U+0300, so that ASCII needs no look-up in Unicode's tables.
    c.is_alphanumeric()
        || matches!(c, '\u{ad}' | '\u{200c}' | '\u{200d}')
        || (c >= '\u{300}' && c.general_category_group() == GeneralCategoryGroup::Mark)
}

/// Returns the length in bytes of the first token of a word; 0 for an empty one.
fn first_length(word: &str) -> usize {
    let mut chars = word.char_indices().peekable();
    let mut end = 0;
    while let Some((start, c)) = chars.next() {
        let joins = matches!(c, '\'' | '\u{2019}' | '-' | '\u{2011}')
            && end > 0
            && chars.peek().is_some_and(|&(_, next)| is_letter(next));
        if is_letter(c) {
            end = start + c.len_utf8();
        } else if !joins {
            return if end == 0 { c.len_utf8() } else { end };
        }
    }
    end
}

#[cfg(test)]
mod tests {
    use super::*;

    fn simple(text: &str) -> Vec<&str> {
        Tokenizer::Simple.tokens(text).collect()
    }

    #[test]
    fn apostrophes_and_hyphens_join_letters_only() {
        assert_eq!(simple("'tis o'er, well-met!"), ["'", "tis", "o'er", ",", "well-met", "!"]);
        assert_eq!(simple("a--b dogs' -x"), ["a", "-", "-", "b", "dogs", "'", "-", "x"]);
        assert_eq!(simple("rock'n'roll 3.5 x-"), ["rock'n'roll", "3", ".", "5", "x", "-"]);
        assert_eq!(simple("Ærø’s…"), ["Ærø’s", "…"]);
        assert_eq!(simple("a'-b"), ["a", "'", "-", "b"]);
        assert!(simple(" \u{a0}\u{1c}\u{2003}").is_empty());
    }

    #[test]
    fn marks_and_joiners_are_letters() {
        for word in ["हिन्दी", "தமிழ்", "తెలుగు", "বাংলা", "สวัสดี", "ភាសាខ្មែរ", "မြန်မာ"]
        {
            assert_eq!(simple(word), [word]);
        }
        assert_eq!(simple("noe\u{308}l می\u{200c}خواهم"), ["noe\u{308}l", "می\u{200c}خواهم"]);
        assert_eq!(simple("क\u{94d}\u{200d}ष"), ["क\u{94d}\u{200d}ष"]);
        assert_eq!(simple("co\u{ad}op well\u{2011}met"), ["co\u{ad}op", "well\u{2011}met"]);
        // Alone, in front, behind a digit, and behind what joins.
        assert_eq!(simple("\u{301} \u{301}a 3\u{20e3}"), ["\u{301}", "\u{301}a", "3\u{20e3}"]);
        assert_eq!(simple("a'\u{301}b '\u{301}"), ["a'\u{301}b", "'", "\u{301}"]);
        assert_eq!(simple("a\u{2011}\u{2011}b"), ["a", "\u{2011}", "\u{2011}", "b"]);
    }

    #[test]
    fn no_mark_stands_before_the_first_that_is_looked_up() {
        let group = UnicodeGeneralCategory::general_category_group;
        assert!(('\0'..'\u{300}').all(|c| group(c) != GeneralCategoryGroup::Mark));
        assert!(is_letter('\u{300}'));
    }
}
