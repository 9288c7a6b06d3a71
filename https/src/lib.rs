//! Start a server: plain and TLS on one port, certificate files or a per-machine development certificate, graceful stop
