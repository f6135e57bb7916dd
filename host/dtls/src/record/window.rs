//! Which records have come already (RFC 6347 section 4.1.2.6).

/// The 64 numbers up to the highest that has come. Only records that were authenticated may move it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Window {
    /// One more than the highest number; 0: nothing has come.
    end: u64,
    /// Bit `n` is set when the number `end - 1 - n` has come.
    seen: u64,
}

impl Window {
    /// Takes up what [`Window::parts`] gave. None when it cannot have been that.
    pub(super) fn from_parts(end: u64, seen: u64) -> Option<Self> {
        // The highest has come, and nothing below zero has.
        let possible = match end {
            0 => seen == 0,
            1..64 => seen & 1 == 1 && seen >> end == 0,
            _ => seen & 1 == 1 && end <= 1 << 48,
        };
        possible.then_some(Self { end, seen })
    }

    /// For keeping it.
    pub(super) fn parts(self) -> (u64, u64) {
        (self.end, self.seen)
    }

    /// Whether a record of this number may be new: neither seen nor too old to tell.
    pub(super) fn admits(self, sequence: u64) -> bool {
        if sequence >= self.end {
            return true;
        }
        let behind = self.end - 1 - sequence;
        behind < 64 && self.seen >> behind & 1 == 0
    }

    /// Notes that a record of this number, which is less than 2^48, has come. True when the number is above all
    /// earlier ones.
    pub(super) fn note(&mut self, sequence: u64) -> bool {
        if sequence >= self.end {
            let ahead = sequence + 1 - self.end;
            self.seen = if ahead < 64 { self.seen << ahead | 1 } else { 1 };
            self.end = sequence + 1;
            return true;
        }
        let behind = self.end - 1 - sequence;
        if behind < 64 {
            self.seen |= 1 << behind;
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_edge_of_the_window_is_63_behind_the_highest() {
        let mut window = Window::default();
        assert!(window.note(100));
        for (behind, admitted) in [(0, false), (1, true), (62, true), (63, true), (64, false), (65, false)] {
            assert_eq!(window.admits(100 - behind), admitted, "{behind} behind");
        }
        assert!(!window.note(37));
        assert!(!window.admits(37));
        assert!(window.admits(38));
        // One further, and what was at the edge has left.
        assert!(window.note(101));
        assert!(!window.admits(37));
        assert!(window.admits(38));
    }

    #[test]
    fn a_jump_forgets_everything_before() {
        let mut window = Window::default();
        assert!(window.note(0));
        assert!(window.note((1 << 48) - 1));
        assert!(!window.admits((1 << 48) - 1));
        assert!(window.admits((1 << 48) - 2));
        assert!(!window.admits(0));
    }

    #[test]
    fn jumps_of_63_and_64_keep_and_lose_the_former_highest() {
        for (jump, kept) in [(63, true), (64, false)] {
            let mut window = Window::default();
            window.note(5);
            window.note(5 + jump);
            assert_eq!(window.seen >> 63 == 1, kept, "{jump}");
            assert!(!window.admits(5));
        }
    }

    #[test]
    fn impossible_parts_are_refused() {
        for (end, seen) in [(0, 1), (1, 0), (1, 3), (63, 1 << 63 | 1), (64, 2), ((1 << 48) + 1, 1)] {
            assert_eq!(Window::from_parts(end, seen), None, "{end} {seen}");
        }
        for (end, seen) in [(0, 0), (1, 1), (64, u64::MAX), (1 << 48, u64::MAX)] {
            assert!(Window::from_parts(end, seen).is_some(), "{end} {seen}");
        }
    }

    proptest! {
        #[test]
        fn a_number_is_admitted_when_it_is_new_and_not_64_behind(numbers in prop::collection::vec(0_u64..300, 0..200)) {
            let (mut window, mut come) = (Window::default(), HashSet::new());
            for number in numbers {
                let highest = come.iter().max().copied();
                let old = highest.is_some_and(|highest| highest >= number + 64);
                prop_assert_eq!(window.admits(number), !come.contains(&number) && !old);
                if window.admits(number) {
                    prop_assert_eq!(window.note(number), highest.is_none_or(|highest| highest < number));
                    come.insert(number);
                    let (end, seen) = window.parts();
                    prop_assert_eq!(Window::from_parts(end, seen), Some(window));
                }
            }
        }
    }
}
