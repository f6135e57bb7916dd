//! Obligations of a server that no OMA test case exercises.

use super::{Row, Section, State, but, shown};

pub(super) const SECTION: Section = Section {
    title: "Obligations that no test case exercises",
    about: "From the core and transport specifications of LwM2M, RFC 7252, 7641, 7959 and 9146.",
    rows: ROWS,
};

const ROWS: &[Row] = &[
    shown(
        "`lwm2m` unsupported -> **4.12**",
        "",
        "M",
        &[
            "must::a_version_that_is_not_supported_is_a_failed_precondition",
            "anjay::a_version_that_is_not_supported_is_refused_with_the_code_that_makes_it_try_an_older_one",
        ],
    ),
    shown(
        "unknown objects never fail a Register",
        "",
        "M",
        &[
            "must::unknown_objects_and_attributes_never_fail_a_register",
            "src/lwm2m/registration/tests::no_register_panics",
        ],
    ),
    shown(
        "ep/identity mismatch -> 4.00",
        "",
        "M",
        &[
            "server/identity::another_endpoint_name_than_the_authenticated_one_is_refused_and_told",
            "server/identity::the_endpoint_name_may_be_left_out_over_dtls",
            "server/identity::an_association_that_has_proved_nothing_registers_nobody",
            "server/identity::an_endpoint_with_credentials_is_forbidden_without_dtls",
            "server/identity::what_registered_over_dtls_cannot_be_taken_over_without",
        ],
    ),
    shown(
        "PSK identity up to 128 B, key up to 64 B",
        "",
        "M",
        &["mischief/credential::identities_and_keys_of_every_length"],
    ),
    shown("CON for all but Notify/Execute", "", "M", &["must::every_operation_goes_out_confirmable"]),
    shown(
        "dedupe CON for 247 s, NON 145 s, replaying the cached answer",
        "",
        "M",
        &[
            "must::a_message_is_a_duplicate_for_247_seconds_or_145",
            "src/coap/endpoint/tests/requests::an_answer_is_piggybacked_and_replayed_for_duplicates",
        ],
    ),
    shown(
        "unknown critical option -> 4.02",
        "",
        "M",
        &[
            "rfc::rfc_7252_an_unknown_critical_option_is_rejected",
            "src/coap/message/tests::critical_options_that_cannot_be_understood_are_found",
        ],
    ),
    but(
        &shown(
            "token unguessable, matched with the DTLS association",
            "",
            "M",
            &[
                "must::a_token_cannot_be_guessed",
                "server/addresses::a_token_of_an_association_is_worth_nothing_outside_of_it",
                "server/identity::an_answer_counts_only_on_the_association_on_which_it_was_asked_for",
                "server/identity::a_token_is_worth_nothing_to_another_endpoint",
                "server/association::notifications_that_a_sleeper_has_stored_are_taken_on_its_new_association",
            ],
        ),
        State::Remarked(
            "on a new association of the same endpoint, notifications by the old token are taken until it has \
             agreed to a new one, as Leshan does",
        ),
    ),
    shown(
        "RST for unknown notification token",
        "",
        "M",
        &[
            "must::a_notification_of_an_unknown_token_is_reset",
            "src/coap/endpoint/tests/responses::responses_that_nothing_has_asked_for_are_rejected",
        ],
    ),
    but(
        &shown(
            "Observe freshness rule (2^23, 128 s)",
            "",
            "M",
            &[
                "src/coap/observe::older_numbers_are_stale_for_128_seconds",
                "src/coap/observe::numbers_wrap_around_at_24_bits",
                "src/coap/endpoint/tests/notifications::stale_notifications_are_acknowledged_and_not_delivered",
            ],
        ),
        State::Remarked("an equal number is fresh, for Leshan's sake; duplicates are known by message id"),
    ),
    shown(
        "bound reassembly buffers (4.13 + Size1)",
        "",
        "M",
        &[
            "must::bodies_are_bounded_and_the_bound_is_told",
            "src/coap/block/tests::the_oldest_transfer_makes_room",
            "src/coap/block/tests::one_peer_cannot_displace_the_transfers_of_others",
            "server/large::unfinished_answers_of_all_clients_take_a_bounded_room",
        ],
    ),
    shown(
        "HelloVerifyRequest cookie before state",
        "",
        "M",
        &["mischief/cookie::a_flood_of_hellos_leaves_no_state"],
    ),
    shown("silently drop bad MAC", "", "M", &["mischief/trash::each_flipped_bit_is_noticed"]),
    shown(
        "address update on CID only for newer valid records (RFC 9146 sec. 6)",
        "",
        "M",
        &[
            "mischief/connection_id::a_client_moves_and_is_found",
            "mischief/connection_id::only_the_newest_authentic_record_moves_the_address",
        ],
    ),
    shown(
        "Update object list replaces, not merges (EMQX merges the map but replaces the list)",
        "",
        "M",
        &[
            "must::an_update_replaces_the_object_list_and_merges_the_parameters",
            "src/lwm2m/registration/tests::an_update_merges_parameters_and_replaces_links",
        ],
    ),
    but(
        &shown(
            "`lt` write to /1/x/1 changes lifetime",
            "",
            "M",
            &[
                "ets/registration::int_102_a_lifetime_that_is_written_is_told_by_the_update_that_follows",
                "wakaama::a_lifetime_that_is_written_counts_without_an_update",
            ],
        ),
        State::Remarked("at once, and again with the Update that the client owes (core 1.2.1 section 6.2.2)"),
    ),
    shown(
        "both comparison styles of `ver` quoting",
        "",
        "M",
        &[
            "must::versions_of_objects_may_be_quoted_or_not",
            "src/lwm2m/model/tests::the_version_of_the_client_chooses",
        ],
    ),
    shown(
        "1.1 server accepts 11543 and 110",
        "",
        "M",
        &[
            "ets/format::int_201_to_232_a_resource_is_read_in_the_format_asked_for",
            "wakaama::it_is_read_in_the_format_asked_for",
            "src/lwm2m/format/lwm2m_json/tests::the_answer_of_wakaama",
        ],
    ),
    shown("Bootstrap-Pack 5.01", "", "M", &["must::there_is_no_bootstrap_server_here"]),
    shown(
        "no request before the Register answer",
        "",
        "M",
        &["server/downlink::nothing_is_asked_before_the_register_is_answered"],
    ),
];
