//! Many callers, one call: concurrent requests for the same key share one execution
