//! Whole servers of the real binary, real clients, faults and benchmarks.
