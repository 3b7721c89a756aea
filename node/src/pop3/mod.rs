//! POP3: codec, session, driver.
