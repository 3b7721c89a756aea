//! Who is connecting: SASL, passwords, throttle.
