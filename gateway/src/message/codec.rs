//! Numbers and octet strings of an encoded summary: LEB128 lengths, nothing copied on reading.

use super::address::Text;

/// Appends a number, seven bits an octet.
pub(super) fn put_number(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Appends octets behind their length.
pub(super) fn put_octets(out: &mut Vec<u8>, octets: &[u8]) {
    put_number(out, octets.len() as u64);
    out.extend_from_slice(octets);
}

/// Reads what the functions above wrote; `None` at anything they cannot have written.
pub(super) struct Reader<'a>(pub(super) &'a [u8]);

impl<'a> Reader<'a> {
    pub(super) fn octet(&mut self) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*first)
    }

    pub(super) fn number(&mut self) -> Option<u64> {
        let mut value = 0u64;
        for shift in (0..64).step_by(7) {
            let octet = self.octet()?;
            value |= u64::from(octet & 0x7f) << shift;
            if octet < 0x80 {
                return Some(value);
            }
        }
        None
    }

    /// A count of things that take at least one octet each, so that no count can ask for more memory than
    /// the input has.
    pub(super) fn count(&mut self) -> Option<usize> {
        let count = usize::try_from(self.number()?).ok()?;
        (count <= self.0.len()).then_some(count)
    }

    pub(super) fn octets(&mut self) -> Option<&'a [u8]> {
        let length = self.count()?;
        let (octets, rest) = self.0.split_at(length);
        self.0 = rest;
        Some(octets)
    }

    pub(super) fn text(&mut self) -> Option<Text<'a>> {
        self.octets().map(Text::Borrowed)
    }

    /// A text that is there if the bit is set.
    pub(super) fn text_if(&mut self, present: bool) -> Option<Option<Text<'a>>> {
        if present { self.text().map(Some) } else { Some(None) }
    }

    pub(super) fn list<T>(&mut self, mut read: impl FnMut(&mut Self) -> Option<T>) -> Option<Vec<T>> {
        let count = self.count()?;
        let mut list = Vec::with_capacity(count.min(64));
        for _ in 0..count {
            list.push(read(self)?);
        }
        Some(list)
    }
}
