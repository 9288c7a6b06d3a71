//! A log that one task writes and many read, from any offset, while it grows
