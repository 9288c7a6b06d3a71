//! Turn an accepted connection around: a Dialer that reaches machines behind NAT, and their Listener
