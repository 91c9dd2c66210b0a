//! Random texts, the same in every run.

/// A xorshift generator.
pub struct Random(pub u64);

impl Random {
    /// Returns a number below n.
    pub fn below(&mut self, n: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % n as u64).unwrap()
    }

    /// Returns a text of so many pieces.
    pub fn text(&mut self, pieces: &[&str], length: usize) -> String {
        (0..length).map(|_| *pieces.get(self.below(pieces.len())).unwrap()).collect()
    }
}
