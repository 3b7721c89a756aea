//! Dates of header fields (RFC 5322 §3.3): written for trace headers, read for SENTON and its like.

use sterna_storage::types::Timestamp;

const DAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// A day of the calendar as written, without regard to time zone: what SENTBEFORE, SENTON and SENTSINCE
/// compare (RFC 9051 §6.4.4). Ordered by time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Day {
    /// The year, all digits.
    pub year: i32,
    /// 1 to 12.
    pub month: u8,
    /// 1 to 31.
    pub day: u8,
}

impl Day {
    /// The day in UTC.
    pub fn of(time: Timestamp) -> Self {
        civil(time.as_secs().div_euclid(86_400))
    }
}

/// `Sun, 22 Nov 2026 02:38:00 +0000`.
pub fn rfc5322(time: Timestamp) -> String {
    let days = time.as_secs().div_euclid(86_400);
    let seconds = time.as_secs().rem_euclid(86_400);
    let Day { year, month, day } = civil(days);
    let weekday = DAYS[days.rem_euclid(7) as usize];
    let month = MONTHS[usize::from(month) - 1];
    let (hour, minute, second) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    format!("{weekday}, {day} {month} {year:04} {hour:02}:{minute:02}:{second:02} +0000")
}

/// The day that a Date field names; `None` if it is no date.
pub fn day(value: &[u8]) -> Option<Day> {
    let date = read(value)?;
    Some(Day { year: date.year.into(), month: date.month, day: date.day })
}

/// The moment that a Date field names; `None` if it is no date.
pub fn moment(value: &[u8]) -> Option<Timestamp> {
    read(value).map(|date| Timestamp::from_secs(date.to_timestamp()))
}

fn read(value: &[u8]) -> Option<mail_parser::DateTime> {
    let date = mail_parser::DateTime::parse_rfc822(std::str::from_utf8(value).ok()?)?;
    ((1..=12).contains(&date.month) && (1..=31).contains(&date.day)).then_some(date)
}

/// Days since 1970-01-01 in the Gregorian calendar (H. Hinnant's algorithm).
fn civil(days: i64) -> Day {
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = (day_of_year - (153 * shifted_month + 2) / 5 + 1) as u8;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 } as u8;
    let year = (year_of_era + era * 400 + i64::from(month <= 2)) as i32;
    Day { year, month, day }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn dates_are_written_and_read() {
        assert_eq!(rfc5322(Timestamp::from_secs(0)), "Thu, 1 Jan 1970 00:00:00 +0000");
        assert_eq!(rfc5322(Timestamp::from_secs(951_782_400)), "Tue, 29 Feb 2000 00:00:00 +0000");
        assert_eq!(day(b"Sat, 20 Nov 2021 23:59:00 -0800"), Some(Day { year: 2021, month: 11, day: 20 }));
        assert_eq!(moment(b"Sat, 20 Nov 2021 23:59:00 -0800"), Some(Timestamp::from_secs(1_637_481_540)));
        assert_eq!(day(b"no date"), None);
    }

    proptest! {
        #[test]
        fn what_is_written_reads_back(seconds in 0i64..4_000_000_000) {
            let time = Timestamp::from_secs(seconds);
            let text = rfc5322(time);
            prop_assert_eq!(moment(text.as_bytes()), Some(time));
            prop_assert_eq!(day(text.as_bytes()), Some(Day::of(time)));
        }

        #[test]
        fn any_octets_are_no_trouble(value in proptest::collection::vec(any::<u8>(), 0..60)) {
            let _ = (day(&value), moment(&value));
        }
    }
}
