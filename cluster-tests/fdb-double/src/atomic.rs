//! Atomic operations (as from API version 510 on: `MIN` and `AND` of an absent key store the operand).

use std::cmp::Ordering;

use crate::errors::{self, Code};

/// Longest value that there can be.
pub(crate) const VALUE_OCTETS: usize = 100_000;

/// An operation on the value that a key has when the transaction commits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Operation {
    Add,
    And,
    Or,
    Xor,
    AppendIfFits,
    Max,
    Min,
    ByteMin,
    ByteMax,
    CompareAndClear,
}

impl Operation {
    /// By its number.
    pub(crate) fn numbered(number: u32) -> Result<Self, Code> {
        Ok(match number {
            2 => Self::Add,
            6 => Self::And,
            7 => Self::Or,
            8 => Self::Xor,
            9 => Self::AppendIfFits,
            12 => Self::Max,
            13 => Self::Min,
            16 => Self::ByteMin,
            17 => Self::ByteMax,
            20 => Self::CompareAndClear,
            _ => return Err(errors::INVALID_MUTATION_TYPE),
        })
    }

    /// What becomes of the value; `None` where the key is absent afterwards.
    pub(crate) fn apply(self, value: Option<&[u8]>, operand: &[u8]) -> Option<Vec<u8>> {
        let Some(value) = value else {
            return match self {
                Self::CompareAndClear => None,
                _ => Some(operand.to_vec()),
            };
        };
        // "If the existing value is shorter or longer than the operand, it is first extended with zeros or truncated."
        let fitted =
            || -> Vec<u8> { (0..operand.len()).map(|at| value.get(at).copied().unwrap_or(0)).collect() };
        let bitwise = |join: fn(u8, u8) -> u8| -> Vec<u8> {
            fitted().iter().zip(operand).map(|(one, other)| join(*one, *other)).collect()
        };
        Some(match self {
            Self::Add => sum(fitted(), operand),
            Self::And => bitwise(|one, other| one & other),
            Self::Or => bitwise(|one, other| one | other),
            Self::Xor => bitwise(|one, other| one ^ other),
            Self::AppendIfFits if value.len() + operand.len() > VALUE_OCTETS => value.to_vec(),
            Self::AppendIfFits => [value, operand].concat(),
            Self::Max => chosen(fitted(), operand, Ordering::Greater),
            Self::Min => chosen(fitted(), operand, Ordering::Less),
            Self::ByteMin => value.min(operand).to_vec(),
            Self::ByteMax => value.max(operand).to_vec(),
            Self::CompareAndClear if value == operand => return None,
            Self::CompareAndClear => value.to_vec(),
        })
    }
}

/// Little-endian sum, the carry out of the last octet lost.
fn sum(mut value: Vec<u8>, operand: &[u8]) -> Vec<u8> {
    let mut carry = 0;
    for (octet, other) in value.iter_mut().zip(operand) {
        let total = u16::from(*octet) + u16::from(*other) + carry;
        *octet = total as u8;
        carry = total >> 8;
    }
    value
}

/// The value if it compares so to the operand as unsigned little-endian numbers, else the operand.
fn chosen(value: Vec<u8>, operand: &[u8], wanted: Ordering) -> Vec<u8> {
    let order = value.iter().rev().cmp(operand.iter().rev());
    if order == wanted { value } else { operand.to_vec() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_operation_does_what_its_name_says() {
        let apply =
            |operation: Operation, value: &[u8], operand: &[u8]| operation.apply(Some(value), operand);
        assert_eq!(apply(Operation::Add, &[0xff, 0xff], &[1, 0]), Some(vec![0, 0]));
        assert_eq!(apply(Operation::Add, &[0xff], &[1, 0]), Some(vec![0, 1]));
        assert_eq!(apply(Operation::Add, &[1, 2, 3], &[1]), Some(vec![2]));
        assert_eq!(apply(Operation::Max, &[1, 2], &[2, 1]), Some(vec![1, 2]));
        assert_eq!(apply(Operation::Min, &[1, 2], &[2, 1]), Some(vec![2, 1]));
        assert_eq!(apply(Operation::Min, &[5], &[9, 9]), Some(vec![5, 0]));
        assert_eq!(Operation::Min.apply(None, &[9]), Some(vec![9]));
        assert_eq!(apply(Operation::ByteMax, b"b", b"ab"), Some(b"b".to_vec()));
        assert_eq!(apply(Operation::CompareAndClear, b"a", b"a"), None);
        assert_eq!(
            apply(Operation::AppendIfFits, &vec![0; VALUE_OCTETS], b"a").map(|value| value.len()),
            Some(VALUE_OCTETS)
        );
    }
}
