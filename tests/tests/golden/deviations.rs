//! The cases the gateway does not follow, each with the reason.

/// How a case is not followed.
pub(crate) enum Deviation {
    /// The gateway does something else on purpose.
    ByDesign(&'static str),
    /// As [`Deviation::ByDesign`], and it passes when commands go to the level with this endpoint name, not to `dm`.
    Addressed(&'static str),
    /// The case needs something there is not outside EMQX.
    NotApplicable(&'static str),
}

/// The deviation of a case, if it has one.
pub(crate) fn of(case: &str) -> Option<&'static Deviation> {
    TABLE.iter().find(|(name, _)| *name == case).map(|(_, deviation)| deviation)
}

/// All names, to find those that no case has any more.
pub(crate) fn names() -> impl Iterator<Item = &'static str> {
    TABLE.iter().map(|(name, _)| *name)
}

impl Deviation {
    /// Why.
    pub(crate) fn reason(&self) -> &'static str {
        match self {
            Self::ByDesign(reason) | Self::NotApplicable(reason) => reason,
            Self::Addressed(_) => "where devices share a command topic, the level after it names one of them",
        }
    }
}

use Deviation::{Addressed, ByDesign, NotApplicable};

const TABLE: &[(&str, Deviation)] = &[
    (
        "reg-bad-version",
        ByDesign("4.12, so that clients fall back to a version there is (OMA core 1.2.1, 6.2.1)"),
    ),
    ("reg-no-lt", ByDesign("the lifetime defaults to 86400 s (OMA core 1.2.1, 6.2.1.1)")),
    ("rereg", ByDesign("2.01 with a Location-Path, as every Register is answered")),
    ("mid-reuse", ByDesign("a message ID is remembered for EXCHANGE_LIFETIME with the request it named")),
    ("post-dp", ByDesign("Send is supported")),
    ("peer-two", ByDesign("a command reaches the device its topic names, not all of them")),
    ("topic-empty-mountpoint", Addressed("dev1")),
    ("topic-example-file", Addressed("dev1")),
    ("reg-auth-denied", NotApplicable("needs an authenticator of EMQX")),
    ("reg-authz-denied", NotApplicable("needs an access control list of EMQX")),
    ("reg-open-fail", NotApplicable("needs a session lock of EMQX")),
];
