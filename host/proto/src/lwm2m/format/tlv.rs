//! to be written

use super::{Error, Scope};
use crate::lwm2m::value::Sample;

pub(super) fn decode<'a>(_: &Scope<'_>, _: &'a [u8], _: &mut Vec<Sample<'a>>) -> Result<(), Error> {
    Err(Error::Unsupported { format: 0 })
}

pub(super) fn encode(_: &Scope<'_>, _: &[Sample<'_>]) -> Result<Vec<u8>, Error> {
    Err(Error::Unsupported { format: 0 })
}
