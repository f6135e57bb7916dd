use proptest::prelude::*;

use super::*;
use crate::coap::Peer;
use crate::lwm2m::registration::{self, Version};
use crate::lwm2m::server::Refusal;

fn registration() -> Arc<Registration> {
    let kept = registration::Kept {
        endpoint: "sensor".into(),
        location: "/rd/AQIDBAUGBwgJ".into(),
        version: Version::V1_1,
        lifetime: 300,
        alternate_path: "/".into(),
        parameters: vec![("b".into(), Some("U".into()))],
        links: b"</1/0>,</3/0>".as_slice().into(),
        content_formats: None,
        peer: Peer { address: "[fe80::1%3]:56830".parse().unwrap(), listener: 1, association: 7 },
    };
    Arc::new(Registration::restored(kept, &mut Shared::default()).unwrap())
}

fn events() -> Vec<Event> {
    let registration = registration();
    let asked = Asked {
        operation: OperationName::ObserveComposite,
        path: Path::from_ids(&[3, 0, 9]).unwrap(),
        context: "emqx\u{1f}é".into(),
    };
    let content = Content { format: Some(11542), payload: vec![0, 0xff, 0xc8] };
    let (code, delivery, sequence) = (0x45, Delivery::NonConfirmable, Some(0x00ff_ffff));
    let receipt = Receipt(0);
    let of = || (Arc::clone(&registration), asked.clone());
    let failures = [
        Failure::Timeout,
        Failure::UnknownClient,
        Failure::QueueFull,
        Failure::Invalid("no such path".into()),
    ];
    let failed = failures.into_iter().map(|failure| Event::Failed {
        endpoint: "gone".into(),
        registration: None,
        asked: asked.clone(),
        failure,
    });
    let ((first, asked_first), (second, asked_second), (third, asked_third)) = (of(), of(), of());
    let mut events = vec![
        Event::Registered { registration: of().0, previous: Some(of().0), receipt },
        Event::Updated { registration: of().0, links_changed: true, receipt },
        Event::Ended { registration: of().0, reason: End::Expired, receipt: None },
        Event::Answered {
            registration: first,
            asked: asked_first,
            code,
            delivery,
            sequence: None,
            content: content.clone(),
            location: Some("/3303/1".into()),
        },
        Event::Notified {
            registration: second,
            asked: asked_second,
            code,
            delivery,
            sequence,
            content: content.clone(),
            receipt: None,
        },
        Event::Sent { registration: of().0, content, receipt },
        Event::Progressed { registration: third, asked: asked_third, stage: Stage::Transferred(1, u64::MAX) },
    ];
    events.extend(failed);
    events
}

#[test]
fn every_event_is_read_as_it_was_written() {
    for event in events() {
        let bytes = event.write().unwrap();
        // There is no equality of events, but what is printed of them is all of them.
        let read = format!("{:?}", Event::read(&bytes).unwrap());
        assert_eq!(read, format!("{event:?}"));
        for length in 0..bytes.len() {
            assert!(Event::read(&bytes[..length]).is_err(), "{length} bytes of {event:?}");
        }
        let more: Vec<u8> = bytes.iter().copied().chain([0]).collect();
        assert!(Event::read(&more).is_err());
    }
}

#[test]
fn what_waited_to_be_settled_waits_no_more() {
    let receipt = Some(Receipt(9));
    let event = Event::Ended { registration: registration(), reason: End::Deregistered, receipt };
    let read = Event::read(&event.write().unwrap()).unwrap();
    assert!(matches!(read, Event::Ended { receipt: None, .. }));
}

#[test]
fn what_is_for_the_log_only_is_not_written_and_a_later_version_is_told() {
    let refused = Event::Refused {
        peer: registration().peer,
        endpoint: "e".into(),
        principal: None,
        reason: Refusal::Identity,
    };
    assert_eq!(refused.write(), None);
    assert_eq!(Event::read(&[2, 0]).unwrap_err(), Unrestored::Version(2));
}

/// What is in somebody's database was written by this version.
#[test]
fn version_1_is_read() {
    let written = events()[4].write().unwrap();
    let hex: String = written.iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(hex, VERSION_1);
}

proptest! {
    #[test]
    fn any_bytes_are_read_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = Event::read(&bytes);
        let _ = Event::read(&[&[VERSION], bytes.as_slice()].concat());
    }
}

const VERSION_1: &str = "01045001000673656e736f72102f72642f41514944424155474277674a0bac02012f0101620101550d3c2f312f303e2c3c2f332f303e0001fe800000000000000000000000000001febb0303010700000000000b0303000907656d71781fc3a9450201ffffff0701965a0300ffc8";
