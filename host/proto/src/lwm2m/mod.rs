//! LwM2M: the server side of OMA LwM2M 1.0, 1.1 and 1.2.

pub mod format;
pub mod model;
mod negotiation;
pub mod operation;
pub mod path;
mod queue;
pub mod registration;
pub mod server;
mod shared;
pub mod value;
