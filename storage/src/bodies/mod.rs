//! Message bodies: staged, packed, sealed, read in ranges, collected.
