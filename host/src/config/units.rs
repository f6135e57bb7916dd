//! Durations such as `30s` and sizes such as `16MiB`.

use std::time::Duration;

/// Reads a duration: digits and one of ms, s, m, h, d.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    let wrong =
        || format!("`{text}` is not a duration; write it like \"250ms\", \"30s\", \"5m\", \"24h\" or \"7d\"");
    let (number, unit) = split(text).ok_or_else(wrong)?;
    let milliseconds = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return Err(wrong()),
    };
    number.checked_mul(milliseconds).map(Duration::from_millis).ok_or_else(wrong)
}

/// Reads a size in bytes: digits and one of B, KiB, MiB, GiB.
pub(super) fn size(text: &str) -> Result<usize, String> {
    let wrong =
        || format!("`{text}` is not a size; write it like \"65536B\", \"512KiB\", \"16MiB\" or \"1GiB\"");
    let (number, unit) = split(text).ok_or_else(wrong)?;
    let bytes = match unit {
        "B" => 1_u64,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        _ => return Err(wrong()),
    };
    number.checked_mul(bytes).and_then(|size| usize::try_from(size).ok()).ok_or_else(wrong)
}

fn split(text: &str) -> Option<(u64, &str)> {
    let digits = text.find(|c: char| !c.is_ascii_digit())?;
    let (number, unit) = text.split_at(digits);
    Some((number.parse().ok()?, unit.trim_start()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations() {
        assert_eq!(duration("250ms"), Ok(Duration::from_millis(250)));
        assert_eq!(duration("24h"), Ok(Duration::from_secs(86_400)));
        assert_eq!(duration("5 m"), Ok(Duration::from_secs(300)));
        for wrong in ["", "30", "s", "-1s", "1.5s", "1w", "99999999999999999999s", "18446744073709551615d"] {
            assert!(duration(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn sizes() {
        assert_eq!(size("16MiB"), Ok(16 << 20));
        assert_eq!(size("1 KiB"), Ok(1024));
        for wrong in ["16MB", "16", "MiB", "16mib", "18446744073709551615GiB"] {
            assert!(size(wrong).is_err(), "{wrong}");
        }
    }
}
