//! What a message is made of: structure, summary, trace headers, submission fix-ups, reports.
