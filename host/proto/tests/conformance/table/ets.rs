//! The OMA enabler test specification, LightweightM2M-1.0, 1.1 and 1.2.

use super::{Row, Section, State, but, not_offered, shown};

pub(super) const SECTION: Section = Section {
    title: "OMA test cases",
    about: "The cases of the OMA enabler test specification (LightweightM2M-1.x-int-N) that ask something of the \
            server. Clients are scripts of datagrams in simulated time.",
    rows: ROWS,
};

const NO_BOOTSTRAP: &str = "there is no bootstrap server; `POST /bs` is answered 4.04, Bootstrap-Pack 5.01";

const ROWS: &[Row] = &[
    not_offered("int-0/1/2", "bootstrap by the client", "S", NO_BOOTSTRAP),
    not_offered(
        "int-4,5,6,7,8",
        "bootstrap: delete, by the server, sequence, fallback, read",
        "S",
        NO_BOOTSTRAP,
    ),
    not_offered("int-9", "bootstrap: consistency", "S", NO_BOOTSTRAP),
    but(
        &shown(
            "int-11, 12, 19",
            "bootstrap over OSCORE and MQTT, Bootstrap-Pack",
            "L",
            &["must::there_is_no_bootstrap_server_here"],
        ),
        State::NotOffered(NO_BOOTSTRAP),
    ),
    shown(
        "int-101",
        "initial registration",
        "M",
        &[
            "wakaama::its_register_of_195_bytes_is_taken",
            "server/registering::a_registration_lives_and_ends",
            "interop_leshan::a_leshan_device_is_registered_and_observed_at_once",
        ],
    ),
    shown(
        "int-102",
        "registration update after a write of the lifetime",
        "M",
        &[
            "ets/registration::int_102_a_lifetime_that_is_written_is_told_by_the_update_that_follows",
            "interop_leshan::a_leshan_device_updates_and_deregisters",
        ],
    ),
    shown(
        "int-103",
        "deregistration",
        "M",
        &[
            "ets/registration::int_103_deregistering_voids_observations",
            "wakaama::its_updates_and_deregister_are_answered",
            "interop_npm/node_red::it_deregisters",
            "interop_leshan::a_leshan_device_updates_and_deregisters",
        ],
    ),
    shown(
        "int-104",
        "registration update trigger",
        "M",
        &[
            "ets/registration::int_104_an_update_is_triggered",
            "interop_emqxlwm2m::an_update_is_triggered_and_a_reboot_waited_for",
        ],
    ),
    shown(
        "int-105",
        "discarded update",
        "M",
        &[
            "ets/registration::int_105_an_update_after_the_lifetime_is_discarded_and_a_register_accepted",
            "anjay::its_registers_and_updates_follow_one_another_from_one_port",
        ],
    ),
    not_offered("int-106", "registration over TCP", "S", "there is no CoAP over TCP"),
    shown(
        "int-107",
        "extending the lifetime",
        "M",
        &[
            "ets/registration::int_107_each_update_extends_the_lifetime",
            "server/registering::an_update_may_shorten_the_lifetime",
        ],
    ),
    shown(
        "int-108/109",
        "queue mode",
        "M",
        &[
            "ets/registration::int_108_109_a_sleeper_is_asked_for_93_seconds_after_its_last_datagram_and_no_longer",
            "server/downlink::a_sleeper_gets_what_waits_one_by_one_when_it_wakes",
            "server/downlink::a_sleeper_that_does_not_answer_is_left_alone_until_it_speaks",
            "server/downlink::what_waits_too_long_expires",
        ],
    ),
    not_offered(
        "int-110/111",
        "profile ids",
        "L",
        "profile ids are not resolved; the parameter is passed on",
    ),
    shown(
        "int-201..205, 210..215, 220",
        "reading and writing in text, opaque, TLV, JSON, CBOR",
        "M",
        &[
            "ets/format::int_201_to_232_a_resource_is_read_in_the_format_asked_for",
            "ets/format::int_211_an_opaque_resource_is_read_as_it_is",
            "ets/format::int_205_to_234_a_resource_is_written_in_a_format_of_the_callers_choice",
            "src/lwm2m/operation/tests::values_are_written_in_a_format_that_the_client_takes",
            "src/lwm2m/format/lwm2m_json/tests::the_example_of_the_device_object",
            "src/lwm2m/format/cbor/tests::values_take_the_type_of_the_definition",
            "server/negotiating::a_read_that_is_not_acceptable_is_asked_once_more_in_a_format_the_client_lists",
            "server/negotiating::a_write_in_a_format_the_client_does_not_take_is_written_in_another",
            "interop_leshan_formats/single::a_leshan_device_is_read_in_each_format",
            "interop_leshan_formats/single::a_leshan_device_is_written_in_each_format",
        ],
    ),
    shown(
        "int-221",
        "operations on the Security object",
        "M",
        &[
            "ets/management::int_221_what_the_client_forbids_is_passed_on_and_the_server_asks_nothing_by_itself",
        ],
    ),
    shown(
        "int-222..225",
        "read of an object, an instance, a resource, a resource instance",
        "M",
        &[
            "ets/management::int_222_to_225_an_object_an_instance_a_resource_and_its_instance_are_read",
            "wakaama::it_is_read_in_tlv_without_an_accept",
            "interop_leshan::a_leshan_device_is_read_at_each_level",
        ],
    ),
    shown(
        "int-226..228",
        "partial update, replace, write of a resource instance",
        "M",
        &[
            "ets/management::int_226_to_228_writes_replace_or_update_down_to_a_resource_instance",
            "interop_leshan::a_leshan_device_is_written_resource_by_resource_and_several_at_once",
        ],
    ),
    shown(
        "int-229, 230, 235, 236, 257, 280, 281",
        "composite read and write",
        "M",
        &[
            "ets/management::int_229_235_composite_reads_name_paths_down_from_the_root",
            "ets/management::int_229_a_client_that_lists_senml_cbor_is_asked_for_composites_in_it",
            "ets/management::int_236_257_of_a_composite_read_only_what_there_is_comes_back",
            "ets/management::int_230_280_281_a_composite_write_is_one_ipatch_with_whole_paths",
            "src/lwm2m/negotiation::composites_are_senml_of_the_kind_the_client_lists",
            "composite::several_paths_are_read_at_once",
            "composite::several_values_are_written_at_once",
            "interop_leshan_formats/composite::a_leshan_device_is_read_by_composites_in_each_format",
            "interop_leshan_formats/composite::a_leshan_device_is_written_by_composites_in_each_format",
        ],
    ),
    shown(
        "int-231..234",
        "reading and writing in SenML JSON and SenML CBOR",
        "M",
        &[
            "ets/format::int_201_to_232_a_resource_is_read_in_the_format_asked_for",
            "ets/format::int_205_to_234_a_resource_is_written_in_a_format_of_the_callers_choice",
            "src/lwm2m/format/senml/tests::the_example_of_the_device_object",
            "src/lwm2m/format/senml/tests::every_type_is_written",
            "lwm2m_formats_vectors::rfc_8428_multiple_data_types",
            "interop_leshan_formats/single::a_leshan_device_is_read_in_each_format",
            "interop_leshan_formats/single::a_leshan_device_is_written_in_each_format",
        ],
    ),
    shown(
        "int-237",
        "read of an object without Accept",
        "M",
        &[
            "ets/format::int_237_an_object_is_read_in_whatever_format_comes",
            "leshan::a_format_may_be_stated_with_any_answer",
            "interop_leshan_formats/single::a_leshan_device_chooses_the_format_when_none_is_asked_for",
        ],
    ),
    shown(
        "int-241",
        "execute: reboot",
        "M",
        &[
            "ets/management::int_241_a_device_that_is_rebooted_registers_anew",
            "server/observing::what_was_observed_is_observed_again_after_a_new_registration",
            "interop_emqxlwm2m::an_update_is_triggered_and_a_reboot_waited_for",
        ],
    ),
    shown("int-256", "a write that fails", "M", &["ets/management::int_256_errors_are_told_as_they_are"]),
    shown(
        "int-260, 261, 264, 266",
        "discover and write-attributes, with depth and at every level",
        "M / S",
        &[
            "ets/management::int_260_266_discover_lists_links_to_the_depth_asked_for",
            "ets/management::int_261_264_attributes_are_written_and_unset_at_every_level",
            "interop_leshan::a_leshan_device_is_discovered_at_each_level",
            "interop_leshan_formats/single::attributes_of_a_leshan_device_are_set_discovered_and_unset",
        ],
    ),
    shown(
        "int-270, 271, 290",
        "create and delete",
        "M",
        &[
            "ets/management::int_270_271_290_instances_are_created_and_deleted",
            "server/downlink::a_create_tells_the_location_without_the_alternate_path",
            "interop_leshan::instances_are_created_in_a_leshan_device_and_deleted",
            "interop_leshan_formats/single::a_leshan_device_chooses_the_id_of_an_instance_and_says_it",
        ],
    ),
    shown(
        "int-301",
        "observation and notification with attributes",
        "M",
        &["ets/information::int_301_302_attributes_are_written_then_observed_then_cancelled_by_reset"],
    ),
    shown(
        "int-302 / 303",
        "cancellation by reset, by Observe 1",
        "M",
        &[
            "ets/information::int_301_302_attributes_are_written_then_observed_then_cancelled_by_reset",
            "ets/information::int_303_an_observation_is_cancelled_by_a_request",
            "must::a_cancellation_that_crosses_a_notification_ends_in_silence_or_reset",
            "interop_leshan_formats/single::an_observation_of_a_leshan_device_ends_with_the_reset_of_its_next_notification",
        ],
    ),
    shown(
        "int-304, 305, 308-310",
        "composite observation: cancellation, instances that come and go",
        "M",
        &[
            "ets/information::int_304_305_a_composite_is_observed_and_cancelled_with_the_same_list",
            "ets/information::int_308_to_310_a_composite_observation_follows_instances_that_come_and_go",
            "server/observing::composites_are_observed_beside_the_paths_they_name",
            "composite::several_paths_are_observed_as_one_until_that_is_cancelled",
            "interop_leshan_formats/composite::a_leshan_device_is_observed_by_composites_in_each_format",
        ],
    ),
    shown(
        "int-306, 307, 311",
        "Send, and its muting",
        "M",
        &[
            "ets/information::int_306_311_a_send_is_answered_and_one_of_a_stranger_is_not_found",
            "ets/information::int_307_sending_is_muted",
            "server/registering::a_send_that_makes_no_sense_is_answered_so",
            "interop_leshan::what_a_leshan_device_sends_is_published",
            "interop_leshan_formats/single::a_leshan_device_sends_in_each_format",
        ],
    ),
    shown(
        "int-312, 313",
        "attributes in the observe request",
        "S",
        &[
            "ets/information::int_312_attributes_go_with_the_observe_request",
            "server/observing::an_active_cancellation_repeats_the_token_and_ends_the_observation",
        ],
    ),
    shown(
        "int-401",
        "pre-shared keys",
        "M",
        &[
            "dtls/identity::a_client_with_a_pre_shared_key_registers_is_read_and_notifies",
            "interop_dtls/openssl::s_client_registers_is_read_and_notifies_with_each_suite_of_a_pre_shared_key",
        ],
    ),
    shown(
        "int-402, 403",
        "certificates",
        "M",
        &[
            "dtls/identity::a_client_with_a_certificate_registers_is_read_and_notifies",
            "dtls/identity::certificates_that_prove_nothing_are_refused",
            "interop_dtls/leshan::a_leshan_device_registers_is_read_notifies_and_sends_in_each_mode",
        ],
    ),
    not_offered("int-404, 406", "TLS over TCP", "S", "there is no CoAP over TCP"),
    not_offered("int-405", "OSCORE", "L", "there is no OSCORE"),
    shown(
        "int-551..566, 651..685, 701..735, 801..835, 901..935",
        "the objects 1, 3, 4, 6 and 7",
        "M",
        &[
            "ets/object::int_551_to_935_every_readable_resource_is_read_in_its_type",
            "ets/object::int_551_to_935_every_writable_resource_is_written_in_its_type",
            "ets/object::int_551_to_935_every_executable_resource_is_executed",
        ],
    ),
    but(
        &shown(
            "int-751..760, 770-780",
            "firmware update: query, push, pull, failures",
            "M",
            &[
                "ets/object::int_751_the_firmware_object_is_queried",
                "ets/object::int_752_to_760_a_package_is_pushed_in_blocks_or_pulled_and_its_states_are_told",
                "ets/object::int_770_to_780_each_failure_of_an_update_is_told",
                "server/large::four_megabytes_are_written_and_their_progress_told",
                "large::four_megabytes_are_written_to_a_device",
            ],
        ),
        State::Remarked(
            "state and result are told as the device gives them; the application decides what follows",
        ),
    ),
    not_offered(
        "int-950/951",
        "several servers, attributes of each",
        "S",
        "it is the client that keeps the servers apart; Tidegate is one of them",
    ),
    not_offered(
        "int-1200..1635",
        "the objects 10, 11 and 16",
        "L",
        "plain device management, as with the objects above; no tests of their own",
    ),
];
