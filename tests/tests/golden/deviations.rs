//! The cases the gateway does not follow to the letter, each with the reason.

use Adaptation::{Acknowledged, Addressed, Created, Wording};
use Deviation::{Adapted, ByDesign, NotApplicable};

/// How a case is not followed.
pub(crate) enum Deviation {
    /// The gateway does something else on purpose.
    ByDesign(&'static str),
    /// The gateway does something else on purpose in one respect; the rest of the case must pass.
    Adapted(Adaptation, &'static str),
    /// The case needs something there is not outside EMQX.
    NotApplicable(&'static str),
}

/// In what respect a case is replayed differently.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Adaptation {
    /// Commands go to the level with this endpoint name, not to `dm`.
    Addressed(&'static str),
    /// A repeated Register is answered 2.01 with a Location-Path, not 2.04.
    Created,
    /// The diagnostic payload of an error is worded differently.
    Wording,
    /// Empty acknowledgements may come beside what is expected.
    Acknowledged,
}

impl Deviation {
    /// Why.
    pub(crate) fn reason(&self) -> &'static str {
        match self {
            ByDesign(reason) | Adapted(_, reason) | NotApplicable(reason) => reason,
        }
    }
}

/// The deviation of a case, if it has one.
pub(crate) fn of(case: &str) -> Option<&'static Deviation> {
    TABLE.iter().find(|(name, _)| *name == case).map(|(_, deviation)| deviation)
}

/// All names, to find those that no case has any more.
pub(crate) fn names() -> impl Iterator<Item = &'static str> {
    TABLE.iter().map(|(name, _)| *name)
}

const TABLE: &[(&str, Deviation)] = &[
    // registration
    (
        "reg-bad-version",
        ByDesign("4.12, so that clients fall back to a version there is (OMA core 1.2.1, 6.2.1)"),
    ),
    ("reg-no-version", ByDesign("4.12, as for a version there is not")),
    ("reg-no-lt", ByDesign("the lifetime defaults to 86400 s (OMA core 1.2.1, 6.2.1.1)")),
    ("reg-no-ep", Adapted(Wording, "the diagnostic payload names what is missing")),
    ("rereg", Adapted(Created, REGISTER)),
    ("rereg-cond", Adapted(Created, REGISTER)),
    ("qmode-reg", Adapted(Created, REGISTER)),
    ("mid-reuse", ByDesign("a message ID is remembered for EXCHANGE_LIFETIME with the request it named")),
    ("post-dp", ByDesign("Send is supported")),
    (
        "peer-nat",
        ByDesign("the location names the registration: a client that comes from another address keeps it"),
    ),
    // topics
    ("peer-two", ByDesign("a command reaches the device its topic names, not all of them")),
    ("topic-empty-mountpoint", Adapted(Addressed("dev1"), SHARED)),
    ("topic-example-file", Adapted(Addressed("dev1"), SHARED)),
    // messages
    ("read-ack-sep", Adapted(Acknowledged, SEPARATE)),
    ("obs-sep", Adapted(Acknowledged, SEPARATE)),
    ("read-twice", ByDesign("an acknowledgement nobody waits for is ignored, never reset (RFC 7252, 4.2)")),
    // commands
    ("read-root", ByDesign(ROOT)),
    ("create-nobase", ByDesign(ROOT)),
    ("create-path", ByDesign(ROOT)),
    // what only EMQX has
    ("reg-auth-denied", NotApplicable("needs an authenticator of EMQX")),
    ("reg-authz-denied", NotApplicable("needs an access control list of EMQX")),
    ("reg-open-fail", NotApplicable("needs a session lock of EMQX")),
];

const REGISTER: &str = "2.01 with a Location-Path, as every Register is answered";
const SHARED: &str = "where devices share a command topic, the level after it names one of them";
const SEPARATE: &str = "a confirmable separate response is acknowledged (RFC 7252, 4.2)";
const ROOT: &str = "the root has no Uri-Path, where EMQX sends an empty one (RFC 7252, 6.4)";
