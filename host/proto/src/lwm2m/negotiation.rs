//! Which content format a request uses, and which one it falls back to when the client does not take that
//! (core 1.2.1 section 7.4 and table 6.4.5-1).
//!
//! `server::downlink` calls it for each request it sends, and again when the answer is 4.06 or 4.15.
//!
//! What a client takes is said by `ct` at the link of its root, else by its version. What the caller has fixed, bytes
//! that are already encoded, is never changed.

use super::format;
use super::operation::{Body, Operation};
use super::registration::{Registration, Version};
use super::value::Kind;
use crate::coap::message::Code;

/// The formats to try a request in, best first. None among them: in the client's choice, or in the one that the request
/// has anyway.
pub(crate) fn choices(operation: &Operation, registration: &Registration) -> Vec<Option<u16>> {
    let listed = registration.content_formats.as_deref();
    match operation {
        Operation::Read { accept, path, .. } | Operation::Observe { accept, path, .. } => {
            let mut choices = vec![*accept];
            match (accept, listed) {
                // The choice has been left to the client, who says nothing of what else there is.
                (None, None) => {}
                (_, None) => choices.extend(by_version(registration.version).iter().copied().map(Some)),
                (_, Some(listed)) => {
                    let is_fit =
                        |format: &&u16| READABLE.contains(format) && fits(**format, path.depth() >= 3);
                    choices.extend(
                        READABLE
                            .iter()
                            .filter(|format| listed.contains(format))
                            .filter(is_fit)
                            .copied()
                            .map(Some),
                    );
                }
            }
            without_repetition(choices)
        }
        Operation::ReadComposite { accept, .. } | Operation::ObserveComposite { accept, .. } => {
            let all = accept.iter().chain(composite(registration.version, listed));
            without_repetition(all.copied().map(Some).collect())
        }
        Operation::WriteComposite { body: Body::Samples(_) } => {
            let etch = [format::SENML_ETCH_CBOR, format::SENML_ETCH_JSON];
            let etch = etch.iter().filter(|format| listed.is_some_and(|listed| listed.contains(format)));
            let all = composite(registration.version, listed).iter().chain(etch);
            all.copied().map(Some).collect()
        }
        Operation::Write { path, body: Body::Samples(samples), .. }
        | Operation::Create { path, body: Body::Samples(samples), .. } => {
            let single = path.depth() >= 3 && samples.len() == 1 && samples[0].path == *path;
            let is_bytes = samples.first().is_some_and(|sample| sample.kind == Some(Kind::Opaque));
            writes(registration.version, listed, single.then_some(is_bytes)).map(Some).collect()
        }
        _ => vec![None],
    }
}

/// Whether an answer says that another format may do better.
pub(crate) fn is_about_the_format(code: Code) -> bool {
    matches!(code, Code::NOT_ACCEPTABLE | Code::UNSUPPORTED_CONTENT_FORMAT)
}

/// Whether an operation may be sent in another format than at first.
pub(crate) const fn is_flexible(operation: &Operation) -> bool {
    match operation {
        Operation::Read { .. }
        | Operation::Observe { .. }
        | Operation::ReadComposite { .. }
        | Operation::ObserveComposite { .. } => true,
        Operation::Write { body, .. }
        | Operation::Create { body, .. }
        | Operation::WriteComposite { body } => {
            matches!(body, Body::Samples(_))
        }
        _ => false,
    }
}

/// For an object, an instance or, besides, one value.
fn by_version(version: Version) -> &'static [u16] {
    match version {
        Version::V1_0 => &[format::TLV, format::LWM2M_JSON],
        Version::V1_1 => &[format::SENML_JSON, format::SENML_CBOR, format::TLV],
        Version::V1_2 => &[format::SENML_CBOR, format::SENML_JSON, format::LWM2M_CBOR, format::TLV],
    }
}

/// TLV is what every 1.0 client takes and most others do; not one that lists what it takes without TLV. For one value:
/// whether it is bytes.
fn writes(version: Version, listed: Option<&[u16]>, single: Option<bool>) -> impl Iterator<Item = u16> {
    // `ct` of a 1.0 client names what it takes beside TLV (core 1.0.2 section 5.3.1).
    let listed = listed.filter(|_| version != Version::V1_0);
    let order: &[u16] = match version {
        Version::V1_0 => &[format::TLV, format::LWM2M_JSON],
        Version::V1_1 => &[format::TLV, format::SENML_JSON, format::SENML_CBOR],
        Version::V1_2 => &[format::TLV, format::SENML_CBOR, format::SENML_JSON, format::LWM2M_CBOR],
    };
    let order = if listed.is_some() { WRITABLE } else { order };
    let chosen: Vec<u16> =
        order.iter().copied().filter(|format| listed.is_none_or(|listed| listed.contains(format))).collect();
    // Something must be tried with a client that lists nothing we write.
    let last_resort = if chosen.is_empty() { Some(format::TLV) } else { None };
    let value = single.map(|is_bytes| if is_bytes { format::OPAQUE } else { format::TEXT });
    chosen.into_iter().chain(last_resort).chain(value)
}

