//! What the gateway does where EMQX has a defect: there is a deviation for every case of that class. One without changes
//! does on MQTT and towards the device what the case says, and not what is wrong beside it.

use crate::deviations::{Deviation, Way, instead, publish, to_device};

pub(crate) const TABLE: &[Deviation] = &[
    // registration
    instead(
        "reg-v1.2",
        &[
            to_device(1, &["ACK 2.01 location"]),
            publish(
                1,
                &[
                    r#"<M>/up/resp {"msgType":"register","data":{"objectList":["/1","/2","/3/0","/4","/5"],"lwm2m":"1.2","lt":345,"ep":"urn:oma:lwm2m:oma:3","alternatePath":"/"}}"#,
                ],
            ),
        ],
        "LwM2M 1.2 is spoken",
    ),
    instead(
        "reg-lt-nan",
        &[to_device(1, &["ACK 4.00 diagnosed"])],
        "an error for what is wrong with the request, not silence",
    ),
    instead(
        "reg-lt-neg",
        &[to_device(1, &["ACK 4.00 diagnosed"]), publish(1, &[])],
        "an error for what is wrong with the request, and nothing is registered or published",
    ),
    instead(
        "reg-lt-huge",
        &[],
        "the timer is bounded by `lifetime-max`, as `lifetime-max` says; the JSON keeps what the client has said",
    ),
    instead(
        "reg-rt-unquoted",
        &[publish(
            1,
            &[
                r#"<M>/up/resp {"msgType":"register","data":{"objectList":["/3/0"],"lwm2m":"1","lt":345,"ep":"urn:oma:lwm2m:oma:3","alternatePath":"/lwm2m"}}"#,
            ],
        )],
        "`rt` means the same without quotes (RFC 6690, 2)",
    ),
    instead(
        "reg-attr-no-value",
        &[
            to_device(1, &["ACK 2.01 location"]),
            publish(
                1,
                &[
                    r#"<M>/up/resp {"msgType":"register","data":{"objectList":["/1/0","/3/0"],"lwm2m":"1","lt":345,"ep":"urn:oma:lwm2m:oma:3","alternatePath":"/"}}"#,
                ],
            ),
        ],
        "an attribute needs no value (RFC 6690, 2)",
    ),
    instead(
        "rereg-change-ep",
        &[
            to_device(2, &["ACK 2.01 location"]),
            publish(
                2,
                &[
                    r#"lwm2m/other/up/resp {"msgType":"register","data":{"objectList":["/1/0","/2/0","/3/0"],"lwm2m":"1","lt":345,"ep":"other","alternatePath":"/lwm2m"}}"#,
                ],
            ),
            to_device(3, &["ACK 2.02"]),
        ],
        "another endpoint name is another client, with a location of its own",
    ),
    instead(
        "upd-lt-nan",
        &[to_device(2, &["ACK 4.00 diagnosed"])],
        "an error for what is wrong with the request; the registration stays as it is",
    ),
    instead(
        "upd-alt-lost",
        &[
            publish(
                2,
                &[
                    r#"<M>/up/resp {"msgType":"update","data":{"objectList":["/1/0","/3/0"],"lwm2m":"1","lt":345,"ep":"urn:oma:lwm2m:oma:3","alternatePath":"/lwm2m"}}"#,
                ],
            ),
            to_device(3, &["CON 0.01 path=/lwm2m/3/0/0"]),
        ],
        "the alternate path stays where the new links name none (OMA core 1.2.1, 6.4.1)",
    ),
    instead(
        "upd-while-waiting",
        &[
            publish(
                3,
                &[
                    r#"<M>/up/resp {"msgType":"update","data":{"objectList":["/1","/2","/3/0","/4","/5"],"lwm2m":"1","lt":345,"ep":"urn:oma:lwm2m:oma:3","alternatePath":"/"}}"#,
                ],
            ),
            publish(
                5,
                &[
                    r#"<M>/up/resp {"msgType":"update","data":{"objectList":["/1","/2","/3/0","/4","/5"],"lwm2m":"1","lt":345,"ep":"urn:oma:lwm2m:oma:3","alternatePath":"/"}}"#,
                ],
            ),
        ],
        "a request ends when it times out, not when the client says something else",
    ),
    // messages
    instead(
        "etag-reg",
        &[to_device(1, &["RST 0.00"])],
        "what cannot be taken apart is rejected (RFC 7252, 4.2), and no registration suffers",
    ),
    instead("put-any", &[to_device(1, &["ACK 4.04"])], "4.04 for a resource there is not"),
    instead(
        "fetch",
        &[to_device(2, &["ACK 4.05"]), to_device(3, &["ACK 4.05"])],
        "4.05 for a method that the resource does not know",
    ),
    instead("sig-701", &[to_device(2, &["RST 0.00"])], "a reserved code is rejected (RFC 7252, 4.2)"),
    instead("ver-2", &[], "another version is silently ignored (RFC 7252, 3), and no registration suffers"),
    instead(
        "tkl-9",
        &[to_device(2, &["RST 0.00"])],
        "a reserved token length is a format error, which is rejected (RFC 7252, 3)",
    ),
    // commands
    instead(
        "read-err-4.09",
        &[publish(
            3,
            &[
                r#"<M>/up/resp {"reqID":206,"msgType":"read","data":{"reqPath":"/3/0/0","codeMsg":"conflict","code":"4.09"}}"#,
            ],
        )],
        "any code is passed through",
    ),
    instead(
        "write-201",
        &[publish(
            3,
            &[
                r#"<M>/up/resp {"reqID":206,"msgType":"write","data":{"reqPath":"/3/0/13","codeMsg":"created","code":"2.01"}}"#,
            ],
        )],
        "any code is passed through",
    ),
    instead(
        "write-valid",
        &[publish(
            3,
            &[
                r#"<M>/up/resp {"reqID":206,"msgType":"write","data":{"reqPath":"/3/0/14","codeMsg":"valid","code":"2.03"}}"#,
            ],
        )],
        "any code is passed through",
    ),
    instead(
        "exec-205",
        &[publish(
            3,
            &[
                r#"<M>/up/resp {"reqID":206,"msgType":"execute","data":{"reqPath":"/3/0/4","codeMsg":"content","code":"2.05"}}"#,
            ],
        )],
        "any code is passed through",
    ),
    instead(
        "attr-205",
        &[publish(
            3,
            &[
                r#"<M>/up/resp {"reqID":206,"msgType":"write-attr","data":{"reqPath":"/5/0","codeMsg":"content","code":"2.05"}}"#,
            ],
        )],
        "any code is passed through",
    ),
    instead(
        "disc-204",
        &[publish(
            3,
            &[
                r#"<M>/up/resp {"reqID":206,"msgType":"discover","data":{"reqPath":"/5/0","codeMsg":"changed","code":"2.04"}}"#,
            ],
        )],
        "any code is passed through",
    ),
    instead(
        "cancel-204",
        &[publish(
            3,
            &[
                r#"<M>/up/resp {"reqID":206,"msgType":"cancel-observe","data":{"reqPath":"/5/0","codeMsg":"changed","code":"2.04"}}"#,
            ],
        )],
        "any code is passed through",
    ),
    instead(
        "read-ack-sep-mid",
        &[
            to_device(4, &["ACK 0.00"]),
            publish(
                4,
                &[
                    r#"<M>/up/resp {"reqID":206,"msgType":"read","data":{"reqPath":"/3/0/0","content":[{"value":"EMQ","path":"/3/0/0"}],"codeMsg":"content","code":"2.05"}}"#,
                ],
            ),
        ],
        "a separate response is known by its token, published and acknowledged (RFC 7252, 5.2.2)",
    ),
    instead(
        "read-badtoken",
        &[publish(3, &[])],
        "a response with another token answers nothing (RFC 7252, 5.3.2); the request goes on",
    ),
    instead(
        "write-base-res-1inst",
        &[to_device(2, &["CON 0.03 path=/3/0/6 format=11542 payload=8306410001"])],
        "an instance that is named is written as an instance",
    ),
    instead(
        "retrans",
        &[publish(4, &[r#"<M>/up/resp {"reqID":206,"msgType":"coap_timeout","data":{"path":"/3/0/0"}}"#])],
        "the request is sent again, and given up (RFC 7252, 4.2)",
    ),
    // observations
    instead(
        "obs-newmid",
        &[
            to_device(4, &["ACK 0.00"]),
            publish(
                4,
                &[
                    r#"<M>/up/notify {"seqNum":3,"reqID":206,"msgType":"notify","data":{"reqPath":"/3/0/10","content":[{"value":4096,"path":"/3/0/10"}],"codeMsg":"content","code":"2.05"}}"#,
                ],
            ),
        ],
        "a notification is known by its token, published and acknowledged (RFC 7641, 3.2)",
    ),
    instead(
        "ao-notify-dup",
        &[to_device(4, &["ACK 0.00"])],
        "a notification that comes again is acknowledged again, and published once",
    ),
    instead(
        "ao-notify-err",
        &[
            to_device(3, &["ACK 0.00"]),
            publish(
                3,
                &[
                    r#"<M>/up/notify {"msgType":"notify","is_auto_observe":true,"data":{"reqPath":"/3/0","codeMsg":"not_found","code":"4.04"}}"#,
                ],
            ),
        ],
        "an error notification is acknowledged, ends the observation, and says so on the notify topic (2.6)",
    ),
    instead(
        "ao-cancel",
        &[to_device(5, &["RST 0.00"]), publish(5, &[])],
        "what is cancelled is over: a later notification is rejected (RFC 7641, 3.6)",
    ),
    // blockwise
    instead(
        "b1-out-small",
        &[
            to_device(
                2,
                &[
                    "CON 0.03 path=/5/0/0 format=11542 block1=0/1/32 size1=83 payload=c80050000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c",
                ],
            ),
            to_device(
                3,
                &["CON 0.03 path=/5/0/0 format=11542 block1=2/1/16 payload=1d1e1f20212223242526270001020304"],
            ),
        ],
        "a smaller block size that the device asks for is taken (RFC 7959, 2.3)",
    ),
    instead(
        "b1-in-token",
        &[
            to_device(2, &["ACK 2.01 location block1=1/0/16"]),
            publish(
                2,
                &[
                    r#"<M>/up/resp {"msgType":"register","data":{"objectList":["/1/0","/3/0","/4/0","/5/0"],"lwm2m":"1","lt":345,"ep":"urn:oma:lwm2m:oma:3","alternatePath":"/"}}"#,
                ],
            ),
        ],
        "blocks may have tokens of their own (RFC 7959, 3.3)",
    ),
    instead("b1-in-size", &[to_device(1, &["ACK 4.00"])], "SZX 7 is reserved: 4.00 (RFC 7959, 2.2)"),
    // queue mode
    instead(
        "qmode-1.1",
        &[to_device(3, &[])],
        "`Q` is queue mode (OMA core 1.2.1, 6.2.1.2): the command waits",
    ),
    instead(
        "expiry",
        &[to_device(5, &["ACK 2.04", "CON 0.01 path=/3/0/1"])],
        "a command whose time is over while it waits is not sent",
    ),
    // topics
    Deviation {
        case: "topic-ep-wild",
        way: Way::Topics("/+/", "/%2B/"),
        reason: "characters that MQTT gives a meaning are percent-encoded",
    },
    // REST
    instead("lookup-disc-three", &[], "on MQTT the links come whole"),
    instead("lookup-disc-object", &[], "on MQTT the links come whole"),
];
