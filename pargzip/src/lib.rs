//! Parallel gzip writer
