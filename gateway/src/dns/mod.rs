//! The resolver, and the attempt list made from MX records.
