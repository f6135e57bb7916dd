//! The cases of the CoAP test events.

use super::{Row, Section, State, but, shown};

pub(super) const SECTION: Section = Section {
    title: "CoAP test events",
    about: "CORE, BLOCK, OBS and LINK are the groups of the test events; first as the server of `/rd` and `/dp`, then \
            as the client of devices.",
    rows: ROWS,
};

const ROWS: &[Row] = &[
    shown(
        "CORE_01-08",
        "as the server: methods, confirmable and not",
        "M",
        &[
            "coap::core_01_to_12_every_method_is_answered_in_kind",
            "server/registering::other_requests_get_the_code_that_fits",
            "server/registering::a_non_confirmable_register_is_answered_likewise",
        ],
    ),
    shown(
        "CORE_10-12",
        "as the server: with a token and without",
        "M",
        &["coap::core_01_to_12_every_method_is_answered_in_kind", "wakaama::its_send_has_no_token"],
    ),
    shown(
        "CORE_13-14",
        "as the server: several Uri-Path and Uri-Query options",
        "M",
        &["coap::core_13_14_18_paths_queries_and_locations_have_several_segments"],
    ),
    shown(
        "CORE_15-16",
        "lossy: retransmission, both roles",
        "M",
        &[
            "coap::core_15_16_a_request_survives_the_loss_of_any_one_datagram",
            "rfc::rfc_7252_a_lost_response_is_sent_again_and_the_request_done_once",
            "server/lossy::everything_arrives_once_and_in_order",
            "coap_exchange::at_30_percent_loss_every_request_ends_once_and_is_executed_at_most_once",
        ],
    ),
    shown(
        "CORE_18",
        "as the server: Location-Path",
        "M",
        &["coap::core_13_14_18_paths_queries_and_locations_have_several_segments"],
    ),
    but(
        &shown(
            "BLOCK_03-06",
            "as the server: PUT and POST in blocks, negotiated early",
            "M",
            &[
                "coap::block_03_to_06_a_register_of_3_kb_is_put_together_from_blocks_of_any_size",
                "rfc::rfc_7959_block_wise_put_as_the_server",
                "src/coap/block/tests::a_peer_with_too_large_blocks_is_asked_for_smaller_ones",
                "interop_libcoap::a_register_comes_in_blocks_of_every_size",
            ],
        ),
        State::Remarked(
            "nothing that Tidegate serves is larger than a block, so Block2 is the client's role only",
        ),
    ),
    shown("LINK_01", "as the server: `/.well-known/core`", "M", &["coap::link_01_the_directory_is_listed"]),
    shown(
        "CORE_09/11/17",
        "as the client: separate and late responses",
        "M",
        &[
            "coap::core_09_11_17_separate_and_late_responses_are_taken",
            "rfc::rfc_7252_a_separate_response_is_acknowledged",
            "interop_aiocoap/response::a_non_confirmable_response_without_acknowledgement_is_taken",
            "interop_aiocoap/basic::piggybacked_separate_and_block_wise_responses_are_read",
        ],
    ),
    shown("CORE_20", "Accept, both roles", "M", &["coap::core_20_accept_is_sent_and_obeyed"]),
    shown(
        "OBS_01-10",
        "as the client: observation",
        "M",
        &[
            "coap::obs_01_02_notifications_of_both_types_are_taken",
            "coap::obs_01_an_observation_begins_with_a_separate_response",
            "coap::obs_03_06_an_observation_ends_either_way",
            "coap::obs_04_an_observation_outlives_max_age",
            "coap::obs_05_a_device_that_is_off_fails_the_request_and_keeps_its_registration",
            "coap::obs_07_08_an_error_ends_the_observation",
            "coap::obs_09_10_other_requests_leave_the_observation_alone",
            "interop_libcoap::an_observation_ends_by_cancellation_and_by_an_error",
            "interop_aiocoap/basic::confirmable_notifications_are_published_until_the_observation_is_cancelled",
        ],
    ),
    shown(
        "BLOCK_01/02",
        "as the client: a large resource, early and late negotiation",
        "M",
        &[
            "rfc::rfc_7959_block_wise_get",
            "rfc::rfc_7959_block_wise_get_with_late_negotiation",
            "src/coap/block/tests::a_download_goes_on_in_blocks_no_larger_than_we_like",
            "interop_aiocoap/block::a_read_goes_on_in_the_smaller_blocks_that_the_device_changes_to",
            "interop_aiocoap/basic::piggybacked_separate_and_block_wise_responses_are_read",
        ],
    ),
];
