//! What a call gives at once: a place for its result, and whom to call when it is there. Results arrive on
//! the network thread.

use std::sync::{Arc, OnceLock};

use parking_lot::Mutex;

use crate::c::types::RawPair;
use crate::errors::{self, Code};
use crate::network;

/// A result. The C interface lends it out for as long as the future lives.
#[derive(Debug)]
pub(crate) enum Output {
    Void,
    Number(i64),
    Key(Vec<u8>),
    Value(Option<Vec<u8>>),
    Pairs { raw: Vec<RawPair>, _pairs: Vec<(Vec<u8>, Vec<u8>)>, more: bool },
}

impl Output {
    /// Of a range read.
    pub(crate) fn pairs(pairs: Vec<(Vec<u8>, Vec<u8>)>, more: bool) -> Self {
        // The octets of a vector stay where they are when the vector that holds it moves.
        let raw = pairs.iter().map(|(key, value)| RawPair::new(key, value)).collect();
        Self::Pairs { raw, _pairs: pairs, more }
    }
}

type Callback = Box<dyn FnOnce() + Send>;

/// A result that is there or will be.
#[derive(Default)]
pub(crate) struct Future {
    result: OnceLock<Result<Output, Code>>,
    callback: Mutex<Option<Callback>>,
}

impl Future {
    /// Without a result.
    pub(crate) fn new() -> Arc<Self> {
        Arc::default()
    }

    /// One that will fail.
    pub(crate) fn failing(code: Code) -> Arc<Self> {
        let future = Self::new();
        let later = future.clone();
        network::spawn(move || later.complete(Err(code)));
        future
    }

    /// The result, if it is there.
    pub(crate) fn result(&self) -> Option<&Result<Output, Code>> {
        self.result.get()
    }

    /// Puts the result in its place, unless there is one, and calls who waits. Nothing may be locked.
    pub(crate) fn complete(&self, result: Result<Output, Code>) {
        let callback = {
            let mut callback = self.callback.lock();
            let _ = self.result.set(result);
            callback.take()
        };
        if let Some(callback) = callback {
            callback();
        }
    }

    /// Calls once the result is there: on the network thread, or here and now if it is.
    pub(crate) fn call(&self, callback: Callback) {
        let mut waiting = self.callback.lock();
        if self.result.get().is_none() {
            *waiting = Some(callback);
            return;
        }
        drop(waiting);
        callback();
    }

    /// Nobody wants the result any more.
    pub(crate) fn cancel(self: Arc<Self>) {
        if self.result.get().is_none() {
            network::spawn(move || self.complete(Err(errors::OPERATION_CANCELLED)));
        }
    }
}
