//! How many allocations a notification makes in the server, from the datagram until nothing is left to be polled. None may be added
//! without this being changed.

use tidegate_proto::coap::message::Kind;
use tidegate_proto::lwm2m::server::{Event, Output, Settlement};

use crate::observing::observed;
use crate::sim::{CONTENT_FORMAT, Device, World};

/// The most of several notifications, after tables and buffers have grown.
fn most(kind: Kind) -> u64 {
    let mut world = World::new();
    let mut device = Device::registered("a", 5683, &[], &mut world);
    let asked = observed(&mut world, &device, "o");
    let mut take = |sequence| {
        let draft = device.notification(kind, asked.token().as_bytes(), sequence);
        let datagram = draft.option(CONTENT_FORMAT, &[110]).payload(b"[]").build();
        let info = allocation_counter::measure(|| {
            world.server.handle_datagram(world.now, device.peer, &datagram);
            let mut is_notified = false;
            loop {
                match world.server.poll_output() {
                    Output::Event(Event::Notified { receipt, .. }) => {
                        is_notified = true;
                        if let Some(receipt) = receipt {
                            world.server.settle(world.now, receipt, Settlement::Accepted);
                        }
                    }
                    Output::Event(event) => panic!("{event:?}"),
                    Output::Transmit(_) => {}
                    Output::Timeout(_) => break,
                }
            }
            assert!(is_notified);
        });
        info.count_total
    };
    for sequence in 2..100 {
        take(sequence);
    }
    // Tables still double, but never in half of the turns.
    let mut counts: Vec<_> = (100..120).map(take).collect();
    counts.sort_unstable();
    counts[counts.len() / 2]
}

#[test]
fn a_notification_makes_few_allocations() {
    assert_eq!((most(Kind::NonConfirmable), most(Kind::Confirmable)), (1, 2));
}
