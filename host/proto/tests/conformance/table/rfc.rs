//! The examples of the RFCs.

use super::{Row, Section, shown};

pub(super) const SECTION: Section = Section {
    title: "Examples of the RFCs",
    about: "Message sequences replayed byte by byte, or option by option where tokens are ours, through one endpoint.",
    rows: ROWS,
};

const ROWS: &[Row] = &[
    shown(
        "RFC 7252 appendix A, figures 16 and 17",
        "piggybacked responses, both roles",
        "",
        &[
            "rfc::rfc_7252_a_piggybacked_response_in_both_roles",
            "src/coap/message/tests::appendix_a_requests_are_built_and_read",
        ],
    ),
    shown(
        "RFC 7252 appendix A, figures 18 and 19",
        "lost messages",
        "",
        &[
            "rfc::rfc_7252_a_lost_request_is_sent_again",
            "rfc::rfc_7252_a_lost_response_is_sent_again_and_the_request_done_once",
        ],
    ),
    shown(
        "RFC 7252 appendix A, figures 20 and 21",
        "separate responses, expected and not",
        "",
        &[
            "rfc::rfc_7252_a_separate_response_is_acknowledged",
            "rfc::rfc_7252_a_separate_response_that_nobody_waits_for_is_reset",
        ],
    ),
    shown(
        "RFC 7252 appendix A, figure 22",
        "a non-confirmable request",
        "",
        &["rfc::rfc_7252_a_non_confirmable_request_gets_a_non_confirmable_response"],
    ),
    shown(
        "RFC 7252 section 5.4.1",
        "critical options",
        "",
        &["rfc::rfc_7252_an_unknown_critical_option_is_rejected"],
    ),
    shown(
        "RFC 7641 appendix A",
        "observed, and registered anew",
        "",
        &[
            "rfc::rfc_7641_a_registers_is_notified_and_registers_again",
            "coap::a_confirmable_notification_waits_for_the_caller",
        ],
    ),
    shown(
        "RFC 7959 section 3.1",
        "block-wise GET",
        "",
        &["rfc::rfc_7959_block_wise_get", "rfc::rfc_7959_block_wise_get_with_late_negotiation"],
    ),
    shown(
        "RFC 7959 section 3.2",
        "block-wise PUT, both roles",
        "",
        &["rfc::rfc_7959_block_wise_put_as_the_client", "rfc::rfc_7959_block_wise_put_as_the_server"],
    ),
    shown(
        "RFC 7959 section 3.3",
        "block-wise request and response",
        "",
        &["rfc::rfc_7959_block_wise_post_with_block_wise_response"],
    ),
    shown(
        "RFC 7959 section 3.4",
        "a block-wise notification",
        "",
        &["rfc::rfc_7959_observe_with_block_wise_notification"],
    ),
    shown(
        "RFC 9175",
        "Echo and Request-Tag",
        "",
        &[
            "rfc::rfc_9175_echo_and_request_tag_are_tolerated_and_tags_keep_bodies_apart",
            "rfc::rfc_9175_a_request_is_repeated_with_the_echo_that_its_answer_asks_for",
            "rfc::rfc_9175_a_body_in_blocks_is_repeated_with_the_echo_from_its_first_block_on",
        ],
    ),
];
