//! The cases of a translator: what goes in, what must come out. Read by the SDK's native runner and by the gateway's.
#![deny(missing_docs)]
