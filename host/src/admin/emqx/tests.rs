use tidegate_proto::coap::Peer;
use tidegate_proto::lwm2m::registration::Version;

use super::*;

fn registration(endpoint: &str) -> Registration {
    Registration {
        endpoint: endpoint.into(),
        location: "/rd/x".into(),
        version: Version::V1_0,
        lifetime: 300,
        binding: "".into(),
        queue_mode: false,
        alternate_path: "/".into(),
        objects: [].into(),
        parameters: vec![("device_id".into(), Some("d1".into()))],
        content_formats: None,
        links: [].into(),
        peer: Peer::plain(([127, 0, 0, 1], 5683).into()),
    }
}

#[test]
fn a_command_goes_to_the_topic_that_names_its_client() {
    for (mountpoint, command, expected) in [
        ("", "dn/#", Some("dn/a%2Fb")),
        ("lwm2m/${endpoint_name}/", "dn/#", Some("lwm2m/a%2Fb/dn")),
        ("${clientid}/", "dn/+/x", Some("d1/dn/x/x")),
        ("${username}/", "cmd", Some("a%2Fb/cmd")),
        ("x/${zone}/${peerhost}/", "+/dn", Some("x/default/127.0.0.1/a%2Fb/dn")),
        ("lwm2m/", "cmd", None),
    ] {
        let settings =
            json!({ "mountpoint": mountpoint, "translators": { "command": { "topic": command } } });
        assert_eq!(topic::of(&settings, &registration("a/b")).as_deref(), expected, "{mountpoint} {command}");
    }
    assert_eq!(topic::of(&Json::Null, &registration("e")).as_deref(), Some("dn/e"));
}

#[test]
fn an_error_has_emqxs_codes() {
    for (status, message, code) in [
        (401, "", "BAD_API_KEY_OR_SECRET"),
        (404, "no client is registered as `x`", "CLIENT_NOT_FOUND"),
        (404, "there is nothing at this path", "NOT_FOUND"),
        (400, "", "BAD_REQUEST"),
    ] {
        assert_eq!(EmqxError::of(StatusCode::from_u16(status).unwrap(), message).code, code);
    }
}
