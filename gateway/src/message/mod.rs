//! What a message is made of: structure, summary, trace headers, submission fix-ups, reports.
//! Everything here works on octets in memory and knows no socket and no storage.

// A header and its fields.
pub mod address;
pub mod date;
pub mod envelope;
pub mod header;
pub mod parameter;

// The MIME tree, and what is kept of it.
mod codec;
mod parse;
mod preview;
pub mod section;
pub mod structure;
pub mod summary;

// What the octets of a part stand for.
pub mod charset;
pub mod decode;
pub mod encoded_word;
pub mod search;

// What a server writes into a message.
pub mod dkim;
pub mod dsn;
pub mod submission;
pub mod trace;

#[cfg(any(test, fuzzing))]
pub mod fuzzing;

pub use envelope::Envelope;
pub use section::Section;
pub use structure::{Encoding, Kind, Part, Structure};
pub use summary::Summary;
