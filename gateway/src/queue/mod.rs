//! The schedule and the worker of the queue.
