//! The cases the gateway does not follow to the letter, each with the reason and with what happens instead. Whatever
//! is not named here is compared with the case; a part that follows the case after all is an error.

use Part::{Publish, ToDevice};
use Way::{Instead, NotApplicable, Recoded, Topics};

/// A case that is not followed.
#[derive(Debug)]
pub(crate) struct Deviation {
    pub(crate) case: &'static str,
    pub(crate) way: Way,
    pub(crate) reason: &'static str,
}

/// How a case is not followed.
#[derive(Debug)]
pub(crate) enum Way {
    /// The case needs something there is not outside EMQX.
    NotApplicable,
    /// In the topics of commands and publications the second stands for the first.
    Topics(&'static str, &'static str),
    /// TLV that is written like this after it was read.
    Recoded(&'static str),
    /// In some steps something else happens. Afterwards the device still serves, which is tried with a read.
    Instead(&'static [Change]),
}

/// What a step leads to instead of what the case says.
#[derive(Debug)]
pub(crate) struct Change {
    /// From 1.
    pub(crate) step: usize,
    pub(crate) part: Part,
}

/// All messages to the device, or all publications, of a step; `notation` explains the lines.
#[derive(Debug)]
pub(crate) enum Part {
    ToDevice(&'static [&'static str]),
    Publish(&'static [&'static str]),
}

impl Deviation {
    /// A topic of the case as it is here.
    pub(crate) fn topic(&self, topic: &str) -> String {
        match self.way {
            Topics(from, to) => topic.replace(from, to),
            _ => topic.to_owned(),
        }
    }

    /// What happens instead in a step, from 0.
    pub(crate) fn changes(&self, step: usize) -> impl Iterator<Item = &'static Part> {
        let changes: &'static [Change] = match self.way {
            Instead(changes) => changes,
            NotApplicable | Topics(..) | Recoded(_) => &[],
        };
        changes.iter().filter(move |change| change.step == step + 1).map(|change| &change.part)
    }
}

/// The deviation of a case, if it has one.
pub(crate) fn of(case: &str) -> Option<&'static Deviation> {
    all().find(|deviation| deviation.case == case)
}

/// All of them.
pub(crate) fn all() -> impl Iterator<Item = &'static Deviation> {
    TABLE.iter().chain(crate::defects::TABLE)
}

pub(crate) const fn to_device(step: usize, messages: &'static [&'static str]) -> Change {
    Change { step, part: ToDevice(messages) }
}

pub(crate) const fn publish(step: usize, publications: &'static [&'static str]) -> Change {
    Change { step, part: Publish(publications) }
}

pub(crate) const fn instead(
    case: &'static str,
    changes: &'static [Change],
    reason: &'static str,
) -> Deviation {
    Deviation { case, way: Instead(changes), reason }
}

const fn not_applicable(case: &'static str, reason: &'static str) -> Deviation {
    Deviation { case, way: NotApplicable, reason }
}

