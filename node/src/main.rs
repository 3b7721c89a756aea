//! The `sterna` binary.

fn main() {}
