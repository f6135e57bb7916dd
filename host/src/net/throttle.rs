//! Log lines that a peer can cause at will, written now and then.

use std::time::Duration;

use tidegate_proto::time::Instant;

/// One line a second, and how many were left out since the last.
#[derive(Debug, Default)]
pub(crate) struct Throttle {
    last: Option<Instant>,
    left_out: u64,
}

impl Throttle {
    /// How many lines were left out since the last that was written; none if this one is left out, too.
    pub(crate) fn turn(&mut self, now: Instant) -> Option<u64> {
        if self.last.is_some_and(|last| now < last + EVERY) {
            self.left_out += 1;
            return None;
        }
        self.last = Some(now);
        Some(std::mem::take(&mut self.left_out))
    }
}

const EVERY: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_is_one_line_a_second_with_the_number_left_out() {
        let mut throttle = Throttle::default();
        let start = Instant::from_micros(7);
        assert_eq!(throttle.turn(start), Some(0));
        for millis in 1..=10 {
            assert_eq!(throttle.turn(start + Duration::from_millis(millis)), None);
        }
        assert_eq!(throttle.turn(start + Duration::from_secs(1)), Some(10));
        assert_eq!(throttle.turn(start + Duration::from_secs(2)), Some(0));
    }
}
