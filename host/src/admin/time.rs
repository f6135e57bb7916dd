//! Times as the API says them: RFC 3339, universal time.

use std::time::Duration;

use tidegate_proto::lwm2m::format::date;
use tidegate_proto::time::Instant;

use crate::net::Clock;

/// Such as `2026-03-01T12:00:00.250Z`; without milliseconds if there are none.
pub(super) fn of_millis(since_1970: i64) -> String {
    let (seconds, millis) = (since_1970.div_euclid(1000), since_1970.rem_euclid(1000));
    let (days, second) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    let (year, month, day) = civil(days);
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    let fraction = if millis == 0 { String::new() } else { format!(".{millis:03}") };
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}{fraction}Z")
}

/// Of Unix time; none for 0, which stands for a time that is not known.
pub(super) fn of_seconds(since_1970: u32) -> Option<String> {
    (since_1970 > 0).then(|| of_millis(i64::from(since_1970) * 1000))
}

/// Of a time of the gateway's own clock.
pub(super) fn of_instant(clock: Clock, instant: Instant) -> String {
    let (now, timestamp) = (clock.now(), Clock::timestamp());
    let millis = |duration: Duration| i64::try_from(duration.as_millis()).unwrap_or(i64::MAX);
    let at = timestamp.saturating_sub(millis(now.since(instant))).saturating_add(millis(instant.since(now)));
    // Both clocks were read at different moments: what is finer would be different each time.
    of_millis(at.div_euclid(1000) * 1000)
}

/// Unix time of a date such as `2026-03-01T12:00:00Z`.
pub(super) fn parse(text: &str) -> Option<i64> {
    date::seconds(text)
}

/// The year, month and day of so many days after 1970-01-01.
fn civil(days: i64) -> (i64, i64, i64) {
    // Eras of 400 years that begin on a 1 March, so that a leap day is the last of its year.
    let days = days + 719_468;
    let (era, day_of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (year_of_era + era * 400 + i64::from(month < 3), month, day)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn times_are_said_as_rfc_3339() {
        assert_eq!(of_millis(0), "1970-01-01T00:00:00Z");
        assert_eq!(of_millis(951_782_400_250), "2000-02-29T00:00:00.250Z");
        assert_eq!(of_millis(1_772_366_399_000), "2026-03-01T11:59:59Z");
        assert_eq!((of_seconds(0), of_seconds(1).as_deref()), (None, Some("1970-01-01T00:00:01Z")));
    }

    #[test]
    fn a_time_of_the_gateways_clock_lies_as_far_from_now() {
        let clock = Clock::start();
        let hour = Duration::from_secs(3600);
        let (past, future) = (of_instant(clock, clock.now() - hour), of_instant(clock, clock.now() + hour));
        let apart = parse(&future).unwrap() - parse(&past).unwrap();
        assert!((7199..=7201).contains(&apart), "{past} {future}");
    }

    proptest! {
        #[test]
        fn what_is_said_reads_as_the_same_second(seconds in 0..253_402_300_799i64) {
            prop_assert_eq!(parse(&of_millis(seconds * 1000)), Some(seconds));
        }
    }
}
