//! What a message is made of: structure, summary, trace headers, submission fix-ups, reports.
//! Everything here works on octets in memory and knows no socket and no storage.
//!
//! In reading order:

pub mod address;
pub mod charset;
mod codec;
pub mod decode;
pub mod envelope;
pub mod header;
pub mod parameter;
mod parse;
pub mod preview;
pub mod section;
pub mod structure;
pub mod summary;

pub use envelope::Envelope;
pub use section::Section;
pub use structure::{Encoding, Kind, Part, Structure};
pub use summary::Summary;
