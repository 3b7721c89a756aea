//! Input that comes in pieces.

/// Splits the fuzzer's octets into the settings of a run (the first `N`), and the wire.
pub fn settings<const N: usize>(input: &[u8]) -> Option<([u8; N], &[u8])> {
    input.split_first_chunk().map(|(settings, wire)| (*settings, wire))
}

/// How a wire is cut.
#[derive(Debug, Clone, Copy)]
pub enum Cut {
    /// Not at all.
    Whole,
    /// Into single octets.
    Octets,
    /// Into pieces whose lengths the seed decides: many short ones, some long.
    Pieces(u8),
}

impl Cut {
    /// The pieces of a wire, none of them empty.
    pub fn pieces(self, wire: &[u8]) -> impl Iterator<Item = &[u8]> {
        let (mut rest, mut state) =
            (wire, if let Self::Pieces(seed) = self { u32::from(seed) + 1 } else { 0 });
        std::iter::from_fn(move || {
            let length = match self {
                Self::Whole => rest.len(),
                Self::Octets => 1,
                Self::Pieces(_) => {
                    // A generator of Lehmer's kind: what it gives need only differ.
                    state = state.wrapping_mul(48_271) % 0x7fff_ffff;
                    let bound = if state & 0x700 == 0 { 5_000 } else { 17 };
                    1 + (state >> 12) as usize % bound
                }
            };
            let (piece, after) = rest.split_at_checked(length.min(rest.len()))?;
            rest = after;
            (!piece.is_empty()).then_some(piece)
        })
    }
}
