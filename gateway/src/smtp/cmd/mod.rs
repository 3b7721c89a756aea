//! What each command does to a session, one file each, in the order of a dialogue.

mod auth;
mod bdat;
mod data;
mod dispatch;
mod hello;
mod mail;
mod rcpt;
mod starttls;
