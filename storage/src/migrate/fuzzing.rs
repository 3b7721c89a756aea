//! What must hold of whatever a move reads back.

use super::standing::{Filling, Left};
use crate::bodies::fuzzing::noted;
use crate::fuzzing::{Check, record};

pub(crate) const CHECKS: &[Check] = &[record::<Left>, record::<Filling>, noted];
