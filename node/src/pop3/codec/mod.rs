//! Bytes to commands and back: lines, commands, replies, and the multi-line form of a message.

mod command;
mod line;
mod reply;
mod stuffing;
mod top;

pub use command::{Command, CommandError};
pub use line::{Line, LineDecoder};
pub use reply::{ResponseCode, err, ok, terminate};
pub use stuffing::Stuffer;
pub use top::TopCutter;
