//! Pack a tree to tar or tar.gz, and unpack a hostile archive safely
