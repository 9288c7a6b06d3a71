//! A build worker: a service that unpacks trees, runs commands, streams their output, and dials home from behind NAT
