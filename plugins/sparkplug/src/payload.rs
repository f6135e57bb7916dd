//! Sparkplug B's payload: the messages and fields of `sparkplug_b.proto` (Sparkplug 3.0, 6.4) that are needed here. What is not
//! named is skipped when it is read.

use prost::{Message, Oneof};

/// What a message has.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct Payload {
    /// When it was published, Unix time in milliseconds.
    #[prost(uint64, optional, tag = "1")]
    pub(crate) timestamp: Option<u64>,
    #[prost(message, repeated, tag = "2")]
    pub(crate) metrics: Vec<Metric>,
    /// 0 to 255, over all messages of an edge node.
    #[prost(uint64, optional, tag = "3")]
    pub(crate) seq: Option<u64>,
}

/// One value.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct Metric {
    #[prost(string, optional, tag = "1")]
    pub(crate) name: Option<String>,
    #[prost(uint64, optional, tag = "2")]
    pub(crate) alias: Option<u64>,
    /// When it was taken, Unix time in milliseconds.
    #[prost(uint64, optional, tag = "3")]
    pub(crate) timestamp: Option<u64>,
    /// See [`datatype`].
    #[prost(uint32, optional, tag = "4")]
    pub(crate) datatype: Option<u32>,
    #[prost(bool, optional, tag = "5")]
    pub(crate) is_historical: Option<bool>,
    #[prost(bool, optional, tag = "7")]
    pub(crate) is_null: Option<bool>,
    #[prost(oneof = "Value", tags = "10, 11, 12, 13, 14, 15, 16")]
    pub(crate) value: Option<Value>,
}

/// What a value is on the wire; its data type says what it means.
#[derive(Clone, PartialEq, Oneof)]
pub(crate) enum Value {
    #[prost(uint32, tag = "10")]
    Int(u32),
    #[prost(uint64, tag = "11")]
    Long(u64),
    #[prost(float, tag = "12")]
    Float(f32),
    #[prost(double, tag = "13")]
    Double(f64),
    #[prost(bool, tag = "14")]
    Boolean(bool),
    #[prost(string, tag = "15")]
    String(String),
    #[prost(bytes, tag = "16")]
    Bytes(Vec<u8>),
}

/// Numbers of data types (6.4.16).
pub(crate) mod datatype {
    pub(crate) const INT8: u32 = 1;
    pub(crate) const INT16: u32 = 2;
    pub(crate) const INT32: u32 = 3;
    pub(crate) const INT64: u32 = 4;
    pub(crate) const UINT64: u32 = 8;
    pub(crate) const DOUBLE: u32 = 10;
    pub(crate) const BOOLEAN: u32 = 11;
    pub(crate) const STRING: u32 = 12;
    pub(crate) const DATE_TIME: u32 = 13;
    pub(crate) const BYTES: u32 = 17;
}