const TABLE: &[Deviation] = &[
    // registration
    instead(
        "reg-bad-version",
        &[to_device(1, &["ACK 4.12 diagnosed"])],
        "4.12, so that clients fall back to a version there is (OMA core 1.2.1, 6.2.1)",
    ),
    instead(
        "reg-no-version",
        &[to_device(1, &["ACK 4.12 diagnosed"])],
        "4.12, as for a version there is not",
    ),
    instead(
        "reg-no-lt",
        &[
            to_device(1, &["ACK 2.01 location"]),
            publish(
                1,
                &[
                    r#"<M>/up/resp {"msgType":"register","data":{"objectList":["/1","/2","/3/0","/4","/5"],"lwm2m":"1","lt":86400,"ep":"urn:oma:lwm2m:oma:3","alternatePath":"/"}}"#,
                ],
            ),
        ],
        "the lifetime defaults to 86400 s (OMA core 1.2.1, 6.2.1.1)",
    ),
    instead(
        "reg-no-ep",
        &[to_device(1, &["ACK 4.00 diagnosed"])],
        "the diagnostic payload names what is missing",
    ),
    instead("rereg", &[to_device(2, &["ACK 2.01 location"])], REGISTER),
    instead("rereg-cond", &[to_device(2, &["ACK 2.01 location"])], REGISTER),
    instead("qmode-reg", &[to_device(4, &["ACK 2.01 location", "CON 0.01 path=/3/0/0"])], REGISTER),
    instead(
        "mid-reuse",
        &[publish(
            3,
            &[
                r#"<M>/up/resp {"msgType":"register","data":{"objectList":["/1","/2","/3/0","/4","/5"],"lwm2m":"1","lt":999,"ep":"urn:oma:lwm2m:oma:3","alternatePath":"/"}}"#,
            ],
        )],
        "a message ID is remembered for EXCHANGE_LIFETIME with the request it named",
    ),
    instead(
        "post-dp",
        &[
            to_device(2, &["ACK 2.04"]),
            publish(2, &[r#"<M>/up/notify {"msgType":"send","data":{"content":[]}}"#]),
        ],
        "Send is supported",
    ),
    instead(
        "peer-nat",
        &[
            to_device(2, &["ACK 2.04"]),
            publish(
                2,
                &[
                    r#"up/update {"msgType":"update","data":{"objectList":["/3/0"],"lwm2m":"1.0","lt":300,"ep":"dev1","alternatePath":"/"}}"#,
                ],
            ),
        ],
        "the location names the registration: a client that comes from another address keeps it",
    ),
    // topics
    instead(
        "peer-two",
        &[
            to_device(1, &["ACK 2.01 location"]),
            publish(
                1,
                &[
                    r#"up/register {"msgType":"register","data":{"objectList":["/3/0"],"lwm2m":"1.0","lt":300,"ep":"dev1","alternatePath":"/"}}"#,
                ],
            ),
            to_device(2, &["ACK 2.01 location"]),
            publish(
                2,
                &[
                    r#"up/register {"msgType":"register","data":{"objectList":["/3/0"],"lwm2m":"1.0","lt":300,"ep":"dev2","alternatePath":"/"}}"#,
                ],
            ),
            to_device(3, &["CON 0.01 path=/3/0/0"]),
        ],
        "a command reaches the device its topic names, not all of them",
    ),
    Deviation { case: "topic-empty-mountpoint", way: Topics("/dm", "/dev1"), reason: SHARED },
    Deviation { case: "topic-example-file", way: Topics("/dm", "/dev1"), reason: SHARED },
    // messages
    instead("read-ack-sep", &[to_device(4, &["ACK 0.00"])], SEPARATE),
    instead("obs-sep", &[to_device(4, &["ACK 0.00"])], SEPARATE),
    instead(
        "read-twice",
        &[to_device(4, &[])],
        "an acknowledgement nobody waits for is ignored, never reset (RFC 7252, 4.2)",
    ),
    // commands
    instead("read-root", &[to_device(2, &["CON 0.01"])], ROOT),
    instead("create-nobase", &[to_device(2, &["CON 0.02 format=11542"])], ROOT),
    instead("create-path", &[to_device(2, &["CON 0.02 format=11542"])], ROOT),
    // blocks
    instead(
        "b1-out",
        &[to_device(
            2,
            &[
                "CON 0.03 path=/5/0/0 format=11542 block1=0/1/16 size1=43 payload=c80028000102030405060708090a0b0c",
            ],
        )],
        SIZE,
    ),
    instead(
        "b1-out-err",
        &[to_device(
            2,
            &[
                "CON 0.03 path=/5/0/0 format=11542 block1=0/1/16 size1=43 payload=c80028000102030405060708090a0b0c",
            ],
        )],
        SIZE,
    ),
    instead(
        "b1-in",
        &[to_device(2, &["ACK 2.01 location block1=1/0/16"])],
        "the answer to the last block has its Block1 option (RFC 7959, 2.3)",
    ),
    instead(
        "b1-in-big",
        &[to_device(1, &["ACK 2.31 block1=0/1/16"])],
        "a smaller block size is asked for (RFC 7959, 2.3) where EMQX refuses",
    ),
    // content
    Deviation {
        case: "tlv-oi-empty",
        way: Recoded(""),
        reason: "an object instance without resources has no values, and nothing is written of it",
    },
    // what only EMQX has
    not_applicable("reg-auth-denied", "needs an authenticator of EMQX"),
    not_applicable("reg-authz-denied", "needs an access control list of EMQX"),
    not_applicable("reg-open-fail", "needs a session lock of EMQX"),
];

const REGISTER: &str = "2.01 with a Location-Path, as every Register is answered";
const SHARED: &str = "where devices share a command topic, the level after it names one of them";
const SEPARATE: &str = "a confirmable separate response is acknowledged (RFC 7252, 4.2)";
const SIZE: &str = "Size1 tells the device how much will come (RFC 7959, 4)";
const ROOT: &str = "the root has no Uri-Path, where EMQX sends an empty one (RFC 7252, 6.4)";
