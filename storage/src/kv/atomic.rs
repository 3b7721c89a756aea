//! Atomic operations: what they make of the value beneath, the same for transactions that read their
//! own writes and for engines that commit them.

use bytes::Bytes;

/// An operation on the 64-bit little-endian number that a key holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Atomic {
    /// Wrapping addition; an absent key counts as 0.
    Add(i64),
    /// Unsigned maximum; an absent key takes the operand.
    Max(u64),
    /// Unsigned minimum; an absent key takes the operand.
    Min(u64),
}

impl Atomic {
    /// The value after the operation. A value that is not eight octets long is cut or filled with
    /// zeros to eight, as FoundationDB does it.
    pub(crate) fn apply(self, base: Option<&[u8]>) -> Bytes {
        let present = base.map(number);
        let result = match self {
            Self::Add(delta) => present.unwrap_or(0).wrapping_add_signed(delta),
            Self::Max(operand) => present.map_or(operand, |value| value.max(operand)),
            Self::Min(operand) => present.map_or(operand, |value| value.min(operand)),
        };
        Bytes::copy_from_slice(&result.to_le_bytes())
    }
}

fn number(value: &[u8]) -> u64 {
    let mut octets = [0; 8];
    let length = value.len().min(8);
    octets[..length].copy_from_slice(&value[..length]);
    u64::from_le_bytes(octets)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operations_on_absent_short_and_long_values() {
        let add = |base: Option<&[u8]>, delta| number(&Atomic::Add(delta).apply(base));
        assert_eq!(add(None, -1), u64::MAX);
        assert_eq!(add(Some(&[5]), 2), 7);
        assert_eq!(add(Some(&[1, 0, 0, 0, 0, 0, 0, 0, 9]), 1), 2);
        assert_eq!(number(&Atomic::Min(7).apply(None)), 7);
        assert_eq!(number(&Atomic::Min(7).apply(Some(&[3]))), 3);
        assert_eq!(number(&Atomic::Max(7).apply(Some(&[3]))), 7);
    }
}
