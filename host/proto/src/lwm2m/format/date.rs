//! Dates as text (RFC 3339), which some clients give for resources of type Time, and operators in what they ask.

/// Seconds since 1970 of a date and time such as `2013-05-02T10:40:15Z`; a fraction of a second is left away. None if
/// the text is no date.
pub fn seconds(text: &str) -> Option<i64> {
    let (date, rest) = text.split_at_checked(10)?;
    let rest = rest.strip_prefix(['T', 't', ' '])?;
    let (time, rest) = rest.split_at_checked(8)?;
    let [year, month, day] = numbers(date, '-', [4, 2, 2])?;
    let [hour, minute, second] = numbers(time, ':', [2, 2, 2])?;
    let is_real = (1..=12).contains(&month)
        && (1..=days_of(year, month)).contains(&day)
        && hour < 24
        && minute < 60
        && second <= 60;
    let days = is_real.then(|| days_since_1970(year, month, day))?;
    Some(days * 86_400 + hour * 3600 + minute * 60 + second - offset(without_fraction(rest)?)?)
}

/// Numbers of so many digits each, with a separator between.
fn numbers(text: &str, separator: char, digits: [usize; 3]) -> Option<[i64; 3]> {
    let mut parts = text.split(separator);
    let mut numbers = [0; 3];
    for (number, digits) in numbers.iter_mut().zip(digits) {
        let part = parts.next().filter(|part| part.len() == digits)?;
        *number = digits_only(part)?;
    }
    parts.next().is_none().then_some(numbers)
}

fn digits_only(text: &str) -> Option<i64> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?
}

fn without_fraction(text: &str) -> Option<&str> {
    let Some(fraction) = text.strip_prefix('.') else {
        return Some(text);
    };
    let rest = fraction.trim_start_matches(|c: char| c.is_ascii_digit());
    (rest.len() < fraction.len()).then_some(rest)
}

/// Seconds that local time is ahead of universal time.
fn offset(text: &str) -> Option<i64> {
    if matches!(text, "Z" | "z") {
        return Some(0);
    }
    let (hours, minutes) = text.get(1..)?.split_once(':')?;
    if hours.len() != 2 || minutes.len() != 2 {
        return None;
    }
    let (hours, minutes) = (digits_only(hours)?, digits_only(minutes)?);
    let ahead = (hours < 24 && minutes < 60).then_some(hours * 3600 + minutes * 60)?;
    match text.as_bytes().first()? {
        b'+' => Some(ahead),
        b'-' => Some(-ahead),
        _ => None,
    }
}

fn days_of(year: i64, month: i64) -> i64 {
    match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Years are counted from March, so that a leap day is the last of its year.
fn days_since_1970(year: i64, month: i64, day: i64) -> i64 {
    let (year, month) = if month < 3 { (year - 1, month + 9) } else { (year, month - 3) };
    let leap_days = year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400);
    // From March on, months take turns of 31 and 30 days in groups of five: 153 days.
    year * 365 + leap_days + (month * 153 + 2) / 5 + day - 1 - DAYS_BEFORE_1970
}

/// From 1 March of the year 0.
const DAYS_BEFORE_1970: i64 = 719_468;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn dates_are_seconds_since_1970() {
        for (text, expected) in [
            ("1970-01-01T00:00:00Z", 0),
            ("1970-01-01T00:00:00-00:00", 0),
            // RFC 8949 appendix A.
            ("2013-03-21T20:04:00Z", 1_363_896_240),
            ("2013-03-21t21:34:00.75+01:30", 1_363_896_240),
            // RFC 3339 5.8: a leap second, and a time to the west.
            ("1990-12-31T23:59:60Z", 662_688_000),
            ("1996-12-19T16:39:57-08:00", 851_042_397),
            ("2000-02-29 12:00:00Z", 951_825_600),
            ("1969-12-31T23:59:59Z", -1),
            ("9999-12-31T23:59:59Z", 253_402_300_799),
            ("0000-01-01T00:00:00Z", -62_167_219_200),
        ] {
            assert_eq!(seconds(text), Some(expected), "{text}");
        }
    }

    #[test]
    fn what_is_no_date_gives_none() {
        for text in [
            "",
            "5",
            "2013-03-21",
            "2013-03-21T20:04:00",
            "2013-03-21T20:04:00.Z",
            "2013-3-21T20:04:000Z",
            "2013-02-29T20:04:00Z",
            "1900-02-29T20:04:00Z",
            "2013-13-01T20:04:00Z",
            "2013-00-01T20:04:00Z",
            "2013-01-00T20:04:00Z",
            "2013-01-01T24:04:00Z",
            "2013-01-01T20:60:00Z",
            "2013-01-01T20:00:61Z",
            "2013-01-01T20:00:00+1:00",
            "2013-01-01T20:00:00+24:00",
            "2013-01-01T20:00:00*01:00",
            "2013-01-01T20:00:00Zx",
            "+013-01-01T20:00:00Z",
            "2013-01-01T20:00:00é",
        ] {
            assert_eq!(seconds(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn a_day_is_the_one_after_the_day_before(year in 0_i64..10_000, month in 1_i64..=12) {
            let first = |year, month| days_since_1970(year, month, 1);
            let next = if month == 12 { first(year + 1, 1) } else { first(year, month + 1) };
            prop_assert_eq!(next - first(year, month), days_of(year, month));
        }

        #[test]
        fn reading_never_panics(text in "[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\\PC{0,8}|\\PC{0,30}") {
            let _ = seconds(&text);
        }
    }
}
