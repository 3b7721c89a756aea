//! Deliveries to other hosts.
