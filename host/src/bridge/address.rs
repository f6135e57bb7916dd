//! Finds the client of a translator's request.

use std::sync::Arc;

use tidegate_proto::lwm2m::server::{Asked, Event, Failure, Request};

use super::{Shared, bind_context, lift};
use crate::plugin::contract::types;

/// A request with the shard of its client, or the event that says why it cannot be performed.
///
/// `here` is the client whose event is being handled, with its shard: one that has just registered is in no directory
/// before its registration is accepted.
pub(crate) fn resolve(
    shared: &Shared,
    slot: &str,
    here: Option<(&str, u8)>,
    request: types::Request,
) -> Result<(u8, Request), Box<Event>> {
    let (name, path) = lift::outline(&request.operation);
    let asked = Asked { operation: name, path, context: bind_context(slot, &request.context) };
    let found = request.recipients.iter().find_map(|recipient| locate(shared, here, recipient));
    let may_be_only = request.attributes.iter().any(|(name, _)| name == ELSE_ONLY);
    let only = || if may_be_only { shared.directory.only() } else { None };
    let found = found.or_else(|| only().map(|(endpoint, shard)| (shard, endpoint)));
    let Some((shard, endpoint)) = found else {
        let endpoint = request.recipients.first().map_or("", |of| match of {
            types::Recipient::Endpoint(name) | types::Recipient::Parameter((_, name)) => name,
        });
        return Err(failed(endpoint.into(), asked, Failure::UnknownClient));
    };
    let operation = match lift::operation(request.operation) {
        Ok(operation) => operation,
        Err(reason) => return Err(failed(endpoint, asked, Failure::Invalid(reason))),
    };
    let deadline =
        request.expiry.map(|seconds| shared.clock.now() + std::time::Duration::from_secs(seconds.into()));
    Ok((shard, Request { endpoint, operation, context: asked.context, deadline, urgent: request.urgent }))
}

fn locate(shared: &Shared, here: Option<(&str, u8)>, recipient: &types::Recipient) -> Option<(u8, Arc<str>)> {
    if let (types::Recipient::Endpoint(name), Some((endpoint, shard))) = (recipient, here)
        && name == endpoint
    {
        return Some((shard, endpoint.into()));
    }
    let endpoint: Arc<str> = match recipient {
        types::Recipient::Endpoint(name) => name.as_str().into(),
        types::Recipient::Parameter((name, value)) => shared.directory.endpoint_by_parameter(name, value)?,
    };
    let shard = shared.directory.shard(&endpoint)?;
    Some((shard, endpoint))
}

fn failed(endpoint: Arc<str>, asked: Asked, failure: Failure) -> Box<Event> {
    Box::new(Event::Failed { endpoint, registration: None, asked, failure })
}

/// The attribute of a request which says that, where none of its recipients is registered, the only client that is there
/// is meant: a shared topic need not name it.
const ELSE_ONLY: &str = "else-only-client";
