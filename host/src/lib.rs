//! Tidegate: a programmable LwM2M gateway.
//!
//! ARCHITECTURE.md in the repository shows the way of a notification through these modules.

mod admin;
pub mod app;
pub mod bench;
pub mod bridge;
mod change;
pub mod cli;
pub mod config;
pub mod credential;
pub mod demo;
mod deployment;
mod devkit;
pub mod import;
pub mod log;
pub mod model;
pub mod mqtt;
pub mod net;
pub mod plugin;
pub mod store;
