//! Numbers that look random and are the same every time.

/// Numbers that look random and are the same every time (SplitMix64, Steele and others 2014).
#[derive(Debug)]
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// From 0 to below `end`.
    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ mixed >> 31) % end
    }

    /// One of these.
    pub(crate) fn of<'a, T>(&mut self, choice: &'a [T]) -> &'a T {
        &choice[usize::try_from(self.below(choice.len() as u64)).expect("below a length")]
    }

    pub(crate) fn byte(&mut self) -> u8 {
        self.below(256).to_be_bytes()[7]
    }

    /// Of 16 bits, often at an edge.
    pub(crate) fn number(&mut self) -> u16 {
        let any = u16::try_from(self.below(65_536)).expect("16 bits");
        *self.of(&[0, 1, 255, 256, 65_535, any, any, any])
    }

    /// Not negative, of any length up to 96 bits, often at an edge.
    pub(crate) fn integer(&mut self) -> i128 {
        let bits = self.below(97);
        let edge = 1_i128 << bits;
        match self.below(4) {
            0 => edge,
            1 => edge - 1,
            _ => i128::from(self.below(u64::MAX)) % edge,
        }
    }
}
