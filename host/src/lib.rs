//! Tidegate.

pub mod config;
