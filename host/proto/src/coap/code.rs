//! Method and response codes.

use std::fmt;

/// A method or response code (RFC 7252 section 12.1), `c.dd`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Code(pub u8);

#[allow(missing_docs)] // the registry's own names
impl Code {
    pub const EMPTY: Self = Self::of(0, 0);
    pub const GET: Self = Self::of(0, 1);
    pub const POST: Self = Self::of(0, 2);
    pub const PUT: Self = Self::of(0, 3);
    pub const DELETE: Self = Self::of(0, 4);
    pub const FETCH: Self = Self::of(0, 5);
    pub const PATCH: Self = Self::of(0, 6);
    pub const IPATCH: Self = Self::of(0, 7);
    pub const CREATED: Self = Self::of(2, 1);
    pub const DELETED: Self = Self::of(2, 2);
    pub const VALID: Self = Self::of(2, 3);
    pub const CHANGED: Self = Self::of(2, 4);
    pub const CONTENT: Self = Self::of(2, 5);
    pub const CONTINUE: Self = Self::of(2, 31);
    pub const BAD_REQUEST: Self = Self::of(4, 0);
    pub const UNAUTHORIZED: Self = Self::of(4, 1);
    pub const BAD_OPTION: Self = Self::of(4, 2);
    pub const FORBIDDEN: Self = Self::of(4, 3);
    pub const NOT_FOUND: Self = Self::of(4, 4);
    pub const METHOD_NOT_ALLOWED: Self = Self::of(4, 5);
    pub const NOT_ACCEPTABLE: Self = Self::of(4, 6);
    pub const REQUEST_ENTITY_INCOMPLETE: Self = Self::of(4, 8);
    pub const CONFLICT: Self = Self::of(4, 9);
    pub const PRECONDITION_FAILED: Self = Self::of(4, 12);
    pub const REQUEST_ENTITY_TOO_LARGE: Self = Self::of(4, 13);
    pub const UNSUPPORTED_CONTENT_FORMAT: Self = Self::of(4, 15);
    pub const INTERNAL_SERVER_ERROR: Self = Self::of(5, 0);
    pub const NOT_IMPLEMENTED: Self = Self::of(5, 1);
    pub const SERVICE_UNAVAILABLE: Self = Self::of(5, 3);
}

impl Code {
    /// The code `class.detail`; class below 8, detail below 32.
    pub const fn of(class: u8, detail: u8) -> Self {
        assert!(class < 8 && detail < 32, "three bits of class, five of detail");
        Self(class << 5 | detail)
    }

    /// The part before the point.
    pub const fn class(self) -> u8 {
        self.0 >> 5
    }

    /// The part behind the point.
    pub const fn detail(self) -> u8 {
        self.0 & 0x1F
    }

    /// A method: class 0, but not 0.00.
    pub const fn is_request(self) -> bool {
        self.0 != 0 && self.class() == 0
    }

    /// A response of class 2 to 5.
    pub const fn is_response(self) -> bool {
        matches!(self.class(), 2..=5)
    }

    /// A response of class 2.
    pub const fn is_success(self) -> bool {
        self.class() == 2
    }
}

/// `2.05`.
impl fmt::Display for Code {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}.{:02}", self.class(), self.detail())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_read_as_class_and_detail() {
        assert_eq!(Code::CONTINUE.0, 0x5F);
        assert_eq!(Code(0x84), Code::NOT_FOUND);
        assert_eq!(Code::NOT_FOUND.to_string(), "4.04");
        assert!(Code::CONTENT.is_success() && Code::CONTENT.is_response() && !Code::CONTENT.is_request());
        assert!(Code::IPATCH.is_request() && !Code::EMPTY.is_request() && !Code(0x20).is_response());
    }
}
