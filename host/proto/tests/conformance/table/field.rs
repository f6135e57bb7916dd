//! What fails in the field.

use super::{Row, Section, State, but, later, shown};

pub(super) const SECTION: Section = Section {
    title: "Failures in the field",
    about: "What breaks between real devices and servers.",
    rows: ROWS,
};

const ROWS: &[Row] = &[
    but(
        &shown(
            "NAT rebinding (port only; IP+port) in NoSec, PSK, CID",
            "",
            "",
            &[
                "field::after_a_rebinding_of_port_or_address_the_first_update_or_notification_finds_the_client",
                "server/addresses::an_update_moves_the_client",
                "server/addresses::a_notification_moves_the_client",
                "interop_aiocoap/observe::a_device_that_notifies_from_another_port_is_found_there",
            ],
        ),
        State::Remarked("without DTLS; with PSK and CID it is of issue 4"),
    ),
    shown(
        "Update/Notify/Send as the first message after rebinding",
        "",
        "",
        &[
            "field::after_a_rebinding_of_port_or_address_the_first_update_or_notification_finds_the_client",
            "field::after_a_rebinding_a_send_is_not_found_until_the_client_says_who_it_is",
            "server/association::an_update_on_a_new_association_takes_the_registration_along_and_observes_again",
            "server/association::notifications_that_a_sleeper_has_stored_are_taken_on_its_new_association",
            "server/association::a_send_on_a_new_association_is_taken_and_takes_the_registration_along",
            "interop_libcoap::an_update_and_a_deregister_may_come_from_other_ports_and_a_send_may_not",
        ],
    ),
    later(
        "server kill -9 and restart: Update answered, notification matched, DTLS record with CID decrypted",
        "",
        "",
        6,
        "the DTLS part is shown by dtls/restart",
    ),
    but(
        &shown(
            "server loses DTLS state: send nothing? (spec) vs fatal alert policy",
            "",
            "",
            &[
                "mischief/cookie::an_unverified_address_is_sent_nothing_but_verify_requests",
                "dtls/restart::no_association_goes_on_after_a_kill_when_none_are_kept",
            ],
        ),
        State::Remarked("nothing is sent; and the state is not lost"),
    ),
    shown(
        "device reboots without deregister, same ep, same/new address",
        "",
        "",
        &[
            "field::a_device_that_reboots_without_leaving_is_the_same_wherever_it_comes_from",
            "server/association::a_client_that_reboots_at_its_address_registers_anew",
            "server/registering::registering_again_replaces_and_keeps_what_waits",
        ],
    ),
    shown("two devices, one ep", "", "", &["server/registering::of_two_devices_with_one_name_the_last_wins"]),
    shown(
        "registration with `ver` on instance, with unknown object, with missing `ep`, with keyless `Q`, with \
         `lwm2m=1.2`, with 3 KB link list in Block1",
        "",
        "",
        &[
            "field::odd_registrations_are_taken_or_refused_for_a_reason",
            "coap::block_03_to_06_a_register_of_3_kb_is_put_together_from_blocks_of_any_size",
            "src/lwm2m/registration/tests::queue_mode_has_many_names",
        ],
    ),
    shown(
        "queue mode: command at sleep, 2 commands, expiry before wake, wake by Notify (not Update)",
        "",
        "",
        &[
            "server/downlink::a_sleeper_gets_what_waits_one_by_one_when_it_wakes",
            "server/downlink::what_waits_too_long_expires",
            "server/observing::a_notification_wakes_a_sleeper",
            "server/downlink::any_datagram_wakes_a_sleeper",
        ],
    ),
    shown("NSTART=1 under burst", "", "", &["field::a_burst_of_commands_goes_out_one_by_one"]),
    shown(
        "separate response after 30 s",
        "",
        "",
        &[
            "coap::core_09_11_17_separate_and_late_responses_are_taken",
            "server/downlink::one_at_a_time_in_order_and_each_its_own_way",
            "interop_aiocoap/response::a_separate_response_whose_acknowledgement_was_lost_is_taken",
        ],
    ),
    shown(
        "lost ACK (dedupe)",
        "",
        "",
        &[
            "field::a_lost_acknowledgement_of_a_notification_costs_no_second_event",
            "rfc::rfc_7252_a_lost_response_is_sent_again_and_the_request_done_once",
            "delivery::a_notification_sent_twice_is_acknowledged_twice_and_published_once",
        ],
    ),
    shown(
        "Block1 4.08 mid-way, 4.13 with smaller SZX, resume",
        "",
        "",
        &[
            "field::a_register_in_blocks_that_broke_off_begins_anew",
            "server/large::a_client_that_lost_the_first_blocks_gets_them_again",
            "server/large::a_body_that_is_too_large_for_the_client_is_told_as_such",
            "src/coap/block/tests::an_upload_begins_anew_with_smaller_blocks_also_in_the_middle",
            "src/coap/endpoint/tests/requests::a_body_the_peer_wants_in_blocks_is_sent_in_blocks",
            "interop_aiocoap/block::a_write_of_which_the_device_loses_the_blocks_is_begun_anew_once",
            "interop_aiocoap/block::a_write_is_done_in_the_smaller_blocks_that_the_device_wants",
        ],
    ),
    shown(
        "Block2 notification interleaved with a command",
        "",
        "",
        &[
            "server/large::a_command_waits_until_a_notification_in_blocks_is_complete",
            "interop_aiocoap/block::a_notification_between_the_blocks_of_a_read_is_published",
            "src/coap/endpoint/tests/notifications::\
         the_rest_of_a_notification_is_fetched_when_the_peer_has_answered_what_it_was_asked",
        ],
    ),
    shown(
        "SenML: bn/bt splitting, absolute vs relative t (2^28), `vlo`, nan, empty array, resource-instance paths, \
         alternate path prefix",
        "",
        "",
        &[
            "src/lwm2m/format/senml/tests::the_name_may_be_divided_anywhere",
            "src/lwm2m/format/senml/tests::a_base_name_holds_until_the_next",
            "src/lwm2m/format/senml/tests::times",
            "src/lwm2m/format/senml/tests::nothing_is_a_value_too",
            "src/lwm2m/format/senml/tests::other_values_take_the_type_of_the_definition",
            "lwm2m_formats_vectors::not_a_number_is_an_error_in_json_and_text_where_it_is_a_string",
            "src/lwm2m/format/senml/tests::an_alternate_path_is_left_away",
        ],
    ),
    shown(
        "TLV: 16-bit ids, 24-bit length, nested, trailing garbage",
        "",
        "",
        &[
            "src/lwm2m/format/tlv/tests::ids_and_lengths_may_be_wider_than_needed",
            "src/lwm2m/format/tlv/tests::long_values",
            "src/lwm2m/format/tlv/tests::the_example_of_two_object_instances",
            "src/lwm2m/format/tlv/tests::errors_name_the_byte",
            "lwm2m_formats_vectors::trailing_garbage_is_an_error_in_every_format_that_has_an_end",
            "lwm2m_formats_vectors::tlv_lengths_have_three_bytes_at_most",
        ],
    ),
    shown(
        "object without XML",
        "",
        "",
        &[
            "field::an_object_without_a_definition_loses_nothing",
            "lwm2m_formats_vectors::tlv_without_definitions_is_bytes",
        ],
    ),
    shown(
        "clock: device at 1970, `t` in future, server time jump",
        "",
        "",
        &[
            "field::a_clock_that_jumps_ends_nothing_too_early_and_breaks_nothing",
            "src/lwm2m/format/senml/tests::times",
        ],
    ),
    shown(
        "observe counter wrap 2^24",
        "",
        "",
        &[
            "src/coap/observe::numbers_wrap_around_at_24_bits",
            "interop_aiocoap/observe::numbers_of_notifications_begin_again_after_24_bits",
        ],
    ),
    shown(
        "duplicate tokens across devices",
        "",
        "",
        &[
            "field::equal_tokens_of_two_devices_are_two",
            "server/registering::two_wakaamas_started_in_the_same_second_are_two",
        ],
    ),
    shown("65535 ids", "", "", &["field::ids_reach_to_65535"]),
];
