//! Durations as EMQX writes them, and as `tidegate.toml` does.

use std::time::Duration;

/// What a bare number counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unit {
    Milliseconds,
    Seconds,
}

/// Reads `30s`, `1h30m` or a bare number.
pub(super) fn duration(text: &str, unit: Unit) -> Option<Duration> {
    let text = text.trim().to_ascii_lowercase();
    if let Ok(number) = text.parse::<u64>() {
        return Some(match unit {
            Unit::Milliseconds => Duration::from_millis(number),
            Unit::Seconds => Duration::from_secs(number),
        });
    }
    let (mut rest, mut sum) = (text.as_str(), 0_u64);
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit())?;
        let (number, after) = rest.split_at(digits);
        let end = after.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(after.len());
        let (unit, after) = after.split_at(end);
        let milliseconds: u64 = match unit {
            "ms" => 1,
            "s" => 1_000,
            "m" => 60_000,
            "h" => 3_600_000,
            "d" => 86_400_000,
            "w" => 604_800_000,
            _ => return None,
        };
        sum = sum.checked_add(number.parse::<u64>().ok()?.checked_mul(milliseconds)?)?;
        rest = after;
    }
    (!text.is_empty()).then_some(Duration::from_millis(sum))
}

/// Writes it in the unit that `tidegate.toml` reads.
pub(super) fn text(of: Duration) -> String {
    match of.as_millis() {
        whole if whole % 1_000 == 0 => format!("{}s", whole / 1_000),
        odd => format!("{odd}ms"),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn durations_of_emqx_are_read() {
        let read = |text| duration(text, Unit::Milliseconds);
        assert_eq!(read("1h30m"), Some(Duration::from_secs(5_400)));
        assert_eq!(read("86400s"), Some(Duration::from_secs(86_400)));
        assert_eq!(read("15S"), Some(Duration::from_secs(15)));
        assert_eq!(read("1500"), Some(Duration::from_millis(1_500)));
        assert_eq!(duration("22", Unit::Seconds), Some(Duration::from_secs(22)));
        for wrong in ["", "s", "1x", "1.5h", "-1s", "99999999999999999w", "1h 30"] {
            assert_eq!(read(wrong), None, "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_as_the_same(milliseconds in 0_u64..1 << 50) {
            let of = Duration::from_millis(milliseconds);
            prop_assert_eq!(duration(&text(of), Unit::Seconds), Some(of));
        }

        #[test]
        fn no_text_is_too_odd(text in ".*") {
            let _ = duration(&text, Unit::Seconds);
        }
    }
}
