//! Rounds over real stores.
