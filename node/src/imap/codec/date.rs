//! `date` and `date-time` (RFC 9051 §9). Internal dates are kept as instants and written in UTC.

use std::io::Write as _;

use sterna_storage::types::Timestamp;

use super::cursor::{Cursor, Parse, SyntaxError};

const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// A day of the proleptic Gregorian calendar, counted from 1970-01-01.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Day(pub i64);

impl Day {
    /// The day (in UTC) of an instant.
    pub fn of(instant: Timestamp) -> Self {
        Self(instant.as_secs().div_euclid(86_400))
    }

    /// From year, month (1 to 12) and day of the month; `None` if there is no such day.
    pub fn from_civil(year: i64, month: u32, day: u32) -> Option<Self> {
        if !(1..=12).contains(&month) || day == 0 || day > days_in_month(year, month) {
            return None;
        }
        // Years start in March, so that the leap day is the last of its year.
        let shifted = if month <= 2 { year - 1 } else { year };
        let era = shifted.div_euclid(400);
        let year_of_era = shifted.rem_euclid(400);
        let day_of_year = (153 * i64::from((month + 9) % 12) + 2) / 5 + i64::from(day) - 1;
        let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
        Some(Self(era * 146_097 + day_of_era - 719_468))
    }

    fn civil(self) -> (i64, u32, u32) {
        let shifted = self.0 + 719_468;
        let era = shifted.div_euclid(146_097);
        let day_of_era = shifted.rem_euclid(146_097);
        let year_of_era =
            (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let month = (5 * day_of_year + 2) / 153;
        let day = day_of_year - (153 * month + 2) / 5 + 1;
        let month = if month < 10 { month + 3 } else { month - 9 };
        let year = era * 400 + year_of_era + i64::from(month <= 2);
        (year, month as u32, day as u32)
    }
}

fn days_in_month(year: i64, month: u32) -> u32 {
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    match month {
        2 if leap => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

impl Cursor<'_> {
    /// `date`: `1-Feb-1994`, quoted or not.
    pub fn date(&mut self) -> Parse<Day> {
        let quoted = self.take(b'"');
        let day = self.date_digits(1, 2)?;
        let date = self.month_and_year(day)?;
        if quoted {
            self.expect(b'"', "a date without its closing quote")?;
        }
        Ok(date)
    }

    /// `date-time`: `" 7-Feb-1994 22:43:04 -0800"`.
    pub fn date_time(&mut self) -> Parse<Timestamp> {
        const WRONG: &str = "a date and time expected, as \" 7-Feb-1994 22:43:04 -0800\"";
        self.expect(b'"', WRONG)?;
        let day = if self.take(b' ') { self.date_digits(1, 1)? } else { self.date_digits(1, 2)? };
        let date = self.month_and_year(day)?;
        self.expect(b' ', WRONG)?;
        let hours = self.date_digits(2, 2)?;
        self.expect(b':', WRONG)?;
        let minutes = self.date_digits(2, 2)?;
        self.expect(b':', WRONG)?;
        let seconds = self.date_digits(2, 2)?;
        self.expect(b' ', WRONG)?;
        let sign = if self.take(b'-') { -1 } else { self.expect(b'+', WRONG).map(|()| 1)? };
        let zone = self.date_digits(4, 4)?;
        self.expect(b'"', WRONG)?;
        if hours > 23 || minutes > 59 || seconds > 60 || zone % 100 > 59 {
            return Err(SyntaxError("no such time of day"));
        }
        let of_day = i64::from(hours) * 3_600 + i64::from(minutes) * 60 + i64::from(seconds);
        let offset = sign * (i64::from(zone / 100) * 3_600 + i64::from(zone % 100) * 60);
        Ok(Timestamp::from_secs(date.0 * 86_400 + of_day - offset))
    }

    fn month_and_year(&mut self, day: u32) -> Parse<Day> {
        const WRONG: &str = "a date expected, as 1-Feb-1994";
        self.expect(b'-', WRONG)?;
        let month = (1..)
            .zip(MONTHS)
            .find_map(|(number, name)| self.take_word(name).then_some(number))
            .ok_or(SyntaxError(WRONG))?;
        self.expect(b'-', WRONG)?;
        let year = self.date_digits(4, 4)?;
        Day::from_civil(i64::from(year), month, day).ok_or(SyntaxError("no such day"))
    }

    fn date_digits(&mut self, least: usize, most: usize) -> Parse<u32> {
        let digits = self.take_while(|byte| byte.is_ascii_digit());
        if !(least..=most).contains(&digits.len()) {
            return Err(SyntaxError("malformed date or time"));
        }
        Ok(digits.iter().fold(0, |value, digit| value * 10 + u32::from(digit - b'0')))
    }
}

/// Appends `" 7-Feb-1994 22:43:04 +0000"`, with the quotes. Years outside 0 to 9999 cannot be
/// written in IMAP and are clamped.
pub fn write_date_time(out: &mut Vec<u8>, instant: Timestamp) {
    const RANGE: (i64, i64) = (-62_167_219_200, 253_402_300_799);
    let seconds = instant.as_secs().clamp(RANGE.0, RANGE.1);
    let (year, month, day) = Day(seconds.div_euclid(86_400)).civil();
    let of_day = seconds.rem_euclid(86_400);
    let (hours, minutes, seconds) = (of_day / 3_600, of_day / 60 % 60, of_day % 60);
    let month = MONTHS[(month - 1) as usize];
    write!(out, "\"{day:>2}-{month}-{year:04} {hours:02}:{minutes:02}:{seconds:02} +0000\"")
        .expect("writing to memory cannot fail");
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_example_of_the_rfc() {
        let instant = Cursor::new(b"\" 7-Feb-1994 22:43:04 -0800\"").date_time().expect("valid");
        assert_eq!(instant.as_secs(), 760_689_784);
        assert_eq!(Cursor::new(b"\"07-FEB-1994 22:43:04 -0800\"").date_time().expect("valid"), instant);
        let mut out = Vec::new();
        write_date_time(&mut out, instant);
        assert_eq!(out, b"\" 8-Feb-1994 06:43:04 +0000\"");
    }

    #[test]
    fn what_is_no_date() {
        for bad in ["30-Feb-1994", "1-Foo-1994", "1-Feb-94", "\"1-Feb-1994", "0-Jan-2000", "29-Feb-1900"] {
            assert!(Cursor::new(bad.as_bytes()).date().is_err(), "{bad}");
        }
        assert!(Cursor::new(b"29-Feb-2000").date().is_ok());
        assert!(Cursor::new(b"\"31-Dec-2000 24:00:00 +0000\"").date_time().is_err());
    }

    proptest! {
        #[test]
        fn what_is_written_reads_back(seconds in -62_167_219_200i64..253_402_300_799) {
            let instant = Timestamp::from_secs(seconds);
            let mut out = Vec::new();
            write_date_time(&mut out, instant);
            prop_assert_eq!(Cursor::new(&out).date_time().expect("own text"), instant);
        }
    }
}
