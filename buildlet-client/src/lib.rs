//! Drive one build worker: put and get trees, execute commands, list, remove
