//! Sessions without I/O: each dialect frame by frame, then both against a model.

mod model;
mod mux;
mod v1;