/// For a list of paths, or of values at several.
fn composite(version: Version, listed: Option<&[u16]>) -> &'static [u16] {
    let prefers_json = match listed {
        Some(listed) => !listed.contains(&format::SENML_CBOR),
        None => version < Version::V1_2,
    };
    if prefers_json {
        &[format::SENML_JSON, format::SENML_CBOR]
    } else {
        &[format::SENML_CBOR, format::SENML_JSON]
    }
}

/// Whether a format can hold what is read: one value, or more.
const fn fits(format: u16, single: bool) -> bool {
    single || !matches!(format, format::TEXT | format::OPAQUE | format::CBOR)
}

fn without_repetition(choices: Vec<Option<u16>>) -> Vec<Option<u16>> {
    let mut kept = Vec::with_capacity(choices.len());
    for choice in choices {
        if !kept.contains(&choice) {
            kept.push(choice);
        }
    }
    kept
}

/// Best first.
const READABLE: &[u16] = &[
    format::SENML_CBOR,
    format::SENML_JSON,
    format::LWM2M_CBOR,
    format::TLV,
    format::LWM2M_JSON,
    format::TEXT,
    format::CBOR,
];
/// Best first.
const WRITABLE: &[u16] =
    &[format::TLV, format::SENML_CBOR, format::SENML_JSON, format::LWM2M_CBOR, format::LWM2M_JSON];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::coap::Peer;
    use crate::lwm2m::operation::WriteMode;
    use crate::lwm2m::path::Path;
    use crate::lwm2m::shared::Shared;
    use crate::lwm2m::value::{Sample, Value};

    fn client(version: &str, formats: &str) -> Registration {
        let peer = Peer::plain("127.0.0.1:5683".parse().unwrap());
        let version = format!("lwm2m={version}");
        let links = match formats {
            "" => "</3/0>".to_owned(),
            formats => format!("</>;rt=\"oma.lwm2m\";ct=\"{formats}\",</3/0>"),
        };
        let queries = [b"ep=a", version.as_bytes()].into_iter();
        Registration::from_register(
            queries,
            links.as_bytes(),
            peer,
            "/rd/x".into(),
            None,
            &mut Shared::default(),
        )
        .unwrap()
    }

    fn read(path: impl AsRef<[u16]>, accept: Option<u16>) -> Operation {
        let path = path.as_ref().iter().map(|id| format!("/{id}")).collect::<String>().parse().unwrap();
        Operation::Read { path, queries: vec![], accept }
    }

    fn write(kind: Kind, value: Value<'static>) -> Operation {
        let path = Path::new([3, 0, 14]);
        let body = Body::Samples(vec![Sample { path, value, kind: Some(kind), taken: None }]);
        Operation::Write { path, queries: vec![], mode: WriteMode::Replace, body }
    }

    #[test]
    fn a_client_that_chooses_is_asked_for_another_format_only_if_it_lists_some() {
        assert_eq!(choices(&read([3, 0], None), &client("1.1", "")), [None]);
        let listed = client("1.1", "60 110 112 11542 11543");
        let expected = [None, Some(112), Some(110), Some(11542), Some(11543)];
        assert_eq!(choices(&read([3, 0], None), &listed), expected);
        let one = choices(&read([3, 0, 1], None), &listed);
        assert_eq!(one.last(), Some(&Some(60)), "one value can be plain CBOR");
    }

    #[test]
    fn what_is_asked_for_comes_first_then_what_the_version_has() {
        let old = client("1.0", "");
        assert_eq!(choices(&read([3, 0], Some(112)), &old), [Some(112), Some(11542), Some(11543)]);
        let new = client("1.2", "");
        assert_eq!(choices(&read([3], Some(112)), &new), [112, 110, 11544, 11542].map(Some));
    }

    #[test]
    fn values_are_written_as_tlv_unless_the_client_lists_others() {
        let text = write(Kind::Text, Value::Text("+01:00".into()));
        assert_eq!(choices(&text, &client("1.0", "11543")), [11542, 11543, 0].map(Some));
        assert_eq!(choices(&text, &client("1.1", "")), [11542, 110, 112, 0].map(Some));
        assert_eq!(choices(&text, &client("1.1", "112 60")), [112, 0].map(Some));
        let bytes = write(Kind::Opaque, Value::Opaque(vec![1].into()));
        assert_eq!(choices(&bytes, &client("1.1", "50")), [11542, 42].map(Some));
    }

    #[test]
    fn bytes_in_a_format_of_the_callers_choice_stay_as_they_are() {
        let body = Body::Encoded { format: Some(0), payload: b"x".to_vec() };
        let operation =
            Operation::Write { path: Path::new([3, 0, 14]), queries: vec![], mode: WriteMode::Update, body };
        assert_eq!(choices(&operation, &client("1.1", "112")), [None]);
        assert!(!is_flexible(&operation));
    }

    #[test]
    fn composites_are_senml_of_the_kind_the_client_lists() {
        let composite = Operation::ReadComposite { paths: vec![Path::new([3])], accept: None };
        assert_eq!(choices(&composite, &client("1.1", "")), [110, 112].map(Some));
        assert_eq!(choices(&composite, &client("1.2", "")), [112, 110].map(Some));
        assert_eq!(choices(&composite, &client("1.1", "110 112")), [112, 110].map(Some));
        assert_eq!(choices(&composite, &client("1.2", "110")), [110, 112].map(Some));
    }
}
