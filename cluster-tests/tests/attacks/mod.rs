//! What is meant to bring a server down, each against the real binary, while somebody else is served all along. Which
//! bound each goes past stands in `docs/limits.md`.

mod connections;
mod descriptors;
mod guessing;
mod http;
mod readers;
mod requests;
mod scene;
mod writers;
