//! Single keys from the terminal, or from whatever standard input is.

use std::io;

use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};
use tokio::io::AsyncReadExt as _;

/// Keys as they are pressed: no Enter is needed, and they do not show. The terminal is as it was when this is dropped.
pub(super) struct Keys {
    input: tokio::io::Stdin,
    before: Option<Termios>,
}

impl Keys {
    /// Standard input; if it is no terminal, its octets are the keys.
    pub(super) fn new() -> Self {
        let before = tcgetattr(io::stdin()).ok();
        if let Some(before) = &before {
            let mut single = before.clone();
            single.local_modes -= LocalModes::ICANON | LocalModes::ECHO;
            // A terminal that cannot do that still gives whole lines.
            let _ = tcsetattr(io::stdin(), OptionalActions::Now, &single);
        }
        Self { input: tokio::io::stdin(), before }
    }

    /// The next key; waits for ever once the input has ended.
    pub(super) async fn next(&mut self) -> io::Result<u8> {
        match self.input.read_u8().await {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => std::future::pending().await,
            key => key,
        }
    }
}

impl Drop for Keys {
    fn drop(&mut self) {
        if let Some(before) = &self.before {
            // There is nothing to be done about a terminal that went away.
            let _ = tcsetattr(io::stdin(), OptionalActions::Now, before);
        }
    }
}
