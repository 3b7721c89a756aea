//! The real binary under real clients.

mod attacks;
mod bad_input;
mod bucket;
mod clients_curl;
mod clients_fetchmail;
mod clients_mbsync;
mod clients_python;
mod clients_smtp_source;
mod clients_swaks;
mod demo;
mod dialogues;
mod disk_faults;
mod disk_full;
mod disks;
mod first_minutes;
mod first_start;
mod house;
mod idle_memory;
mod kill;
mod mail;
mod outbound;
mod power_loss;
mod restart;
