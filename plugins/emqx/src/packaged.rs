//! The definitions that EMQX ships: which resources it knows, and of which type it takes them to be. In `strict` they
//! count instead of the gateway's, which know more, and know some of them otherwise.

use tidegate_sdk::Kind;

/// Whether EMQX ships a definition of an object.
pub(crate) fn has(object: u16) -> bool {
    OBJECTS.iter().any(|(id, _)| *id == object)
}

/// The type of a resource; none if EMQX ships no definition of it.
pub(crate) fn kind(object: u16, resource: u16) -> Option<Kind> {
    let (_, resources) = OBJECTS.iter().find(|(id, _)| *id == object)?;
    resources.iter().find(|(id, _)| *id == resource).map(|(_, kind)| *kind)
}

type Resource = (u16, Kind);

const OBJECTS: [(u16, &[Resource]); 7] = [
    (0, &SECURITY),
    (1, &SERVER),
    (2, &ACCESS_CONTROL),
    (3, &DEVICE),
    (5, &FIRMWARE_UPDATE),
    (6, &LOCATION),
    (7, &CONNECTIVITY_STATISTICS),
];

const SECURITY: [Resource; 13] = [
    (0, Kind::Text),
    (1, Kind::Boolean),
    (2, Kind::Integer),
    (3, Kind::Opaque),
    (4, Kind::Opaque),
    (5, Kind::Opaque),
    (6, Kind::Integer),
    (7, Kind::Opaque),
    (8, Kind::Opaque),
    (9, Kind::Text),
    (10, Kind::Integer),
    (11, Kind::Integer),
    (12, Kind::Integer),
];

const SERVER: [Resource; 9] = [
    (0, Kind::Integer),
    (1, Kind::Integer),
    (2, Kind::Integer),
    (3, Kind::Integer),
    (4, Kind::Executable),
    (5, Kind::Integer),
    (6, Kind::Boolean),
    (7, Kind::Text),
    (8, Kind::Executable),
];

const ACCESS_CONTROL: [Resource; 4] =
    [(0, Kind::Integer), (1, Kind::Integer), (2, Kind::Integer), (3, Kind::Integer)];

const DEVICE: [Resource; 23] = [
    (0, Kind::Text),
    (1, Kind::Text),
    (2, Kind::Text),
    (3, Kind::Text),
    (4, Kind::Executable),
    (5, Kind::Executable),
    (6, Kind::Integer),
    (7, Kind::Integer),
    (8, Kind::Integer),
    (9, Kind::Integer),
    (10, Kind::Integer),
    (11, Kind::Integer),
    (12, Kind::Executable),
    (13, Kind::Time),
    (14, Kind::Text),
    (15, Kind::Text),
    (16, Kind::Text),
    (17, Kind::Text),
    (18, Kind::Text),
    (19, Kind::Text),
    (20, Kind::Integer),
    (21, Kind::Integer),
    (22, Kind::ObjectLink),
];

const FIRMWARE_UPDATE: [Resource; 9] = [
    (0, Kind::Opaque),
    (1, Kind::Text),
    (2, Kind::Executable),
    (3, Kind::Integer),
    (5, Kind::Integer),
    (6, Kind::Text),
    (7, Kind::Text),
    (8, Kind::Integer),
    (9, Kind::Integer),
];

const LOCATION: [Resource; 7] = [
    (0, Kind::Float),
    (1, Kind::Float),
    (2, Kind::Float),
    (3, Kind::Float),
    (4, Kind::Opaque),
    (5, Kind::Time),
    (6, Kind::Float),
];

const CONNECTIVITY_STATISTICS: [Resource; 9] = [
    (0, Kind::Integer),
    (1, Kind::Integer),
    (2, Kind::Integer),
    (3, Kind::Integer),
    (4, Kind::Integer),
    (5, Kind::Integer),
    (6, Kind::Executable),
    (7, Kind::Executable),
    (8, Kind::Integer),
];
