//! Whitespace, newlines and the UTF-8 BOM: what counting and reading words share.

/// The bytes with which some editors begin a file of UTF-8.
pub const BOM: &[u8] = b"\xef\xbb\xbf";

/// Returns true for what Python's `str.isspace` holds for: Unicode's whitespace and four separators
/// of ASCII.
#[must_use]
pub fn is_space(c: char) -> bool {
    c.is_whitespace() || matches!(c, '\u{1c}'..='\u{1f}')
}

/// Strips the whitespace from both ends of a string, as Python's `str.strip` does.
#[must_use]
pub fn strip(item: &str) -> &str {
    item.trim_matches(is_space)
}

/// Counts the newlines.
#[must_use]
pub fn newlines(text: &[u8]) -> u64 {
    memchr::memchr_iter(b'\n', text).count() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whitespace_is_that_of_python() {
        let spaces: Vec<u32> = ('\0'..=char::MAX).filter(|&c| is_space(c)).map(u32::from).collect();
        let expected = [
            9, 10, 11, 12, 13, 28, 29, 30, 31, 32, 0x85, 0xa0, 0x1680, 0x2000, 0x2001, 0x2002,
            0x2003, 0x2004, 0x2005, 0x2006, 0x2007, 0x2008, 0x2009, 0x200a, 0x2028, 0x2029, 0x202f,
            0x205f, 0x3000,
        ];
        assert_eq!(spaces, expected);
    }
}
