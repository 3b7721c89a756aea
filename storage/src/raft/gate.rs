//! Who changes a group's folder while it ends: the end waits for whoever is at it, and nobody else begins.

use std::sync::Arc;

use parking_lot::{Condvar, Mutex};

use crate::{Error, Result};

/// Before the folder.
#[derive(Default)]
pub(super) struct Gate {
    state: Mutex<Passed>,
    left: Condvar,
}

#[derive(Default)]
struct Passed {
    inside: usize,
    is_closed: bool,
}

/// Whoever has it may change the folder. Given up when dropped.
pub(super) struct Pass(Arc<Gate>);

impl Gate {
    /// `Closed` once it is closed.
    pub(super) fn enter(self: &Arc<Self>) -> Result<Pass> {
        let mut state = self.state.lock();
        if state.is_closed {
            return Err(Error::Closed);
        }
        state.inside += 1;
        Ok(Pass(self.clone()))
    }

    pub(super) fn is_closed(&self) -> bool {
        self.state.lock().is_closed
    }

    /// Lets nobody in any more, and waits until nobody is inside. Blocks.
    pub(super) fn close(&self) {
        let mut state = self.state.lock();
        state.is_closed = true;
        self.left.wait_while(&mut state, |state| state.inside > 0);
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        self.0.state.lock().inside -= 1;
        self.0.left.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::time::Duration;

    use super::*;

    #[test]
    fn the_end_waits_for_who_is_inside_and_lets_nobody_in() {
        let gate = Arc::<Gate>::default();
        let pass = gate.enter().expect("open");
        let (ended, end) = mpsc::channel();
        let closing = gate.clone();
        let thread = std::thread::spawn(move || {
            closing.close();
            ended.send(()).expect("is heard");
        });
        while !gate.is_closed() {
            std::thread::yield_now();
        }
        assert!(matches!(gate.enter(), Err(Error::Closed)));
        assert!(end.try_recv().is_err());
        drop(pass);
        end.recv_timeout(Duration::from_secs(60)).expect("ends");
        thread.join().expect("joins");
    }
}
