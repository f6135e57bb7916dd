//! LwM2M paths (core 1.2.1 section 7.3).

use std::fmt;
use std::str::FromStr;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// `/object/object-instance/resource/resource-instance`, or a prefix of it; no level at all is the root.
///
/// Invariant: a level is present only when the one before it is. Paths sort in the order of their ids, a path
/// before those below it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Path {
    /// Ids beyond `depth` are zero, so that the derived comparisons hold.
    ids: [u16; 4],
    depth: u8,
}

impl Path {
    /// `/`.
    pub const fn root() -> Self {
        Self { ids: [0; 4], depth: 0 }
    }

    /// The path of these ids, outermost first: `Path::new([3, 0, 9])` is `/3/0/9`. More than four do not compile.
    pub const fn new<const N: usize>(ids: [u16; N]) -> Self {
        const { assert!(N <= 4, "a path has four levels at most") };
        let mut path = Self { ids: [0; 4], depth: N as u8 };
        let mut level = 0;
        while level < N {
            path.ids[level] = ids[level];
            level += 1;
        }
        path
    }

    /// As [`new`](Self::new), for ids whose number is not known before; none if there are more than four.
    pub fn from_ids(ids: &[u16]) -> Option<Self> {
        let mut path = Self::root();
        for &id in ids {
            path = path.child(id)?;
        }
        Some(path)
    }

    /// The ids, outermost first.
    pub fn ids(&self) -> &[u16] {
        &self.ids[..self.depth()]
    }

    /// How many levels: 0 is the root, 4 a resource instance.
    pub const fn depth(&self) -> usize {
        self.depth as usize
    }

    /// The object id, unless this is the root.
    pub fn object(&self) -> Option<u16> {
        self.ids().first().copied()
    }

    /// The object instance id, if the path has one.
    pub fn instance(&self) -> Option<u16> {
        self.ids().get(1).copied()
    }

    /// The resource id, if the path has one.
    pub fn resource(&self) -> Option<u16> {
        self.ids().get(2).copied()
    }

    /// The resource instance id, if the path has one.
    pub fn resource_instance(&self) -> Option<u16> {
        self.ids().get(3).copied()
    }

    /// One level up; none for the root.
    pub fn parent(&self) -> Option<Self> {
        Some(self.truncated(self.depth().checked_sub(1)?))
    }

    /// One level down; none below a resource instance.
    pub fn child(mut self, id: u16) -> Option<Self> {
        *self.ids.get_mut(usize::from(self.depth))? = id;
        self.depth += 1;
        Some(self)
    }

    /// The first `depth` levels; the path itself if it has no more.
    pub fn truncated(mut self, depth: usize) -> Self {
        for id in self.ids.iter_mut().skip(depth) {
            *id = 0;
        }
        self.depth = self.depth.min(u8::try_from(depth).unwrap_or(u8::MAX));
        self
    }

    /// Whether this is `prefix` or below it.
    pub fn starts_with(&self, prefix: &Self) -> bool {
        self.ids().starts_with(prefix.ids())
    }
}

/// The ids.
impl Serialize for Path {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.ids().serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Path {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let ids = Vec::<u16>::deserialize(deserializer)?;
        Self::from_ids(&ids).ok_or_else(|| D::Error::custom("a path has four levels at most"))
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.depth == 0 {
            return f.write_str("/");
        }
        self.ids().iter().try_for_each(|id| write!(f, "/{id}"))
    }
}

impl FromStr for Path {
    type Err = PathError;

    /// Reads `/3/0/9`. The leading slash may be missing and a trailing one may be there; `/` and nothing at all
    /// are the root.
    fn from_str(text: &str) -> Result<Self, PathError> {
        let inner = text.strip_prefix('/').unwrap_or(text);
        let inner = inner.strip_suffix('/').unwrap_or(inner);
        let mut path = Self::root();
        if inner.is_empty() && text.len() < 2 {
            return Ok(path);
        }
        for segment in inner.split('/') {
            let id = parse_id(segment).ok_or_else(|| PathError::id(text, segment))?;
            path = path.child(id).ok_or_else(|| PathError::TooLong { text: excerpt(text) })?;
        }
        Ok(path)
    }
}

