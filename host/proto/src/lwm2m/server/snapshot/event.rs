//! An event as bytes, for whoever keeps one over a restart: a version, then the event in the format of that version (postcard).
//!
//! The types here, and those of the [snapshot](super) that it holds for the registration, are version 1.

use std::borrow::Cow;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::format::{Kept, VERSION};
use super::{End, Failure, Unrestored};
use crate::coap::endpoint::Delivery;
use crate::lwm2m::operation::OperationName;
use crate::lwm2m::path::Path;
use crate::lwm2m::registration::Registration;
use crate::lwm2m::server::{Asked, Content, Event, Receipt, Stage};
use crate::lwm2m::shared::Shared;
use crate::time::Instant;

#[derive(Debug, Serialize, Deserialize)]
enum KeptEvent<'s> {
    Registered {
        registration: Vec<u8>,
        previous: Option<Vec<u8>>,
    },
    Updated {
        registration: Vec<u8>,
        links_changed: bool,
    },
    Ended {
        registration: Vec<u8>,
        reason: End,
    },
    Answered {
        registration: Vec<u8>,
        asked: KeptAsked<'s>,
        code: u8,
        delivery: Delivery,
        sequence: Option<u32>,
        content: Cow<'s, Content>,
        location: Option<Cow<'s, str>>,
    },
    Notified {
        registration: Vec<u8>,
        asked: KeptAsked<'s>,
        code: u8,
        delivery: Delivery,
        sequence: Option<u32>,
        content: Cow<'s, Content>,
    },
    Sent {
        registration: Vec<u8>,
        content: Cow<'s, Content>,
    },
    Progressed {
        registration: Vec<u8>,
        asked: KeptAsked<'s>,
        stage: Stage,
    },
    Failed {
        endpoint: Cow<'s, str>,
        registration: Option<Vec<u8>>,
        asked: KeptAsked<'s>,
        failure: Cow<'s, Failure>,
    },
}

#[derive(Debug, Serialize, Deserialize)]
struct KeptAsked<'s> {
    operation: OperationName,
    path: Path,
    context: Cow<'s, str>,
}

impl Event {
    /// The event as bytes; none for one that is for the log only. They hold what a [`Change`](super::Change) holds of the client.
    pub fn write(&self) -> Option<Vec<u8>> {
        let kept = KeptEvent::of(self)?;
        let written = postcard::to_extend(&kept, vec![VERSION]);
        Some(written.expect("a vector takes everything, and all lengths are known"))
    }

    /// Reads what [`write`](Self::write) has written. Whatever waited for it to be settled waits no more: its receipt names nothing.
    ///
    /// # Errors
    /// When it is none, or of a later version.
    pub fn read(bytes: &[u8]) -> Result<Self, Unrestored> {
        let malformed = |reason: &dyn ToString| Unrestored::Malformed(reason.to_string());
        match bytes.split_first() {
            Some((&VERSION, bytes)) => match postcard::take_from_bytes::<KeptEvent<'_>>(bytes) {
                Ok((kept, [])) => kept.restored(),
                Ok(_) => Err(malformed(&"there is something behind it")),
                Err(error) => Err(malformed(&error)),
            },
            Some((0, _)) | None => Err(malformed(&"it has no version")),
            Some((later, _)) => Err(Unrestored::Version(*later)),
        }
    }
}

impl<'s> KeptEvent<'s> {
    fn of(event: &'s Event) -> Option<Self> {
        Some(match event {
            Event::Registered { registration, previous, .. } => {
                let previous = previous.as_deref().map(written);
                Self::Registered { registration: written(registration), previous }
            }
            Event::Updated { registration, links_changed, .. } => {
                Self::Updated { registration: written(registration), links_changed: *links_changed }
            }
            Event::Ended { registration, reason, .. } => {
                Self::Ended { registration: written(registration), reason: *reason }
            }
            Event::Answered { registration, asked, code, delivery, sequence, content, location } => {
                Self::Answered {
                    registration: written(registration),
                    asked: KeptAsked::of(asked),
                    code: *code,
                    delivery: *delivery,
                    sequence: *sequence,
                    content: Cow::Borrowed(content),
                    location: location.as_deref().map(Cow::Borrowed),
                }
            }
            Event::Notified { registration, asked, code, delivery, sequence, content, .. } => {
                Self::Notified {
                    registration: written(registration),
                    asked: KeptAsked::of(asked),
                    code: *code,
                    delivery: *delivery,
                    sequence: *sequence,
                    content: Cow::Borrowed(content),
                }
            }
            Event::Sent { registration, content, .. } => {
                Self::Sent { registration: written(registration), content: Cow::Borrowed(content) }
            }
            Event::Progressed { registration, asked, stage } => Self::Progressed {
                registration: written(registration),
                asked: KeptAsked::of(asked),
                stage: *stage,
            },
            Event::Failed { endpoint, registration, asked, failure } => Self::Failed {
                endpoint: Cow::Borrowed(endpoint),
                registration: registration.as_deref().map(written),
                asked: KeptAsked::of(asked),
                failure: Cow::Borrowed(failure),
            },
            Event::Refused { .. } => return None,
        })
    }

    fn restored(self) -> Result<Event, Unrestored> {
        let receipt = Receipt(0);
        Ok(match self {
            Self::Registered { registration, previous } => {
                let previous = previous.map(|previous| read(&previous)).transpose()?;
                Event::Registered { registration: read(&registration)?, previous, receipt }
            }
            Self::Updated { registration, links_changed } => {
                Event::Updated { registration: read(&registration)?, links_changed, receipt }
            }
            Self::Ended { registration, reason } => {
                Event::Ended { registration: read(&registration)?, reason, receipt: None }
            }
            Self::Answered { registration, asked, code, delivery, sequence, content, location } => {
                Event::Answered {
                    registration: read(&registration)?,
                    asked: asked.restored(),
                    code,
                    delivery,
                    sequence,
                    content: content.into_owned(),
                    location: location.map(Cow::into_owned),
                }
            }
            Self::Notified { registration, asked, code, delivery, sequence, content } => Event::Notified {
                registration: read(&registration)?,
                asked: asked.restored(),
                code,
                delivery,
                sequence,
                content: content.into_owned(),
                receipt: None,
            },
            Self::Sent { registration, content } => {
                Event::Sent { registration: read(&registration)?, content: content.into_owned(), receipt }
            }
            Self::Progressed { registration, asked, stage } => {
                Event::Progressed { registration: read(&registration)?, asked: asked.restored(), stage }
            }
            Self::Failed { endpoint, registration, asked, failure } => Event::Failed {
                endpoint: endpoint.into(),
                registration: registration.map(|registration| read(&registration)).transpose()?,
                asked: asked.restored(),
                failure: failure.into_owned(),
            },
        })
    }
}

impl<'s> KeptAsked<'s> {
    fn of(asked: &'s Asked) -> Self {
        let Asked { operation, path, context } = asked;
        Self { operation: *operation, path: *path, context: Cow::Borrowed(context) }
    }

    fn restored(self) -> Asked {
        Asked { operation: self.operation, path: self.path, context: self.context.into() }
    }
}

fn written(registration: &Registration) -> Vec<u8> {
    Kept::new(0, registration, std::time::Duration::ZERO).write()
}

fn read(bytes: &[u8]) -> Result<Arc<Registration>, Unrestored> {
    Ok(Kept::read(bytes)?.restored(Instant::default(), 0, &mut Shared::default())?.registration)
}

#[cfg(test)]
mod tests;
