//! What the fuzz targets share: how input is cut into pieces, how much memory a piece of work takes, and what
//! every protocol's output looks like.

pub mod memory;
pub mod replies;
pub mod wire;