/// Why a text is not a path.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PathError {
    /// A segment is not a number from 0 to 65535.
    #[error("path `{text}`: `{segment}` is not an id from 0 to 65535")]
    Id {
        /// The text, cut after 64 bytes.
        text: String,
        /// The segment, cut likewise.
        segment: String,
    },
    /// There are more than four segments.
    #[error("path `{text}` has more than four levels")]
    TooLong {
        /// The text, cut after 64 bytes.
        text: String,
    },
}

impl PathError {
    fn id(text: &str, segment: &str) -> Self {
        Self::Id { text: excerpt(text), segment: excerpt(segment) }
    }
}

/// An id of decimal digits, and nothing else.
pub(crate) fn parse_id(text: &str) -> Option<u16> {
    // `u16::from_str` alone would take a plus sign.
    if !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    text.parse().ok()
}

fn excerpt(text: &str) -> String {
    text[..text.floor_char_boundary(64)].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn reads_paths_of_every_depth() {
        for (text, ids) in [
            ("/", &[][..]),
            ("", &[]),
            ("/3", &[3]),
            ("3", &[3]),
            ("/3/", &[3]),
            ("/3/0", &[3, 0]),
            ("3/0/9", &[3, 0, 9]),
            ("/3/0/6/65535", &[3, 0, 6, 65535]),
            ("/0003", &[3]),
        ] {
            let path: Path = text.parse().unwrap_or_else(|error| panic!("{text}: {error}"));
            assert_eq!(path.ids(), ids, "{text}");
        }
    }

    #[test]
    fn refuses_what_is_not_a_path() {
        for text in
            ["//", "/3//0", "//3", "/3/0//", "/65536", "/-1", "/+1", "/a", "/3/0/9 ", "/3/0/1.0", "/٣"]
        {
            assert!(matches!(text.parse::<Path>(), Err(PathError::Id { .. })), "{text}");
        }
        assert!(matches!("/1/2/3/4/5".parse::<Path>(), Err(PathError::TooLong { .. })));
        let error = "/3/x".parse::<Path>().expect_err("x is no id");
        assert_eq!(error.to_string(), "path `/3/x`: `x` is not an id from 0 to 65535");
    }

    #[test]
    fn levels() {
        let path = Path::new([3, 0, 6, 1]);
        assert_eq!(
            (path.object(), path.instance(), path.resource(), path.resource_instance()),
            (Some(3), Some(0), Some(6), Some(1))
        );
        assert_eq!(path.parent(), Some(Path::new([3, 0, 6])));
        assert_eq!(path.child(1), None);
        assert_eq!(path.truncated(1), Path::new([3]));
        assert_eq!(path.truncated(9), path);
        assert_eq!(Path::root().parent(), None);
        assert_eq!(Path::root().object(), None);
        assert_eq!(Path::new([3]).child(0), Some(Path::new([3, 0])));
        assert_eq!(Path::from_ids(&[1, 2, 3, 4, 5]), None);
        assert_eq!(Path::root().to_string(), "/");
    }

    #[test]
    fn a_prefix_ends_at_a_level() {
        let path = Path::new([3, 0, 9]);
        assert!(path.starts_with(&path));
        assert!(path.starts_with(&Path::root()));
        assert!(path.starts_with(&Path::new([3])));
        assert!(!path.starts_with(&Path::new([33])));
        assert!(!Path::new([3]).starts_with(&path));
        assert!(!Path::new([3]).starts_with(&Path::new([3, 0])));
    }

    #[test]
    fn sorts_a_path_before_what_is_below_it() {
        let mut paths = [Path::new([3, 1]), Path::new([3, 0, 5]), Path::new([3, 0]), Path::new([3])];
        paths.sort();
        assert_eq!(paths, [Path::new([3]), Path::new([3, 0]), Path::new([3, 0, 5]), Path::new([3, 1])]);
    }

    proptest! {
        #[test]
        fn what_is_written_can_be_read(ids in proptest::collection::vec(any::<u16>(), 0..=4)) {
            let path = Path::from_ids(&ids).expect("four ids at most");
            prop_assert_eq!(path.to_string().parse(), Ok(path));
        }

        #[test]
        fn reading_never_panics(text in "[/0-9a]{0,12}|\\PC{0,80}") {
            let _ = text.parse::<Path>();
        }
    }
}
