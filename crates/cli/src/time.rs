//! Times as people write them.

use std::str::FromStr;
use std::time::{SystemTime, UNIX_EPOCH};

use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

const DAY_MS: i64 = 24 * 60 * 60 * 1000;

/// A point in time, in milliseconds since 1970-01-01T00:00:00Z.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct TimeArgument(pub(crate) i64);

impl FromStr for TimeArgument {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        parse(text, now_ms()).map(Self).ok_or_else(|| {
            format!(
                "`{text}` is no time: give 2026-01-31T12:00:00Z, 2026-01-31, milliseconds since 1970, or 15m, 1h or 2d for as long ago"
            )
        })
    }
}

fn parse(text: &str, now_ms: i64) -> Option<i64> {
    if let Some(ago) = ago_ms(text.strip_prefix('-').unwrap_or(text)) {
        return now_ms.checked_sub(ago);
    }
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        return text.parse().ok();
    }
    let timestamp = text.parse::<Timestamp>().ok().or_else(|| {
        // Without a zone it is UTC, as in the log.
        let civil = text.parse::<DateTime>().ok()?;
        Some(civil.to_zoned(TimeZone::UTC).ok()?.timestamp())
    })?;
    Some(timestamp.as_millisecond())
}

/// A length of time: 15m, 1h30m, 2d.
fn ago_ms(text: &str) -> Option<i64> {
    if let Some(days) = text.strip_suffix('d') {
        return days.parse::<i64>().ok()?.checked_mul(DAY_MS);
    }
    i64::try_from(text.parse::<SignedDuration>().ok()?.as_millis()).ok()
}

/// The time now.
pub(crate) fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

/// A time of a record as text; the number itself where no calendar reaches.
pub(crate) fn text_of(timestamp_ms: i64) -> String {
    Timestamp::from_millisecond(timestamp_ms).map_or_else(|_| timestamp_ms.to_string(), |time| format!("{time:.3}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: Option<i64>) {
        assert_eq!(parse(text, 1_000_000_000), expected, "{text}");
    }

    #[test]
    fn times_are_read_in_every_usual_form() {
        check("1767225600000", Some(1_767_225_600_000));
        check("2026-01-01T00:00:00Z", Some(1_767_225_600_000));
        check("2026-01-01T01:00:00.250+01:00", Some(1_767_225_600_250));
        check("2026-01-01T00:00:00", Some(1_767_225_600_000));
        check("2026-01-01", Some(1_767_225_600_000));
        check("-15m", Some(1_000_000_000 - 900_000));
        check("-1h30m", Some(1_000_000_000 - 5_400_000));
        check("1h", Some(1_000_000_000 - 3_600_000));
        check("2d", Some(1_000_000_000 - 172_800_000));
        check("yesterday", None);
        check("", None);
    }

    #[test]
    fn times_are_shown_to_the_millisecond() {
        assert_eq!(text_of(1_767_225_600_250), "2026-01-01T00:00:00.250Z");
        assert_eq!(text_of(i64::MAX), i64::MAX.to_string());
    }
}
