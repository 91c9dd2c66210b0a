//! Whitespace at the ends of lines, taken away in one go.

use crate::Error;
use crate::alloc::demand;
use crate::text::is_space;

/// Strips the lines of a text; false where there is nothing to strip, and then nothing is copied.
///
/// The first line goes on with an item if `begun`; the last one ends with the text if `last`.
pub fn strip_lines(text: &str, mut begun: bool, last: bool, stripped: &mut String) -> bool {
    stripped.clear();
    demand(stripped.try_reserve(text.len()).map_err(|_| Error::Memory));
    // Lines are copied many at a time: what is between these two needs no change.
    let (mut unchanged, mut start) = (0, 0);
    let mut changed = false;
    for end in memchr::memchr_iter(b'\n', text.as_bytes()).chain([text.len()]) {
        let line = text.get(start..end).unwrap_or_default();
        let mut item = line;
        if !begun && item.starts_with(is_space) {
            item = item.trim_start_matches(is_space);
        }
        if (last || end < text.len()) && item.ends_with(is_space) {
            item = item.trim_end_matches(is_space);
        }
        if item.len() < line.len() {
            changed = true;
            stripped.push_str(text.get(unchanged..start).unwrap_or_default());
            stripped.push_str(item);
            // A blank line goes with its newline, unless that ends an item.
            unchanged = if item.is_empty() && !begun { end + 1 } else { end };
        }
        start = end + 1;
        begun = false;
    }
    if changed {
        stripped.push_str(text.get(unchanged..).unwrap_or_default());
    }
    changed
}
