//! Points in time: `2026-01-01T00:00:00Z`, or milliseconds since 1970.

use serde::de::Error as _;
use serde::{Deserialize, Deserializer};
use toml::value::Datetime;

/// Milliseconds since 1970-01-01T00:00:00Z.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Timestamp(pub(crate) i64);

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let wrong = |text: &dyn std::fmt::Display| {
            D::Error::custom(format!(
                "{text} is no point in time: write 2026-01-31T23:59:59Z, or milliseconds"
            ))
        };
        match toml::Value::deserialize(deserializer)? {
            toml::Value::Integer(milliseconds) => Ok(Self(milliseconds)),
            toml::Value::Datetime(time) => milliseconds(time).ok_or_else(|| wrong(&time)).map(Self),
            toml::Value::String(text) => {
                let time = text.parse().ok().and_then(milliseconds);
                time.ok_or_else(|| wrong(&text)).map(Self)
            }
            other => Err(wrong(&other)),
        }
    }
}

fn milliseconds(time: Datetime) -> Option<i64> {
    let (date, clock) = (time.date?, time.time?);
    let offset = match time.offset? {
        toml::value::Offset::Z => 0,
        toml::value::Offset::Custom { minutes } => i64::from(minutes),
    };
    let days = days(i64::from(date.year), i64::from(date.month), i64::from(date.day));
    let minutes = days * 1_440 + i64::from(clock.hour) * 60 + i64::from(clock.minute) - offset;
    let seconds = minutes * 60 + i64::from(clock.second.unwrap_or_default());
    Some(seconds * 1_000 + i64::from(clock.nanosecond.unwrap_or_default() / 1_000_000))
}

/// Days from 1970-01-01 to a date of the Gregorian calendar. A year is counted from March, so that its last day is the
/// leap day.
fn days(year: i64, month: i64, day: i64) -> i64 {
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let leap_days = year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400);
    let day_of_year = (153 * month + 2) / 5 + day - 1;
    year * 365 + leap_days + day_of_year - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_days_since_1970() {
        assert_eq!(
            (days(1970, 1, 1), days(2000, 2, 29), days(2026, 1, 1), days(1969, 12, 31)),
            (0, 11_016, 20_454, -1)
        );
    }

    #[test]
    fn time_has_an_offset_and_a_fraction() {
        let of = |text: &str| milliseconds(text.parse().unwrap());
        assert_eq!(of("2026-01-01T00:00:00Z"), Some(1_767_225_600_000));
        assert_eq!(of("2026-01-01T01:00:00.25+01:00"), Some(1_767_225_600_250));
        assert_eq!(of("2026-01-01"), None);
    }
}
