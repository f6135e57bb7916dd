//! A device built on Eclipse Leshan and the server of `tidegate-proto`, without the gateway around it: each operation in
//! each content format that Leshan has, with a value of each type. Not part of `make test`: `make interop` builds the
//! device with Maven and runs this.

mod blocks;
mod composite;
mod matrix;
mod single;
mod stage;
mod value;
