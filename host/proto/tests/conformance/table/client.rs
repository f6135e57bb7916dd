//! The habits of real clients, numbered as they were noted down.

use super::{Row, Section, State, but, idle, shown};

pub(super) const SECTION: Section = Section {
    title: "Habits of real clients",
    about: "Wakaama, Anjay and the Leshan client, as they behave on the wire.",
    rows: ROWS,
};

const ROWS: &[Row] = &[
    shown(
        "Wakaama 1",
        "message ids and tokens equal across clients",
        "",
        &[
            "server/registering::two_wakaamas_started_in_the_same_second_are_two",
            "field::equal_tokens_of_two_devices_are_two",
        ],
    ),
    idle(
        "Wakaama 2",
        "the first Register is lost to the handshake; ClientHello",
        "it sends its Register again; its one suite and its one extension are what Tidegate likes best",
    ),
    but(
        &shown(
            "Wakaama 3",
            "an Update answered 4.04 ends the process",
            "",
            &["wakaama::its_updates_at_half_its_lifetime_keep_it_for_ever"],
        ),
        State::Remarked("4.04 only for what is not registered; registrations survive a restart"),
    ),
    shown(
        "Wakaama 4",
        "a Register is sent again under its message id until it is answered",
        "",
        &[
            "server/registering::a_refused_event_never_happened_and_the_retransmission_is_new",
            "delivery::a_register_whose_answer_was_lost_gets_the_same_answer_and_is_published_once",
        ],
    ),
    shown(
        "Wakaama 5",
        "Updates without body, with a body without Content-Format, in blocks with another",
        "",
        &[
            "wakaama::its_updates_and_deregister_are_answered",
            "wakaama::its_updates_at_half_its_lifetime_keep_it_for_ever",
            "wakaama::the_later_blocks_of_its_update_have_another_content_format_than_the_first",
        ],
    ),
    shown(
        "Wakaama 6",
        "no Update after a write of the lifetime or the update trigger",
        "",
        &["wakaama::a_lifetime_that_is_written_counts_without_an_update"],
    ),
    idle("Wakaama 7", "no notification after a write by the server", "the answer to the write is told"),
    shown(
        "Wakaama 8",
        "read of a resource instance fails",
        "",
        &["wakaama::errors_are_passed_on_with_their_bodies_unread"],
    ),
    shown(
        "Wakaama 9",
        "writes need a Content-Format; few formats are taken",
        "",
        &[
            "wakaama::values_are_never_written_without_a_content_format",
            "server/negotiating::a_write_in_a_format_the_client_does_not_take_is_written_in_another",
        ],
    ),
    shown(
        "Wakaama 10",
        "composites are acknowledged and never answered",
        "",
        &["wakaama::a_composite_that_it_acknowledges_and_never_answers_times_out_and_holds_nothing_up"],
    ),
    shown(
        "Wakaama 11",
        "Send without a token, 783 bytes in one datagram",
        "",
        &["wakaama::its_send_has_no_token"],
    ),
    shown(
        "Wakaama 12",
        "one watcher of a path, which moves to the latest token",
        "",
        &[
            "wakaama::its_one_watcher_of_a_path_may_move_to_a_new_token",
            "server/observing::observing_the_same_again_replaces",
        ],
    ),
    shown(
        "Wakaama 13",
        "a reset counts for the latest notification; cancellations are answered with content",
        "",
        &[
            "wakaama::every_notification_after_a_passive_cancellation_is_reset_by_its_own_message_id",
            "wakaama::it_is_observed_and_cancelled",
        ],
    ),
    shown(
        "Wakaama 14",
        "answers in blocks; error bodies that call themselves TLV; errors without a token",
        "",
        &[
            "wakaama::it_answers_in_blocks_of_64",
            "wakaama::errors_are_passed_on_with_their_bodies_unread",
            "wakaama::its_error_without_a_token_is_an_answer",
            "src/coap/endpoint/tests/responses::an_error_without_token_is_taken_in_an_acknowledgement",
        ],
    ),
    shown(
        "Wakaama 15",
        "bodies in blocks; datagrams above 2048 bytes are dropped",
        "",
        &["wakaama::what_is_written_to_it_comes_in_blocks_that_fit_its_buffer"],
    ),
    but(
        &shown(
            "Wakaama 16",
            "attributes; a ping is acknowledged; duplicates are executed again",
            "",
            &[
                "wakaama::its_attributes_are_written",
                "wakaama::its_empty_acknowledgement_of_nothing_is_ignored",
            ],
        ),
        State::Remarked("what it executes twice when an acknowledgement is lost, a server cannot prevent"),
    ),
    idle("Wakaama 17", "spins at the end of its standard input", "of whoever starts it"),
    shown(
        "Anjay 1",
        "says 1.2 first; 4.12 makes it try an older version",
        "",
        &[
            "anjay::its_register_as_of_1_2_is_taken",
            "anjay::a_version_that_is_not_supported_is_refused_with_the_code_that_makes_it_try_an_older_one",
        ],
    ),
    shown(
        "Anjay 2",
        "no binding, no root link, versions in quotes, bare `Q`",
        "",
        &[
            "anjay::its_register_as_of_1_2_is_taken",
            "anjay::its_queue_mode_is_a_bare_query_or_a_binding",
            "must::versions_of_objects_may_be_quoted_or_not",
        ],
    ),
    shown(
        "Anjay 3",
        "a token for each block of a Register",
        "",
        &["server/registering::anjay_registers_in_blocks_with_a_token_each"],
    ),
    shown(
        "Anjay 4",
        "5.03 to everything while an answer in blocks is unfinished",
        "",
        &[
            "anjay::while_an_answer_of_its_comes_in_blocks_it_is_asked_nothing_else",
            "server/large::a_command_waits_until_a_notification_in_blocks_is_complete",
            "anjay::a_busy_answer_is_passed_on",
        ],
    ),
    shown(
        "Anjay 5",
        "Updates, and Registers from the same port",
        "",
        &["anjay::its_registers_and_updates_follow_one_another_from_one_port"],
    ),
    shown(
        "Anjay 6",
        "rejects the formats from before the standard; cancellation without Observe",
        "",
        &[
            "anjay::it_is_never_written_to_in_a_format_from_before_the_standard",
            "anjay::its_answer_to_a_cancellation_has_no_observe_option",
            "ets/management::int_230_280_281_a_composite_write_is_one_ipatch_with_whole_paths",
        ],
    ),
    shown(
        "Anjay 7",
        "notifications with times; base name and name put together",
        "",
        &[
            "anjay::its_notifications_carry_times_and_its_names_begin_with_a_slash",
            "anjay::the_entries_of_its_cbor_may_come_in_any_order",
            "wakaama::its_senml_names_hang_on_a_base_name_with_a_slash_behind",
            "src/lwm2m/format/senml/tests::the_name_may_be_divided_anywhere",
        ],
    ),
    shown(
        "Anjay 8",
        "acknowledges what is not confirmable; pings; blocks out of order",
        "",
        &[
            "anjay::it_is_asked_confirmably_only",
            "anjay::a_reset_fails_the_request_at_once",
            "anjay::blocks_out_of_order_are_incomplete",
            "server/large::a_client_that_lost_the_first_blocks_gets_them_again",
        ],
    ),
    shown(
        "Anjay 9",
        "the record version of its ClientHello",
        "",
        &["mischief/handshake::a_client_whose_first_records_have_the_version_of_mbed_tls"],
    ),
    idle("Anjay 10", "names in certificates", "the server's certificate is the operator's"),
    shown(
        "Leshan: Register",
        "order of queries, bare `Q`, a list of formats",
        "",
        &[
            "leshan::its_register_is_taken_with_its_list_of_formats",
            "src/lwm2m/registration/tests::leshan_and_anjay_register",
        ],
    ),
    shown(
        "Leshan: Update",
        "repeats `rt`, drops `ct`",
        "",
        &[
            "leshan::its_update_replaces_the_objects_and_leaves_the_formats",
            "interop_leshan::a_leshan_device_updates_and_deregisters",
        ],
    ),
    shown(
        "Leshan: notifications",
        "confirmable, with numbers that repeat",
        "",
        &[
            "leshan::its_confirmable_notifications_with_repeated_numbers_are_all_taken",
            "src/coap/endpoint/tests/notifications::equal_numbers_and_none_are_fresh_and_duplicates_are_not",
            "interop_aiocoap/observe::notifications_of_the_same_number_are_published_and_older_ones_only_acknowledged",
        ],
    ),
    shown(
        "Leshan: errors",
        "with a Content-Format and without a body",
        "",
        &["leshan::its_errors_may_have_a_content_format_and_no_body"],
    ),
    shown(
        "Leshan: Create",
        "with a given id: no Location-Path",
        "",
        &["leshan::a_create_with_an_id_of_ours_has_no_location"],
    ),
    shown(
        "Leshan: DTLS",
        "connection ids, raw public keys",
        "",
        &[
            "interop_dtls/leshan::a_leshan_device_registers_is_read_notifies_and_sends_in_each_mode",
            "interop_dtls/leshan::a_leshan_device_goes_on_behind_a_nat_that_forgets_if_it_has_a_connection_id",
        ],
    ),
    shown(
        "Session: Register",
        "byte by byte",
        "",
        &["wakaama::its_register_of_195_bytes_is_taken", "wakaama::its_register_as_of_1_0_is_taken"],
    ),
    shown(
        "Session 2",
        "read, byte by byte",
        "",
        &[
            "wakaama::it_is_read_in_tlv_without_an_accept",
            "wakaama::it_is_read_in_the_format_asked_for",
            "wakaama::its_senml_names_hang_on_a_base_name_with_a_slash_behind",
        ],
    ),
    shown(
        "Session 3",
        "observe, byte by byte",
        "",
        &["wakaama::it_is_observed_and_cancelled", "wakaama::it_is_observed_in_tlv_and_in_text"],
    ),
    shown(
        "Session 4",
        "write, execute, discover, Update, De-register, Send, byte by byte",
        "",
        &[
            "wakaama::it_is_written_executed_and_discovered",
            "wakaama::its_updates_and_deregister_are_answered",
            "wakaama::its_send_has_no_token",
        ],
    ),
    shown(
        "Session 5",
        "block-wise Register and Update, byte by byte",
        "",
        &[
            "wakaama::it_registers_in_blocks_under_one_token",
            "wakaama::the_later_blocks_of_its_update_have_another_content_format_than_the_first",
            "wakaama::it_answers_in_blocks_of_64",
        ],
    ),
    shown(
        "Test 1",
        "two Wakaamas started in one second",
        "",
        &["server/registering::two_wakaamas_started_in_the_same_second_are_two"],
    ),
    shown(
        "Test 2",
        "Registers in small blocks, one token or many",
        "",
        &[
            "coap::block_03_to_06_a_register_of_3_kb_is_put_together_from_blocks_of_any_size",
            "server/registering::anjay_registers_in_blocks_with_a_token_each",
        ],
    ),
    shown(
        "Test 3",
        "an Update block with Content-Format 0",
        "",
        &["wakaama::the_later_blocks_of_its_update_have_another_content_format_than_the_first"],
    ),
    shown(
        "Test 4",
        "bare `Q`",
        "",
        &[
            "anjay::its_queue_mode_is_a_bare_query_or_a_binding",
            "leshan::its_register_is_taken_with_its_list_of_formats",
        ],
    ),
    shown(
        "Test 5",
        "quoted `ver` and a list of `ct`",
        "",
        &[
            "must::versions_of_objects_may_be_quoted_or_not",
            "leshan::its_register_is_taken_with_its_list_of_formats",
        ],
    ),
    shown("Test 6", "a default Register of Anjay", "", &["anjay::its_register_as_of_1_2_is_taken"]),
    shown(
        "Test 7",
        "confirmable notifications with repeated numbers",
        "",
        &["leshan::its_confirmable_notifications_with_repeated_numbers_are_all_taken"],
    ),
    shown("Test 8", "a Send with a zero-length token", "", &["wakaama::its_send_has_no_token"]),
    shown(
        "Test 9",
        "stray acknowledgements without a token",
        "",
        &[
            "leshan::an_acknowledgement_of_node_red_without_a_token_is_the_answer_if_it_is_an_error",
            "wakaama::its_error_without_a_token_is_an_answer",
        ],
    ),
    but(
        &shown(
            "Test 10",
            "a composite that is never answered; odd DTLS clients",
            "",
            &["wakaama::a_composite_that_it_acknowledges_and_never_answers_times_out_and_holds_nothing_up"],
        ),
        State::Remarked("the DTLS half is of issue 4"),
    ),
];
