//! Whatever comes from the network: nobody loses a registration by a datagram of another.

use proptest::prelude::*;
use tidegate_proto::coap::Peer;
use tidegate_proto::coap::message::{Code, Kind};
use tidegate_proto::lwm2m::server::Event;

use crate::sim::{
    BLOCK1, CONTENT_FORMAT, Device, Draft, OBSERVE, World, endpoint_name, observe, piggybacked, read, summary,
};

/// A client with a request open and an observation.
fn victim(world: &mut World) -> Device {
    let device = Device::registered("victim", 5683, &["lt=600"], world);
    busy(world, &device);
    device
}

/// Gives a client a request to answer and something to observe. Returns the tokens and the message id of the request.
fn busy(world: &mut World, device: &Device) -> ([Vec<u8>; 2], u16) {
    world.perform(observe("victim", "o"));
    let asked = world.received(device.peer).expect("a request");
    world.send(device.peer, &piggybacked(&asked, Code::CONTENT).option(OBSERVE, &[1]).build());
    world.perform(read("victim", "1"));
    let open = world.received(device.peer).expect("a request");
    world.events();
    ([asked.token(), open.token()].map(|token| token.as_bytes().to_vec()), open.mid())
}

fn attacker() -> Peer {
    Device::new("", 666).peer
}

#[derive(Clone, Debug)]
struct Attack {
    kind: u8,
    code: u8,
    mid: u16,
    token: Vec<u8>,
    options: Vec<(u16, Vec<u8>)>,
    payload: Vec<u8>,
}

impl Attack {
    fn build(&self) -> Vec<u8> {
        let kind = [Kind::Confirmable, Kind::NonConfirmable, Kind::Acknowledgement, Kind::Reset];
        let draft =
            Draft::new(kind[usize::from(self.kind % 4)], Code(self.code), self.mid).token(&self.token);
        let draft = self.options.iter().fold(draft, |draft, (number, value)| draft.option(*number, value));
        draft.payload(&self.payload).build()
    }
}

fn attack() -> impl Strategy<Value = Attack> {
    let text = prop_oneof![
        Just("rd"),
        Just("dp"),
        Just("bs"),
        Just("AAAAAAAAAAAA"),
        Just("ep=other"),
        Just("ep=victim"),
        Just("lwm2m=1.1"),
        Just("lt=1"),
        Just("lt=0"),
        Just("b=UQ"),
        Just("Q"),
        Just(""),
        Just("3"),
    ];
    let value = prop_oneof![
        3 => text.prop_map(|text| text.as_bytes().to_vec()),
        1 => proptest::collection::vec(any::<u8>(), 0..9),
    ];
    let number = prop_oneof![
        4 => Just(11_u16), 4 => Just(15), 1 => Just(OBSERVE), 1 => Just(CONTENT_FORMAT), 1 => Just(BLOCK1),
        1 => Just(23), 1 => 0_u16..400,
    ];
    let code = prop_oneof![2 => Just(2_u8), 1 => Just(4), 1 => 0_u8..8, 1 => Just(0x45), 1 => any::<u8>()];
    let options = proptest::collection::vec((number, value), 0..6);
    let token = proptest::collection::vec(any::<u8>(), 0..9);
    let payload = "([<>;=,/0-3]|</3/0>|rt=oma.lwm2m){0,20}".prop_map(String::into_bytes);
    (any::<u8>(), code, any::<u16>(), token, options, payload).prop_map(
        |(kind, code, mid, token, options, payload)| Attack { kind, code, mid, token, options, payload },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn a_stranger_changes_nothing(attacks in proptest::collection::vec(attack(), 1..8)) {
        let mut world = World::new();
        let mut device = victim(&mut world);
        let before = world.server.registration("victim").cloned();
        world.take_sent();
        for attack in &attacks {
            world.send(attacker(), &attack.build());
        }
        prop_assert_eq!(world.server.registration("victim").cloned(), before);
        for event in world.events() {
            prop_assert_ne!(&*endpoint_name(&event), "victim");
        }
        for (peer, _) in world.take_sent() {
            prop_assert_eq!(peer, attacker());
        }
        let datagram = device.update_datagram(&[], "");
        prop_assert_eq!(world.exchange(device.peer, &datagram).code(), Code::CHANGED);
    }

    /// Whoever it is, and whatever it knows: all of them know the location, the tokens and the message id.
    #[test]
    fn a_client_with_dtls_is_its_own(attacks in proptest::collection::vec((attack(), 0..4_usize, 0..3_usize), 1..8)) {
        let mut world = World::new();
        let mut device = Device::secure("victim", 7, &["lt=600"], &mut world);
        let (tokens, mid) = busy(&mut world, &device);
        let other = Peer { association: 8, ..device.peer };
        world.associate(other, "other");
        let strangers = [other, Peer { association: 9, ..other }, Peer { association: 0, ..other }, attacker()];
        let before = world.server.registration("victim").cloned();
        for (attack, stranger, token) in &attacks {
            let mut attack = attack.clone();
            for (_, value) in attack.options.iter_mut().filter(|(_, value)| value.starts_with(b"AAAA")) {
                *value = device.location.clone().into_bytes();
            }
            if let Some(token) = tokens.get(*token) {
                (attack.token, attack.mid) = (token.clone(), mid);
            }
            world.send(strangers[*stranger], &attack.build());
        }
        prop_assert_eq!(world.server.registration("victim").cloned(), before);
        for event in world.events() {
            prop_assert!(matches!(event, Event::Refused { .. }) || &*endpoint_name(&event) != "victim", "{:?}", event);
        }
        for (peer, _) in world.take_sent() {
            prop_assert_ne!(peer, device.peer);
        }
        // Its request is still open, and its observation stands.
        let answer = Draft::new(Kind::Acknowledgement, Code::CONTENT, mid).token(&tokens[1]).build();
        world.send(device.peer, &answer);
        let notification = device.notification(Kind::NonConfirmable, &tokens[0], 2).build();
        world.send(device.peer, &notification);
        prop_assert_eq!(summary(&world.events()), ["answered 1 2.05", "notified o 2.05"]);
    }

    #[test]
    fn noise_at_a_clients_own_address_does_not_end_it(noise in proptest::collection::vec(any::<Vec<u8>>(), 1..8)) {
        let mut world = World::new();
        let mut device = victim(&mut world);
        for datagram in &noise {
            world.send(device.peer, datagram);
        }
        prop_assert!(world.server.registration("victim").is_some());
        world.take_sent();
        let datagram = device.update_datagram(&[], "");
        world.send(device.peer, &datagram);
        let sent = world.take_sent();
        prop_assert!(sent.iter().any(|(peer, bytes)| *peer == device.peer && bytes[1] == Code::CHANGED.0));
    }
}

#[test]
fn a_known_endpoint_name_is_not_enough_to_end_a_registration() {
    let mut world = World::new();
    let device = victim(&mut world);
    for code in [Code::POST, Code::DELETE] {
        for path in ["victim", "", "..", &device.location[..11]] {
            let attack = Draft::new(Kind::Confirmable, code, 1 + path.len() as u16 + u16::from(code.0) * 20)
                .path("rd")
                .path(path)
                .query("ep=victim")
                .query("lwm2m=9")
                .query("lt=0");
            assert_eq!(world.exchange(attacker(), &attack.build()).code(), Code::NOT_FOUND, "{path}");
        }
    }
    world.assert_uneventful();
    assert_eq!(world.server.registration("victim").map(|it| it.lifetime), Some(600));
}
