//! Earlier major versions of objects, where their resources are others: what a client has that gives no version.
//!
//! Facts of the registry's history, which is not among the files of `scripts/object-definitions`.

use super::{Head, Operations, Row, Version};
use crate::lwm2m::value::Kind::{Executable, Float, Integer, Opaque, Text, Time};

/// Objects with their resources; `true` before a resource: it is mandatory.
#[rustfmt::skip]
pub(super) const OBJECTS: &[(Head, &[(bool, Row)])] = &[
    (Head(20, Version(1, 0), "Event Log", false, false), &[
        (false, Row(4010, "LogClass", Operations::RW, false, Some(Integer), "")),
        (false, Row(4011, "LogStart", Operations::E, false, Some(Executable), "")),
        (false, Row(4012, "LogStop", Operations::E, false, Some(Executable), "")),
        (false, Row(4013, "LogStatus", Operations::R, false, Some(Integer), "")),
        (true, Row(4014, "LogData", Operations::R, false, Some(Opaque), "")),
        (false, Row(4015, "LogDataFormat", Operations::RW, false, Some(Integer), "")),
    ]),
    (Head(21, Version(1, 1), "LWM2M OSCORE", true, false), &[
        (true, Row(0, "OSCORE Master Secret", Operations::None, false, Some(Text), "")),
        (true, Row(1, "OSCORE Sender ID", Operations::None, false, Some(Text), "")),
        (true, Row(2, "OSCORE Recipient ID", Operations::None, false, Some(Text), "")),
        (false, Row(3, "OSCORE AEAD Algorithm", Operations::None, false, Some(Integer), "")),
        (false, Row(4, "OSCORE HMAC Algorithm", Operations::None, false, Some(Integer), "")),
        (false, Row(5, "OSCORE Master Salt", Operations::None, false, Some(Text), "")),
        (false, Row(6, "OSCORE ID Context", Operations::None, false, Some(Text), "")),
    ]),
    (Head(3336, Version(1, 0), "Location", true, false), &[
        (true, Row(5514, "Latitude", Operations::R, false, Some(Text), "")),
        (true, Row(5515, "Longitude", Operations::R, false, Some(Text), "")),
        (false, Row(5516, "Uncertainty", Operations::R, false, Some(Text), "")),
        (false, Row(5517, "Velocity", Operations::R, false, Some(Opaque), "")),
        (false, Row(5518, "Timestamp", Operations::R, false, Some(Time), "")),
        (false, Row(5705, "Compass Direction", Operations::R, false, Some(Float), "degree")),
        (false, Row(5750, "Application Type", Operations::RW, false, Some(Text), "")),
    ]),
];
