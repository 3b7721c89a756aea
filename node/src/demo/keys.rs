//! Single keys from the terminal, or from whatever standard input is.

use std::io::{self, Read as _};

use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};
use tokio::sync::mpsc::{Receiver, channel};

/// Ctrl-C as an octet: a terminal makes a signal of it, a pipe does not.
const CTRL_C: u8 = 0x03;

/// Keys as they are pressed: no Enter is needed, and they do not show. The terminal is as it was when this is dropped.
pub(super) struct Keys {
    pressed: Receiver<u8>,
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
        let (sender, pressed) = channel(1);
        // A thread of its own, not the runtime's: a read that waits for a key must not hold up the end.
        std::thread::spawn(move || {
            let keys = io::stdin().lock().bytes().map_while(Result::ok);
            // Ends with the input, or once nobody listens.
            let _ = keys.into_iter().try_for_each(|key| sender.blocking_send(key));
        });
        Self { pressed, before }
    }

    /// Whether the viewer wants another kill (`k`) or the end (Ctrl-C); other keys are passed over. Waits for ever once the
    /// input has ended.
    pub(super) async fn want_another(&mut self) -> bool {
        loop {
            match self.pressed.recv().await {
                Some(b'k' | b'K') => return true,
                Some(CTRL_C) => return false,
                Some(_) => {}
                None => std::future::pending().await,
            }
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
