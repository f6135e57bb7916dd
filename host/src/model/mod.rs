//! The operator's object definitions: a folder of OMA XML over those in the box.
//!
//! [`folder`] reads it, [`watch`] reads it again when it changes and tells the shards. `app` starts both; `tidegate check`
//! only reads.

pub mod folder;
#[cfg(test)]
mod sample;
pub mod watch;

pub use folder::{Folder, Reading};
pub use watch::{Readers, Watch, warn};
