//! Rounds of one question that many ask at once: whoever asks while a round is under way is answered by the next,
//! which began after they asked.

use std::future::Future;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::oneshot;

use crate::{Error, Result, limits};

type Asking<T> = Vec<oneshot::Sender<Result<T>>>;

/// Who waits for the next round; `None` while no round is under way.
pub(super) struct Rounds<T>(Mutex<Option<Asking<T>>>);

impl<T> Default for Rounds<T> {
    fn default() -> Self {
        Self(Mutex::new(None))
    }
}

impl<T: Clone + Send + 'static> Rounds<T> {
    /// The answer of a round that begins after this call. `round` is run if none is under way.
    pub(super) async fn join<F, R>(self: &Arc<Self>, round: F) -> Result<T>
    where
        F: Fn() -> R + Send + 'static,
        R: Future<Output = Result<T>> + Send,
    {
        let (answer, answered) = oneshot::channel();
        let is_first = {
            let mut asking = self.0.lock();
            match &mut *asking {
                Some(waiting) if waiting.len() >= limits::READS_WAITING => {
                    return Err(Error::Overloaded("reads that wait for the leader".into()));
                }
                Some(waiting) => {
                    waiting.push(answer);
                    false
                }
                None => {
                    *asking = Some(vec![answer]);
                    true
                }
            }
        };
        if is_first {
            let mut running = Running { rounds: self.clone(), is_over: false };
            tokio::spawn(async move {
                while let Some(waiting) = running.next() {
                    let outcome = round().await;
                    // Who has gone needs no answer.
                    waiting.into_iter().for_each(|asking| drop(asking.send(outcome.clone())));
                }
            });
        }
        answered.await.unwrap_or(Err(Error::Closed))
    }
}

/// Rounds under way. If they end before their time, whoever waits is told so, and the next to ask begins anew.
struct Running<T> {
    rounds: Arc<Rounds<T>>,
    is_over: bool,
}

impl<T> Running<T> {
    fn next(&mut self) -> Option<Asking<T>> {
        let mut asking = self.rounds.0.lock();
        match &mut *asking {
            Some(waiting) if !waiting.is_empty() => Some(std::mem::take(waiting)),
            _ => {
                *asking = None;
                self.is_over = true;
                None
            }
        }
    }
}

impl<T> Drop for Running<T> {
    fn drop(&mut self) {
        if !self.is_over {
            *self.rounds.0.lock() = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn a_round_that_ends_before_its_time_does_not_end_the_next() {
        let rounds = Arc::<Rounds<u64>>::default();
        let failed = rounds.join(|| async { panic!("as a test does") }).await;
        assert!(matches!(failed, Err(Error::Closed)), "{failed:?}");
        let next = tokio::time::timeout(Duration::from_secs(60), rounds.join(|| async { Ok(7) })).await;
        assert!(matches!(next, Ok(Ok(7))), "{next:?}");
    }
}
