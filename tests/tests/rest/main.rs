//! The REST API of a running gateway with simulated clients: its own, and those in the shapes of EMQX and of Leshan's demo server.

mod access;
mod emqx;
mod leshan;
mod own;
mod stage;
