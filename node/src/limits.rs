//! The bounds of this floor: the number, its unit, and why it is what it is.
